//! Serving an application so that no one can keep others out by saying nothing.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How many file descriptors the process asks for: many systems give 1,024 unless it does.
const DESCRIPTORS: u64 = 16_384;

/// So many descriptors at least are not for connections but for the database and for Open Humans.
const OTHERS: u64 = 100;

/// Serves an application over HTTP/1.1, with a limit to what silent clients can hold.
///
/// `axum::serve` waits for ever for the headers of a request, and takes connections for as long as
/// the process has file descriptors. Whoever opens many and is silent keeps everyone out, and Open
/// Humans sends its webhook only once. Here headers come in time or the connection ends; and where
/// there are too many connections, the oldest that has no request under way makes room for the
/// next, or where nearly all have one, as with bodies that never end, the oldest of those. Behind a
/// proxy that does the same, `axum::serve` is enough.
///
/// Handlers can ask for the client's address by [`ConnectInfo<SocketAddr>`], and connections can be
/// upgraded (WebSocket). The limit of file descriptors is raised to 16,384, or as far as the system
/// lets the process.
///
/// ```no_run
/// # async fn serve(app: axum::Router) -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// oh_axum::serve(listener, app).until_terminated().await;
/// # Ok(())
/// # }
/// ```
pub fn serve(listener: TcpListener, app: Router) -> Serve {
    Serve {
        listener,
        app,
        header_timeout: Duration::from_secs(10),
        shutdown_timeout: Duration::from_secs(30),
        max_connections: None,
    }
}

/// What [`serve()`] makes: set what should differ, then say until when it serves.
#[derive(Debug)]
#[must_use = "nothing is served before `until` or `until_terminated`"]
pub struct Serve {
    listener: TcpListener,
    app: Router,
    header_timeout: Duration,
    shutdown_timeout: Duration,
    max_connections: Option<usize>,
}

impl Serve {
    /// How long the headers of a request may take, and how long a connection may be silent before
    /// them: ten seconds unless set.
    pub fn header_timeout(self, header_timeout: Duration) -> Self {
        Self {
            header_timeout,
            ..self
        }
    }

    /// How long requests that are under way may take to end when the server stops: thirty seconds
    /// unless set.
    pub fn shutdown_timeout(self, shutdown_timeout: Duration) -> Self {
        Self {
            shutdown_timeout,
            ..self
        }
    }

    /// How many connections are kept at a time, at least one. Unless set, three quarters of the
    /// process's file descriptors, or a hundred fewer than all if that is less.
    pub fn max_connections(self, max_connections: usize) -> Self {
        Self {
            max_connections: Some(max_connections.max(1)),
            ..self
        }
    }

    /// Serves until the process is told to end, by Ctrl-C or by `SIGTERM`, as containers are.
    pub async fn until_terminated(self) {
        self.until(terminated()).await;
    }

    /// Serves until `stop` is ready, then takes no more connections and waits for the requests that
    /// are under way.
    pub async fn until(self, stop: impl Future<Output = ()>) {
        let descriptors = rlimit::increase_nofile_limit(DESCRIPTORS).unwrap_or(256);
        let most = self
            .max_connections
            .unwrap_or_else(|| connections_for(descriptors));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout);
        let mut open: VecDeque<Connection> = VecDeque::new();
        // Each connection listens on a receiver, and drops it when it ends.
        let (end, ends) = watch::channel(());
        let under_way = Arc::new(());
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    make_room(&mut open, most - 1, &under_way);
                    let app = self.app.clone();
                    let all = Arc::downgrade(&under_way);
                    open.push_back(Connection::begin(
                        stream,
                        peer,
                        app,
                        &http,
                        all,
                        ends.clone(),
                    ));
                }
                // No file descriptor is left, most likely.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    open.retain(|connection| !connection.task.is_finished());
                    let fewer = open.len() - open.len().div_ceil(8);
                    make_room(&mut open, fewer, &under_way);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop((self.listener, ends));
        end.send_replace(());
        if tokio::time::timeout(self.shutdown_timeout, end.closed())
            .await
            .is_err()
        {
            tracing::warn!("requests were still under way when the server stopped");
        }
    }
}

async fn terminated() {
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending();
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

fn connections_for(descriptors: u64) -> usize {
    let most = (descriptors / 4 * 3).min(descriptors.saturating_sub(OTHERS));
    usize::try_from(most).unwrap_or(usize::MAX).max(16)
}

/// Ends connections until no more than `most` are left: the oldest that has no request under way.
/// Where nearly all have one, those without have only just come; then it is the oldest that has.
/// Each request holds a clone of `under_way`.
fn make_room(open: &mut VecDeque<Connection>, most: usize, under_way: &Arc<()>) {
    if open.len() > most {
        open.retain(|connection| !connection.task.is_finished());
    }
    while open.len() > most {
        let idle = (open.len() + 1).saturating_sub(Arc::strong_count(under_way));
        let idle_goes = idle > (open.len() / 8).max(1);
        let oldest = open.iter().position(|one| one.is_idle() == idle_goes);
        if let Some(connection) = open.remove(oldest.unwrap_or(0)) {
            connection.task.abort();
        }
    }
}

struct Connection {
    task: AbortHandle,
    /// Each request holds a clone until its answer begins.
    under_way: Arc<()>,
}

impl Connection {
    fn begin(
        stream: TcpStream,
        peer: SocketAddr,
        app: Router,
        http: &http1::Builder,
        all_under_way: Weak<()>,
        mut ends: watch::Receiver<()>,
    ) -> Self {
        let under_way = Arc::new(());
        let of_request = Arc::downgrade(&under_way);
        let app = TowerToHyperService::new(app);
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let under_way = (of_request.upgrade(), all_under_way.upgrade());
            let answer = app.call(request);
            async move {
                let answer = answer.await;
                drop(under_way);
                answer
            }
        });
        let connection = http
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let task = tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                _ = ends.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
        Self {
            task: task.abort_handle(),
            under_way,
        }
    }

    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.under_way) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use std::future::pending;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn hello() -> Router {
        Router::new().route("/", get(|| async { "hello" }))
    }

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        read(&mut stream).await
    }

    async fn read(stream: &mut TcpStream) -> String {
        let mut answer = String::new();
        // A connection that was ended may be reset.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn a_connection_that_says_nothing_or_half_a_header_is_ended() {
        let (listener, address) = listener().await;
        let serve = serve(listener, hello()).header_timeout(Duration::from_millis(50));
        let server = tokio::spawn(serve.until(pending()));
        let mut silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(read(&mut silent).await, "");
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(&REQUEST[..20]).await.unwrap();
        let answer = read(&mut half).await;
        assert!(!answer.contains("hello"), "{answer}");
        assert!(ask(address).await.ends_with("hello"));
        server.abort();
    }

    #[tokio::test]
    async fn the_oldest_silent_connection_makes_room_and_a_request_under_way_does_not() {
        let (listener, address) = listener().await;
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (of_route, goes_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        let slow = get(move || async move {
            of_route.notify_one();
            goes_on.notified().await;
            "slow"
        });
        let app = Router::new().route("/", slow);
        let serve = serve(listener, app).max_connections(3);
        let server = tokio::spawn(serve.until(pending()));

        let mut under_way = TcpStream::connect(address).await.unwrap();
        under_way.write_all(REQUEST).await.unwrap();
        begun.notified().await;
        let mut silent = Vec::new();
        for _ in 0..4 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        for oldest in &mut silent[..2] {
            assert_eq!(read(oldest).await, "");
        }
        go_on.notify_one();
        assert!(read(&mut under_way).await.ends_with("slow"));
        server.abort();
    }

    #[tokio::test]
    async fn where_nearly_all_have_a_request_under_way_one_that_has_just_come_is_kept() {
        let (listener, address) = listener().await;
        let begun = Arc::new(Notify::new());
        let of_route = Arc::clone(&begun);
        let endless = get(move || async move {
            of_route.notify_one();
            pending::<()>().await;
        });
        let app = hello().route("/endless", endless);
        let serve = serve(listener, app).max_connections(4);
        let server = tokio::spawn(serve.until(pending()));

        let mut under_way = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n";
            stream.write_all(request).await.unwrap();
            begun.notified().await;
            under_way.push(stream);
        }
        let mut just_come = TcpStream::connect(address).await.unwrap();
        let _next = TcpStream::connect(address).await.unwrap();
        assert_eq!(read(&mut under_way[0]).await, "");
        just_come.write_all(REQUEST).await.unwrap();
        assert!(read(&mut just_come).await.ends_with("hello"));
        server.abort();
    }

    #[tokio::test]
    async fn what_is_under_way_is_answered_when_the_server_stops() {
        let (listener, address) = listener().await;
        let stop = Arc::new(Notify::new());
        let asked = Arc::clone(&stop);
        let app = get(|| async move {
            asked.notify_one();
            tokio::task::yield_now().await;
            "answered"
        });
        let serve = serve(listener, Router::new().route("/", app));
        let server = tokio::spawn(async move { serve.until(stop.notified()).await });
        assert!(ask(address).await.ends_with("answered"));
        server.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_handler_can_ask_for_the_address() {
        let (listener, address) = listener().await;
        let app =
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() });
        let serve = serve(listener, Router::new().route("/", app));
        let server = tokio::spawn(serve.until(pending()));
        assert!(ask(address).await.ends_with("127.0.0.1"));
        server.abort();
    }

    #[test]
    fn some_descriptors_are_left_for_others() {
        assert_eq!(connections_for(16_384), 12_288);
        assert_eq!(connections_for(256), 156);
        assert_eq!(connections_for(64), 16);
    }
}
