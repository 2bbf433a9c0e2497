//! What the ledger holds about a member, and what a test wants of it.

use std::fmt;

use oh_core::deauth::{LedgerLine, Step};
use oh_core::{OpenHumans, ProjectMemberId};

/// What the ledger holds about one member, read once.
#[derive(Clone, Debug)]
pub struct MemberLedger {
    member: ProjectMemberId,
    lines: Vec<LedgerLine>,
    has_tokens: bool,
}

impl MemberLedger {
    /// Reads it.
    ///
    /// # Panics
    ///
    /// When `member` cannot be one, or inbox or token store do not answer.
    pub async fn of(openhumans: &OpenHumans, member: &str) -> Self {
        let member: ProjectMemberId = member
            .parse()
            .unwrap_or_else(|error| panic!("{member:?}: {error}"));
        let lines = openhumans.ledger().of_member(&member).await;
        let record = openhumans.token_store().load(&member).await;
        Self {
            lines: lines.unwrap_or_else(|error| panic!("the inbox does not answer: {error}")),
            has_tokens: record
                .unwrap_or_else(|error| panic!("the token store does not answer: {error}"))
                .is_some_and(|record| record.is_authorized()),
            member,
        }
    }

    /// Its lines, oldest first.
    pub fn lines(&self) -> &[LedgerLine] {
        &self.lines
    }

    /// What happened, oldest first.
    pub fn steps(&self) -> Vec<Step> {
        self.lines.iter().map(|line| line.step).collect()
    }

    /// That the member's departure was heard of, the tokens are destroyed, and the app's handler has
    /// succeeded since.
    ///
    /// # Panics
    ///
    /// When it is not so: with what the ledger holds.
    #[track_caller]
    pub fn assert_done(&self) {
        assert!(!self.has_tokens, "the store still has tokens of {self}");
        let steps = self.steps();
        for step in [Step::Received, Step::TokensDestroyed] {
            assert!(steps.contains(&step), "no step {step:?}: {self}");
        }
        self.assert_last(Step::Done);
    }

    /// That the app's handler has failed, and will be called again.
    ///
    /// # Panics
    ///
    /// When it is not so: with what the ledger holds.
    #[track_caller]
    pub fn assert_failed(&self) {
        self.assert_last(Step::Failed);
    }

    /// That the app's handler has failed too often, and someone must look.
    ///
    /// # Panics
    ///
    /// When it is not so: with what the ledger holds.
    #[track_caller]
    pub fn assert_dead_letter(&self) {
        self.assert_last(Step::DeadLettered);
    }

    /// That the app's handler has not been called yet, though the departure was heard of.
    ///
    /// # Panics
    ///
    /// When it is not so: with what the ledger holds.
    #[track_caller]
    pub fn assert_pending(&self) {
        let steps = self.steps();
        assert!(steps.contains(&Step::Received), "{self}");
        assert!(!steps.contains(&Step::Tried), "{self}");
    }

    /// That nothing was ever heard of the member leaving.
    ///
    /// # Panics
    ///
    /// When it is not so: with what the ledger holds.
    #[track_caller]
    pub fn assert_empty(&self) {
        assert!(self.lines.is_empty(), "{self}");
    }

    #[track_caller]
    fn assert_last(&self, wanted: Step) {
        let last = self.lines.last().map(|line| line.step);
        assert_eq!(
            last,
            Some(wanted),
            "the last step is not {wanted:?}: {self}"
        );
    }
}

impl fmt::Display for MemberLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {}, of whom the ledger says", self.member)?;
        if self.lines.is_empty() {
            return write!(f, " nothing");
        }
        for line in &self.lines {
            write!(
                f,
                "\n  {} {:?}, attempt {}",
                line.at, line.step, line.attempt
            )?;
            if let Some(note) = &line.note {
                write!(f, ": {note}")?;
            }
        }
        Ok(())
    }
}
