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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;

use crate::store::{Epoch, MemberRecord, Put, RefreshLease, TokenStore, Tokens, Version};
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
    Tokens {
        access_token: format!("access-{name}").into(),
        refresh_token: format!("refresh-{name}").into(),
        expires_at: at(1_800_000_000_000_000),
    }
}

fn record(member: &str) -> MemberRecord {
    MemberRecord {
        member: id(member),
        username: None,
        tokens: Some(tokens(member)),
        epoch: Epoch::begin(at(1_700_000_000_000_001)),
        authorized_at: at(1_700_000_000_000_002),
        deauthorized_at: None,
        heard_at: at(1_700_000_000_000_003),
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
        Put::Done,
        "a new record is written"
    );
}

async fn put(store: &Arc<dyn TokenStore>, record: &MemberRecord, expected: Option<Version>) -> Put {
    store
        .put(record, expected)
        .await
        .expect("the store answers a put")
}

async fn remove(store: &Arc<dyn TokenStore>, member: &ProjectMemberId, expected: Version) -> Put {
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
    assert_eq!(found.heard_at, written.heard_at, "heard_at");
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
        heard_at: at(-1),
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
        assert_eq!(put(&store, &plain, Some(written.version)).await, Put::Done);
        assert_stored(&store, &plain).await;
        let again = next(&written);
        assert_eq!(put(&store, &again, Some(plain.version)).await, Put::Done);
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
        Put::Conflict
    );
    assert_eq!(
        put(&store, &unseen, Some(Version::fresh())).await,
        Put::Conflict
    );
    assert_eq!(
        put(&store, &unseen, Some(unseen.version)).await,
        Put::Conflict
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
    assert_eq!(put(&store, &next(&first), None).await, Put::Conflict);
    assert_eq!(put(&store, &first, None).await, Put::Conflict);
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
    assert_eq!(put(&store, &second, Some(first.version)).await, Put::Done);
    let late = MemberRecord {
        username: Some("late".into()),
        ..next(&first)
    };
    assert_eq!(put(&store, &late, Some(first.version)).await, Put::Conflict);
    assert_eq!(put(&store, &late, Some(other.version)).await, Put::Conflict);
    assert_eq!(put(&store, &late, None).await, Put::Conflict);
    assert_eq!(
        remove(&store, &first.member, first.version).await,
        Put::Conflict
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
    assert_eq!(remove(&store, &gone.member, gone.version).await, Put::Done);
    assert!(load(&store, &gone.member).await.is_none());
    assert_eq!(walk(&store, 10).await.len(), 1);
    assert_eq!(
        remove(&store, &gone.member, gone.version).await,
        Put::Conflict
    );
    assert_eq!(
        put(&store, &next(&gone), Some(gone.version)).await,
        Put::Conflict
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
        Put::Done
    );
    let second = next(&first);
    make(&store, &second).await;
    assert_eq!(
        put(&store, &next(&first), Some(first.version)).await,
        Put::Conflict
    );
    assert_eq!(
        remove(&store, &first.member, first.version).await,
        Put::Conflict
    );
    assert_stored(&store, &second).await;
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
                    Put::Done
                );
            }
        }
    }
}

fn the_winner<T>(attempts: Vec<(Put, T)>) -> T {
    let mut winners = attempts.into_iter().filter(|(put, _)| *put == Put::Done);
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
    const EACH: i64 = 10;
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
                if put(&store, &after, Some(before.version)).await == Put::Done {
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
    assert_eq!(
        usize::try_from(total),
        Ok(TASKS * EACH as usize),
        "writes that said Done"
    );
}

/// A write that was answered is seen by whoever looks next, from another process too.
pub async fn a_write_is_seen_by_all_at_once(subject: impl Subject) {
    let (here, there) = (subject.open().await, subject.open().await);
    let mut current = record("30000003");
    make(&here, &current).await;
    for _ in 0..50 {
        assert_stored(&there, &current).await;
        let after = next(&current);
        assert_eq!(put(&here, &after, Some(current.version)).await, Put::Done);
        current = after;
    }
    assert_eq!(
        remove(&here, &current.member, current.version).await,
        Put::Done
    );
    assert!(
        load(&there, &current.member).await.is_none(),
        "a removal is seen by all"
    );
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
    assert_eq!(put(&store, &full, Some(kept.version)).await, Put::Done);
    assert_eq!(remove(&store, &gone.member, gone.version).await, Put::Done);
    drop(store);
    let store = subject.open().await;
    assert_stored(&store, &full).await;
    assert!(load(&store, &gone.member).await.is_none());
    assert_eq!(
        put(&store, &next(&full), Some(kept.version)).await,
        Put::Conflict
    );
    assert_eq!(
        put(&store, &next(&full), Some(full.version)).await,
        Put::Done
    );
}

/// Ids are text: `1` and `01` are two members, and their order is that of text.
pub async fn leading_zeros_are_kept(subject: impl Subject) {
    let store = subject.open().await;
    let ids = [
        "0",
        "0000000000000001",
        "00000001",
        "01",
        "1",
        "10",
        "2",
        "9999999999999999",
    ];
    for member in ids.iter().rev() {
        make(&store, &record(member)).await;
    }
    for member in ids {
        assert_stored_tokens(&store, member).await;
    }
    let walked: Vec<String> = walk(&store, 3)
        .await
        .iter()
        .map(|r| r.member.to_string())
        .collect();
    assert_eq!(walked, ids, "the order of ids as text");
    let one = load(&store, &id("1")).await.expect("it is there");
    assert_eq!(remove(&store, &one.member, one.version).await, Put::Done);
    assert_stored_tokens(&store, "01").await;
    assert_stored_tokens(&store, "00000001").await;
}

async fn assert_stored_tokens(store: &Arc<dyn TokenStore>, member: &str) {
    let found = load(store, &id(member)).await.expect("the record is there");
    let access = found.tokens.expect("its tokens are there").access_token;
    assert_eq!(
        access.expose(),
        format!("access-{member}"),
        "the tokens of {member}"
    );
}

/// A username comes back as it was: not trimmed, not folded, not normalised, not interpreted.
pub async fn usernames_are_any_text(subject: impl Subject) {
    let store = subject.open().await;
    let names = [
        "",
        " spaces, before and after ",
        "Ünïcödé",
        "e\u{301} is not \u{e9}",
        "名前",
        "مستخدم",
        "👩🏽‍🔬",
        "line\nbreak\ttab\r",
        "'; DROP TABLE oh_members; --",
        "\"quoted\" \\ {json} %s $1 ?",
        "\u{feff}\u{202e}\u{10ffff}",
        "null",
    ];
    for (n, name) in names.iter().enumerate() {
        let named = MemberRecord {
            username: Some((*name).into()),
            ..record(&format!("{n:08}"))
        };
        make(&store, &named).await;
        assert_stored(&store, &named).await;
    }
    assert_eq!(walk(&store, 5).await.len(), names.len());
}

/// 100 KB each of access token, refresh token and username.
pub async fn very_long_values_are_kept_whole(subject: impl Subject) {
    let store = subject.open().await;
    let long = |seed: usize| -> String {
        (0..100 * 1024)
            .map(|n| char::from(b'!' + ((n * seed) % 90) as u8))
            .collect()
    };
    let huge = MemberRecord {
        username: Some(long(7)),
        tokens: Some(Tokens {
            access_token: long(11).into(),
            refresh_token: long(13).into(),
            expires_at: at(1),
        }),
        ..record("40000001")
    };
    make(&store, &huge).await;
    assert_stored(&store, &huge).await;
    let small = MemberRecord {
        username: None,
        ..record("40000001")
    };
    assert_eq!(put(&store, &small, Some(huge.version)).await, Put::Done);
    assert_stored(&store, &small).await;
}

/// Pages of any size hold all records once, in the order of their ids.
pub async fn pages_hold_all_in_order(subject: impl Subject) {
    let store = subject.open().await;
    // Written in an order that is not the ids'.
    for n in 0..57_u32 {
        make(&store, &record(&format!("{:08}", (n * 23) % 57))).await;
    }
    for limit in [1, 7, 56, 57, 58, 1_000] {
        let walked = walk(&store, limit).await;
        let ids: Vec<String> = walked.iter().map(|r| r.member.to_string()).collect();
        let wanted: Vec<String> = (0..57).map(|n| format!("{n:08}")).collect();
        assert_eq!(ids, wanted, "in pages of {limit}");
    }
    assert!(page(&store, None, 0).await.is_empty(), "a page of none");
    let between = page(&store, Some(&id("000000105")), 1).await;
    assert_eq!(
        between[0].member,
        id("00000011"),
        "after an id that is not there"
    );
    assert_stored(&store, &between[0]).await;
}

/// While others come and go, a walk meets each record that stays exactly once.
pub async fn a_walk_meets_each_record_once(subject: impl Subject) {
    let store = subject.open().await;
    for n in (0..60).step_by(2) {
        make(&store, &record(&format!("{n:08}"))).await;
    }
    let busy = subject.open().await;
    let coming_and_going = async {
        for n in (1..60).step_by(2).rev() {
            let visitor = record(&format!("{n:08}"));
            make(&busy, &visitor).await;
            let changed = next(&visitor);
            assert_eq!(put(&busy, &changed, Some(visitor.version)).await, Put::Done);
            if n % 4 == 1 {
                assert_eq!(
                    remove(&busy, &changed.member, changed.version).await,
                    Put::Done
                );
            }
        }
    };
    let walking = async {
        let mut walks = Vec::new();
        for _ in 0..4 {
            walks.push(walk(&store, 3).await);
        }
        walks
    };
    let ((), walks) = tokio::join!(coming_and_going, walking);
    for walked in walks {
        let mut met = BTreeMap::new();
        for found in &walked {
            *met.entry(found.member.to_string()).or_insert(0) += 1;
        }
        assert!(met.values().all(|times| *times == 1), "met twice: {met:?}");
        for n in (0..60).step_by(2) {
            assert!(met.contains_key(&format!("{n:08}")), "never met: {n:08}");
        }
    }
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
    assert_eq!(put(&store, &left, Some(before.version)).await, Put::Done);
    assert_stored(&store, &left).await;
    let found = load(&store, &left.member).await.expect("a tombstone stays");
    assert!(!found.is_authorized(), "no tokens after leaving");
    assert!(found.epoch > before.epoch, "the epoch has advanced");
    // A refresh that began before does not bring the tokens back.
    assert_eq!(
        put(&store, &next(&before), Some(before.version)).await,
        Put::Conflict
    );
    assert_stored(&subject.open().await, &left).await;
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
                assert_eq!(put.expect("the store answers"), Put::Done);
                assert_stored(&store, &after).await;
                after
            }
            Err(_) => settled(&store, current, after).await,
        };
    }
    let last = next(&current);
    assert_eq!(put(&store, &last, Some(current.version)).await, Put::Done);
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
        Put::Done => {
            let late = put(store, &after, Some(before.version)).await;
            assert_eq!(
                late,
                Put::Conflict,
                "the abandoned write comes too late now"
            );
            again
        }
        Put::Conflict => after,
    };
    assert_stored(store, &stands).await;
    stands
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

    crate::token_store_acceptance!(in_memory);
}
