//! What the app says of a member who has come: welcome, or not.

use http::StatusCode;

/// The member may come in.
#[derive(Clone, Debug, Default)]
pub struct Welcome {
    pub(crate) redirect_to: Option<String>,
}

impl Welcome {
    /// To where the login was to lead.
    pub fn new() -> Self {
        Self::default()
    }

    /// To a path or URL of the app's choice.
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            redirect_to: Some(url.into()),
        }
    }
}

/// The member may not come in.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub(crate) reason: String,
    pub(crate) status: StatusCode,
}

impl Refusal {
    /// With a reason the person sees, and status 403.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            status: StatusCode::FORBIDDEN,
        }
    }

    /// With another status, for instance 503 when the app's own database is down.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}
