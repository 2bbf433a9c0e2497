//! What the application does when a member leaves: the [`DeauthHandler`] trait.

use std::future::Future;

use async_trait::async_trait;

use super::event::{DeauthEvent, Discovery, ErasureRequest};
use crate::settings::DeletionPolicy;
use crate::transport::BoxError;

/// A deauthorization that the handler must process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Departure {
    /// The event: the member, the time, and whether erasure was requested.
    pub event: DeauthEvent,
    /// The number of this attempt, counted from 1.
    pub attempt: u32,
    /// Whether to delete the member's data: the [`DeletionPolicy`] applied to the event.
    pub delete_data: bool,
}

impl Departure {
    /// Applies `policy` to `event`. The worker does this; so can an application's tests.
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

/// Processes deauthorizations for the application, usually by deleting the member's data.
///
/// The library destroys tokens and ends sessions itself. The worker then calls the handler for each
/// event, and calls it again later if it fails. Delivery is at least once: if a process dies after the
/// handler succeeded and before that was recorded, another process calls the handler again.
/// Deleting data that is already deleted must therefore succeed.
///
/// ```
/// use async_trait::async_trait;
/// use oh_core::deauth::{DeauthHandler, Departure};
/// use oh_core::transport::BoxError;
///
/// struct Diaries { /* the application's database */ }
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
/// A member may log in again while the handler runs. If your rows have a creation time, delete only
/// rows older than the event's [`received_at`](DeauthEvent::received_at): newer rows belong to the new
/// authorization.
///
/// Functions from [`Departure`] to a future of a `Result` implement the trait.
#[async_trait]
pub trait DeauthHandler: Send + Sync + 'static {
    /// Processes one deauthorization. Must succeed if an earlier call has done all of the work.
    ///
    /// Events of one member arrive one at a time, in the order in which they were received. The
    /// future is dropped at an await point if the worker loses its lease on the event or is dropped.
    ///
    /// The future must not block its thread. On a single-threaded runtime, such as each of
    /// actix-web's workers, a blocked thread cannot renew the lease, and another process starts to
    /// process the same event. Move blocking work to `tokio::task::spawn_blocking`:
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
    /// Any error makes the worker retry later. The ledger records its text with the member's id
    /// replaced by the pseudonym, so the text must contain no other personal data.
    async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError>;

    /// Whether the handler deletes data when [`Departure::delete_data`] is set. If not, the ledger
    /// records that only the tokens were destroyed. Default: true.
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

/// The default handler. It deletes nothing, and warns where data should have been deleted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TokensOnly;

#[async_trait]
impl DeauthHandler for TokensOnly {
    async fn deauthorized(&self, departure: &Departure) -> Result<(), BoxError> {
        if departure.delete_data {
            tracing::warn!(
                event = %departure.event.id,
                "no DeauthHandler is configured to delete the member's data"
            );
        }
        Ok(())
    }

    fn erases(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{Log, event};
    use super::*;

    #[test]
    fn departure_applies_policy_to_erasure_request() {
        use ErasureRequest::{NotRequested, Requested, Unknown};
        let inverted = DeletionPolicy {
            on_erasure: false,
            on_deauth: true,
            on_unknown: true,
        };
        for (erasure, discovery, by_default, by_inverted) in [
            (Requested, Discovery::Webhook, true, false),
            (NotRequested, Discovery::Webhook, false, true),
            (Unknown, Discovery::Webhook, false, true),
            (Unknown, Discovery::TokenLoss, false, false),
        ] {
            let event = DeauthEvent {
                erasure,
                discovery,
                ..event(1)
            };
            let delete = |policy| Departure::new(event.clone(), 1, policy).delete_data;
            assert_eq!(delete(DeletionPolicy::default()), by_default, "{erasure}");
            assert_eq!(delete(inverted), by_inverted, "{erasure} {discovery}");
        }
    }

    #[tokio::test]
    async fn function_implements_handler() {
        let handler = |departure: Departure| async move {
            match departure.attempt {
                1 => Err(BoxError::from("first attempt fails")),
                _ => Ok(()),
            }
        };
        for (attempt, succeeds) in [(1, false), (2, true)] {
            let departure = Departure::new(event(1), attempt, DeletionPolicy::default());
            assert_eq!(handler.deauthorized(&departure).await.is_ok(), succeeds);
        }
    }

    #[tokio::test]
    async fn default_handler_warns_where_data_should_be_deleted() {
        for (erasure, warnings) in [
            (ErasureRequest::Requested, 1),
            (ErasureRequest::NotRequested, 0),
        ] {
            let log = Log::default();
            let _guard = tracing::subscriber::set_default(log.clone());
            let event = DeauthEvent {
                erasure,
                ..event(1)
            };
            let departure = Departure::new(event, 1, DeletionPolicy::default());
            assert!(TokensOnly.deauthorized(&departure).await.is_ok());
            assert_eq!(log.warnings(), warnings, "{erasure}");
        }
    }
}
