//! What happens to the host's session, and to its id.

use oh_tests::visitor::From;
use oh_tests::wire::Request;

use crate::apps::{Plan, both};

#[tokio::test]
async fn an_id_known_before_the_login_is_worth_nothing_after_it() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let answer = alice.post("/session/set/dark").await;
        app.note("a session of the app's own", answer);
        // Mallory knows the session's id, for it was planted.
        let mut mallory = alice.clone();
        app.log_in(&mut alice, "01026778").await;
        let answer = mallory.get("/").await;
        assert_eq!(app.note("mallory looks", answer).text(), "nobody");
        let answer = mallory.get("/session/show").await;
        assert_eq!(
            app.note("mallory's session", answer).text(),
            "theme None, ours false"
        );
        let answer = alice.get("/").await;
        assert_eq!(app.note("alice is in", answer).text(), "member 01026778");
    })
    .await;
}

#[tokio::test]
async fn an_id_known_before_the_logout_is_worth_nothing_after_it() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let answer = alice.post("/session/set/dark").await;
        app.note("a session of the app's own", answer);
        app.log_in(&mut alice, "01026778").await;
        let mut stolen = alice.clone();
        let answer = alice.post("/openhumans/logout").await;
        assert_eq!(app.note("logout", answer).status, 303);
        for path in ["/", "/session/show"] {
            let answer = stolen.get(path).await;
            let text = app.note("the stolen session", answer).text();
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
            let answer = alice.send(request, From::SameOrigin).await;
            let answer = app.note(&format!("logout with {name}: {value}"), answer);
            assert_eq!(answer.status, 403);
        }
        let answer = alice.get_from_elsewhere("/openhumans/logout").await;
        assert_eq!(app.note("logout by link", answer).status, 200);
        let answer = alice.get("/").await;
        assert_eq!(app.note("still in", answer).text(), "member 01026778");
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
            let answer = alice.get("/openhumans/logout").await;
            let answer = app.note("the page", answer);
            let kind = answer.header("content-type");
            assert_eq!(
                (answer.status, kind),
                (200, Some("text/html; charset=utf-8"))
            );
            let policy = answer.header("content-security-policy").unwrap_or_default();
            // Browsers hold the redirect after a form to this, too.
            assert!(policy.contains("https://elsewhere.example"), "{policy}");
            let text = answer.text();
            assert!(
                text.contains(r#"method="post" action="/openhumans/logout""#),
                "{text}"
            );
            // What becomes of an empty session is the session library's business.
            let answer = alice.post("/openhumans/logout").await;
            assert_eq!(answer.location(), "https://elsewhere.example/bye");
            let answer = alice.get("/").await;
            assert_eq!(app.note("out", answer).text(), "nobody");
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
            let answer = nobody.post("/openhumans/logout").await;
            // What becomes of an empty session is the session library's business.
            assert_eq!((answer.status, answer.location()), (303, "/bye"));
        }
        let answer = nobody.get("/").await;
        assert_eq!(app.note("nobody", answer).text(), "nobody");
    })
    .await;
}

#[tokio::test]
async fn a_session_value_that_cannot_be_read_counts_as_none() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let answer = alice.post("/session/corrupt").await;
        app.note("a value from another time", answer);
        let answer = alice.get("/").await;
        assert_eq!(app.note("nobody is in", answer).text(), "nobody");
        let answer = alice.get("/member").await;
        assert_eq!(app.note("a member's page", answer).status, 303);
        app.log_in(&mut alice, "01026778").await;
        let answer = alice.get("/").await;
        assert_eq!(app.note("alice is in", answer).text(), "member 01026778");
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
            let answer = visitor.get("/").await;
            assert_eq!(app.note(who, answer).text(), text);
        }
        let answer = desktop.get("/member").await;
        assert_eq!(app.note("a member's page", answer).status, 303);
    })
    .await;
}
