//! Every route, every method, with and without a trailing slash.

use oh_tests::wire::Request;

use crate::apps::{Plan, both};

const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND",
];

const ROUTES: [(&str, &[&str]); 4] = [
    ("login", &["GET", "HEAD", "POST"]),
    ("complete", &["GET"]),
    ("logout", &["GET", "HEAD", "POST"]),
    ("deauth", &["POST"]),
];

#[tokio::test]
async fn routes_respond_to_every_method() {
    both(Plan::default(), async |app| {
        for (route, methods) in ROUTES {
            for path in [
                format!("/openhumans/{route}"),
                format!("/openhumans/{route}/"),
            ] {
                for method in METHODS {
                    let label = format!("{method} {path}");
                    let response = app.send(&label, &Request::new(method, &path)).await;
                    let allowed = response.status != 405;
                    assert_eq!(allowed, methods.contains(&method), "{label}: {response:?}");
                    if !allowed {
                        assert_eq!(response.header("allow"), Some(methods.join(", ").as_str()));
                    }
                    assert_eq!(
                        response.header("cache-control"),
                        Some("no-store"),
                        "{label}"
                    );
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_wrong_method_is_answered_without_the_body() {
    both(Plan::default(), async |app| {
        for route in ["logout", "deauth", "complete"] {
            let path = format!("/openhumans/{route}");
            let request = Request::new("PUT", &path).announce(10_000_000);
            let response = app.send(&format!("PUT {path}"), &request).await;
            assert_eq!(response.status, 405);
        }
    })
    .await;
}

#[tokio::test]
async fn other_paths_are_passed_to_the_app() {
    both(Plan::default(), async |app| {
        for path in [
            "/nowhere",
            "/openhumans",
            "/openhumans/",
            "/openhumans/nowhere",
            "/openhumans/login/more",
            "/openhumans//login",
            "/openhumans/Login",
            "/openhumans/%6Cogin",
            "/openhumans/%6cogin/",
            "/%6Fpenhumans/login",
            "/openhumans%2Flogin",
            "/openhumans/login%2F",
            "/openhumans/x/../login",
            "/openhumans/./login",
        ] {
            let response = app.send(path, &Request::get(path)).await;
            assert_eq!(
                (response.status, response.text().as_str()),
                (404, "nothing here"),
                "{path}"
            );
        }
    })
    .await;
}
