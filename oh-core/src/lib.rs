//! Open Humans for Rust web applications.
//!
//! [Open Humans](https://www.openhumans.org) lets people share personal data with projects they
//! choose. With this crate a web application is such a project: members log in with Open Humans,
//! their tokens are kept alive, and when one of them leaves, that is noticed, acted on, and proved.
//!
//! Most applications take it through an adapter, [`oh-axum`] or [`oh-actix`], and keep their tokens
//! with [`oh-sqlx`]. A job or a tool without logins needs [`oh-api`] alone, which is [`api`] here.
//!
//! One handle, [`OpenHumans`], does everything. This is a whole application's part in it, without
//! a framework:
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Empty;
//! use oh_core::deauth::Departure;
//! use oh_core::routes::Route;
//! use oh_core::{OpenHumans, SessionChange, Settings};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // What Open Humans' project page shows; `Settings::from_env` reads it from the environment.
//! let settings = Settings::builder("client-id", "client-secret", "https://app.example")
//!     .webhook_secret("abcdefghijklmnop")
//!     .build()?;
//!
//! let openhumans = OpenHumans::builder(settings)
//!     // What leaving means to this application.
//!     .deauth_handler(|departure: Departure| async move {
//!         if departure.delete_data {
//!             // Delete the rows of `departure.event.member`. Having none is no error.
//!         }
//!         Ok(())
//!     })
//!     .build()?;
//!
//! // The worker calls the handler; the reconciler finds members who left unannounced.
//! let background = openhumans.start_background();
//!
//! // An adapter does this for every request to one of the four routes: it asks the host's session
//! // who is logged in, and does to the session what the answer says.
//! let request = http::Request::get("/openhumans/login?next=/files").body(Empty::<Bytes>::new())?;
//! let answer = openhumans.respond(Route::Login, request, None).await;
//! assert_eq!(answer.response.status(), 303); // on the way to Open Humans
//! assert_eq!(answer.session, SessionChange::Keep);
//!
//! background.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # The map
//!
//! | module | what for |
//! |---|---|
//! | [`settings`] | what the library needs to know, and the table of environment variables |
//! | [`login`] | who may come in and where to: [`LoginHandler`](login::LoginHandler), [`LoginRequest`](login::LoginRequest) |
//! | [`store`] | where tokens live: [`TokenStore`](store::TokenStore), sealed or not |
//! | [`deauth`] | members leaving: inbox, worker, reconciler, ledger, [`DeauthHandler`](deauth::DeauthHandler), and the [names of all metrics](deauth::metrics) |
//! | [`webhook`] | verifying what Open Humans sends |
//! | [`routes`] | the routes, written once for every framework |
//! | [`api`] | the API client: files, messages, members, public data |
//! | [`transport`] | how requests leave, for an application with an HTTP client of its own |
//! | `acceptance` | suites for whoever writes a store or an inbox (feature `acceptance`) |
//!
//! An application replaces what it must, by four traits that each have a default that works:
//!
//! | trait | default | ready-made |
//! |---|---|---|
//! | [`LoginHandler`](login::LoginHandler) | everyone is welcome | |
//! | [`TokenStore`](store::TokenStore) | in memory | [`oh-sqlx`]: SQLite, PostgreSQL |
//! | [`DeauthInbox`](deauth::DeauthInbox) | in memory | [`oh-sqlx`]: SQLite, PostgreSQL |
//! | [`DeauthHandler`](deauth::DeauthHandler) | the tokens go, nothing else | |
//!
//! # Features
//!
//! - `http-client` (default): the built-in HTTP client. Without it, bring a
//!   [`Transport`](transport::Transport).
//! - `checkpoints`: signed checkpoints of the ledger.
//! - `bulk`: whole directories of files up and down, in [`api`].
//! - `metrics`: counters and gauges through the `metrics` facade, [listed here](deauth::metrics).
//! - `acceptance`: the acceptance suites.
//!
//! [`oh-api`]: https://docs.rs/oh-api
//! [`oh-axum`]: https://docs.rs/oh-axum
//! [`oh-actix`]: https://docs.rs/oh-actix
//! [`oh-sqlx`]: https://docs.rs/oh-sqlx
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(test, feature = "acceptance"))]
pub mod acceptance;
mod background;
pub mod deauth;
mod disconnect;
mod encryption;
pub mod login;
mod mount;
mod open_humans;
mod operations;
mod random;
pub mod routes;
mod session;
pub mod settings;
pub mod store;
mod tokens;
pub mod webhook;

pub use oh_api as api;
pub use oh_api::transport;
pub use oh_api::{
    AccessToken, AuthorizationCode, ClientSecret, Clock, Error, InvalidProjectMemberId,
    InvalidTimestamp, KeyMaterial, MasterToken, ProjectMemberId, RefreshToken, SecretUrl,
    Timestamp, WebhookSecret,
};
#[cfg(feature = "checkpoints")]
pub use oh_ledger as ledger;

pub use background::{Background, BackgroundSettings};
pub use open_humans::{BuildError, OpenHumans, OpenHumansBuilder};
pub use session::{Member, SESSION_KEY, SessionChange, SessionMember};
pub use settings::{DeletionPolicy, Settings, SettingsBuilder, SettingsError};
