//! Members' tokens and the deauthorization inbox on SQLite and PostgreSQL.
//!
//! [`SqliteStore`] is the embedded default: one file, one machine, any number of processes.
//! [`PgStore`] is for many machines. Each is both a [`TokenStore`] and a [`DeauthInbox`] over one
//! database, so that one commit keeps the news that a member has left *and* destroys the member's
//! tokens. Hand a clone to each side:
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use oh_sqlx::SqliteStore;
//!
//! let store = SqliteStore::connect("openhumans.sqlite").await?;
//! let (token_store, deauth_inbox) = (store.clone(), store);
//! # Ok(())
//! # }
//! ```
//!
//! `connect` opens a pool of its own and brings the tables up to date. An app that has a pool
//! passes it to `new`; its tables and ours live side by side, ours all begin with `oh_`. Then
//! `migrate` makes them, or the app's own tool does, from `MIGRATIONS`.
//!
//! # An app on sqlx 0.8
//!
//! `new` takes a pool of sqlx 0.9; one of 0.8 is another type, and cannot be passed. The two versions
//! go into one program all the same, and two pools to one database. So the app keeps its own, and
//! the store opens a second by the same address or path:
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let path = "app.sqlite";
//! // let pool = sqlx::SqlitePool::connect(path).await?;      the app's own, of sqlx 0.8
//! let store = oh_sqlx::SqliteStore::connect(path).await?; // of sqlx 0.9, brings its tables
//! # Ok(())
//! # }
//! ```
//!
//! A program holds one `libsqlite3-sys`; Cargo finds one that suits both (0.30, with sqlx 0.8.6).
//! What the two pools cannot do is write in one transaction. On PostgreSQL count the second pool
//! in: it opens up to ten connections. The repository has a whole app with two pools on one file,
//! in `tests/outside/axum-login`.
//!
//! Tokens are kept as they are given. To keep them encrypted wrap the token side in
//! `oh_core::store::EncryptedStore`; the inbox side destroys tokens without reading
//! them and needs no key.
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
