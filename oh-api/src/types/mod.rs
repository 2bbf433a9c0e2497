//! The values of the protocol.

mod clock;
pub(crate) mod data_file;
pub(crate) mod member_id;
pub(crate) mod record;
mod secret;
mod timestamp;

pub use clock::Clock;
pub use data_file::{DataFile, DataFileId, FileOwner, Metadata};
pub use member_id::{InvalidProjectMemberId, ProjectMemberId};
pub use secret::{
    AccessToken, AuthorizationCode, ClientSecret, KeyMaterial, MasterToken, RefreshToken,
    SecretUrl, WebhookSecret,
};
pub use timestamp::{InvalidTimestamp, Timestamp};
