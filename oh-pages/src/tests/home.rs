use http::Request;

use super::{Surroundings, app, assert_contains, json, pages, send, text};
use crate::pages::HomePage;

const CONNECTIONS: &str = "https://www.openhumans.org/member/me/connections/";

fn home(sources_shared: Option<&[&str]>) -> HomePage {
    let owned = |sources: &[&str]| sources.iter().copied().map(str::to_owned).collect();
    HomePage {
        connected: true,
        username: Some("alice".into()),
        sources_shared: sources_shared.map(owned),
        connections_url: CONNECTIONS.into(),
        ..HomePage::default()
    }
}

#[test]
fn home_shows_what_is_shared_if_known() {
    let surroundings = Surroundings::new();
    let page = surroundings.html(home(Some(&["fitbit", "<b>"])));
    assert_contains(
        &page,
        &[
            "files from these sources:",
            "<li><code>fitbit</code></li><li><code>&lt;b&gt;</code></li>",
            &format!("<a href=\"{CONNECTIONS}\">View and change this at Open Humans</a>"),
        ],
    );
    let page = surroundings.html(home(Some(&[])));
    assert_contains(&page, &["can read only the files that it stored"]);
    let page = surroundings.html(home(None));
    assert_contains(&page, &["We could not ask Open Humans what you share."]);
}

#[tokio::test]
async fn home_offers_login_if_nobody_is_logged_in() {
    let oh = app("https://app.example").build().unwrap();
    let router = pages().router(&oh);
    let page = text(send(&router, Request::get("/"), "", None).await).await;
    let form = "<form method=\"post\" action=\"/openhumans/login?next=%2Fopenhumans\">";
    assert_contains(&page, &[form]);

    let request = Request::get("/").header("accept", "application/json");
    let home = json(send(&router, request, "", None).await).await;
    assert_eq!(home["connected"], false);
    assert_eq!(home["connections_url"], CONNECTIONS);
}

#[tokio::test]
async fn login_redirect_returns_to_the_full_path() {
    let oh = app("https://app.example/study").build().unwrap();
    let router = pages().router(&oh);
    let request = Request::get("/files?page=2").header("accept", "text/html");
    let response = send(&router, request, "", None).await;
    assert_eq!(
        response.headers()["location"],
        "/study/openhumans/login?next=/study/openhumans/files%3Fpage%3D2"
    );
}

#[tokio::test]
async fn pages_without_a_session_reader_fail_and_probes_do_not() {
    use tower::ServiceExt;

    let oh = app("https://app.example").build().unwrap();
    for (path, status) in [
        ("/", 500),
        ("/files", 500),
        ("/health", 200),
        ("/ready", 200),
    ] {
        let router: axum::Router = pages().router(&oh);
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}
