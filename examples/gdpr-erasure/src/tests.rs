//! Tests of the example: failed and repaired erasure, proof, and access control.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{Request, header};
use oh_core::ProjectMemberId;
use oh_core::deauth::{EventState, Step, WorkerSettings};
use oh_core::ledger::{Verdict, Verifier, notes_in};
use oh_sandbox::Sandbox;
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::*;

type Result<T = ()> = std::result::Result<T, BoxError>;

#[tokio::test]
async fn failing_erasure_becomes_dead_letter_and_succeeds_when_requeued() -> Result {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let startup = Startup::new(listener.local_addr()?, 0).await?;
    let sandbox = sandbox(&startup)?;
    let staff = Staff(startup.staff.clone().into());
    let (openhumans, diary) = open(&startup).await?;
    let run_worker = async || {
        let settings = WorkerSettings {
            max_attempts: 3,
            min_backoff: Duration::from_millis(5),
            max_backoff: Duration::from_millis(10),
            ..WorkerSettings::default()
        };
        openhumans.worker(settings).run_until_idle().await;
    };
    let routes = app(&openhumans, diary.clone(), staff, true);
    let server = tokio::spawn(axum::serve(listener, routes.clone()).into_future());

    let leaving: ProjectMemberId = "01026778".parse()?;
    let remaining: ProjectMemberId = "00169953".parse()?;
    for member in [&leaving, &remaining] {
        sandbox.join(member.as_str());
        diary.write(member, "Dear diary").await?;
    }
    diary.set_failing(true);
    let webhooks = sandbox.leave("01026778", true).await;
    assert!(webhooks[0].accepted(), "{webhooks:?}");
    let ledger = openhumans.ledger();
    while openhumans.inbox().stats().await?.dead_letters == 0 {
        run_worker().await;
    }
    assert_eq!(diary.read(&leaving).await?.len(), 1);

    diary.set_failing(false);
    let bob = log_in(&routes, sandbox, "00169953").await?;
    let dashboard = send(&routes, Request::get("/openhumans/staff"), &bob).await?;
    assert!(dashboard.contains("Needs attention"), "{dashboard}");
    let dead_letter = ledger.events(EventState::DeadLetter).await?.remove(0);
    let event = format!("/openhumans/staff/events/{}", dead_letter.id);
    let shown = send(&routes, Request::get(&event), &bob).await?;
    assert!(shown.contains("/requeue"), "{shown}");
    send(&routes, Request::post(format!("{event}/requeue")), &bob).await?;
    run_worker().await;

    assert!(diary.read(&leaving).await?.is_empty());
    assert_eq!(diary.read(&remaining).await?.len(), 1);
    let steps: Vec<_> = ledger.of_member(&leaving).await?;
    let steps: Vec<_> = steps.iter().map(|line| line.step).collect();
    assert_eq!(steps.first(), Some(&Step::Received));
    assert_eq!(steps.last(), Some(&Step::Done));
    let failed = steps.iter().filter(|step| **step == Step::Failed).count();
    assert_eq!(failed, 2, "the third failure makes it a dead letter");
    assert!(steps.contains(&Step::Requeued));
    let proof = send(
        &routes,
        Request::get("/openhumans/staff/ledger.jsonl"),
        &bob,
    )
    .await?;
    assert_eq!(proof.lines().count(), steps.len());
    assert!(!proof.contains("01026778"), "{proof}");

    // With a signed checkpoint, anyone with the verifying key can verify the export.
    let checkpointer = openhumans
        .checkpointer()
        .ok_or("the signing key is missing")?;
    let checkpoint = checkpointer
        .sign_checkpoint()
        .await?
        .checkpoint
        .ok_or("no checkpoint was signed")?;
    let dashboard = send(&routes, Request::get("/openhumans/staff"), &bob).await?;
    assert!(dashboard.contains("lines, signed"), "{dashboard}");
    let shown = send(&routes, Request::get("/openhumans/staff/checkpoint"), &bob).await?;
    assert_eq!(shown, checkpoint.note());
    let export = Request::get("/openhumans/staff/ledger.jsonl");
    let export = send(&routes, export, &bob).await?;
    let as_of = openhumans.clock().now().as_micros();
    let keys = startup.settings.ledger_signing_keys().iter();
    let mut verifier = Verifier::new(keys.map(|key| key.verifying_key().clone()).collect(), as_of);
    let archive =
        std::fs::read_to_string(Path::new(&startup.database).with_extension("checkpoints"))?;
    for note in notes_in(&archive) {
        verifier.trust_checkpoint(&note)?;
    }
    let verified = verifier.read(export.as_bytes())?;
    assert_eq!(
        (verified.signed_lines, verified.trusted_checkpoints),
        (steps.len() as u64, 1)
    );
    let in_time = verified.count(|group| group.verdict == Verdict::InTime);
    assert_eq!(in_time, 1);

    // Other members cannot open the dashboard.
    let alice = log_in(&routes, sandbox, "01026778").await?;
    let result = send(&routes, Request::get("/openhumans/staff"), &alice).await;
    assert!(result.unwrap_err().to_string().starts_with("403"));

    server.abort();
    Ok(())
}

fn sandbox(startup: &Startup) -> Result<&Sandbox> {
    let sandbox = startup.sandbox.as_ref();
    sandbox.ok_or_else(|| "unset OPENHUMANS_CLIENT_ID to run this test".into())
}

/// Logs a member in and returns the session cookie.
async fn log_in(routes: &Router, sandbox: &Sandbox, member: &str) -> Result<String> {
    let redirect = routes
        .clone()
        .oneshot(Request::get("/openhumans/login").body(Body::empty())?)
        .await?;
    let authorize_url = redirect.headers()[header::LOCATION].to_str()?;
    let callback_url = sandbox.authorize(member, authorize_url).await?;
    let path = format!(
        "{}?{}",
        callback_url.path(),
        callback_url.query().unwrap_or_default()
    );
    let callback = Request::get(path).header(header::COOKIE, cookies(&redirect));
    let response = routes
        .clone()
        .oneshot(callback.body(Body::empty())?)
        .await?;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    Ok(cookies(&response))
}

/// Returns the cookies that a response sets, as a `Cookie` header.
fn cookies(response: &Response) -> String {
    let set = response.headers().get_all(header::SET_COOKIE).iter();
    let pairs = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

/// Sends a request with a cookie and returns the body of a successful response.
async fn send(routes: &Router, request: Builder, cookie: &str) -> Result<String> {
    let request = request.header(header::COOKIE, cookie);
    let request = request
        .header(header::ACCEPT, "text/html")
        .body(Body::empty())?;
    let response = routes.clone().oneshot(request).await?;
    let status = response.status();
    let body = to_bytes(response.into_body(), 1_000_000).await?;
    let text = String::from_utf8(body.to_vec())?;
    if status.is_success() || status.is_redirection() {
        Ok(text)
    } else {
        Err(format!("{status}: {text}").into())
    }
}

#[tokio::test]
async fn staff_actions_are_rejected_for_members_strangers_and_other_sites() -> Result {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let startup = Startup::new(listener.local_addr()?, 0).await?;
    let sandbox = sandbox(&startup)?;
    let staff = Staff(startup.staff.clone().into());
    let (openhumans, diary) = open(&startup).await?;
    let routes = app(&openhumans, diary.clone(), staff.clone(), true);
    let (bob, alice) = (
        log_in(&routes, sandbox, "00169953").await?,
        log_in(&routes, sandbox, "01026778").await?,
    );
    let post = async |path: &str, form: &str, cookie: &str, site: &str| -> Result<_> {
        let request = Request::post(path)
            .header(header::COOKIE, cookie)
            .header("sec-fetch-site", site)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()))?;
        Ok(routes.clone().oneshot(request).await?.status().as_u16())
    };

    let same_origin = "same-origin";
    assert_eq!(
        post("/failing", "failing=true", "", same_origin).await?,
        401
    );
    assert_eq!(
        post("/failing", "failing=true", &alice, same_origin).await?,
        403
    );
    for site in ["cross-site", "same-site"] {
        assert_eq!(post("/failing", "failing=true", &bob, site).await?, 403);
        assert_eq!(post("/diary", "entry=forged", &alice, site).await?, 403);
    }
    assert!(!diary.is_failing());
    assert!(diary.read(&"01026778".parse()?).await?.is_empty());
    for path in [
        "/openhumans/staff",
        "/openhumans/staff/ledger.jsonl",
        "/openhumans/staff/events",
    ] {
        for cookie in ["", &alice] {
            let result = send(&routes, Request::get(path), cookie).await;
            assert!(result.is_err() || !result?.contains("ledger"), "{path}");
        }
    }
    assert_eq!(
        post("/failing", "failing=true", &bob, same_origin).await?,
        303
    );
    assert!(diary.is_failing());

    // Without a sandbox, erasures cannot be made to fail.
    let production = app(&openhumans, diary.clone(), staff, false);
    let request = Request::post("/failing").header(header::COOKIE, &bob);
    let response = production
        .clone()
        .oneshot(request.body(Body::empty())?)
        .await?;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);

    // The application's pages forbid caching, framing and scripts.
    let home = Request::get("/")
        .header(header::COOKIE, &bob)
        .body(Body::empty())?;
    let home = routes.clone().oneshot(home).await?;
    assert_eq!(home.headers()[header::CACHE_CONTROL], "no-store");
    let policy = home.headers()[header::CONTENT_SECURITY_POLICY].to_str()?;
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"));
    Ok(())
}
