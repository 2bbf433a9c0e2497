//! A test kit for applications that use Open Humans.
//!
//! One line logs a member in, with the complete OAuth2 flow through the application's own routes.
//! Neither a browser nor a forged session is involved. [`oh_sandbox`] runs in the same process in
//! place of Open Humans.
//!
//! # Example
//!
//! ```
//! // The application.
//! use axum::{Router, routing::get};
//! use oh_axum::Member;
//! use oh_core::OpenHumans;
//! use tower_sessions::{MemoryStore, SessionManagerLayer};
//!
//! async fn nights(member: Member) -> String {
//!     format!("The nights of {}", member.username().unwrap_or("someone"))
//! }
//!
//! fn app(openhumans: &OpenHumans) -> Router {
//!     Router::new()
//!         .route("/nights", get(nights))
//!         .nest("/openhumans", oh_axum::router(openhumans))
//!         .layer(oh_axum::layer(openhumans))
//!         .layer(SessionManagerLayer::new(MemoryStore::default()))
//! }
//!
//! // Its test. Use #[tokio::test] in your code.
//! use oh_core::deauth::Departure;
//! use oh_test::{ALICE, Kit, MemberLedger};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let kit = Kit::start().await?;
//!     let openhumans = kit
//!         .openhumans()
//!         .deauth_handler(|departure: Departure| async move {
//!             assert!(departure.delete_data, "the rows of this member are deleted here");
//!             Ok(())
//!         })
//!         .build()?;
//!     let app = app(&openhumans);
//!
//!     // Log in.
//!     let mut alice = kit.axum(&app).log_in(ALICE).await;
//!     assert_eq!(alice.get("/nights").await.text(), "The nights of alice");
//!
//!     // After ten hours the access token has expired, and the client refreshes it.
//!     kit.advance(std::time::Duration::from_secs(36_000));
//!     let files = openhumans.member_client(&ALICE.parse()?).files().try_next().await?;
//!     assert!(files.is_none());
//!
//!     // Leave: Open Humans sends the webhook, and the worker calls the handler.
//!     alice.leave(ALICE, true).await;
//!     kit.run_worker(&openhumans).await;
//!     MemberLedger::of(&openhumans, ALICE).await.assert_done();
//!     assert_eq!(alice.get("/nights").await.status(), 303, "the session ended");
//!     Ok(())
//! }
//! ```
//!
//! For actix-web (feature `actix`), use `kit.actix(&service)` with the service returned by
//! `actix_web::test::init_service`.
//!
//! # Main types
//!
//! - [`Kit`] contains the sandbox with its fault injection, matching settings, a clock for both, and
//!   stores in memory.
//! - [`Browser`] stores cookies and sends them as browsers do. It logs members in, denies
//!   authorizations, and lets members leave.
//! - [`Webhook`] creates signed, forged and unsigned webhooks.
//! - [`MemberLedger`] asserts what the ledger contains about a member.
//!
//! Functions panic with an explanation where a test can only fail.
//!
//! # Features
//!
//! - `actix`: `Kit::actix`, for actix-web applications.
#![forbid(unsafe_code)]

pub mod acceptance;
mod app;
mod browser;
mod environment;
mod kit;
mod ledger;
mod response;
mod webhook;

#[cfg(feature = "actix")]
pub use app::Actix;
pub use app::{App, Axum};
pub use browser::Browser;
pub use kit::{ALICE, BOB, Kit, KitBuilder, KitError, NAMELESS};
pub use ledger::MemberLedger;
pub use response::TestResponse;
pub use webhook::Webhook;
