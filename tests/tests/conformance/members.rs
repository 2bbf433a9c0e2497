//! Access for members, and the responses to others.

use oh_tests::visitor::Initiator;
use oh_tests::wire::Request;

use crate::apps::{Plan, both};

const PATHS: [&str; 3] = ["/member", "/guarded", "/inner/member"];

#[tokio::test]
async fn browsers_are_sent_to_log_in_and_back() {
    both(Plan::default(), async |app| {
        for path in PATHS {
            for (query, next) in [
                ("", ""),
                ("?page=2", "%3Fpage%3D2"),
                ("?a=b&c=%26d", "%3Fa%3Db%26c%3D%2526d"),
            ] {
                let target = format!("{path}{query}");
                let request = Request::get(&target).header("accept", "text/html,*/*;q=0.8");
                let response = app.send(&target, &request).await;
                let login = format!("/openhumans/login?next={path}{next}");
                assert_eq!(
                    (response.status, response.location()),
                    (303, login.as_str())
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn unauthenticated_response_depends_on_the_accept_header() {
    both(Plan::default(), async |app| {
        for path in PATHS {
            for (headers, status) in [
                (&[][..], 401),
                (&[("accept", "application/json")], 401),
                (&[("accept", "*/*")], 401),
                (&[("accept", "application/json, text/plain, */*")], 401),
                (&[("accept", "text/html")], 303),
                (&[("accept", "Text/HTML")], 303),
                (
                    &[("accept", "application/json"), ("accept", "text/html")],
                    303,
                ),
                (&[("sec-fetch-mode", "navigate")], 303),
                (&[("sec-fetch-mode", "cors"), ("accept", "text/html")], 401),
            ] {
                let mut request = Request::get(path);
                for (name, value) in headers {
                    request = request.header(name, value);
                }
                let response = app.send(&format!("{path} {headers:?}"), &request).await;
                assert_eq!(response.status, status, "{headers:?}");
                if status == 401 {
                    assert_eq!(response.text(), r#"{"error":"not_logged_in"}"#);
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_form_is_not_sent_twice() {
    both(Plan::default(), async |app| {
        for method in ["POST", "PUT", "DELETE"] {
            let request = Request::new(method, "/member")
                .header("accept", "text/html")
                .body("a=b");
            let response = app.send(method, &request).await;
            assert_eq!(
                (response.status, response.location()),
                (303, "/openhumans/login")
            );
        }
    })
    .await;
}

#[tokio::test]
async fn members_get_in_everywhere() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        app.log_in(&mut alice, "01026778").await;
        for (path, text) in [
            ("/", "member 01026778"),
            ("/member", "01026778 alice"),
            ("/inner/member", "01026778 alice"),
            ("/guarded", "01026778 01026778"),
            ("/result", "member 01026778"),
        ] {
            let response = alice.get(path).await;
            assert_eq!(app.note(path, response).text(), text);
        }
    })
    .await;
}

#[tokio::test]
async fn a_handler_may_say_it_in_its_own_way() {
    both(Plan::default(), async |app| {
        let request = Request::get("/result").header("accept", "text/html");
        assert_eq!(app.send("browser", &request).await.text(), "not in: 303");
        assert_eq!(
            app.send("program", &Request::get("/result")).await.text(),
            "not in: 401"
        );
    })
    .await;
}

#[tokio::test]
async fn member_routes_return_503_while_the_store_is_down() {
    let plan = Plan {
        settings: |settings| settings.session_cache_ttl(std::time::Duration::ZERO),
        ..Plan::default()
    };
    both(plan, async |app| {
        let mut alice = app.visitor();
        app.log_in(&mut alice, "01026778").await;
        app.store.switch_off();
        for path in PATHS {
            let response = alice.get(path).await;
            assert_eq!(app.note(path, response).status, 503);
        }
        let response = alice.get("/").await;
        assert_eq!(app.note("/", response).text(), "nobody");
        let response = alice.get("/result").await;
        assert_eq!(app.note("/result", response).text(), "not in: 503");
        // Without a session, the store is not read.
        assert_eq!(
            app.send("a stranger", &Request::get("/member"))
                .await
                .status,
            401
        );
    })
    .await;
}

#[tokio::test]
async fn cookies_in_several_headers_are_one_browsers() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        app.log_in(&mut alice, "01026778").await;
        let request = Request::get("/member")
            .header("cookie", "first=1")
            .header("cookie", "é=2");
        let response = alice.send(request, Initiator::SameOrigin).await;
        assert_eq!(
            app.note("three cookie headers", response).text(),
            "01026778 alice"
        );
    })
    .await;
}
