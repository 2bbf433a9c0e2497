//! Serves the app, so that no one can keep others out by saying nothing.
//!
//! `axum::serve` waits for ever for the headers of a request, and takes connections for as long as
//! the process has file descriptors. Whoever opens many and is silent keeps everyone out, and Open
//! Humans' webhook comes only once. Here headers come in time or the connection ends, and where
//! there are too many connections, the oldest that waits for something makes room for the next.
//!
//! Behind a proxy that does the same, `axum::serve` is enough.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tower::{ServiceExt, service_fn};

/// How many file descriptors the process asks for: it has 1,024 unless it does, or fewer.
const DESCRIPTORS: u64 = 16_384;

/// So many of them at least are not for connections but for the database and for Open Humans.
const OTHERS: u64 = 100;

/// How long the headers of a request may take, and how long a connection may be silent before them.
const HEADERS: Duration = Duration::from_secs(10);

/// How long requests that are under way may take to end when the app stops.
const FAREWELL: Duration = Duration::from_secs(30);

/// Serves until `stop` is ready, and then ends what is under way.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: impl Future<Output = ()>) {
    let descriptors = rlimit::increase_nofile_limit(DESCRIPTORS).unwrap_or(256);
    let most = (descriptors / 4 * 3).min(descriptors.saturating_sub(OTHERS));
    let most = usize::try_from(most).unwrap_or(usize::MAX).max(16);
    let mut open: VecDeque<Connection> = VecDeque::new();
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, _)) => {
                make_room(&mut open, most);
                open.push_back(Connection::begin(stream, &app, &graceful));
            }
            // No file descriptor is left, most likely.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                open.retain(|connection| !connection.task.is_finished());
                let fewer = open.len() - open.len().div_ceil(8);
                make_room(&mut open, fewer);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
}

/// Ends the oldest connections that have no request under way, or the oldest of all, until no more
/// than `most` are left.
fn make_room(open: &mut VecDeque<Connection>, most: usize) {
    if open.len() > most {
        open.retain(|connection| !connection.task.is_finished());
    }
    while open.len() > most {
        let idle = open.iter().position(Connection::is_idle).unwrap_or(0);
        if let Some(connection) = open.remove(idle) {
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
    fn begin(stream: TcpStream, app: &Router, graceful: &GracefulShutdown) -> Self {
        let under_way = Arc::new(());
        let (app, of_request) = (app.clone(), Arc::downgrade(&under_way));
        let service = service_fn(move |request: Request<_>| {
            let (app, under_way) = (app.clone(), of_request.upgrade());
            async move {
                let answer = app.oneshot(request).await;
                drop(under_way);
                Ok::<_, Infallible>(answer.unwrap_or_else(|never| match never {}))
            }
        });
        let mut http = Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS);
        let service = TowerToHyperService::new(service);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let watched = graceful.watch(connection.into_owned());
        let task = tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(error, "a connection ended early");
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
