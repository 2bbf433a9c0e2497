//! Login, tokens, webhooks and erasure for web applications on Open Humans.
//!
//! On [Open Humans](https://www.openhumans.org), people share personal data with projects. This
//! crate turns a web application into such a project:
//!
//! - Members log in with Open Humans (OAuth 2.0 with PKCE), and sessions end when they leave.
//! - Access tokens are stored encrypted and refreshed once across all tasks and processes.
//! - Deauthorizations, from the webhook or found by a reconciler, are stored durably, processed
//!   with retries and recorded in a ledger.
//!
//! Most applications use it through an adapter, [`oh-axum`] or [`oh-actix`], and store tokens and
//! deauthorizations with [`oh-sqlx`]. [`oh-pages`] has pages for members and staff. A job or tool without logins needs only [`oh-api`], which is
//! re-exported as [`api`].
//!
//! # Example
//!
//! The whole integration, without a framework:
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
//! // The values are on the project's page at Open Humans. `Settings::from_env` reads them from
//! // environment variables.
//! let settings = Settings::builder("client-id", "client-secret", "https://app.example")
//!     .webhook_secret("abcdefghijklmnop")
//!     .build()?;
//!
//! let openhumans = OpenHumans::builder(settings)
//!     // Deletes the member's data after a deauthorization.
//!     .deauth_handler(|departure: Departure| async move {
//!         if departure.delete_data {
//!             // Delete the rows of `departure.event.member`, if there are any.
//!         }
//!         Ok(())
//!     })
//!     .build()?;
//!
//! // Starts the worker that calls the handler, and the reconciler that finds departures without
//! // a webhook.
//! let background = openhumans.start_background();
//!
//! // An adapter calls `respond` for each request to a route, with the member of the host's
//! // session, and applies the change to the session.
//! let request = http::Request::get("/openhumans/login?next=/files").body(Empty::<Bytes>::new())?;
//! let outcome = openhumans.respond(Route::Login, request, None).await;
//! assert_eq!(outcome.response.status(), 303); // redirects to Open Humans
//! assert_eq!(outcome.session, SessionChange::Keep);
//!
//! background.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Main types
//!
//! [`OpenHumans`] is the handle for everything; it is cheap to clone. Four traits have working
//! defaults that an application can replace:
//!
//! | trait | purpose | default | provided |
//! |---|---|---|---|
//! | [`LoginHandler`](login::LoginHandler) | accepts or rejects logins | accepts all | |
//! | [`TokenStore`](store::TokenStore) | stores tokens | in memory | [`oh-sqlx`]: SQLite, PostgreSQL |
//! | [`DeauthInbox`](deauth::DeauthInbox) | stores deauthorizations | in memory | [`oh-sqlx`]: SQLite, PostgreSQL |
//! | [`DeauthHandler`](deauth::DeauthHandler) | deletes a member's data | deletes only tokens | |
//!
//! | module | contents |
//! |---|---|
//! | [`settings`] | settings and their environment variables |
//! | [`login`] | login handler, logins started by the application |
//! | [`store`] | token store, member records, encryption |
//! | [`deauth`] | inbox, worker, reconciler, circuit breaker, ledger, [metrics](deauth::metrics) |
//! | [`webhook`] | verification of webhooks |
//! | [`routes`] | the HTTP routes, independent of a framework |
//! | [`api`] | the API client: members, files, messages, public data |
//! | [`transport`] | the interface to an HTTP client |
//!
//! # Features
//!
//! - `http-client` (default): the built-in HTTP client. Without it, set a
//!   [`Transport`](transport::Transport).
//! - `checkpoints`: signed checkpoints of the ledger.
//! - `bulk`: upload and download of directories, in [`api`].
//! - `metrics`: counters and gauges through the `metrics` facade, [listed here](deauth::metrics).
//!
//! # Where to read on
//!
//! The guides are in the repository's folder `docs`: start with `start.md`; `production.md`,
//! `erasure.md` and `many-machines.md` explain operation. [`Settings`](settings) lists all
//! environment variables.
//!
//! [`oh-api`]: https://docs.rs/oh-api
//! [`oh-axum`]: https://docs.rs/oh-axum
//! [`oh-actix`]: https://docs.rs/oh-actix
//! [`oh-pages`]: https://docs.rs/oh-pages
//! [`oh-sqlx`]: https://docs.rs/oh-sqlx
#![cfg_attr(docsrs, feature(doc_cfg))]

mod background;
pub mod deauth;
mod disconnect;
mod encryption;
pub mod login;
mod mount;
mod open_humans;
mod operations;
mod random;
mod return_path;
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
