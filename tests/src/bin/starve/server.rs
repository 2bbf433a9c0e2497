//! The server, as the examples serve: the routes of Open Humans and a page of its own.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use actix_session::SessionMiddleware;
use actix_session::storage::CookieSessionStore;
use actix_web::cookie::Key;
use actix_web::middleware::from_fn;
use axum::Router;
use clap::ValueEnum;
use oh_core::deauth::{CircuitBreaker, Departure};
use oh_core::{OpenHumans, Settings};
use oh_sqlx::SqliteStore;
use tokio::io::AsyncReadExt;
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::Outcome;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framework {
    Axum,
    Actix,
}

/// Serves until standard input ends. Everything comes from the environment: Open Humans' settings,
/// and `STARVE_FOLDER`, where the database is. Says its port on standard output.
pub(crate) async fn serve(framework: Framework) -> Outcome {
    let folder: PathBuf = std::env::var_os("STARVE_FOLDER").ok_or("no folder")?.into();
    let store = SqliteStore::connect(folder.join("openhumans.sqlite")).await?;
    let file = folder.join("openhumans.sqlite");
    let openhumans = OpenHumans::builder(Settings::from_env()?)
        .token_store(store.clone())
        .deauth_inbox(store)
        .circuit_breaker(CircuitBreaker::off())
        .deauth_handler(move |_: Departure| {
            // An app's handler opens files and connections, and must be tried again when it cannot.
            let opened = File::open(&file).map(drop);
            async move { Ok(opened?) }
        })
        .build()?;
    let (first, longest) = (Duration::from_millis(100), Duration::from_secs(2));
    let worker = openhumans
        .worker()
        .max_attempts(1_000)
        .backoff(first, longest);
    let background = openhumans.start_background_with(worker, openhumans.reconciler());
    // With room for a thousand who wait to be let in; the standard library's has it for 128.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    match framework {
        Framework::Axum => {
            let app = Router::new()
                .nest("/openhumans", oh_axum::router(&openhumans))
                .layer(oh_axum::layer(&openhumans))
                .layer(SessionManagerLayer::new(MemoryStore::default()));
            oh_axum::serve(listener, app).until(input_ends()).await;
        }
        Framework::Actix => {
            let openhumans = openhumans.clone();
            let key = Key::generate();
            let workers = std::thread::available_parallelism()?.get();
            let connections = oh_actix::Connections::new(workers);
            let server = actix_web::HttpServer::new(move || {
                let sessions = CookieSessionStore::default();
                actix_web::App::new()
                    .configure(oh_actix::configure(&openhumans))
                    .wrap(SessionMiddleware::new(sessions, key.clone()))
                    .wrap(from_fn(oh_actix::keep_connection))
            });
            let server = server
                .workers(workers)
                .max_connections(connections.for_each_worker())
                .on_connect(connections.on_connect())
                .client_request_timeout(Duration::from_secs(5))
                .shutdown_timeout(1)
                .disable_signals()
                .listen(listener.into_std()?)?
                .run();
            let handle = server.handle();
            let running = tokio::spawn(server);
            input_ends().await;
            handle.stop(false).await;
            running.await??;
        }
    }
    background.stop().await;
    Ok(())
}

async fn input_ends() {
    let mut rest = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
}
