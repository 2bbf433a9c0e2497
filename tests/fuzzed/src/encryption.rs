//! Encrypts texts that the library would not encrypt: base64url of a nonce and the output of
//! XChaCha20-Poly1305, authenticated with the context.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

/// Derives the key for one purpose from a secret.
pub(crate) fn derive_key(secret: &str, purpose: &str) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(b"oh-core"), secret.as_bytes())
        .expand(purpose.as_bytes(), &mut key)
        .expect("32 bytes are available");
    key
}

/// Encrypts a text. The nonce is constant because nothing here is secret.
pub(crate) fn encrypt(key: &[u8; 32], context: &str, text: &[u8]) -> String {
    let nonce = [7; 24];
    let payload = Payload {
        msg: text,
        aad: context.as_bytes(),
    };
    let encrypted = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), payload)
        .expect("short texts can be encrypted");
    URL_SAFE_NO_PAD.encode([&nonce[..], &encrypted].concat())
}
