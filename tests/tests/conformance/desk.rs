//! The erasure desk, alike in both frameworks: who gets in, what is seen, what can be done.

use std::time::Duration;

use oh_core::deauth::{
    Checkpointer, DEADLINE, DeauthEvent, Departure, Discovery, ErasureRequest, EventState,
};
use oh_core::ledger::{SigningKey, Verifier};
use oh_core::pages::{PageRoute, Pages};
use oh_tests::visitor::Visitor;
use oh_tests::wire::{Answer, Request};
use serde_json::{Value, json};

use crate::apps::{App, Plan, both};
use crate::pages::plan;

async fn staff(app: &mut App, path: &str) -> Answer {
    let request = Request::get(&format!("/openhumans/staff{path}"))
        .header("x-staff", "yes")
        .header("accept", "text/html");
    app.send(path, &request).await
}

async fn staff_json(app: &mut App, path: &str) -> Value {
    let request = Request::get(&format!("/openhumans/staff{path}"))
        .header("x-staff", "yes")
        .header("accept", "application/json");
    let answer = app.send(path, &request).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    serde_json::from_slice(&answer.body).expect("JSON")
}

async fn leaves(app: &App, member: &str) {
    let left_at = app.clock.now();
    let deauthorizer = app.openhumans.deauthorizer();
    let member = member.parse().expect("a project member id");
    let told = deauthorizer.report_webhook(&member, ErasureRequest::Requested, left_at);
    let _ = told.await.expect("the inbox is in memory");
    app.clock.advance(Duration::from_secs(1));
}

/// A handler that fails for members whose id ends with 1.
fn with_handler() -> Plan {
    Plan {
        build: |builder| {
            (plan().build)(builder).deauth_handler(|departure: Departure| async move {
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
    let worker = app.openhumans.worker().max_attempts(1).spawn();
    worker.drain().await;
    let heard = async || {
        let signs = app.openhumans.deauthorizer().heartbeats().await;
        signs.expect("the inbox is in memory").worker.is_some()
    };
    while !heard().await {
        tokio::task::yield_now().await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn without_a_guard_there_is_no_desk() {
    let plan = Plan {
        build: |builder| builder.pages(Pages::new("Sleep study")),
        ..Plan::default()
    };
    both(plan, async |app| {
        for route in PageRoute::ALL.into_iter().filter(|route| route.is_staff()) {
            let path = format!("/openhumans{}", route.path().replace("{id}", "x"));
            for method in ["GET", "POST"] {
                let request = Request::new(method, &path).header("x-staff", "yes");
                let answer = app.send(&path, &request).await;
                assert_eq!(
                    (answer.status, answer.text().as_str()),
                    (404, "nothing here"),
                    "{path} is left to the app"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_the_guard_turns_away_sees_and_does_nothing() {
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
        for route in PageRoute::ALL.into_iter().filter(|route| route.is_staff()) {
            let path = format!("/openhumans{}", route.path().replace("{id}", id));
            let is_post = matches!(route, PageRoute::Requeue | PageRoute::Release);
            let method = if is_post { "POST" } else { "GET" };
            let from = oh_tests::visitor::From::SameOrigin;
            let answer = alice.navigate(method, &path, from).await;
            assert_eq!(answer.status, 403, "{path}");
            assert!(!answer.text().contains(&id[..8]), "{path}");
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
async fn what_failed_is_explained_and_put_back() {
    both(with_handler(), async |app| {
        for member in ["00000001", "00000002", "00000003"] {
            leaves(app, member).await;
        }
        work(app).await;
        let desk = staff_json(app, "").await;
        assert_eq!(desk["stats"]["done"], 2);
        assert_eq!(desk["stats"]["dead_letters"], 1);
        assert_eq!(desk["took"]["count"], 2);
        assert_eq!(desk["plot"][11]["received"], 3);
        assert_eq!(desk["background"]["worker_alive"], true);
        let page = staff(app, "").await.text();
        assert!(
            page.contains("Needs attention") && page.contains("<svg"),
            "{page}"
        );
        assert!(!page.contains("style="), "no inline style");

        let list = staff_json(app, "/events?state=dead_letter").await;
        let id = list["events"][0]["id"].as_str().unwrap().to_owned();
        let page = staff(app, "/events?state=dead_letter").await.text();
        assert!(
            page.contains("Read the last failure"),
            "what to do is said: {page}"
        );
        let page = staff(app, &format!("/events/{id}")).await.text();
        assert!(page.contains("the &lt;bucket&gt; is locked"), "{page}");
        assert!(page.contains("Put back into the queue"), "{page}");

        let requeue = Request::post(&format!("/openhumans/staff/events/{id}/requeue"))
            .header("x-staff", "yes")
            .header("sec-fetch-site", "same-origin")
            .header("accept", "text/html");
        let answer = app.send("requeue", &requeue).await;
        let back = format!("/openhumans/staff/events/{id}?done=requeued");
        assert_eq!((answer.status, answer.location()), (303, back.as_str()));
        let event = staff_json(app, &format!("/events/{id}")).await;
        assert_eq!(event["event"]["state"], "pending");
        let again = app.send("requeue again", &requeue).await;
        assert_eq!(again.status, 409);
    })
    .await;
}

#[tokio::test]
async fn a_members_history_is_found_by_id_and_by_pseudonym_and_names_nobody() {
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
            let answer = staff(app, &format!("/member?who={who}")).await;
            assert_eq!(answer.status, 200);
            assert!(!answer.text().contains("<script>alert"));
        }
        let answer = staff(app, "/events/no-such-event").await;
        assert_eq!(answer.status, 404);
    })
    .await;
}

#[tokio::test]
async fn lists_go_from_the_newest_to_the_oldest_and_hold_each_event_once() {
    both(plan(), async |app| {
        for number in 0..120 {
            leaves(app, &format!("{number:08}")).await;
        }
        let mut seen: Vec<(String, String)> = Vec::new();
        let mut path = "/events?state=pending".to_owned();
        let mut pages = 0;
        loop {
            let list = staff_json(app, &path).await;
            for event in list["events"].as_array().unwrap() {
                let text = |name: &str| event[name].as_str().unwrap().to_owned();
                seen.push((text("received_at"), text("id")));
            }
            pages += 1;
            match list["next"].as_str() {
                Some(next) => path = format!("/events?state=pending&before={next}"),
                None => break,
            }
        }
        assert_eq!((pages, seen.len()), (3, 120));
        assert!(seen.windows(2).all(|two| two[0] > two[1]), "newest first");
        assert!(
            staff_json(app, "/events?state=overdue").await["events"]
                .as_array()
                .unwrap()
                .is_empty()
        );
        app.clock.advance(DEADLINE);
        let overdue = staff_json(app, "/events?state=overdue").await;
        assert_eq!(overdue["events"].as_array().unwrap().len(), 50);
        assert_eq!(overdue["events"][0]["overdue"], true);
        let page = staff(app, "/events?state=overdue").await.text();
        assert!(page.contains("GDPR Art. 12(3)"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn the_export_is_the_whole_ledger_sent_as_it_is_read() {
    both(plan(), async |app| {
        for number in 0..400 {
            leaves(app, &format!("{number:08}")).await;
        }
        let answer = staff(app, "/ledger.jsonl").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-length"), None, "it is a stream");
        let mut whole = Vec::new();
        let count = app.openhumans.ledger().export(&mut whole).await.unwrap();
        assert_eq!(count, 800);
        assert_eq!(answer.body, whole);
        assert!(!answer.text().contains("\"00000007\""));
    })
    .await;
}

#[tokio::test]
async fn a_ledger_that_will_be_sealed_is_told_from_one_that_will_not() {
    let with_key = Plan {
        settings: |settings| {
            let key = SigningKey::generate("app.example/erasure").unwrap();
            settings.ledger_signing_key(key.to_secret_text().to_string())
        },
        ..plan()
    };
    for (plan, why) in [
        (plan(), "It takes a signing key"),
        (with_key, "within a minute"),
    ] {
        both(plan, async |app| {
            let desk = staff(app, "").await.text();
            assert!(desk.contains(why), "{desk}");
        })
        .await;
    }
}

#[tokio::test]
async fn the_last_checkpoint_is_shown_and_can_be_taken_along() {
    // One key for both, so that what is signed is the same.
    let key = SigningKey::generate("app.example/erasure").unwrap();
    both(plan(), async |app| {
        leaves(app, "01026778").await;
        let unsealed = staff_json(app, "").await;
        assert_eq!(unsealed["sealing"]["lines"], Value::Null);
        assert!(staff(app, "").await.text().contains("not sealed"));
        assert_eq!(staff(app, "/checkpoint").await.status, 404);

        let deauthorizer = app.openhumans.deauthorizer().clone();
        let sealed = Checkpointer::new(deauthorizer, key.clone())
            .sign_checkpoint()
            .await;
        let checkpoint = sealed.unwrap().checkpoint.unwrap();
        let desk = staff_json(app, "").await;
        assert_eq!(desk["sealing"]["lines"], 2);
        assert_eq!(desk["sealing"]["checkpoint"], checkpoint.note());
        assert!(staff(app, "").await.text().contains("2 lines sealed"));
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

/// Holds the event of a member leaving, as the brake does.
async fn is_held(app: &App, member: &str) -> String {
    let deauthorizer = app.openhumans.deauthorizer();
    let member = member.parse().expect("a project member id");
    let now = app.clock.now();
    let names = deauthorizer.names();
    let event = DeauthEvent {
        id: names.webhook_event_id(&member, now, ErasureRequest::Unknown),
        member: member.clone(),
        pseudonym: names.pseudonym(&member),
        erasure: ErasureRequest::Unknown,
        discovery: Discovery::Reconciliation,
        left_at: now,
        received_at: now,
    };
    let held = deauthorizer
        .inbox()
        .quarantine(&event, "too many at once")
        .await;
    let _ = held.expect("the inbox is in memory");
    app.clock.advance(Duration::from_secs(1));
    event.id.to_string()
}

#[tokio::test]
async fn what_is_held_is_explained_and_released_one_by_one_or_all_after_asking() {
    both(with_handler(), async |app| {
        let first = is_held(app, "00000002").await;
        for member in ["00000003", "00000004"] {
            is_held(app, member).await;
        }
        let desk = staff_json(app, "").await;
        assert_eq!(desk["stats"]["quarantined"], 3);
        let page = staff(app, "").await.text();
        assert!(page.contains("A restored backup"), "{page}");
        let list = staff_json(app, "/events?state=held").await;
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
        let answer = app.send("release", &release).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let again = app.send("release again", &release).await;
        assert_eq!(again.status, 409);
        let asked = staff_json(app, "/release-all").await;
        assert_eq!(asked["quarantined"], 2);
        let answer = app.send("all", &post("/release-all".into())).await;
        assert_eq!(answer.location(), "/openhumans/staff?done=released-all");
        work(app).await;
        let desk = staff_json(app, "").await;
        assert_eq!(
            (&desk["stats"]["quarantined"], &desk["stats"]["done"]),
            (&json!(0), &json!(3))
        );
    })
    .await;
}
