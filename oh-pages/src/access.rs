//! The kinds of requests that a route accepts.

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone. The session is not read.
    Public,
    /// Anyone. Handlers extract `Option<Extension<Member>>`.
    Anyone,
    /// Members who are logged in. Handlers extract `Extension<Member>`.
    Member,
    /// Requests that the application's `StaffGuard` admits.
    Staff,
}
