//! The erasure dashboard in both frameworks: access, contents, actions.

use std::sync::LazyLock;
use std::time::Duration;

use futures_util::TryStreamExt;
use oh_core::BackgroundSettings;
use oh_core::deauth::{
    DeauthEvent, Departure, Discovery, ERASURE_DEADLINE, ErasureRequest, EventId, EventState,
    WorkerSettings,
};
use oh_core::ledger::{SigningKey, Verifier};
use oh_pages::Pages;
use oh_tests::visitor::Visitor;
use oh_tests::wire::{RawResponse, Request};
use serde_json::{Value, json};

use crate::apps::{App, Plan, both};
use crate::pages::plan;

async fn staff(app: &mut App, path: &str) -> RawResponse {
    let request = Request::get(&format!("/openhumans/staff{path}"))
        .header("x-staff", "yes")
        .header("accept", "text/html");
    app.send(path, &request).await
}

async fn staff_json(app: &mut App, path: &str) -> Value {
    let request = Request::get(&format!("/openhumans/staff{path}"))
        .header("x-staff", "yes")
        .header("accept", "application/json");
    let response = app.send(path, &request).await;
    assert_eq!(response.status, 200, "{path}: {response:?}");
    serde_json::from_slice(&response.body).expect("JSON")
}

async fn leaves(app: &App, member: &str) {
    let left_at = app.clock.now();
    let accepted = oh_tests::webhook::deauthorize(&app.openhumans, member, left_at);
    let _ = accepted.await.expect("the inbox is in memory");
    app.clock.advance(Duration::from_secs(1));
}

/// A handler that fails for members whose id ends with 1.
fn with_handler() -> Plan {
    Plan {
        build: |builder| {
            builder.deauth_handler(|departure: Departure| async move {
                match departure.event.member.as_str().ends_with('1') {
                    true => Err("the <bucket> is locked".into()),
                    false => Ok(()),
                }
            })
        },
        ..plan()
    }
}

async fn work(app: &App) {
    let settings = WorkerSettings {
        max_attempts: 1,
        ..WorkerSettings::default()
    };
    let worker = app.openhumans.worker(settings.clone());
    worker.run_until_idle().await;
    let background = app.openhumans.start_background_with(BackgroundSettings {
        worker: settings,
        ..BackgroundSettings::default()
    });
    let heartbeat = async || {
        let heartbeats = app.openhumans.heartbeats().await;
        heartbeats.expect("the inbox is in memory").worker
    };
    while heartbeat().await.is_none() {
        tokio::task::yield_now().await;
    }
    background.stop().await;
}

/// The routes of the dashboard, with their methods.
const ROUTES: [(&str, &str); 10] = [
    ("GET", "/staff"),
    ("GET", "/staff/events"),
    ("GET", "/staff/events/{id}"),
    ("POST", "/staff/events/{id}/requeue"),
    ("POST", "/staff/events/{id}/release"),
    ("GET", "/staff/release-all"),
    ("POST", "/staff/release-all"),
    ("GET", "/staff/member"),
    ("GET", "/staff/ledger.jsonl"),
    ("GET", "/staff/checkpoint"),
];

#[tokio::test]
async fn dashboard_does_not_exist_without_a_staff_guard() {
    let plan = Plan {
        pages: Some(|| Pages::new("Sleep study")),
        ..Plan::default()
    };
    both(plan, async |app| {
        for (method, path) in ROUTES {
            let path = format!("/openhumans{}", path.replace("{id}", "x"));
            let request = Request::new(method, &path).header("x-staff", "yes");
            assert_eq!(app.send(&path, &request).await.status, 404, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn dashboard_rejects_requests_that_the_staff_guard_does_not_admit() {
    both(with_handler(), async |app| {
        leaves(app, "00000001").await;
        work(app).await;
        let dead = app
            .openhumans
            .ledger()
            .events(EventState::DeadLetter)
            .await
            .unwrap();
        let id = dead[0].id.as_str();
        let mut alice: Visitor = app.visitor();
        app.log_in(&mut alice, "01026778").await;
        for (method, path) in ROUTES {
            let path = format!("/openhumans{}", path.replace("{id}", id));
            let from = oh_tests::visitor::Initiator::SameOrigin;
            let response = alice.navigate(method, &path, from).await;
            assert_eq!(response.status, 403, "{path}");
            assert!(!response.text().contains(&id[..8]), "{path}");
            let plain = Request::new(method, &path).header("accept", "application/json");
            assert_eq!(app.send(&path, &plain).await.status, 403);
        }
        let dead = app
            .openhumans
            .ledger()
            .events(EventState::DeadLetter)
            .await
            .unwrap();
        assert_eq!(dead.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn dashboard_explains_and_requeues_a_dead_letter() {
    both(with_handler(), async |app| {
        for member in ["00000001", "00000002", "00000003"] {
            leaves(app, member).await;
        }
        work(app).await;
        let dashboard = staff_json(app, "").await;
        assert_eq!(dashboard["counts"]["done"], 2);
        assert_eq!(dashboard["counts"]["dead_letters"], 1);
        assert_eq!(dashboard["durations"]["count"], 2);
        assert_eq!(dashboard["plot"][11]["received"], 3);
        assert_eq!(dashboard["background"]["worker_alive"], true);
        let page = staff(app, "").await.text();
        assert!(
            page.contains("Needs attention") && page.contains("<svg"),
            "{page}"
        );
        assert!(!page.contains("style="), "no inline style");

        let list = staff_json(app, "/events?list=dead_letter").await;
        let id = list["events"][0]["id"].as_str().unwrap().to_owned();
        let page = staff(app, "/events?list=dead_letter").await.text();
        assert!(page.contains("Read the last error"), "{page}");
        let page = staff(app, &format!("/events/{id}")).await.text();
        assert!(page.contains("the &lt;bucket&gt; is locked"), "{page}");
        assert!(page.contains(">Requeue</button>"), "{page}");

        let requeue = Request::post(&format!("/openhumans/staff/events/{id}/requeue"))
            .header("x-staff", "yes")
            .header("sec-fetch-site", "same-origin")
            .header("accept", "text/html");
        let response = app.send("requeue", &requeue).await;
        let back = format!("/openhumans/staff/events/{id}?done=requeued");
        assert_eq!((response.status, response.location()), (303, back.as_str()));
        let event = staff_json(app, &format!("/events/{id}")).await;
        assert_eq!(event["event"]["state"], "pending");
        let again = app.send("requeue again", &requeue).await;
        assert_eq!(again.status, 409);
    })
    .await;
}

#[tokio::test]
async fn member_history_is_found_by_id_and_by_pseudonym() {
    both(with_handler(), async |app| {
        leaves(app, "00000002").await;
        leaves(app, "00000003").await;
        work(app).await;
        let by_id = staff_json(app, "/member?who=00000002").await;
        let pseudonym = by_id["pseudonym"].as_str().unwrap().to_owned();
        let steps: Vec<_> = by_id["lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| &l["step"])
            .collect();
        assert_eq!(steps.first(), Some(&&json!("received")));
        assert_eq!(steps.last(), Some(&&json!("done")));
        let by_pseudonym = staff_json(app, &format!("/member?who={pseudonym}")).await;
        assert_eq!(by_id, by_pseudonym);
        let page = staff(app, "/member?who=00000002").await.text();
        assert!(
            page.contains(&pseudonym) && !page.contains("00000002"),
            "{page}"
        );
        for nobody in ["", "<script>alert(1)</script>", "77777777"] {
            let who: String = url::form_urlencoded::byte_serialize(nobody.as_bytes()).collect();
            let response = staff(app, &format!("/member?who={who}")).await;
            assert_eq!(response.status, 200);
            assert!(!response.text().contains("<script>alert"));
        }
        let response = staff(app, "/events/no-such-event").await;
        assert_eq!(response.status, 404);
    })
    .await;
}

#[tokio::test]
async fn event_lists_are_paged_newest_first_without_duplicates() {
    both(plan(), async |app| {
        for number in 0..120 {
            leaves(app, &format!("{number:08}")).await;
        }
        let mut seen: Vec<(String, String)> = Vec::new();
        let mut path = "/events?list=pending".to_owned();
        let mut pages = 0;
        loop {
            let list = staff_json(app, &path).await;
            for event in list["events"].as_array().unwrap() {
                let text = |name: &str| event[name].as_str().unwrap().to_owned();
                seen.push((text("received_at"), text("id")));
            }
            pages += 1;
            match list["next"].as_str() {
                Some(next) => path = format!("/events?list=pending&before={next}"),
                None => break,
            }
        }
        assert_eq!((pages, seen.len()), (3, 120));
        assert!(seen.windows(2).all(|two| two[0] > two[1]), "newest first");
        assert!(
            staff_json(app, "/events?list=overdue").await["events"]
                .as_array()
                .unwrap()
                .is_empty()
        );
        app.clock.advance(ERASURE_DEADLINE);
        let overdue = staff_json(app, "/events?list=overdue").await;
        assert_eq!(overdue["events"].as_array().unwrap().len(), 50);
        assert_eq!(overdue["events"][0]["overdue"], true);
        let page = staff(app, "/events?list=overdue").await.text();
        assert!(page.contains("GDPR Art. 12(3)"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn export_streams_the_complete_ledger() {
    both(plan(), async |app| {
        for number in 0..400 {
            leaves(app, &format!("{number:08}")).await;
        }
        let response = staff(app, "/ledger.jsonl").await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-length"), None, "it is a stream");
        let lines = app.openhumans.ledger().export_lines();
        let lines: Vec<_> = lines.try_collect().await.unwrap();
        assert_eq!(lines.len(), 800);
        assert_eq!(response.body, [lines.join(&b'\n'), b"\n".to_vec()].concat());
        assert!(!response.text().contains("\"00000007\""));
    })
    .await;
}

#[tokio::test]
async fn dashboard_explains_why_nothing_is_signed_yet() {
    // Both applications sign with the same key, so that their responses are equal.
    static KEY: LazyLock<String> = LazyLock::new(|| {
        let key = SigningKey::generate("app.example/erasure").unwrap();
        key.to_secret_text().to_string()
    });
    let with_key = Plan {
        settings: |settings| settings.ledger_signing_key(KEY.as_str()),
        ..plan()
    };
    for (plan, why) in [
        (plan(), "Signing requires a key"),
        (with_key, "within a minute"),
    ] {
        both(plan, async |app| {
            let dashboard = staff(app, "").await.text();
            assert!(dashboard.contains(why), "{dashboard}");
        })
        .await;
    }
}

#[tokio::test]
async fn dashboard_shows_the_latest_checkpoint_for_download() {
    // Both applications sign with the same key, so that their responses are equal.
    static KEY: LazyLock<String> = LazyLock::new(|| {
        let key = SigningKey::generate("app.example/erasure").unwrap();
        key.to_secret_text().to_string()
    });
    let with_key = Plan {
        settings: |settings| settings.ledger_signing_key(KEY.as_str()),
        ..plan()
    };
    both(with_key, async |app| {
        let key = app.openhumans.settings().ledger_signing_keys()[0].clone();
        leaves(app, "01026778").await;
        let unsigned = staff_json(app, "").await;
        assert_eq!(unsigned["checkpoint"]["lines"], Value::Null);
        assert!(staff(app, "").await.text().contains("not signed"));
        assert_eq!(staff(app, "/checkpoint").await.status, 404);

        let checkpointer = app.openhumans.checkpointer().expect("there is a key");
        let pass = checkpointer.sign_checkpoint().await;
        let checkpoint = pass.unwrap().checkpoint.unwrap();
        let dashboard = staff_json(app, "").await;
        assert_eq!(dashboard["checkpoint"]["lines"], 2);
        assert_eq!(dashboard["checkpoint"]["note"], checkpoint.note());
        assert!(staff(app, "").await.text().contains("covers 2 lines"));
        let taken = staff(app, "/checkpoint").await;
        assert_eq!(
            (taken.status, taken.text()),
            (200, checkpoint.note().to_owned())
        );
        let named = taken.header("content-disposition").unwrap_or_default();
        assert!(named.contains("checkpoint.txt"), "{named}");

        let keys = vec![key.verifying_key().clone()];
        let as_of = app.clock.now().as_micros();
        let export = staff(app, "/ledger.jsonl").await.body;
        let verified = Verifier::new(keys, as_of).read(&*export).unwrap();
        assert_eq!(verified.signed_lines, 2);
    })
    .await;
}

/// Quarantines the event of a departure, as the circuit breaker does.
async fn quarantine(app: &App, member: &str) -> String {
    let member: oh_core::ProjectMemberId = member.parse().expect("a project member id");
    let now = app.clock.now();
    let event = DeauthEvent {
        id: EventId::new(format!("{:0>32}", member.as_str())),
        pseudonym: app.openhumans.ledger().pseudonym(&member),
        member,
        erasure: ErasureRequest::Unknown,
        discovery: Discovery::Reconciliation,
        left_at: now,
        received_at: now,
    };
    let held = app
        .openhumans
        .inbox()
        .quarantine(&event, "too many at once")
        .await;
    let _ = held.expect("the inbox is in memory");
    app.clock.advance(Duration::from_secs(1));
    event.id.to_string()
}

#[tokio::test]
async fn quarantined_events_are_released_singly_or_all_after_confirmation() {
    both(with_handler(), async |app| {
        let first = quarantine(app, "00000002").await;
        for member in ["00000003", "00000004"] {
            quarantine(app, member).await;
        }
        let dashboard = staff_json(app, "").await;
        assert_eq!(dashboard["counts"]["quarantined"], 3);
        let page = staff(app, "").await.text();
        assert!(page.contains("With a restored backup"), "{page}");
        let list = staff_json(app, "/events?list=quarantined").await;
        assert_eq!(list["events"].as_array().unwrap().len(), 3);
        let page = staff(app, &format!("/events/{first}")).await.text();
        assert!(page.contains("too many at once"), "{page}");

        let post = |path: String| {
            Request::post(&format!("/openhumans/staff{path}"))
                .header("x-staff", "yes")
                .header("sec-fetch-site", "same-origin")
                .header("accept", "text/html")
        };
        let release = post(format!("/events/{first}/release"));
        let response = app.send("release", &release).await;
        assert_eq!(response.status, 303, "{response:?}");
        let again = app.send("release again", &release).await;
        assert_eq!(again.status, 409);
        let asked = staff_json(app, "/release-all").await;
        assert_eq!(asked["quarantined"], 2);
        let response = app.send("all", &post("/release-all".into())).await;
        assert_eq!(response.location(), "/openhumans/staff?done=released-all");
        work(app).await;
        let dashboard = staff_json(app, "").await;
        assert_eq!(
            (
                &dashboard["counts"]["quarantined"],
                &dashboard["counts"]["done"]
            ),
            (&json!(0), &json!(3))
        );
    })
    .await;
}
