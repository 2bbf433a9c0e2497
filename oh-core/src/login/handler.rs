//! What the app has to say when a member logs in.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;

use super::{LoginFailure, Refusal, ReturnPath, Welcome};
use crate::ProjectMemberId;

/// The longest context of an app, in bytes as JSON: it travels in a cookie.
pub const MAX_CONTEXT: usize = 1024;

/// A login that the app starts itself.
#[derive(Clone, Debug, Default)]
pub struct LoginRequest {
    pub(crate) return_to: Option<ReturnPath>,
    pub(crate) context: Option<String>,
}

/// The app's context is longer than [`MAX_CONTEXT`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the context of a login is at most {MAX_CONTEXT} bytes")]
pub struct ContextTooLong;

impl LoginRequest {
    /// One with the usual end and no context.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the login should end.
    #[must_use]
    pub fn return_to(mut self, path: ReturnPath) -> Self {
        self.return_to = Some(path);
        self
    }

    /// What the app wants to be told again when the member is back, such as "connect this to
    /// user 42". The browser carries it sealed: it can neither read nor change it.
    ///
    /// # Errors
    ///
    /// When it is longer than [`MAX_CONTEXT`].
    pub fn context(mut self, context: impl Into<String>) -> Result<Self, ContextTooLong> {
        let context = context.into();
        let as_json = serde_json::to_string(&context).map_or(usize::MAX, |json| json.len());
        if as_json > MAX_CONTEXT {
            return Err(ContextTooLong);
        }
        self.context = Some(context);
        Ok(self)
    }
}

/// A member who has authorized the project and is about to be logged in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoggedIn {
    /// Who.
    pub member: ProjectMemberId,
    /// The Open Humans username, if the member shares it with the project.
    pub username: Option<String>,
    /// What the app gave to [`LoginRequest::context`].
    pub context: Option<String>,
    /// Where the login was to lead.
    pub return_to: Option<ReturnPath>,
    /// Whether the member was authorized already, here or on another device.
    pub returning: bool,
}

/// Tells the app who logged in, and asks whether that is welcome.
///
/// The member's tokens are stored before the handler is called, so it may use the API. When it
/// refuses a member who was not authorized before, they are revoked and removed again.
///
/// ```
/// use oh_core::login::{LoggedIn, LoginHandler, Refusal, Welcome};
///
/// struct Users;
///
/// #[async_trait::async_trait]
/// impl LoginHandler for Users {
///     async fn logged_in(&self, login: &LoggedIn) -> Result<Welcome, Refusal> {
///         match login.username.as_deref() {
///             Some("mallory") => Err(Refusal::new("This account is closed.")),
///             _ if login.returning => Ok(Welcome::new()),
///             _ => Ok(Welcome::to("/getting-started")),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait LoginHandler: Send + Sync + 'static {
    /// Called once for each completed login.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] keeps the member out.
    async fn logged_in(&self, login: &LoggedIn) -> Result<Welcome, Refusal>;

    /// Called when a login has failed, to answer in the app's own way. Default: `None`, and the
    /// person sees a page that says why and lets them try again.
    ///
    /// The answer is sent as it is; send the person to [`FailedLogin::retry_url`] by a form with
    /// method POST to try again.
    async fn login_failed(
        &self,
        _failure: &LoginFailure,
        _login: &FailedLogin,
    ) -> Option<Response<Bytes>> {
        None
    }
}

/// A login that failed, as far as it is known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FailedLogin {
    /// What the app gave to [`LoginRequest::context`].
    pub context: Option<String>,
    /// Where the login was to lead.
    pub return_to: Option<ReturnPath>,
    /// Where to POST to begin another, with the same context and the same end.
    pub retry_url: String,
}

/// The default: everyone is welcome.
#[derive(Clone, Copy, Debug, Default)]
pub struct WelcomeEveryone;

#[async_trait]
impl LoginHandler for WelcomeEveryone {
    async fn logged_in(&self, _login: &LoggedIn) -> Result<Welcome, Refusal> {
        Ok(Welcome::new())
    }
}
