//! Reads and writes of one caller.

use super::{Subject, assert_stored, at, create, id, list, load, next, page, put, record, remove};
use oh_core::Timestamp;
use oh_core::store::{Epoch, MemberRecord, PutOutcome, RefreshLease, Version};

/// `load` returns every field unchanged.
pub async fn put_stores_every_field(subject: impl Subject) {
    let store = subject.open().await;
    let full = MemberRecord {
        username: Some("someone".into()),
        epoch: Epoch::from_stored(i64::MAX - 1),
        deauthorized_at: Some(at(1)),
        refresh: Some(RefreshLease {
            holder: "h".repeat(32),
            until: at(i64::MAX),
        }),
        refresh_unanswered: true,
        ..record("10000001")
    };
    let early = MemberRecord {
        epoch: Epoch::from_stored(0),
        authorized_at: Timestamp::UNIX_EPOCH,
        confirmed_at: at(-1),
        deauthorized_at: Some(at(i64::MIN)),
        version: Version::from_stored(i64::MAX),
        ..record("10000002")
    };
    let minimal = MemberRecord {
        version: Version::from_stored(0),
        ..record("10000003")
    };
    let left = MemberRecord::tombstone(id("10000004"), at(1_700_000_000_000_004));
    for written in [full, early, minimal, left] {
        create(&store, &written).await;
        assert_stored(&store, &written).await;
        // The same for a put that replaces a record.
        let member = written.member.clone();
        let plain = MemberRecord {
            member,
            ..record("0")
        };
        assert_eq!(
            put(&store, &plain, Some(written.version)).await,
            PutOutcome::Stored
        );
        assert_stored(&store, &plain).await;
        let again = next(&written);
        assert_eq!(
            put(&store, &again, Some(plain.version)).await,
            PutOutcome::Stored
        );
        assert_stored(&store, &again).await;
    }
}

/// `load` returns `None` for an unknown member, and puts and removals conflict.
pub async fn unknown_member_has_no_record(subject: impl Subject) {
    let store = subject.open().await;
    assert!(load(&store, &id("20000001")).await.is_none());
    assert!(page(&store, None, 10).await.is_empty());
    let unknown = record("20000001");
    assert_eq!(
        remove(&store, &unknown.member, unknown.version).await,
        PutOutcome::Conflict
    );
    assert_eq!(
        put(&store, &unknown, Some(Version::fresh())).await,
        PutOutcome::Conflict
    );
    assert_eq!(
        put(&store, &unknown, Some(unknown.version)).await,
        PutOutcome::Conflict
    );
    assert!(
        load(&store, &unknown.member).await.is_none(),
        "a conflict changes nothing"
    );
}

/// `put(.., None)` never replaces a record.
pub async fn put_creates_record_only_if_absent(subject: impl Subject) {
    let store = subject.open().await;
    let first = record("20000002");
    create(&store, &first).await;
    assert_eq!(put(&store, &next(&first), None).await, PutOutcome::Conflict);
    assert_eq!(put(&store, &first, None).await, PutOutcome::Conflict);
    assert_stored(&store, &first).await;
}

/// Puts and removals with another version than the stored one change nothing.
pub async fn put_with_outdated_version_changes_nothing(subject: impl Subject) {
    let store = subject.open().await;
    let (other, first) = (record("20000004"), record("20000003"));
    create(&store, &other).await;
    create(&store, &first).await;
    let second = MemberRecord {
        username: Some("second".into()),
        ..next(&first)
    };
    assert_eq!(
        put(&store, &second, Some(first.version)).await,
        PutOutcome::Stored
    );
    let late = MemberRecord {
        username: Some("late".into()),
        ..next(&first)
    };
    assert_eq!(
        put(&store, &late, Some(first.version)).await,
        PutOutcome::Conflict
    );
    assert_eq!(
        put(&store, &late, Some(other.version)).await,
        PutOutcome::Conflict
    );
    assert_eq!(put(&store, &late, None).await, PutOutcome::Conflict);
    assert_eq!(
        remove(&store, &first.member, first.version).await,
        PutOutcome::Conflict
    );
    assert_stored(&store, &second).await;
    assert_stored(&store, &other).await;
}

/// A removed record does not exist any more, and other records are unchanged.
pub async fn remove_deletes_record(subject: impl Subject) {
    let store = subject.open().await;
    let (removed, other) = (record("20000005"), record("20000006"));
    create(&store, &removed).await;
    create(&store, &other).await;
    assert_eq!(
        remove(&store, &removed.member, removed.version).await,
        PutOutcome::Stored
    );
    assert!(load(&store, &removed.member).await.is_none());
    assert_eq!(list(&store, 10).await.len(), 1);
    assert_eq!(
        remove(&store, &removed.member, removed.version).await,
        PutOutcome::Conflict
    );
    assert_eq!(
        put(&store, &next(&removed), Some(removed.version)).await,
        PutOutcome::Conflict
    );
    assert_stored(&store, &other).await;
}

/// A record that was removed and created again rejects writes that expect the removed record.
pub async fn recreated_record_rejects_old_version(subject: impl Subject) {
    let store = subject.open().await;
    let first = record("20000007");
    create(&store, &first).await;
    assert_eq!(
        remove(&store, &first.member, first.version).await,
        PutOutcome::Stored
    );
    let second = next(&first);
    create(&store, &second).await;
    assert_eq!(
        put(&store, &next(&first), Some(first.version)).await,
        PutOutcome::Conflict
    );
    assert_eq!(
        remove(&store, &first.member, first.version).await,
        PutOutcome::Conflict
    );
    assert_stored(&store, &second).await;
}

/// After the store is opened again, all records exist except removed ones.
pub async fn records_survive_reopening(subject: impl Subject) {
    let store = subject.open().await;
    let (stored, removed) = (record("30000004"), record("30000005"));
    let full = MemberRecord {
        username: Some("名前".into()),
        refresh: Some(RefreshLease {
            holder: "holder".into(),
            until: at(7),
        }),
        refresh_unanswered: true,
        ..next(&stored)
    };
    create(&store, &stored).await;
    create(&store, &removed).await;
    assert_eq!(
        put(&store, &full, Some(stored.version)).await,
        PutOutcome::Stored
    );
    assert_eq!(
        remove(&store, &removed.member, removed.version).await,
        PutOutcome::Stored
    );
    drop(store);
    let store = subject.open().await;
    assert_stored(&store, &full).await;
    assert!(load(&store, &removed.member).await.is_none());
    assert_eq!(
        put(&store, &next(&full), Some(stored.version)).await,
        PutOutcome::Conflict
    );
    assert_eq!(
        put(&store, &next(&full), Some(full.version)).await,
        PutOutcome::Stored
    );
}

/// A put without tokens removes the stored tokens.
pub async fn deauthorized_record_has_no_tokens(subject: impl Subject) {
    let store = subject.open().await;
    let before = MemberRecord {
        refresh: Some(RefreshLease {
            holder: "holder".into(),
            until: at(9),
        }),
        refresh_unanswered: true,
        ..record("50000001")
    };
    create(&store, &before).await;
    let left = before.deauthorized(at(1_750_000_000_000_000));
    assert_eq!(
        put(&store, &left, Some(before.version)).await,
        PutOutcome::Stored
    );
    assert_stored(&store, &left).await;
    let found = load(&store, &left.member)
        .await
        .expect("the tombstone exists");
    assert!(!found.is_authorized(), "the tombstone has no tokens");
    assert!(found.epoch > before.epoch, "the epoch has advanced");
    // A refresh that began earlier cannot restore the tokens.
    assert_eq!(
        put(&store, &next(&before), Some(before.version)).await,
        PutOutcome::Conflict
    );
    assert_stored(&subject.open().await, &left).await;
}
