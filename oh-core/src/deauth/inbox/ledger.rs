//! The ledger: one line for each step of each event, only ever added to.
//!
//! Lines carry the pseudonym, never the project member id, so the proof outlives the data and
//! holds none of it.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::deauth::event::{EventId, Pseudonym, named};

use std::fmt;
use std::str::FromStr;

use crate::deauth::event::UnknownName;

named! {
    /// What happened to an event.
    Step {
        /// It is durably in the inbox.
        Received = "received",
        /// The member's tokens are gone and the epoch has advanced.
        TokensDestroyed = "tokens_destroyed",
        /// The app's handler was called.
        Tried = "tried",
        /// The handler failed; there will be another try.
        Failed = "failed",
        /// The handler succeeded. From here on only the pseudonym is kept.
        Done = "done",
        /// The handler failed too often. Someone must look.
        DeadLettered = "dead_lettered",
        /// Someone put a dead letter or a stale event back.
        Requeued = "requeued",
        /// It is older than the member's latest authorization: not acted on.
        Stale = "stale",
        /// It is not acted on until someone releases it; the note says why.
        Held = "held",
        /// Someone released it.
        Released = "released",
    }
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LedgerLine {
    /// Its place: lines of one inbox are numbered upwards, with gaps.
    pub seq: i64,
    /// The event it belongs to.
    pub event: EventId,
    /// The member, by pseudonym.
    pub member: Pseudonym,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub step: Step,
    /// Which attempt of the handler this is about, from 1; 0 before any.
    pub attempt: u32,
    /// Why, where there is a why. Never holds the project member id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

impl LedgerLine {
    /// Line number `seq`: what happened to which event of whom, when, in which attempt (0 before
    /// any), and why.
    pub fn new(
        seq: i64,
        event: EventId,
        member: Pseudonym,
        at: Timestamp,
        step: Step,
        attempt: u32,
        note: Option<String>,
    ) -> Self {
        Self {
            seq,
            event,
            member,
            at,
            step,
            attempt,
            note,
        }
    }
}
