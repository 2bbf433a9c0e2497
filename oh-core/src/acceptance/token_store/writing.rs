//! What one caller may rely on.

use super::{Subject, assert_stored, at, id, load, make, next, page, put, record, remove, walk};
use crate::Timestamp;
use crate::store::{Epoch, MemberRecord, PutOutcome, RefreshLease, Version};

/// Every field comes back exactly, whatever it holds.
pub async fn everything_put_is_loaded_as_it_was(subject: impl Subject) {
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
    let bare = MemberRecord {
        version: Version::from_stored(0),
        ..record("10000003")
    };
    let left = MemberRecord::tombstone(id("10000004"), at(1_700_000_000_000_004));
    for written in [full, early, bare, left] {
        make(&store, &written).await;
        assert_stored(&store, &written).await;
        // And through a replacing write.
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

/// A member that is not there is `None`, not an error, and cannot be removed or replaced.
pub async fn a_member_never_seen_is_none(subject: impl Subject) {
    let store = subject.open().await;
    assert!(load(&store, &id("20000001")).await.is_none());
    assert!(page(&store, None, 10).await.is_empty());
    let unseen = record("20000001");
    assert_eq!(
        remove(&store, &unseen.member, unseen.version).await,
        PutOutcome::Conflict
    );
    assert_eq!(
        put(&store, &unseen, Some(Version::fresh())).await,
        PutOutcome::Conflict
    );
    assert_eq!(
        put(&store, &unseen, Some(unseen.version)).await,
        PutOutcome::Conflict
    );
    assert!(
        load(&store, &unseen.member).await.is_none(),
        "a conflict writes nothing"
    );
}

/// `put(.., None)` never replaces.
pub async fn a_record_is_made_only_where_there_is_none(subject: impl Subject) {
    let store = subject.open().await;
    let first = record("20000002");
    make(&store, &first).await;
    assert_eq!(put(&store, &next(&first), None).await, PutOutcome::Conflict);
    assert_eq!(put(&store, &first, None).await, PutOutcome::Conflict);
    assert_stored(&store, &first).await;
}

/// Nothing is written or removed unless the version is the stored one.
pub async fn a_stale_version_changes_nothing(subject: impl Subject) {
    let store = subject.open().await;
    let (other, first) = (record("20000004"), record("20000003"));
    make(&store, &other).await;
    make(&store, &first).await;
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

/// After a removal nothing of the record is found, and neighbours are untouched.
pub async fn a_removed_record_is_gone(subject: impl Subject) {
    let store = subject.open().await;
    let (gone, stays) = (record("20000005"), record("20000006"));
    make(&store, &gone).await;
    make(&store, &stays).await;
    assert_eq!(
        remove(&store, &gone.member, gone.version).await,
        PutOutcome::Stored
    );
    assert!(load(&store, &gone.member).await.is_none());
    assert_eq!(walk(&store, 10).await.len(), 1);
    assert_eq!(
        remove(&store, &gone.member, gone.version).await,
        PutOutcome::Conflict
    );
    assert_eq!(
        put(&store, &next(&gone), Some(gone.version)).await,
        PutOutcome::Conflict
    );
    assert_stored(&store, &stays).await;
}

/// A record that was removed and made again does not take writes meant for the first.
pub async fn a_record_made_again_is_another(subject: impl Subject) {
    let store = subject.open().await;
    let first = record("20000007");
    make(&store, &first).await;
    assert_eq!(
        remove(&store, &first.member, first.version).await,
        PutOutcome::Stored
    );
    let second = next(&first);
    make(&store, &second).await;
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

/// Close and open again: all is there, and nothing that was removed.
pub async fn what_was_written_outlives_the_store(subject: impl Subject) {
    let store = subject.open().await;
    let (kept, gone) = (record("30000004"), record("30000005"));
    let full = MemberRecord {
        username: Some("名前".into()),
        refresh: Some(RefreshLease {
            holder: "holder".into(),
            until: at(7),
        }),
        refresh_unanswered: true,
        ..next(&kept)
    };
    make(&store, &kept).await;
    make(&store, &gone).await;
    assert_eq!(
        put(&store, &full, Some(kept.version)).await,
        PutOutcome::Stored
    );
    assert_eq!(
        remove(&store, &gone.member, gone.version).await,
        PutOutcome::Stored
    );
    drop(store);
    let store = subject.open().await;
    assert_stored(&store, &full).await;
    assert!(load(&store, &gone.member).await.is_none());
    assert_eq!(
        put(&store, &next(&full), Some(kept.version)).await,
        PutOutcome::Conflict
    );
    assert_eq!(
        put(&store, &next(&full), Some(full.version)).await,
        PutOutcome::Stored
    );
}

/// Writing a record without tokens removes those that were stored.
pub async fn leaving_takes_the_tokens(subject: impl Subject) {
    let store = subject.open().await;
    let before = MemberRecord {
        refresh: Some(RefreshLease {
            holder: "holder".into(),
            until: at(9),
        }),
        refresh_unanswered: true,
        ..record("50000001")
    };
    make(&store, &before).await;
    let left = before.deauthorized(at(1_750_000_000_000_000));
    assert_eq!(
        put(&store, &left, Some(before.version)).await,
        PutOutcome::Stored
    );
    assert_stored(&store, &left).await;
    let found = load(&store, &left.member).await.expect("a tombstone stays");
    assert!(!found.is_authorized(), "no tokens after leaving");
    assert!(found.epoch > before.epoch, "the epoch has advanced");
    // A refresh that began before does not bring the tokens back.
    assert_eq!(
        put(&store, &next(&before), Some(before.version)).await,
        PutOutcome::Conflict
    );
    assert_stored(&subject.open().await, &left).await;
}
