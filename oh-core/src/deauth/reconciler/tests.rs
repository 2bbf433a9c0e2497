mod hints;
mod turns;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::round::PATIENCE;
use super::*;
use crate::deauth::test_support::{Setting, at, member};
use crate::deauth::{Discovery, EventState};
use crate::store::{MemberRecord, PutOutcome, TokenStore, Version};
use crate::{Error, ProjectMemberId};

/// An Open Humans whose members come and go, with a list that is read in pages.
#[derive(Default)]
struct Project {
    /// Members, and whether they are in.
    members: Mutex<HashMap<ProjectMemberId, bool>>,
    /// What happens between two pages of the list.
    between_pages: Mutex<Vec<(ProjectMemberId, bool)>>,
    /// No list if there is no master token.
    has_list: bool,
    /// As an unordered list does: these are missed by the reading of this number.
    missed: Mutex<Vec<(usize, ProjectMemberId)>>,
    /// Members whose access tokens still work, whatever the list says.
    tokens_work: Mutex<Vec<ProjectMemberId>>,
    readings: AtomicUsize,
    asked: Mutex<Vec<ProjectMemberId>>,
    down: std::sync::atomic::AtomicBool,
    question: Notify,
}

impl Project {
    fn of(members: impl IntoIterator<Item = usize>) -> Self {
        Self {
            members: Mutex::new(members.into_iter().map(|n| (member(n), true)).collect()),
            ..Self::default()
        }
    }

    fn leaves(&self, number: usize) {
        self.members.lock().unwrap().insert(member(number), false);
    }

    fn asked(&self) -> Vec<ProjectMemberId> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked
    }
}

#[async_trait]
impl Membership for Project {
    async fn status(&self, member: &ProjectMemberId) -> Result<MembershipStatus, Error> {
        self.asked.lock().unwrap().push(member.clone());
        self.question.notify_one();
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::Timeout);
        }
        Ok(match self.members.lock().unwrap().get(member) {
            Some(true) => MembershipStatus::Authorized,
            _ => MembershipStatus::Gone,
        })
    }

    async fn status_unrefreshed(&self, record: &MemberRecord) -> Result<MembershipStatus, Error> {
        let works = self.tokens_work.lock().unwrap().contains(&record.member);
        Ok(match works {
            true => MembershipStatus::Authorized,
            false => MembershipStatus::Unsure,
        })
    }

    async fn listed(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error> {
        if !self.has_list {
            return Ok(None);
        }
        let reading = self.readings.fetch_add(1, Ordering::SeqCst);
        let mut listed = HashSet::new();
        let pages: Vec<ProjectMemberId> = self.members.lock().unwrap().keys().cloned().collect();
        for page in pages.chunks(3) {
            for id in page {
                if self.members.lock().unwrap()[id] {
                    listed.insert(id.clone());
                }
            }
            if let Some((id, is_in)) = self.between_pages.lock().unwrap().pop() {
                self.members.lock().unwrap().insert(id, is_in);
            }
            tokio::task::yield_now().await;
        }
        for (number, id) in &*self.missed.lock().unwrap() {
            if *number == reading {
                listed.remove(id);
            }
        }
        Ok(Some(listed))
    }
}

const DAY: Duration = Duration::from_secs(24 * 3_600);

impl Setting {
    fn reconciler(&self, project: &Arc<Project>) -> Reconciler {
        Reconciler::new(self.deauthorizer.clone(), project.clone()).min_delay(Duration::ZERO)
    }

    /// Members that are not authorized any more.
    async fn gone(&self) -> Vec<ProjectMemberId> {
        let page = self.store.page(None, 10_000).await.unwrap();
        let gone = page.into_iter().filter(|record| !record.is_authorized());
        gone.map(|record| record.member).collect()
    }
}

#[tokio::test]
async fn whoever_left_is_found_by_the_members_own_tokens() {
    let setting = Setting::new();
    let project = Arc::new(Project::of(0..20));
    for number in 0..20 {
        setting.authorize(number, at(0)).await;
    }
    project.leaves(3);
    project.leaves(17);
    let reconciler = setting.reconciler(&project);
    let early = reconciler.round().await.unwrap();
    assert_eq!(early, ReconcileReport::default(), "all were heard of today");

    setting.clock.advance(DAY);
    let round = reconciler.round().await.unwrap();
    assert_eq!((round.due, round.asked, round.gone), (20, 20, 2));
    assert_eq!(setting.gone().await, [member(3), member(17)]);
    let events = setting.events(EventState::Pending).await;
    assert_eq!(events.len(), 2);
    assert!(
        events
            .iter()
            .all(|event| event.discovery == Discovery::Reconciliation)
    );

    // The others have just been heard of, and those two are known to be gone.
    let again = reconciler.round().await.unwrap();
    assert_eq!(again, ReconcileReport::default());
}

#[tokio::test]
async fn the_list_spares_questions_and_never_decides() {
    let setting = Setting::new();
    let mut project = Project::of(0..30);
    project.has_list = true;
    // Missed once, missed twice, and both although they never left.
    project.missed = Mutex::new(vec![(0, member(1)), (0, member(2)), (1, member(2))]);
    let project = Arc::new(project);
    for number in 0..30 {
        setting.authorize(number, at(0)).await;
    }
    project.leaves(5);
    setting.clock.advance(DAY);
    let round = setting.reconciler(&project).round().await.unwrap();
    assert_eq!(project.asked(), [member(2), member(5)]);
    assert_eq!((round.due, round.listed, round.gone), (30, 28, 1));
    assert_eq!(setting.gone().await, [member(5)]);
}

#[tokio::test]
async fn members_who_come_and_go_while_the_list_is_read_are_told_apart() {
    let setting = Setting::new();
    let mut project = Project::of(0..60);
    project.has_list = true;
    let leaving: Vec<usize> = (10..16).collect();
    let mut events: Vec<_> = leaving.iter().map(|n| (member(*n), false)).collect();
    // Others join, and one leaves and is back before anyone looks.
    events.extend((100..106).map(|n| (member(n), true)));
    events.push((member(20), true));
    events.push((member(20), false));
    project.between_pages = Mutex::new(events);
    let project = Arc::new(project);
    for number in 0..60 {
        setting.authorize(number, at(0)).await;
    }
    setting.clock.advance(DAY);
    let reconciler = setting.reconciler(&project);
    reconciler.round().await.unwrap();
    // Who left after having been listed is found the next time.
    setting.clock.advance(DAY);
    reconciler.round().await.unwrap();
    let expected: Vec<_> = leaving.into_iter().map(member).collect();
    assert_eq!(setting.gone().await, expected);
}

#[tokio::test]
async fn nothing_follows_from_no_answer() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([]));
    project.down.store(true, Ordering::SeqCst);
    for number in 0..30 {
        setting.authorize(number, at(0)).await;
    }
    setting.clock.advance(DAY);
    let reconciler = setting.reconciler(&project);
    assert!(reconciler.round().await.is_err(), "given up");
    assert_eq!(project.asked().len(), PATIENCE as usize);
    assert!(setting.gone().await.is_empty());
    project.down.store(false, Ordering::SeqCst);
    assert_eq!(reconciler.round().await.unwrap().gone, 30);
}

#[tokio::test(start_paused = true)]
async fn a_reconciler_outlives_an_inbox_that_panics() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([]));
    setting.authorize(1, at(0)).await;
    setting.clock.advance(DAY);
    setting.inbox.set_panics(true);
    let handle = setting.reconciler(&project).spawn();
    for _ in 0..3 {
        setting.inbox.refused.notified().await;
    }
    setting.inbox.set_panics(false);
    project.question.notified().await;
    handle.stop().await;
    assert_eq!(project.asked(), [member(1)]);
}

/// What a process whose clock is years ahead has noted of a member.
#[tokio::test]
async fn whoever_was_heard_of_in_the_future_is_asked_about() {
    let setting = Setting::new();
    let project = Arc::new(Project::of(0..3));
    for (number, ahead) in [(0, 20 * 365 * DAY), (1, DAY), (2, Duration::ZERO)] {
        setting.authorize(number, at(0)).await;
        let record = setting.record(number).await.unwrap();
        let next = MemberRecord {
            confirmed_at: setting.clock.now() + ahead,
            version: Version::fresh(),
            ..record.clone()
        };
        let put = setting.store.put(&next, Some(record.version)).await;
        assert_eq!(put.unwrap(), PutOutcome::Stored);
    }
    project.leaves(0);
    let round = setting.reconciler(&project).round().await.unwrap();
    assert_eq!((round.due, round.gone), (1, 1));
    assert_eq!(setting.gone().await, [member(0)]);
}

/// A refresh of this member's tokens got no answer.
async fn unanswered(setting: &Setting, number: usize) {
    let mut record = setting.record(number).await.unwrap();
    let before = record.version;
    record.refresh_unanswered = true;
    record.version = Version::fresh();
    let put = setting.store.put(&record, Some(before)).await.unwrap();
    assert_eq!(put, PutOutcome::Stored);
}

#[tokio::test]
async fn whoever_may_have_lost_the_tokens_is_not_said_to_have_left() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([]));
    setting.authorize(1, at(0)).await;
    unanswered(&setting, 1).await;
    setting.clock.advance(DAY);
    setting.reconciler(&project).round().await.unwrap();
    let events = setting.events(EventState::Pending).await;
    assert_eq!(events[0].discovery, Discovery::TokenLoss);
}

#[tokio::test]
async fn where_asking_cannot_tell_absence_in_a_later_round_does() {
    let setting = Setting::new();
    let mut project = Project::of([1, 2, 3, 4]);
    project.has_list = true;
    // Number 1 is missed by a whole round.
    project.missed = Mutex::new(vec![(0, member(1)), (1, member(1))]);
    project.tokens_work = Mutex::new(vec![member(4)]);
    let project = Arc::new(project);
    for number in 1..=4 {
        setting.authorize(number, at(0)).await;
        unanswered(&setting, number).await;
    }
    project.leaves(2);
    project.leaves(4);
    setting.clock.advance(DAY);
    let reconciler = setting.reconciler(&project);
    // However often it is read within a moment, an absence is one.
    for _ in 0..3 {
        let round = reconciler.round().await.unwrap();
        assert_eq!(round.gone, 0);
    }
    assert!(setting.gone().await.is_empty());
    setting.clock.advance(DAY);
    let round = reconciler.round().await.unwrap();
    assert_eq!((round.due, round.listed, round.gone), (4, 2, 1));
    assert!(project.asked().is_empty());
    // Number 4 is not on the list either, but the token that it has works.
    assert_eq!(setting.gone().await, [member(2)]);
    let events = setting.events(EventState::Pending).await;
    assert_eq!(events[0].discovery, Discovery::Reconciliation);
}

/// As when a process died during a refresh, and later the member leaves and nobody tells.
#[tokio::test]
async fn whoever_was_lost_and_then_leaves_is_missed_on_the_list() {
    let setting = Setting::new();
    let asked_without_list = Arc::new(Project::of([]));
    for number in [1, 2] {
        setting.authorize(number, at(0)).await;
        unanswered(&setting, number).await;
    }
    setting.clock.advance(DAY);
    let reconciler = setting.reconciler(&asked_without_list);
    reconciler.round().await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let handler = move |departure: crate::deauth::Departure| {
        let event = departure.event;
        heard.lock().unwrap().push((event.member, event.discovery));
        async { Ok(()) }
    };
    let worker = setting.worker(handler).spawn();
    worker.drain().await;
    let lost = |number| (member(number), Discovery::TokenLoss);
    told.lock().unwrap().sort();
    assert_eq!(*told.lock().unwrap(), [lost(1), lost(2)]);

    let mut project = Project::of([1, 2, 3]);
    project.has_list = true;
    let project = Arc::new(project);
    let reconciler = setting.reconciler(&project);
    let rounds = async || {
        for wait in [DAY, reconciler.pace.rest(), DAY] {
            setting.clock.advance(wait);
            reconciler.round().await.unwrap();
            worker.drain().await;
        }
    };
    rounds().await;
    assert_eq!(told.lock().unwrap().len(), 2, "both are on the list");
    project.leaves(2);
    rounds().await;
    assert_eq!(
        told.lock().unwrap()[2..],
        [(member(2), Discovery::Reconciliation)]
    );
    assert!(setting.record(1).await.unwrap().has_lost_tokens());
    let left = setting.record(2).await;
    assert!(left.is_none_or(|record| !record.has_lost_tokens()));
    assert!(
        project.asked().is_empty(),
        "they have no tokens to ask with"
    );
}

#[tokio::test]
async fn a_list_of_nobody_is_no_list() {
    let setting = Setting::new();
    let mut project = Project::of([]);
    project.has_list = true;
    let project = Arc::new(project);
    for number in 1..=3 {
        setting.authorize(number, at(0)).await;
        unanswered(&setting, number).await;
    }
    setting.clock.advance(DAY);
    let reconciler = setting.reconciler(&project);
    reconciler.round().await.unwrap();
    // Each was asked about, and their own tokens say that they are lost: nobody is said to be gone.
    assert_eq!(project.asked().len(), 3);
    let events = setting.events(EventState::Pending).await;
    assert!(
        events
            .iter()
            .all(|event| event.discovery == Discovery::TokenLoss)
    );
}

#[tokio::test]
async fn a_wish_that_looked_stale_is_found_again_after_a_restart() {
    let setting = Setting::new();
    setting.authorize(1, at(60)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    let worker = setting.worker(crate::deauth::TokensOnly).spawn();
    worker.drain().await;
    worker.stop().await;
    assert_eq!(setting.events(EventState::Stale).await.len(), 1);
    // Nothing is left in memory of why anyone would ask; the next round does.
    setting.clock.advance(DAY);
    let project = Arc::new(Project::of([]));
    setting.reconciler(&project).round().await.unwrap();
    let events = setting.events(EventState::Pending).await;
    assert_eq!(events.len(), 1, "and no second event without the wish");
    assert_eq!(events[0].erasure, crate::deauth::ErasureRequest::Requested);
    assert_eq!(setting.gone().await, [member(1)]);
}
