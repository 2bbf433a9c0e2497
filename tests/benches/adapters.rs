//! Measures the cost of the adapters against plain handlers of the same frameworks, in the same run.
//!
//! `cargo bench -p oh-tests --bench adapters` serves four routes in axum and in actix-web on
//! loopback and sends requests to them in turn, in short rounds, with the same client:
//!
//! - a verified webhook, against a handler that reads the body and computes the HMAC: at least 0.90 of its
//!   rate;
//! - a route with a `Member`, against a route that reads the session: at least 0.95.
//!
//! Rates are requests per second of the server's processor time, so that other load on the machine has
//! little effect; or per second of real time where the system does not report processor time. The
//! benchmark prints the medians of the rounds and of their ratios, and fails when a ratio is too low.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use oh_core::{OpenHumans, SESSION_KEY, Settings};
use oh_sandbox::Sandbox;
use oh_sandbox::webhook::sign;
use oh_tests::visitor::{Initiator, Visitor};
use oh_tests::wire::Request;
use sha1::Sha1;

const SECRET: &str = "abcdefghijklmnop";
const HEADER: &str = "x-openhumans-webhooks-signature";
/// The time is in the future, because old webhooks would be quarantined.
const BODY: &str = r#"{"project_member_id": "01026778", "erasure_requested": true, "timestamp": "2099-11-22T16:31:27.299665+00:00"}"#;

const CONNECTIONS: usize = 4;
const ROUNDS: usize = 61;
const ROUND: Duration = Duration::from_millis(100);

/// The webhook verification of the plain handlers.
fn bare_verify(signature: Option<&[u8]>, body: &[u8]) -> bool {
    let digits = signature.and_then(|signature| signature.strip_prefix(b"sha1="));
    let Some(Ok(signature)) = digits.map(hex::decode) else {
        return false;
    };
    let mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.chain_update(body).verify_slice(&signature).is_ok()
}

mod in_axum {
    use axum::Router;
    use axum::body::Bytes;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{get, post};
    use oh_axum::{Member, VerifiedWebhook};
    use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

    use super::*;

    pub(crate) fn start(listener: TcpListener, openhumans: &OpenHumans) {
        let app = Router::new()
            .route("/bare/webhook", post(bare_webhook))
            .route("/ours/webhook", post(webhook))
            .route("/bare/member", get(bare_member))
            .route("/ours/member", get(member))
            .nest("/openhumans", oh_axum::router(openhumans))
            .layer(oh_axum::layer(openhumans))
            .layer(SessionManagerLayer::new(MemoryStore::default()));
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
    }

    async fn bare_webhook(headers: HeaderMap, body: Bytes) -> StatusCode {
        let signature = headers.get(HEADER).map(|value| value.as_bytes());
        assert!(bare_verify(signature, &body));
        StatusCode::NO_CONTENT
    }

    async fn webhook(webhook: VerifiedWebhook) -> StatusCode {
        assert!(webhook.deauthorization.erasure_requested());
        StatusCode::NO_CONTENT
    }

    async fn bare_member(session: Session) -> StatusCode {
        let member = session.get_value(SESSION_KEY).await.unwrap();
        assert!(member.is_some());
        StatusCode::NO_CONTENT
    }

    async fn member(member: Member) -> StatusCode {
        assert_eq!(member.id().as_str(), "01026778");
        StatusCode::NO_CONTENT
    }
}

mod in_actix {
    use actix_session::storage::CookieSessionStore;
    use actix_session::{Session, SessionMiddleware};
    use actix_web::cookie::Key;
    use actix_web::web::{self, Bytes};
    use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
    use oh_actix::{Member, VerifiedWebhook};

    use super::*;

    pub(crate) fn start(listener: TcpListener, openhumans: &OpenHumans) {
        let openhumans = openhumans.clone();
        let key = Key::generate();
        let server = HttpServer::new(move || {
            App::new()
                .configure(oh_actix::configure(&openhumans))
                .route("/bare/webhook", web::post().to(bare_webhook))
                .route("/ours/webhook", web::post().to(webhook))
                .route("/bare/member", web::get().to(bare_member))
                .route("/ours/member", web::get().to(member))
                .wrap(SessionMiddleware::new(
                    CookieSessionStore::default(),
                    key.clone(),
                ))
        });
        let server = server.workers(1).disable_signals().listen(listener);
        tokio::spawn(server.unwrap().run());
    }

    async fn bare_webhook(request: HttpRequest, body: Bytes) -> HttpResponse {
        let signature = request.headers().get(HEADER).map(|value| value.as_bytes());
        assert!(bare_verify(signature, &body));
        HttpResponse::NoContent().finish()
    }

    async fn webhook(webhook: VerifiedWebhook) -> HttpResponse {
        assert!(webhook.deauthorization.erasure_requested());
        HttpResponse::NoContent().finish()
    }

    async fn bare_member(session: Session) -> HttpResponse {
        assert!(
            session
                .get::<serde_json::Value>(SESSION_KEY)
                .unwrap()
                .is_some()
        );
        HttpResponse::NoContent().finish()
    }

    async fn member(member: Member) -> HttpResponse {
        assert_eq!(member.id().as_str(), "01026778");
        HttpResponse::NoContent().finish()
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    let mut good = true;
    for (framework, start) in [
        ("axum", in_axum::start as fn(TcpListener, &OpenHumans)),
        ("actix", in_actix::start),
    ] {
        let (addr, cookies, _sandbox) = served(start).await;
        let webhook = |path: &str| {
            let request = Request::post(path)
                .header(HEADER, sign(SECRET, BODY))
                .body(BODY);
            kept_alive(&request, addr)
        };
        let page = |path: &str| kept_alive(&Request::get(path).header("cookie", &cookies), addr);
        for (what, bare, ours, expected) in [
            (
                "webhook",
                webhook("/bare/webhook"),
                webhook("/ours/webhook"),
                0.90,
            ),
            ("member", page("/bare/member"), page("/ours/member"), 0.95),
        ] {
            let (bare, ours, ratio) = compare(addr, &bare, &ours);
            good &= ratio >= expected;
            println!(
                "{framework:5} {what:7}  bare {bare:8.0}/s  ours {ours:8.0}/s  \
                 ratio {ratio:.3} (expected {expected:.2})"
            );
        }
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Starts an application, and returns its address and the cookies of a logged-in member.
async fn served(start: fn(TcpListener, &OpenHumans)) -> (SocketAddr, String, Sandbox) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let home = format!("http://localhost:{}", addr.port());
    let sandbox = Sandbox::builder()
        .redirect_uri(format!("{home}/openhumans/complete"))
        .member("01026778", Some("alice"))
        .start()
        .await
        .unwrap();
    let settings = Settings::builder(sandbox.client_id(), sandbox.client_secret(), home)
        .oh_base_url(sandbox.url().as_str())
        .webhook_secret(SECRET)
        .build()
        .unwrap();
    start(listener, &OpenHumans::builder(settings).build().unwrap());

    let mut alice = Visitor::new(addr);
    let response = alice.get("/openhumans/login").await;
    let back = sandbox
        .authorize("01026778", response.location())
        .await
        .unwrap();
    let callback = format!("{}?{}", back.path(), back.query().unwrap());
    let response = alice
        .navigate("GET", &callback, Initiator::SameOrigin)
        .await;
    assert_eq!(response.status, 303);
    let session = alice
        .cookie_names()
        .find(|name| !name.starts_with("oh-login-"));
    let session = session.unwrap().to_owned();
    let cookies = format!("{session}={}", alice.cookie(&session).unwrap());
    (addr, cookies, sandbox)
}

/// Returns the bytes of a request on a persistent connection.
fn kept_alive(request: &Request, addr: SocketAddr) -> Vec<u8> {
    let text = String::from_utf8(request.to_bytes(&format!("localhost:{}", addr.port())));
    text.unwrap()
        .replace("connection: close\r\n", "")
        .into_bytes()
}

/// Measures requests per second of both routes, and the median of the rounds' ratios.
fn compare(addr: SocketAddr, bare: &[u8], ours: &[u8]) -> (f64, f64, f64) {
    let rounds: Vec<(f64, f64)> = (0..ROUNDS)
        // The order alternates, because the load of the machine can change during a round.
        .map(|round| match round % 2 {
            0 => (rate(addr, bare), rate(addr, ours)),
            _ => {
                let ours = rate(addr, ours);
                (rate(addr, bare), ours)
            }
        })
        .collect();
    let of = |value: fn(&(f64, f64)) -> f64| median(rounds.iter().map(value).collect());
    (of(|r| r.0), of(|r| r.1), of(|r| r.1 / r.0))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs one round. The client threads have ended when the processor time is read, so it is the time of the
/// server.
fn rate(addr: SocketAddr, request: &[u8]) -> f64 {
    let (begun, before) = (Instant::now(), cpu_time());
    let end = begun + ROUND;
    let asking = (0..CONNECTIONS).map(|_| {
        let request = request.to_vec();
        std::thread::spawn(move || ask(addr, &request, end))
    });
    let asking: Vec<_> = asking.collect();
    let count: u32 = asking
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    let time = match (before, cpu_time()) {
        (Some(before), Some(after)) => after - before,
        _ => begun.elapsed(),
    };
    f64::from(count) / time.as_secs_f64()
}

/// Sends requests one after another until the time is over. Every response must be 204.
fn ask(addr: SocketAddr, request: &[u8], end: Instant) -> u32 {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut response = [0; 1024];
    let mut count = 0;
    while Instant::now() < end {
        stream.write_all(request).unwrap();
        let mut length = 0;
        while !response[..length].ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut response[length..]).unwrap();
            assert_ne!(read, 0, "the connection was closed");
            length += read;
        }
        assert!(response.starts_with(b"HTTP/1.1 204"));
        count += 1;
    }
    count
}

/// Returns the processor time of all running threads of this process.
fn cpu_time() -> Option<Duration> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let of_thread = |thread: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    };
    let nanoseconds = threads.flatten().filter_map(of_thread).sum();
    Some(Duration::from_nanos(nanoseconds))
}
