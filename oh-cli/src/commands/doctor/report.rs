//! What was found: a line each, and what it comes to.

use serde_json::json;

use crate::failure::Failure;
use crate::output;

/// How something is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    /// It works, and something should be done about it.
    Warning,
    Wrong,
    /// It could not be looked at.
    Skipped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
            Self::Skipped => "skipped",
        }
    }
}

struct Finding {
    state: State,
    about: &'static str,
    said: String,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn fine(&mut self, about: &'static str, said: impl Into<String>) {
        self.add(State::Fine, about, said.into());
    }

    pub(super) fn warn(&mut self, about: &'static str, said: impl Into<String>) {
        self.add(State::Warning, about, said.into());
    }

    pub(super) fn wrong(&mut self, about: &'static str, said: impl Into<String>) {
        self.add(State::Wrong, about, said.into());
    }

    pub(super) fn skip(&mut self, about: &'static str, said: impl Into<String>) {
        self.add(State::Skipped, about, said.into());
    }

    fn add(&mut self, state: State, about: &'static str, said: String) {
        // Some of it comes from servers.
        let said = output::plain(&said);
        self.0.push(Finding { state, about, said });
    }

    fn count(&self, state: State) -> usize {
        self.0.iter().filter(|found| found.state == state).count()
    }

    /// Prints it. A failure if something is wrong.
    pub(super) fn end(self, as_json: bool) -> Result<(), Failure> {
        let wrong = self.count(State::Wrong);
        if as_json {
            let findings = self.0.iter().map(|found| {
                json!({ "check": found.about, "state": found.state.word(), "said": found.said })
            });
            let findings: Vec<_> = findings.collect();
            output::json(&json!({
                "ok": wrong == 0,
                "wrong": wrong,
                "warnings": self.count(State::Warning),
                "checks": findings,
            }))?;
        } else {
            for found in &self.0 {
                let (word, about) = (found.state.word(), found.about);
                output::line(format!("{word:<8} {about}: {}", found.said))?;
            }
        }
        match wrong {
            0 => Ok(()),
            wrong => Err(Failure::Partly(wrong)),
        }
    }
}
