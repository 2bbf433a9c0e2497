//! Progress bars on standard error, and summaries of transfers. No bar is drawn where standard error
//! is not a terminal.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressStyle};
use oh_api::Progress;
use oh_api::bulk::{BulkEvent, BulkReport, FileOutcome, Listed};

use crate::error::{self, CliError, describe};
use crate::output;
use crate::text::one_line;

/// Before the number of files is known.
const LISTING: &str = "{spinner} {msg}";
/// While the total size is known.
const BYTES: &str = "{bar:30} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left {msg}";
/// While only the number of files is known.
const FILES: &str = "{bar:30} {human_pos} of {human_len} files, {eta} left {msg}";

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

fn start(template: &str) -> ProgressBar {
    let bar = match output::is_quiet() {
        true => ProgressBar::hidden(),
        false => ProgressBar::no_length(),
    };
    bar.set_style(style(template));
    bar.enable_steady_tick(Duration::from_millis(200));
    output::set_progress_bar(Some(bar.clone()));
    bar
}

fn finish(bar: &ProgressBar) {
    bar.finish_and_clear();
    output::set_progress_bar(None);
}

/// The progress of one file, or of several that are read as one.
#[derive(Clone)]
pub(crate) struct FileProgress {
    bar: ProgressBar,
    started: Instant,
}

impl FileProgress {
    /// Starts a bar that shows `message` until the first byte is transferred.
    pub(crate) fn start(message: &'static str) -> Self {
        let bar = start(BYTES);
        bar.set_message(message);
        Self {
            bar,
            started: Instant::now(),
        }
    }

    /// Returns a callback that updates the bar.
    pub(crate) fn callback(&self) -> impl Fn(Progress) + Send + Sync + 'static {
        let this = self.clone();
        move |progress| this.update(progress)
    }

    fn update(&self, progress: Progress) {
        if let Some(total) = progress.total {
            self.bar.set_length(total);
        }
        if progress.done > 0 {
            self.bar.set_message("");
        }
        self.bar.set_position(progress.done);
    }

    pub(crate) fn finish(&self) {
        finish(&self.bar);
    }

    /// Describes the size, duration and rate of the transfer.
    pub(crate) fn summary(&self, bytes: u64) -> String {
        summary(bytes, self.started.elapsed())
    }
}

fn summary(bytes: u64, duration: Duration) -> String {
    let size = BinaryBytes(bytes);
    let millis = duration.as_millis();
    if millis < 100 {
        return size.to_string();
    }
    let rate = u128::from(bytes) * 1_000 / millis;
    let rate = BinaryBytes(u64::try_from(rate).unwrap_or(u64::MAX));
    format!("{size} in {:.1} s ({rate}/s)", duration.as_secs_f64())
}

/// The direction of a transfer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Upload,
    Download,
}

/// The progress of many files.
#[derive(Clone)]
pub(crate) struct BulkProgress {
    direction: Direction,
    bar: ProgressBar,
    started: Instant,
    /// The directory whose files are printed as they arrive.
    print_paths_in: Option<Arc<PathBuf>>,
    listed: Arc<Mutex<Listed>>,
    compared: Arc<AtomicU64>,
}

impl BulkProgress {
    pub(crate) fn start(direction: Direction) -> Self {
        Self {
            direction,
            bar: start(LISTING),
            started: Instant::now(),
            print_paths_in: None,
            listed: Arc::default(),
            compared: Arc::default(),
        }
    }

    /// Prints the path of each file in `directory` when it has arrived.
    pub(crate) fn print_paths(mut self, directory: &Path) -> Self {
        self.print_paths_in = Some(Arc::new(directory.to_owned()));
        self
    }

    /// Returns a callback that updates the bar and reports each file.
    pub(crate) fn callback(&self) -> impl Fn(&BulkEvent<'_>) + Send + Sync + 'static {
        let this = self.clone();
        move |event| this.event(event)
    }

    fn event(&self, event: &BulkEvent<'_>) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            BulkEvent::Listed(update) => {
                *listed = update.clone();
                let (total, _) = expected(&listed);
                self.bar.set_length(total);
                self.bar.set_message(message(&listed, self.compared()));
            }
            BulkEvent::Compared(bytes) => {
                self.compared.fetch_add(*bytes, Ordering::Relaxed);
                self.bar.set_message(message(&listed, self.compared()));
            }
            BulkEvent::Transferred(bytes) => {
                let template = if listed.bytes.is_some() { BYTES } else { FILES };
                self.bar.set_style(style(template));
                if listed.bytes.is_some() {
                    self.bar.inc(*bytes);
                }
            }
            BulkEvent::File {
                member,
                name,
                outcome,
            } => {
                let label = match (member, name.is_empty()) {
                    (Some(member), true) => format!("member {member}"),
                    (Some(member), false) => format!("{member}/{name}"),
                    (None, _) => (*name).to_owned(),
                };
                if listed.bytes.is_none() {
                    self.bar.inc(1);
                }
                drop(listed);
                self.file(name, &label, outcome);
            }
            _ => {}
        }
    }

    fn compared(&self) -> u64 {
        self.compared.load(Ordering::Relaxed)
    }

    fn file(&self, name: &str, label: &str, outcome: &FileOutcome) {
        match outcome {
            FileOutcome::Failed(error) => {
                let label = one_line(label);
                let hint = error::hint(error).map_or(String::new(), |hint| format!("\n    {hint}"));
                output::warning(format!("oh: {label}: {}{hint}", describe(error)));
            }
            FileOutcome::Done(bytes) => tracing::info!(file = label, bytes, "transferred"),
            FileOutcome::Unchanged => tracing::info!(file = label, "already present"),
            FileOutcome::MetadataDiffers => {
                tracing::info!(file = label, "already present with other metadata");
            }
            FileOutcome::TooLarge => tracing::info!(file = label, "skipped: too large"),
            FileOutcome::Deleted => tracing::info!(file = label, "deleted"),
            _ => {}
        }
        if let Some(directory) = &self.print_paths_in
            && matches!(outcome, FileOutcome::Done(_) | FileOutcome::Unchanged)
        {
            let path = directory.join(name);
            // A closed standard output ends the command when it prints its next result.
            let _ = output::row([path.to_string_lossy()]);
        }
    }

    pub(crate) fn finish(&self) {
        finish(&self.bar);
    }

    /// Shows the bar again after [`finish`](Self::finish).
    pub(crate) fn resume(&self) {
        self.bar.reset();
        output::set_progress_bar(Some(self.bar.clone()));
    }

    /// Prints the summary.
    ///
    /// # Errors
    ///
    /// [`CliError::Partial`] if a file failed.
    pub(crate) fn conclude(&self, report: &BulkReport) -> Result<(), CliError> {
        self.finish();
        let verb = match self.direction {
            Direction::Upload => "uploaded",
            Direction::Download => "downloaded",
        };
        let mut text = match report.done {
            1 => format!("1 file {verb}"),
            done => format!("{} files {verb}", HumanCount(done)),
        };
        if report.done > 0 {
            text += &format!(", {}", summary(report.bytes, self.started.elapsed()));
        }
        text += &other_outcomes(report);
        output::status(text);
        match report.failed.len() {
            0 => Ok(()),
            failed => Err(CliError::Partial(failed)),
        }
    }
}

/// Describes the files that were not transferred.
pub(crate) fn other_outcomes(report: &BulkReport) -> String {
    [
        (report.unchanged, "already present"),
        (
            report.metadata_differs,
            "already present with other metadata, which --update-metadata uploads",
        ),
        (report.too_large, "larger than --max-size"),
        (report.deleted, "deleted at Open Humans"),
        (
            report.deletions_skipped,
            "not deleted, because an upload failed",
        ),
        (report.failed.len() as u64, "failed"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, label)| format!("; {} {label}", HumanCount(count)))
    .collect()
}

/// Returns the expected number of bytes if it is known, else of files, and whether it is an
/// estimate: members that are not listed yet are assumed to have as many files as the others.
fn expected(listed: &Listed) -> (u64, bool) {
    let members = listed.members.max(1);
    let total = listed.of_members.unwrap_or(members).max(members);
    let estimate = u128::from(listed.files) * u128::from(total) / u128::from(members);
    let files = u64::try_from(estimate).unwrap_or(u64::MAX);
    (listed.bytes.unwrap_or(files), total > members)
}

fn message(listed: &Listed, compared: u64) -> String {
    let about = if expected(listed).1 { "about " } else { "" };
    let mut text = format!("{about}{} files", HumanCount(listed.files));
    if let Some(total) = listed.of_members.filter(|total| *total > 1) {
        let (members, total) = (HumanCount(listed.members), HumanCount(total));
        text += &format!(", member {members} of {total}");
    }
    if compared > 0 {
        text += &format!(", {} compared", BinaryBytes(compared));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_files_are_estimated_from_listed_members() {
        let mut listed = Listed::default();
        listed.members = 10;
        listed.of_members = Some(100);
        listed.files = 20;
        assert_eq!(expected(&listed), (200, true));
        assert_eq!(message(&listed, 0), "about 20 files, member 10 of 100");
        listed.bytes = Some(1 << 20);
        assert_eq!(expected(&listed), (1 << 20, true));
    }

    #[test]
    fn summary_includes_rate_of_transfers_that_take_time() {
        assert_eq!(summary(8 << 20, Duration::from_millis(9)), "8.00 MiB");
        let text = summary(8 << 20, Duration::from_secs(4));
        assert_eq!(text, "8.00 MiB in 4.0 s (2.00 MiB/s)");
    }
}
