//! Records with their tokens in the clear, for stores that write text or bytes.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Epoch, MemberRecord, RefreshLease, Tokens, Version};
use crate::{ProjectMemberId, Timestamp};

/// A [`MemberRecord`] that serializes with its tokens in the clear. The record itself does not, so
/// that nobody writes tokens down by accident.
///
/// ```
/// use oh_core::store::{Exposed, MemberRecord, Tokens};
/// use oh_core::Timestamp;
///
/// let tokens = Tokens::new("access", "refresh", Timestamp::UNIX_EPOCH);
/// let record = MemberRecord::authorized("01026778".parse()?, tokens, Timestamp::UNIX_EPOCH);
///
/// let json = serde_json::to_string(&Exposed(&record))?;
/// let Exposed(read): Exposed<MemberRecord> = serde_json::from_str(&json)?;
/// assert_eq!(read.version, record.version);
/// assert_eq!(read.tokens.unwrap().refresh_token.expose(), "refresh");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Exposed<T>(pub T);

#[derive(Serialize, Deserialize)]
struct Written {
    member: ProjectMemberId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tokens: Option<WrittenTokens>,
    epoch: Epoch,
    authorized_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    deauthorized_at: Option<Timestamp>,
    confirmed_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    refresh: Option<RefreshLease>,
    #[serde(default)]
    refresh_unanswered: bool,
    version: Version,
}

#[derive(Serialize, Deserialize)]
struct WrittenTokens {
    access_token: String,
    refresh_token: String,
    expires_at: Timestamp,
}

impl Serialize for Exposed<&MemberRecord> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0.clone();
        let written = Written {
            member: record.member,
            username: record.username,
            tokens: record.tokens.map(|tokens| WrittenTokens {
                access_token: tokens.access_token.expose().to_owned(),
                refresh_token: tokens.refresh_token.expose().to_owned(),
                expires_at: tokens.expires_at,
            }),
            epoch: record.epoch,
            authorized_at: record.authorized_at,
            deauthorized_at: record.deauthorized_at,
            confirmed_at: record.confirmed_at,
            refresh: record.refresh,
            refresh_unanswered: record.refresh_unanswered,
            version: record.version,
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Exposed<MemberRecord> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        Ok(Self(MemberRecord {
            member: written.member,
            username: written.username,
            tokens: written.tokens.map(|tokens| {
                Tokens::new(tokens.access_token, tokens.refresh_token, tokens.expires_at)
            }),
            epoch: written.epoch,
            authorized_at: written.authorized_at,
            deauthorized_at: written.deauthorized_at,
            confirmed_at: written.confirmed_at,
            refresh: written.refresh,
            refresh_unanswered: written.refresh_unanswered,
            version: written.version,
        }))
    }
}
