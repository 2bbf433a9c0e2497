//! The member who is logged in.

use std::ops::Deref;

/// The member who is logged in, checked to be a member still.
///
/// Without one, API callers get a 401 and browsers go to log in and come back. `Option<Member>`
/// is `None` when nobody is logged in, and also when the token store could not be asked; only a
/// missing session layer is still answered with 500. Needs [`layer`](crate::layer), or [`RequireMemberLayer`](crate::RequireMemberLayer).
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

    /// The core's member.
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
