//! Open Humans in an axum application, or any tower stack.
//!
//! Three lines mount it: the routes, the layer that the extractors need, and the app's own session
//! layer around both. Everything that is true of Open Humans is decided in [`oh_core`]; this crate
//! converts requests, asks, and applies the answer.
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
//!     // Whoever is not logged in never gets here: browsers are sent to log in and come back.
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
//! - [`router`] has the routes, for any app state.
//! - [`Member`], `Option<Member>`, [`Handle`] and [`VerifiedWebhook`] are extractors.
//! - [`require_member`] and [`verify_webhook`] are layers for any tower stack.
//! - `serve` (feature `serve`) stands in for `axum::serve` where no proxy is in front.
//! - Sessions are tower-sessions' 0.15, with its defaults (`SameSite=Strict`, `Secure`) or others.
//!   With axum-login 0.18 or a SQL session store that is still on 0.14, see below.
//!   Another session library, or another version, needs an implementation of [`HostSession`] and
//!   then [`router_with_session`] and [`layer_with_session`].
//!
//! # tower-sessions 0.14, axum-login, sessions in SQL
//!
//! axum-login 0.18 and tower-sessions-sqlx-store 0.15 are on tower-sessions 0.14, whose session is
//! another type than that of 0.15. Turn the feature `tower-sessions-014` on (and the default one
//! off), and name that type where the routes and the layer are mounted:
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
//! The repository has a whole app of this kind, with users of its own, in
//! `tests/outside/axum-login`.

mod context;
mod extract;
mod member;
mod rejection;
pub mod require_member;
mod router;
#[cfg(feature = "serve")]
mod serve;
mod session;
#[cfg(test)]
mod test_support;
pub mod verify_webhook;

pub use context::{OpenHumansLayer, WithOpenHumans, layer_with_session};
pub use extract::{Handle, VerifiedWebhook};
pub use member::Member;
pub use rejection::Rejection;
pub use require_member::RequireMemberLayer;
pub use router::router_with_session;
pub use session::HostSession;
pub use verify_webhook::VerifyWebhookLayer;

#[cfg(feature = "serve")]
pub use serve::{Serve, serve};
#[cfg(feature = "tower-sessions")]
pub use {context::layer, router::router};
