//! Open Humans for Rust applications: login, tokens, the API, and members leaving.

#[cfg(any(test, feature = "acceptance"))]
pub mod acceptance;
pub mod api;
mod clock;
pub mod deauth;
mod disconnect;
mod error;
pub mod login;
mod member_id;
mod oauth;
mod open_humans;
mod random;
pub mod routes;
mod sealing;
mod secret;
mod session;
mod settings;
pub mod store;
mod timestamp;
mod tokens;
pub mod transport;
pub mod webhook;

pub use clock::Clock;
pub use error::Error;
pub use member_id::{InvalidProjectMemberId, ProjectMemberId};
pub use open_humans::{BuildError, OpenHumans, OpenHumansBuilder};
pub use secret::{
    AccessToken, AuthorizationCode, ClientSecret, KeyMaterial, MasterToken, RefreshToken,
    SecretUrl, WebhookSecret,
};
pub use session::{Member, SESSION_KEY, SessionChange, SessionMember};
pub use settings::{DeletionPolicy, Settings, SettingsBuilder, SettingsError};
pub use timestamp::{InvalidTimestamp, Timestamp};
