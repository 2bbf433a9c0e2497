//! Inclusion proofs of single lines, as specified by [C2SP tlog-proof]. The proof contains the line
//! as its extra data.
//!
//! A proof shows a member how the application processed their request and reveals no other line.
//! Anyone with the public key can verify it.
//!
//! [C2SP tlog-proof]: https://c2sp.org/tlog-proof

use std::fmt;
use std::io::{self, BufRead};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ct_merkle::{HashableLeaf, InclusionProof, RootHash};
use sha2::Sha256;
use sha2::digest::Update;

use crate::checkpoint::SignedCheckpoint;
use crate::extract::normalize;
use crate::line::{Line, Record, next_line};
use crate::note::{CheckpointError, VerifyingKey};
use crate::tree::{Hash, Paths};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The proof that a ledger contains a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineProof {
    line: Vec<u8>,
    index: u64,
    siblings: Vec<Hash>,
    checkpoint: String,
}

/// The error for a proof that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The text is not a proof of a ledger line.
    #[error("not a proof of a ledger line")]
    Malformed,
    /// The checkpoint of the proof is not valid.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint does not cover this line at this index.
    #[error("the checkpoint does not cover this line: one of them was changed")]
    NotIncluded,
}

struct Leaf<'a>(&'a [u8]);

impl HashableLeaf for Leaf<'_> {
    fn hash<H: Update>(&self, hasher: &mut H) {
        hasher.update(self.0);
    }
}

impl LineProof {
    /// Creates proofs of the lines that `select` returns true for, in an export that was verified up
    /// to `checkpoint`.
    ///
    /// # Errors
    ///
    /// Returns an error if the export cannot be read.
    pub fn find(
        mut export: impl BufRead,
        checkpoint: &SignedCheckpoint,
        select: impl Fn(&Line) -> bool,
    ) -> io::Result<Vec<Self>> {
        let mut paths = Paths::default();
        let mut lines = Vec::new();
        let mut bytes = Vec::new();
        let mut remaining = checkpoint.checkpoint().size;
        while remaining > 0 && next_line(&mut export, &mut bytes)? {
            if let Some(Record::Line(line)) = Record::parse(&bytes) {
                let selected = select(&line);
                paths.push(&bytes, selected);
                if selected {
                    lines.push(bytes.clone());
                }
                remaining -= 1;
            }
        }
        let proofs = lines.into_iter().zip(paths.finish());
        let proofs = proofs.map(|(line, path)| Self {
            line,
            index: path.index,
            siblings: path.siblings,
            checkpoint: checkpoint.note().to_owned(),
        });
        Ok(proofs.collect())
    }

    /// Verifies the proof. Returns the proved line and the checkpoint that covers it.
    ///
    /// # Errors
    ///
    /// Returns an error if the proof is not valid.
    pub fn verify(&self, keys: &[VerifyingKey]) -> Result<(Line, SignedCheckpoint), ProofError> {
        let (signed, _) = SignedCheckpoint::open(&self.checkpoint, keys)?;
        let checkpoint = signed.checkpoint();
        let root = RootHash::<Sha256>::new(checkpoint.root.into(), checkpoint.size);
        let path = InclusionProof::<Sha256>::try_from_bytes(self.siblings.concat())
            .map_err(|_| ProofError::NotIncluded)?;
        root.verify_inclusion(&Leaf(&self.line), self.index, &path)
            .map_err(|_| ProofError::NotIncluded)?;
        match Record::parse(&self.line) {
            Some(Record::Line(line)) => Ok((line, signed)),
            _ => Err(ProofError::Malformed),
        }
    }

    /// Returns the index of the line in the ledger, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Returns the bytes of the line in the export.
    pub fn line(&self) -> &[u8] {
        &self.line
    }
}

/// Formats the proof as tlog-proof text.
impl fmt::Display for LineProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        writeln!(f, "extra {}", STANDARD.encode(&self.line))?;
        writeln!(f, "index {}", self.index)?;
        for hash in &self.siblings {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Parses tlog-proof text. Accepts the line ends and trailing blanks that mail programs produce.
impl FromStr for LineProof {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(&normalize(text)).ok_or(ProofError::Malformed)
    }
}

fn parse(text: &str) -> Option<LineProof> {
    let (head, checkpoint) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    if lines.next()? != HEADER {
        return None;
    }
    let line = STANDARD
        .decode(lines.next()?.strip_prefix("extra ")?)
        .ok()?;
    let digits = lines.next()?.strip_prefix("index ")?;
    let index: u64 = digits.parse().ok()?;
    if index.to_string() != digits {
        return None;
    }
    let siblings = lines.map(|line| STANDARD.decode(line).ok()?.try_into().ok());
    Some(LineProof {
        line,
        index,
        siblings: siblings.collect::<Option<_>>()?,
        checkpoint: checkpoint.to_owned(),
    })
}
