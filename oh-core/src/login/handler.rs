//! The application's part in a login.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use http::request::Parts;

use super::{LoginAccepted, LoginFailure, LoginRejected, ReturnPath};
use crate::ProjectMemberId;

/// An authorized member about to be logged in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthorizedMember {
    /// The project member id.
    pub member: ProjectMemberId,
    /// The Open Humans username, if the member shares it with the project.
    pub username: Option<String>,
    /// The text passed to [`LoginRequest::context`](super::LoginRequest::context) or returned by
    /// [`LoginHandler::context`].
    pub context: Option<String>,
    /// The requested path after the login.
    pub return_to: Option<ReturnPath>,
    /// Whether the member was already authorized before this login, on any device.
    pub returning: bool,
}

/// Accepts or rejects members who log in, and connects them to the application's users.
///
/// The member's tokens are stored before the handler is called, so it can use the API. If it
/// rejects a new member, the tokens are revoked and deleted.
///
/// ```
/// use oh_core::login::{AuthorizedMember, LoginAccepted, LoginHandler, LoginRejected};
///
/// struct Users;
///
/// #[async_trait::async_trait]
/// impl LoginHandler for Users {
///     async fn logged_in(&self, login: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
///         match login.username.as_deref() {
///             Some("mallory") => Err(LoginRejected::new("This account is closed.")),
///             _ if login.returning => Ok(LoginAccepted::new()),
///             _ => Ok(LoginAccepted::redirect_to("/getting-started")),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait LoginHandler: Send + Sync + 'static {
    /// Decides about one login. Called once for each login that Open Humans has authorized.
    ///
    /// # Errors
    ///
    /// [`LoginRejected`] if the member must not be logged in.
    async fn logged_in(&self, login: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected>;

    /// Returns the context of a login that starts at the route `/login`, for example the id of
    /// the application's user if users log in by other means. Default: no context.
    ///
    /// `head` is the head of the request. With axum it contains the request's extensions, such as
    /// the session of axum-login; with actix-web it contains the headers only.
    async fn context(&self, _head: &Parts) -> Option<String> {
        None
    }

    /// Returns the response to a failed login. Default: `None`, which shows a page with the reason
    /// and a button that starts another login.
    ///
    /// The response is sent unchanged. To offer another attempt, include a form with method POST
    /// and [`FailedLogin::retry_url`] as its action.
    async fn login_failed(
        &self,
        _failure: &LoginFailure,
        _login: &FailedLogin,
    ) -> Option<Response<Bytes>> {
        None
    }
}

/// The known details of a login that failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FailedLogin {
    /// The context of the login, see [`AuthorizedMember::context`].
    pub context: Option<String>,
    /// The requested path after the login.
    pub return_to: Option<ReturnPath>,
    /// The URL to POST to for another login with the same context and return path.
    pub retry_url: String,
}

/// The default handler: accepts every member.
pub(crate) struct AcceptAllLogins;

#[async_trait]
impl LoginHandler for AcceptAllLogins {
    async fn logged_in(&self, _login: &AuthorizedMember) -> Result<LoginAccepted, LoginRejected> {
        Ok(LoginAccepted::new())
    }
}
