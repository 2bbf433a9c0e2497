use super::{Visit, has, json, text};
use crate::pages::view::{HomePage, Page};
use crate::routes::pages::{home, show};

const CONNECTIONS: &str = "https://www.openhumans.org/member/me/connections/";

fn home(sources_shared: Option<&[&str]>) -> Page {
    let owned = |sources: &[&str]| sources.iter().copied().map(str::to_owned).collect();
    Page::Home(HomePage {
        connected: true,
        username: Some("alice".into()),
        sources_shared: sources_shared.map(owned),
        connections_url: CONNECTIONS.into(),
        ..HomePage::default()
    })
}

#[test]
fn a_member_is_told_what_is_shared_as_far_as_it_is_known() {
    let visit = Visit::to("/openhumans");
    let page = visit.html(&home(Some(&["fitbit", "<b>"])));
    has(
        &page,
        &[
            "those of these sources:",
            "<li><code>fitbit</code></li><li><code>&lt;b&gt;</code></li>",
            &format!("<a href=\"{CONNECTIONS}\">See and change it at Open Humans</a>"),
        ],
    );
    let page = visit.html(&home(Some(&[])));
    has(&page, &["itself put into your account, and no others."]);
    let page = visit.html(&home(None));
    has(&page, &["Open Humans could not be asked what you share."]);
}

#[test]
fn nobody_is_led_to_the_login_and_back() {
    let visit = Visit::to("/openhumans");
    let answer = show::answer(&visit.cx(), home::nobody(&visit.cx()).unwrap());
    let form = "<form method=\"post\" action=\"/openhumans/login?next=%2Fopenhumans\">";
    has(&text(answer), &[form]);
}

#[test]
fn programs_are_told_that_nobody_is_there_and_where_connections_are() {
    let request = http::Request::get("/openhumans").header("accept", "application/json");
    let visit = Visit::of(super::app(), request);
    let told = json(show::answer(
        &visit.cx(),
        home::nobody(&visit.cx()).unwrap(),
    ));
    assert_eq!(told["connected"], false);
    assert_eq!(told["connections_url"], CONNECTIONS);
}
