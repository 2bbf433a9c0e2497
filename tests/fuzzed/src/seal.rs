//! Sealed texts that the library would not make: base64url of a nonce and what
//! XChaCha20-Poly1305 makes of the text, bound to its place.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

/// The key for one purpose, from a secret.
pub(crate) fn derived(secret: &str, purpose: &str) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(b"oh-core"), secret.as_bytes())
        .expand(purpose.as_bytes(), &mut key)
        .expect("32 bytes can be had");
    key
}

/// Seals a text. The nonce is always the same: nothing here is a secret.
pub(crate) fn seal(key: &[u8; 32], bound_to: &str, text: &[u8]) -> String {
    let nonce = [7; 24];
    let payload = Payload {
        msg: text,
        aad: bound_to.as_bytes(),
    };
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), payload)
        .expect("a short text can be sealed");
    URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat())
}
