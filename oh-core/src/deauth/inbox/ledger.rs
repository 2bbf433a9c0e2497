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
        Quarantined = "quarantined",
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

    /// The line as it stands in an export, without its line break. These bytes are what is sealed:
    /// they are the same from whatever store the line is read, and in every release.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts can be written as JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(micros: i64, step: Step, attempt: u32, note: Option<&str>) -> String {
        let line = LedgerLine::new(
            7,
            EventId::new("0123456789abcdef0123456789abcdef"),
            Pseudonym::new("fedcba9876543210fedcba9876543210"),
            Timestamp::from_micros(micros),
            step,
            attempt,
            note.map(str::to_owned),
        );
        let bytes = line.to_json();
        assert_eq!(serde_json::from_slice::<LedgerLine>(&bytes).unwrap(), line);
        String::from_utf8(bytes).unwrap()
    }

    /// What was sealed must be found again, byte for byte: these texts never change. A field that
    /// is added later is left out of the lines that do not have it.
    #[test]
    fn lines_are_written_as_they_were_sealed() {
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
    fn steps_keep_their_names() {
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
