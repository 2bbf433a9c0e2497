//! Member records that serialize with their tokens in plain text.

use serde::{Deserialize, Serialize};

use super::{Epoch, MemberRecord, RefreshLease, Tokens, Version};
use crate::{ProjectMemberId, Timestamp};

/// A [`MemberRecord`] that serializes with its tokens in plain text, for stores that write JSON or
/// another text format.
///
/// `MemberRecord` itself does not serialize, so that no code writes tokens by accident.
///
/// ```
/// use oh_core::store::{MemberRecord, PlainRecord, Tokens};
/// use oh_core::Timestamp;
///
/// let tokens = Tokens::new("access", "refresh", Timestamp::UNIX_EPOCH);
/// let record = MemberRecord::authorized("01026778".parse()?, tokens, Timestamp::UNIX_EPOCH);
///
/// let json = serde_json::to_string(&PlainRecord(record.clone()))?;
/// let PlainRecord(read) = serde_json::from_str(&json)?;
/// assert_eq!(read.version, record.version);
/// assert_eq!(read.tokens.unwrap().refresh_token.expose(), "refresh");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlainRecord(#[serde(with = "Fields")] pub MemberRecord);

#[derive(Serialize, Deserialize)]
#[serde(remote = "MemberRecord")]
struct Fields {
    member: ProjectMemberId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    username: Option<String>,
    #[serde(with = "tokens", skip_serializing_if = "Option::is_none", default)]
    tokens: Option<Tokens>,
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

mod tokens {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::Timestamp;
    use crate::store::Tokens;

    #[derive(Serialize, Deserialize)]
    struct PlainTokens {
        access_token: String,
        refresh_token: String,
        expires_at: Timestamp,
    }

    pub(super) fn serialize<S: Serializer>(
        tokens: &Option<Tokens>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let plain = tokens.as_ref().map(|tokens| PlainTokens {
            access_token: tokens.access_token.expose().to_owned(),
            refresh_token: tokens.refresh_token.expose().to_owned(),
            expires_at: tokens.expires_at,
        });
        plain.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Tokens>, D::Error> {
        let plain = Option::<PlainTokens>::deserialize(deserializer)?;
        Ok(plain
            .map(|plain| Tokens::new(plain.access_token, plain.refresh_token, plain.expires_at)))
    }
}
