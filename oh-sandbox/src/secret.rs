//! Random values, and keyed hashes for links.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

const ALPHABET: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Returns `N` random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

/// Returns a token or code in oauthlib's format: 30 letters and digits.
pub(crate) fn token() -> String {
    // The modulo bias is acceptable in a sandbox.
    random::<30>()
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

/// The key that signs links.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn generate() -> Self {
        Self(random())
    }

    /// Returns the HMAC-SHA1 of a text.
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

/// Compares two values in constant time.
pub(crate) fn constant_time_eq(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// Formats 16 bytes as a UUID.
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
    fn token_has_thirty_random_characters() {
        let (one, two) = (token(), token());
        assert_eq!(one.len(), 30);
        assert!(one.chars().all(|letter| letter.is_ascii_alphanumeric()));
        assert_ne!(one, two);
    }

    #[test]
    fn uuid_has_dashes() {
        assert_eq!(uuid([0xab; 16]), "abababab-abab-abab-abab-abababababab");
    }
}
