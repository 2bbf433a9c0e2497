//! What many callers at once may rely on, and those who stop waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{
    Subject, assert_same, assert_stored, id, load, make, next, put, record, remove, tokens,
};
use crate::store::{Epoch, MemberRecord, PutOutcome, TokenStore};

/// Runs `work` in so many tasks at once, spread over a few openings, and collects what they give.
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

/// Of many who replace the same version at once, one succeeds, and its record is what stays.
pub async fn of_many_writers_one_wins(subject: impl Subject) {
    let store = subject.open().await;
    let mut current = record("30000001");
    make(&store, &current).await;
    for _ in 0..8 {
        let wrote = all_at_once(&subject, 24, |_, store| {
            let (mine, expected) = (next(&current), current.version);
            async move { (put(&store, &mine, Some(expected)).await, mine) }
        })
        .await;
        current = the_winner(wrote);
        assert_stored(&store, &current).await;
    }
}

/// Of many who make the same record at once, one succeeds.
pub async fn of_many_makers_one_wins(subject: impl Subject) {
    let store = subject.open().await;
    for n in 0..8 {
        let made = all_at_once(&subject, 24, |_, store| {
            let mine = record(&format!("3100000{n}"));
            async move { (put(&store, &mine, None).await, mine) }
        })
        .await;
        assert_stored(&store, &the_winner(made)).await;
    }
}

/// Of many who remove the same version at once, one succeeds, and none who replaces it as well.
pub async fn of_many_removers_one_wins(subject: impl Subject) {
    let store = subject.open().await;
    for _ in 0..8 {
        let there = record("32000001");
        make(&store, &there).await;
        let done = all_at_once(&subject, 24, |n, store| {
            let (there, left) = (there.clone(), next(&there));
            async move {
                if n % 2 == 0 {
                    (remove(&store, &there.member, there.version).await, None)
                } else {
                    (put(&store, &left, Some(there.version)).await, Some(left))
                }
            }
        })
        .await;
        match (the_winner(done), load(&store, &there.member).await) {
            (None, found) => assert!(found.is_none(), "the remover won, and the record is there"),
            (Some(written), found) => {
                assert_same(
                    &found.expect("the writer won, so the record is there"),
                    &written,
                );
                assert_eq!(
                    remove(&store, &there.member, written.version).await,
                    PutOutcome::Stored
                );
            }
        }
    }
}

fn the_winner<T>(attempts: Vec<(PutOutcome, T)>) -> T {
    let mut winners = attempts
        .into_iter()
        .filter(|(put, _)| *put == PutOutcome::Stored);
    let winner = winners
        .next()
        .expect("one of those who write at once succeeds");
    assert!(
        winners.next().is_none(),
        "only one of those who write at once succeeds"
    );
    winner.1
}

/// Read, change, write if unchanged: many who do so at once lose nothing.
pub async fn no_write_is_lost(subject: impl Subject) {
    const TASKS: usize = 8;
    const EACH: usize = 10;
    let store = subject.open().await;
    let member = id("30000002");
    let zero = MemberRecord {
        epoch: Epoch::from_stored(0),
        ..record("30000002")
    };
    make(&store, &zero).await;
    all_at_once(&subject, TASKS, |_, store| {
        let member = member.clone();
        async move {
            let mut written = 0;
            while written < EACH {
                let before = load(&store, &member).await.expect("nobody removes it");
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
        .expect("it is there")
        .epoch
        .get();
    let done = i64::try_from(TASKS * EACH).expect("a small number");
    assert_eq!(total, done, "writes that said Done");
}

/// A write that was answered is seen by whoever looks next, from another process too.
pub async fn a_write_is_seen_by_all_at_once(subject: impl Subject) {
    let (here, there) = (subject.open().await, subject.open().await);
    let mut current = record("30000003");
    make(&here, &current).await;
    for _ in 0..50 {
        assert_stored(&there, &current).await;
        let after = next(&current);
        assert_eq!(
            put(&here, &after, Some(current.version)).await,
            PutOutcome::Stored
        );
        current = after;
    }
    assert_eq!(
        remove(&here, &current.member, current.version).await,
        PutOutcome::Stored
    );
    assert!(
        load(&there, &current.member).await.is_none(),
        "a removal is seen by all"
    );
}

/// A caller may stop waiting at any moment: the record is then the old or the new one, whole, and
/// the store works on.
pub async fn a_cancelled_write_is_whole_or_nothing(subject: impl Subject) {
    let store = subject.open().await;
    let mut current = MemberRecord {
        username: Some("0".into()),
        ..record("60000001")
    };
    make(&store, &current).await;
    for n in 1..=40_u32 {
        let big = format!("{n}-").repeat(2_000);
        let after = MemberRecord {
            username: Some(n.to_string()),
            tokens: Some(tokens(&big)),
            ..next(&current)
        };
        // Later each time, until it is too late to stop.
        let patience = Duration::from_micros(u64::from(n * n));
        let written =
            tokio::time::timeout(patience, store.put(&after, Some(current.version))).await;
        current = match written {
            Ok(put) => {
                assert_eq!(put.expect("the store answers"), PutOutcome::Stored);
                assert_stored(&store, &after).await;
                after
            }
            Err(_) => settled(&store, current, after).await,
        };
    }
    let last = next(&current);
    assert_eq!(
        put(&store, &last, Some(current.version)).await,
        PutOutcome::Stored
    );
    assert_stored(&subject.open().await, &last).await;
}

/// What stands after a write was abandoned. It may still be under way: writing the old record
/// under another version decides it, one way or the other.
async fn settled(
    store: &Arc<dyn TokenStore>,
    before: MemberRecord,
    after: MemberRecord,
) -> MemberRecord {
    let again = next(&before);
    let stands = match put(store, &again, Some(before.version)).await {
        PutOutcome::Stored => {
            let late = put(store, &after, Some(before.version)).await;
            assert_eq!(
                late,
                PutOutcome::Conflict,
                "the abandoned write comes too late now"
            );
            again
        }
        PutOutcome::Conflict => after,
    };
    assert_stored(store, &stands).await;
    stands
}
