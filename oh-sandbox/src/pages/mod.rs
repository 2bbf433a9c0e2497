//! The HTML pages: authorization, connections, members.
//!
//! The forms work without scripts. Every element that a test uses has an `id`: `#member-<id>`,
//! `#allow`, `#refuse`, `#leave-<id>`, `#leave-erase-<id>`, `#about-<id>`, `#logout`.

pub(crate) mod member;

use axum::response::Response;
use http::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use url::Url;

use crate::state::Shared;
use crate::state::database::{Database, Member, Membership};
use crate::web::path::encode;
use crate::web::respond::private_html;
use crate::webhook::Delivery;

/// The number of members on a page.
const MAX_LISTED_MEMBERS: usize = 50;

const STYLE: &str = "
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 42rem; padding: 1rem; }
.note { background: #fff3cd; color: #4d3800; border: 1px solid #b38600; border-radius: .4rem; padding: .6rem 1rem; }
fieldset, .card { border: 1px solid #8888; border-radius: .4rem; margin: 1rem 0; padding: 1rem; }
label { display: block; padding: .25rem 0; }
button { font: inherit; padding: .5rem 1rem; margin: .25rem .5rem .25rem 0; border-radius: .4rem;
  border: 1px solid #666; background: transparent; color: inherit; cursor: pointer; }
button.main { background: #0b6bb5; border-color: #0b6bb5; color: #fff; }
button:focus-visible, input:focus-visible, a:focus-visible { outline: 3px solid #e08a00; outline-offset: 2px; }
code { word-break: break-word; }
pre { white-space: pre-wrap; word-break: break-word; font: inherit; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid #8888; }
form.inline { display: inline; }
";

/// Returns the CSRF token of the forms.
pub(crate) fn csrf(shared: &Shared) -> String {
    hex::encode(shared.key.mac("csrf"))
}

/// The response to a form without a valid CSRF token.
pub(crate) fn csrf_failed() -> Response {
    let page = message("Forbidden", "CSRF verification failed.");
    private_html(StatusCode::FORBIDDEN, page)
}

fn page(title: &str, content: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " - Open Humans sandbox" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                p.note role="note" {
                    strong { "This is a sandbox." }
                    " It stands in for Open Humans during development. No data is real, and none is stored permanently."
                }
                main {
                    h1 { (title) }
                    (content)
                }
            }
        }
    }
    .into_string()
}

/// Renders a page with one message.
pub(crate) fn message(title: &str, text: &str) -> String {
    page(
        title,
        &html! { p { (text) } p { a href="/" { "Start page" } } },
    )
}

/// Renders the form that selects a member and asks for the authorization.
pub(crate) fn authorize(db: &Database, csrf: &str, chosen: Option<usize>, cancel: &Url) -> String {
    let shown: Vec<usize> = choices(db, chosen);
    let app = cancel.host_str().unwrap_or("unknown host");
    page(
        "Authorize this application",
        &html! {
            p { "The application at " strong { (app) } " requests access to your Open Humans account." }
            form method="post" {
                input type="hidden" name="csrfmiddlewaretoken" value=(csrf);
                fieldset {
                    legend { "Select a member" }
                    @for (position, &index) in shown.iter().enumerate() {
                        @let member = &db.members[index];
                        @let checked = chosen.map_or(position == 0, |chosen| chosen == index);
                        label for={ "member-" (member.id) } {
                            input type="radio" name="sandbox_member" id={ "member-" (member.id) }
                                value=(member.id) checked[checked];
                            " " (member.account_name()) " (" (member.id) ")"
                        }
                    }
                }
                p { "The application can read the data that you share, send you messages and store files for you." }
                button.main type="submit" id="allow" name="allow" value="Authorize project" { "Allow" }
                button type="submit" id="refuse" { "Refuse" }
            }
        },
    )
}

/// Renders the page on which members leave the project.
pub(crate) fn connections(
    db: &Database,
    csrf: &str,
    left: Option<(&str, &[Delivery], bool)>,
) -> String {
    let joined: Vec<usize> = db.joined().take(MAX_LISTED_MEMBERS).collect();
    page(
        "Connections",
        &html! {
            @if let Some((id, deliveries, crashed)) = left {
                div.card role="status" id="left" {
                    p { "Member " (id) " has left." }
                    (webhook_requests(deliveries, crashed))
                }
            }
            @if joined.is_empty() { p id="nobody" { "The project has no members." } }
            @for index in joined {
                @let member = &db.members[index];
                section.card aria-labelledby={ "name-" (member.id) } {
                    h2 id={ "name-" (member.id) } { (member.account_name()) " (" (member.id) ")" }
                    p { a href=(profile(member)) { "Files and messages" } }
                    (leave_form(csrf, &member.id, false))
                    (leave_form(csrf, &member.id, true))
                }
            }
            p { a href="/" { "Start page" } }
        },
    )
}

fn leave_form(csrf: &str, id: &str, erase: bool) -> Markup {
    let button = if erase {
        format!("leave-erase-{id}")
    } else {
        format!("leave-{id}")
    };
    html! {
        form.inline method="post" action={ "/direct-sharing/projects/leave/" (id) "/" } {
            input type="hidden" name="csrfmiddlewaretoken" value=(csrf);
            @if erase { input type="hidden" name="erasure_requested" value="on"; }
            button type="submit" id=(button) {
                @if erase { "Leave and have my data erased" } @else { "Leave" }
            }
        }
    }
}

fn webhook_requests(deliveries: &[Delivery], crashed: bool) -> Markup {
    html! {
        @if deliveries.is_empty() { p { "No webhook was sent." } } @else {
            p { "Webhook requests:" }
            ul {
                @for delivery in deliveries {
                    li {
                        @if delivery.signed { "signed" } @else { "unsigned" }
                        @match delivery.status {
                            Some(status) => { ", response " (status) }
                            None => { ", no response" }
                        }
                    }
                }
            }
        }
        @if crashed { p { "The real server shows its error page here." } }
    }
}

/// Renders the start page: settings and members.
pub(crate) fn index(shared: &Shared, db: &Database, logged_in: Option<&str>) -> String {
    let settings = &db.settings;
    page(
        "Open Humans sandbox",
        &html! {
            p { "Client id: " code { (shared.credentials.client_id) } }
            p { "Redirect URIs:" }
            ul { @for uri in &settings.redirect_uris { li { code { (uri) } } } }
            p {
                "Webhook URL: "
                @match &settings.webhook_url {
                    Some(url) => { code { (url) } }
                    None => { "none" }
                }
            }
            @if let Some(id) = logged_in {
                form method="post" action="/account/logout/" {
                    p { "You are logged in as member " (id) "." }
                    input type="hidden" name="csrfmiddlewaretoken" value=(csrf(shared));
                    button type="submit" id="logout" { "Log out of Open Humans" }
                }
            }
            h2 { "Members" }
            ul {
                @for &index in &choices(db, None) {
                    @let member = &db.members[index];
                    li {
                        a id={ "about-" (member.id) } href=(profile(member)) { (member.account_name()) }
                        " (" (member.id) "): "
                        @match member.membership {
                            Membership::Joined => { "takes part" }
                            Membership::Left => { "has left" }
                            Membership::NeverJoined | Membership::Deleted => { "does not take part" }
                        }
                    }
                }
            }
            p { a href="/member/me/connections/" { "Leave the project" } }
        },
    )
}

/// Returns the path of a member's page.
fn profile(member: &Member) -> String {
    format!("/member/{}/", encode(&member.account_name()))
}

/// Returns the members for a page: the selected member and the first of the others.
fn choices(db: &Database, chosen: Option<usize>) -> Vec<usize> {
    let there = |index: &usize| db.members[*index].membership != Membership::Deleted;
    let mut shown: Vec<usize> = (0..db.members.len())
        .filter(there)
        .take(MAX_LISTED_MEMBERS)
        .collect();
    if let Some(chosen) = chosen.filter(|chosen| !shown.contains(chosen)) {
        shown.insert(0, chosen);
    }
    shown
}
