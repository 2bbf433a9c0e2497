//! A limit to what silent clients can hold.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, rt};
use socket2::{SockRef, Socket};

/// How many file descriptors the process asks for: many systems give 1,024 unless it does.
const DESCRIPTORS: u64 = 16_384;

/// So many descriptors at least are not for connections but for the database and for Open Humans.
const OTHERS: u64 = 100;

/// A limit to the connections of an `HttpServer`, so that no one can keep others out by saying
/// nothing.
///
/// actix-web takes connections for as long as the process has file descriptors, and none while it
/// has not. Whoever opens many and is silent keeps everyone out until their time for headers is
/// over, and Open Humans sends its webhook only once. Here, where there are too many connections,
/// the oldest that has no request under way makes room for the next, or where nearly all have one,
/// as with bodies that never end, the oldest of those. Behind a proxy that does the same, this is
/// not needed.
///
/// [`Connections::on_connect`] counts them, over all workers, and [`keep_connection`] says which
/// have a request under way. [`Connections::for_each_worker`] lets the server take a few more and
/// then wait until room is made, before the process is out of file descriptors. All three are
/// needed. Connections whose TLS the server itself ends are not counted.
///
/// ```no_run
/// # async fn serve(openhumans: oh_core::OpenHumans) -> std::io::Result<()> {
/// use std::time::Duration;
///
/// use actix_web::middleware::from_fn;
/// use actix_web::{App, HttpServer};
/// use oh_actix::{Connections, keep_connection};
///
/// let workers = std::thread::available_parallelism()?.get();
/// let connections = Connections::new(workers);
/// HttpServer::new(move || {
///     App::new()
///         .configure(oh_actix::configure(&openhumans))
///         .wrap(from_fn(keep_connection))
/// })
/// .workers(workers)
/// .max_connections(connections.for_each_worker())
/// .on_connect(connections.on_connect())
/// .client_request_timeout(Duration::from_secs(10))
/// .bind("127.0.0.1:8000")?
/// .run()
/// .await
/// # }
/// ```
#[derive(Debug)]
pub struct Connections(Arc<Open>);

#[derive(Debug)]
struct Open {
    most: usize,
    workers: usize,
    next: AtomicU64,
    /// How many requests are under way on all of them.
    under_way: AtomicUsize,
    /// By their numbers, and so the oldest first.
    connections: Mutex<BTreeMap<u64, Connection>>,
}

#[derive(Debug)]
struct Connection {
    /// The connection's own socket once more, to end it by.
    socket: Socket,
    under_way: Arc<AtomicUsize>,
}

/// What a connection has for as long as it is open.
struct Counted {
    number: u64,
    under_way: Arc<AtomicUsize>,
    open: Arc<Open>,
}

impl Connections {
    /// As many as fit, for a server of so many workers: each takes two of the process's file
    /// descriptors, and of those a quarter, or a hundred if that is more, is left for others. The
    /// limit of file descriptors is raised to 16,384, or as far as the system lets the process.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let descriptors = rlimit::increase_nofile_limit(DESCRIPTORS).unwrap_or(256);
        Self::at_most(connections_for(descriptors), workers)
    }

    /// So many at a time, at least one, for a server of so many workers.
    #[must_use]
    pub fn at_most(most: usize, workers: usize) -> Self {
        Self(Arc::new(Open {
            most: most.max(1),
            workers: workers.max(1),
            next: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            connections: Mutex::default(),
        }))
    }

    /// For `HttpServer::max_connections`: together an eighth more than are kept, so that there is
    /// always one to make room for.
    #[must_use]
    pub fn for_each_worker(&self) -> usize {
        (self.0.most + self.0.most.div_ceil(8)).div_ceil(self.0.workers)
    }

    /// For `HttpServer::on_connect`.
    pub fn on_connect(self) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + 'static {
        move |io, extensions| {
            let Some(stream) = io.downcast_ref::<rt::net::TcpStream>() else {
                return;
            };
            match SockRef::from(stream).try_clone() {
                Ok(socket) => drop(extensions.insert(self.0.count(socket))),
                // No file descriptor is left, most likely.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be counted");
                    let mut connections = self.0.connections();
                    let fewer = connections.len() - connections.len().div_ceil(8);
                    self.0.make_room(&mut connections, fewer);
                }
            }
        }
    }
}

impl Open {
    fn connections(&self) -> MutexGuard<'_, BTreeMap<u64, Connection>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn count(self: &Arc<Self>, socket: Socket) -> Counted {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let under_way = Arc::new(AtomicUsize::new(0));
        let connection = Connection {
            socket,
            under_way: Arc::clone(&under_way),
        };
        let mut connections = self.connections();
        self.make_room(&mut connections, self.most - 1);
        connections.insert(number, connection);
        Counted {
            number,
            under_way,
            open: Arc::clone(self),
        }
    }

    /// Ends connections until no more than `most` are left: the oldest that has no request under
    /// way. Where nearly all have one, those without have only just come; then it is the oldest that
    /// has.
    fn make_room(&self, connections: &mut BTreeMap<u64, Connection>, most: usize) {
        while connections.len() > most {
            let under_way = self.under_way.load(Ordering::Relaxed);
            let idle = connections.len().saturating_sub(under_way);
            let idle_goes = idle > (connections.len() / 8).max(1);
            let oldest = connections
                .iter()
                .find(|(_, one)| one.is_idle() == idle_goes);
            let Some((&number, _)) = oldest.or_else(|| connections.first_key_value()) else {
                return;
            };
            if let Some(connection) = connections.remove(&number) {
                // It may have ended by itself.
                let _ = connection.socket.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.connections().remove(&self.number);
    }
}

impl Connection {
    fn is_idle(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) == 0
    }
}

fn connections_for(descriptors: u64) -> usize {
    let most = (descriptors / 4 * 3).min(descriptors.saturating_sub(OTHERS)) / 2;
    usize::try_from(most).unwrap_or(usize::MAX).max(8)
}

/// Middleware that keeps a connection from being ended, to make room for another, while a request
/// on it is under way: until its answer begins. See [`Connections`].
///
/// # Errors
///
/// Those of the inner service only.
pub async fn keep_connection<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let _under_way = request.conn_data().map(UnderWay::begin);
    next.call(request).await
}

struct UnderWay {
    of_connection: Arc<AtomicUsize>,
    open: Arc<Open>,
}

impl UnderWay {
    fn begin(counted: &Counted) -> Self {
        counted.under_way.fetch_add(1, Ordering::Relaxed);
        counted.open.under_way.fetch_add(1, Ordering::Relaxed);
        Self {
            of_connection: Arc::clone(&counted.under_way),
            open: Arc::clone(&counted.open),
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.of_connection.fetch_sub(1, Ordering::Relaxed);
        self.open.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use actix_web::dev::ServerHandle;
    use actix_web::middleware::from_fn;
    use actix_web::web::{self, Data};
    use actix_web::{App, HttpServer};
    use tokio::sync::{Notify, Semaphore};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    struct Slow {
        begun: Notify,
        goes_on: Semaphore,
    }

    impl Slow {
        fn new() -> Data<Self> {
            Data::new(Self {
                begun: Notify::new(),
                goes_on: Semaphore::new(0),
            })
        }
    }

    async fn slow(slow: Data<Slow>) -> &'static str {
        slow.begun.notify_one();
        slow.goes_on.acquire().await.unwrap().forget();
        "slow"
    }

    fn server(connections: Connections, slow_route: Data<Slow>) -> (SocketAddr, ServerHandle) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(slow_route.clone())
                .route("/", web::get().to(slow))
                .wrap(from_fn(keep_connection))
        })
        .workers(1)
        .max_connections(connections.for_each_worker())
        .on_connect(connections.on_connect())
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        rt::spawn(server);
        (address, handle)
    }

    /// What a connection gets until it ends.
    async fn read(mut stream: TcpStream) -> String {
        let read = web::block(move || {
            let mut answer = String::new();
            // A connection that was ended may be reset.
            let _ = stream.read_to_string(&mut answer);
            answer
        });
        read.await.unwrap()
    }

    #[actix_web::test]
    async fn the_oldest_silent_connection_makes_room_and_a_request_under_way_does_not() {
        let slow = Slow::new();
        let (address, server) = server(Connections::at_most(3, 1), slow.clone());

        let mut under_way = TcpStream::connect(address).unwrap();
        under_way.write_all(REQUEST).unwrap();
        slow.begun.notified().await;
        let mut silent: Vec<_> = (0..4)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let newest = silent.split_off(2);
        for oldest in silent {
            assert_eq!(read(oldest).await, "");
        }
        slow.goes_on.add_permits(1);
        assert!(read(under_way).await.ends_with("slow"));
        drop(newest);
        server.stop(false).await;
    }

    #[actix_web::test]
    async fn where_all_have_a_request_under_way_the_oldest_makes_room() {
        let slow = Slow::new();
        let (address, server) = server(Connections::at_most(1, 1), slow.clone());

        let mut first = TcpStream::connect(address).unwrap();
        first.write_all(REQUEST).unwrap();
        slow.begun.notified().await;
        let mut second = TcpStream::connect(address).unwrap();
        second.write_all(REQUEST).unwrap();
        slow.begun.notified().await;
        assert_eq!(read(first).await, "");
        slow.goes_on.add_permits(2);
        assert!(read(second).await.ends_with("slow"));
        server.stop(false).await;
    }

    #[actix_web::test]
    async fn where_nearly_all_have_a_request_under_way_one_that_has_just_come_is_kept() {
        let slow = Slow::new();
        let (address, server) = server(Connections::at_most(4, 1), slow.clone());

        let mut under_way = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(REQUEST).unwrap();
            slow.begun.notified().await;
            under_way.push(stream);
        }
        let mut just_come = TcpStream::connect(address).unwrap();
        let next = TcpStream::connect(address).unwrap();
        assert_eq!(read(under_way.remove(0)).await, "");
        just_come.write_all(REQUEST).unwrap();
        slow.begun.notified().await;
        slow.goes_on.add_permits(4);
        assert!(read(just_come).await.ends_with("slow"));
        drop((under_way, next));
        server.stop(false).await;
    }

    #[actix_web::test]
    async fn a_connection_that_has_ended_is_forgotten() {
        let slow = Slow::new();
        let connections = Connections::at_most(8, 1);
        let open = Arc::clone(&connections.0);
        let (address, server) = server(connections, slow.clone());

        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(REQUEST).unwrap();
            slow.begun.notified().await;
            assert_eq!(open.connections().len(), 1);
            slow.goes_on.add_permits(1);
            assert!(read(stream).await.ends_with("slow"));
        }
        server.stop(true).await;
        assert!(open.connections().is_empty());
    }

    #[test]
    fn the_workers_take_more_together_than_are_kept() {
        for (most, workers, each) in [(0, 0, 2), (1, 4, 1), (78, 2, 44), (78, 1, 88)] {
            assert_eq!(Connections::at_most(most, workers).for_each_worker(), each);
        }
    }

    #[test]
    fn descriptors_are_left_for_others() {
        for (descriptors, most) in [(0, 8), (50, 8), (256, 78), (400, 150), (1_024, 384)] {
            assert_eq!(connections_for(descriptors), most, "{descriptors}");
        }
    }
}
