//! Open Humans for Rust applications: login, tokens, the API, and members leaving.

#[cfg(any(test, feature = "acceptance"))]
pub mod acceptance;
mod background;
pub mod deauth;
mod disconnect;
mod environment;
pub mod login;
mod open_humans;
#[cfg(feature = "pages")]
pub mod pages;
mod random;
mod return_path;
pub mod routes;
mod sealing;
mod session;
mod settings;
pub mod store;
mod tokens;
pub mod webhook;

pub use oh_api as api;
pub use oh_api::transport;
pub use oh_api::{
    AccessToken, AuthorizationCode, ClientSecret, Clock, Error, InvalidProjectMemberId,
    InvalidTimestamp, KeyMaterial, MasterToken, ProjectMemberId, RefreshToken, SecretUrl,
    Timestamp, WebhookSecret,
};

pub use background::Background;
pub use environment::SettingsError;
pub use open_humans::{BuildError, OpenHumans, OpenHumansBuilder};
pub use session::{Member, SESSION_KEY, SessionChange, SessionMember};
pub use settings::{DeletionPolicy, Settings, SettingsBuilder};
