//! Authenticated encryption for texts that leave the process and come back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::random;

/// XChaCha20's nonces are long enough to be random.
const NONCE_LEN: usize = 24;

/// Encrypts and decrypts short texts with one key (XChaCha20-Poly1305).
///
/// Each text has a context, which is authenticated and not stored: a ciphertext decrypts only with
/// the context with which it was encrypted.
pub(crate) struct Cipher(XChaCha20Poly1305);

impl Cipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Derives the key for one purpose from a secret.
    pub(crate) fn derive(secret: &str, purpose: &str) -> Self {
        Self::new(&derive_key(secret, purpose))
    }

    /// Returns the nonce and the ciphertext in base64url.
    pub(crate) fn encrypt(&self, context: &str, text: &[u8]) -> String {
        let nonce: [u8; NONCE_LEN] = random::bytes();
        let payload = Payload {
            msg: text,
            aad: context.as_bytes(),
        };
        let ciphertext = self.0.encrypt(&XNonce::from(nonce), payload);
        let mut out = nonce.to_vec();
        out.extend(ciphertext.expect("the cipher fails above 256 GiB only"));
        URL_SAFE_NO_PAD.encode(out)
    }

    /// Returns the text, or `None` if it was encrypted with another key or context, or modified.
    pub(crate) fn decrypt(&self, context: &str, encrypted: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = URL_SAFE_NO_PAD.decode(encrypted).ok()?;
        let (nonce, msg) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let payload = Payload {
            msg,
            aad: context.as_bytes(),
        };
        self.0
            .decrypt(&XNonce::from(*nonce), payload)
            .ok()
            .map(Zeroizing::new)
    }
}

/// Derives a key for one purpose from a secret of any length (HKDF-SHA256, RFC 5869).
pub(crate) fn derive_key(secret: &str, purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(b"oh-core"), secret.as_bytes())
        .expand(purpose.as_bytes(), &mut *key)
        .expect("HKDF-SHA256 supports outputs of up to 8,160 bytes");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cipher_decrypts_with_same_key_and_context_only() {
        let cipher = Cipher::derive("secret", "test");
        let encrypted = cipher.encrypt("context", b"text");
        let decrypted = cipher.decrypt("context", &encrypted).unwrap();
        assert_eq!(decrypted.as_slice(), b"text");
        assert!(cipher.decrypt("another context", &encrypted).is_none());
        for other in [
            Cipher::derive("secret", "other"),
            Cipher::derive("other", "test"),
        ] {
            assert!(other.decrypt("context", &encrypted).is_none());
        }
        assert_ne!(encrypted, cipher.encrypt("context", b"text"));
    }

    #[test]
    fn cipher_rejects_modified_text() {
        let cipher = Cipher::derive("secret", "test");
        let encrypted = cipher.encrypt("", b"text");
        for at in 0..encrypted.len() {
            let mut changed = encrypted.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The decoder rejects the bits of the last character that base64 ignores.
            assert!(cipher.decrypt("", &changed).is_none(), "{at}");
        }
        assert!(cipher.decrypt("", "").is_none());
        assert!(cipher.decrypt("", "AAAA").is_none());
    }
}
