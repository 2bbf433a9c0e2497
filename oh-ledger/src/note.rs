//! Signed notes: text with Ed25519 signatures under it, as [C2SP signed-note] has it.
//!
//! The published crates for it build on earlier generations of the cryptography this workspace
//! uses, so the format is here: three dozen lines over `ed25519-dalek`.
//!
//! [C2SP signed-note]: https://c2sp.org/signed-note

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The signature type "Ed25519" of the specification.
const ED25519: u8 = 1;
/// So many signature lines are looked at; the specification asks for at least 16.
const MOST_SIGNATURES: usize = 64;

/// Why a key cannot be used. Says nothing of what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name is empty, or holds a blank, a control character or a plus sign.
    #[error("a key's name must not be empty, and holds neither blanks nor plus signs")]
    Name,
    /// It is not `PRIVATE+KEY+name+id+base64`.
    #[error("not a signing key, which begins with PRIVATE+KEY+")]
    NotASigningKey,
    /// It is not `name+id+base64`.
    #[error("not a verifying key, such as example.org/erasure+8d0f1a2b+AW9…")]
    NotAVerifyingKey,
    /// The id does not belong to name and key: something was mistyped.
    #[error("the key's id does not belong to its name and value: it was changed or cut")]
    WrongId,
    /// The machine has no randomness to give.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// What checkpoints are signed with: a name, and an Ed25519 key. Does not print.
///
/// As text it is what Go's `note` package and the tools around it read and write.
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
    /// A new key. The name is the log's as well: best an address without its scheme that is
    /// nobody else's, such as `example.org/erasure`.
    ///
    /// # Errors
    ///
    /// When the name cannot be used, or the machine has no randomness.
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

    /// Its name.
    pub fn name(&self) -> &str {
        &self.verifying.name
    }

    /// What those who check have of it.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The key itself, to be kept where secrets are kept.
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![ED25519]);
        bytes.extend(self.key.as_bytes());
        let name = &self.verifying.name;
        let id = self.verifying.id;
        let encoded = Zeroizing::new(STANDARD.encode(&*bytes));
        Zeroizing::new(format!("PRIVATE+KEY+{name}+{id:08x}+{}", *encoded))
    }

    /// The line that signs a text.
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
        let (name, id, bytes) = text.and_then(parts).ok_or(KeyError::NotASigningKey)?;
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

/// What checkpoints are checked with. Public.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: u32,
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    fn new(name: &str, key: ed25519_dalek::VerifyingKey) -> Result<Self, KeyError> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.contains(bad) {
            return Err(KeyError::Name);
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

    /// Its name, which is the log's as well.
    pub fn name(&self) -> &str {
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
        let (name, id, bytes) = parts(text.trim()).ok_or(KeyError::NotAVerifyingKey)?;
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

/// `name+id+base64`, where the bytes begin with the type of the signature.
fn parts(text: &str) -> Option<(&str, u32, Zeroizing<Vec<u8>>)> {
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

/// Why a note is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// It is not a text, a blank line and signatures.
    #[error("not a signed note")]
    Malformed,
    /// A known key's signature does not fit the text.
    #[error("the signature of {name} does not fit the text: one of them was changed")]
    BadSignature {
        /// Whose.
        name: String,
    },
    /// Nobody who is known has signed it.
    #[error("none of the keys given has signed it")]
    UnknownKey,
}

/// The text of a note, and who of `keys` has signed it, by place: at least one.
pub(crate) fn open<'a>(
    note: &'a str,
    keys: &[VerifyingKey],
) -> Result<(&'a str, Vec<usize>), NoteError> {
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(NoteError::Malformed);
    }
    let blank = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
    let (text, signatures) = (&note[..=blank], &note[blank + 2..]);
    let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    let mut signed = Vec::new();
    for (count, line) in signatures.split('\n').enumerate() {
        let line = line.strip_prefix("\u{2014} ").ok_or(NoteError::Malformed)?;
        let (name, bytes) = line.split_once(' ').ok_or(NoteError::Malformed)?;
        let bytes = STANDARD.decode(bytes).map_err(|_| NoteError::Malformed)?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or(NoteError::Malformed)?;
        if name.is_empty() || count >= MOST_SIGNATURES {
            return Err(NoteError::Malformed);
        }
        let id = u32::from_be_bytes(*id);
        let known = keys.iter().position(|key| key.name == name && key.id == id);
        let Some(place) = known else { continue };
        let fits = signature
            .try_into()
            .is_ok_and(|signature| keys[place].has_signed(text, signature));
        if !fits {
            return Err(NoteError::BadSignature {
                name: name.to_owned(),
            });
        }
        signed.push(place);
    }
    if signed.is_empty() {
        return Err(NoteError::UnknownKey);
    }
    Ok((text, signed))
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
    fn a_note_is_what_gos_package_writes() {
        let key: SigningKey = SIGNING.parse().unwrap();
        assert_eq!(key.verifying_key().to_string(), VERIFYING);
        assert_eq!(*key.to_secret_text(), SIGNING);
        assert_eq!(key.signature_line(TEXT), SIGNATURE);
        let note = format!("{TEXT}\n{SIGNATURE}");
        let keys = [VERIFYING.parse().unwrap()];
        assert_eq!(open(&note, &keys), Ok((TEXT, vec![0])));
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
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
    fn signatures_of_strangers_count_for_nothing_and_do_no_harm() {
        let known: SigningKey = SIGNING.parse().unwrap();
        let stranger = SigningKey::generate("PeterNeumann").unwrap();
        let keys = [known.verifying_key().clone()];
        let theirs = format!("{TEXT}\n{}", stranger.signature_line(TEXT));
        assert_eq!(open(&theirs, &keys), Err(NoteError::UnknownKey));
        let both = format!("{theirs}{SIGNATURE}");
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
                Err(NoteError::Malformed),
                "{malformed}"
            );
        }
    }

    #[test]
    fn keys_that_were_cut_or_mistyped_are_refused_and_none_prints() {
        assert_eq!(SigningKey::generate("a b").unwrap_err(), KeyError::Name);
        assert_eq!(SigningKey::generate("").unwrap_err(), KeyError::Name);
        let wrong = SIGNING.replace("c74f20a3", "c74f20a4");
        assert_eq!(wrong.parse::<SigningKey>().unwrap_err(), KeyError::WrongId);
        let other = VERIFYING.replace("Peter", "Petra");
        assert_eq!(
            other.parse::<VerifyingKey>().unwrap_err(),
            KeyError::WrongId
        );
        let cut = &VERIFYING[..VERIFYING.len() - 4];
        assert_eq!(
            cut.parse::<VerifyingKey>().unwrap_err(),
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
