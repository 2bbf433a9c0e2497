//! Assertions about the ledger.

use std::fmt;

use oh_core::deauth::{LedgerLine, Step};
use oh_core::{OpenHumans, ProjectMemberId};

/// A snapshot of the ledger lines about one member.
#[derive(Clone, Debug)]
pub struct MemberLedger {
    member: ProjectMemberId,
    lines: Vec<LedgerLine>,
    has_tokens: bool,
}

impl MemberLedger {
    /// Reads the ledger lines of `member`.
    ///
    /// # Panics
    ///
    /// Panics if `member` is not a project member id, or if a store fails.
    pub async fn of(openhumans: &OpenHumans, member: &str) -> Self {
        let member: ProjectMemberId = member
            .parse()
            .unwrap_or_else(|error| panic!("{member:?}: {error}"));
        let lines = openhumans.ledger().of_member(&member).await;
        let record = openhumans.token_store().load(&member).await;
        Self {
            lines: lines.unwrap_or_else(|error| panic!("failed to read the inbox: {error}")),
            has_tokens: record
                .unwrap_or_else(|error| panic!("failed to read the token store: {error}"))
                .is_some_and(|record| record.is_authorized()),
            member,
        }
    }

    /// Returns the steps of all lines, oldest first.
    pub fn steps(&self) -> Vec<Step> {
        self.lines.iter().map(|line| line.step).collect()
    }

    /// Asserts that the departure was received, the tokens were destroyed, and the handler succeeded.
    ///
    /// # Panics
    ///
    /// Panics with the ledger lines if the assertion fails.
    #[track_caller]
    pub fn assert_done(&self) {
        assert!(!self.has_tokens, "the store still has tokens of {self}");
        let steps = self.steps();
        for step in [Step::Received, Step::TokensDestroyed] {
            assert!(steps.contains(&step), "no step {step:?}: {self}");
        }
        self.assert_last(Step::Done);
    }

    /// Asserts that the handler failed and will be retried.
    ///
    /// # Panics
    ///
    /// Panics with the ledger lines if the assertion fails.
    #[track_caller]
    pub fn assert_failed(&self) {
        self.assert_last(Step::Failed);
    }

    /// Asserts that the departure was received and the handler was not called yet.
    ///
    /// # Panics
    ///
    /// Panics with the ledger lines if the assertion fails.
    #[track_caller]
    pub fn assert_pending(&self) {
        let steps = self.steps();
        assert!(steps.contains(&Step::Received), "{self}");
        assert!(!steps.contains(&Step::Tried), "{self}");
    }

    /// Asserts that no departure was received.
    ///
    /// # Panics
    ///
    /// Panics with the ledger lines if the assertion fails.
    #[track_caller]
    pub fn assert_empty(&self) {
        assert!(self.lines.is_empty(), "{self}");
    }

    #[track_caller]
    fn assert_last(&self, expected: Step) {
        let last = self.lines.last().map(|line| line.step);
        assert_eq!(
            last,
            Some(expected),
            "the last step is not {expected:?}: {self}"
        );
    }
}

impl fmt::Display for MemberLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger of member {}:", self.member)?;
        if self.lines.is_empty() {
            return write!(f, " no lines");
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
