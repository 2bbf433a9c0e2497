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

impl LoginFailure {
    /// Returns the HTTP status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::AccessDenied => StatusCode::FORBIDDEN,
            Self::IncompleteCallback
            | Self::StateMissing
            | Self::StateMismatch
            | Self::StateExpired
            | Self::StateUsed
            | Self::CodeExpired => StatusCode::BAD_REQUEST,
            Self::Deauthorized => StatusCode::CONFLICT,
            Self::InvalidClient => StatusCode::INTERNAL_SERVER_ERROR,
            Self::OpenHumans(Error::Timeout) => StatusCode::GATEWAY_TIMEOUT,
            Self::OpenHumans(_) | Self::AuthorizationError(_) => StatusCode::BAD_GATEWAY,
            Self::Store(_) | Self::DeauthPending => StatusCode::SERVICE_UNAVAILABLE,
            Self::Rejected(rejected) => rejected.status,
        }
    }

    /// Returns a stable identifier for logs, metrics and translations, such as `state_expired`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::AuthorizationError(_) => "authorization_error",
            Self::IncompleteCallback => "incomplete_callback",
            Self::StateMissing => "state_missing",
            Self::StateMismatch => "state_mismatch",
            Self::StateExpired => "state_expired",
            Self::StateUsed => "state_used",
            Self::CodeExpired => "code_expired",
            Self::InvalidClient => "invalid_client",
            Self::Deauthorized => "deauthorized",
            Self::DeauthPending => "deauth_pending",
            Self::OpenHumans(_) => "open_humans",
            Self::Store(_) => "store",
            Self::Rejected(_) => "rejected",
        }
    }

    /// The `Retry-After` of the response, if the time is known.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::DeauthPending).then_some(Duration::from_secs(60))
    }

    /// Returns an explanation for the member in English.
    pub fn explanation(&self) -> &str {
        match self {
            Self::AccessDenied => "You did not authorize this app at Open Humans.",
            Self::AuthorizationError(_) => "Open Humans did not authorize this login.",
            Self::IncompleteCallback => "This link is incomplete.",
            Self::StateMissing => {
                "No login was started in this browser, or it blocks cookies. Please allow cookies \
                 for this site."
            }
            Self::StateMismatch => "This login was started in another browser.",
            Self::StateExpired => {
                "The login took too long. It must be completed within half an hour."
            }
            Self::StateUsed => "This login was already completed.",
            Self::CodeExpired => {
                "The login took too long. Open Humans no longer accepts this authorization."
            }
            Self::InvalidClient => {
                "This app is not set up correctly: Open Humans does not accept its credentials. \
                 This is not your fault."
            }
            Self::Deauthorized => "You left this project at Open Humans during the login.",
            Self::DeauthPending => {
                "You left this project before, and this app is still deleting your data. Please \
                 try again in a minute."
            }
            Self::OpenHumans(Error::Timeout) => "Open Humans is slow and did not respond in time.",
            Self::OpenHumans(_) => {
                "Open Humans is unreachable or did not respond as expected. Please try again in a \
                 few minutes."
            }
            Self::Store(_) => "Your login could not be saved. Please try again in a few minutes.",
            Self::Rejected(rejected) => &rejected.reason,
        }
    }
}
