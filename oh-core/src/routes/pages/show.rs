//! From what a page's work came to, to the answer: JSON, or HTML with its policy.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use maud::{Markup, html};
use url::Url;

use super::context::Context;
use super::layout::{self, Place, Room};
use super::problem::Problem;
use super::reply::Reply;
use super::{desk, disconnect, edit, files, home, json, login};
use crate::pages::accept::Form;
use crate::pages::settings::PageContext;
use crate::pages::texts::Text;
use crate::pages::view::{Page, ProblemPage};
use crate::routes::{RouteOutcome, see_other};

/// The answer, in the form that is wanted.
pub(super) fn answer(cx: &Context<'_>, reply: Reply) -> RouteOutcome {
    match reply {
        Reply::RouteOutcome(answer) => answer,
        Reply::Page(status, page) => RouteOutcome::keep(rendered(cx, status, &page)),
        Reply::Done {
            status,
            done,
            change,
            ..
        } if cx.form == Form::Json => {
            RouteOutcome::new(rendered(cx, status, &Page::Done(done)), change)
        }
        Reply::Done {
            to, done, change, ..
        } => {
            let to = format!("{}?done={}", cx.path(&to), done.done);
            RouteOutcome::new(see_other(&to), change)
        }
    }
}

/// What could not be done, as a page.
pub(super) fn problem(cx: &Context<'_>, problem: &Problem) -> RouteOutcome {
    let message = cx.fill(problem.text, &[("why", &problem.why)]);
    let page = Page::Problem(ProblemPage {
        error: problem.code,
        message,
    });
    RouteOutcome::keep(rendered(cx, problem.status, &page))
}

/// A page, in the form that is wanted.
pub(super) fn rendered(cx: &Context<'_>, status: StatusCode, page: &Page) -> Response<Bytes> {
    let mut response = match cx.form {
        Form::Json => json::answer(page),
        Form::Html => html_answer(cx, page),
    };
    *response.status_mut() = status;
    let vary = HeaderValue::from_static("accept, accept-language");
    response.headers_mut().insert(header::VARY, vary);
    response
}

fn html_answer(cx: &Context<'_>, page: &Page) -> Response<Bytes> {
    let notice = cx.notice();
    let around = PageContext {
        app_name: &cx.pages.name,
        language: cx.language_tag(),
        base: &cx.base,
        notice: notice.as_deref(),
    };
    let theirs = cx
        .pages
        .renderer
        .as_ref()
        .and_then(|renderer| renderer.render(page, &around));
    let text = theirs.unwrap_or_else(|| ours(cx, page, notice.as_deref()).into_string());
    let mut response = Response::new(Bytes::from(text));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    if let Ok(policy) = policy(cx).parse() {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Only what comes from the app's own origin is let in, and nothing inline. Forms may lead to Open
/// Humans, and to where a logout ends, by a redirect.
fn policy(cx: &Context<'_>) -> String {
    let settings = cx.openhumans.settings();
    let mut forms = vec!["'self'".to_owned()];
    forms.push(settings.oh_base_url().origin().ascii_serialization());
    if let Ok(url) = Url::parse(&settings.logout_redirect_url) {
        forms.push(url.origin().ascii_serialization());
    }
    format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action {}",
        forms.join(" ")
    )
}

/// A page as our HTML.
fn ours(cx: &Context<'_>, page: &Page, notice: Option<&str>) -> Markup {
    let (title, room, here, content) = match page {
        Page::Home(view) => {
            let room = match view.connected {
                true => Room::Member,
                false => Room::Anyone,
            };
            (
                cx.say(Text::YourConnection),
                room,
                "/",
                home::html(cx, view),
            )
        }
        Page::Login(view) => (view.title.clone(), Room::Anyone, "", login::html(cx, view)),
        Page::Logout(view) => {
            let title = cx.say(Text::LogOut);
            (title, Room::Anyone, "", login::logout_html(cx, view))
        }
        Page::Files(view) => {
            let title = cx.say(Text::YourFiles);
            (title, Room::Member, "/files", files::html(cx, view))
        }
        Page::Edit(view) => {
            let title = cx.fill(Text::EditTitle, &[("file", &view.name)]);
            (title, Room::Member, "", edit::html(cx, view))
        }
        Page::Delete(view) => {
            let title = cx.fill(Text::DeleteTitle, &[("file", &view.name)]);
            (title, Room::Member, "", files::delete_html(cx, view))
        }
        Page::DeleteAll(view) => {
            let title = cx.say(Text::DeleteAllTitle);
            (title, Room::Member, "", files::delete_all_html(cx, view))
        }
        Page::Disconnect(view) => {
            let title = cx.say(Text::DisconnectTitle);
            (title, Room::Member, "", disconnect::html(cx, view))
        }
        Page::Done(_) => (String::new(), Room::Anyone, "", html! {}),
        Page::Problem(view) => (
            cx.say(Text::Problem),
            Room::Anyone,
            "",
            problem_html(cx, view),
        ),
        Page::Desk(view) => (
            cx.say(Text::Desk),
            Room::Staff,
            "/staff",
            desk::overview::html(cx, view),
        ),
        Page::Events(view) => {
            let title = cx.say(Text::Events);
            (
                title,
                Room::Staff,
                "/staff/events",
                desk::events::html(cx, view),
            )
        }
        Page::Event(view) => {
            let title = cx.say(Text::Event);
            (title, Room::Staff, "", desk::event::html(cx, view))
        }
        Page::ReleaseAll(view) => {
            let title = cx.say(Text::ReleaseAll);
            (title, Room::Staff, "", desk::held::html(cx, view))
        }
        Page::Member(view) => {
            let title = cx.say(Text::FindMember);
            (
                title,
                Room::Staff,
                "/staff/member",
                desk::member::html(cx, view),
            )
        }
    };
    let place = Place {
        title,
        room,
        here,
        notice,
    };
    layout::document(cx, &place, &content)
}

fn problem_html(cx: &Context<'_>, view: &ProblemPage) -> Markup {
    let is_staff = cx.head.uri.path().contains("/staff");
    let back = match is_staff {
        true => ("/staff", Text::Desk),
        false if view.error == "left" => ("/", Text::YourConnection),
        false => ("/files", Text::YourFiles),
    };
    html! {
        div.narrow {
            h1 { (cx.say(Text::Problem)) }
            div.notice.bad #problem role="alert" data-error=(view.error) { p { (view.message) } }
            @if view.error != "staff_only" {
                p { a.button.quiet href=(cx.path(back.0)) { (cx.say(back.1)) } }
            }
        }
    }
}
