//! The acceptance suite for a [`TokenStore`].
//!
//! Implement [`Subject`] for your store, and let the macro define the tests. Your tests need `tokio`
//! with its features `macros` and `rt-multi-thread`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use oh_core::store::{MemoryStore, TokenStore};
//! use oh_test::acceptance::token_store::Subject;
//!
//! struct InMemory(MemoryStore);
//!
//! #[async_trait::async_trait]
//! impl Subject for InMemory {
//!     async fn open(&self) -> Arc<dyn TokenStore> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! async fn empty() -> InMemory {
//!     InMemory(MemoryStore::new())
//! }
//!
//! oh_test::token_store_acceptance!(empty);
//! # fn main() {}
//! ```
//!
//! The suite cannot test that a store survives a power failure, or that its files contain nothing of
//! removed records.

mod paging;
mod racing;
mod values;
mod writing;

pub use paging::{pages_list_all_records_in_order, pages_list_each_record_once_during_changes};
pub use racing::{
    cancelled_put_is_atomic, concurrent_creations_have_one_winner, concurrent_puts_have_one_winner,
    concurrent_removals_have_one_winner, concurrent_updates_lose_nothing,
    put_is_visible_to_other_processes,
};
pub use values::{
    long_values_are_stored_completely, member_ids_keep_leading_zeros, usernames_keep_any_text,
};
pub use writing::{
    deauthorized_record_has_no_tokens, put_creates_record_only_if_absent, put_stores_every_field,
    put_with_outdated_version_changes_nothing, records_survive_reopening,
    recreated_record_rejects_old_version, remove_deletes_record, unknown_member_has_no_record,
};

use std::sync::Arc;

use async_trait::async_trait;
use oh_core::store::{
    EncryptedStore, Epoch, Keyring, MemberRecord, PutOutcome, TokenStore, Tokens, Version,
};
use oh_core::{ProjectMemberId, Timestamp};

/// The store under test. Each check gets an empty one.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// Opens the store as another process would, with everything that was written before. A store in
    /// memory returns the same store each time.
    async fn open(&self) -> Arc<dyn TokenStore>;

    /// Returns the reason why the store is not available, if so. The checks then pass without doing
    /// anything, so print the reason.
    fn skip(&self) -> Option<String> {
        None
    }
}

/// Another subject, with encrypted tokens.
#[derive(Debug)]
pub struct Encrypted<S>(pub S);

#[async_trait]
impl<S: Subject> Subject for Encrypted<S> {
    async fn open(&self) -> Arc<dyn TokenStore> {
        let keys = Keyring::parse("test:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=");
        let keys = keys.expect("the key is valid");
        Arc::new(EncryptedStore::new(self.0.open().await, keys))
    }

    fn skip(&self) -> Option<String> {
        self.0.skip()
    }
}

/// Defines a test for each check of the [suite](crate::acceptance::token_store), with the subject that
/// an `async fn` creates.
#[macro_export]
macro_rules! token_store_acceptance {
    ($subject:path) => {
        $crate::token_store_acceptance! { @each $subject:
            put_stores_every_field
            unknown_member_has_no_record
            put_creates_record_only_if_absent
            put_with_outdated_version_changes_nothing
            remove_deletes_record
            recreated_record_rejects_old_version
            concurrent_puts_have_one_winner
            concurrent_creations_have_one_winner
            concurrent_removals_have_one_winner
            concurrent_updates_lose_nothing
            put_is_visible_to_other_processes
            records_survive_reopening
            member_ids_keep_leading_zeros
            usernames_keep_any_text
            long_values_are_stored_completely
            pages_list_all_records_in_order
            pages_list_each_record_once_during_changes
            deauthorized_record_has_no_tokens
            cancelled_put_is_atomic
        }
    };
    (@each $subject:path: $($check:ident)+) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $check() {
                use $crate::acceptance::token_store::{self, Subject as _};
                let subject = $subject().await;
                if subject.skip().is_none() {
                    token_store::$check(subject).await;
                }
            }
        )+
    };
}

fn id(text: &str) -> ProjectMemberId {
    text.parse().expect("the suite uses valid ids")
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn tokens(name: &str) -> Tokens {
    Tokens::new(
        format!("access-{name}"),
        format!("refresh-{name}"),
        at(1_800_000_000_000_000),
    )
}

fn record(member: &str) -> MemberRecord {
    MemberRecord {
        member: id(member),
        username: None,
        tokens: Some(tokens(member)),
        epoch: Epoch::begin(at(1_700_000_000_000_001)),
        authorized_at: at(1_700_000_000_000_002),
        deauthorized_at: None,
        confirmed_at: at(1_700_000_000_000_003),
        refresh: None,
        refresh_unanswered: false,
        version: Version::fresh(),
    }
}

/// Returns the record with a new version.
fn next(record: &MemberRecord) -> MemberRecord {
    MemberRecord {
        version: Version::fresh(),
        ..record.clone()
    }
}

async fn create(store: &Arc<dyn TokenStore>, record: &MemberRecord) {
    assert_eq!(
        put(store, record, None).await,
        PutOutcome::Stored,
        "a new record is stored"
    );
}

async fn put(
    store: &Arc<dyn TokenStore>,
    record: &MemberRecord,
    expected: Option<Version>,
) -> PutOutcome {
    store
        .put(record, expected)
        .await
        .expect("the store responds")
}

async fn remove(
    store: &Arc<dyn TokenStore>,
    member: &ProjectMemberId,
    expected: Version,
) -> PutOutcome {
    store
        .remove(member, expected)
        .await
        .expect("the store responds")
}

async fn load(store: &Arc<dyn TokenStore>, member: &ProjectMemberId) -> Option<MemberRecord> {
    store.load(member).await.expect("the store responds")
}

async fn page(
    store: &Arc<dyn TokenStore>,
    after: Option<&ProjectMemberId>,
    limit: usize,
) -> Vec<MemberRecord> {
    store.page(after, limit).await.expect("the store responds")
}

/// Lists all records, page by page.
async fn list(store: &Arc<dyn TokenStore>, limit: usize) -> Vec<MemberRecord> {
    let mut all: Vec<MemberRecord> = Vec::new();
    loop {
        let more = page(store, all.last().map(|r| &r.member), limit).await;
        assert!(
            more.len() <= limit,
            "a page has at most as many records as its limit"
        );
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

/// Compares two records without printing tokens.
fn assert_same(found: &MemberRecord, written: &MemberRecord) {
    assert_eq!(found.member, written.member, "the member");
    assert!(
        found.username == written.username,
        "the username of {}",
        found.member
    );
    assert_eq!(found.epoch, written.epoch, "the epoch");
    assert_eq!(found.authorized_at, written.authorized_at, "authorized_at");
    assert_eq!(
        found.deauthorized_at, written.deauthorized_at,
        "deauthorized_at"
    );
    assert_eq!(found.confirmed_at, written.confirmed_at, "confirmed_at");
    assert_eq!(found.refresh, written.refresh, "the refresh lease");
    assert_eq!(
        found.refresh_unanswered, written.refresh_unanswered,
        "refresh_unanswered"
    );
    assert_eq!(found.version, written.version, "the version");
    match (&found.tokens, &written.tokens) {
        (None, None) => {}
        (Some(found), Some(written)) => {
            let (f, w) = (&found.access_token, &written.access_token);
            assert!(f.expose() == w.expose(), "the access token");
            let (f, w) = (&found.refresh_token, &written.refresh_token);
            assert!(f.expose() == w.expose(), "the refresh token");
            assert_eq!(found.expires_at, written.expires_at, "expires_at");
        }
        (found, _) => panic!("has tokens: {}, expected the opposite", found.is_some()),
    }
}

async fn assert_stored(store: &Arc<dyn TokenStore>, written: &MemberRecord) {
    let found = load(store, &written.member).await;
    assert_same(&found.expect("the record exists"), written);
}
