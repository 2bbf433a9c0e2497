//! What the example shows, shown.

use std::future::pending;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{Request, header};
use oh_core::ProjectMemberId;
use oh_core::deauth::{EventState, Step};
use oh_core::ledger::{SigningKey, Terms, Verdict, Verifier, notes_in};
use oh_sandbox::Sandbox;
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::*;

type Result<T = ()> = std::result::Result<T, BoxError>;

#[tokio::test]
async fn what_keeps_failing_is_a_dead_letter_is_requeued_and_the_proof_names_nobody() -> Result {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let key = SigningKey::generate("diary.example/erasure")?;
    let secret = key.to_secret_text().to_string();
    let (settings, sandbox) = start::settings(address, 0, secret).await?;
    let sandbox = sandbox.ok_or("this test needs the sandbox: unset OPENHUMANS_CLIENT_ID")?;
    let folder = tempfile::tempdir()?;
    let staff = Staff(["00169953".to_owned()].into());
    let (openhumans, diary) = open(settings, &folder.path().join("diary.sqlite"), &staff).await?;
    let worker = openhumans
        .worker()
        .max_attempts(3)
        .backoff(Duration::from_millis(5), Duration::from_millis(10))
        .spawn();
    let routes = app(&openhumans, diary.clone(), staff, true);
    let server = tokio::spawn(oh_axum::serve(listener, routes.clone()).until(pending()));

    let leaves: ProjectMemberId = "01026778".parse()?;
    let stays: ProjectMemberId = "00169953".parse()?;
    for member in [&leaves, &stays] {
        sandbox.join(member.as_str());
        diary.write(member, "Dear diary").await?;
    }
    diary.set_failing(true);
    let told = sandbox.leave("01026778", true).await;
    assert!(told[0].accepted(), "{told:?}");
    let ledger = openhumans.ledger();
    while ledger.stats().await?.dead_letters == 0 {
        worker.drain().await;
    }
    assert_eq!(diary.read(&leaves).await?.len(), 1);

    diary.set_failing(false);
    let bob = log_in(&routes, &sandbox, "00169953").await?;
    let desk = ask(&routes, Request::get("/openhumans/staff"), &bob).await?;
    assert!(desk.contains("Needs attention"), "{desk}");
    let dead_letter = ledger.events(EventState::DeadLetter).await?.remove(0);
    let event = format!("/openhumans/staff/events/{}", dead_letter.id);
    let shown = ask(&routes, Request::get(&event), &bob).await?;
    assert!(shown.contains("Put back into the queue"), "{shown}");
    ask(&routes, Request::post(format!("{event}/requeue")), &bob).await?;
    worker.drain().await;

    assert!(diary.read(&leaves).await?.is_empty());
    assert_eq!(diary.read(&stays).await?.len(), 1);
    let steps: Vec<_> = ledger.of_member(&leaves).await?;
    let steps: Vec<_> = steps.iter().map(|line| line.step).collect();
    assert_eq!(steps.first(), Some(&Step::Received));
    assert_eq!(steps.last(), Some(&Step::Done));
    let failed = steps.iter().filter(|step| **step == Step::Failed).count();
    assert_eq!(failed, 2, "and the third was the last straw");
    assert!(steps.contains(&Step::Requeued));
    let proof = ask(
        &routes,
        Request::get("/openhumans/staff/ledger.jsonl"),
        &bob,
    )
    .await?;
    assert_eq!(proof.lines().count(), steps.len());
    assert!(!proof.contains("01026778"), "{proof}");

    // Sealed, it can be checked by anyone with the key; the checkpoint was given away, too.
    let checkpointer = openhumans.checkpointer().ok_or("there is a key")?;
    let checkpoint = checkpointer
        .sign_checkpoint()
        .await?
        .checkpoint
        .ok_or("it is sealed")?;
    let desk = ask(&routes, Request::get("/openhumans/staff"), &bob).await?;
    assert!(desk.contains("lines sealed"), "{desk}");
    let shown = ask(&routes, Request::get("/openhumans/staff/checkpoint"), &bob).await?;
    assert_eq!(shown, checkpoint.note());
    let export = Request::get("/openhumans/staff/ledger.jsonl");
    let export = ask(&routes, export, &bob).await?;
    let terms = Terms::at(openhumans.clock().now().as_micros());
    let mut verifier = Verifier::new(vec![key.verifying_key().clone()], terms);
    let archive = std::fs::read_to_string(folder.path().join("diary.checkpoints"))?;
    for note in notes_in(&archive) {
        verifier.hold_against(&note)?;
    }
    let verified = verifier.read(export.as_bytes())?;
    assert_eq!((verified.sealed, verified.held), (steps.len() as u64, 1));
    assert_eq!(verified.summary.judged(Verdict::InTime), 1);

    // Whoever is not of the staff sees none of it.
    let alice = log_in(&routes, &sandbox, "01026778").await?;
    let refused = ask(&routes, Request::get("/openhumans/staff"), &alice).await;
    assert!(refused.unwrap_err().to_string().starts_with("403"));

    worker.stop().await;
    server.abort();
    Ok(())
}

/// Logs a member in, and gives the session's cookie.
async fn log_in(routes: &Router, sandbox: &Sandbox, member: &str) -> Result<String> {
    let begun = routes
        .clone()
        .oneshot(Request::get("/openhumans/login").body(Body::empty())?)
        .await?;
    let to = begun.headers()[header::LOCATION].to_str()?;
    let back = sandbox.authorize(member, to).await?;
    let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
    let callback = Request::get(path).header(header::COOKIE, cookies(&begun));
    let done = routes
        .clone()
        .oneshot(callback.body(Body::empty())?)
        .await?;
    assert_eq!(done.status(), StatusCode::SEE_OTHER);
    Ok(cookies(&done))
}

/// The cookies an answer sets, as a browser sends them.
fn cookies(response: &Response) -> String {
    let set = response.headers().get_all(header::SET_COOKIE).iter();
    let pairs = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

/// The body of an answer that is no failure, to someone with this cookie.
async fn ask(routes: &Router, request: Builder, cookie: &str) -> Result<String> {
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
async fn strangers_other_sites_and_members_change_nothing_that_is_the_staffs() -> Result {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let secret = SigningKey::generate("diary.example/erasure")?
        .to_secret_text()
        .to_string();
    let (settings, sandbox) = start::settings(listener.local_addr()?, 0, secret).await?;
    let sandbox = sandbox.ok_or("this test needs the sandbox: unset OPENHUMANS_CLIENT_ID")?;
    let folder = tempfile::tempdir()?;
    let staff = Staff(["00169953".to_owned()].into());
    let (openhumans, diary) = open(settings, &folder.path().join("diary.sqlite"), &staff).await?;
    let routes = app(&openhumans, diary.clone(), staff.clone(), true);
    let (bob, alice) = (
        log_in(&routes, &sandbox, "00169953").await?,
        log_in(&routes, &sandbox, "01026778").await?,
    );
    let send = async |path: &str, form: &str, cookie: &str, site: &str| -> Result<_> {
        let request = Request::post(path)
            .header(header::COOKIE, cookie)
            .header("sec-fetch-site", site)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()))?;
        Ok(routes.clone().oneshot(request).await?.status().as_u16())
    };

    // Nobody, a member, and another site in the browser of one of the staff.
    let here = "same-origin";
    assert_eq!(send("/failing", "failing=true", "", here).await?, 401);
    assert_eq!(send("/failing", "failing=true", &alice, here).await?, 403);
    for site in ["cross-site", "same-site"] {
        assert_eq!(send("/failing", "failing=true", &bob, site).await?, 403);
        assert_eq!(send("/diary", "entry=forged", &alice, site).await?, 403);
    }
    assert!(!diary.is_failing());
    assert!(diary.read(&"01026778".parse()?).await?.is_empty());
    for path in [
        "/openhumans/staff",
        "/openhumans/staff/ledger.jsonl",
        "/openhumans/staff/events",
    ] {
        for cookie in ["", &alice] {
            let refused = ask(&routes, Request::get(path), cookie).await;
            assert!(refused.is_err() || !refused?.contains("ledger"), "{path}");
        }
    }
    assert_eq!(send("/failing", "failing=true", &bob, here).await?, 303);
    assert!(diary.is_failing());

    // Where members are real, nobody can make their erasure fail, and nobody is of the staff unless
    // the app is told.
    let real = app(&openhumans, diary.clone(), staff, false);
    let request = Request::post("/failing").header(header::COOKIE, &bob);
    let answer = real.clone().oneshot(request.body(Body::empty())?).await?;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);

    // The app's pages are kept by no cache, framed by nobody, and run no script.
    let home = Request::get("/")
        .header(header::COOKIE, &bob)
        .body(Body::empty())?;
    let home = routes.clone().oneshot(home).await?;
    assert_eq!(home.headers()[header::CACHE_CONTROL], "no-store");
    let policy = home.headers()[header::CONTENT_SECURITY_POLICY].to_str()?;
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"));
    Ok(())
}
