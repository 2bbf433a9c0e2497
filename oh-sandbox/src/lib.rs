//! A local stand-in for Open Humans, for tests and for development.
//!
//! It reproduces the measured behavior of the real server, including its surprises: refresh tokens
//! rotate without a grace period, `members/` requires the token in the query, a crash produces an
//! HTML page, and a webhook is sent once signed and once unsigned. The state is in memory, except
//! for the contents of files, which are in a temporary directory.
//!
//! # In a test
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use oh_sandbox::Sandbox;
//!
//! let sandbox = Sandbox::builder()
//!     .redirect_uri("http://localhost:8000/openhumans/complete")
//!     .member("01026778", Some("alice"))
//!     .start()
//!     .await?;
//!
//! // Performs the requests of a browser.
//! let mut url = sandbox.url().join("/direct-sharing/projects/oauth2/authorize/")?;
//! url.query_pairs_mut()
//!     .append_pair("client_id", sandbox.client_id())
//!     .append_pair("response_type", "code")
//!     .append_pair("state", "s");
//! let callback = sandbox.authorize("01026778", &url).await?;
//! assert_eq!(callback.path(), "/openhumans/complete");
//! assert!(callback.query().is_some_and(|query| query.contains("&state=s&origin=external")));
//!
//! // No webhook URL is set, so no webhook is delivered.
//! assert!(sandbox.leave("01026778", true).await.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! [`Sandbox`] runs on separate threads, so it works under any runtime. It stops when it is dropped.
//! [`Fault`] lists the faults that it can inject, and [`Endpoint`] the endpoints.
//!
//! # As a program
//!
//! `cargo run -p oh-sandbox -- --listen 127.0.0.1:8001` prints its credentials, which never change,
//! and serves until it is interrupted. For scripts without a browser:
//!
//! - `&sandbox_member=ID&sandbox_decision=allow` (or `refuse`) at the end of an authorization URL
//!   skips the form.
//! - `POST /sandbox/members/ID/leave` with `erasure=true` or `false`, in the query or a form, makes a
//!   member leave and returns the webhook requests.
//! - `GET /sandbox/stats` returns request counts, and `POST /sandbox/faults` injects faults.
//!   `GET /sandbox/` lists all paths, which correspond to the methods of [`Sandbox`].
//!
//! # Versions of the server
//!
//! By default the sandbox behaves like an older server. The newest server differs in three cases,
//! which [`SandboxBuilder::newest_server`] and `--server newest` reproduce. It crashes instead of
//! sending a webhook when a member leaves without an erasure request. It responds 500 after it has
//! removed a member by API. It responds 500 to the deletion of an account that takes part in a
//! project, and the membership stays.
//!
//! # Kinds of projects
//!
//! [`SandboxBuilder::approved`], [`SandboxBuilder::on_site`] and [`SandboxBuilder::access_logs`]
//! select an unapproved project, a project without OAuth2, and the project that may read access logs.
//! These three, the formats in paths (`project/members.json`) and the crashes for unknown projects and
//! data types follow the documentation and the public source of Open Humans. All other behavior was
//! measured.
//!
//! The start page links to a page for each member, which shows the files and messages that the
//! application has sent.
//!
//! # Simplifications
//!
//! - Login and authorization are one page, on which you select a member. A cookie stores the member,
//!   so a member with a live token is redirected immediately, until `approval_prompt=force` or a
//!   logout.
//! - There are two projects: the project under test, and one that members share data from. All data
//!   is public.
//! - The master token does not expire unless [`SandboxBuilder::expiring_master_token`] is set.
//! - The object store is a second port. Open Humans uses a second host.
#![forbid(unsafe_code)]

mod api;
mod builder;
mod client;
mod clock;
mod endpoint;
mod fault;
mod oauth;
mod objects;
mod pages;
mod sandbox;
mod secret;
mod server;
mod state;
mod stats;
mod web;
pub mod webhook;

pub use builder::{SandboxBuilder, StartError, defaults};
pub use endpoint::Endpoint;
pub use fault::Fault;
pub use sandbox::{AuthorizeError, FileInfo, Sandbox};
pub use state::database::Message;
pub use state::grants::IssuedTokens;
pub use stats::{Stats, TokenStats};
pub use webhook::Delivery;
