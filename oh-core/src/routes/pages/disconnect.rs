//! The member's way out, with or without erasure.

use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::context::Context;
use super::form::Input;
use super::reply::{self, Outcome, Reply};
use crate::deauth::ErasureRequest;
use crate::pages::texts::Text;
use crate::pages::view::{DisconnectPage, DonePage, Page};
use crate::session::{Member, SessionChange};

/// What is to become of the data. There is no default: a form without it is refused.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Data {
    Erase,
    Keep,
}

#[derive(Deserialize)]
struct Choice {
    data: Data,
}

pub(super) fn ask(member: &Member) -> Outcome {
    reply::page(Page::Disconnect(DisconnectPage {
        username: member.username().map(str::to_owned),
    }))
}

pub(super) async fn disconnect(cx: &Context<'_>, member: &Member, input: Input) -> Outcome {
    let choice: Choice = input.parse(&cx.head.headers)?;
    let (erasure, done) = match choice.data {
        Data::Erase => (ErasureRequest::Requested, "erasing"),
        Data::Keep => (ErasureRequest::NotRequested, "disconnected"),
    };
    cx.openhumans.disconnect(member.id(), erasure).await?;
    let done = DonePage {
        done,
        ..DonePage::default()
    };
    Ok(Reply::Done {
        status: StatusCode::OK,
        to: "/".into(),
        done,
        change: SessionChange::LogOut,
    })
}

pub(super) fn html(cx: &Context<'_>, _: &DisconnectPage) -> Markup {
    let choice = |value: &'static str, title: Text, text: Text| {
        let hint = format!("{value}-hint");
        html! {
            div.choice {
                input id=(value) type="radio" name="data" value=(value) required aria-describedby=(hint);
                label for=(value) { (cx.say(title)) }
                p.soft id=(hint) { (cx.say(text)) }
            }
        }
    };
    html! {
        div.narrow {
            h1 { (cx.say(Text::DisconnectTitle)) }
            section.card {
                p { (cx.say(Text::DisconnectText)) }
                form method="post" action=(cx.path("/disconnect")) {
                    fieldset {
                        legend { (cx.say(Text::DataHere)) }
                        (choice("keep", Text::KeepData, Text::KeepDataText))
                        (choice("erase", Text::EraseData, Text::EraseDataText))
                    }
                    div.row {
                        button.danger #confirm { (cx.say(Text::Disconnect)) }
                        a.button.quiet href=(cx.path("/")) { (cx.say(Text::Cancel)) }
                    }
                }
            }
        }
    }
}
