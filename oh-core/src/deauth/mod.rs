//! Deauthorization: members who leave, and the erasure of their data.
//!
//! Open Humans sends at most one webhook when a member leaves. So every notification is stored before
//! it is answered, every stored event is retried until it is done, and members for whom no webhook
//! arrives are asked about:
//!
//! ```text
//! signed webhook ───▶ DeauthInbox ───▶ Worker ───▶ DeauthHandler
//!                      ▲        │
//! unsigned webhook ─▶ Reconciler └───▶ ledger (pseudonyms only, permanent)
//! ```
//!
//! - [`DeauthInbox`] stores events and the ledger. The default keeps them in memory; `oh-sqlx` has
//!   durable ones.
//! - [`DeauthHandler`] deletes the application's data. The default deletes nothing and warns.
//! - [`Worker`] and [`Reconciler`] run in the background of every process. Processes share the work
//!   through the inbox.
//! - [`Ledger`] answers questions about events.
//! - `Checkpointer` (feature `checkpoints`) signs checkpoints that reveal later changes of the ledger.
//!
//! ```
//! use oh_core::deauth::Departure;
//! use oh_core::{OpenHumans, Settings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::builder("client-id", "client-secret", "https://app.example").build()?;
//! let openhumans = OpenHumans::builder(settings)
//!     .deauth_handler(|departure: Departure| async move {
//!         if departure.delete_data {
//!             // Delete the rows of `departure.event.member`. It is no error if there are none.
//!         }
//!         Ok(())
//!     })
//!     .build()?;
//! let background = openhumans.start_background();
//! // Serve requests here.
//! background.stop().await;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod checkpoint_status;
#[cfg(feature = "checkpoints")]
mod checkpointer;
mod deauthorizer;
mod event;
mod handler;
mod heartbeat;
mod inbox;
mod job_lock;
mod ledger;
mod member_list;
pub mod metrics;
mod pseudonymizer;
mod reconciler;
mod task;
#[cfg(test)]
pub(crate) mod test_support;
mod worker;

pub use checkpoint_status::CheckpointStatus;
pub(crate) use checkpoint_status::read as read_checkpoint_status;
#[cfg(feature = "checkpoints")]
pub use checkpointer::{
    CheckpointArchive, CheckpointFile, Checkpointer, SigningError, SigningReport,
};
pub use deauthorizer::CircuitBreaker;
pub(crate) use deauthorizer::{Context, Deauthorizer, erasure_requests};
pub use event::{
    DeauthEvent, Discovery, ERASURE_DEADLINE, ErasureRequest, EventId, Pseudonym, UnknownName,
};
pub(crate) use handler::TokensOnly;
pub use handler::{DeauthHandler, Departure};
pub(crate) use heartbeat::read as read_heartbeats;
pub use heartbeat::{HEARTBEAT_INTERVAL, Heartbeats};
pub use inbox::{
    Accepted, CheckpointOutcome, CheckpointQuery, Completion, DeauthInbox, EventQuery, EventRecord,
    EventState, InboxError, InboxStats, Lease, LeaseOutcome, LeasedEvent, LedgerLine, LedgerQuery,
    LockState, MAX_WAIT, MemoryInbox, Step, StoredCheckpoint, TokenOutcome, TokenProgress,
};
pub use ledger::Ledger;
pub(crate) use member_list::MemberList;
pub(crate) use pseudonymizer::Pseudonymizer;
pub(crate) use reconciler::{Membership, MembershipStatus};
pub use reconciler::{PassReport, ReconcileError, Reconciler, ReconcilerSettings};
pub(crate) use task::TaskHandle;
pub use worker::{Worker, WorkerSettings};
