//! A token store in memory, for tests and first steps.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{MemberRecord, PutOutcome, StoreError, TokenStore, Version};
use crate::ProjectMemberId;

type Records = BTreeMap<ProjectMemberId, MemberRecord>;

/// A [`TokenStore`] in memory. It works in one process, and all members must log in again after a
/// restart. Clones share the records.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Records>>);

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // No code panics while it holds the lock, so the map is never half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    async fn load(&self, member: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        Ok(self.records().get(member).cloned())
    }

    async fn put(
        &self,
        record: &MemberRecord,
        expected: Option<Version>,
    ) -> Result<PutOutcome, StoreError> {
        let mut records = self.records();
        if records.get(&record.member).map(|stored| stored.version) != expected {
            return Ok(PutOutcome::Conflict);
        }
        records.insert(record.member.clone(), record.clone());
        Ok(PutOutcome::Stored)
    }

    async fn remove(
        &self,
        member: &ProjectMemberId,
        expected: Version,
    ) -> Result<PutOutcome, StoreError> {
        let mut records = self.records();
        if records.get(member).map(|stored| stored.version) != Some(expected) {
            return Ok(PutOutcome::Conflict);
        }
        records.remove(member);
        Ok(PutOutcome::Stored)
    }

    async fn page(
        &self,
        after: Option<&ProjectMemberId>,
        limit: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let records = self.records();
        let page = records.range((start, Bound::Unbounded)).take(limit);
        Ok(page.map(|(_, record)| record.clone()).collect())
    }
}
