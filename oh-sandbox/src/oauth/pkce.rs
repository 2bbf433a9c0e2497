//! PKCE: optional, but enforced once a client has used it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::secret::constant_time_eq;
use crate::state::grants::Challenge;

impl Challenge {
    /// Parses the challenge of an authorization request. Fails for an unknown method. The default
    /// method is `plain`.
    pub(crate) fn of(value: Option<&str>, method: Option<&str>) -> Result<Option<Self>, ()> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let hashed = match method.filter(|method| !method.is_empty()) {
            Some("S256") => true,
            Some("plain") | None => false,
            Some(_) => return Err(()),
        };
        Ok(Some(Self {
            value: value.to_owned(),
            hashed,
        }))
    }

    /// Returns whether a verifier matches the challenge.
    pub(crate) fn accepts(&self, verifier: &str) -> bool {
        if self.hashed {
            constant_time_eq(
                &self.value,
                &URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())),
            )
        } else {
            constant_time_eq(&self.value, verifier)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_accepts_example_of_rfc_7636() {
        let challenge = Challenge::of(
            Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            Some("S256"),
        );
        let challenge = challenge.unwrap().unwrap();
        assert!(challenge.accepts("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!challenge.accepts("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
    }

    #[test]
    fn challenge_method_defaults_to_plain() {
        assert!(
            Challenge::of(Some("abc"), None)
                .unwrap()
                .unwrap()
                .accepts("abc")
        );
        assert!(Challenge::of(Some("abc"), Some("S999")).is_err());
        assert!(Challenge::of(None, Some("S256")).unwrap().is_none());
    }
}
