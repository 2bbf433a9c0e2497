//! Open Humans in an actix-web application.
//!
//! One line mounts it, inside the app's own session middleware. Everything that is true of Open
//! Humans is decided in [`oh_core`]; this crate converts requests, asks, and applies the answer.
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
//!     // Whoever is not logged in never gets here: browsers are sent to log in and come back.
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
//! - [`configure`] mounts the routes and makes the handle known to the extractors; [`scope`] has
//!   the routes alone.
//! - [`Member`], `Option<Member>`, [`Handle`] and [`VerifiedWebhook`] are extractors.
//! - [`require_member`] and [`verify_webhook`] are middleware, for [`from_fn`].
//! - [`Connections`] limits what silent clients can hold, for an app without a proxy before it.
//! - Sessions are actix-session's, with any of its stores and cookie settings. They are read
//!   before the core is asked and changed after, never held in between. Without
//!   `SessionMiddleware` nobody is ever logged in, and each login that is lost logs an error.
//! - With `CookieSessionStore` the browser has the whole session. Logging out ends every copy of
//!   its cookie for Open Humans' part of it; for what else is in it, only a store on the server
//!   (`RedisSessionStore`, or the one of the repository's `examples/actix-app`) can.
//!
//! [`from_fn`]: actix_web::middleware::from_fn

mod connections;
mod convert;
mod extract;
mod middleware;
mod rejection;
mod scope;
mod session;

pub use connections::{Connections, keep_connection};
pub use extract::{Handle, Member, VerifiedWebhook};
pub use middleware::{require_member, verify_webhook};
pub use rejection::Rejection;
pub use scope::{configure, scope};
