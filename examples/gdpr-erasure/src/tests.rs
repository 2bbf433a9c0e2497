//! What the example shows, shown.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use oh_core::ProjectMemberId;
use oh_core::deauth::{EventState, Step};
use tower::ServiceExt;

use super::*;

type Result<T = ()> = std::result::Result<T, BoxError>;

#[tokio::test]
async fn what_keeps_failing_is_a_dead_letter_is_requeued_and_the_proof_names_nobody() -> Result {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let (settings, sandbox) = start::settings(address, 0).await?;
    let sandbox = sandbox.ok_or("this test needs the sandbox: unset OPENHUMANS_CLIENT_ID")?;
    let folder = tempfile::tempdir()?;
    let (openhumans, diary) = open(settings, &folder.path().join("diary.sqlite")).await?;
    let worker = openhumans
        .worker()
        .max_attempts(3)
        .backoff(Duration::from_millis(5), Duration::from_millis(10))
        .spawn();
    let routes = app(&openhumans, diary.clone());
    let server = tokio::spawn(serve(listener, routes.clone()).into_future());

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
    let shown = ask(&routes, Request::get("/ledger").body(Body::empty())?).await?;
    assert!(shown.contains("Try again"), "{shown}");
    let dead_letters = ledger.events(EventState::DeadLetter).await?.remove(0);
    let button = Request::post("/ledger/requeue")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(format!("event={}", dead_letters.id)))?;
    ask(&routes, button).await?;
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
    let proof = ask(&routes, Request::get("/ledger.jsonl").body(Body::empty())?).await?;
    assert_eq!(proof.lines().count(), steps.len());
    assert!(!proof.contains("01026778"), "{proof}");

    worker.stop().await;
    server.abort();
    Ok(())
}

/// The body of an answer that is no failure.
async fn ask(routes: &Router, request: Request<Body>) -> Result<String> {
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
