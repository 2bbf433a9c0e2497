//! The reasons why a login fails, each with an HTTP status and a text for the member.

use std::time::Duration;

use http::StatusCode;

use super::LoginRejected;
use crate::Error;
use crate::store::StoreError;

/// The reason why a login failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginFailure {
    /// The member canceled at Open Humans (`access_denied`).
    #[error("the member denied access")]
    AccessDenied,
    /// Open Humans answered the authorization request with another error (RFC 6749,
    /// section 4.1.2.1).
    #[error("Open Humans answered the authorization request with the error {0:?}")]
    AuthorizationError(String),
    /// The callback has no `state`, or neither `code` nor `error`.
    #[error("the callback lacks state, or both code and error")]
    IncompleteCallback,
    /// The browser sent no login cookie: it blocks cookies, or another browser started the login.
    #[error("the browser sent no login cookie")]
    StateMissing,
    /// The browser has pending logins, but none with this state.
    #[error("the state does not match a pending login of this browser")]
    StateMismatch,
    /// The login took longer than half an hour.
    #[error("the login expired")]
    StateExpired,
    /// A login with this state was completed before.
    #[error("the state was already used")]
    StateUsed,
    /// Open Humans rejected the authorization code (`invalid_grant`).
    #[error("the authorization code expired or was already used")]
    CodeExpired,
    /// Open Humans rejected the application's client id and secret (`invalid_client`).
    #[error("Open Humans rejected OPENHUMANS_CLIENT_ID or OPENHUMANS_CLIENT_SECRET")]
    InvalidClient,
    /// The member was deauthorized during the login.
    #[error("the member was deauthorized during the login")]
    Deauthorized,
    /// The application's `DeauthHandler` is still processing an earlier deauthorization of the
    /// member.
    #[error("an earlier deauthorization of the member is still being processed")]
    DeauthPending,
    /// A request to Open Humans failed.
    #[error("a request to Open Humans failed")]
    OpenHumans(#[source] Error),
    /// The token store or the inbox failed.
    #[error("the token store failed")]
    Store(#[from] StoreError),
    /// The application's [`LoginHandler`](super::LoginHandler) rejected the member.
    #[error("the application rejected the login")]
    Rejected(LoginRejected),
}

/// What a failure means to browsers, logs and members.
struct Description {
    status: StatusCode,
    reason: &'static str,
    title: &'static str,
    text: &'static str,
}

impl LoginFailure {
    /// Returns the HTTP status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Rejected(rejected) => rejected.status,
            _ => self.description().status,
        }
    }

    /// Returns a stable identifier for logs, metrics and translations, such as `state_expired`.
    pub fn reason(&self) -> &'static str {
        self.description().reason
    }

    /// The `Retry-After` of the response, if the time is known.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::DeauthPending).then_some(Duration::from_secs(60))
    }

    /// Returns a title and an explanation for the member, in English.
    pub fn explain(&self) -> (&'static str, &str) {
        let Description { title, text, .. } = self.description();
        match self {
            Self::Rejected(rejected) => (title, &rejected.reason),
            _ => (title, text),
        }
    }

    fn description(&self) -> Description {
        let (status, reason, title, text) = match self {
            Self::AccessDenied => (
                StatusCode::FORBIDDEN,
                "access_denied",
                "You are not logged in",
                "You did not authorize this app at Open Humans. No data was shared.",
            ),
            Self::AuthorizationError(_) => (
                StatusCode::BAD_GATEWAY,
                "authorization_error",
                "Open Humans did not authorize this login",
                "This is not your fault. Please try again later.",
            ),
            Self::IncompleteCallback => (
                StatusCode::BAD_REQUEST,
                "incomplete_callback",
                "This link is incomplete",
                "Open Humans uses this address to send you back after a login. It does not work \
                 on its own.",
            ),
            Self::StateMissing => (
                StatusCode::BAD_REQUEST,
                "state_missing",
                "No login was started in this browser",
                "You started the login in another browser, or this browser blocks cookies. Please \
                 allow cookies for this site and log in again.",
            ),
            Self::StateMismatch => (
                StatusCode::BAD_REQUEST,
                "state_mismatch",
                "This login was started in another browser",
                "For your security, a login must be completed in the browser that started it.",
            ),
            Self::StateExpired => (
                StatusCode::BAD_REQUEST,
                "state_expired",
                "The login took too long",
                "A login must be completed within half an hour. Please log in again.",
            ),
            Self::StateUsed => (
                StatusCode::BAD_REQUEST,
                "state_used",
                "This login was already completed",
                "Each login link works only once. Please log in again.",
            ),
            Self::CodeExpired => (
                StatusCode::BAD_REQUEST,
                "code_expired",
                "The login took too long",
                "Open Humans no longer accepts this authorization. Please log in again.",
            ),
            Self::InvalidClient => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "invalid_client",
                "This app is not set up correctly",
                "Open Humans does not accept this app's credentials. This is not your fault. The \
                 operators of the app must correct it.",
            ),
            Self::Deauthorized => (
                StatusCode::CONFLICT,
                "deauthorized",
                "Your authorization was withdrawn",
                "You left this project at Open Humans during the login. To join again, please log \
                 in again.",
            ),
            Self::DeauthPending => (
                StatusCode::SERVICE_UNAVAILABLE,
                "deauth_pending",
                "Please wait a moment",
                "You left this project before, and this app is still deleting your data. Please \
                 log in again in a minute.",
            ),
            Self::OpenHumans(Error::Timeout) => (
                StatusCode::GATEWAY_TIMEOUT,
                "open_humans",
                "Open Humans is slow",
                "Open Humans did not respond in time. Please try again.",
            ),
            Self::OpenHumans(_) => (
                StatusCode::BAD_GATEWAY,
                "open_humans",
                "Open Humans is unreachable",
                "Open Humans did not respond as expected. Please try again in a few minutes.",
            ),
            Self::Store(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store",
                "Something went wrong",
                "Your login could not be saved. Please try again in a few minutes.",
            ),
            Self::Rejected(_) => (
                StatusCode::FORBIDDEN,
                "rejected",
                "You are not logged in",
                "This app did not accept your login.",
            ),
        };
        Description {
            status,
            reason,
            title,
            text,
        }
    }
}
