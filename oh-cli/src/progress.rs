//! Progress bars on standard error, where somebody watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use oh_api::Progress;
use oh_api::bulk::{BulkEvent, BulkReport, Outcome};

use crate::failure::Failure;
use crate::output::{note, plain};

/// A bar, or none. Nothing is drawn where standard error is not a terminal.
#[derive(Clone)]
pub(crate) struct Bar {
    bar: ProgressBar,
    quiet: bool,
}

impl Bar {
    /// For one file.
    pub(crate) fn of_file(quiet: bool) -> Self {
        let template = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
        Self::new(quiet, template)
    }

    /// For many, whose sizes are not known beforehand.
    pub(crate) fn of_many(quiet: bool) -> Self {
        Self::new(quiet, "{spinner} {bytes} {binary_bytes_per_sec} {msg}")
    }

    fn new(quiet: bool, template: &str) -> Self {
        let bar = match quiet {
            true => ProgressBar::hidden(),
            false => ProgressBar::no_length(),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, quiet }
    }

    pub(crate) fn moved(&self, progress: Progress) {
        if let Some(total) = progress.total {
            self.bar.set_length(total);
        }
        self.bar.set_position(progress.done);
    }

    pub(crate) fn event(&self, event: &BulkEvent<'_>) {
        match event {
            BulkEvent::Moved(bytes) => self.bar.inc(*bytes),
            BulkEvent::File {
                member,
                name,
                outcome,
            } => {
                let name = plain(name);
                let name = match member {
                    Some(member) => format!("{member}/{name}"),
                    None => name,
                };
                match outcome {
                    Outcome::Failed(error) => self.say(format!("oh: {name}: {error}")),
                    _ => self.bar.set_message(name),
                }
            }
            _ => {}
        }
    }

    /// Says something that stays when the bar moves on.
    pub(crate) fn say(&self, text: String) {
        self.bar.suspend(|| note(text));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Says what came of it all, and fails where some of it did.
    pub(crate) fn conclude(&self, report: &BulkReport) -> Result<(), Failure> {
        self.finish();
        if !self.quiet {
            note(format!(
                "{} done, {} were there, {} too large, {} deleted, {} failed; {} bytes",
                report.done,
                report.kept,
                report.too_large,
                report.deleted,
                report.failed.len(),
                report.bytes
            ));
        }
        match report.failed.len() {
            0 => Ok(()),
            failed => Err(Failure::Partly(failed)),
        }
    }
}
