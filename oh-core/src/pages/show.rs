//! From what a page holds to HTML.

use maud::{Markup, html};

use super::context::Context;
use super::layout::{self, Place, Room};
use super::texts::Text;
use super::view::{Page, ProblemPage};
use super::{desk, disconnect, edit, files, home, login};

/// A page as our HTML.
pub(super) fn page(cx: &Context<'_>, page: &Page, notice: Option<&str>) -> Markup {
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
        Page::Problem(view) => (cx.say(Text::Problem), Room::Anyone, "", problem(cx, view)),
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

fn problem(cx: &Context<'_>, view: &ProblemPage) -> Markup {
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
