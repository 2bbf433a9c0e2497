//! Concurrent and cancelled writes.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{
    Subject, assert_same, assert_stored, create, id, load, next, put, record, remove, tokens,
};
use oh_core::store::{Epoch, MemberRecord, PutOutcome, TokenStore};

/// Runs `work` in several tasks at once, through several openings of the store, and collects the outputs.
async fn all_at_once<T, W>(
    subject: &impl Subject,
    tasks: usize,
    work: impl Fn(usize, Arc<dyn TokenStore>) -> W,
) -> Vec<T>
where
    T: Send + 'static,
    W: Future<Output = T> + Send + 'static,
{
    let mut stores = Vec::new();
    for _ in 0..3 {
        stores.push(subject.open().await);
    }
    let start = Arc::new(tokio::sync::Barrier::new(tasks));
    let mut set = JoinSet::new();
    for (n, store) in stores.iter().cycle().take(tasks).enumerate() {
        let (work, start) = (work(n, Arc::clone(store)), Arc::clone(&start));
        set.spawn(async move {
            start.wait().await;
            work.await
        });
    }
    set.join_all().await
}

/// Of several concurrent puts with the same expected version one succeeds, and its record is stored.
pub async fn concurrent_puts_have_one_winner(subject: impl Subject) {
    let store = subject.open().await;
    let mut current = record("30000001");
    create(&store, &current).await;
    for _ in 0..8 {
        let wrote = all_at_once(&subject, 24, |_, store| {
            let (record, expected) = (next(&current), current.version);
            async move { (put(&store, &record, Some(expected)).await, record) }
        })
        .await;
        current = winner(wrote);
        assert_stored(&store, &current).await;
    }
}

/// Of several concurrent creations of a record one succeeds.
pub async fn concurrent_creations_have_one_winner(subject: impl Subject) {
    let store = subject.open().await;
    for n in 0..8 {
        let made = all_at_once(&subject, 24, |_, store| {
            let record = record(&format!("3100000{n}"));
            async move { (put(&store, &record, None).await, record) }
        })
        .await;
        assert_stored(&store, &winner(made)).await;
    }
}

/// Of several concurrent removals and puts with the same expected version one succeeds.
pub async fn concurrent_removals_have_one_winner(subject: impl Subject) {
    let store = subject.open().await;
    for _ in 0..8 {
        let stored = record("32000001");
        create(&store, &stored).await;
        let done = all_at_once(&subject, 24, |n, store| {
            let (stored, changed) = (stored.clone(), next(&stored));
            async move {
                if n % 2 == 0 {
                    (remove(&store, &stored.member, stored.version).await, None)
                } else {
                    (
                        put(&store, &changed, Some(stored.version)).await,
                        Some(changed),
                    )
                }
            }
        })
        .await;
        match (winner(done), load(&store, &stored.member).await) {
            (None, found) => assert!(found.is_none(), "the removal won, but the record exists"),
            (Some(written), found) => {
                assert_same(&found.expect("the put won, so the record exists"), &written);
                assert_eq!(
                    remove(&store, &stored.member, written.version).await,
                    PutOutcome::Stored
                );
            }
        }
    }
}

fn winner<T>(attempts: Vec<(PutOutcome, T)>) -> T {
    let mut winners = attempts
        .into_iter()
        .filter(|(put, _)| *put == PutOutcome::Stored);
    let winner = winners
        .next()
        .expect("one of the concurrent writes succeeds");
    assert!(
        winners.next().is_none(),
        "only one of the concurrent writes succeeds"
    );
    winner.1
}

/// Concurrent read-modify-write loops lose no update.
pub async fn concurrent_updates_lose_nothing(subject: impl Subject) {
    const TASKS: usize = 8;
    const UPDATES: usize = 10;
    let store = subject.open().await;
    let member = id("30000002");
    let zero = MemberRecord {
        epoch: Epoch::from_stored(0),
        ..record("30000002")
    };
    create(&store, &zero).await;
    all_at_once(&subject, TASKS, |_, store| {
        let member = member.clone();
        async move {
            let mut written = 0;
            while written < UPDATES {
                let before = load(&store, &member).await.expect("the record exists");
                let after = MemberRecord {
                    epoch: Epoch::from_stored(before.epoch.get() + 1),
                    ..next(&before)
                };
                if put(&store, &after, Some(before.version)).await == PutOutcome::Stored {
                    written += 1;
                }
            }
        }
    })
    .await;
    let total = load(&store, &member)
        .await
        .expect("the record exists")
        .epoch
        .get();
    let done = i64::try_from(TASKS * UPDATES).expect("a small number");
    assert_eq!(total, done, "updates that reported `Stored`");
}

/// After `put` returns, every process loads the new record.
pub async fn put_is_visible_to_other_processes(subject: impl Subject) {
    let (writer, reader) = (subject.open().await, subject.open().await);
    let mut current = record("30000003");
    create(&writer, &current).await;
    for _ in 0..50 {
        assert_stored(&reader, &current).await;
        let after = next(&current);
        assert_eq!(
            put(&writer, &after, Some(current.version)).await,
            PutOutcome::Stored
        );
        current = after;
    }
    assert_eq!(
        remove(&writer, &current.member, current.version).await,
        PutOutcome::Stored
    );
    assert!(
        load(&reader, &current.member).await.is_none(),
        "other processes see the removal"
    );
}

/// After a caller cancels a put, the stored record is the old or the new one, never a mixture, and the
/// store remains usable.
pub async fn cancelled_put_is_atomic(subject: impl Subject) {
    let store = subject.open().await;
    let mut current = MemberRecord {
        username: Some("0".into()),
        ..record("60000001")
    };
    create(&store, &current).await;
    for n in 1..=40_u32 {
        let big = format!("{n}-").repeat(2_000);
        let after = MemberRecord {
            username: Some(n.to_string()),
            tokens: Some(tokens(&big)),
            ..next(&current)
        };
        // Each time a little later, until the put is done.
        let delay = Duration::from_micros(u64::from(n * n));
        let written = tokio::time::timeout(delay, store.put(&after, Some(current.version))).await;
        current = match written {
            Ok(put) => {
                assert_eq!(put.expect("the store responds"), PutOutcome::Stored);
                assert_stored(&store, &after).await;
                after
            }
            Err(_) => stored_after_cancellation(&store, current, after).await,
        };
    }
    let last = next(&current);
    assert_eq!(
        put(&store, &last, Some(current.version)).await,
        PutOutcome::Stored
    );
    assert_stored(&subject.open().await, &last).await;
}

/// Determines which record is stored after a cancelled put. The put may still be in progress, so this
/// writes the old record with a new version, which either succeeds or shows that the put happened.
async fn stored_after_cancellation(
    store: &Arc<dyn TokenStore>,
    before: MemberRecord,
    after: MemberRecord,
) -> MemberRecord {
    let again = next(&before);
    let stored = match put(store, &again, Some(before.version)).await {
        PutOutcome::Stored => {
            let late = put(store, &after, Some(before.version)).await;
            assert_eq!(
                late,
                PutOutcome::Conflict,
                "the cancelled put cannot succeed any more"
            );
            again
        }
        PutOutcome::Conflict => after,
    };
    assert_stored(store, &stored).await;
    stored
}
