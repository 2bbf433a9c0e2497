//! The event of a member leaving, as the inbox keeps it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{ProjectMemberId, Timestamp};

/// Names one event: 32 lowercase hex digits. The same notification always gets the same id, so
/// that a repeated one is recognised, also after the member's id was removed from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(String);

impl EventId {
    /// From storage, or from what an operator typed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Stands for a member in the ledger: a keyed hash of the project member id, 32 lowercase hex
/// digits. Whoever has the key and the id can find the lines; the lines alone tell nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pseudonym(String);

impl Pseudonym {
    /// From storage.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// The name it is stored and shown under.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName),
                }
            }
        }
    };
}
pub(crate) use named;

/// The text names nothing of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a known name")]
pub struct UnknownName;

named! {
    /// What is known of the member's wish about the data.
    ErasureRequest {
        /// The member asked for everything to be erased.
        Requested = "requested",
        /// The member left without asking for that.
        NotRequested = "not_requested",
        /// The member was found to have left; Open Humans does not tell the wish when asked.
        Unknown = "unknown",
    }
}

named! {
    /// How we know that the member left.
    Discovery {
        /// A signed webhook told us.
        Webhook = "webhook",
        /// We asked, and Open Humans no longer knows the member's authorization.
        Reconciliation = "reconciliation",
        /// We lost the tokens: a refresh got no answer, and may have used them up. Whether the
        /// member has left is not known, so no policy deletes data for this alone.
        TokenLoss = "token_loss",
        /// The app itself disconnected the member.
        Disconnected = "disconnected",
    }
}

/// One member leaving, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeauthEvent {
    /// Its name.
    pub id: EventId,
    /// Who left.
    pub member: ProjectMemberId,
    /// Who left, as the ledger says it.
    pub pseudonym: Pseudonym,
    /// What is known of the member's wish.
    pub erasure: ErasureRequest,
    /// How we know.
    pub discovery: Discovery,
    /// When the member left: by Open Humans' clock if told, by ours otherwise.
    pub left_at: Timestamp,
    /// When the event reached us.
    pub received_at: Timestamp,
}
