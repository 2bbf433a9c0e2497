//! Open Humans for Rust applications: login, tokens, the API, and members leaving.

pub mod api;
#[cfg(any(test, feature = "acceptance"))]
pub mod acceptance;
mod clock;
pub mod deauth;
mod error;
pub mod login;
mod member_id;
mod random;
mod secret;
mod settings;
pub mod store;
mod timestamp;
pub mod transport;

pub use clock::Clock;
pub use error::Error;
pub use member_id::{InvalidProjectMemberId, ProjectMemberId};
pub use secret::{
    AccessToken, AuthorizationCode, ClientSecret, KeyMaterial, MasterToken, RefreshToken,
    SecretUrl, WebhookSecret,
};
pub use settings::{DeletionPolicy, Settings, SettingsBuilder, SettingsError};
pub use timestamp::{InvalidTimestamp, Timestamp};
