//! The keys that encrypt tokens at rest.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::ClientSecret;
use crate::encryption::{Cipher, derive_key};

/// The maximum length of a key id. It is shorter than any key, so an id in a message is never a key.
const MAX_ID_LEN: usize = 16;

/// The keys of an [`EncryptedStore`](super::EncryptedStore): the first key encrypts, all keys decrypt.
/// Cheap to clone.
///
/// [`OpenHumans`](crate::OpenHumans) takes its keyring from
/// [`Settings::store_keys`](crate::Settings::store_keys).
///
/// ```
/// use oh_core::store::Keyring;
///
/// let keys = Keyring::parse("2026:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=")?;
/// assert_eq!(format!("{keys:?}"), "Keyring(2026)");
///
/// let error = Keyring::parse("2026:tLZ4OThwsQVVCEPB5z8Q").unwrap_err();
/// assert_eq!(error.to_string(), "the key 2026 has 15 bytes instead of 32");
/// # Ok::<(), oh_core::store::KeyringError>(())
/// ```
#[derive(Clone)]
pub struct Keyring(Vec<Arc<Key>>);

pub(super) struct Key {
    pub(super) id: String,
    pub(super) cipher: Cipher,
}

/// An error in a list of keys. Its message names the entry and never contains a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyringError(String);

impl Keyring {
    /// Parses `id:key, id:key, …`. An id has 1 to 16 letters, digits, `-` or `_`. A key is 32 random
    /// bytes in base64, with either alphabet, padded or not.
    ///
    /// # Errors
    ///
    /// When the list is empty or an entry is malformed.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keys = Self(Vec::new());
        let entries = text.split(',').map(str::trim).filter(|e| !e.is_empty());
        for (number, entry) in (1..).zip(entries) {
            let Some((id, key)) = entry.split_once(':') else {
                return Err(KeyringError(format!("entry {number} is not id:key")));
            };
            if !is_key_id(id) {
                return Err(KeyringError(format!(
                    "the id of entry {number} is not 1 to {MAX_ID_LEN} letters, digits, - or _"
                )));
            }
            if keys.get(id).is_some() {
                return Err(KeyringError(format!("two keys have the id {id}")));
            }
            let cipher = Cipher::new(&*decode(id, key).map_err(KeyringError)?);
            keys.push(id.to_owned(), cipher);
        }
        match keys.0.is_empty() {
            true => Err(KeyringError("the list contains no key".to_owned())),
            false => Ok(keys),
        }
    }

    /// A keyring without keys, to which keys derived from client secrets are added.
    pub(crate) fn empty() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the key that is derived from a client secret. It encrypts if it is the only one.
    pub(crate) fn with_client_secret(mut self, secret: &ClientSecret) -> Self {
        let id = derive_key(secret.expose(), "id of the store key");
        let id = format!("cs-{:02x}{:02x}{:02x}{:02x}", id[0], id[1], id[2], id[3]);
        if self.get(&id).is_none() {
            self.push(id, Cipher::derive(secret.expose(), "store key"));
        }
        self
    }

    fn push(&mut self, id: String, cipher: Cipher) {
        self.0.push(Arc::new(Key { id, cipher }));
    }

    /// The ids of the keys, beginning with the key that encrypts.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// The key that encrypts.
    pub(super) fn first(&self) -> &Key {
        &self.0[0]
    }

    pub(super) fn get(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id).map(|key| &**key)
    }
}

/// Whether a text has the form of a key id.
pub(super) fn is_key_id(text: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    (1..=MAX_ID_LEN).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn decode(id: &str, text: &str) -> Result<Zeroizing<[u8; 32]>, String> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(false);
    let alphabet = if text.contains(['-', '_']) {
        alphabet::URL_SAFE
    } else {
        alphabet::STANDARD
    };
    let bytes = GeneralPurpose::new(&alphabet, config).decode(text.trim());
    let bytes = Zeroizing::new(bytes.map_err(|_| format!("the key {id} is not base64"))?);
    let key: [u8; 32] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| format!("the key {id} has {} bytes instead of 32", bytes.len()))?;
    // A placeholder such as 32 zeros.
    if key.iter().all(|byte| *byte == key[0]) {
        return Err(format!("the key {id} is not random"));
    }
    Ok(Zeroizing::new(key))
}

/// Shows the ids of the keys.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.ids().collect();
        write!(f, "Keyring({})", ids.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";
    const B: &str = "P_7ioYd1Xv0J3jEZ4tYv-1nB0qk5cJmJdT2xTn3yQ_I";

    #[test]
    fn keyring_encrypts_with_first_key_and_finds_every_key() {
        let keys = Keyring::parse(&format!(" new:{A},\n old:{B} ,")).unwrap();
        assert_eq!(keys.first().id, "new");
        assert!(keys.get("old").is_some() && keys.get("older").is_none());
        assert_eq!(format!("{keys:?}"), "Keyring(new, old)");
    }

    #[test]
    fn keyring_derives_one_key_from_each_client_secret() {
        let [secret, previous] = ["a client secret", "a previous one"].map(ClientSecret::new);
        let alone = Keyring(Vec::new()).with_client_secret(&secret);
        let both = Keyring(Vec::new())
            .with_client_secret(&previous)
            .with_client_secret(&secret)
            .with_client_secret(&secret);
        assert_eq!(both.0.len(), 2);
        let encrypted = alone.first().cipher.encrypt("context", b"text");
        let same = both.get(&alone.first().id).unwrap();
        let plain = same.cipher.decrypt("context", &encrypted).unwrap();
        assert_eq!(plain.as_slice(), b"text");
        assert!(both.first().cipher.decrypt("context", &encrypted).is_none());
        assert!(is_key_id(&alone.first().id));
        assert!(!format!("{alone:?}").contains("secret"));
    }

    #[test]
    fn keyring_error_names_entry_and_never_shows_key() {
        let zeros = "A".repeat(43);
        for (list, expected) in [
            (" , ".to_owned(), "the list contains no key"),
            (A.to_owned(), "entry 1 is not id:key"),
            (format!("a:{A}, {B}"), "entry 2 is not id:key"),
            (
                format!("{A}:a"),
                "the id of entry 1 is not 1 to 16 letters, digits, - or _",
            ),
            (
                format!("{B}:a"),
                "the id of entry 1 is not 1 to 16 letters, digits, - or _",
            ),
            (
                format!(":{A}"),
                "the id of entry 1 is not 1 to 16 letters, digits, - or _",
            ),
            (
                format!("a b:{A}"),
                "the id of entry 1 is not 1 to 16 letters, digits, - or _",
            ),
            (format!("a:{A},a:{B}"), "two keys have the id a"),
            (format!("a:{A}!"), "the key a is not base64"),
            (format!("a:x{B}"), "the key a has 33 bytes instead of 32"),
            ("a:".to_owned(), "the key a has 0 bytes instead of 32"),
            (format!("a:{zeros}"), "the key a is not random"),
        ] {
            let error = Keyring::parse(&list).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }
}
