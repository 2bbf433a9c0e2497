//! The keys that tokens are sealed with at rest.
//!
//! A keyring is a list, so that keys can be rotated: the first seals, all of them open.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::encryption::Sealer;
use crate::environment::{Environment, SettingsError};

const VARIABLE: &str = "OPENHUMANS_STORE_KEYS";
const EXPECTED: &str = "a comma-separated list of id:key, each key 32 random bytes in base64 (openssl rand -base64 32)";

/// The longest key id. Shorter than any key, so that an id in a message is never a key.
const ID_LEN: usize = 16;

/// Keys for a [`EncryptedStore`](super::EncryptedStore): the first seals, all open.
///
/// To rotate without downtime: add the new key behind the old one and deploy everywhere; move it
/// to the front and deploy; run [`EncryptedStore::reencrypt_all`](super::EncryptedStore::reencrypt_all); take
/// the old key off.
///
/// ```
/// use oh_core::store::{Keyring, KeyringError};
///
/// let keys = Keyring::parse("2026:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=")?;
/// assert_eq!(format!("{keys:?}"), "Keyring(2026)");
///
/// let broken = Keyring::parse("2026:tLZ4OThwsQVVCEPB5z8Q").unwrap_err();
/// assert_eq!(broken.to_string(), "the key 2026 is 15 bytes long, not 32");
/// # Ok::<(), KeyringError>(())
/// ```
pub struct Keyring(Vec<Key>);

pub(super) struct Key {
    pub(super) id: String,
    pub(super) sealer: Sealer,
}

/// What is wrong with a list of keys. Names the place, never the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// There is no key in it.
    #[error("there is no key")]
    Empty,
    /// An entry is not `id:key`.
    #[error("entry {place} is not id:key")]
    NoId {
        /// Which entry, from 1.
        place: usize,
    },
    /// An id is not 1 to 16 of `A-Z a-z 0-9 - _`.
    #[error("the id of entry {place} is not 1 to 16 letters, digits, - or _")]
    BadId {
        /// Which entry, from 1.
        place: usize,
    },
    /// Two keys have one id.
    #[error("two keys have the id {id}")]
    Duplicate {
        /// The id.
        id: String,
    },
    /// A key is not base64.
    #[error("the key {id} is not base64")]
    NotBase64 {
        /// Its id.
        id: String,
    },
    /// A key has the wrong length.
    #[error("the key {id} is {bytes} bytes long, not 32")]
    WrongLength {
        /// Its id.
        id: String,
        /// How long it is once decoded.
        bytes: usize,
    },
    /// All bytes of a key are the same: a placeholder.
    #[error("the key {id} is not random")]
    NotRandom {
        /// Its id.
        id: String,
    },
}

/// Whether a text can be the id of a key.
pub(super) fn is_id(text: &str) -> bool {
    let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    (1..=ID_LEN).contains(&text.len()) && text.bytes().all(fits)
}

impl Keyring {
    /// Reads `id:key, id:key, …`; keys are 32 bytes in base64, either alphabet, padded or not.
    ///
    /// # Errors
    ///
    /// When it is anything else.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keys: Vec<Key> = Vec::new();
        let entries = text.split(',').map(str::trim).filter(|e| !e.is_empty());
        for (place, entry) in (1..).zip(entries) {
            let (id, key) = entry.split_once(':').ok_or(KeyringError::NoId { place })?;
            if !is_id(id) {
                return Err(KeyringError::BadId { place });
            }
            let id = id.to_owned();
            if keys.iter().any(|key| key.id == id) {
                return Err(KeyringError::Duplicate { id });
            }
            let sealer = Sealer::new(&*decode(&id, key)?);
            keys.push(Key { id, sealer });
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self(keys))
    }

    /// Reads the list from `OPENHUMANS_STORE_KEYS`, or from the file `OPENHUMANS_STORE_KEYS_FILE`
    /// names.
    ///
    /// # Errors
    ///
    /// When neither or both are set, the file cannot be read, or a key is malformed. The error
    /// names the variable and says what is expected.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let text = Zeroizing::new(Environment(get).required(VARIABLE, EXPECTED)?);
        Self::parse(&text).map_err(|error| SettingsError::Invalid {
            name: VARIABLE,
            why: error.to_string(),
            expected: EXPECTED,
        })
    }

    /// The ids of the keys, that of the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// The key that seals.
    pub(super) fn first(&self) -> &Key {
        &self.0[0]
    }

    /// The key of this id.
    pub(super) fn get(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

fn decode(id: &str, text: &str) -> Result<Zeroizing<[u8; 32]>, KeyringError> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(false);
    let alphabet = if text.contains(['-', '_']) {
        alphabet::URL_SAFE
    } else {
        alphabet::STANDARD
    };
    let bytes = GeneralPurpose::new(&alphabet, config).decode(text.trim());
    let id = || id.to_owned();
    let bytes = Zeroizing::new(bytes.map_err(|_| KeyringError::NotBase64 { id: id() })?);
    let key: [u8; 32] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| KeyringError::WrongLength {
            id: id(),
            bytes: bytes.len(),
        })?;
    if key.iter().all(|byte| *byte == key[0]) {
        return Err(KeyringError::NotRandom { id: id() });
    }
    Ok(Zeroizing::new(key))
}

/// The ids only.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(")?;
        for (n, key) in self.0.iter().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { ", " }, key.id)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";
    const B: &str = "P_7ioYd1Xv0J3jEZ4tYv-1nB0qk5cJmJdT2xTn3yQ_I";

    fn error(text: &str) -> KeyringError {
        let error = Keyring::parse(text).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(!said.contains("tLZ4") && !said.contains("P_7i"), "{said}");
        error
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let keys = Keyring::parse(&format!(" new:{A},\n old:{B} ,")).unwrap();
        assert_eq!(keys.first().id, "new");
        assert!(keys.get("old").is_some() && keys.get("older").is_none());
        assert_eq!(format!("{keys:?}"), "Keyring(new, old)");
        assert_eq!(keys.ids().collect::<Vec<_>>(), ["new", "old"]);
    }

    #[test]
    fn what_is_wrong_is_said_and_the_key_is_not() {
        assert_eq!(error(" , "), KeyringError::Empty);
        assert_eq!(error(A), KeyringError::NoId { place: 1 });
        assert_eq!(
            error(&format!("a:{A}, {B}")),
            KeyringError::NoId { place: 2 }
        );
        assert_eq!(error(&format!("{A}:a")), KeyringError::BadId { place: 1 });
        assert_eq!(error(&format!("{B}:a")), KeyringError::BadId { place: 1 });
        assert_eq!(error(&format!(":{A}")), KeyringError::BadId { place: 1 });
        assert_eq!(error(&format!("a b:{A}")), KeyringError::BadId { place: 1 });
        let id = || "a".to_owned();
        assert_eq!(
            error(&format!("a:{A},a:{B}")),
            KeyringError::Duplicate { id: id() }
        );
        assert_eq!(
            error(&format!("a:{A}!")),
            KeyringError::NotBase64 { id: id() }
        );
        assert_eq!(
            error(&format!("a:x{B}")),
            KeyringError::WrongLength {
                id: id(),
                bytes: 33
            }
        );
        assert_eq!(
            error("a:"),
            KeyringError::WrongLength { id: id(), bytes: 0 }
        );
        let zeros = "A".repeat(43);
        assert_eq!(
            error(&format!("a:{zeros}")),
            KeyringError::NotRandom { id: id() }
        );
    }

    #[test]
    fn the_environment_is_named_in_errors() {
        let with = |name: &'static str, value: String| {
            Keyring::from_variables(move |asked| (asked == name).then(|| value.clone()))
        };
        assert!(with(VARIABLE, format!("a:{A}")).is_ok());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("a:{A}\n")).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        assert!(with("OPENHUMANS_STORE_KEYS_FILE", path).is_ok());
        for (name, value) in [
            (VARIABLE, String::new()),
            (VARIABLE, A.to_owned()),
            ("OPENHUMANS_STORE_KEYS_FILE", "/nonexistent/keys".to_owned()),
        ] {
            let said = with(name, value).unwrap_err();
            let said = format!("{said} {said:?}");
            assert!(said.contains(VARIABLE) && !said.contains("tLZ4"), "{said}");
        }
    }
}
