//! The decision of a login handler.

use http::StatusCode;

/// A member's login that the application accepts.
#[derive(Clone, Debug, Default)]
pub struct LoginAccepted {
    pub(crate) redirect_to: Option<String>,
}

impl LoginAccepted {
    /// Accepts the login and redirects to its return path, or to
    /// [`login_redirect_url`](crate::SettingsBuilder::login_redirect_url) if it has none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts the login and redirects to `url`, which can be a path.
    pub fn redirect_to(url: impl Into<String>) -> Self {
        Self {
            redirect_to: Some(url.into()),
        }
    }
}

/// A member's login that the application rejects.
#[derive(Clone, Debug)]
pub struct LoginRejected {
    pub(crate) reason: String,
    pub(crate) status: StatusCode,
}

impl LoginRejected {
    /// Rejects the login with status 403 and a reason that is shown to the member.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            status: StatusCode::FORBIDDEN,
        }
    }

    /// Replaces the status, for example with 503 if the application's database is unreachable.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}
