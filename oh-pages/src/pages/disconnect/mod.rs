//! Disconnecting a member, with or without erasure of the data.

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};
use oh_core::Member;
use oh_core::deauth::ErasureRequest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Page;
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::input::Input;
use crate::layout::View;
use crate::layout::{Frame, Section};
use crate::response::{Confirmation, Done};

/// A disconnection that the member must confirm.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct DisconnectPage {
    /// The Open Humans username, if the member shares it.
    pub username: Option<String>,
}

/// What happens to the member's data. There is no default.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Data {
    Erase,
    Keep,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct Choice {
    data: Data,
}

/// Shows who would be disconnected
#[utoipa::path(get, path = "/disconnect", responses(
    (status = 200, description = "The member", body = DisconnectPage),
))]
pub(crate) async fn form(Extension(member): Extension<Member>) -> Page {
    DisconnectPage {
        username: member.username().map(str::to_owned),
    }
    .into()
}

/// Disconnects the member, with or without erasure, and logs out
#[utoipa::path(
    post,
    path = "/disconnect",
    request_body(content((Choice = "application/json"), (Choice = "application/x-www-form-urlencoded"))),
    responses((status = 200, description = "The member is disconnected", body = Confirmation)),
)]
pub(crate) async fn disconnect(
    State(app): State<App>,
    Extension(member): Extension<Member>,
    Input(choice): Input<Choice>,
) -> Result<Done, PageError> {
    let (erasure, code) = match choice.data {
        Data::Erase => (ErasureRequest::Requested, "erasing"),
        Data::Keep => (ErasureRequest::NotRequested, "disconnected"),
    };
    app.openhumans().disconnect(member.id(), erasure).await?;
    Ok(Done {
        log_out: true,
        ..Done::new(code, "/")
    })
}

impl View for DisconnectPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        Frame::new(cx.text("disconnect-title"), Section::Member, "")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        let choice = |value: &'static str, title: &str, text: &str| {
            let hint = format!("{value}-hint");
            html! {
                div.choice {
                    input id=(value) type="radio" name="data" value=(value) required aria-describedby=(hint);
                    label for=(value) { (cx.text(title)) }
                    p.soft id=(hint) { (cx.text(text)) }
                }
            }
        };
        html! {
            div.narrow {
                h1 { (cx.text("disconnect-title")) }
                section.card {
                    p { (cx.text("disconnect-text")) }
                    form method="post" action=(cx.path("/disconnect")) {
                        fieldset {
                            legend { (cx.text("disconnect-data")) }
                            (choice("keep", "disconnect-keep", "disconnect-keep-text"))
                            (choice("erase", "disconnect-erase", "disconnect-erase-text"))
                        }
                        div.row {
                            button.danger #confirm { (cx.text("disconnect")) }
                            a.button.quiet href=(cx.path("/")) { (cx.text("cancel")) }
                        }
                    }
                }
            }
        }
    }
}
