//! Checks the ledger of erasure requests without trusting whoever keeps it.
//!
//! An application that joins [Open Humans](https://www.openhumans.org) with [`oh-core`] writes a
//! line for each step of each request to be erased. The lines are the leaves of an RFC 9162 Merkle
//! tree, and the root of that tree is signed again and again, as a *checkpoint*. Whoever holds a
//! checkpoint, a line of text, can later tell whether a line before it was changed, removed or put
//! in. This crate is what the application seals with and what everyone else checks with: it needs
//! no network, no web framework and no database. `oh ledger verify` of `oh-cli` is a program over it.
//!
//! | | |
//! |---|---|
//! | [`Verifier`] | reads an export, of any length, and says whether it holds and what became of each request |
//! | [`LineProof`] | the proof of a single line, for the member it is about |
//! | [`Checkpoint`], [`SignedCheckpoint`] | what is signed: [tlog-checkpoint] in a [signed note] |
//! | [`SigningKey`], [`VerifyingKey`] | the keys, in the form Go's tools and other logs use |
//! | [`Frontier`] | the tree, as far as is needed to go on with it |
//! | `report` | the report for the data protection officer: HTML and CSV (feature `report`) |
//!
//! # What is proved, and what is not
//!
//! Proved is that the lines before a checkpoint are those that stood there when it was signed. What
//! was false then is false still. And an export whose end was cut off at an earlier checkpoint is
//! found out only with a later checkpoint from elsewhere: that is why checkpoints are given away.
//!
//! # The format
//!
//! A leaf is a line of the export, byte for byte, without its line break. Its fields are `seq`,
//! `event`, `member`, `at`, `step`, `attempt` and, where there is one, `note`, in this order and
//! without blanks; a later release may put others behind them. After the last line that a
//! checkpoint covers stands `{"checkpoint":"…"}` with the signed note as its text.
//!
//! [`oh-core`]: https://docs.rs/oh-core
//! [tlog-checkpoint]: https://c2sp.org/tlog-checkpoint
//! [signed note]: https://c2sp.org/signed-note
#![cfg_attr(docsrs, feature(doc_cfg))]

mod checkpoint;
mod export;
mod note;
mod proof;
#[cfg(feature = "report")]
pub mod report;
mod requests;
mod tree;
mod verify;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use export::{Line, checkpoint_record, notes_in};
pub use note::{KeyError, NoteError, SigningKey, VerifyingKey};
pub use proof::{LineProof, ProofError};
pub use requests::{End, Request, Requests, Terms, Verdict};
pub use tree::{Frontier, Hash};
pub use verify::{KeyUse, Summary, Verified, Verifier, VerifyError};
