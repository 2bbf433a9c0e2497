//! Why a page could not do what was asked, in a form people understand.

use http::StatusCode;

use crate::Error;
use crate::deauth::InboxError;
use crate::pages::texts::Text;
use crate::store::StoreError;

/// What went wrong, with the status it is answered with.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) text: Text,
    /// What is filled into the text.
    pub(super) why: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, text: Text) -> Self {
        Self {
            status,
            code,
            text,
            why: String::new(),
        }
    }

    pub(super) fn elsewhere() -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross_site", Text::ElsewhereProblem)
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", Text::NotFoundProblem)
    }

    pub(super) fn no_such_file() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_such_file",
            Text::NoSuchFileProblem,
        )
    }

    pub(super) fn not_own_file() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "not_own_file",
            Text::NotOwnFileProblem,
        )
    }

    pub(super) fn form() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_form", Text::FormProblem)
    }

    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            Text::TooLargeProblem,
        )
    }

    fn store(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a page could not be shown: a store did not answer");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store", Text::StoreProblem)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::store(&error)
    }
}

impl From<InboxError> for Problem {
    fn from(error: InboxError) -> Self {
        Self::store(&error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, code, text) = match &error {
            Error::InvalidInput { reason, .. } => {
                let problem = Self::new(StatusCode::BAD_REQUEST, "invalid", Text::InputProblem);
                let why = reason.clone();
                return Self { why, ..problem };
            }
            Error::TooLarge { .. } => return Self::too_large(),
            Error::Deauthorized => (StatusCode::UNAUTHORIZED, "left", Text::LeftProblem),
            Error::NotFound => return Self::no_such_file(),
            Error::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout", Text::SlowProblem),
            Error::TokenSource(_) => return Self::store(&error),
            _ => (
                StatusCode::BAD_GATEWAY,
                "open_humans",
                Text::OpenHumansProblem,
            ),
        };
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, code, "Open Humans did not do what a page asked for");
        Self::new(status, code, text)
    }
}
