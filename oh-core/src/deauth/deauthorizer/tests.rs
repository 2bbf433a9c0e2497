use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::KeyMaterial;
use crate::deauth::test_support::{self, at};
use crate::deauth::{Completion, EventState, LeaseOutcome, MemoryInbox};
use crate::deauth::{DeauthInbox, LedgerQuery, Step};
use crate::store::{MemoryStore, PutOutcome, Version};

mod held;
mod lost;
mod stale;

fn member() -> ProjectMemberId {
    test_support::member(1_026_778)
}

fn authorized(authorized_at: Timestamp) -> MemberRecord {
    test_support::authorized(&member(), authorized_at)
}

struct Setting {
    store: Arc<dyn TokenStore>,
    inbox: Arc<MemoryInbox>,
    deauthorizer: Deauthorizer,
    gone: Arc<Mutex<Vec<ProjectMemberId>>>,
}

impl Setting {
    fn new(store: impl TokenStore) -> Self {
        let store: Arc<dyn TokenStore> = Arc::new(store);
        let inbox = Arc::new(MemoryInbox::new());
        let gone = Arc::new(Mutex::new(Vec::new()));
        let names = Pseudonymizer::new(&KeyMaterial::new("k".repeat(32)));
        let deauthorizer = Deauthorizer::with_hook(
            store.clone(),
            inbox.clone(),
            names,
            Clock::manual(at(100)),
            {
                let gone = gone.clone();
                move |member| gone.lock().unwrap().push(member.clone())
            },
        );
        Self {
            store,
            inbox,
            deauthorizer,
            gone,
        }
    }

    async fn with(record: &MemberRecord) -> Self {
        let setting = Self::new(MemoryStore::new());
        assert_eq!(
            setting.store.put(record, None).await.unwrap(),
            PutOutcome::Stored
        );
        setting
    }

    async fn record(&self) -> Option<MemberRecord> {
        self.store.load(&member()).await.unwrap()
    }

    async fn change(&self, change: impl FnOnce(&mut MemberRecord)) {
        let stored = self.record().await.unwrap();
        let mut next = MemberRecord {
            version: Version::fresh(),
            ..stored.clone()
        };
        change(&mut next);
        let put = self.store.put(&next, Some(stored.version)).await;
        assert_eq!(put.unwrap(), PutOutcome::Stored);
    }

    async fn report_webhook(&self, left_at: Timestamp) -> Accepted {
        self.deauthorizer
            .report_webhook(&member(), ErasureRequest::Requested, left_at)
            .await
            .unwrap()
    }

    async fn all_steps(&self) -> Vec<Step> {
        let query = LedgerQuery {
            limit: 100,
            ..LedgerQuery::default()
        };
        let lines = self.inbox.ledger(&query).await.unwrap();
        lines.into_iter().map(|line| line.step).collect()
    }
}

#[tokio::test]
async fn the_tokens_go_with_the_acceptance_and_sessions_end() {
    let record = authorized(at(0));
    let setting = Setting::with(&record).await;
    assert_eq!(
        setting.report_webhook(at(50)).await,
        Accepted::New(TokenOutcome::Untouched)
    );
    let left = setting.record().await.unwrap();
    assert!(!left.is_authorized());
    assert!(left.epoch > record.epoch);
    assert_eq!(left.deauthorized_at, Some(at(100)));
    assert_eq!(*setting.gone.lock().unwrap().last().unwrap(), member());
    assert_eq!(
        setting.all_steps().await,
        [Step::Received, Step::TokensDestroyed]
    );
    assert_eq!(setting.report_webhook(at(50)).await, Accepted::Duplicate);
    assert_eq!(setting.all_steps().await.len(), 2);
}

/// Where tokens and inbox live in one database; and in the process whose worker acts on it.
#[tokio::test]
async fn sessions_end_where_the_tokens_went_with_the_acceptance() {
    let inbox = Arc::new(test_support::FaultyInbox::default());
    inbox.destroys.store(true, Ordering::SeqCst);
    let names = Pseudonymizer::new(&KeyMaterial::new("k".repeat(32)));
    let gone = Arc::new(AtomicUsize::new(0));
    let count = gone.clone();
    let deauthorizer = Deauthorizer::with_hook(
        Arc::new(MemoryStore::new()),
        inbox.clone(),
        names,
        Clock::manual(at(100)),
        move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        },
    );
    let accepted = deauthorizer
        .report_webhook(&member(), ErasureRequest::Requested, at(50))
        .await;
    assert_eq!(accepted.unwrap(), Accepted::New(TokenOutcome::Destroyed));
    assert_eq!(gone.load(Ordering::SeqCst), 1);
    let leased = inbox.lease(at(100), at(160), 1).await.unwrap();
    let ready = deauthorizer.ready(&leased[0].event, TokenProgress::Destroyed);
    assert_eq!(ready.await.unwrap(), Ready::Yes);
    assert_eq!(gone.load(Ordering::SeqCst), 2);
}

/// An inbox over a database of its own that was not told so: it deletes tokens that nobody keeps
/// there.
#[tokio::test]
async fn tokens_that_live_elsewhere_are_destroyed_there() {
    let setting = test_support::Setting::new();
    setting.inbox.destroys.store(true, Ordering::SeqCst);
    for number in [1, 2] {
        setting.authorize(number, at(0)).await;
        let _ = setting.report_webhook(number, at(50)).await;
        assert!(!setting.record(number).await.unwrap().is_authorized());
    }
    let leased = setting.inbox.lease(at(100), at(160), 2).await.unwrap();
    for leased in leased {
        let ready = setting.deauthorizer.ready(&leased.event, leased.tokens);
        assert_eq!(ready.await.unwrap(), Ready::Yes, "not stale");
    }
}

#[tokio::test]
async fn tokens_that_are_gone_are_nowhere_else() {
    let setting = test_support::Setting::new();
    setting.inbox.destroys.store(true, Ordering::SeqCst);
    // As the acceptance in one database leaves the record.
    setting.authorize(1, at(0)).await;
    let record = setting.record(1).await.unwrap();
    let left = record.deauthorized(at(100));
    let put = setting.store.put(&left, Some(record.version));
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);
    let _ = setting.report_webhook(1, at(50)).await;
    assert_eq!(setting.steps().await, [Step::Received]);
}

#[tokio::test]
async fn tokens_are_destroyed_whatever_an_older_tombstone_says() {
    // By a clock that was ahead, before the member came back.
    let record = MemberRecord {
        deauthorized_at: Some(at(5_000)),
        ..authorized(at(0))
    };
    let setting = Setting::with(&record).await;
    let _ = setting.report_webhook(at(50)).await;
    assert!(!setting.record().await.unwrap().is_authorized());
}

#[tokio::test]
async fn a_stranger_leaves_a_tombstone() {
    let setting = Setting::new(MemoryStore::new());
    let _ = setting.report_webhook(at(50)).await;
    let tombstone = setting.record().await.unwrap();
    assert!(!tombstone.is_authorized());
    assert_eq!(tombstone.deauthorized_at, Some(at(100)));
}

#[tokio::test]
async fn leaving_again_renews_the_tombstone() {
    let setting = Setting::new(MemoryStore::new());
    let _ = setting.report_webhook(at(50)).await;
    setting
        .deauthorizer
        .clock()
        .advance(Duration::from_secs(10));
    let _ = setting.report_webhook(at(60)).await;
    let tombstone = setting.record().await.unwrap();
    assert_eq!(tombstone.deauthorized_at, Some(at(110)));
}

#[tokio::test]
async fn an_event_worked_on_late_leaves_the_tombstone_of_a_later_one() {
    let setting = Setting::with(&authorized(at(0))).await;
    let _ = setting.report_webhook(at(50)).await;
    let leased = setting.inbox.lease(at(100), at(160), 1).await.unwrap();
    let clock = setting.deauthorizer.clock();
    clock.advance(Duration::from_secs(10));
    let _ = setting.report_webhook(at(60)).await;
    let later = setting.record().await.unwrap();
    assert_eq!(later.deauthorized_at, Some(at(110)));
    for tokens in [TokenProgress::Untouched, TokenProgress::Destroyed] {
        let ready = setting.deauthorizer.ready(&leased[0].event, tokens).await;
        assert_eq!(ready.unwrap(), Ready::Yes);
        let record = setting.record().await.unwrap();
        assert_eq!(record.version, later.version);
    }

    // Nor does it bring back one that was cleared away.
    let removed = setting.store.remove(&later.member, later.version).await;
    assert_eq!(removed.unwrap(), PutOutcome::Stored);
    let ready = setting
        .deauthorizer
        .ready(&leased[0].event, TokenProgress::Destroyed);
    assert_eq!(ready.await.unwrap(), Ready::Yes);
    assert!(setting.record().await.is_none());
}

/// Our clock may be behind theirs, which says when the member authorized.
#[tokio::test]
async fn whoever_leaves_at_the_moment_of_authorizing_has_left() {
    let setting = Setting::with(&authorized(at(500))).await;
    let record = setting.record().await.unwrap();
    let found = setting.deauthorizer.report_missing(&record).await.unwrap();
    assert_eq!(found, Some(Accepted::New(TokenOutcome::Untouched)));
    assert!(!setting.record().await.unwrap().is_authorized());
}

#[tokio::test]
async fn whoever_was_lost_and_is_then_heard_to_leave_has_left() {
    let setting = Setting::with(&authorized(at(0))).await;
    let record = setting.record().await.unwrap();
    let lost = setting
        .deauthorizer
        .report_token_loss(&record)
        .await
        .unwrap();
    assert!(lost.is_some());
    assert!(setting.record().await.unwrap().has_lost_tokens());
    let leased = setting.inbox.lease(at(100), at(160), 1).await.unwrap();
    let clock = setting.deauthorizer.clock();
    clock.advance(Duration::from_secs(10));
    let _ = setting.report_webhook(at(60)).await;
    assert!(!setting.record().await.unwrap().has_lost_tokens());
    // The worker comes to the older event after that.
    let ready = setting
        .deauthorizer
        .ready(&leased[0].event, TokenProgress::Destroyed);
    assert_eq!(ready.await.unwrap(), Ready::Yes);
    assert!(!setting.record().await.unwrap().has_lost_tokens());
}

#[tokio::test]
async fn a_departure_of_three_days_ago_is_believed_and_an_older_one_is_held() {
    let three_days = Duration::from_secs(3 * 24 * 3_600);
    for (more, state) in [(0, EventState::Pending), (1, EventState::Quarantined)] {
        let setting = Setting::new(MemoryStore::new());
        let ago = three_days + Duration::from_micros(more);
        let _ = setting.report_webhook(at(100) - ago).await;
        let events = setting.inbox.events(&EventQuery::first(9)).await.unwrap();
        assert_eq!(events[0].state, state);
    }
}

#[tokio::test(start_paused = true)]
async fn an_inbox_that_is_back_in_time_leaves_nothing_to_be_sent_again() {
    let setting = test_support::Setting::new();
    setting.inbox.set_down(true);
    let member = test_support::member(1);
    let telling = setting.deauthorizer.report_webhook_within(
        Duration::from_secs(8),
        &member,
        ErasureRequest::Requested,
        at(50),
    );
    let back = async {
        setting.inbox.refused.notified().await;
        setting.inbox.set_down(false);
    };
    let (accepted, ()) = tokio::join!(telling, back);
    assert_eq!(accepted.unwrap(), Accepted::New(TokenOutcome::Untouched));
    assert_eq!(setting.events(EventState::Pending).await.len(), 1);
}

#[tokio::test]
async fn an_old_wish_does_not_touch_a_new_authorization() {
    let setting = Setting::with(&authorized(at(60))).await;
    let _ = setting.report_webhook(at(50)).await;
    assert!(setting.record().await.unwrap().is_authorized());
    assert_eq!(setting.all_steps().await, [Step::Received]);
}

#[tokio::test]
async fn a_requeued_stale_event_is_acted_on() {
    let setting = Setting::with(&authorized(at(60))).await;
    let _ = setting.report_webhook(at(50)).await;
    let leased = setting
        .inbox
        .lease(at(100), at(160), 1)
        .await
        .unwrap()
        .remove(0);
    let ready = setting
        .deauthorizer
        .ready(&leased.event, leased.tokens)
        .await
        .unwrap();
    assert_eq!(ready, Ready::Stale);
    let settled = setting
        .inbox
        .complete(&leased.lease, &Completion::Stale, at(101))
        .await
        .unwrap();
    assert_eq!(settled, LeaseOutcome::Applied);

    assert!(
        setting
            .inbox
            .requeue(&leased.event.id, at(102))
            .await
            .unwrap()
    );
    let again = setting.inbox.lease(at(103), at(160), 1).await.unwrap();
    assert_eq!(again[0].tokens, TokenProgress::Requeued(at(102)));
    let ready = setting
        .deauthorizer
        .ready(&again[0].event, again[0].tokens)
        .await
        .unwrap();
    assert_eq!(ready, Ready::Yes);
    assert!(!setting.record().await.unwrap().is_authorized());
}

#[tokio::test]
async fn putting_a_stale_event_back_does_not_reach_into_the_future() {
    let setting = Setting::with(&authorized(at(60))).await;
    let _ = setting.report_webhook(at(50)).await;
    let leased = setting.inbox.lease(at(100), at(160), 1).await.unwrap();
    let event = &leased[0].event;
    let put_back = TokenProgress::Requeued(at(102));
    // Someone who authorizes after that has taken the wish back.
    setting
        .change(|record| record.authorized_at = at(103))
        .await;
    let ready = setting.deauthorizer.ready(event, put_back).await.unwrap();
    assert_eq!(ready, Ready::Stale);
    // And whoever is there after the tokens were destroyed has come back too.
    setting.change(|record| record.authorized_at = at(40)).await;
    let ready = setting
        .deauthorizer
        .ready(event, TokenProgress::Destroyed)
        .await
        .unwrap();
    assert_eq!(ready, Ready::Stale);
    assert!(setting.record().await.unwrap().is_authorized());
}

#[tokio::test]
async fn an_old_wish_is_not_acted_on_after_a_later_leave_either() {
    let setting = Setting::with(&authorized(at(60))).await;
    let left = setting.record().await.unwrap();
    let _ = setting.deauthorizer.report_missing(&left).await.unwrap();
    let deauthorizer = &setting.deauthorizer;
    let id = deauthorizer
        .names()
        .webhook_event_id(&member(), at(50), ErasureRequest::Requested);
    let old = deauthorizer.event(
        id,
        &member(),
        ErasureRequest::Requested,
        Discovery::Webhook,
        at(50),
    );
    let ready = setting
        .deauthorizer
        .ready(&old, TokenProgress::Untouched)
        .await
        .unwrap();
    assert_eq!(ready, Ready::Stale);
}

#[tokio::test]
async fn a_member_is_found_once_for_each_authorization() {
    let record = authorized(at(0));
    let setting = Setting::with(&record).await;
    let first = setting.deauthorizer.report_missing(&record).await.unwrap();
    assert_eq!(first, Some(Accepted::New(TokenOutcome::Untouched)));
    // Whoever else asked at the same time comes too late.
    assert_eq!(
        setting.deauthorizer.report_missing(&record).await.unwrap(),
        None
    );

    let tombstone = setting.record().await.unwrap();
    let mut again = authorized(at(200));
    again.epoch = tombstone.epoch.advance(at(200));
    assert_eq!(
        setting
            .store
            .put(&again, Some(tombstone.version))
            .await
            .unwrap(),
        PutOutcome::Stored
    );
    let second = setting.deauthorizer.report_missing(&again).await.unwrap();
    assert_eq!(second, Some(Accepted::New(TokenOutcome::Untouched)));
}

#[tokio::test]
async fn refreshed_tokens_make_the_finding_worthless() {
    let old = authorized(at(0));
    let mut refreshed = old.clone();
    refreshed.version = Version::fresh();
    if let Some(tokens) = &mut refreshed.tokens {
        tokens.access_token = "b".into();
    }
    let setting = Setting::with(&refreshed).await;
    assert_eq!(
        setting.deauthorizer.report_missing(&old).await.unwrap(),
        None
    );
    assert!(setting.record().await.unwrap().is_authorized());
}

#[tokio::test]
async fn their_clock_may_be_ahead_of_ours() {
    let record = authorized(at(5_000));
    let setting = Setting::with(&record).await;
    assert!(
        setting
            .deauthorizer
            .report_missing(&record)
            .await
            .unwrap()
            .is_some()
    );
    assert!(!setting.record().await.unwrap().is_authorized());
}

/// A store that is down.
struct Down;

#[async_trait]
impl TokenStore for Down {
    async fn load(&self, _: &ProjectMemberId) -> Result<Option<MemberRecord>, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn put(&self, _: &MemberRecord, _: Option<Version>) -> Result<PutOutcome, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn remove(&self, _: &ProjectMemberId, _: Version) -> Result<PutOutcome, StoreError> {
        Err(StoreError::unavailable("down"))
    }

    async fn page(
        &self,
        _: Option<&ProjectMemberId>,
        _: usize,
    ) -> Result<Vec<MemberRecord>, StoreError> {
        Err(StoreError::unavailable("down"))
    }
}

#[tokio::test]
async fn once_kept_an_event_is_accepted_even_if_the_tokens_must_wait() {
    let setting = Setting::new(Down);
    assert!(matches!(
        setting.report_webhook(at(50)).await,
        Accepted::New(_)
    ));
    let query = crate::deauth::EventQuery {
        state: Some(EventState::Pending),
        limit: 1,
        ..Default::default()
    };
    assert_eq!(setting.inbox.events(&query).await.unwrap().len(), 1);
    assert_eq!(setting.all_steps().await, [Step::Received]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_in_time_is_kept_later() {
    let setting = crate::deauth::test_support::Setting::new();
    let member = crate::deauth::test_support::member(1);
    setting.inbox.set_down(true);
    let began = Instant::now();
    let patience = Duration::from_secs(8);
    let told = setting.deauthorizer.report_webhook_within(
        patience,
        &member,
        ErasureRequest::Requested,
        at(50),
    );
    assert!(told.await.is_err());
    assert!(began.elapsed() <= patience, "{:?}", began.elapsed());
    // It has been away for hours.
    tokio::time::sleep(Duration::from_secs(3 * 3_600)).await;
    setting.inbox.set_down(false);
    let kept = async {
        while setting.events(EventState::Pending).await.is_empty() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let hour = Duration::from_secs(3_600);
    tokio::time::timeout(hour, kept).await.expect("it is kept");
    let events = setting.events(EventState::Pending).await;
    assert_eq!(events[0].erasure, ErasureRequest::Requested);
    // Told again, it is known.
    let again = setting.deauthorizer.report_webhook_within(
        patience,
        &member,
        ErasureRequest::Requested,
        at(50),
    );
    assert_eq!(again.await.unwrap(), Accepted::Duplicate);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_kept_in_mind_than_there_is_room_for_and_no_longer_than_a_day() {
    let setting = crate::deauth::test_support::Setting::new();
    setting.inbox.set_down(true);
    let tell = async |number| {
        let member = test_support::member(number);
        let patience = Duration::from_millis(1);
        let wish = ErasureRequest::Requested;
        let told = setting
            .deauthorizer
            .report_webhook_within(patience, &member, wish, at(50));
        assert!(told.await.is_err());
    };
    let minutes = |minutes: u64| tokio::time::sleep(Duration::from_secs(60 * minutes));
    for number in 0..1_001 {
        tell(number).await;
    }
    minutes(60).await;
    setting.inbox.set_down(false);
    minutes(5).await;
    assert_eq!(setting.events(EventState::Pending).await.len(), 1_000);

    setting.inbox.set_down(true);
    tell(2_000).await;
    minutes(24 * 60 + 5).await;
    setting.inbox.set_down(false);
    minutes(24 * 60).await;
    assert_eq!(setting.events(EventState::Pending).await.len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_tried_once_more_at_the_end() {
    let setting = crate::deauth::test_support::Setting::new();
    setting.inbox.set_down(true);
    for number in 1..=3 {
        let member = crate::deauth::test_support::member(number);
        let told = setting.deauthorizer.report_webhook_within(
            Duration::from_secs(1),
            &member,
            ErasureRequest::Requested,
            at(50),
        );
        assert!(told.await.is_err());
    }
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    setting.inbox.set_down(false);
    setting.deauthorizer.finish(Duration::from_secs(1)).await;
    assert_eq!(setting.events(EventState::Pending).await.len(), 3);
}

/// Members who are stored, and each of whom seems to be gone.
async fn everyone_seems_gone(count: usize) -> (crate::deauth::test_support::Setting, usize) {
    let setting = crate::deauth::test_support::Setting::new();
    for number in 0..count {
        setting.authorize(number, at(0)).await;
    }
    let mut untouched = 0;
    for number in 0..count {
        let record = setting.record(number).await.unwrap();
        let reported = setting.deauthorizer.report_missing(&record).await.unwrap();
        assert!(matches!(reported, Some(Accepted::New(_))));
        untouched += usize::from(setting.record(number).await.unwrap().is_authorized());
    }
    (setting, untouched)
}

#[tokio::test]
async fn a_mass_departure_is_held_until_someone_has_looked() {
    let (setting, untouched) = everyone_seems_gone(200).await;
    // A tenth of them is believed to be gone.
    assert_eq!(untouched, 180);
    assert_eq!(setting.events(EventState::Quarantined).await.len(), 180);
    assert_eq!(setting.events(EventState::Pending).await.len(), 20);
    // What a signed webhook tells is acted on all the same.
    let _ = setting.report_webhook(199, at(60)).await;
    assert!(!setting.record(199).await.unwrap().is_authorized());

    assert_eq!(setting.deauthorizer.release_all().await.unwrap(), 180);
    assert!(setting.events(EventState::Quarantined).await.is_empty());
    let last = setting.lines().await.pop().unwrap();
    assert_eq!(last.step, Step::Released);
}

#[tokio::test]
async fn a_few_departures_are_believed_however_few_members_there_are() {
    let (setting, untouched) = everyone_seems_gone(10).await;
    assert_eq!(untouched, 0);
    assert!(setting.events(EventState::Quarantined).await.is_empty());
}

#[tokio::test]
async fn departures_of_many_hours_are_no_mass_departure() {
    let setting = crate::deauth::test_support::Setting::new();
    for number in 0..30 {
        setting.authorize(number, at(0)).await;
    }
    for number in 0..30 {
        let record = setting.record(number).await.unwrap();
        let _ = setting.deauthorizer.report_missing(&record).await.unwrap();
        assert!(!setting.record(number).await.unwrap().is_authorized());
        setting.clock.advance(Duration::from_secs(1_200));
    }
    assert!(setting.events(EventState::Quarantined).await.is_empty());
}

#[tokio::test]
async fn once_nothing_is_held_the_brake_is_off() {
    let (setting, _) = everyone_seems_gone(30).await;
    let held = setting.events(EventState::Quarantined).await;
    assert_eq!(held.len(), 20);
    for event in &held {
        assert!(setting.deauthorizer.release(&event.id).await.unwrap());
    }
    setting.authorize(500, at(0)).await;
    let record = setting.record(500).await.unwrap();
    let _ = setting.deauthorizer.report_missing(&record).await.unwrap();
    assert!(!setting.record(500).await.unwrap().is_authorized());
}

#[tokio::test]
async fn an_old_telling_is_held() {
    let setting = crate::deauth::test_support::Setting::new();
    setting.authorize(1, at(0)).await;
    setting.clock.advance(Duration::from_secs(4 * 24 * 3_600));
    let _ = setting.report_webhook(1, at(50)).await;
    assert!(setting.record(1).await.unwrap().is_authorized());
    let held = setting.events(EventState::Quarantined).await;
    assert_eq!(held[0].erasure, ErasureRequest::Requested);
    assert!(setting.deauthorizer.release(&held[0].id).await.unwrap());
}

#[tokio::test]
async fn whoever_is_on_the_list_is_not_gone() {
    let store = Arc::new(crate::store::MemoryStore::new());
    let inbox = Arc::new(crate::deauth::MemoryInbox::new());
    let names = Pseudonymizer::new(&crate::KeyMaterial::new("k".repeat(32)));
    let listed = Arc::new(Mutex::new(HashSet::from([member()])));
    let list = listed.clone();
    let extras = Extras {
        brake: CircuitBreaker::default(),
        roster: Some(Box::new(move || {
            let members = list.lock().unwrap().clone();
            Box::pin(async { Ok(members) })
        })),
        gone: Box::new(|_| {}),
    };
    let clock = Clock::manual(at(100));
    let deauthorizer =
        Deauthorizer::assemble(store.clone(), inbox.clone(), names, clock.clone(), extras);
    let found = async |authorized_at| {
        let before = store.load(&member()).await.unwrap();
        let record = authorized(authorized_at);
        let put = store.put(&record, before.map(|record| record.version));
        assert_eq!(put.await.unwrap(), PutOutcome::Stored);
        let _ = deauthorizer.report_missing(&record).await.unwrap();
        let events = inbox.events(&EventQuery::first(10).newest_first()).await;
        events.unwrap()[0].discovery
    };
    assert_eq!(found(at(0)).await, Discovery::TokenLoss);
    // What was read less than a minute ago is not read again.
    listed.lock().unwrap().clear();
    clock.advance(Duration::from_secs(59));
    assert_eq!(found(at(159)).await, Discovery::TokenLoss);
    // What was read a minute ago says nothing any more.
    clock.advance(Duration::from_secs(1));
    assert_eq!(found(at(160)).await, Discovery::Reconciliation);
}
