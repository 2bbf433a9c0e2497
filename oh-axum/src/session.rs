//! Access to the session of the host application.

use std::future::Future;

use futures_util::future::BoxFuture;
use http::Extensions;
use oh_core::transport::BoxError;
use oh_core::{SessionChange, SessionMember};

/// A session that can store the logged-in member.
///
/// It is implemented for `tower_sessions::Session` (feature `tower-sessions`). For another session
/// library, implement it for the type that the library's layer adds to the request extensions, in a
/// wrapper type if necessary, and mount with [`router_with_session`](crate::router_with_session)
/// and [`layer_with_session`](crate::layer_with_session).
///
/// ```
/// use std::convert::Infallible;
/// use std::sync::{Arc, Mutex};
///
/// use oh_axum::HostSession;
/// use oh_core::{OpenHumans, SessionMember};
///
/// /// The session of some library: an id and the stored member.
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
    /// The error of a session that cannot be read or changed.
    type Error: Into<BoxError>;

    /// Returns the member stored by the last [`log_in`](Self::log_in).
    ///
    /// A value that cannot be deserialized, for example one of another version, counts as `None`.
    fn member(&self) -> impl Future<Output = Result<Option<SessionMember>, Self::Error>> + Send;

    /// Stores `member` and renews the session id, which prevents session fixation.
    ///
    /// Other values in the session must not change.
    fn log_in(
        &self,
        member: &SessionMember,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Removes the member and renews the session id.
    ///
    /// Other values in the session must not change.
    fn log_out(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Implements [`HostSession`] for one version of tower-sessions.
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

/// Type-erased access to a request's [`HostSession`], so that extractors need no type parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) member: fn(&Extensions) -> Option<SessionFuture<'_, Option<SessionMember>>>,
    pub(crate) open: fn(&Extensions) -> Option<Box<dyn ApplyChange>>,
}

pub(crate) type SessionFuture<'a, T> = BoxFuture<'a, Result<T, BoxError>>;

impl Access {
    pub(crate) fn to<H: HostSession>() -> Self {
        Self {
            member: |extensions| {
                let session = extensions.get::<H>()?;
                Some(Box::pin(async {
                    session.member().await.map_err(Into::into)
                }))
            },
            open: |extensions| Some(Box::new(extensions.get::<H>()?.clone())),
        }
    }
}

/// A type-erased [`HostSession`] that outlives its request.
pub(crate) trait ApplyChange: Send + Sync {
    fn apply(&self, change: SessionChange) -> SessionFuture<'_, ()>;
}

impl<H: HostSession> ApplyChange for H {
    fn apply(&self, change: SessionChange) -> SessionFuture<'_, ()> {
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
    async fn session_renews_id_and_keeps_other_values_on_login_and_logout() {
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
    async fn session_has_no_member_when_value_is_unreadable() {
        let session = Session::new(None, Arc::new(MemoryStore::default()), None);
        session.insert(oh_core::SESSION_KEY, 42).await.unwrap();
        assert_eq!(session.member().await.unwrap(), None);
    }
}
