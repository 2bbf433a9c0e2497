//! Authenticated encryption for what leaves the process and comes back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::random;

const NONCE: usize = 24;

/// Seals and opens short texts under one key.
///
/// XChaCha20-Poly1305: its 24-byte nonces may be random. What the text belongs to (`bound_to`) is
/// authenticated with it, so a sealed text works in its own place only.
pub(crate) struct Sealer(XChaCha20Poly1305);

impl Sealer {
    /// With a key of its own.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// Derives a key for one purpose from a secret (HKDF-SHA256, RFC 5869).
    pub(crate) fn derive(secret: &str, purpose: &str) -> Self {
        Self::new(&derive_key(secret, purpose))
    }

    pub(crate) fn seal(&self, bound_to: &str, text: &[u8]) -> String {
        let nonce: [u8; NONCE] = random::bytes();
        let payload = Payload {
            msg: text,
            aad: bound_to.as_bytes(),
        };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload);
        // The cipher fails on more than 256 GiB only.
        let mut out = nonce.to_vec();
        out.extend(sealed.expect("a short text can be sealed"));
        URL_SAFE_NO_PAD.encode(out)
    }

    /// The text, if it was sealed by this key for this place and nobody changed it.
    pub(crate) fn open(&self, bound_to: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, msg) = bytes.split_first_chunk::<NONCE>()?;
        let payload = Payload {
            msg,
            aad: bound_to.as_bytes(),
        };
        self.0
            .decrypt(&XNonce::from(*nonce), payload)
            .ok()
            .map(Zeroizing::new)
    }
}

/// 32 bytes for one purpose, from a secret of any length.
pub(crate) fn derive_key(secret: &str, purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(b"oh-core"), secret.as_bytes())
        .expand(purpose.as_bytes(), &mut *key)
        .expect("HKDF-SHA256 gives up to 8,160 bytes");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let sealer = Sealer::derive("secret", "test");
        let sealed = sealer.seal("here", b"text");
        assert_eq!(sealer.open("here", &sealed).unwrap().as_slice(), b"text");
        assert!(sealer.open("there", &sealed).is_none());
        assert!(
            Sealer::derive("secret", "other")
                .open("here", &sealed)
                .is_none()
        );
        assert!(
            Sealer::derive("other", "test")
                .open("here", &sealed)
                .is_none()
        );
        assert_ne!(sealed, sealer.seal("here", b"text"));
    }

    #[test]
    fn a_changed_text_does_not_open() {
        let sealer = Sealer::derive("secret", "test");
        let sealed = sealer.seal("", b"text");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character has bits that base64 ignores; the decoder refuses those.
            assert!(sealer.open("", &changed).is_none(), "{at}");
        }
        assert!(sealer.open("", "").is_none());
        assert!(sealer.open("", "AAAA").is_none());
    }
}
