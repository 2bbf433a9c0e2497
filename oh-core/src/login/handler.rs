//! What the app has to say when a member logs in.

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use http::request::Parts;

use super::{LoginFailure, Refusal, ReturnPath, Welcome};
use crate::ProjectMemberId;

/// The longest context of an app, in bytes as JSON: it travels in a cookie.
pub const MAX_CONTEXT: usize = 1024;

/// The longest scope of a login, in bytes: it travels in a cookie, too.
pub const MAX_SCOPE: usize = 128;

/// A login that the app starts itself.
///
/// Open Humans does not ask a member who holds a live token: the login goes through at once, with
/// the account the browser is logged in with and the permissions given before. An app that offers
/// another account, or has come to need more permissions, has the member asked:
///
/// ```
/// use oh_core::login::LoginRequest;
///
/// let another_account = LoginRequest::new().force_approval();
/// # let _ = another_account;
/// ```
#[derive(Clone, Debug, Default)]
pub struct LoginRequest {
    pub(crate) return_to: Option<ReturnPath>,
    pub(crate) context: Option<String>,
    pub(crate) force_approval: bool,
    pub(crate) scope: Option<String>,
}

/// The app's context is longer than [`MAX_CONTEXT`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the context of a login is at most {MAX_CONTEXT} bytes")]
pub struct ContextTooLong;

/// The text is not a list of scopes: names of visible ASCII without `"` and `\\`, each parted from
/// the next by one blank, [`MAX_SCOPE`] bytes in all (RFC 6749 section 3.3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of scopes, such as `read write`, of at most {MAX_SCOPE} bytes")]
pub struct InvalidScope;

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

    /// Has Open Humans ask the member in any case (`approval_prompt=force`), with the choice of
    /// account and the permissions as they are now.
    #[must_use]
    pub fn force_approval(mut self) -> Self {
        self.force_approval = true;
        self
    }

    /// Asks for these scopes, such as `read write`, and not for those the project has by default. A
    /// member whose live token does not have them all is asked.
    ///
    /// # Errors
    ///
    /// When it is not a list of scopes.
    pub fn scope(mut self, scope: impl Into<String>) -> Result<Self, InvalidScope> {
        let scope = scope.into();
        let visible = |b: u8| b.is_ascii_graphic() && !b"\"\\".contains(&b);
        let good = scope.len() <= MAX_SCOPE
            && scope
                .split(' ')
                .all(|name| !name.is_empty() && name.bytes().all(visible));
        if !good {
            return Err(InvalidScope);
        }
        self.scope = Some(scope);
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

    /// What to be told again of a login that begins at the route `/login`, as
    /// [`LoginRequest::context`] is of one that the app begins: the app's own user, where its users
    /// log in by other means. Default: nothing.
    ///
    /// `head` is the request's. With axum its extensions are there, and in them the session of
    /// axum-login; with actix-web there are the headers alone.
    async fn context(&self, _head: &Parts) -> Option<String> {
        None
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_what_the_rfc_calls_one() {
        let long = "a".repeat(MAX_SCOPE);
        for good in ["read", "read write", "american-gut go-viral", long.as_str()] {
            assert!(LoginRequest::new().scope(good).is_ok(), "{good}");
        }
        let long = "a".repeat(MAX_SCOPE + 1);
        for bad in [
            "",
            " ",
            "a  b",
            "a ",
            "a\nb",
            "a\"b",
            "a\\b",
            "é",
            long.as_str(),
        ] {
            let refused = LoginRequest::new().scope(bad).err();
            assert_eq!(refused, Some(InvalidScope), "{bad}");
        }
    }
}
