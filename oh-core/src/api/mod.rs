//! The Open Humans API: a member's data, the project's members, and what is public.
//!
//! A [`Client`] says which Open Humans and how patiently; it hands out three faces.
//! [`MemberClient`] is one member, with a live token or with the project's master token on the
//! member's behalf. [`ProjectClient`] is the project, with its master token. [`PublicClient`]
//! needs no token.
//!
//! ```no_run
//! use oh_core::api::Client;
//!
//! # async fn example() -> Result<(), oh_core::Error> {
//! let server = Client::new("https://www.openhumans.org")?;
//! let member = server.member("aXBfKym8W1M4fjUMXoy38iHzMEZdWS");
//! let who = member.exchange_member().await?;
//! println!("{} shares {:?}", who.project_member_id, who.sources_shared);
//! # Ok(())
//! # }
//! ```
//!
//! Every call has a timeout. Calls that are safe to repeat are repeated after a failure that may
//! pass, see [`RetryPolicy`]. Answers are read into memory up to a limit, and what is quoted from them
//! in an error holds no token.
//!
//! Source: the pages "OAuth2 Project API" and "On-site Project API" of Open Humans' documentation
//! (`/direct-sharing/oauth2-features/`, `/direct-sharing/on-site-features/`) and the API's answers.

mod answer;
pub mod bulk;
mod call;
mod client;
mod download;
#[cfg(test)]
mod fake;
mod file;
mod files;
mod list;
mod member;
mod message;
mod metadata;
mod oauth;
mod object_store;
mod progress;
mod project;
mod public;
mod removal;
mod retry;
mod token;
mod upload;

pub(crate) use answer::retry_after;
pub use client::Client;
pub use download::{Download, DownloadStream, Downloaded, safe_file_name};
pub use file::{DataFile, DataFileId, FileOwner};
pub use list::List;
pub use member::{ExchangeMember, MemberClient};
pub use message::Message;
pub use metadata::FileMetadata;
pub use oauth::{Authorization, OAuthClient};
pub use progress::Progress;
pub use project::{Project, ProjectClient, ProjectMember};
pub use public::{DataType, MembersOfSource, PublicClient, PublicMember, SourcesOfMember};
pub use removal::Removal;
pub use retry::RetryPolicy;
pub use token::TokenSource;
pub use upload::{Upload, UploadMethod, Uploaded};
