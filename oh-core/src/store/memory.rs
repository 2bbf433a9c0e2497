//! Records in memory: for tests, and for trying things out.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{MemberRecord, PutOutcome, StoreError, TokenStore, Version};
use crate::ProjectMemberId;

/// A [`TokenStore`] in memory. One process, and all members must log in again when it ends.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<BTreeMap<ProjectMemberId, MemberRecord>>);

impl MemoryStore {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    // No code can panic while it holds this lock, and a poisoned map would still be whole.
    fn records(&self) -> MutexGuard<'_, BTreeMap<ProjectMemberId, MemberRecord>> {
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
        Ok(records
            .range((start, Bound::Unbounded))
            .take(limit)
            .map(|(_, r)| r.clone())
            .collect())
    }
}
