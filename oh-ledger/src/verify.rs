//! Checking an export, a line at a time.
//!
//! The tree is built again from the lines. Where a checkpoint stands in the export, and where a
//! checkpoint that someone kept elsewhere says, the tree must have that size and that root. So all
//! checkpoints are consistent with one another as well: each is a checkpoint of this one tree.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::export::{Record, next_line};
use crate::note::VerifyingKey;
use crate::requests::{End, Request, Requests, Terms, Verdict};
use crate::tree::Frontier;

/// Why an export is not to be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It cannot be read.
    #[error("the export cannot be read")]
    Read(#[from] io::Error),
    /// A line is neither one of a ledger nor a checkpoint.
    #[error("line {at} of the file is neither a line of a ledger nor a checkpoint: it was changed")]
    Unreadable {
        /// Which line of the file, from 1.
        at: u64,
    },
    /// Lines are numbered upwards, and this one is not.
    #[error(
        "line {at} of the file has the number {seq}, which is not above the one before: a line was put in, or moved"
    )]
    Order {
        /// Which line of the file, from 1.
        at: u64,
        /// Its number.
        seq: i64,
    },
    /// A checkpoint in the export is not one of the keys given.
    #[error("the checkpoint in line {at} of the file is not valid: {source}")]
    Checkpoint {
        /// Which line of the file, from 1.
        at: u64,
        /// Why.
        source: CheckpointError,
    },
    /// A checkpoint stands at a place it was not made for.
    #[error("the checkpoint over {size} lines comes after {lines}: {}, between line {} of the ledger and there",
        if lines < size { "lines were removed" } else { "lines were put in" }, sealed + 1)]
    Place {
        /// How many lines it covers.
        size: u64,
        /// How many stand before it.
        lines: u64,
        /// Up to here all is well.
        sealed: u64,
    },
    /// The lines are not those that were sealed.
    #[error("lines {} to {size} of the ledger are not those that were sealed as {origin}: at least one was changed, removed or put in", sealed + 1)]
    Changed {
        /// Of which ledger the checkpoint is.
        origin: String,
        /// Up to here all is well.
        sealed: u64,
        /// Up to here something is not.
        size: u64,
    },
    /// A checkpoint kept elsewhere has another root: the ledger was written again.
    #[error(
        "a checkpoint kept elsewhere, of {origin} over {size} lines, has another root: the ledger was written again before that line"
    )]
    Forked {
        /// Of which ledger the checkpoint is.
        origin: String,
        /// Over how many lines.
        size: u64,
    },
    /// A checkpoint kept elsewhere covers more lines than there are.
    #[error(
        "a checkpoint kept elsewhere, of {origin}, covers {size} lines, and there are {lines}: the end was cut off"
    )]
    Cut {
        /// Of which ledger the checkpoint is.
        origin: String,
        /// Over how many lines.
        size: u64,
        /// How many there are.
        lines: u64,
    },
    /// There is no checkpoint to check against.
    #[error("the export holds no checkpoint, and none was given: nothing is proved by it")]
    Nothing,
}

/// What a key has signed in an export.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyUse {
    /// The key.
    pub key: VerifyingKey,
    /// How many checkpoints.
    pub checkpoints: u64,
    /// The size of the first of them.
    pub first: u64,
    /// The size of the last.
    pub last: u64,
}

/// What an export that holds was found to say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// How many lines there are.
    pub lines: u64,
    /// How many of them are proved: up to the last checkpoint, or one kept elsewhere.
    pub sealed: u64,
    /// How many checkpoints the export holds.
    pub checkpoints: u64,
    /// The last of them.
    pub last: Option<SignedCheckpoint>,
    /// How many checkpoints kept elsewhere it was held against.
    pub held: u64,
    /// What each key has signed, in the order they were given.
    pub keys: Vec<KeyUse>,
    /// When its first and last lines were written, in microseconds since 1970.
    pub span: Option<(i64, i64)>,
    /// The requests.
    pub summary: Summary,
    /// Those that did not have their end in time, or not yet.
    pub listed: Vec<Request>,
    /// What they were judged by.
    pub terms: Terms,
}

/// How many requests ended how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many there are.
    pub requests: u64,
    /// By end.
    pub ends: BTreeMap<End, u64>,
    /// By whether that was in time.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// How long those that ended took: for each span of [`SPANS`](Self::SPANS), how many ended within
    /// it and not within the one before; and how many took longer than all.
    pub took: [u64; 5],
    /// The longest that one took, in microseconds.
    pub longest: i64,
}

impl Summary {
    /// An hour, a day, a week and 30 days, in microseconds.
    pub const SPANS: [i64; 4] = [
        3_600_000_000,
        86_400_000_000,
        7 * 86_400_000_000,
        30 * 86_400_000_000,
    ];

    fn count(&mut self, request: &Request, terms: Terms) {
        self.requests += 1;
        *self.ends.entry(request.end).or_default() += 1;
        *self.verdicts.entry(request.verdict(terms)).or_default() += 1;
        if let Some(took) = request.took(terms).filter(|_| request.end.is_end()) {
            let span = Self::SPANS.iter().position(|span| took <= *span);
            self.took[span.unwrap_or(Self::SPANS.len())] += 1;
            self.longest = self.longest.max(took);
        }
    }

    /// How many ended so.
    pub fn of(&self, end: End) -> u64 {
        self.ends.get(&end).copied().unwrap_or(0)
    }

    /// How many were judged so.
    pub fn judged(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }
}

/// Checks an export.
///
/// ```
/// use oh_ledger::{Checkpoint, Frontier, SigningKey, Terms, Verifier, checkpoint_record};
///
/// let line = r#"{"seq":1,"event":"e","member":"m","at":"2026-11-01T12:00:00Z","step":"received","attempt":0}"#;
/// let key = SigningKey::generate("example.org/erasure")?;
/// let mut tree = Frontier::new();
/// tree.push(line.as_bytes());
/// let checkpoint = Checkpoint::of(key.name(), &tree).sign(&[key.clone()]);
/// let export = format!("{line}\n{}\n", checkpoint_record(checkpoint.note()));
///
/// let keys = vec![key.verifying_key().clone()];
/// let terms = Terms::at(1_795_000_000_000_000);
/// let verified = Verifier::new(keys.clone(), terms).read(export.as_bytes())?;
/// assert_eq!((verified.sealed, verified.listed.len()), (1, 1));
///
/// let altered = export.replace("\"m\"", "\"n\"");
/// assert!(Verifier::new(keys, terms).read(altered.as_bytes()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    terms: Terms,
    // By size, those that the tree has not reached.
    held: BTreeMap<u64, Vec<SignedCheckpoint>>,
    tree: Frontier,
    at: u64,
    last_seq: Option<i64>,
    requests: Requests,
    found: Verified,
}

impl Verifier {
    /// One that believes checkpoints of these keys.
    pub fn new(keys: Vec<VerifyingKey>, terms: Terms) -> Self {
        let uses = keys.iter().map(|key| KeyUse {
            key: key.clone(),
            checkpoints: 0,
            first: 0,
            last: 0,
        });
        let found = Verified {
            lines: 0,
            sealed: 0,
            checkpoints: 0,
            last: None,
            held: 0,
            keys: uses.collect(),
            span: None,
            summary: Summary::default(),
            listed: Vec::new(),
            terms,
        };
        Self {
            keys,
            terms,
            held: BTreeMap::new(),
            tree: Frontier::new(),
            at: 0,
            last_seq: None,
            requests: Requests::default(),
            found,
        }
    }

    /// Holds the export against a checkpoint that was kept elsewhere, too.
    ///
    /// # Errors
    ///
    /// When it is not signed by one of the keys.
    pub fn hold_against(&mut self, note: &str) -> Result<(), CheckpointError> {
        let (signed, _) = SignedCheckpoint::open(note, &self.keys)?;
        let size = signed.checkpoint().size;
        self.held.entry(size).or_default().push(signed);
        Ok(())
    }

    /// Reads an export to its end.
    ///
    /// # Errors
    ///
    /// At the first thing that is not as it was sealed.
    pub fn read(mut self, mut export: impl BufRead) -> Result<Verified, VerifyError> {
        self.meet_held()?;
        let mut line = Vec::new();
        while next_line(&mut export, &mut line)? {
            self.line(&line)?;
        }
        self.finish()
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), VerifyError> {
        self.at += 1;
        let at = self.at;
        match Record::parse(bytes) {
            Some(Record::Line(line)) => {
                if self.last_seq.is_some_and(|last| line.seq <= last) {
                    return Err(VerifyError::Order { at, seq: line.seq });
                }
                self.last_seq = Some(line.seq);
                let began = self.found.span.map_or(line.at, |span| span.0);
                self.found.span = Some((began, line.at));
                self.tree.push(bytes);
                self.meet_held()?;
                if let Some(done) = self.requests.line(&line) {
                    self.judge(done);
                }
                Ok(())
            }
            Some(Record::Checkpoint(note)) => self.checkpoint(&note),
            None => Err(VerifyError::Unreadable { at }),
        }
    }

    fn checkpoint(&mut self, note: &str) -> Result<(), VerifyError> {
        let at = self.at;
        let (signed, by) = SignedCheckpoint::open(note, &self.keys)
            .map_err(|source| VerifyError::Checkpoint { at, source })?;
        let checkpoint = signed.checkpoint();
        let (size, lines, sealed) = (checkpoint.size, self.tree.size(), self.found.sealed);
        if size != lines {
            return Err(VerifyError::Place {
                size,
                lines,
                sealed,
            });
        }
        if checkpoint.root != self.tree.root() {
            let origin = checkpoint.origin.clone();
            return Err(VerifyError::Changed {
                origin,
                sealed,
                size,
            });
        }
        for place in by {
            let used = &mut self.found.keys[place];
            if used.checkpoints == 0 {
                used.first = size;
            }
            used.checkpoints += 1;
            used.last = size;
        }
        self.found.sealed = size;
        self.found.checkpoints += 1;
        self.found.last = Some(signed);
        Ok(())
    }

    /// Where the tree has the size of checkpoints kept elsewhere, it has their root.
    fn meet_held(&mut self) -> Result<(), VerifyError> {
        let size = self.tree.size();
        let Some(held) = self.held.remove(&size) else {
            return Ok(());
        };
        for signed in held {
            if signed.checkpoint().root != self.tree.root() {
                let origin = signed.checkpoint().origin.clone();
                return Err(VerifyError::Forked { origin, size });
            }
            self.found.held += 1;
        }
        self.found.sealed = size;
        Ok(())
    }

    fn judge(&mut self, request: Request) {
        self.found.summary.count(&request, self.terms);
        if request.verdict(self.terms) != Verdict::InTime {
            self.found.listed.push(request);
        }
    }

    fn finish(mut self) -> Result<Verified, VerifyError> {
        let lines = self.tree.size();
        if let Some((size, held)) = self.held.pop_last() {
            let origin = held.first().map(|held| held.checkpoint().origin.clone());
            let origin = origin.unwrap_or_default();
            return Err(VerifyError::Cut {
                origin,
                size,
                lines,
            });
        }
        if self.found.checkpoints == 0 && self.found.held == 0 {
            return Err(VerifyError::Nothing);
        }
        for request in std::mem::take(&mut self.requests).into_rest() {
            self.judge(request);
        }
        self.found.lines = lines;
        self.found
            .listed
            .sort_by(|a, b| (a.received_at, &a.event).cmp(&(b.received_at, &b.event)));
        Ok(self.found)
    }
}
