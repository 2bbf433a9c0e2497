//! That one line is in a ledger: [C2SP tlog-proof], with the line itself as its extra data.
//!
//! So a member can be given the proof of what was done for them without the rest of the ledger,
//! and anyone with the public key can check it.
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

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::export::{Line, Record, next_line, tidied};
use crate::note::VerifyingKey;
use crate::tree::{Hash, Paths};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The proof that a line is in a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineProof {
    line: Vec<u8>,
    index: u64,
    siblings: Vec<Hash>,
    checkpoint: String,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// It is no proof of a line.
    #[error("not the proof of a line of a ledger")]
    Malformed,
    /// Its checkpoint is not to be believed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The line is not in the tree of the checkpoint at that place.
    #[error("the line is not in the ledger that the checkpoint seals: one of them was changed")]
    NotIncluded,
}

struct Leaf<'a>(&'a [u8]);

impl HashableLeaf for Leaf<'_> {
    fn hash<H: Update>(&self, hasher: &mut H) {
        hasher.update(self.0);
    }
}

impl LineProof {
    /// The proofs of the lines that are `wanted`, in an export that was checked up to `checkpoint`.
    ///
    /// # Errors
    ///
    /// When the export cannot be read.
    pub fn find(
        mut export: impl BufRead,
        checkpoint: &SignedCheckpoint,
        wanted: impl Fn(&Line) -> bool,
    ) -> io::Result<Vec<Self>> {
        let mut paths = Paths::default();
        let mut lines = Vec::new();
        let mut bytes = Vec::new();
        let mut left = checkpoint.checkpoint().size;
        while left > 0 && next_line(&mut export, &mut bytes)? {
            if let Some(Record::Line(line)) = Record::parse(&bytes) {
                let wanted = wanted(&line);
                paths.push(&bytes, wanted);
                if wanted {
                    lines.push(bytes.clone());
                }
                left -= 1;
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

    /// Checks it. Gives the line that is proved, and the checkpoint that seals it.
    ///
    /// # Errors
    ///
    /// When it proves nothing.
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

    /// The line's place in the ledger, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The line as it stands in an export.
    pub fn line(&self) -> &[u8] {
        &self.line
    }
}

/// As it is passed on.
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

/// Also with the line ends, and the end, that mail gives it.
impl FromStr for LineProof {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(&tidied(text)).ok_or(ProofError::Malformed)
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
