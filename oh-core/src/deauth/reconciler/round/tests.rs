use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use super::super::{Membership, Reconciler};
use super::*;
use crate::Error;
use crate::deauth::DeauthInbox;
use crate::deauth::test_support::{Setting, at, member};
use crate::store::{PutOutcome, TokenStore, Version};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Between two rounds.
const REST: Duration = Duration::from_secs(3_600);

/// An Open Humans that knows everyone asked about by name, and has a list or none.
#[derive(Default)]
struct Project {
    list: Mutex<Option<HashSet<ProjectMemberId>>>,
    /// Happens once, while the list is read.
    meanwhile: Mutex<Option<BoxFuture<'static, ()>>>,
    readings: AtomicUsize,
}

impl Project {
    /// Someone else is always on the list.
    fn lists(&self, members: impl IntoIterator<Item = usize>) {
        let members = members.into_iter().chain([99]).map(member);
        *self.list.lock().unwrap() = Some(members.collect());
    }

    fn while_listing(&self, work: impl Future<Output = ()> + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::pin(work));
    }
}

#[async_trait]
impl Membership for Project {
    async fn status(&self, _: &ProjectMemberId) -> Result<MembershipStatus, Error> {
        Ok(MembershipStatus::Authorized)
    }

    async fn listed(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error> {
        self.readings.fetch_add(1, Ordering::SeqCst);
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(work) = meanwhile {
            work.await;
        }
        Ok(self.list.lock().unwrap().clone())
    }
}

/// These members, none of whom was heard of for a day.
async fn a_day_after_logins(members: impl IntoIterator<Item = usize>) -> (Setting, Arc<Project>) {
    let setting = Setting::new();
    for number in members {
        setting.authorize(number, at(0)).await;
    }
    setting.clock.advance(DAY);
    (setting, Arc::default())
}

fn asking(setting: &Setting, project: &Arc<Project>) -> Reconciler {
    Reconciler::new(setting.deauthorizer.clone(), project.clone())
}

async fn change(store: &dyn TokenStore, number: usize, how: impl FnOnce(&mut MemberRecord)) {
    let mut record = store.load(&member(number)).await.unwrap().unwrap();
    let before = record.version;
    how(&mut record);
    record.version = Version::fresh();
    let put = store.put(&record, Some(before)).await;
    assert_eq!(put.unwrap(), PutOutcome::Stored);
}

/// A refresh of this member's tokens got no answer: only the list can tell.
async fn falls_in_doubt(setting: &Setting, number: usize) {
    change(&*setting.store, number, |record| {
        record.refresh_unanswered = true;
    })
    .await;
}

#[tokio::test]
async fn a_list_with_everyone_on_it_is_read_once() {
    let (setting, project) = a_day_after_logins(0..5).await;
    project.lists(0..5);
    let round = asking(&setting, &project).round().await.unwrap();
    assert_eq!((round.due, round.listed, round.asked), (5, 5, 0));
    assert_eq!(project.readings.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_pause_is_between_questions_and_not_before_the_first() {
    let (setting, project) = a_day_after_logins(0..3).await;
    let began = Instant::now();
    let reconciler = asking(&setting, &project).min_delay(60 * SECOND);
    let round = reconciler.round().await.unwrap();
    assert_eq!(round.asked, 3);
    assert_eq!(began.elapsed(), 2 * 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn reading_a_long_list_keeps_the_lock() {
    let (setting, project) = a_day_after_logins([1]).await;
    project.lists([1]);
    let (inbox, clock) = (setting.inbox.clone(), setting.clock.clone());
    project.while_listing(async move {
        for _ in 0..60 {
            tokio::time::sleep(SECOND).await;
            clock.advance(SECOND);
            let now = clock.now();
            let taken = inbox.acquire_lock(JOB, "other", now, now).await;
            assert!(taken.unwrap().is_none(), "another process begins");
        }
    });
    let reconciler = asking(&setting, &project).lock_ttl(12 * SECOND);
    reconciler.round_if_due("one").await.unwrap();
    let confirmed_at = setting.record(1).await.unwrap().confirmed_at;
    assert_eq!(confirmed_at, at(160) + DAY);
}

#[tokio::test(start_paused = true)]
async fn the_lock_is_renewed_with_each_quarter_of_its_time() {
    // Four seconds of questions.
    let (setting, project) = a_day_after_logins(0..9).await;
    let reconciler = asking(&setting, &project)
        .min_delay(SECOND / 2)
        .lock_ttl(4 * SECOND);
    reconciler.round_if_due("one").await.unwrap();
    // It was taken once, and renewed after each second.
    assert_eq!(setting.inbox.locks_asked.load(Ordering::SeqCst), 1 + 4);
}

#[tokio::test]
async fn an_absence_decides_once_the_time_between_two_rounds_has_passed() {
    let (setting, project) = a_day_after_logins([1]).await;
    falls_in_doubt(&setting, 1).await;
    project.lists([]);
    let reconciler = asking(&setting, &project);
    let instant = Duration::from_micros(1);
    for (wait, gone) in [(Duration::ZERO, 0), (REST - instant, 0), (instant, 1)] {
        setting.clock.advance(wait);
        assert_eq!(reconciler.round().await.unwrap().gone, gone);
    }
    assert!(!setting.record(1).await.unwrap().is_authorized());
}

#[tokio::test]
async fn whoever_was_on_the_list_in_between_is_absent_anew() {
    let (setting, project) = a_day_after_logins([1, 2]).await;
    for number in [1, 2] {
        falls_in_doubt(&setting, number).await;
    }
    project.lists([]);
    let reconciler = asking(&setting, &project);
    assert_eq!(reconciler.round().await.unwrap().gone, 0);

    // Number 2 logs out meanwhile, so that this reading is not written down.
    setting.clock.advance(REST);
    project.lists([1, 2]);
    let (store, now) = (setting.store.clone(), setting.clock.now());
    project.while_listing(async move {
        change(&*store, 2, |record| {
            record.epoch = record.epoch.advance(now)
        })
        .await;
    });
    assert_eq!(reconciler.round().await.unwrap().listed, 2);

    project.lists([]);
    setting.clock.advance(DAY);
    let round = reconciler.round().await.unwrap();
    assert_eq!((round.due, round.gone), (2, 0), "they may be missed once");
    setting.clock.advance(REST);
    assert_eq!(reconciler.round().await.unwrap().gone, 2);
}

/// Another process makes the rounds in between, so this one does not see the member there.
#[tokio::test]
async fn an_absence_from_before_a_new_login_does_not_count() {
    let (setting, project) = a_day_after_logins([1]).await;
    falls_in_doubt(&setting, 1).await;
    project.lists([]);
    let reconciler = asking(&setting, &project);
    assert_eq!(reconciler.round().await.unwrap().gone, 0);

    setting.authorize(1, setting.clock.now()).await;
    setting.clock.advance(30 * DAY);
    falls_in_doubt(&setting, 1).await;
    assert_eq!(reconciler.round().await.unwrap().gone, 0);
    assert!(setting.record(1).await.unwrap().is_authorized());
    setting.clock.advance(REST);
    assert_eq!(reconciler.round().await.unwrap().gone, 1);
}
