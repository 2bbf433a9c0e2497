//! What leaving means to the app: the [`DeauthHandler`] trait.
//!
//! The library sees to tokens and sessions; what else there is of a member only the app knows.

use std::future::Future;

use async_trait::async_trait;

use super::event::{DeauthEvent, Discovery, ErasureRequest};
use crate::settings::DeletionPolicy;
use crate::transport::BoxError;

/// A member has left: what the handler is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Departure {
    /// Who, when, and what is known of the member's wish.
    pub event: DeauthEvent,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Whether the member's data should be deleted: the [`DeletionPolicy`] applied to the wish.
    pub delete_data: bool,
}

impl Departure {
    /// What a handler is told of `event` under `policy`. The worker makes these; so can an app's
    /// tests.
    pub fn new(event: DeauthEvent, attempt: u32, policy: DeletionPolicy) -> Self {
        let delete_data = match event.erasure {
            ErasureRequest::Requested => policy.on_erasure,
            ErasureRequest::NotRequested => policy.on_deauth,
            ErasureRequest::Unknown => policy.on_unknown && event.discovery != Discovery::TokenLoss,
        };
        Self {
            event,
            attempt,
            delete_data,
        }
    }
}

/// What leaving means to the app.
///
/// The worker calls it for each event, after the member's tokens are gone, and again until it
/// succeeds. It is called at least once: a process that dies after the handler succeeded and
/// before that was recorded leaves the next process to call it again. So deleting what is already
/// deleted must succeed.
///
/// ```
/// use async_trait::async_trait;
/// use oh_core::deauth::{DeauthHandler, Departure};
/// use oh_core::transport::BoxError;
///
/// struct Diaries { /* the app's own database */ }
///
/// impl Diaries {
///     async fn delete_all(&self, member: &str) -> Result<(), BoxError> { Ok(()) }
///     async fn disconnect(&self, member: &str) -> Result<(), BoxError> { Ok(()) }
/// }
///
/// #[async_trait]
/// impl DeauthHandler for Diaries {
///     async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError> {
///         let member = departure.event.member.as_str();
///         if departure.delete_data {
///             self.delete_all(member).await
///         } else {
///             self.disconnect(member).await
///         }
///     }
/// }
/// ```
///
/// A member may come back at any time, and log in while the handler is at work. Where rows have a
/// time, delete those from before the event's [`received_at`](DeauthEvent::received_at) only: the
/// later ones belong to the new authorization.
///
/// A function from [`Departure`] to a future of a `Result` is one too.
#[async_trait]
pub trait DeauthHandler: Send + Sync + 'static {
    /// Does what the app does when a member leaves. Must succeed when it was all done before.
    ///
    /// Events of one member come one at a time, in the order they were received. The future is
    /// dropped at an await when the worker loses its lease on the event, or is dropped itself.
    ///
    /// It must not block its thread: with one thread, as in each of actix-web's workers, nobody
    /// prolongs the lease meanwhile, and another process begins the same. Work that blocks goes to
    /// `tokio::task::spawn_blocking`:
    ///
    /// ```
    /// # use oh_core::deauth::Departure;
    /// # use oh_core::transport::BoxError;
    /// # fn delete_files(member: &str) -> std::io::Result<()> { Ok(()) }
    /// let handler = |departure: Departure| async move {
    ///     let member = departure.event.member.clone();
    ///     tokio::task::spawn_blocking(move || delete_files(member.as_str())).await??;
    ///     Ok::<(), BoxError>(())
    /// };
    /// # fn takes(_: impl oh_core::deauth::DeauthHandler) {}
    /// # takes(handler);
    /// ```
    ///
    /// # Errors
    ///
    /// Any, to be called again later. Its text goes into the ledger, without the member's id; it
    /// must hold nothing else about the member.
    async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError>;

    /// Whether it deletes data that should be deleted. Where nothing does, the ledger says of an
    /// event that only the tokens are gone.
    fn erases(&self) -> bool {
        true
    }
}

#[async_trait]
impl<F, Fut> DeauthHandler for F
where
    F: Fn(Departure) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send,
{
    async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError> {
        self(departure.clone()).await
    }
}

/// The default handler: the tokens are gone, and a warning says that nothing else was deleted.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokensOnly;

#[async_trait]
impl DeauthHandler for TokensOnly {
    async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError> {
        if departure.delete_data {
            tracing::warn!(
                event = %departure.event.id,
                "a member's data should be deleted, and the app has no DeauthHandler that would"
            );
        } else {
            tracing::info!(event = %departure.event.id, "a member has left");
        }
        Ok(())
    }

    fn erases(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{EventId, Pseudonym};
    use super::*;
    use crate::Timestamp;
    use crate::deauth::test_support::Log;

    fn event(erasure: ErasureRequest) -> DeauthEvent {
        DeauthEvent {
            id: EventId::new("e"),
            member: "01026778".parse().unwrap(),
            pseudonym: Pseudonym::new("p"),
            erasure,
            discovery: Discovery::Webhook,
            left_at: Timestamp::UNIX_EPOCH,
            received_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_policy_decides_by_what_is_known_of_the_wish() {
        let delete = |erasure, policy| Departure::new(event(erasure), 1, policy).delete_data;
        let usual = DeletionPolicy::default();
        assert!(delete(ErasureRequest::Requested, usual));
        assert!(!delete(ErasureRequest::NotRequested, usual));
        assert!(!delete(ErasureRequest::Unknown, usual));
        let other = DeletionPolicy {
            on_erasure: false,
            on_deauth: true,
            on_unknown: true,
        };
        assert!(!delete(ErasureRequest::Requested, other));
        assert!(delete(ErasureRequest::NotRequested, other));
        assert!(delete(ErasureRequest::Unknown, other));
        let lost = DeauthEvent {
            discovery: Discovery::TokenLoss,
            ..event(ErasureRequest::Unknown)
        };
        assert!(!Departure::new(lost, 1, other).delete_data);
    }

    #[tokio::test]
    async fn a_function_is_a_handler() {
        let handler = |departure: Departure| async move {
            if departure.attempt == 1 {
                Err(BoxError::from("not today"))
            } else {
                Ok(())
            }
        };
        let policy = DeletionPolicy::default();
        let first = Departure::new(event(ErasureRequest::Requested), 1, policy);
        let second = Departure::new(event(ErasureRequest::Requested), 2, policy);
        assert!(handler.deauthorized(&first).await.is_err());
        assert!(handler.deauthorized(&second).await.is_ok());
    }

    #[tokio::test]
    async fn without_a_handler_a_warning_says_that_data_stays() {
        for (erasure, warnings) in [
            (ErasureRequest::Requested, 1),
            (ErasureRequest::NotRequested, 0),
        ] {
            let log = Log::default();
            let _here = tracing::subscriber::set_default(log.clone());
            let departure = Departure::new(event(erasure), 1, DeletionPolicy::default());
            assert!(TokensOnly.deauthorized(&departure).await.is_ok());
            assert_eq!(log.warnings(), warnings, "{erasure}");
        }
    }
}
