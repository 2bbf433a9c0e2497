//! Progress on standard error where somebody watches: how much there is, how fast it goes, how long
//! it will take.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use oh_api::bulk::{BulkEvent, BulkReport, FileOutcome, Listed};
use oh_api::{Error, Progress};

use crate::failure::{self, Failure, told};
use crate::output::{self, plain};

/// How the bars are filled.
const FILLED: &str = "=> ";

fn bar(template: &str) -> ProgressBar {
    let bar = match output::is_quiet() {
        true => ProgressBar::hidden(),
        false => ProgressBar::no_length(),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars(FILLED));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    output::draw(Some(bar.clone()));
    bar
}

/// One file on its way, or several that are read as one. Nothing is drawn where standard error is not a terminal.
#[derive(Clone)]
pub(crate) struct OneFile {
    bar: ProgressBar,
    begun: Instant,
}

impl OneFile {
    pub(crate) fn new(first: &'static str) -> Self {
        let template =
            "{bar:30} {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left {msg}";
        let bar = bar(template);
        bar.set_message(first);
        Self {
            bar,
            begun: Instant::now(),
        }
    }

    pub(crate) fn moved(&self, progress: Progress) {
        if let Some(total) = progress.total {
            self.bar.set_length(total);
        }
        if progress.done > 0 {
            self.bar.set_message("");
        }
        self.bar.set_position(progress.done);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
        output::draw(None);
    }

    /// How many bytes went how fast.
    pub(crate) fn said(&self, bytes: u64) -> String {
        amount(bytes, self.begun.elapsed())
    }
}

fn amount(bytes: u64, took: Duration) -> String {
    let mut text = BinaryBytes(bytes).to_string();
    let seconds = took.as_secs_f64();
    if seconds >= 0.1 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a speed for people"
        )]
        let speed = (bytes as f64 / seconds) as u64;
        // Writing to a string cannot fail.
        let _ = write!(text, " in {seconds:.1} s ({}/s)", BinaryBytes(speed));
    }
    text
}

/// Which way many files go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// Many files on their way.
#[derive(Clone)]
pub(crate) struct Many {
    way: Way,
    bar: ProgressBar,
    begun: Instant,
    /// Printed before the name of each file that has come.
    print_in: Option<Arc<std::path::PathBuf>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    listed: Listed,
    files: u64,
    bytes: u64,
    compared: u64,
    /// When the first byte moved.
    moving: Option<Instant>,
}

impl Many {
    pub(crate) fn new(way: Way) -> Self {
        Self {
            way,
            bar: bar("{spinner} {msg}"),
            begun: Instant::now(),
            print_in: None,
            state: Arc::default(),
        }
    }

    /// Prints where each file is that has come, below `directory`.
    pub(crate) fn printing(mut self, directory: &std::path::Path) -> Self {
        self.print_in = Some(Arc::new(directory.to_owned()));
        self
    }

    pub(crate) fn event(&self, event: &BulkEvent<'_>) {
        match event {
            BulkEvent::Listed(listed) => self.change(|state| state.listed = listed.clone()),
            BulkEvent::Compared(bytes) => self.change(|state| state.compared += bytes),
            BulkEvent::Transferred(bytes) => {
                self.begin();
                self.change(|state| state.bytes += bytes);
            }
            BulkEvent::File {
                member,
                name,
                outcome,
            } => {
                let name = plain(name);
                let whole = match (member, name.is_empty()) {
                    (Some(member), true) => format!("member {member}"),
                    (Some(member), false) => format!("{member}/{name}"),
                    (None, _) => name.clone(),
                };
                self.ended(&name, &whole, outcome);
            }
            _ => {}
        }
    }

    fn ended(&self, name: &str, whole: &str, outcome: &FileOutcome) {
        match outcome {
            FileOutcome::Failed(error) => self.failed(whole, error),
            FileOutcome::Done(bytes) => tracing::info!(file = whole, bytes, "done"),
            FileOutcome::Unchanged => tracing::info!(file = whole, "was there"),
            FileOutcome::MetadataDiffers => {
                tracing::info!(file = whole, "was there, described otherwise")
            }
            FileOutcome::TooLarge => tracing::info!(file = whole, "too large, left out"),
            FileOutcome::Deleted => tracing::info!(file = whole, "deleted"),
            _ => {}
        }
        let here = matches!(outcome, FileOutcome::Done(_) | FileOutcome::Unchanged);
        if let (true, Some(directory)) = (here, &self.print_in) {
            let path = directory.join(name);
            // Whoever reads no more is noticed by what is printed after.
            let _ = output::line(plain(&path.to_string_lossy()));
        }
        let planned = self.way == Way::Down || matches!(outcome, FileOutcome::Done(_));
        if planned {
            self.change(|state| state.files += 1);
        }
    }

    fn failed(&self, whole: &str, error: &Error) {
        let mut text = format!("oh: {whole}: {}", told(error));
        if let Some(advice) = failure::advice(error) {
            let _ = write!(text, "\n    {advice}");
        }
        output::note(text);
    }

    /// From looking to moving: from a spinner to a bar.
    fn begin(&self) {
        let first = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let first = state.moving.is_none();
            state.moving.get_or_insert_with(Instant::now);
            first
        };
        if first && let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            self.bar.set_style(style.progress_chars(FILLED));
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if self.bar.is_hidden() {
            return;
        }
        let (done, of) = state.progress();
        self.bar.set_length(of);
        self.bar.set_position(done);
        let moving = state.moving.map(|since| since.elapsed());
        self.bar.set_message(state.shown(moving));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
        output::draw(None);
    }

    /// Goes on after [`finish`](Self::finish).
    pub(crate) fn again(&self) {
        self.bar.reset();
        output::draw(Some(self.bar.clone()));
    }

    /// Says what came of it all, and fails where some of it did.
    pub(crate) fn conclude(&self, report: &BulkReport) -> Result<(), Failure> {
        self.finish();
        let took = self.begun.elapsed();
        let done = match self.way {
            Way::Up => "uploaded",
            Way::Down => "downloaded",
        };
        let files = |count: u64| match count {
            1 => "1 file".to_owned(),
            count => format!("{} files", HumanCount(count)),
        };
        let mut said = format!("{} {done}", files(report.done));
        if report.done > 0 {
            let _ = write!(said, ", {}", amount(report.bytes, took));
        }
        for (count, what) in [
            (report.unchanged, "there already"),
            (
                report.metadata_differs,
                "there already, described otherwise",
            ),
            (report.too_large, "larger than --max-size"),
            (report.deleted, "deleted at Open Humans"),
            (
                report.deletions_skipped,
                "not deleted, because something failed",
            ),
            (report.failed.len() as u64, "failed"),
        ] {
            if count > 0 {
                let _ = write!(said, "; {} {what}", HumanCount(count));
            }
        }
        output::say(said);
        if report.metadata_differs > 0 {
            output::say("    --update-metadata sends what the CSV says of them");
        }
        match report.failed.as_slice() {
            [] => Ok(()),
            failed => Err(Failure::Partly(failed.len())),
        }
    }
}

impl State {
    /// How much is done of how much: bytes where they are known, else files, of which there will be
    /// as many for the other members as for those that were looked at.
    fn progress(&self) -> (u64, u64) {
        if let Some(bytes) = self.listed.bytes {
            return (self.bytes.min(bytes), bytes);
        }
        let listed = self.listed.members.max(1);
        let members = self.listed.of_members.unwrap_or(listed).max(listed);
        let files = u128::from(self.listed.files) * u128::from(members) / u128::from(listed);
        let files = u64::try_from(files).unwrap_or(u64::MAX);
        (self.files.min(files), files)
    }

    fn shown(&self, took: Option<Duration>) -> String {
        let mut text = String::new();
        let about = match self.listed.of_members {
            Some(of) if of > self.listed.members => "about ",
            _ => "",
        };
        let (done, of) = self.progress();
        // Writing to a string cannot fail.
        if self.listed.bytes.is_some() {
            let (moved, files) = (BinaryBytes(self.bytes), HumanCount(self.files));
            let (bytes, all) = (BinaryBytes(of), HumanCount(self.listed.files));
            let _ = write!(
                text,
                "{moved} of {about}{bytes}, file {files} of {about}{all}"
            );
        } else {
            let (files, all) = (HumanCount(self.files), HumanCount(of));
            let _ = write!(
                text,
                "{files} of {about}{all} files, {}",
                BinaryBytes(self.bytes)
            );
        }
        if let Some(members) = self.listed.of_members.filter(|count| *count > 1) {
            let looked = HumanCount(self.listed.members);
            let _ = write!(text, ", member {looked} of {}", HumanCount(members));
        }
        let Some(took) = took else {
            if self.compared > 0 {
                let _ = write!(text, "; compared {}", BinaryBytes(self.compared));
            }
            return text;
        };
        if let Some(speed) = self.bytes.checked_div(took.as_secs()) {
            let _ = write!(text, ", {}/s", BinaryBytes(speed));
            if let Some(left) = left(took, done, of) {
                let _ = write!(text, ", {} left", HumanDuration(left));
            }
        }
        text
    }
}

/// How long it takes still, at the speed so far.
fn left(took: Duration, done: u64, of: u64) -> Option<Duration> {
    let still = of.checked_sub(done)?;
    let millis = took.as_millis().checked_mul(u128::from(still))? / u128::from(done.max(1));
    (done > 0).then(|| Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(files: u64, bytes: u64, listed: (u64, u64, u64, Option<u64>)) -> State {
        let mut state = State {
            files,
            bytes,
            ..State::default()
        };
        state.listed.members = listed.0;
        state.listed.of_members = Some(listed.1);
        state.listed.files = listed.2;
        state.listed.bytes = listed.3;
        state
    }

    #[test]
    fn what_is_left_follows_from_what_is_done() {
        let ten = Duration::from_secs(10);
        assert_eq!(left(ten, 25, 100), Some(Duration::from_secs(30)));
        assert_eq!(left(ten, 0, 100), None);
        assert_eq!(left(ten, 5, 4), None);
    }

    #[test]
    fn shows_totals_rate_and_time_left() {
        let up = state(3, 4 << 20, (1, 1, 6, Some(8 << 20)));
        assert_eq!(
            up.shown(Some(Duration::from_secs(4))),
            "4.00 MiB of 8.00 MiB, file 3 of 6, 1.00 MiB/s, 4 seconds left"
        );
        // A tenth of the members has 20 files, so all will have 200.
        let down = state(20, 1 << 20, (10, 100, 20, None));
        assert_eq!(
            down.shown(Some(Duration::from_secs(1))),
            "20 of about 200 files, 1.00 MiB, member 10 of 100, 1.00 MiB/s, 9 seconds left"
        );
    }
}
