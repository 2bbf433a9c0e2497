//! Open Humans login and webhooks for actix-web applications.
//!
//! One line adds Open Humans to an application, inside its session middleware. [`oh_core`]
//! implements the behavior; this crate converts requests and responses and applies session changes.
//!
//! # Example
//!
//! ```no_run
//! use actix_session::{SessionMiddleware, storage::CookieSessionStore};
//! use actix_web::{App, HttpServer, cookie::Key, web};
//! use oh_actix::Member;
//! use oh_core::{OpenHumans, Settings};
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
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let openhumans = OpenHumans::builder(Settings::from_env()?).build()?;
//!     let key = Key::generate();
//!     HttpServer::new(move || {
//!         App::new()
//!             .configure(oh_actix::configure(&openhumans))
//!             .route("/", web::get().to(home))
//!             .route("/files", web::get().to(files))
//!             .wrap(SessionMiddleware::new(CookieSessionStore::default(), key.clone()))
//!     })
//!     .bind("127.0.0.1:8000")?
//!     .run()
//!     .await?;
//!     Ok(())
//! }
//! ```
//!
//! # Main types
//!
//! - [`configure`] mounts the routes and registers the handle for the extractors; [`scope`] returns
//!   the routes alone, and [`configure_with`] adds a tower service such as the router of `oh-pages`.
//! - [`Member`], `Option<Member>`, [`Handle`] and [`VerifiedWebhook`] are extractors.
//! - [`require_member`] and [`verify_webhook`] are middleware functions for [`from_fn`].
//!
//! # Sessions
//!
//! Sessions come from actix-session, with any of its stores and cookie settings. The session is
//! read before the core runs and changed afterwards; no borrow is held across an await. Without
//! `SessionMiddleware`, no login persists and each lost login logs an error.
//!
//! With `CookieSessionStore`, the cookie contains the session. A logout invalidates every copy of
//! the cookie for Open Humans, but copies still reveal the application's own values. Only a store
//! on the server (`RedisSessionStore`, or the one in the repository's `examples/actix-app`) prevents
//! that.
//!
//! [`from_fn`]: actix_web::middleware::from_fn

mod bridge;
mod convert;
mod extract;
mod middleware;
mod rejection;
mod scope;
mod session;

pub use bridge::RequestBody;
pub use extract::{Handle, Member, VerifiedWebhook};
pub use middleware::{require_member, verify_webhook};
pub use rejection::Rejection;
pub use scope::{configure, configure_with, scope};
