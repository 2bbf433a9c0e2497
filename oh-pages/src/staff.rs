//! Access to the erasure dashboard.

use async_trait::async_trait;
use http::request::Parts;
use oh_core::Member;

/// Grants access to the erasure dashboard. Implemented for closures.
///
/// The dashboard shows events without names or ids, and the history of a member whose id the
/// visitor already knows. Its actions can start erasures.
#[async_trait]
pub trait StaffGuard: Send + Sync + 'static {
    /// Returns whether `request` comes from a staff member. `member` is the Open Humans member who
    /// is logged in, if any. With axum, `request` has the extensions that layers inserted.
    async fn admits(&self, request: &Parts, member: Option<&Member>) -> bool;
}

#[async_trait]
impl<F> StaffGuard for F
where
    F: Fn(&Parts, Option<&Member>) -> bool + Send + Sync + 'static,
{
    async fn admits(&self, request: &Parts, member: Option<&Member>) -> bool {
        self(request, member)
    }
}
