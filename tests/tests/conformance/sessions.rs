//! Changes of the application's session and its id.

use oh_tests::visitor::Initiator;
use oh_tests::wire::Request;

use crate::apps::{Plan, both};

#[tokio::test]
async fn an_id_known_before_the_login_is_worth_nothing_after_it() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let response = alice.post("/session/set/dark").await;
        app.note("a session of the app's own", response);
        // Mallory knows the session id (session fixation).
        let mut mallory = alice.clone();
        app.log_in(&mut alice, "01026778").await;
        let response = mallory.get("/").await;
        assert_eq!(
            app.note("mallory requests a page", response).text(),
            "nobody"
        );
        let response = mallory.get("/session/show").await;
        assert_eq!(
            app.note("mallory's session", response).text(),
            "theme None, ours false"
        );
        let response = alice.get("/").await;
        assert_eq!(app.note("alice is in", response).text(), "member 01026778");
    })
    .await;
}

#[tokio::test]
async fn an_id_known_before_the_logout_is_worth_nothing_after_it() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let response = alice.post("/session/set/dark").await;
        app.note("a session of the app's own", response);
        app.log_in(&mut alice, "01026778").await;
        let mut stolen = alice.clone();
        let response = alice.post("/openhumans/logout").await;
        assert_eq!(app.note("logout", response).status, 303);
        for path in ["/", "/session/show"] {
            let response = stolen.get(path).await;
            let text = app.note("the stolen session", response).text();
            assert!(
                ["nobody", "theme None, ours false"].contains(&text.as_str()),
                "{text}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn logout_rejects_cross_site_posts() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        app.log_in(&mut alice, "01026778").await;
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            let request = Request::post("/openhumans/logout").header(name, value);
            let response = alice.send(request, Initiator::SameOrigin).await;
            let response = app.note(&format!("logout with {name}: {value}"), response);
            assert_eq!(response.status, 403);
        }
        let response = alice.get_cross_site("/openhumans/logout").await;
        assert_eq!(app.note("logout by link", response).status, 200);
        let response = alice.get("/").await;
        assert_eq!(app.note("still in", response).text(), "member 01026778");
    })
    .await;
}

#[tokio::test]
async fn a_link_to_the_logout_leads_to_a_page_with_a_button() {
    let with_pages = Plan {
        pages: Some(|| oh_pages::Pages::new("Night log")),
        settings: |settings| settings.logout_redirect_url("https://elsewhere.example/bye"),
        ..Plan::default()
    };
    let without = Plan {
        settings: with_pages.settings,
        ..Plan::default()
    };
    for plan in [without, with_pages] {
        both(plan, async |app| {
            let mut alice = app.visitor();
            app.log_in(&mut alice, "01026778").await;
            let response = alice.get("/openhumans/logout").await;
            let response = app.note("the page", response);
            let kind = response.header("content-type");
            assert_eq!(
                (response.status, kind),
                (200, Some("text/html; charset=utf-8"))
            );
            let policy = response
                .header("content-security-policy")
                .unwrap_or_default();
            // Browsers apply `form-action` to redirects after a form, too.
            assert!(policy.contains("https://elsewhere.example"), "{policy}");
            let text = response.text();
            assert!(
                text.contains(r#"method="post" action="/openhumans/logout""#),
                "{text}"
            );
            // Session libraries differ in whether they remove an empty session, so it is not compared.
            let response = alice.post("/openhumans/logout").await;
            assert_eq!(response.location(), "https://elsewhere.example/bye");
            let response = alice.get("/").await;
            assert_eq!(app.note("logged out", response).text(), "nobody");
        })
        .await;
    }
}

#[tokio::test]
async fn logging_out_twice_or_without_a_session_is_no_error() {
    let plan = Plan {
        settings: |settings| settings.logout_redirect_url("/bye"),
        ..Plan::default()
    };
    both(plan, async |app| {
        let mut nobody = app.visitor();
        for _ in 0..2 {
            let response = nobody.post("/openhumans/logout").await;
            // Session libraries differ in whether they remove an empty session, so it is not compared.
            assert_eq!((response.status, response.location()), (303, "/bye"));
        }
        let response = nobody.get("/").await;
        assert_eq!(app.note("nobody", response).text(), "nobody");
    })
    .await;
}

#[tokio::test]
async fn a_session_value_that_cannot_be_read_counts_as_none() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let response = alice.post("/session/corrupt").await;
        app.note("a value from another time", response);
        let response = alice.get("/").await;
        assert_eq!(app.note("nobody is in", response).text(), "nobody");
        let response = alice.get("/member").await;
        assert_eq!(app.note("a member's page", response).status, 303);
        app.log_in(&mut alice, "01026778").await;
        let response = alice.get("/").await;
        assert_eq!(app.note("alice is in", response).text(), "member 01026778");
    })
    .await;
}

#[tokio::test]
async fn leaving_ends_every_session_of_the_member_and_no_other() {
    both(Plan::default(), async |app| {
        let (mut desktop, mut phone, mut bob) = (app.visitor(), app.visitor(), app.visitor());
        app.log_in(&mut desktop, "01026778").await;
        app.log_in(&mut phone, "01026778").await;
        app.log_in(&mut bob, "00169953").await;
        let sent = app.sandbox.leave("01026778", true).await;
        assert!(sent.last().is_some_and(|sent| sent.accepted()), "{sent:?}");
        for (who, visitor, text) in [
            ("desktop", &mut desktop, "nobody"),
            ("phone", &mut phone, "nobody"),
            ("bob", &mut bob, "member 00169953"),
        ] {
            let response = visitor.get("/").await;
            assert_eq!(app.note(who, response).text(), text);
        }
        let response = desktop.get("/member").await;
        assert_eq!(app.note("a member's page", response).status, 303);
    })
    .await;
}
