//! Errors that end a request.

use std::error::Error as StdError;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use oh_core::Error;
use oh_core::deauth::InboxError;
use oh_core::store::StoreError;

use crate::response;

/// An error that ends a request.
#[derive(Clone, Debug)]
pub(crate) struct PageError {
    pub(crate) status: StatusCode,
    /// Identifies the error for programs, and its message `error-…`.
    pub(crate) code: &'static str,
    /// The argument `detail` of the message.
    pub(crate) detail: String,
}

impl PageError {
    pub(crate) fn new(status: StatusCode, code: &'static str) -> Self {
        Self {
            status,
            code,
            detail: String::new(),
        }
    }

    pub(crate) fn cross_site() -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross_site")
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found")
    }

    pub(crate) fn no_such_file() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_file")
    }

    pub(crate) fn bad_form() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_form")
    }

    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large")
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal")
    }

    /// The error for a response that something else than a page made, by its status.
    pub(crate) fn for_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::SERVICE_UNAVAILABLE => "store",
            status if status.is_server_error() => "internal",
            _ => "bad_request",
        };
        Self::new(status, code)
    }

    fn store(error: &(dyn StdError + 'static)) -> Self {
        tracing::error!(error, "failed to access a store for a page");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store")
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        response::deferred(self)
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::store(&error)
    }
}

impl From<InboxError> for PageError {
    fn from(error: InboxError) -> Self {
        Self::store(&error)
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        let (status, code) = match &error {
            Error::InvalidInput { reason, .. } => {
                return Self {
                    detail: reason.clone(),
                    ..Self::new(StatusCode::BAD_REQUEST, "invalid")
                };
            }
            Error::TooLarge { .. } => return Self::too_large(),
            Error::Deauthorized => (StatusCode::UNAUTHORIZED, "disconnected"),
            Error::NotFound => return Self::no_such_file(),
            Error::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Error::TokenSource(_) => return Self::store(&error),
            _ => (StatusCode::BAD_GATEWAY, "open_humans"),
        };
        let error = &error as &dyn StdError;
        tracing::warn!(error, code, "failed to call Open Humans for a page");
        Self::new(status, code)
    }
}
