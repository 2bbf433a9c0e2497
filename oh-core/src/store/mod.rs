//! Storage of members' tokens: the [`TokenStore`] trait and its record.
//!
//! A store is a table of [`MemberRecord`]s by project member id. Every write is a compare-and-swap:
//! it succeeds only if the stored record still has the version that the caller read. The library
//! builds the refresh lease, the session epoch and the tombstones of deauthorized members on it, so a
//! store itself contains no logic:
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
//! /// Stores records in a map, until the process ends.
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
//! [`OpenHumans`](crate::OpenHumans) encrypts the tokens before it calls the store, see
//! [`EncryptedStore`]. Test your store with the acceptance suite `oh_test::acceptance::token_store`.

mod encrypted;
mod keyring;
mod memory;
mod plain_record;
mod record;

pub use encrypted::{EncryptedStore, ReencryptReport};
pub use keyring::{Keyring, KeyringError};
pub use memory::MemoryStore;
pub use oh_api::Tokens;
pub use plain_record::PlainRecord;
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
    /// The write happened, and is as durable as the store makes its writes.
    Stored,
    /// Nothing changed: the stored version was not the expected one. Load the record again.
    Conflict,
}

/// An error of a token store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store is unreachable or overloaded. A retry can help.
    #[error("the token store is unavailable")]
    Unavailable(#[source] BoxError),
    /// A stored record is damaged, or encrypted with a key that is not in the keyring. A retry cannot
    /// help.
    #[error("a stored record cannot be read")]
    Unreadable(#[source] BoxError),
}

impl StoreError {
    /// Creates an [`Unavailable`](Self::Unavailable) error.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable(source.into())
    }

    /// Creates an [`Unreadable`](Self::Unreadable) error.
    pub fn unreadable(source: impl Into<BoxError>) -> Self {
        Self::Unreadable(source.into())
    }

    /// Whether a retry can help.
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

/// Stores one [`MemberRecord`] for each member. The [module](self) has a complete implementation.
///
/// All processes of an application share one store. Every write is conditional and must be atomic with
/// its comparison, even if other tasks and processes write at the same time. After
/// [`PutOutcome::Stored`], every later `load` in any process must see the write.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// Loads the member's record; `None` if there is none.
    ///
    /// # Errors
    ///
    /// When the store fails or the record cannot be read.
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError>;

    /// Writes `record` if the stored record has the version `expected`; `None` expects no record.
    /// The caller sets the new version in `record`.
    ///
    /// # Errors
    ///
    /// When the store fails. The write may have happened or not.
    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError>;

    /// Removes the member's record, including the tokens, if it has the version `expected`.
    ///
    /// # Errors
    ///
    /// When the store fails. The removal may have happened or not.
    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError>;

    /// Lists up to `limit` records with ids after `after`, in the order of the ids as text. A record
    /// that exists throughout a listing from page to page appears exactly once.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError>;
}

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
