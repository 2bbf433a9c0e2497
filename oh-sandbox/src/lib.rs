//! A stand-in Open Humans on loopback, for tests and for trying things out.
//!
//! It behaves as the real server was measured to behave, surprises included: tokens rotate
//! without grace, `members/` works only with the token in the query, a crash is a page, and the
//! webhook is tried once signed and once unsigned. State is in memory, except for the contents of
//! files, which lie in a temporary folder.
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
//! // What a browser would do, without one.
//! let mut ask = sandbox.url().join("/direct-sharing/projects/oauth2/authorize/")?;
//! ask.query_pairs_mut()
//!     .append_pair("client_id", sandbox.client_id())
//!     .append_pair("response_type", "code")
//!     .append_pair("state", "s");
//! let back = sandbox.authorize("01026778", &ask).await?;
//! assert_eq!(back.path(), "/openhumans/complete");
//! assert!(back.query().is_some_and(|query| query.contains("&state=s&origin=external")));
//!
//! // The member leaves; nobody listens for the webhook here, so nothing is delivered.
//! assert!(sandbox.leave("01026778", true).await.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! [`Sandbox`] runs on threads of its own, so it works under any runtime, and stops when it is
//! dropped. What can go wrong is in [`Fault`], and where in [`Endpoint`].
//!
//! # As a program
//!
//! `cargo run -p oh-sandbox -- --listen 127.0.0.1:8001` prints its credentials, which are always
//! the same, and serves until it is interrupted. For scripts without a browser:
//!
//! - `&sandbox_member=ID&sandbox_decision=allow` (or `refuse`) behind an authorization URL answers
//!   it at once.
//! - `POST /sandbox/members/ID/leave` with `erasure=true` or `false`, in the query or a form, makes
//!   a member leave and answers with the webhook requests that were made.
//! - `GET /sandbox/stats` counts what was asked; `POST /sandbox/faults` makes things fail. The other
//!   places under `/sandbox/` do what [`Sandbox`]'s methods do: `GET /sandbox/` lists them.
//!
//! # Two generations of the server
//!
//! By default leaving without erasure is announced with `erasure_requested: false`, and removing
//! members by API answers `"success"`: an older server. The newest one crashes in both cases, once
//! the member is gone. [`SandboxBuilder::silent_leave`] and [`SandboxBuilder::remove_members_500`]
//! give either half of that, `--server newest` both.
//!
//! # Other kinds of projects
//!
//! [`SandboxBuilder::approved`], [`SandboxBuilder::on_site`] and [`SandboxBuilder::access_logs`] make
//! it a project that is not approved, one without OAuth2, or the one that may see who fetches files.
//! These three, the formats in paths (`project/members.json`) and the crashes over a project or data
//! type that is not there follow Open Humans' documentation and its public source; everything else was
//! measured.
//!
//! What an app has done for a member, files and messages, is on the member's page: the names on the
//! sandbox's first page lead there.
//!
//! # Where it is simpler
//!
//! - Logging in at Open Humans and allowing an app are one page, where one chooses who to be. The
//!   browser is remembered, so that a member who holds a live token is sent back at once, until
//!   `approval_prompt=force` or a log-out at the sandbox's first page.
//! - There is one project, and another one that members share data from. All data is public.
//! - The master token does not expire unless [`SandboxBuilder::expiring_master_token`] says so.
//! - The object store is a second port, as it is a second host in reality.
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
