//! Members' tokens and the deauthorization inbox on SQLite and PostgreSQL.
//!
//! [`SqliteStore`] is the embedded default: one file on one machine, for any number of processes.
//! [`PgStore`] is for several machines. Each one is a [`TokenStore`] and a [`DeauthInbox`] on one
//! database, so that one commit stores a departure *and* destroys the member's tokens. Pass a clone to
//! each side:
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use oh_core::{OpenHumans, Settings};
//! use oh_sqlx::SqliteStore;
//!
//! let store = SqliteStore::connect("openhumans.sqlite").await?;
//! let openhumans = OpenHumans::builder(Settings::from_env()?)
//!     .token_store(store.clone())
//!     .deauth_inbox(store)
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! `OpenHumans` encrypts the tokens before they reach the store. The inbox destroys tokens without
//! reading them, and needs no key.
//!
//! `connect` opens a new pool, and creates or migrates the tables. An application with a pool passes it
//! to `new`. All tables begin with `oh_`, so they can be in the application's database. `migrate`
//! creates them, or the application's own migration tool does, from `MIGRATIONS`.
//!
//! # Applications on sqlx 0.8
//!
//! `new` takes a pool of sqlx 0.9, which has another type than a pool of sqlx 0.8. Both versions can be
//! in one program, and two pools can be on one database. So the application keeps its pool, and the
//! store opens a second one with the same path or URL:
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let path = "app.sqlite";
//! // The application's pool, of sqlx 0.8:
//! // let pool = sqlx::SqlitePool::connect(path).await?;
//! let store = oh_sqlx::SqliteStore::connect(path).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A program can contain one `libsqlite3-sys`; Cargo selects a version that fits both (0.30, with sqlx
//! 0.8.6). The two pools cannot write in one transaction. On PostgreSQL the second pool opens up to ten
//! connections. The repository has a complete application with two pools in `tests/outside/axum-login`.
//!
//! # Features
//!
//! - `sqlite` (default): [`SqliteStore`].
//! - `postgres`: [`PgStore`].
//!
//! [`TokenStore`]: oh_core::store::TokenStore
//! [`DeauthInbox`]: oh_core::deauth::DeauthInbox

mod batch;
mod completion;
mod errors;
mod rows;
mod schema;
mod statement;
mod statements;
mod writer;

#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(feature = "postgres")]
pub use postgres::PgStore;
pub use schema::{Migration, SchemaError};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
