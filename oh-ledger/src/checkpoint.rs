//! Checkpoints: the name, size and root hash of a ledger, signed. The format is
//! [C2SP tlog-checkpoint].
//!
//! [C2SP tlog-checkpoint]: https://c2sp.org/tlog-checkpoint

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::note::{self, CheckpointError, SigningKey, VerifyingKey};
use crate::tree::Frontier;

/// The state of a ledger at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The name of the ledger, which is also the name of its signing keys.
    pub origin: String,
    /// The number of lines.
    pub size: u64,
    /// The root hash of the tree over the lines.
    pub root: [u8; 32],
}

impl Checkpoint {
    /// Creates the checkpoint of a tree.
    pub fn of(origin: impl Into<String>, tree: &Frontier) -> Self {
        Self {
            origin: origin.into(),
            size: tree.size(),
            root: tree.root(),
        }
    }

    /// Signs the checkpoint with every key that has the name `origin`. Pass the old and the new key
    /// while you replace one.
    ///
    /// ```
    /// use oh_ledger::{Checkpoint, Frontier, SignedCheckpoint, SigningKey};
    ///
    /// let key = SigningKey::generate("example.org/erasure")?;
    /// let signed = Checkpoint::of(key.name(), &Frontier::new()).sign(&[key.clone()]);
    /// let (opened, signers) = SignedCheckpoint::open(signed.note(), &[key.verifying_key().clone()])?;
    /// assert_eq!((opened.checkpoint().size, signers), (0, vec![0]));
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
        // The specification allows extension lines, which are ignored here.
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
    /// Verifies a signed note and returns its checkpoint with the indices of the keys that signed it.
    ///
    /// # Errors
    ///
    /// Returns an error if the note is not a checkpoint, if the signature of one of the keys does not
    /// match, or if none of the keys signed it. A key counts only for the ledger of the same name.
    pub fn open(note: &str, keys: &[VerifyingKey]) -> Result<(Self, Vec<usize>), CheckpointError> {
        let (text, mut signers) = note::open(note, keys)?;
        let checkpoint = Checkpoint::parse(text).ok_or(CheckpointError::NotACheckpoint)?;
        signers.retain(|index| keys[*index].name() == checkpoint.origin);
        if signers.is_empty() {
            return Err(CheckpointError::UnknownKey);
        }
        let note = note.to_owned();
        Ok((Self { checkpoint, note }, signers))
    }

    /// Parses a checkpoint and ignores its signatures, to display a stored checkpoint.
    ///
    /// # Errors
    ///
    /// Returns an error if the note is not a checkpoint.
    pub fn unverified(note: &str) -> Result<Self, CheckpointError> {
        let (text, _) = note::split(note).ok_or(CheckpointError::Malformed)?;
        let checkpoint = Checkpoint::parse(text).ok_or(CheckpointError::NotACheckpoint)?;
        let note = note.to_owned();
        Ok(Self { checkpoint, note })
    }

    /// Returns the checkpoint.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Returns the signed note, in the form to store or publish.
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
    fn checkpoint_text_matches_specification() {
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
    fn checkpoint_with_two_signatures_opens_with_either_key() {
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
        let (_, signers) = SignedCheckpoint::open(both.note(), &keys).unwrap();
        assert_eq!(signers, [0, 1]);
    }

    #[test]
    fn key_signs_only_for_ledger_of_its_name() {
        let (a, b) = (key("a.example/log"), key("b.example/log"));
        let checkpoint = Checkpoint::of("a.example/log", &Frontier::new());
        // `sign` would not use the key of another name.
        let text = checkpoint.text();
        let note = format!("{text}\n{}", b.signature_line(&text));
        let keys = [a.verifying_key().clone(), b.verifying_key().clone()];
        let rejected = SignedCheckpoint::open(&note, &keys);
        assert_eq!(rejected, Err(CheckpointError::UnknownKey));
        let unsigned = checkpoint.sign(&[b]);
        assert!(SignedCheckpoint::open(unsigned.note(), &keys).is_err());
    }

    #[test]
    fn unverified_reads_checkpoint_without_keys() {
        let key = key("a.example/log");
        let signed = Checkpoint::of(key.name(), &Frontier::new()).sign(&[key]);
        assert_eq!(SignedCheckpoint::unverified(signed.note()), Ok(signed));
        assert!(SignedCheckpoint::unverified("nothing").is_err());
    }
}
