//! Open Humans login and webhooks for axum applications and other tower stacks.
//!
//! Three lines add Open Humans to a router: the routes, the layer that the extractors need, and the
//! application's session layer around both. [`oh_core`] implements the behavior; this crate converts
//! requests and responses and applies session changes.
//!
//! # Example
//!
//! ```
//! use axum::{Router, routing::get};
//! use oh_axum::Member;
//! use oh_core::{OpenHumans, Settings};
//! use tower_sessions::{MemoryStore, SessionManagerLayer};
//!
//! async fn home(member: Option<Member>) -> String {
//!     match member {
//!         Some(member) => format!("You are {}.", member.id()),
//!         None => "Log in at /openhumans/login".to_owned(),
//!     }
//! }
//!
//! async fn files(member: Member) -> String {
//!     // Without a login, browsers are redirected to the login and return here afterwards.
//!     format!("The files of {}", member.id())
//! }
//!
//! fn app(openhumans: &OpenHumans) -> Router {
//!     Router::new()
//!         .route("/", get(home))
//!         .route("/files", get(files))
//!         .nest("/openhumans", oh_axum::router(openhumans))
//!         .layer(oh_axum::layer(openhumans))
//!         .layer(SessionManagerLayer::new(MemoryStore::default()))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::builder("client-id", "client-secret", "https://app.example").build()?;
//! let openhumans = OpenHumans::builder(settings).build()?;
//! let app = app(&openhumans);
//! # Ok(())
//! # }
//! ```
//!
//! # Main types
//!
//! - [`router`] returns the routes, for any application state.
//! - [`with_session`] gives routes of other crates, such as `oh-pages`, access to the session.
//! - [`Member`], `Option<Member>`, [`Handle`] and [`VerifiedWebhook`] are extractors.
//! - [`RequireMemberLayer`] and [`VerifyWebhookLayer`] are layers for any tower stack.
//! - [`HostSession`] connects a session library. It is implemented for tower-sessions; for others,
//!   implement it and mount with [`router_with_session`] and [`layer_with_session`].
//!
//! # Features
//!
//! - `tower-sessions` (default): sessions of tower-sessions 0.15, with its defaults
//!   (`SameSite=Strict`, `Secure`) or other settings.
//! - `tower-sessions-014`: sessions of tower-sessions 0.14.
//!
//! # tower-sessions 0.14, axum-login, sessions in SQL
//!
//! axum-login 0.18 and tower-sessions-sqlx-store 0.15 depend on tower-sessions 0.14, whose session
//! type differs from that of 0.15. Replace the default feature by `tower-sessions-014` and name the
//! session type when you mount the routes and the layer:
//!
//! ```toml
//! oh-axum = { version = "0.1", default-features = false, features = ["tower-sessions-014"] }
//! tower-sessions = "0.14"
//! ```
//!
//! ```
//! # #[cfg(feature = "tower-sessions-014")]
//! # mod app {
//! # use tower_sessions_014 as tower_sessions;
//! use oh_core::OpenHumans;
//! use tower_sessions::Session;
//!
//! fn with_open_humans(app: axum::Router, openhumans: &OpenHumans) -> axum::Router {
//!     app.nest("/openhumans", oh_axum::router_with_session::<Session, ()>(openhumans))
//!         .layer(oh_axum::layer_with_session::<Session>(openhumans))
//!     // .layer(AuthManagerLayerBuilder::new(users, sessions).build()), as before
//! }
//! # }
//! ```
//!
//! The repository contains a complete application with axum-login in `tests/outside/axum-login`.

mod context;
mod extract;
mod member;
mod rejection;
pub mod require_member;
mod router;
mod session;
#[cfg(test)]
mod test_support;
pub mod verify_webhook;
mod with_session;

pub use context::{Context, layer_with_session};
pub use extract::{Handle, VerifiedWebhook};
pub use member::Member;
pub use rejection::Rejection;
pub use require_member::RequireMemberLayer;
pub use router::router_with_session;
pub use session::HostSession;
pub use verify_webhook::VerifyWebhookLayer;
pub use with_session::with_host_session;

#[cfg(feature = "tower-sessions")]
pub use {context::layer, router::router, with_session::with_session};
