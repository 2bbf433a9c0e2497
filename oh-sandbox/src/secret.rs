//! Random values and the keyed hashes that make links unguessable.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

const ALPHABET: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

/// A token or code as oauthlib makes them: 30 letters and digits.
pub(crate) fn token() -> String {
    // 62 does not divide 256; the bias is of no consequence in a sandbox.
    random::<30>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

/// The key that this run of the sandbox signs its links with.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn generate() -> Self {
        Self(random())
    }

    /// HMAC-SHA1 of a text, as the object store's query signatures have it.
    pub(crate) fn mac(&self, text: &str) -> [u8; 20] {
        let mut mac =
            Hmac::<Sha1>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }

    pub(crate) fn signature(&self, text: &str) -> String {
        STANDARD.encode(self.mac(text))
    }
}

/// Compares without telling by its duration where two values differ.
pub(crate) fn constant_time_eq(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// Writes 16 bytes in the form of a UUID.
pub(crate) fn uuid(bytes: [u8; 16]) -> String {
    let text = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_thirty_characters_and_differ() {
        let (one, two) = (token(), token());
        assert_eq!(one.len(), 30);
        assert!(one.chars().all(|letter| letter.is_ascii_alphanumeric()));
        assert_ne!(one, two);
    }

    #[test]
    fn a_uuid_has_its_dashes() {
        assert_eq!(uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab");
    }
}
