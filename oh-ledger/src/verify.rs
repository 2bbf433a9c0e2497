//! Verification of an export, line by line.
//!
//! The verifier rebuilds the Merkle tree from the lines. At each checkpoint of the export, and at
//! the size of each trusted checkpoint, the tree must have that size and that root. All checkpoints
//! are therefore consistent with each other, because they belong to one tree.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use crate::checkpoint::SignedCheckpoint;
use crate::events::{Deadline, End, Event, Events, Verdict};
use crate::line::{DataOutcome, EventKind, Record, next_line};
use crate::note::{CheckpointError, VerifyingKey};
use crate::tree::Frontier;

const DAY: i64 = 86_400_000_000;

/// The error for an export that does not pass verification.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The export could not be read.
    #[error("failed to read the export")]
    Read(#[from] io::Error),
    /// A line is neither a ledger line nor a checkpoint.
    #[error("line {line} of the file is neither a ledger line nor a checkpoint")]
    MalformedLine {
        /// The line number in the file, from 1.
        line: u64,
    },
    /// The sequence numbers do not increase.
    #[error(
        "line {line} of the file has sequence number {seq}, which is not above the previous one: a line was inserted or moved"
    )]
    OutOfOrder {
        /// The line number in the file, from 1.
        line: u64,
        /// The sequence number.
        seq: i64,
    },
    /// A checkpoint in the export is malformed, or none of the keys signed it.
    #[error("the checkpoint in line {line} of the file is not valid: {source}")]
    InvalidCheckpoint {
        /// The line number in the file, from 1.
        line: u64,
        /// The cause.
        source: CheckpointError,
    },
    /// A checkpoint covers a different number of lines than there are before it.
    #[error("the checkpoint over {size} lines follows {lines} lines: lines after line {signed} of the ledger were {}",
        if lines < size { "removed" } else { "inserted" })]
    MisplacedCheckpoint {
        /// How many lines the checkpoint covers.
        size: u64,
        /// How many lines precede it.
        lines: u64,
        /// How many lines at the beginning are intact.
        signed: u64,
    },
    /// The lines differ from the signed lines.
    #[error("lines {} to {size} of the ledger do not match the checkpoint of {origin}: at least one was changed, removed or inserted", signed + 1)]
    Changed {
        /// The name of the ledger.
        origin: String,
        /// How many lines at the beginning are intact.
        signed: u64,
        /// How many lines the checkpoint covers.
        size: u64,
    },
    /// A trusted checkpoint has another root, so the ledger was rewritten.
    #[error(
        "the trusted checkpoint of {origin} over {size} lines has a different root: the ledger was rewritten before line {size}"
    )]
    Forked {
        /// The name of the ledger.
        origin: String,
        /// How many lines the checkpoint covers.
        size: u64,
    },
    /// A trusted checkpoint covers more lines than the export has.
    #[error(
        "the trusted checkpoint of {origin} covers {size} lines, but the export has only {lines}: its end was cut off"
    )]
    Truncated {
        /// The name of the ledger.
        origin: String,
        /// How many lines the checkpoint covers.
        size: u64,
        /// How many lines the export has.
        lines: u64,
    },
    /// There is no checkpoint to verify the lines with.
    #[error(
        "the export contains no checkpoint and no trusted checkpoint was given, so nothing can be verified"
    )]
    NoCheckpoint,
}

/// The checkpoints of an export that one key has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyUse {
    /// The key.
    pub key: VerifyingKey,
    /// The number of checkpoints.
    pub checkpoints: u64,
    /// The size of the first checkpoint.
    pub first: u64,
    /// The size of the last checkpoint.
    pub last: u64,
}

/// The result of a successful verification.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// The number of ledger lines.
    pub lines: u64,
    /// How many of them a checkpoint covers, in the export or trusted.
    pub signed_lines: u64,
    /// The number of checkpoints in the export.
    pub checkpoints: u64,
    /// The last checkpoint in the export.
    pub last_checkpoint: Option<SignedCheckpoint>,
    /// The number of trusted checkpoints that the export agrees with.
    pub trusted_checkpoints: u64,
    /// The use of each key, in the order in which the keys were given.
    pub keys: Vec<KeyUse>,
    /// The times of the first and the last line, in microseconds since 1970.
    pub span: Option<(i64, i64)>,
    /// The number of events in each group.
    pub groups: BTreeMap<Group, u64>,
    /// The events that are late or have not ended, and the erasure requests whose data was kept, by
    /// the time of their receipt.
    pub attention: Vec<Event>,
    /// The time of the assessment, in microseconds since 1970.
    pub as_of: i64,
    /// The deadline for erasure requests, in microseconds from the receipt.
    pub deadline: i64,
}

/// The properties by which [`Verified::groups`] counts events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Group {
    /// The kind of event.
    pub kind: EventKind,
    /// The state in which the ledger leaves the event.
    pub end: End,
    /// The fate of the member's data.
    pub data: Option<DataOutcome>,
    /// Whether the event ended before its deadline.
    pub verdict: Verdict,
}

impl Verified {
    /// Returns the number of events in the groups that match.
    pub fn count(&self, matches: impl Fn(&Group) -> bool) -> u64 {
        let groups = self.groups.iter().filter(|(group, _)| matches(group));
        groups.map(|(_, count)| count).sum()
    }
}

/// Verifies an export.
///
/// ```
/// use oh_ledger::{Checkpoint, Frontier, SigningKey, Verifier, checkpoint_record};
///
/// let line = r#"{"seq":1,"event":"e","member":"m","at":"2026-11-01T12:00:00Z","step":"received","attempt":0,"erasure":"requested","discovery":"webhook"}"#;
/// let key = SigningKey::generate("example.org/erasure")?;
/// let mut tree = Frontier::new();
/// tree.push(line.as_bytes());
/// let checkpoint = Checkpoint::of(key.name(), &tree).sign(&[key.clone()]);
/// let export = format!("{line}\n{}\n", checkpoint_record(checkpoint.note()));
///
/// let keys = vec![key.verifying_key().clone()];
/// let as_of = 1_795_000_000_000_000; // microseconds since 1970
/// let verified = Verifier::new(keys.clone(), as_of).read(export.as_bytes())?;
/// assert_eq!((verified.signed_lines, verified.attention.len()), (1, 1));
///
/// let altered = export.replace("\"m\"", "\"n\"");
/// assert!(Verifier::new(keys, as_of).read(altered.as_bytes()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    // By size. Entries are removed when the tree reaches their size.
    trusted: BTreeMap<u64, Vec<SignedCheckpoint>>,
    tree: Frontier,
    line_number: u64,
    last_seq: Option<i64>,
    events: Events,
    verified: Verified,
}

impl Verifier {
    /// Creates a verifier that accepts checkpoints of these keys. It assesses deadlines at `as_of`,
    /// in microseconds since 1970, and allows 30 days for an erasure request (GDPR Art. 12(3)).
    pub fn new(keys: Vec<VerifyingKey>, as_of: i64) -> Self {
        let limit = 30 * DAY;
        let uses = keys.iter().map(|key| KeyUse {
            key: key.clone(),
            checkpoints: 0,
            first: 0,
            last: 0,
        });
        let verified = Verified {
            lines: 0,
            signed_lines: 0,
            checkpoints: 0,
            last_checkpoint: None,
            trusted_checkpoints: 0,
            keys: uses.collect(),
            span: None,
            groups: BTreeMap::new(),
            attention: Vec::new(),
            as_of,
            deadline: limit,
        };
        Self {
            keys,
            trusted: BTreeMap::new(),
            tree: Frontier::new(),
            line_number: 0,
            last_seq: None,
            events: Events::new(Deadline { as_of, limit }),
            verified,
        }
    }

    /// Sets the number of days that an erasure request may take.
    pub fn deadline_days(mut self, days: u32) -> Self {
        let (as_of, limit) = (self.verified.as_of, i64::from(days) * DAY);
        self.verified.deadline = limit;
        self.events = Events::new(Deadline { as_of, limit });
        self
    }

    /// Adds a checkpoint from a trusted source, which the export must agree with.
    ///
    /// # Errors
    ///
    /// Returns an error if none of the keys signed it.
    pub fn trust_checkpoint(&mut self, note: &str) -> Result<(), CheckpointError> {
        let (signed, _) = SignedCheckpoint::open(note, &self.keys)?;
        let size = signed.checkpoint().size;
        self.trusted.entry(size).or_default().push(signed);
        Ok(())
    }

    /// Reads and verifies an export.
    ///
    /// # Errors
    ///
    /// Returns the first deviation from the signed ledger.
    pub fn read(mut self, mut export: impl BufRead) -> Result<Verified, VerifyError> {
        self.compare_with_trusted()?;
        let mut line = Vec::new();
        while next_line(&mut export, &mut line)? {
            self.add_line(&line)?;
        }
        self.finish()
    }

    fn add_line(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        self.line_number += 1;
        let number = self.line_number;
        match Record::parse(bytes) {
            Some(Record::Line(line)) => {
                if self.last_seq.is_some_and(|last| line.seq <= last) {
                    let seq = line.seq;
                    return Err(VerifyError::OutOfOrder { line: number, seq });
                }
                self.last_seq = Some(line.seq);
                let first = self.verified.span.map_or(line.at, |span| span.0);
                self.verified.span = Some((first, line.at));
                self.tree.push(bytes);
                self.compare_with_trusted()?;
                if let Some(done) = self.events.add(&line) {
                    self.add_event(done);
                }
                Ok(())
            }
            Some(Record::Checkpoint(note)) => self.add_checkpoint(&note),
            None => Err(VerifyError::MalformedLine { line: number }),
        }
    }

    fn add_checkpoint(&mut self, note: &str) -> Result<(), VerifyError> {
        let (checkpoint, signers) = SignedCheckpoint::open(note, &self.keys).map_err(|source| {
            let line = self.line_number;
            VerifyError::InvalidCheckpoint { line, source }
        })?;
        let (lines, signed) = (self.tree.size(), self.verified.signed_lines);
        let size = checkpoint.checkpoint().size;
        if size != lines {
            return Err(VerifyError::MisplacedCheckpoint {
                size,
                lines,
                signed,
            });
        }
        if checkpoint.checkpoint().root != self.tree.root() {
            let origin = checkpoint.checkpoint().origin.clone();
            return Err(VerifyError::Changed {
                origin,
                signed,
                size,
            });
        }
        for index in signers {
            let key = &mut self.verified.keys[index];
            if key.checkpoints == 0 {
                key.first = size;
            }
            key.checkpoints += 1;
            key.last = size;
        }
        self.verified.signed_lines = size;
        self.verified.checkpoints += 1;
        self.verified.last_checkpoint = Some(checkpoint);
        Ok(())
    }

    /// Compares the tree with the trusted checkpoints of its size.
    fn compare_with_trusted(&mut self) -> Result<(), VerifyError> {
        let size = self.tree.size();
        let Some(trusted) = self.trusted.remove(&size) else {
            return Ok(());
        };
        for signed in trusted {
            if signed.checkpoint().root != self.tree.root() {
                let origin = signed.checkpoint().origin.clone();
                return Err(VerifyError::Forked { origin, size });
            }
            self.verified.trusted_checkpoints += 1;
        }
        self.verified.signed_lines = size;
        Ok(())
    }

    fn add_event(&mut self, event: Event) {
        let group = Group {
            kind: event.kind,
            end: event.end,
            data: event.data,
            verdict: event.verdict,
        };
        *self.verified.groups.entry(group).or_default() += 1;
        if event.needs_attention() {
            self.verified.attention.push(event);
        }
    }

    fn finish(mut self) -> Result<Verified, VerifyError> {
        let lines = self.tree.size();
        if let Some((size, trusted)) = self.trusted.pop_last() {
            let origin = trusted[0].checkpoint().origin.clone();
            return Err(VerifyError::Truncated {
                origin,
                size,
                lines,
            });
        }
        if self.verified.checkpoints == 0 && self.verified.trusted_checkpoints == 0 {
            return Err(VerifyError::NoCheckpoint);
        }
        for event in self.events.take_open() {
            self.add_event(event);
        }
        self.verified.lines = lines;
        self.verified
            .attention
            .sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        Ok(self.verified)
    }
}
