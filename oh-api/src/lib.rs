//! A client for the Open Humans API.
//!
//! [Open Humans](https://www.openhumans.org) lets people share personal data with projects they
//! choose. This crate is what a project calls it with: members' data, files of any size in
//! constant memory, messages, removal, what is public, and the OAuth2 endpoints. It keeps nothing;
//! `oh-core` adds login routes, token stores and what must happen when a member leaves.
//!
//! A [`Client`] says which Open Humans and how patiently; it hands out four faces.
//!
//! | from | with | face |
//! |---|---|---|
//! | [`Client::member`] | a member's access token | [`MemberClient`]: one member's data and files |
//! | [`Client::project`] | the project's master token | [`ProjectClient`]: all members, messages, removal |
//! | [`Client::public`] | nothing | [`PublicClient`]: what is public |
//! | [`Client::oauth`] | client id and secret | [`OAuthClient`]: codes and refresh tokens to tokens |
//!
//! A job that stores one file with every member of a project; more of that in [`job`]:
//!
//! ```no_run
//! use oh_api::job::MemberJob;
//! use oh_api::{Client, FileMetadata, MatchBy, Upload};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::new("https://www.openhumans.org")?;
//!     let project = client.project(std::env::var("OPENHUMANS_MASTER_TOKEN")?);
//!     let job = MemberJob::new().resume("report-2026-11.done");
//!     let report = project
//!         .for_each_member(&job, async |visit| {
//!             let text = format!("Files you share: {:?}\n", visit.member().file_count);
//!             let upload = Upload::bytes("report-2026-11.txt", text)
//!                 .metadata(FileMetadata::new("Your monthly report").tags(["report"]));
//!             visit.upload_if_absent(upload, MatchBy::Name).await?;
//!             Ok(())
//!         })
//!         .await?;
//!     println!("{} done, {} failed", report.done, report.failed.len());
//!     Ok(())
//! }
//! ```
//!
//! Every call has a timeout. Calls that are safe to repeat are repeated after a failure that may
//! pass, see [`RetryPolicy`]. Answers are read into memory up to a limit. Secrets have types that
//! do not print, and what an [`Error`] quotes of an answer holds no token.
//!
//! # Features
//!
//! - `http-client` (default): the built-in HTTP client. Without it, bring a
//!   [`Transport`](transport::Transport) over the client the application already has.
//! - `bulk`: whole directories up and down, see [`bulk`].
//!
//! Source: the pages "OAuth2 Project API" and "On-site Project API" of Open Humans' documentation
//! (`/direct-sharing/oauth2-features/`, `/direct-sharing/on-site-features/`) and the API's answers.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "bulk")]
pub mod bulk;
mod error;
mod files;
pub mod job;
mod members;
pub mod oauth;
mod random;
mod rest;
#[cfg(test)]
mod test_support;
pub mod transport;
mod types;

pub use error::{AppError, Error, IoError, Problem};
pub use files::{
    DirectUpload, Download, DownloadStream, Downloaded, FileMetadata, MatchBy, Progress,
    StartedUpload, Upload, UploadMethod, UploadOutcome, Uploaded, safe_file_name,
};
pub use members::{
    AccessKey, AccessLogFilter, AccessedFile, DataType, ExchangeMember, FileAccess, FileFilter,
    MemberClient, MembersOfSource, Message, Project, ProjectClient, ProjectMember, PublicClient,
    PublicMember, Removal, SourcesOfMember, StoreAccess,
};
pub use oauth::{OAuthClient, TokenError, Tokens};
pub use rest::{Client, InvalidBaseUrl, List, RetryPolicy, TokenSource, check_base_url};
pub use types::{
    AccessToken, AuthorizationCode, ClientSecret, Clock, DataFile, DataFileId, FileOwner,
    InvalidProjectMemberId, InvalidTimestamp, KeyMaterial, MasterToken, Metadata, ProjectMemberId,
    RefreshToken, SecretUrl, Timestamp, WebhookSecret,
};
