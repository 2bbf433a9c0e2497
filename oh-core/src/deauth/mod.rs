//! Members leaving: what is known of it, what is kept, what is done.

mod event;
mod inbox;
mod ledger;

pub use event::{DeauthEvent, Erasure, EventId, Pseudonym, Source, UnknownName};
pub use inbox::{
    Accepted, DeauthInbox, EventQuery, EventRecord, EventState, Held, InboxError, InboxStats,
    Lease, Leased, LedgerQuery, Settlement, TokenFate,
};
pub use ledger::{LedgerLine, Step};
