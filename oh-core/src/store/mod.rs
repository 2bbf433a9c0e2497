//! Where members' tokens live: the [`TokenStore`] trait and the record it keeps.
//!
//! A store is a table of [`MemberRecord`]s by project member id with one strong operation: write
//! a record *if the stored one still has the version you read*. Everything the library promises
//! about tokens is built on that one comparison: the lease that lets one process of many refresh,
//! the epoch that ends sessions, and that nobody who left is brought back by a late write. So a
//! store holds no logic, and one over a new database is written in an afternoon.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::ops::Bound;
//! use std::sync::Mutex;
//!
//! use async_trait::async_trait;
//! use oh_core::ProjectMemberId;
//! use oh_core::store::{MemberRecord, PutOutcome, StoreError, TokenStore, Version};
//!
//! /// Keeps records in a map: lost when the process ends.
//! #[derive(Default)]
//! struct MapStore(Mutex<BTreeMap<ProjectMemberId, MemberRecord>>);
//!
//! #[async_trait]
//! impl TokenStore for MapStore {
//!     async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
//!         Ok(self.0.lock().unwrap().get(member).cloned())
//!     }
//!
//!     async fn put(
//!         &self,
//!         record: &MemberRecord,
//!         expected: Option<Version>,
//!     ) -> Result<PutOutcome, StoreError> {
//!         let mut records = self.0.lock().unwrap();
//!         if records.get(&record.member).map(|stored| stored.version) != expected {
//!             return Ok(PutOutcome::Conflict);
//!         }
//!         records.insert(record.member.clone(), record.clone());
//!         Ok(PutOutcome::Stored)
//!     }
//!
//!     async fn remove(
//!         &self,
//!         member: &ProjectMemberId,
//!         expected: Version,
//!     ) -> Result<PutOutcome, StoreError> {
//!         let mut records = self.0.lock().unwrap();
//!         if records.get(member).map(|stored| stored.version) != Some(expected) {
//!             return Ok(PutOutcome::Conflict);
//!         }
//!         records.remove(member);
//!         Ok(PutOutcome::Stored)
//!     }
//!
//!     async fn page(
//!         &self,
//!         after: Option<&ProjectMemberId>,
//!         limit: usize,
//!     ) -> Result<Vec<MemberRecord>, StoreError> {
//!         let records = self.0.lock().unwrap();
//!         let start = after.map_or(Bound::Unbounded, Bound::Excluded);
//!         Ok(records.range((start, Bound::Unbounded)).take(limit).map(|(_, r)| r.clone()).collect())
//!     }
//! }
//! ```
//!
//! Whoever writes one runs the acceptance suite against it: `oh_core::acceptance::token_store`,
//! behind the `acceptance` feature.

mod encrypted;
mod exposed;
mod keyring;
mod memory;
mod record;

pub use encrypted::{EncryptedStore, OpenError, ReencryptReport};
pub use exposed::Exposed;
pub use keyring::{Keyring, KeyringError};
pub use memory::MemoryStore;
pub use oh_api::Tokens;
pub use record::{Epoch, MemberRecord, RefreshLease, Version};

use std::sync::Arc;

use async_trait::async_trait;

use oh_api::AppError;

use crate::transport::BoxError;
use crate::{Error, ProjectMemberId};

/// The outcome of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum PutOutcome {
    /// The write happened, and is as durable as the store makes writes.
    Stored,
    /// Nothing changed: the stored version was not the expected one. Load the record again.
    Conflict,
}

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached or is overloaded. Trying again can help.
    #[error("the token store is not available")]
    Unavailable(#[source] BoxError),
    /// What is stored cannot be read: damaged, moved between members, or sealed with a key that
    /// is not at hand. Trying again cannot help.
    #[error("a stored record cannot be read")]
    Unreadable(#[source] BoxError),
}

impl StoreError {
    /// The store cannot be reached.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable(source.into())
    }

    /// The stored record cannot be read.
    pub fn unreadable(source: impl Into<BoxError>) -> Self {
        Self::Unreadable(source.into())
    }

    /// Whether trying again can help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if error.is_retryable() {
            AppError::temporary(error).into()
        } else {
            AppError::permanent(error).into()
        }
    }
}

/// Keeps one [`MemberRecord`] for each member. See the [module](self) for a whole implementation.
///
/// All processes of an app share one store. Every write is conditional, and must be atomic with
/// its comparison whatever happens at the same time, in this process or another. A write that
/// answers [`PutOutcome::Stored`] must be seen by every later `load`, from any process.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// The member's record, if there is one.
    ///
    /// # Errors
    ///
    /// When the store cannot answer. Never for a member it does not know.
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError>;

    /// Writes `record`, if the stored record's version is `expected`; `None` expects no record.
    /// The record brings its own new version.
    ///
    /// # Errors
    ///
    /// When the store cannot answer. The write may then have happened or not.
    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError>;

    /// Removes the member's record and every trace of its tokens, if its version is `expected`.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError>;

    /// Up to `limit` records in the order of their ids as text, those after `after` only.
    /// A record that is there throughout a walk from page to page appears exactly once.
    ///
    /// # Errors
    ///
    /// When the store cannot answer.
    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError>;
}

/// A shared store is a store.
#[async_trait]
impl<S: TokenStore + ?Sized> TokenStore for Arc<S> {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        (**self).load(member).await
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        (**self).put(record, expected).await
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        (**self).remove(member, expected).await
    }

    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        (**self).page(after, limit).await
    }
}
