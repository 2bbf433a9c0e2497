//! Checkpoints: who says that the ledger had how many lines and which root, signed. The format is
//! [C2SP tlog-checkpoint].
//!
//! [C2SP tlog-checkpoint]: https://c2sp.org/tlog-checkpoint

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::note::{self, NoteError, SigningKey, VerifyingKey};
use crate::tree::{Frontier, Hash};

/// A ledger at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Which ledger: the name of the keys that sign it.
    pub origin: String,
    /// How many lines it had.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

/// Why a checkpoint is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It is not a signed note, or not signed by a known key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not an origin, a size and a root.
    #[error("not a checkpoint: it wants a name, a size and a root hash, a line each")]
    Malformed,
}

impl Checkpoint {
    /// The checkpoint of a tree.
    pub fn of(origin: impl Into<String>, tree: &Frontier) -> Self {
        Self {
            origin: origin.into(),
            size: tree.size(),
            root: tree.root(),
        }
    }

    /// Signs it with keys of its name; with several while one replaces another.
    ///
    /// ```
    /// use oh_ledger::{Checkpoint, Frontier, SignedCheckpoint, SigningKey};
    ///
    /// let key = SigningKey::generate("example.org/erasure")?;
    /// let signed = Checkpoint::of(key.name(), &Frontier::new()).sign(&[key.clone()]);
    /// let (opened, by) = SignedCheckpoint::open(signed.note(), &[key.verifying_key().clone()])?;
    /// assert_eq!((opened.checkpoint().size, by), (0, vec![0]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sign(self, keys: &[SigningKey]) -> SignedCheckpoint {
        let text = self.text();
        let mut note = format!("{text}\n");
        for key in keys.iter().filter(|key| key.name() == self.origin) {
            note += &key.signature_line(&text);
        }
        SignedCheckpoint {
            checkpoint: self,
            note,
        }
    }

    fn text(&self) -> String {
        let root = STANDARD.encode(self.root);
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, digits, root) = (lines.next()?, lines.next()?, lines.next()?);
        // Lines beyond these are allowed, and mean nothing here.
        if origin.is_empty() || lines.any(str::is_empty) {
            return None;
        }
        let size: u64 = digits.parse().ok()?;
        let root = STANDARD.decode(root).ok()?.try_into().ok()?;
        (size.to_string() == digits).then(|| Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

/// A checkpoint with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

impl SignedCheckpoint {
    /// Reads a checkpoint that at least one of the keys has signed, and tells which, by their places.
    ///
    /// # Errors
    ///
    /// When it is none, a known key's signature does not fit, or no key is known. A key counts only
    /// for checkpoints of its own name.
    pub fn open(note: &str, keys: &[VerifyingKey]) -> Result<(Self, Vec<usize>), CheckpointError> {
        let (text, mut signed) = note::open(note, keys)?;
        let checkpoint = Checkpoint::parse(text).ok_or(CheckpointError::Malformed)?;
        signed.retain(|place| keys[*place].name() == checkpoint.origin);
        if signed.is_empty() {
            return Err(NoteError::UnknownKey.into());
        }
        let note = note.to_owned();
        Ok((Self { checkpoint, note }, signed))
    }

    /// Reads a checkpoint without looking at its signatures: of a database, for showing.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn unverified(note: &str) -> Result<Self, CheckpointError> {
        let blank = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let checkpoint = Checkpoint::parse(&note[..=blank]).ok_or(CheckpointError::Malformed)?;
        let note = note.to_owned();
        Ok(Self { checkpoint, note })
    }

    /// What it says.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signed note, as it is passed on.
    pub fn note(&self) -> &str {
        &self.note
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> SigningKey {
        SigningKey::generate(name).unwrap()
    }

    #[test]
    fn the_text_is_the_specifications() {
        let text = "example.com/behind-the-sofa\n20852163\n\
                    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint = Checkpoint::parse(text).unwrap();
        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.text(), text);
        assert!(Checkpoint::parse(&format!("{text}more\n")).is_some());
        for bad in [
            "",
            "a\n1\n",
            "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "a\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "a\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jx\n",
            "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        ] {
            assert_eq!(Checkpoint::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn while_keys_change_either_will_do() {
        let (old, new) = (key("a.example/log"), key("a.example/log"));
        let both =
            Checkpoint::of("a.example/log", &Frontier::new()).sign(&[old.clone(), new.clone()]);
        for one in [&old, &new] {
            let keys = [one.verifying_key().clone()];
            assert_eq!(
                SignedCheckpoint::open(both.note(), &keys),
                Ok((both.clone(), vec![0]))
            );
        }
        let keys = [old.verifying_key().clone(), new.verifying_key().clone()];
        let (_, by) = SignedCheckpoint::open(both.note(), &keys).unwrap();
        assert_eq!(by, [0, 1]);
    }

    #[test]
    fn a_key_signs_for_its_own_log_only() {
        let (ours, theirs) = (key("a.example/log"), key("b.example/log"));
        let checkpoint = Checkpoint::of("a.example/log", &Frontier::new());
        // The key of another name under our origin, as no `sign` would make it.
        let text = checkpoint.text();
        let note = format!("{text}\n{}", theirs.signature_line(&text));
        let keys = [ours.verifying_key().clone(), theirs.verifying_key().clone()];
        let refused = SignedCheckpoint::open(&note, &keys);
        assert_eq!(refused, Err(CheckpointError::Note(NoteError::UnknownKey)));
        let unsigned = checkpoint.sign(&[theirs]);
        assert!(SignedCheckpoint::open(unsigned.note(), &keys).is_err());
    }
}
