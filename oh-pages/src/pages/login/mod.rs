//! The pages of the login routes: a failed login, and confirmations of login and logout.

use maud::{Markup, html};
use oh_core::Error;
use oh_core::login::LoginFailure;
use serde::Serialize;
use utoipa::ToSchema;

use crate::context::Context;
use crate::layout::View;
use crate::layout::{Frame, Section};

/// A failed login, or a login that the visitor must confirm.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct LoginPage {
    /// The [reason](oh_core::login::LoginFailure::reason) of a failure.
    pub error: Option<&'static str>,
    /// The heading.
    pub title: String,
    /// An explanation.
    pub message: String,
    /// Where a form posts to start the login.
    pub login_url: String,
}

impl LoginPage {
    pub(crate) fn failed(cx: &Context<'_>, failure: &LoginFailure, retry_url: &str) -> Self {
        let reason = failure.reason();
        let id = format!("login-failed-{}", reason.replace('_', "-"));
        let title = cx.text_if_present(&format!("{id}-title"));
        let message = match failure {
            // The application gave the reason.
            LoginFailure::Rejected(_) => None,
            LoginFailure::OpenHumans(Error::Timeout) => Some(cx.text("error-timeout")),
            _ => cx.text_if_present(&id),
        };
        Self {
            error: Some(reason),
            title: title.unwrap_or_else(|| cx.text("not-logged-in-title")),
            message: message.unwrap_or_else(|| failure.explanation().to_owned()),
            login_url: retry_url.to_owned(),
        }
    }

    /// Another website sent the visitor to the login.
    pub(crate) fn confirm(cx: &Context<'_>, login_url: &str) -> Self {
        Self {
            error: None,
            title: cx.text("log-in-title"),
            message: cx.text("log-in-confirm"),
            login_url: login_url.to_owned(),
        }
    }
}

impl View for LoginPage {
    fn frame(&self, _: &Context<'_>) -> Frame {
        Frame::new(self.title.clone(), Section::Public, "")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        let button = match self.error {
            Some(_) => "try-again",
            None => "log-in",
        };
        html! {
            div.narrow {
                h1 { (self.title) }
                section.card {
                    p #message { (self.message) }
                    form method="post" action=(self.login_url) {
                        button #login { (cx.text(button)) }
                    }
                }
            }
        }
    }
}

/// A logout that the visitor must confirm.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[non_exhaustive]
pub struct LogoutPage {
    /// Where a form posts to log out.
    pub logout_url: String,
}

impl View for LogoutPage {
    fn frame(&self, cx: &Context<'_>) -> Frame {
        Frame::new(cx.text("log-out"), Section::Public, "")
    }

    fn html(&self, cx: &Context<'_>) -> Markup {
        html! {
            div.narrow {
                h1 { (cx.text("log-out")) }
                section.card {
                    p.soft { (cx.text("log-out-text")) }
                    form method="post" action=(self.logout_url) {
                        button #logout { (cx.text("log-out")) }
                    }
                }
            }
        }
    }
}
