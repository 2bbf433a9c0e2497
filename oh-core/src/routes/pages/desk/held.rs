//! Releasing what is held: one event, or after asking all of them.

use http::StatusCode;
use maud::{Markup, html};

use super::table;
use crate::deauth::EventId;
use crate::pages::texts::Text;
use crate::pages::view::{DonePage, Page, ReleaseAllPage};
use crate::routes::pages::context::Context;
use crate::routes::pages::problem::Problem;
use crate::routes::pages::reply::{self, Outcome, Reply};

pub(super) async fn release(cx: &Context<'_>, id: &str) -> Outcome {
    let event = EventId::new(id);
    if !cx.inner().deauthorizer.release(&event).await? {
        let conflict = StatusCode::CONFLICT;
        return Err(Problem::new(conflict, "not_held", Text::ReleaseGone));
    }
    let done = DonePage {
        done: "released",
        ..DonePage::default()
    };
    let to = format!("/staff/events/{}", table::path_part(id));
    Ok(Reply::done(&to, done))
}

pub(super) async fn ask(cx: &Context<'_>) -> Outcome {
    let stats = cx.inner().deauthorizer.inbox().stats().await?;
    reply::page(Page::ReleaseAll(ReleaseAllPage {
        held: stats.quarantined,
    }))
}

pub(super) async fn release_all(cx: &Context<'_>) -> Outcome {
    let released = cx.inner().deauthorizer.release_all().await?;
    tracing::info!(
        released,
        "all events that were held were released at the desk"
    );
    let done = DonePage {
        done: "released-all",
        ..DonePage::default()
    };
    Ok(Reply::done("/staff", done))
}

/// The button that releases one event.
pub(super) fn button(cx: &Context<'_>, id: &str) -> Markup {
    let action = format!("/staff/events/{}/release", table::path_part(id));
    html! {
        form method="post" action=(cx.path(&action)) { button #release { (cx.say(Text::Release)) } }
    }
}

pub(in crate::routes::pages) fn html(cx: &Context<'_>, view: &ReleaseAllPage) -> Markup {
    html! {
        div.narrow {
            h1 { (cx.fill(Text::ReleaseAllTitle, &[("count", &view.held.to_string())])) }
            section.card {
                p { (cx.say(Text::HeldText)) }
                p { (cx.say(Text::ReleaseAllText)) }
                form method="post" action=(cx.path("/staff/release-all")) {
                    div.row {
                        button.danger #confirm { (cx.say(Text::ReleaseAll)) }
                        a.button.quiet href=(cx.path("/staff/events?state=held")) { (cx.say(Text::Cancel)) }
                    }
                }
            }
        }
    }
}
