//! The project member id, which identifies a member within a project.
//!
//! ```
//! use oh_api::ProjectMemberId;
//!
//! let id: ProjectMemberId = "01026778".parse()?;
//! assert_eq!(id.as_str(), "01026778");
//! assert!("1026778x".parse::<ProjectMemberId>().is_err());
//! # Ok::<(), oh_api::InvalidProjectMemberId>(())
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The id of a member in one project: digits, including leading zeros.
///
/// Open Humans assigns 8 digits; its database allows 16. The id remains the same when a member
/// leaves and joins again. It differs between projects.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectMemberId(Arc<str>);

/// The error for a text that does not consist of 1 to 16 ASCII digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the project member id must have 1 to 16 digits")]
pub struct InvalidProjectMemberId;

impl ProjectMemberId {
    /// The largest number of digits.
    pub const MAX_LEN: usize = 16;

    /// Returns the id with its leading zeros.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectMemberId {
    type Err = InvalidProjectMemberId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidProjectMemberId)
        }
    }
}

impl TryFrom<String> for ProjectMemberId {
    type Error = InvalidProjectMemberId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for ProjectMemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProjectMemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProjectMemberId({})", self.0)
    }
}

impl AsRef<str> for ProjectMemberId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for ProjectMemberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ProjectMemberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A record of which only the id is read.
#[derive(Deserialize)]
pub(crate) struct OnlyId {
    pub(crate) project_member_id: ProjectMemberId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_member_id_keeps_leading_zeros() {
        let id: ProjectMemberId = serde_json::from_str("\"00000001\"").unwrap();
        assert_eq!(id.to_string(), "00000001");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"00000001\"");
    }

    #[test]
    fn project_member_id_rejects_other_text() {
        for bad in [
            "",
            "12345678901234567",
            "1234567a",
            "१२३४५६७८",
            "12 45678",
            "-1234567",
        ] {
            assert_eq!(
                bad.parse::<ProjectMemberId>(),
                Err(InvalidProjectMemberId),
                "{bad}"
            );
        }
        assert!(serde_json::from_str::<ProjectMemberId>("12345678").is_err());
    }
}
