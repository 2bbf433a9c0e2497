use bytes::Bytes;
use http::Request;
use http::request::Builder;
use http_body_util::Empty;

use super::{app, has, json, text};
use crate::OpenHumans;
use crate::login::{LoginFailure, LoginRejected};
use crate::pages::route::PageRoute;
use crate::pages::view::Page;
use crate::routes::pages::{login, tests::Visit};
use crate::routes::{Route, RouteOutcome};

async fn send(oh: &OpenHumans, route: Route, request: Builder) -> RouteOutcome {
    oh.respond(route, request.body(Empty::<Bytes>::new()).unwrap(), None)
        .await
}

#[tokio::test]
async fn whoever_another_site_leads_to_the_login_is_asked_on_the_apps_page() {
    let oh = app().build().unwrap();
    let elsewhere =
        || Request::get("/openhumans/login?next=/files").header("sec-fetch-site", "cross-site");
    let answer = send(&oh, Route::Login, elsewhere()).await;
    assert_eq!(answer.response.status(), 200);
    has(
        &text(answer),
        &[
            "Another site has led you here. Log in only if you meant to.",
            "id=\"login\">Log in with Open Humans</button>",
            "Back to Sleep",
        ],
    );
    let request = elsewhere().header("accept", "application/json");
    let told = json(send(&oh, Route::Login, request).await);
    assert_eq!(
        told["login_url"],
        "/openhumans/login?resume=1&next=%2Ffiles"
    );
}

#[tokio::test]
async fn whoever_a_link_leads_to_the_logout_is_asked_on_the_apps_page() {
    let oh = app().build().unwrap();
    let answer = send(&oh, Route::Logout, Request::get("/openhumans/logout")).await;
    assert_eq!(answer.response.status(), 200);
    has(
        &text(answer),
        &[
            "The connection stays. You can log in again at any time.",
            "<form method=\"post\" action=\"/openhumans/logout\">",
            "Back to Sleep",
        ],
    );
    let request = Request::get("/openhumans/logout").header("accept", "application/json");
    let told = json(send(&oh, Route::Logout, request).await);
    assert_eq!(told["logout_url"], "/openhumans/logout");
}

#[tokio::test]
async fn the_way_back_from_the_login_is_whole_also_where_a_router_took_the_mount_path_off() {
    let oh = app().build().unwrap();
    for path in ["/files?page=2", "/openhumans/files?page=2"] {
        let request = Request::get(path).header("accept", "text/html");
        let answer = send(&oh, Route::Page(PageRoute::Files), request).await;
        assert_eq!(
            answer.response.headers()["location"],
            "/openhumans/login?next=/openhumans/files%3Fpage%3D2",
            "{path}"
        );
    }
}

#[test]
fn whoever_the_app_refuses_is_told_its_reason() {
    let visit = Visit::to("/openhumans/complete");
    let failures = [
        (
            LoginFailure::Rejected(LoginRejected::new("The study is full.")),
            "The study is full.",
        ),
        (
            LoginFailure::AccessDenied,
            "You chose not to authorize Sleep at Open Humans. Nothing was shared.",
        ),
    ];
    for (failure, message) in failures {
        let page = login::failed(&visit.cx(), &failure, "/openhumans/login".into());
        let page = visit.html(&Page::Login(page));
        has(&page, &["You were not logged in", message, "Try again"]);
    }
}
