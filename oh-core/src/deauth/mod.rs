//! Members leaving: what is known of it, what is kept, what is done.

mod event;
mod handler;
mod inbox;
mod ledger;
mod memory;
mod pseudonym;

pub use event::{DeauthEvent, Erasure, EventId, Pseudonym, Source, UnknownName};
pub use handler::{DeauthHandler, Departure, TokensOnly};
pub use inbox::{
    Accepted, DeauthInbox, EventQuery, EventRecord, EventState, Held, InboxError, InboxStats,
    Lease, Leased, LedgerQuery, Settlement, TokenFate,
};
pub use ledger::{LedgerLine, Step};
pub use memory::MemoryInbox;
pub use pseudonym::Pseudonymizer;
