//! A client for the Open Humans API.
//!
//! [Open Humans](https://www.openhumans.org) lets people share personal data with projects. This crate
//! calls its API: members' data, files of any size in constant memory, messages, removal of members,
//! public data and the OAuth2 endpoints. It stores nothing; `oh-core` adds login routes, token stores and
//! the handling of deauthorizations.
//!
//! A [`Client`] holds the server's URL, timeouts and retries, and creates the clients for each role:
//!
//! | created by | credentials | client |
//! |---|---|---|
//! | [`Client::member`] | a member's access token | [`MemberClient`]: one member's data and files |
//! | [`Client::project`] | the project's master token | [`ProjectClient`]: all members, messages, removal |
//! | [`Client::public`] | none | [`PublicClient`]: public data |
//! | [`Client::oauth`] | client id and secret | [`OAuthClient`]: authorization, token exchange and refresh |
//!
//! This program uploads a report for every member of a project, see [`job`]:
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
//!         .for_each_member(&job, async |member| {
//!             let text = format!("Files you share: {:?}\n", member.record().file_count);
//!             let upload = Upload::bytes("report-2026-11.txt", text)
//!                 .metadata(FileMetadata::new("Your monthly report").tags(["report"]));
//!             member.upload_if_absent(upload, MatchBy::Name).await?;
//!             Ok(())
//!         })
//!         .await?;
//!     println!("{} done, {} failed", report.done, report.failed.len());
//!     Ok(())
//! }
//! ```
//!
//! Every call has a timeout. Idempotent calls are retried after temporary failures, see
//! [`RetryPolicy`]. Lists are read page by page, see [`List`]. Responses have size limits. Secrets have
//! types without readable `Debug` output, and an [`Error`] quotes no tokens.
//!
//! # Features
//!
//! - `http-client` (default): the built-in HTTP client. Without it, implement
//!   [`Transport`](transport::Transport) for the application's HTTP client.
//! - `bulk`: uploads and downloads of whole directories, see [`bulk`].
//!
//! # Further reading
//!
//! [`Upload`] and [`Download`] for files, [`Message`] for e-mail to members, [`oauth`] for tokens,
//! [`transport`] for other HTTP clients.
//!
//! Source: the pages "OAuth2 Project API" and "On-site Project API" of Open Humans' documentation
//! (`/direct-sharing/oauth2-features/`, `/direct-sharing/on-site-features/`) and responses of the API.
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
