//! The extractor for the logged-in member.

use std::ops::Deref;

/// An extractor for the logged-in member, whose authorization has been checked.
///
/// Without a login, API clients get status 401 and browsers are redirected to the login, which
/// returns them to the same page. `Option<Member>` is `None` without a login, and also while the
/// token store is unavailable. A missing session layer is a 500 in both cases.
///
/// Needs [`layer`](crate::layer) or [`RequireMemberLayer`](crate::RequireMemberLayer).
///
/// ```
/// use oh_axum::Member;
///
/// async fn greet(member: Member) -> String {
///     format!("Hello, {}", member.username().unwrap_or("member"))
/// }
/// # fn takes<T, S>(_: impl axum::handler::Handler<T, S>) {}
/// # takes::<_, ()>(greet);
/// ```
#[derive(Clone, Debug)]
pub struct Member(oh_core::Member);

impl Member {
    pub(crate) fn new(member: oh_core::Member) -> Self {
        Self(member)
    }

    /// Returns the underlying [`oh_core::Member`].
    pub fn into_inner(self) -> oh_core::Member {
        self.0
    }
}

impl Deref for Member {
    type Target = oh_core::Member;

    fn deref(&self) -> &oh_core::Member {
        &self.0
    }
}
