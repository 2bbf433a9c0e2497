//! A deauthorization event.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ProjectMemberId, Timestamp};

/// The deadline for erasure requests: one month (GDPR Art. 12(3)), taken as 30 days.
pub const ERASURE_DEADLINE: Duration = Duration::from_secs(30 * 24 * 3_600);

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps an id that was stored or entered by an operator. Its form is not checked.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Returns the id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The id of an event: 32 lowercase hex digits.
    ///
    /// The same notification always gets the same id, so the inbox recognizes a repeated one, also
    /// after the member's id was removed from the event.
    EventId
}

text_id! {
    /// The pseudonym of a member in the ledger: a keyed hash of the project member id, as 32
    /// lowercase hex digits.
    ///
    /// The holder of the key can compute it from the id. Nobody can compute the id from it.
    Pseudonym
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
            /// Returns the name under which the value is stored and displayed.
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

/// An error for text that is not the name of any variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

named! {
    /// Whether the member asked for the data to be erased.
    ErasureRequest {
        /// The member asked for erasure.
        Requested = "requested",
        /// The member left without asking for erasure.
        NotRequested = "not_requested",
        /// Unknown: Open Humans reports the request in the webhook only, and not when asked.
        Unknown = "unknown",
    }
}

named! {
    /// The way in which the deauthorization was discovered.
    Discovery {
        /// A signed webhook reported it.
        Webhook = "webhook",
        /// Open Humans, when asked, did not know the member's authorization any more.
        Reconciliation = "reconciliation",
        /// The member's tokens were lost: the response to a refresh never arrived, and the refresh
        /// may have consumed them. The member has not necessarily left, so no policy deletes data
        /// for this reason alone.
        TokenLoss = "token_loss",
        /// The application disconnected the member.
        Disconnected = "disconnected",
    }
}

/// The deauthorization of one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeauthEvent {
    /// The id of the event.
    pub id: EventId,
    /// The member.
    pub member: ProjectMemberId,
    /// The member's pseudonym in the ledger.
    pub pseudonym: Pseudonym,
    /// Whether the member asked for erasure.
    pub erasure: ErasureRequest,
    /// The way in which the deauthorization was discovered.
    pub discovery: Discovery,
    /// When the member left: by the clock of Open Humans if a webhook reported it, otherwise by the
    /// clock of this process.
    pub left_at: Timestamp,
    /// When this process received or created the event.
    pub received_at: Timestamp,
}
