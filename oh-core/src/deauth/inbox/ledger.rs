//! The ledger: an append-only list with one line for each step of each event.
//!
//! Lines contain the pseudonym and never the project member id, so they can be retained after the
//! member's data is erased.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::deauth::event::{EventId, Pseudonym, named};

use std::fmt;
use std::str::FromStr;

use crate::deauth::event::UnknownName;

named! {
    /// A step in the life of an event.
    Step {
        /// The event is stored in the inbox.
        Received = "received",
        /// The member's tokens were destroyed, and the epoch advanced.
        TokensDestroyed = "tokens_destroyed",
        /// An attempt began: a worker leased the event.
        Tried = "tried",
        /// The attempt failed, and another one will follow.
        Failed = "failed",
        /// The handler succeeded. The member id was removed from the event.
        Done = "done",
        /// The last attempt failed. An operator must act.
        DeadLettered = "dead_lettered",
        /// An operator requeued a dead letter or a stale event.
        Requeued = "requeued",
        /// The event is older than the member's latest authorization, so the handler is not called.
        Stale = "stale",
        /// The event waits for an operator; the note contains the reason.
        Quarantined = "quarantined",
        /// An operator released the event.
        Released = "released",
    }
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLine {
    /// The sequence number. Numbers ascend, with gaps.
    pub seq: i64,
    /// The event.
    pub event: EventId,
    /// The member's pseudonym.
    pub member: Pseudonym,
    /// When the step happened.
    pub at: Timestamp,
    /// The step.
    pub step: Step,
    /// The number of the attempt, from 1; 0 before any attempt.
    pub attempt: u32,
    /// The reason of the step, if it has one. Never contains the project member id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

impl LedgerLine {
    /// Returns the line as in an export, without line break. Checkpoints cover these bytes, which are
    /// the same for every store and in every release.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts can be written as JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(micros: i64, step: Step, attempt: u32, note: Option<&str>) -> String {
        let line = LedgerLine {
            seq: 7,
            event: EventId::new("0123456789abcdef0123456789abcdef"),
            member: Pseudonym::new("fedcba9876543210fedcba9876543210"),
            at: Timestamp::from_micros(micros),
            step,
            attempt,
            note: note.map(str::to_owned),
        };
        let bytes = line.to_json();
        assert_eq!(serde_json::from_slice::<LedgerLine>(&bytes).unwrap(), line);
        String::from_utf8(bytes).unwrap()
    }

    /// Checkpoints cover these bytes, so they never change. A field that is added later is left out of the
    /// lines without it.
    #[test]
    fn to_json_output_never_changes() {
        let names = "\"event\":\"0123456789abcdef0123456789abcdef\",\
                     \"member\":\"fedcba9876543210fedcba9876543210\"";
        assert_eq!(
            line(1_793_534_400_000_000, Step::Received, 0, None),
            format!(
                "{{\"seq\":7,{names},\"at\":\"2026-11-01T12:00:00Z\",\"step\":\"received\",\"attempt\":0}}"
            )
        );
        assert_eq!(
            line(
                1_793_534_400_000_120,
                Step::Failed,
                3,
                Some("<é> \"\\/\u{1}\n\u{7f}\u{2028}")
            ),
            format!(
                "{{\"seq\":7,{names},\"at\":\"2026-11-01T12:00:00.00012Z\",\"step\":\"failed\",\"attempt\":3,\
                 \"note\":\"<é> \\\"\\\\/\\u0001\\n\u{7f}\u{2028}\"}}"
            )
        );
        assert_eq!(
            line(i64::MIN, Step::Done, u32::MAX, Some("")),
            format!(
                "{{\"seq\":7,{names},\"at\":\"-9223372036854775808us\",\"step\":\"done\",\
                 \"attempt\":4294967295,\"note\":\"\"}}"
            )
        );
    }

    #[test]
    fn step_names_never_change() {
        let names = [
            (Step::Received, "received"),
            (Step::TokensDestroyed, "tokens_destroyed"),
            (Step::Tried, "tried"),
            (Step::Failed, "failed"),
            (Step::Done, "done"),
            (Step::DeadLettered, "dead_lettered"),
            (Step::Requeued, "requeued"),
            (Step::Stale, "stale"),
            (Step::Quarantined, "quarantined"),
            (Step::Released, "released"),
        ];
        for (step, name) in names {
            assert_eq!(step.as_str(), name);
            assert!(line(0, step, 0, None).contains(&format!("\"step\":\"{name}\"")));
        }
    }
}
