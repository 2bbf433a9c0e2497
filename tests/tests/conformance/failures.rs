//! Every failure of a login: its status, its page, and another attempt.

use std::time::Duration;

use oh_sandbox::{Endpoint, Fault};
use oh_tests::wire::RawResponse;

use crate::apps::{App, Plan, both};

fn assert_explained(response: &RawResponse, status: u16, words: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(
        response.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let text = response.text();
    assert!(text.contains(words), "{words}: {text}");
    assert!(
        text.contains("Try again") && text.contains("<form method=\"post\""),
        "{text}"
    );
}

/// Starts a login, runs `meanwhile` before the callback, and asserts that nobody is logged in.
async fn fails(
    app: &mut App,
    meanwhile: impl AsyncFnOnce(&mut App, &mut oh_tests::visitor::Visitor, String) -> String,
    status: u16,
    words: &str,
) {
    let mut alice = app.visitor();
    let callback = app
        .authorize(&mut alice, "/openhumans/login?next=/member", "01026778")
        .await;
    let callback = meanwhile(app, &mut alice, callback).await;
    let response = app.callback(&mut alice, &callback).await;
    assert_explained(&response, status, words);
    let response = alice.get("/").await;
    assert_eq!(app.note("not logged in", response).text(), "nobody");
}

#[tokio::test]
async fn login_fails_if_the_member_denies_access() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let response = alice.get("/openhumans/login?next=/member").await;
        let response = app.note("login", response);
        let back = app
            .sandbox
            .refuse(response.location())
            .await
            .expect("a redirect");
        let callback = app.local(back.as_str());
        let response = app.callback(&mut alice, &callback).await;
        assert_explained(&response, 403, "You did not authorize");
        assert!(
            response.text().contains("next=%2Fmember"),
            "the way back is kept"
        );
    })
    .await;
}

#[tokio::test]
async fn login_fails_for_an_authorization_error() {
    both(Plan::default(), async |app| {
        for error in ["server_error", "invalid_scope", "<script>"] {
            let swap = async |_: &mut App, _: &mut _, callback: String| {
                let state = callback
                    .split("state=")
                    .nth(1)
                    .unwrap()
                    .split('&')
                    .next()
                    .unwrap();
                let error: String =
                    url::form_urlencoded::byte_serialize(error.as_bytes()).collect();
                format!("/openhumans/complete?error={error}&state={state}")
            };
            fails(app, swap, 502, "Open Humans did not authorize").await;
        }
    })
    .await;
}

#[tokio::test]
async fn login_fails_for_a_missing_or_wrong_state() {
    both(Plan::default(), async |app| {
        fails(
            app,
            async |_, _, _| "/openhumans/complete?code=abc".into(),
            400,
            "incomplete",
        )
        .await;
        fails(
            app,
            async |_, _, _| "/openhumans/complete?state=abc".into(),
            400,
            "incomplete",
        )
        .await;
        fails(
            app,
            async |_, _, _| "/openhumans/complete".into(),
            400,
            "incomplete",
        )
        .await;
        let twice =
            async |_: &mut App, _: &mut _, callback: String| format!("{callback}&state=abc");
        fails(app, twice, 400, "incomplete").await;
        let wrong = "/openhumans/complete?code=abc&state=def";
        fails(
            app,
            async |_, _, _| wrong.into(),
            400,
            "started in another browser",
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_callback_replayed_in_another_browser() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let callback = app
            .authorize(&mut alice, "/openhumans/login", "01026778")
            .await;
        let mut mallory = app.visitor();
        let response = app.callback(&mut mallory, &callback).await;
        assert_explained(&response, 400, "No login was started in this browser");
        // A pending login of the same browser makes no difference.
        let response = mallory.get("/openhumans/login").await;
        app.note("mallory begins a login", response);
        let response = app.callback(&mut mallory, &callback).await;
        assert_explained(&response, 400, "started in another browser");
        // It still works in its own browser.
        assert_eq!(app.callback(&mut alice, &callback).await.status, 303);
    })
    .await;
}

#[tokio::test]
async fn a_login_cookie_that_was_tampered_with() {
    both(Plan::default(), async |app| {
        let tamper = async |_: &mut App, alice: &mut oh_tests::visitor::Visitor, callback| {
            let name = alice
                .cookie_names()
                .find(|n| n.starts_with("oh-login-"))
                .unwrap()
                .to_owned();
            let mut value = alice.cookie(&name).unwrap().to_owned();
            let other = if &value[10..11] == "A" { "B" } else { "A" };
            value.replace_range(10..11, other);
            alice.set_cookie(&name, &value);
            callback
        };
        fails(app, tamper, 400, "started in another browser").await;
    })
    .await;
}

#[tokio::test]
async fn a_callback_used_twice() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let callback = app
            .authorize(&mut alice, "/openhumans/login", "01026778")
            .await;
        assert_eq!(app.callback(&mut alice, &callback).await.status, 303);
        let response = app.callback(&mut alice, &callback).await;
        assert_explained(&response, 400, "already completed");
    })
    .await;
}

#[tokio::test]
async fn a_login_that_took_too_long() {
    both(Plan::default(), async |app| {
        let wait = async |app: &mut App, _: &mut _, callback| {
            app.clock.advance(Duration::from_secs(30 * 60));
            callback
        };
        fails(app, wait, 400, "within half an hour").await;
    })
    .await;
}

#[tokio::test]
async fn a_code_that_is_no_longer_good() {
    both(Plan::default(), async |app| {
        let expire = async |app: &mut App, _: &mut _, callback| {
            app.sandbox.expire_codes();
            callback
        };
        fails(app, expire, 400, "no longer accepts this authorization").await;
    })
    .await;
}

#[tokio::test]
async fn open_humans_is_down_or_answers_nonsense() {
    both(Plan::default(), async |app| {
        for (fault, endpoint) in [
            (Fault::Html500, Endpoint::Token),
            (Fault::page(502), Endpoint::Token),
            (Fault::page(200), Endpoint::Token),
            (Fault::TruncatedJson, Endpoint::Token),
            (Fault::Reset, Endpoint::Token),
            (Fault::page(200), Endpoint::ExchangeMember),
        ] {
            let spoil = async |app: &mut App, _: &mut _, callback| {
                app.sandbox.fault(endpoint, fault.clone());
                callback
            };
            fails(app, spoil, 502, "did not respond as expected").await;
            app.sandbox.clear_faults();
        }
    })
    .await;
}

#[tokio::test]
async fn open_humans_is_slow() {
    let plan = Plan {
        settings: |settings| settings.timeout(Duration::from_millis(300)),
        ..Plan::default()
    };
    both(plan, async |app| {
        let hang = async |app: &mut App, _: &mut _, callback| {
            app.sandbox.fault(Endpoint::Token, Fault::Hang);
            callback
        };
        fails(app, hang, 504, "did not respond in time").await;
        app.sandbox.release();
    })
    .await;
}

#[tokio::test]
async fn the_client_secret_is_wrong() {
    both(Plan::default(), async |app| {
        let refuse = async |app: &mut App, _: &mut _, callback| {
            let response = Fault::json(401, r#"{"error": "invalid_client"}"#);
            app.sandbox.fault(Endpoint::Token, response);
            callback
        };
        fails(app, refuse, 500, "not set up correctly").await;
    })
    .await;
}

#[tokio::test]
async fn the_apps_own_store_is_down() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let callback = app
            .authorize(&mut alice, "/openhumans/login", "01026778")
            .await;
        app.store.switch_off();
        let response = app.callback(&mut alice, &callback).await;
        assert_explained(&response, 503, "could not be saved");
    })
    .await;
}

#[tokio::test]
async fn a_member_who_left_while_logging_in() {
    both(Plan::default(), async |app| {
        let mut earlier = app.visitor();
        app.log_in(&mut earlier, "01026778").await;
        let leave = async |app: &mut App, _: &mut _, callback| {
            app.clock.advance(Duration::from_secs(1));
            let sent = app.sandbox.leave("01026778", true).await;
            assert!(sent.last().is_some_and(|sent| sent.accepted()), "{sent:?}");
            callback
        };
        fails(app, leave, 409, "You left this project").await;
    })
    .await;
}
