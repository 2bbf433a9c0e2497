//! The login route, before anything is asked of Open Humans.

#![allow(clippy::unwrap_used)]

mod support;

use http::Request;
use oh_core::routes::Route;
use oh_core::store::{MemberRecord, PutOutcome, Tokens};
use oh_core::{OpenHumans, SessionMember, Settings, Timestamp};
use support::*;

const OPEN_HUMANS: &str = "https://oh.example";

fn open_humans() -> OpenHumans {
    let settings = Settings::builder("id", "secret", APP).oh_base_url(OPEN_HUMANS);
    OpenHumans::builder(settings.build().unwrap())
        .build()
        .unwrap()
}

/// Someone who is logged in.
async fn member(oh: &OpenHumans) -> Browser {
    let now = Timestamp::now();
    let record = MemberRecord::authorized(alice(), Tokens::new("a", "r", now), now);
    let put = oh.token_store().put(&record, None).await.unwrap();
    assert_eq!(put, PutOutcome::Stored);
    let session = Some(SessionMember::new(alice(), record.epoch, now));
    assert!(oh.member(session.clone()).await.unwrap().is_some());
    Browser {
        session,
        ..Browser::default()
    }
}

#[tokio::test]
async fn only_the_button_page_spares_a_login_and_only_a_members() {
    let oh = open_humans();
    let nobody = Browser::default();
    let member = member(&oh).await;
    for (who, path, is_spared) in [
        (&nobody, "/openhumans/login?next=%2Ffiles", false),
        (&nobody, "/openhumans/login?resume=1&next=%2Ffiles", false),
        // To connect another account, or to approve again.
        (&member, "/openhumans/login?next=%2Ffiles", false),
        (&member, "/openhumans/login?resume=1&next=%2Ffiles", true),
    ] {
        let press = Request::post(path).header("sec-fetch-site", "same-origin");
        let answer = who.clone().send(&oh, Route::Login, press).await;
        assert_eq!(answer.status(), 303);
        let to = location(&answer);
        assert_eq!(to == "/files", is_spared, "{path} {to}");
        assert_eq!(to.starts_with(OPEN_HUMANS), !is_spared, "{path} {to}");
    }
}

/// Browsers hold a policy against the redirects of a form, too.
#[tokio::test]
async fn a_button_that_logs_in_may_lead_to_open_humans() {
    let oh = open_humans();
    let led_here = Request::get("/openhumans/login").header("sec-fetch-site", "cross-site");
    let asks = Browser::default().send(&oh, Route::Login, led_here).await;
    let path = "/openhumans/complete?code=c&state=s";
    let failed = Browser::default().get(&oh, Route::Complete, path).await;
    for page in [asks, failed] {
        assert!(text(&page).contains("<form method=\"post\""));
        let policy = page.headers()["content-security-policy"].to_str().unwrap();
        let forms = policy
            .split("; ")
            .find(|part| part.starts_with("form-action"));
        assert_eq!(forms, Some("form-action 'self' https://oh.example"));
    }
}
