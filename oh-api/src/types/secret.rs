//! Types for tokens, codes and secrets.
//!
//! Their `Debug` output is empty, they have no `Display` and no `PartialEq`, and their memory is
//! zeroed on drop. Only `expose` returns the text, which makes its uses easy to find.
//!
//! ```
//! use oh_api::AccessToken;
//!
//! let token = AccessToken::new("aXBfKym8W1M4fjUMXoy38iHzMEZdWS");
//! assert_eq!(format!("{token:?}"), "AccessToken(..)");
//! assert_eq!(token.expose().len(), 30);
//! ```

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// Creates a secret from its text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(SecretString::from(text.into()))
            }

            /// Returns the text. Do not log or print it.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

secret! {
    /// A member's OAuth2 access token (RFC 6749 section 1.4). Expires after 36,000 s at Open Humans.
    AccessToken
}
secret! {
    /// A member's OAuth2 refresh token (RFC 6749 section 1.5). Works once: each use returns a new pair.
    RefreshToken
}
secret! {
    /// An OAuth2 authorization code (RFC 6749 section 1.3.1). Expires after 1,800 s and works once.
    AuthorizationCode
}
secret! {
    /// The project's OAuth2 client secret.
    ClientSecret
}
secret! {
    /// The project's master access token. Expires after 24 h unless an administrator of Open Humans
    /// disabled that.
    MasterToken
}
secret! {
    /// The secret that signs the deauthorization webhook: 16 to 64 ASCII characters.
    WebhookSecret
}
secret! {
    /// Key material for encryption and pseudonyms: any text of 32 characters or more.
    KeyMaterial
}
secret! {
    /// A URL that contains a token or a signature, such as a file's `download_url`.
    SecretUrl
}

impl<'de> serde::Deserialize<'de> for SecretUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl ClientSecret {
    /// Returns whether this is the password hash that Open Humans' project page shows instead of the
    /// secret after the project was created. It does not work as the secret.
    pub fn is_stored_hash(&self) -> bool {
        ["pbkdf2_", "argon2", "bcrypt", "scrypt$"]
            .iter()
            .any(|prefix| self.expose().starts_with(prefix))
    }
}
