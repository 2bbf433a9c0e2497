use bytes::Bytes;
use http::Request;
use http::request::Builder;
use http_body_util::Empty;
use oh_core::OpenHumans;
use oh_core::login::{LoginFailure, LoginRejected};
use oh_core::routes::Route;
use serde_json::Value;

use super::{Surroundings, app, assert_contains};
use crate::pages::LoginPage;

async fn respond(oh: &OpenHumans, route: Route, request: Builder) -> String {
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let response = oh.respond(route, request, None).await.response;
    assert_eq!(response.status(), 200);
    String::from_utf8(response.into_body().into()).unwrap()
}

#[tokio::test]
async fn login_from_another_site_asks_for_confirmation() {
    let oh = app("https://app.example").build().unwrap();
    let cross_site =
        || Request::get("/openhumans/login?next=/files").header("sec-fetch-site", "cross-site");
    let page = respond(&oh, Route::Login, cross_site()).await;
    assert_contains(
        &page,
        &[
            "Another website sent you here. Log in only if you intended to.",
            "id=\"login\">Log in with Open Humans</button>",
            "Back to Sleep",
        ],
    );
    let request = cross_site().header("accept", "application/json");
    let page: Value = serde_json::from_str(&respond(&oh, Route::Login, request).await).unwrap();
    assert_eq!(
        page["login_url"],
        "/openhumans/login?resume=1&next=%2Ffiles"
    );
}

#[tokio::test]
async fn logout_link_asks_for_confirmation() {
    let oh = app("https://app.example").build().unwrap();
    let request = || Request::get("/openhumans/logout");
    let page = respond(&oh, Route::Logout, request()).await;
    assert_contains(
        &page,
        &[
            "You stay connected and can log in again at any time.",
            "<form method=\"post\" action=\"/openhumans/logout\">",
            "Back to Sleep",
        ],
    );
    let request = request().header("accept", "application/json");
    let page: Value = serde_json::from_str(&respond(&oh, Route::Logout, request).await).unwrap();
    assert_eq!(page["logout_url"], "/openhumans/logout");
}

#[test]
fn failed_login_page_explains_the_failure_in_each_language() {
    let (english, german) = (Surroundings::new(), Surroundings::new());
    let german = german.header("accept-language", "de");
    for (failure, in_english, in_german) in [
        (
            LoginFailure::Rejected(LoginRejected::new("The study is full.")),
            ["You are not logged in", "The study is full.", "Try again"],
            [
                "Sie wurden nicht angemeldet",
                "The study is full.",
                "Erneut versuchen",
            ],
        ),
        (
            LoginFailure::StateUsed,
            ["You are not logged in", "already completed", "Try again"],
            [
                "bereits abgeschlossen",
                "gilt nur einmal",
                "Erneut versuchen",
            ],
        ),
    ] {
        for (surroundings, parts) in [(&english, in_english), (&german, in_german)] {
            let page = LoginPage::failed(&surroundings.cx(), &failure, "/openhumans/login");
            assert_contains(&surroundings.html(page), &parts);
        }
    }
}
