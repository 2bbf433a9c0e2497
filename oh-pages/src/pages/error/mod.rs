//! The page for an error.

use maud::{Markup, html};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Access;
use crate::context::Context;
use crate::error::PageError;
use crate::layout::{Frame, Section, View};

/// An error.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct ErrorPage {
    /// Identifies the error.
    pub error: &'static str,
    /// An explanation in the negotiated language.
    pub message: String,
}

impl ErrorPage {
    pub(crate) fn new(error: &PageError, cx: &Context<'_>) -> Self {
        let id = format!("error-{}", error.code.replace('_', "-"));
        Self {
            error: error.code,
            message: cx.text_with(&id, &[("detail", &error.detail)]),
        }
    }
}

impl View for ErrorPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        Frame::new(cx.text("error-title"), Section::Public, "")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        let back = match cx.access {
            Some(Access::Staff) if self.error == "staff_only" => None,
            Some(Access::Staff) => Some(("/staff", "dashboard-title")),
            Some(Access::Member) if self.error != "disconnected" => Some(("/files", "files-title")),
            _ => Some(("/", "home-title")),
        };
        html! {
            div.narrow {
                h1 { (cx.text("error-title")) }
                div.notice.bad #error role="alert" data-error=(self.error) { p { (self.message) } }
                @if let Some((path, title)) = back {
                    p { a.button.quiet href=(cx.path(path)) { (cx.text(title)) } }
                }
            }
        }
    }
}
