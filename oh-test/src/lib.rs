//! Tests of applications that use Open Humans.
//!
//! A member logs in with one line: through the app's own routes, by the whole OAuth2 flow, without
//! a browser and without anything forged. The Open Humans behind it is [`oh_sandbox`], in the same
//! process. A whole test of a whole app:
//!
//! ```
//! // The app.
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
//! // Its test; there it says #[tokio::test].
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
//!     // In.
//!     let mut alice = kit.axum(&app).log_in(ALICE).await;
//!     assert_eq!(alice.get("/nights").await.text(), "The nights of alice");
//!
//!     // Ten hours later the access token has expired. It is refreshed before it is used.
//!     kit.advance(std::time::Duration::from_secs(36_000));
//!     let files = openhumans.member_client(&ALICE.parse()?).files().try_next().await?;
//!     assert!(files.is_none());
//!
//!     // Out: Open Humans tells the app, and the app acts.
//!     alice.leave(ALICE, true).await;
//!     kit.run_worker(&openhumans).await;
//!     MemberLedger::of(&openhumans, ALICE).await.assert_done();
//!     assert_eq!(alice.get("/nights").await.status(), 303, "the session is over");
//!     Ok(())
//! }
//! ```
//!
//! In actix-web (feature `actix`) `kit.actix(&service)` takes the place of `kit.axum(&app)`, where
//! `service` is what `actix_web::test::init_service` gives.
//!
//! - [`Kit`] has the sandbox, with its faults; settings that fit it; a clock that moves the app and
//!   the sandbox alike; and stores in memory.
//! - [`Browser`] has cookies, and sends them as browsers do. It logs members in, lets them refuse,
//!   and lets them leave.
//! - [`Webhook`] makes webhooks: signed, forged, unsigned, or as Open Humans' second attempt.
//! - [`MemberLedger`] says what the ledger holds about a member.
//!
//! What is said on the way is for people: these functions panic, and say why, where a test has
//! nothing else to do than to fail.
#![forbid(unsafe_code)]

mod answer;
mod app;
mod browser;
mod kit;
mod ledger;
mod webhook;
mod world;

pub use answer::TestResponse;
#[cfg(feature = "actix")]
pub use app::Actix;
pub use app::{App, Axum};
pub use browser::Browser;
pub use kit::{ALICE, BOB, Kit, KitBuilder, KitError, NAMELESS};
pub use ledger::MemberLedger;
pub use webhook::Webhook;
