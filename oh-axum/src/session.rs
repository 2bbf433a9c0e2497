//! The host's session: the little we need of it, and tower-sessions' as it comes.

use std::future::Future;

use futures_util::future::BoxFuture;
use http::Extensions;
use oh_core::transport::BoxError;
use oh_core::{SessionChange, SessionMember};

/// What is needed of a session library: who the session says is there, and changing that.
///
/// Implemented for `tower_sessions::Session` (feature `tower-sessions`). For another library,
/// implement it for the type which that library's layer puts in the request extensions (wrap it
/// if it is not yours), and mount with [`router_with_session`](crate::router_with_session) and
/// [`layer_with_session`](crate::layer_with_session).
///
/// ```
/// use std::convert::Infallible;
/// use std::sync::{Arc, Mutex};
///
/// use oh_axum::HostSession;
/// use oh_core::{OpenHumans, SessionMember};
///
/// /// Some library's session: a number that names it, and what is kept under that name.
/// #[derive(Clone, Default)]
/// struct MySession(Arc<Mutex<(u64, Option<SessionMember>)>>);
///
/// impl HostSession for MySession {
///     type Error = Infallible;
///
///     async fn member(&self) -> Result<Option<SessionMember>, Infallible> {
///         Ok(self.0.lock().unwrap().1.clone())
///     }
///
///     async fn log_in(&self, member: &SessionMember) -> Result<(), Infallible> {
///         let mut session = self.0.lock().unwrap();
///         *session = (session.0 + 1, Some(member.clone()));
///         Ok(())
///     }
///
///     async fn log_out(&self) -> Result<(), Infallible> {
///         let mut session = self.0.lock().unwrap();
///         *session = (session.0 + 1, None);
///         Ok(())
///     }
/// }
///
/// fn app(openhumans: &OpenHumans) -> axum::Router {
///     axum::Router::new()
///         .nest("/openhumans", oh_axum::router_with_session::<MySession, ()>(openhumans))
///         .layer(oh_axum::layer_with_session::<MySession>(openhumans))
/// }
/// ```
pub trait HostSession: Clone + Send + Sync + 'static {
    /// Why the session could not be read or changed.
    type Error: Into<BoxError>;

    /// What the last [`log_in`](Self::log_in) put there. A value that cannot be read, from
    /// another version for instance, counts as none.
    fn member(&self) -> impl Future<Output = Result<Option<SessionMember>, Self::Error>> + Send;

    /// Keeps `member` and renews the session's id, so that an id known before the login is worth
    /// nothing after it. What else the app keeps in the session stays.
    fn log_in(
        &self,
        member: &SessionMember,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Removes the member and renews the session's id. What else the app keeps in the session
    /// stays.
    fn log_out(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// The same for each version of tower-sessions.
macro_rules! tower_sessions {
    ($feature:literal, $library:ident) => {
        #[cfg(feature = $feature)]
        impl HostSession for $library::Session {
            type Error = $library::session::Error;

            async fn member(&self) -> Result<Option<SessionMember>, Self::Error> {
                match self.get(oh_core::SESSION_KEY).await {
                    Err($library::session::Error::SerdeJson(_)) => Ok(None),
                    read => read,
                }
            }

            async fn log_in(&self, member: &SessionMember) -> Result<(), Self::Error> {
                self.cycle_id().await?;
                self.insert(oh_core::SESSION_KEY, member).await
            }

            async fn log_out(&self) -> Result<(), Self::Error> {
                self.cycle_id().await?;
                self.remove_value(oh_core::SESSION_KEY).await?;
                Ok(())
            }
        }
    };
}

tower_sessions!("tower-sessions", tower_sessions);
tower_sessions!("tower-sessions-014", tower_sessions_014);

/// How to get at the session of a request: a [`HostSession`] whose type is forgotten, so that
/// extractors need no type parameter.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    pub(crate) member: fn(&Extensions) -> Option<Outcome<'_, Option<SessionMember>>>,
    pub(crate) open: fn(&Extensions) -> Option<Box<dyn AnySession>>,
}

pub(crate) type Outcome<'a, T> = BoxFuture<'a, Result<T, BoxError>>;

impl Access {
    pub(crate) fn to<H: HostSession>() -> Self {
        Self {
            member: |extensions| Some(extensions.get::<H>()?.any_member()),
            open: |extensions| Some(Box::new(extensions.get::<H>()?.clone())),
        }
    }
}

/// A session taken out of its request, which the core is given.
pub(crate) trait AnySession: Send + Sync {
    fn any_member(&self) -> Outcome<'_, Option<SessionMember>>;
    fn apply(&self, change: SessionChange) -> Outcome<'_, ()>;
}

impl<H: HostSession> AnySession for H {
    fn any_member(&self) -> Outcome<'_, Option<SessionMember>> {
        Box::pin(async move { self.member().await.map_err(Into::into) })
    }

    fn apply(&self, change: SessionChange) -> Outcome<'_, ()> {
        Box::pin(async move {
            match change {
                SessionChange::Keep => Ok(()),
                SessionChange::LogIn(member) => self.log_in(&member).await.map_err(Into::into),
                SessionChange::LogOut => self.log_out().await.map_err(Into::into),
            }
        })
    }
}

#[cfg(all(test, feature = "tower-sessions"))]
mod tests {
    use std::sync::Arc;

    use tower_sessions::{MemoryStore, Session};

    use super::*;
    use crate::test_support::alice;

    #[tokio::test]
    async fn logging_in_and_out_renews_the_id_and_leaves_the_rest_alone() {
        let (_, alice) = alice().await;
        let session = Session::new(None, Arc::new(MemoryStore::default()), None);
        session.insert("theme", "dark").await.unwrap();
        session.save().await.unwrap();
        let mut ids = vec![session.id()];

        session.log_in(&alice).await.unwrap();
        session.save().await.unwrap();
        ids.push(session.id());
        assert_eq!(session.member().await.unwrap(), Some(alice));

        session.log_out().await.unwrap();
        session.save().await.unwrap();
        ids.push(session.id());
        assert_eq!(session.member().await.unwrap(), None);

        let theme: Option<String> = session.get("theme").await.unwrap();
        assert_eq!(theme.as_deref(), Some("dark"));
        assert!(ids.iter().all(Option::is_some));
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_read_counts_as_none() {
        let session = Session::new(None, Arc::new(MemoryStore::default()), None);
        session.insert(oh_core::SESSION_KEY, 42).await.unwrap();
        assert_eq!(session.member().await.unwrap(), None);
    }
}
