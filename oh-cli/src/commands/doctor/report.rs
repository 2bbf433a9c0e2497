//! The results of the checks.

use serde_json::json;

use crate::error::CliError;
use crate::output;

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// Works, but needs attention.
    Warning,
    Error,
    Skipped,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

struct Finding {
    state: State,
    check: &'static str,
    message: String,
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(State::Ok, check, message.into());
    }

    pub(super) fn warning(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(State::Warning, check, message.into());
    }

    pub(super) fn error(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(State::Error, check, message.into());
    }

    pub(super) fn skipped(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(State::Skipped, check, message.into());
    }

    fn add(&mut self, state: State, check: &'static str, message: String) {
        self.0.push(Finding {
            state,
            check,
            message: crate::text::one_line(&message),
        });
    }

    fn count(&self, state: State) -> usize {
        self.0
            .iter()
            .filter(|finding| finding.state == state)
            .count()
    }

    /// Prints the findings.
    ///
    /// # Errors
    ///
    /// [`CliError::Partial`] if a check failed.
    pub(super) fn print(self, as_json: bool) -> Result<(), CliError> {
        let errors = self.count(State::Error);
        if as_json {
            let checks = self.0.iter().map(|finding| {
                json!({
                    "check": finding.check,
                    "state": finding.state.as_str(),
                    "message": finding.message,
                })
            });
            output::json(&json!({
                "ok": errors == 0,
                "errors": errors,
                "warnings": self.count(State::Warning),
                "checks": checks.collect::<Vec<_>>(),
            }))?;
        } else {
            for finding in &self.0 {
                let (state, check) = (finding.state.as_str(), finding.check);
                output::line(format!("{state:<8} {check}: {}", finding.message))?;
            }
        }
        match errors {
            0 => Ok(()),
            errors => Err(CliError::Partial(errors)),
        }
    }
}
