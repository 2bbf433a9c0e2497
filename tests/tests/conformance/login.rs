//! Logins, from the link to the session.

use async_trait::async_trait;
use oh_core::login::{AuthorizedMember, LoginAccepted, LoginHandler, LoginRejected};
use oh_tests::visitor::Initiator;
use oh_tests::wire::Request;

use crate::apps::{Plan, SameSite, both};

#[tokio::test]
async fn a_login_leads_to_open_humans_and_is_remembered_in_a_cookie() {
    both(Plan::default(), async |app| {
        for path in [
            "/openhumans/login",
            "/openhumans/login/",
            "/openhumans/login?next=/files",
        ] {
            let response = app.send(path, &Request::get(path)).await;
            assert_eq!(response.status, 303);
            let location = response.location();
            let authorize = app
                .sandbox
                .url()
                .join("direct-sharing/projects/oauth2/authorize/");
            assert!(
                location.starts_with(authorize.unwrap().as_str()),
                "{location}"
            );
            assert!(location.contains("code_challenge_method=S256"));
            let cookie = response.header("set-cookie").unwrap();
            assert!(cookie.starts_with("oh-login-"), "{cookie}");
            assert!(
                cookie.ends_with("; HttpOnly; SameSite=Lax; Path=/; Max-Age=3600"),
                "{cookie}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn on_https_the_cookie_is_secure_and_bound_to_the_host() {
    let plan = Plan {
        public: Some("https://app.example"),
        ..Plan::default()
    };
    both(plan, async |app| {
        let response = app.send("login", &Request::get("/openhumans/login")).await;
        let cookie = response.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-oh-login-"), "{cookie}");
        assert!(cookie.contains("; Secure"), "{cookie}");
        assert!(
            response
                .location()
                .contains("redirect_uri=https%3A%2F%2Fapp.example%2Fopenhumans")
        );
    })
    .await;
}

#[tokio::test]
async fn another_site_cannot_send_anyone_to_log_in() {
    both(Plan::default(), async |app| {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("origin", "null"),
        ] {
            for (method, status) in [("GET", 200), ("POST", 403)] {
                let request = Request::new(method, "/openhumans/login?next=/a").header(name, value);
                let response = app
                    .send(&format!("{method} {name}: {value}"), &request)
                    .await;
                assert_eq!(response.status, status);
                assert!(
                    response.text().contains("<button"),
                    "a button to do it oneself"
                );
                assert_eq!(response.header("set-cookie"), None);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn another_site_cannot_start_a_login_of_the_apps_own() {
    let plan = Plan {
        build: |builder| builder.login_handler(Doorkeeper),
        ..Plan::default()
    };
    both(plan, async |app| {
        let mut alice = app.visitor();
        let response = alice.get_cross_site("/connect").await;
        let response = app.note("led there by another site", response);
        assert_eq!((response.status, response.header("location")), (200, None));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let text = response.text();
        let (_, action) = text
            .split_once("action=\"")
            .expect("a form to do it oneself");
        let action = action
            .split('"')
            .next()
            .unwrap_or_default()
            .replace("&amp;", "&");

        // The button continues the application's login; another site cannot.
        let mut mallory = app.visitor();
        let response = mallory
            .navigate("POST", &action, Initiator::CrossSite)
            .await;
        assert_eq!(app.note("another site posts", response).status, 403);
        let response = alice.post(&action).await;
        let response = app.note("the button", response);
        let back = app.sandbox.authorize("01026778", response.location()).await;
        let back = app.local(back.expect("the sandbox sends back").as_str());
        let response = app.callback(&mut alice, &back).await;
        assert_eq!(
            (response.status, response.location()),
            (303, "/for/user-42")
        );
    })
    .await;
}

async fn log_in_and_out(app: &mut crate::apps::App, session_before: bool) {
    let mut alice = app.visitor();
    if session_before {
        let response = alice.post("/session/set/dark").await;
        app.note("a session of the app's own", response);
    }
    let callback = app
        .authorize(&mut alice, "/openhumans/login?next=/member", "01026778")
        .await;
    let response = app.callback(&mut alice, &callback).await;
    assert_eq!((response.status, response.location()), (303, "/member"));
    let response = alice.get("/member").await;
    assert_eq!(
        app.note("a member's page", response).text(),
        "01026778 alice"
    );
    let response = alice.get("/session/show").await;
    let theme = if session_before {
        "Some(\"dark\")"
    } else {
        "None"
    };
    let expected = format!("theme {theme}, ours true");
    assert_eq!(app.note("the session", response).text(), expected);

    // A session with data of the application remains after the logout.
    let response = alice.post("/session/set/light").await;
    app.note("the session is changed", response);
    let response = alice.post("/openhumans/logout").await;
    let response = app.note("logout", response);
    assert_eq!((response.status, response.location()), (303, "/"));
    let response = alice.get("/session/show").await;
    let kept = "theme Some(\"light\"), ours false";
    assert_eq!(app.note("the session", response).text(), kept);
    let response = alice.get("/member").await;
    let response = app.note("no longer a member's page", response);
    assert_eq!(
        (response.status, response.location()),
        (303, "/openhumans/login?next=/member")
    );
}

#[tokio::test]
async fn a_member_logs_in_and_out_with_strict_session_cookies() {
    both(Plan::default(), async |app| {
        log_in_and_out(app, false).await;
        log_in_and_out(app, true).await;
    })
    .await;
}

#[tokio::test]
async fn a_member_logs_in_and_out_with_lax_session_cookies() {
    let plan = Plan {
        same_site: SameSite::Lax,
        ..Plan::default()
    };
    both(plan, async |app| {
        log_in_and_out(app, false).await;
        log_in_and_out(app, true).await;
    })
    .await;
}

#[tokio::test]
async fn a_login_leads_back_to_a_path_of_this_app_or_to_the_usual_place() {
    let plan = Plan {
        settings: |settings| settings.login_redirect_url("/welcome"),
        ..Plan::default()
    };
    both(plan, async |app| {
        for (next, end) in [
            ("/a?b=c%26d", "/a?b=c%26d"),
            ("/%C3%A9", "/%C3%A9"),
            ("//evil.example", "/welcome"),
            (r"/\evil.example", "/welcome"),
            ("https:evil.example", "/welcome"),
            ("https://evil.example/", "/welcome"),
            ("/%2Fevil.example", "/welcome"),
            ("/\t/evil.example", "/welcome"),
            ("javascript:alert(1)", "/welcome"),
            ("", "/welcome"),
        ] {
            let mut alice = app.visitor();
            let next = url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>();
            let login = format!("/openhumans/login?next={next}");
            let callback = app.authorize(&mut alice, &login, "01026778").await;
            let response = app.callback(&mut alice, &callback).await;
            assert_eq!(
                (response.status, response.location()),
                (303, end),
                "{login}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn login_supports_two_tabs_at_once() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let one = app
            .authorize(&mut alice, "/openhumans/login?next=/one", "01026778")
            .await;
        let two = app
            .authorize(&mut alice, "/openhumans/login?next=/two", "01026778")
            .await;
        for (callback, end) in [(one, "/one"), (two, "/two")] {
            let response = app.callback(&mut alice, &callback).await;
            assert_eq!((response.status, response.location()), (303, end));
        }
    })
    .await;
}

#[tokio::test]
async fn a_browser_with_many_logins_under_way_keeps_the_latest() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        let mut callbacks = Vec::new();
        for _ in 0..7 {
            callbacks.push(
                app.authorize(&mut alice, "/openhumans/login", "01026778")
                    .await,
            );
            app.clock.advance(std::time::Duration::from_secs(1));
        }
        let kept = alice
            .cookie_names()
            .filter(|name| name.starts_with("oh-login-"))
            .count();
        assert_eq!(kept, 5);
        let latest = callbacks.pop().unwrap();
        assert_eq!(app.callback(&mut alice, &latest).await.status, 303);
    })
    .await;
}

#[tokio::test]
async fn login_confirmation_redirects_a_member_who_is_logged_in() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        app.log_in(&mut alice, "01026778").await;
        let response = alice.get_cross_site("/openhumans/login?next=/member").await;
        let response = app.note("a link on another site", response);
        let text = response.text();
        let (_, action) = text.split_once("action=\"").expect("a form");
        let action = action.split('"').next().unwrap().replace("&amp;", "&");
        let response = alice.navigate("POST", &action, Initiator::SameOrigin).await;
        let response = app.note("the button", response);
        assert_eq!((response.status, response.location()), (303, "/member"));
    })
    .await;
}

struct Doorkeeper;

#[async_trait]
impl LoginHandler for Doorkeeper {
    async fn logged_in(&self, login: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
        match (login.member.as_str(), login.context.as_deref()) {
            ("00169953", _) => Err(LoginRejected::new("Bob has been <b>banned</b>.")),
            (_, Some(context)) => Ok(LoginAccepted::redirect_to(format!(
                "/for/{}",
                context.replace(' ', "-")
            ))),
            _ => Ok(LoginAccepted::new()),
        }
    }
}

#[tokio::test]
async fn the_app_is_asked_and_may_refuse_or_give_a_context() {
    let plan = Plan {
        build: |builder| builder.login_handler(Doorkeeper),
        ..Plan::default()
    };
    both(plan, async |app| {
        let mut bob = app.visitor();
        let callback = app
            .authorize(&mut bob, "/openhumans/login", "00169953")
            .await;
        let response = app.callback(&mut bob, &callback).await;
        assert_eq!(response.status, 403);
        assert!(
            response
                .text()
                .contains("Bob has been &lt;b&gt;banned&lt;/b&gt;.")
        );
        let response = bob.get("/").await;
        assert_eq!(app.note("bob is not in", response).text(), "nobody");

        let mut alice = app.visitor();
        let callback = app.authorize(&mut alice, "/connect", "01026778").await;
        let response = app.callback(&mut alice, &callback).await;
        assert_eq!(
            (response.status, response.location()),
            (303, "/for/user-42")
        );
    })
    .await;
}

#[tokio::test]
async fn an_app_can_have_a_member_asked_again_and_so_does_another_try() {
    both(Plan::default(), async |app| {
        const ASKED: &str = "&approval_prompt=force&scope=read+write";
        let mut alice = app.visitor();
        app.log_in(&mut alice, "01026778").await;
        let plain = alice.get("/openhumans/login").await;
        let plain = app.note("as usual", plain);
        assert!(!plain.location().contains("approval_prompt"));
        let asked = alice.get("/ask-again").await;
        let asked = app.note("asked again", asked);
        assert!(asked.location().ends_with(ASKED), "{}", asked.location());

        let back = app.sandbox.refuse(asked.location()).await.unwrap();
        let callback = app.local(back.as_str());
        let failed = app.callback(&mut alice, &callback).await;
        let text = failed.text();
        let (_, action) = text.split_once("action=\"").expect("a form");
        let action = action.split('"').next().unwrap().replace("&amp;", "&");
        let again = alice.navigate("POST", &action, Initiator::SameOrigin).await;
        let again = app.note("another try", again);
        assert!(again.location().ends_with(ASKED), "{}", again.location());
        let back = app
            .sandbox
            .authorize("01026778", again.location())
            .await
            .unwrap();
        let callback = app.local(back.as_str());
        let done = app.callback(&mut alice, &callback).await;
        assert_eq!(done.status, 303);
    })
    .await;
}
