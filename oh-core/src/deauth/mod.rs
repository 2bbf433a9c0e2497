//! Members leaving: what is known of it, what is kept, what is done.

mod attempt;
mod background;
mod backoff;
mod desk;
mod event;
mod handler;
mod hints;
mod housekeeping;
mod inbox;
mod ledger;
mod memory;
pub(crate) mod metrics;
mod note;
mod pseudonym;
mod reconciler;
mod report;
#[cfg(test)]
mod test_support;
mod worker;

pub use background::Background;
pub use desk::Deauthorizer;
pub use event::{DeauthEvent, Erasure, EventId, Pseudonym, Source, UnknownName};
pub use handler::{DeauthHandler, Departure, TokensOnly};
pub use inbox::{
    Accepted, DeauthInbox, EventQuery, EventRecord, EventState, Held, InboxError, InboxStats,
    Lease, Leased, LedgerQuery, Settlement, TokenFate,
};
pub use ledger::{LedgerLine, Step};
pub use memory::MemoryInbox;
pub use pseudonym::Pseudonymizer;
pub use reconciler::{Membership, Reconciler, ReconcilerHandle, Round, Standing};
pub use report::{DEADLINE, ExportError, Ledger};
pub use worker::{Worker, WorkerHandle};
