//! The acceptance suite for a [`TokenStore`].
//!
//! Say how to make an empty store, and let the macro write the tests. The tests need `tokio` with
//! its features `macros` and `rt-multi-thread`.
//!
//! ```
//! use std::sync::Arc;
//!
//! use oh_core::acceptance::token_store::Subject;
//! use oh_core::store::{MemoryStore, TokenStore};
//!
//! struct InMemory(Arc<MemoryStore>);
//!
//! #[async_trait::async_trait]
//! impl Subject for InMemory {
//!     async fn open(&self) -> Arc<dyn TokenStore> {
//!         self.0.clone()
//!     }
//! }
//!
//! async fn empty() -> InMemory {
//!     InMemory(Arc::default())
//! }
//!
//! oh_core::token_store_acceptance!(empty);
//! # fn main() {}
//! ```
//!
//! A check that fails names the promise that was broken. It cannot show that a store survives the
//! machine's losing power, and it does not look into files for what should be gone: those are
//! yours to show.

mod racing;
mod values;
mod walking;
mod writing;

pub use racing::{
    a_cancelled_write_is_whole_or_nothing, a_write_is_seen_by_all_at_once, no_write_is_lost,
    of_many_makers_one_wins, of_many_removers_one_wins, of_many_writers_one_wins,
};
pub use values::{leading_zeros_are_kept, usernames_are_any_text, very_long_values_are_kept_whole};
pub use walking::{a_walk_meets_each_record_once, pages_hold_all_in_order};
pub use writing::{
    a_member_never_seen_is_none, a_record_is_made_only_where_there_is_none,
    a_record_made_again_is_another, a_removed_record_is_gone, a_stale_version_changes_nothing,
    everything_put_is_loaded_as_it_was, leaving_takes_the_tokens,
    what_was_written_outlives_the_store,
};

use std::sync::Arc;

use async_trait::async_trait;

use crate::store::{Epoch, MemberRecord, PutOutcome, TokenStore, Tokens, Version};
use crate::{ProjectMemberId, Timestamp};

/// What the suite is run on: the data of one store, empty at first. Each check gets its own.
#[async_trait]
pub trait Subject: Send + Sync + 'static {
    /// Opens the store as another process would: what was written before, through whichever
    /// opening, is there. A store that lives in one process gives the same one each time.
    async fn open(&self) -> Arc<dyn TokenStore>;

    /// Why the checks cannot be run here, if they cannot. They then pass without doing anything,
    /// so say it loudly.
    fn skip(&self) -> Option<String> {
        None
    }
}

/// Makes one test of each check of the [suite](crate::acceptance::token_store) for the subject
/// that the given `async fn` makes.
#[macro_export]
macro_rules! token_store_acceptance {
    ($subject:path) => {
        $crate::token_store_acceptance! { @each $subject:
            everything_put_is_loaded_as_it_was
            a_member_never_seen_is_none
            a_record_is_made_only_where_there_is_none
            a_stale_version_changes_nothing
            a_removed_record_is_gone
            a_record_made_again_is_another
            of_many_writers_one_wins
            of_many_makers_one_wins
            of_many_removers_one_wins
            no_write_is_lost
            a_write_is_seen_by_all_at_once
            what_was_written_outlives_the_store
            leading_zeros_are_kept
            usernames_are_any_text
            very_long_values_are_kept_whole
            pages_hold_all_in_order
            a_walk_meets_each_record_once
            leaving_takes_the_tokens
            a_cancelled_write_is_whole_or_nothing
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
    text.parse().expect("the suite's own ids are ids")
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

/// The record with a new version, as every write has one.
fn next(record: &MemberRecord) -> MemberRecord {
    MemberRecord {
        version: Version::fresh(),
        ..record.clone()
    }
}

async fn make(store: &Arc<dyn TokenStore>, record: &MemberRecord) {
    assert_eq!(
        put(store, record, None).await,
        PutOutcome::Stored,
        "a new record is written"
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
        .expect("the store answers a put")
}

async fn remove(
    store: &Arc<dyn TokenStore>,
    member: &ProjectMemberId,
    expected: Version,
) -> PutOutcome {
    store
        .remove(member, expected)
        .await
        .expect("the store answers a remove")
}

async fn load(store: &Arc<dyn TokenStore>, member: &ProjectMemberId) -> Option<MemberRecord> {
    store.load(member).await.expect("the store answers a load")
}

async fn page(
    store: &Arc<dyn TokenStore>,
    after: Option<&ProjectMemberId>,
    limit: usize,
) -> Vec<MemberRecord> {
    store
        .page(after, limit)
        .await
        .expect("the store answers a page")
}

/// All records, walked through in pages.
async fn walk(store: &Arc<dyn TokenStore>, limit: usize) -> Vec<MemberRecord> {
    let mut all: Vec<MemberRecord> = Vec::new();
    loop {
        let more = page(store, all.last().map(|r| &r.member), limit).await;
        assert!(more.len() <= limit, "a page holds no more than its limit");
        if more.is_empty() {
            return all;
        }
        all.extend(more);
    }
}

/// Compares without printing tokens, however long they are.
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
        (found, _) => panic!("tokens there: {}, wanted the opposite", found.is_some()),
    }
}

async fn assert_stored(store: &Arc<dyn TokenStore>, written: &MemberRecord) {
    let found = load(store, &written.member).await;
    assert_same(&found.expect("the record is there"), written);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    struct InMemory(Arc<MemoryStore>);

    #[async_trait]
    impl Subject for InMemory {
        async fn open(&self) -> Arc<dyn TokenStore> {
            self.0.clone()
        }
    }

    async fn in_memory() -> InMemory {
        InMemory(Arc::default())
    }

    mod plain {
        use super::in_memory;

        crate::token_store_acceptance!(in_memory);
    }

    mod sealed {
        use super::{Arc, InMemory, Subject, TokenStore, in_memory};
        use crate::store::{EncryptedStore, Keyring};

        struct Sealed(InMemory);

        #[async_trait::async_trait]
        impl Subject for Sealed {
            async fn open(&self) -> Arc<dyn TokenStore> {
                let keys = "test:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";
                let keys = Keyring::parse(keys).unwrap();
                Arc::new(EncryptedStore::new(self.0.open().await, keys))
            }
        }

        async fn subject() -> Sealed {
            Sealed(in_memory().await)
        }

        crate::token_store_acceptance!(subject);
    }
}
