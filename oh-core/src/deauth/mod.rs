//! Members leaving: what is known of it, what is kept, what is done.
//!
//! Open Humans announces a member leaving once, if at all. So what is heard is kept before it is
//! answered, what is kept is worked on until it is done, and what is not heard is asked about:
//!
//! ```text
//! webhook, signed ─▶ Deauthorizer ─▶ DeauthInbox ─▶ Worker ─▶ DeauthHandler
//! webhook, unsigned ─▶ hint ┐  ▲         │
//!            silence ─▶ Reconciler       └─▶ ledger, by pseudonym, for ever
//! ```
//!
//! [`DeauthInbox`] is what must survive a crash, [`DeauthHandler`] what leaving means to the app;
//! each is a trait with an implementation that works in memory or does nothing.
//! [`Deauthorizer`] keeps the order: event, then tokens, then handler. The [`Worker`] and the
//! [`Reconciler`] run in the background of every process, and share the work with those of other
//! processes through the inbox. [`Ledger`] answers questions.
//!
//! ```
//! use oh_core::deauth::Departure;
//! use oh_core::{OpenHumans, Settings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::builder("client-id", "client-secret", "https://app.example").build()?;
//! let oh = OpenHumans::builder(settings)
//!     .deauth_handler(|departure: Departure| async move {
//!         if departure.delete_data {
//!             // Delete the rows of departure.event.member. Having none is no error.
//!         }
//!         Ok(())
//!     })
//!     .build()?;
//! let background = oh.start_background();
//! // The app serves its routes.
//! background.stop().await;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod caught;
mod checkpointer;
mod deauthorizer;
mod event;
mod handler;
mod heartbeat;
mod inbox;
mod ledger;
pub mod metrics;
mod pseudonym;
mod reconciler;
#[cfg(test)]
pub(crate) mod test_support;
mod worker;

pub use checkpointer::{
    CheckpointArchive, CheckpointFile, CheckpointStatus, Checkpointer, CheckpointerHandle, Sealed,
    SigningError,
};
pub use deauthorizer::{CircuitBreaker, Deauthorizer, ReportError};
pub(crate) use deauthorizer::{Extras, MemberList};
pub use event::{DeauthEvent, Discovery, ErasureRequest, EventId, Pseudonym, UnknownName};
pub use handler::{DeauthHandler, Departure, TokensOnly};
pub use heartbeat::{HEARTBEAT_INTERVAL, Heartbeats};
pub use inbox::{
    Accepted, CheckpointOutcome, CheckpointQuery, Completion, DeauthInbox, EventQuery, EventRecord,
    EventState, InboxError, InboxStats, Lease, LeaseOutcome, LeasedEvent, LedgerLine, LedgerQuery,
    LockState, MAX_WAIT, MemoryInbox, Step, StoredCheckpoint, TokenOutcome, TokenProgress,
};
pub use ledger::{DEADLINE, ExportError, Ledger};
pub use pseudonym::Pseudonymizer;
pub use reconciler::{
    Membership, MembershipStatus, ReconcileError, ReconcileReport, Reconciler, ReconcilerHandle,
};
pub use worker::{Worker, WorkerHandle};
