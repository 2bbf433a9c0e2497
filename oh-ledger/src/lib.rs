//! Verifies the ledger of erasure requests, offline and without trust in its operator.
//!
//! An application that connects to [Open Humans](https://www.openhumans.org) with [`oh-core`]
//! writes a line for each step of each erasure request and departure. The lines are the leaves of
//! an RFC 9162 Merkle tree. The application signs the root of this tree regularly, as a
//! *checkpoint*. A checkpoint is a short text. With it, anyone can later detect whether an
//! earlier line was changed, removed or inserted.
//!
//! `oh-core` signs checkpoints with this crate, and auditors verify exports with it. It uses no
//! network, no web framework and no database. `oh ledger verify` of `oh-cli` is its command line.
//!
//! | type | purpose |
//! |---|---|
//! | [`Verifier`] | verifies an export of any length and reports the outcome of each event |
//! | [`Line`] | one line of the ledger, with the format of its fields |
//! | [`LineProof`] | proves that the ledger contains a line |
//! | [`Checkpoint`], [`SignedCheckpoint`] | [tlog-checkpoint] and [signed note] |
//! | [`SigningKey`], [`VerifyingKey`] | keys in the text form of Go's `note` package |
//! | [`Frontier`] | the Merkle tree, reduced to the hashes that appending needs |
//! | `report` | the report for the data protection officer: HTML and CSV (feature `report`) |
//!
//! # Kinds of events
//!
//! The line that opens an event records whether the member requested erasure and how the departure
//! was discovered; the line that ends it records the fate of the member's data. Reports distinguish
//! erasure requests, departures without a request, unannounced departures, disconnections and lost
//! tokens ([`EventKind`]). The deadline applies to erasure requests only.
//!
//! # Guarantees and limits
//!
//! A successful verification proves that the lines before a checkpoint are the lines that the
//! application signed. It does not prove that they were true. An export that was truncated at an
//! earlier checkpoint passes, unless a later checkpoint from a trusted source is given: publish
//! checkpoints, or send them to someone.
//!
//! # Format
//!
//! A leaf is one line of the export, byte for byte, without the line break. The fields are described
//! at [`Line`]. A checkpoint follows the last line that it covers, as `{"checkpoint":"…"}` with the
//! signed note as its text.
//!
//! [`oh-core`]: https://docs.rs/oh-core
//! [tlog-checkpoint]: https://c2sp.org/tlog-checkpoint
//! [signed note]: https://c2sp.org/signed-note
#![cfg_attr(docsrs, feature(doc_cfg))]

mod checkpoint;
mod events;
mod extract;
mod line;
mod note;
mod proof;
#[cfg(feature = "report")]
pub mod report;
mod tree;
mod verify;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use events::{End, Event, Verdict};
pub use extract::notes_in;
pub use line::{DataOutcome, Discovery, ErasureRequest, EventKind, Line, checkpoint_record};
pub use note::{CheckpointError, KeyError, SigningKey, VerifyingKey};
pub use proof::{LineProof, ProofError};
pub use tree::Frontier;
pub use verify::{Group, KeyUse, Verified, Verifier, VerifyError};
