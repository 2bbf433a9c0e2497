//! Signed notes: a text followed by Ed25519 signatures, as specified by [C2SP signed-note].
//!
//! The published crates for this format depend on older versions of the cryptography crates that
//! this workspace uses, so the format is implemented here on top of `ed25519-dalek`.
//!
//! [C2SP signed-note]: https://c2sp.org/signed-note

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The specification's identifier for Ed25519 signatures.
const ED25519: u8 = 1;
/// The specification requires support for at least 16 signatures.
const MAX_SIGNATURES: usize = 64;

/// The error for a key that cannot be used. It does not contain the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name is empty, or contains a blank, a control character or a plus sign.
    #[error(
        "the name of a key must not be empty or contain blanks, control characters or plus signs"
    )]
    InvalidName,
    /// The text does not have the form `PRIVATE+KEY+name+id+base64`.
    #[error("not a signing key: expected a text that begins with PRIVATE+KEY+")]
    NotASigningKey,
    /// The text does not have the form `name+id+base64`.
    #[error("not a verifying key: expected a text such as example.org/erasure+8d0f1a2b+AW9…")]
    NotAVerifyingKey,
    /// The id is not the hash of the name and the key, so one of them was mistyped or truncated.
    #[error(
        "the id of the key does not match its name and value: the text was changed or truncated"
    )]
    WrongId,
    /// The operating system did not provide random bytes.
    #[error("the operating system did not provide random bytes")]
    NoRandomness,
}

/// The name and the Ed25519 key that sign checkpoints. Its `Debug` output does not contain the key.
///
/// The text form is that of Go's `note` package.
///
/// ```
/// use oh_ledger::SigningKey;
///
/// let key = SigningKey::generate("example.org/erasure")?;
/// let verifying = key.verifying_key().to_string();
/// assert!(verifying.starts_with("example.org/erasure+"));
/// let again: SigningKey = key.to_secret_text().parse()?;
/// assert_eq!(again.verifying_key().to_string(), verifying);
/// # Ok::<(), oh_ledger::KeyError>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    verifying: VerifyingKey,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// Generates a key. The name identifies the ledger; use a URL that you control, without its
    /// scheme, such as `example.org/erasure`.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is invalid or no random bytes are available.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|_| KeyError::NoRandomness)?;
        Self::from_seed(name, &seed)
    }

    fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifying = VerifyingKey::new(name, key.verifying_key())?;
        Ok(Self { verifying, key })
    }

    /// Returns the name of the key and the ledger.
    pub fn name(&self) -> &str {
        &self.verifying.name
    }

    /// Returns the public key.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Returns the text form, which contains the secret key.
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![ED25519]);
        bytes.extend(self.key.as_bytes());
        let name = &self.verifying.name;
        let id = self.verifying.id;
        let encoded = Zeroizing::new(STANDARD.encode(&*bytes));
        Zeroizing::new(format!("PRIVATE+KEY+{name}+{id:08x}+{}", *encoded))
    }

    /// Returns the signature line for a text.
    pub(crate) fn signature_line(&self, text: &str) -> String {
        let mut bytes = self.verifying.id.to_be_bytes().to_vec();
        bytes.extend(self.key.sign(text.as_bytes()).to_bytes());
        format!(
            "\u{2014} {} {}\n",
            self.verifying.name,
            STANDARD.encode(bytes)
        )
    }
}

impl FromStr for SigningKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim().strip_prefix("PRIVATE+KEY+");
        let (name, id, bytes) = text.and_then(split_key).ok_or(KeyError::NotASigningKey)?;
        let seed = bytes
            .as_slice()
            .try_into()
            .map_err(|_| KeyError::NotASigningKey)?;
        let key = Self::from_seed(name, seed)?;
        if key.verifying.id != id {
            return Err(KeyError::WrongId);
        }
        Ok(key)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.name()).finish()
    }
}

/// The name and the public key that verify checkpoints.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: u32,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    fn new(name: &str, key: ed25519_dalek::VerifyingKey) -> Result<Self, KeyError> {
        let is_invalid = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.contains(is_invalid) {
            return Err(KeyError::InvalidName);
        }
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        let id = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        Ok(Self {
            name: name.to_owned(),
            id,
            key,
        })
    }

    /// Returns the name of the key and the ledger.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn has_signed(&self, text: &str, signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(text.as_bytes(), &signature).is_ok()
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, id, bytes) = split_key(text.trim()).ok_or(KeyError::NotAVerifyingKey)?;
        let bytes: &[u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| KeyError::NotAVerifyingKey)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes)
            .map_err(|_| KeyError::NotAVerifyingKey)?;
        let key = Self::new(name, key)?;
        if key.id != id {
            return Err(KeyError::WrongId);
        }
        Ok(key)
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend(self.key.as_bytes());
        write!(
            f,
            "{}+{:08x}+{}",
            self.name,
            self.id,
            STANDARD.encode(bytes)
        )
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// Splits `name+id+base64`. The decoded bytes begin with the signature type, which is removed.
fn split_key(text: &str) -> Option<(&str, u32, Zeroizing<Vec<u8>>)> {
    let mut parts = text.splitn(3, '+');
    let (name, id, bytes) = (parts.next()?, parts.next()?, parts.next()?);
    if id.len() != 8 {
        return None;
    }
    let id = u32::from_str_radix(id, 16).ok()?;
    let mut bytes = Zeroizing::new(STANDARD.decode(bytes).ok()?);
    if bytes.first() != Some(&ED25519) {
        return None;
    }
    bytes.remove(0);
    Some((name, id, bytes))
}

/// The error for a signed note that is not a valid checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The note is not a text, a blank line and signature lines.
    #[error("not a signed note")]
    Malformed,
    /// The signature of a known key does not match the text.
    #[error("the signature of {name} does not match the text: one of them was changed")]
    BadSignature {
        /// The name of the key.
        name: String,
    },
    /// No known key signed the note.
    #[error("none of the given keys signed the note")]
    UnknownKey,
    /// The text of the note is not a checkpoint.
    #[error("not a checkpoint: expected a name, a size and a root hash, one per line")]
    NotACheckpoint,
}

/// Splits a note into its text and its signature lines.
pub(crate) fn split(note: &str) -> Option<(&str, &str)> {
    let blank_line = note.rfind("\n\n")?;
    Some((&note[..=blank_line], &note[blank_line + 2..]))
}

/// Verifies a note. Returns its text and the indices of the keys that signed it, at least one.
pub(crate) fn open<'a>(
    note: &'a str,
    keys: &[VerifyingKey],
) -> Result<(&'a str, Vec<usize>), CheckpointError> {
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(CheckpointError::Malformed);
    }
    let (text, signatures) = split(note).ok_or(CheckpointError::Malformed)?;
    let signatures = signatures
        .strip_suffix('\n')
        .ok_or(CheckpointError::Malformed)?;
    let mut signers = Vec::new();
    for (count, line) in signatures.split('\n').enumerate() {
        if count >= MAX_SIGNATURES {
            return Err(CheckpointError::Malformed);
        }
        let (name, id, signature) = parse_signature(line).ok_or(CheckpointError::Malformed)?;
        let known = keys.iter().position(|key| key.name == name && key.id == id);
        let Some(index) = known else { continue };
        let matches = signature
            .as_slice()
            .try_into()
            .is_ok_and(|signature| keys[index].has_signed(text, signature));
        if !matches {
            return Err(CheckpointError::BadSignature {
                name: name.to_owned(),
            });
        }
        signers.push(index);
    }
    if signers.is_empty() {
        return Err(CheckpointError::UnknownKey);
    }
    Ok((text, signers))
}

/// Splits a signature line into the name and the id of the key, and the signature.
fn parse_signature(line: &str) -> Option<(&str, u32, Vec<u8>)> {
    let (name, bytes) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    (!name.is_empty()).then(|| (name, u32::from_be_bytes(*id), signature.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // From the documentation of Go's golang.org/x/mod/sumdb/note.
    const SIGNING: &str =
        "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const VERIFYING: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNATURE: &str = "\u{2014} PeterNeumann \
        x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn note_matches_output_of_go_package() {
        let key: SigningKey = SIGNING.parse().unwrap();
        assert_eq!(key.verifying_key().to_string(), VERIFYING);
        assert_eq!(*key.to_secret_text(), SIGNING);
        assert_eq!(key.signature_line(TEXT), SIGNATURE);
        let note = format!("{TEXT}\n{SIGNATURE}");
        let keys = [VERIFYING.parse().unwrap()];
        assert_eq!(open(&note, &keys), Ok((TEXT, vec![0])));
    }

    #[test]
    fn note_rejects_any_changed_byte() {
        let keys = [VERIFYING.parse().unwrap()];
        let note = format!("{TEXT}\n{SIGNATURE}").into_bytes();
        for at in 0..note.len() {
            for bit in [1, 0x10, 0x80] {
                let mut changed = note.clone();
                changed[at] ^= bit;
                let Ok(changed) = String::from_utf8(changed) else {
                    continue;
                };
                assert!(open(&changed, &keys).is_err(), "{at}: {changed}");
            }
        }
    }

    #[test]
    fn note_ignores_signatures_of_unknown_keys() {
        let known: SigningKey = SIGNING.parse().unwrap();
        let stranger = SigningKey::generate("PeterNeumann").unwrap();
        let keys = [known.verifying_key().clone()];
        let unknown = format!("{TEXT}\n{}", stranger.signature_line(TEXT));
        assert_eq!(open(&unknown, &keys), Err(CheckpointError::UnknownKey));
        let both = format!("{unknown}{SIGNATURE}");
        assert_eq!(open(&both, &keys), Ok((TEXT, vec![0])));
        for malformed in [
            "",
            "\n\n",
            TEXT,
            &format!("{TEXT}\n"),
            &format!("{TEXT}{SIGNATURE}"),
        ] {
            assert_eq!(
                open(malformed, &keys),
                Err(CheckpointError::Malformed),
                "{malformed}"
            );
        }
    }

    #[test]
    fn keys_reject_mistyped_text_and_hide_secret() {
        assert_eq!(
            SigningKey::generate("a b").unwrap_err(),
            KeyError::InvalidName
        );
        assert_eq!(SigningKey::generate("").unwrap_err(), KeyError::InvalidName);
        let wrong = SIGNING.replace("c74f20a3", "c74f20a4");
        assert_eq!(wrong.parse::<SigningKey>().unwrap_err(), KeyError::WrongId);
        let other = VERIFYING.replace("Peter", "Petra");
        assert_eq!(
            other.parse::<VerifyingKey>().unwrap_err(),
            KeyError::WrongId
        );
        let truncated = &VERIFYING[..VERIFYING.len() - 4];
        assert_eq!(
            truncated.parse::<VerifyingKey>().unwrap_err(),
            KeyError::NotAVerifyingKey
        );
        assert_eq!(
            VERIFYING.parse::<SigningKey>().unwrap_err(),
            KeyError::NotASigningKey
        );
        let key: SigningKey = SIGNING.parse().unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(\"PeterNeumann\")");
    }
}
