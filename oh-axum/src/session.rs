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

#[cfg(feature = "tower-sessions")]
impl HostSession for tower_sessions::Session {
    type Error = tower_sessions::session::Error;

    async fn member(&self) -> Result<Option<SessionMember>, Self::Error> {
        let value = self.get_value(oh_core::SESSION_KEY).await?;
        Ok(value.and_then(|value| serde_json::from_value(value).ok()))
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

/// A [`HostSession`] whose type is forgotten, so that extractors need no type parameter.
pub(crate) trait AnySession: Send + Sync {
    fn member(&self) -> BoxFuture<'_, Result<Option<SessionMember>, BoxError>>;
    fn apply(&self, change: SessionChange) -> BoxFuture<'_, Result<(), BoxError>>;
}

impl<H: HostSession> AnySession for H {
    fn member(&self) -> BoxFuture<'_, Result<Option<SessionMember>, BoxError>> {
        Box::pin(async move { HostSession::member(self).await.map_err(Into::into) })
    }

    fn apply(&self, change: SessionChange) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async move {
            match change {
                SessionChange::Keep => Ok(()),
                SessionChange::LogIn(member) => self.log_in(&member).await.map_err(Into::into),
                SessionChange::LogOut => self.log_out().await.map_err(Into::into),
            }
        })
    }
}

/// Finds the session of a request.
pub(crate) type Open = fn(&Extensions) -> Option<Box<dyn AnySession>>;

pub(crate) fn open<H: HostSession>(extensions: &Extensions) -> Option<Box<dyn AnySession>> {
    let session = extensions.get::<H>()?;
    Some(Box::new(session.clone()))
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
        assert_eq!(HostSession::member(&session).await.unwrap(), Some(alice));

        session.log_out().await.unwrap();
        session.save().await.unwrap();
        ids.push(session.id());
        assert_eq!(HostSession::member(&session).await.unwrap(), None);

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
        assert_eq!(HostSession::member(&session).await.unwrap(), None);
    }
}
