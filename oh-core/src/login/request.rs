//! A login that the application starts itself.

use super::ReturnPath;

/// Maximum size of an application's context in bytes of JSON: it travels in a cookie.
pub(super) const MAX_CONTEXT: usize = 1024;

/// Maximum length of a scope list in bytes: it travels in a cookie.
pub(super) const MAX_SCOPE: usize = 128;

/// Options of a login that the application starts with
/// [`OpenHumans::start_login`](crate::OpenHumans::start_login).
///
/// Open Humans does not show the authorization page to members with a valid access token: the
/// login completes immediately, with the account of the browser's Open Humans session and the
/// permissions granted before. To offer another account or request more permissions, force the
/// page:
///
/// ```
/// use oh_core::login::LoginRequest;
///
/// let request = LoginRequest::new()
///     .context("connect to user 42")?
///     .force_approval();
/// # Ok::<(), oh_core::login::InvalidLoginRequest>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LoginRequest {
    pub(crate) return_to: Option<ReturnPath>,
    pub(crate) context: Option<String>,
    pub(crate) force_approval: bool,
    pub(crate) scope: Option<String>,
}

/// A value that a login cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLoginRequest {
    /// The context is too long.
    #[error("the context of a login must have at most {MAX_CONTEXT} bytes as JSON")]
    Context,
    /// The text is not a list of scopes (RFC 6749, section 3.3).
    #[error(
        "the scope must be a list such as `read write`, separated by single spaces, with at most \
         {MAX_SCOPE} bytes"
    )]
    Scope,
}

impl LoginRequest {
    /// Creates a request without return path and context.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the path to redirect to after the login.
    #[must_use]
    pub fn return_to(mut self, path: ReturnPath) -> Self {
        self.return_to = Some(path);
        self
    }

    /// Sets a text that the [`LoginHandler`](super::LoginHandler) receives with the login, such as
    /// "connect to user 42". The browser carries it encrypted and cannot read or change it.
    ///
    /// # Errors
    ///
    /// [`InvalidLoginRequest::Context`] if it is longer than 1,024 bytes as JSON.
    pub fn context(mut self, context: impl Into<String>) -> Result<Self, InvalidLoginRequest> {
        let context = context.into();
        let as_json = serde_json::to_string(&context).map_or(usize::MAX, |json| json.len());
        if as_json > MAX_CONTEXT {
            return Err(InvalidLoginRequest::Context);
        }
        self.context = Some(context);
        Ok(self)
    }

    /// Makes Open Humans show the authorization page (`approval_prompt=force`), with the choice of
    /// account and the project's current permissions.
    #[must_use]
    pub fn force_approval(mut self) -> Self {
        self.force_approval = true;
        self
    }

    /// Requests these scopes, such as `read write`, instead of the project's default. Open Humans
    /// shows the authorization page if the member's token lacks one of them.
    ///
    /// # Errors
    ///
    /// [`InvalidLoginRequest::Scope`] if it is not a list of scopes of at most 128 bytes.
    pub fn scope(mut self, scope: impl Into<String>) -> Result<Self, InvalidLoginRequest> {
        let scope = scope.into();
        let allowed = |b: u8| b.is_ascii_graphic() && !b"\"\\".contains(&b);
        let is_valid = scope.len() <= MAX_SCOPE
            && scope
                .split(' ')
                .all(|name| !name.is_empty() && name.bytes().all(allowed));
        if !is_valid {
            return Err(InvalidLoginRequest::Scope);
        }
        self.scope = Some(scope);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_accepts_only_lists_of_rfc_6749() {
        let max = "a".repeat(MAX_SCOPE);
        let too_long = "a".repeat(MAX_SCOPE + 1);
        for (text, is_valid) in [
            ("read", true),
            ("read write", true),
            ("american-gut go-viral", true),
            (max.as_str(), true),
            ("", false),
            (" ", false),
            ("a  b", false),
            ("a ", false),
            ("a\nb", false),
            ("a\"b", false),
            ("a\\b", false),
            ("é", false),
            (too_long.as_str(), false),
        ] {
            let error = LoginRequest::new().scope(text).err();
            let expected = (!is_valid).then_some(InvalidLoginRequest::Scope);
            assert_eq!(error, expected, "{text}");
        }
    }
}
