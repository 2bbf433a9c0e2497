//! The ways a login can fail, each with a status and words for the person.

use std::time::Duration;

use http::StatusCode;

use super::Refusal;
use crate::Error;

/// Why a login did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginFailure {
    /// The member pressed cancel (`access_denied`).
    #[error("the member refused")]
    AccessDenied,
    /// Open Humans answered the authorization request with another error (RFC 6749
    /// section 4.1.2.1), or not in a form that could be read.
    #[error("Open Humans did not authorize: {0}")]
    NotAuthorized(String),
    /// The callback has no `state`, or neither `code` nor `error`.
    #[error("the callback is incomplete")]
    Incomplete,
    /// This browser has no login under way: its cookie is blocked or gone, or the callback was
    /// opened in another browser.
    #[error("no login is under way in this browser")]
    StateMissing,
    /// A login is under way, but not this one.
    #[error("the state does not belong to this browser")]
    StateMismatch,
    /// The login took too long.
    #[error("the login has expired")]
    StateExpired,
    /// This login was completed before.
    #[error("the login was used before")]
    StateUsed,
    /// Open Humans no longer takes the authorization code (`invalid_grant`).
    #[error("the authorization code has expired or was used before")]
    CodeExpired,
    /// Open Humans does not accept the app's client id and secret (`invalid_client`).
    #[error("the client id or the client secret is wrong")]
    ClientRefused,
    /// The member left the project while the login was under way.
    #[error("the member left while logging in")]
    LeftMeanwhile,
    /// The member left before, and the app's `DeauthHandler` is still at work on that.
    #[error("the member's earlier departure is still being dealt with")]
    StillLeaving,
    /// Open Humans could not be asked, or its answer was not understood.
    #[error("Open Humans could not be asked")]
    OpenHumans(#[source] Error),
    /// The app's own store failed.
    #[error("the token store failed")]
    Store(#[from] crate::store::StoreError),
    /// The app's [`LoginHandler`](super::LoginHandler) refused.
    #[error("the app refused")]
    App(Refusal),
}

impl LoginFailure {
    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::AccessDenied => StatusCode::FORBIDDEN,
            Self::Incomplete
            | Self::StateMissing
            | Self::StateMismatch
            | Self::StateExpired
            | Self::StateUsed
            | Self::CodeExpired => StatusCode::BAD_REQUEST,
            Self::LeftMeanwhile => StatusCode::CONFLICT,
            Self::ClientRefused => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotAuthorized(_) => StatusCode::BAD_GATEWAY,
            Self::OpenHumans(Error::Timeout) => StatusCode::GATEWAY_TIMEOUT,
            Self::OpenHumans(_) => StatusCode::BAD_GATEWAY,
            Self::Store(_) | Self::StillLeaving => StatusCode::SERVICE_UNAVAILABLE,
            Self::App(refusal) => refusal.status,
        }
    }

    /// When it is worth trying again, if that is known: the `Retry-After` of the answer.
    pub fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::StillLeaving).then_some(Duration::from_secs(60))
    }

    /// One word for logs and counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::NotAuthorized(_) => "not_authorized",
            Self::Incomplete => "incomplete",
            Self::StateMissing => "state_missing",
            Self::StateMismatch => "state_mismatch",
            Self::StateExpired => "state_expired",
            Self::StateUsed => "state_used",
            Self::CodeExpired => "code_expired",
            Self::ClientRefused => "client_refused",
            Self::LeftMeanwhile => "left_meanwhile",
            Self::StillLeaving => "still_leaving",
            Self::OpenHumans(_) => "open_humans",
            Self::Store(_) => "store",
            Self::App(_) => "app",
        }
    }

    /// A heading and an explanation for the person.
    pub(crate) fn explain(&self) -> (&'static str, String) {
        let (title, text) = match self {
            Self::AccessDenied => (
                "You were not logged in",
                "You chose not to authorize this app at Open Humans. Nothing was shared.",
            ),
            Self::Incomplete => (
                "That link is incomplete",
                "This address is where Open Humans sends you back after a login. It does not work \
                 on its own.",
            ),
            Self::StateMissing => (
                "No login is under way here",
                "The login was begun in another browser, or this browser did not keep its cookie. \
                 Please allow cookies for this site and log in again.",
            ),
            Self::StateMismatch => (
                "That login is not from this browser",
                "For your safety a login can only be completed in the browser that began it.",
            ),
            Self::StateExpired => (
                "The login took too long",
                "A login has to be completed within half an hour.",
            ),
            Self::StateUsed => (
                "That login was completed before",
                "Each login works once. Please log in again.",
            ),
            Self::CodeExpired => (
                "The login took too long",
                "Open Humans no longer accepts this authorization. Please log in again.",
            ),
            Self::ClientRefused => (
                "This app is not set up correctly",
                "Open Humans does not accept this app's credentials. This is not your fault; the \
                 people who run the app have to correct it.",
            ),
            Self::LeftMeanwhile => (
                "Your authorization was withdrawn",
                "You left this project at Open Humans after this login was begun. If you want to \
                 come back, please log in again.",
            ),
            Self::StillLeaving => (
                "Please wait a moment",
                "You left this project before, and this app is still seeing to that: it may be \
                 deleting what it kept of you. Please log in again in a minute.",
            ),
            Self::NotAuthorized(_) => (
                "Open Humans did not authorize this login",
                "This is not your fault. Please try again later.",
            ),
            Self::OpenHumans(Error::Timeout) => (
                "Open Humans is slow",
                "Open Humans did not answer in time. Please try again.",
            ),
            Self::OpenHumans(_) => (
                "Open Humans cannot be reached",
                "Open Humans did not answer as it should. Please try again in a few minutes.",
            ),
            Self::Store(_) => (
                "Something is not working here",
                "Your login could not be saved. Please try again in a few minutes.",
            ),
            Self::App(refusal) => return ("You were not logged in", refusal.reason.clone()),
        };
        (title, text.to_owned())
    }
}
