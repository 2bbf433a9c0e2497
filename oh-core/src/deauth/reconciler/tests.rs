mod inquiries;
mod locking;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::pass::MAX_FAILURES;
use super::*;
use crate::deauth::test_support::{DAY, SECOND, Setting, at, member};
use crate::deauth::{Departure, Discovery, ErasureRequest, EventState, TokensOnly};
use crate::store::{MemberRecord, TokenStore};
use crate::{Error, ProjectMemberId};

/// The time between two passes with the default settings.
pub(super) const PASS_INTERVAL: Duration = Duration::from_secs(3_600);

/// A stand-in for Open Humans.
#[derive(Default)]
pub(super) struct Project {
    /// Whether each member is authorized.
    pub(super) members: Mutex<HashMap<ProjectMemberId, bool>>,
    /// Changes that occur between two pages of the list.
    between_pages: Mutex<Vec<(ProjectMemberId, bool)>>,
    /// Without a master token there is no list.
    pub(super) has_list: bool,
    /// Members that a reading of the list misses, by the number of the reading.
    missed: Mutex<Vec<(usize, ProjectMemberId)>>,
    /// Replaces the list.
    list: Mutex<Option<HashSet<ProjectMemberId>>>,
    /// Runs once, while the list is read.
    while_listing: Mutex<Option<BoxFuture<'static, ()>>>,
    /// Members whose access tokens work.
    live_tokens: Mutex<Vec<ProjectMemberId>>,
    pub(super) list_reads: AtomicUsize,
    asked: Mutex<Vec<ProjectMemberId>>,
    down: AtomicBool,
    question: Notify,
}

impl Project {
    pub(super) fn of(members: impl IntoIterator<Item = usize>) -> Self {
        let members = members.into_iter().map(|number| (member(number), true));
        Self {
            members: Mutex::new(members.collect()),
            ..Self::default()
        }
    }

    pub(super) fn with_list(members: impl IntoIterator<Item = usize>) -> Self {
        Self {
            has_list: true,
            ..Self::of(members)
        }
    }

    fn remove(&self, number: usize) {
        self.members.lock().unwrap().insert(member(number), false);
    }

    /// Replaces the list. It always contains one other member.
    pub(super) fn set_list(&self, members: impl IntoIterator<Item = usize>) {
        let members = members.into_iter().chain([99]).map(member);
        *self.list.lock().unwrap() = Some(members.collect());
    }

    pub(super) fn while_listing(&self, work: impl Future<Output = ()> + Send + 'static) {
        *self.while_listing.lock().unwrap() = Some(Box::pin(work));
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
            _ => MembershipStatus::Deauthorized,
        })
    }

    async fn status_unrefreshed(&self, record: &MemberRecord) -> Result<MembershipStatus, Error> {
        let live = self.live_tokens.lock().unwrap().contains(&record.member);
        Ok(match live {
            true => MembershipStatus::Authorized,
            false => MembershipStatus::Unknown,
        })
    }

    async fn list(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error> {
        let reading = self.list_reads.fetch_add(1, Ordering::SeqCst);
        let work = self.while_listing.lock().unwrap().take();
        if let Some(work) = work {
            work.await;
        }
        let list = self.list.lock().unwrap().clone();
        if list.is_some() || !self.has_list {
            return Ok(list);
        }
        let mut listed = HashSet::new();
        let all: Vec<ProjectMemberId> = self.members.lock().unwrap().keys().cloned().collect();
        for page in all.chunks(3) {
            for id in page {
                if self.members.lock().unwrap()[id] {
                    listed.insert(id.clone());
                }
            }
            if let Some((id, authorized)) = self.between_pages.lock().unwrap().pop() {
                self.members.lock().unwrap().insert(id, authorized);
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

impl Setting {
    /// A reconciler without delays between requests.
    fn reconciler(&self, project: &Arc<Project>) -> Reconciler {
        self.reconciler_with(project, |settings| settings.min_delay = Duration::ZERO)
    }

    pub(super) fn reconciler_with(
        &self,
        project: &Arc<Project>,
        change: impl FnOnce(&mut ReconcilerSettings),
    ) -> Reconciler {
        let mut settings = ReconcilerSettings::default();
        change(&mut settings);
        Reconciler::new(self.deauthorizer.clone(), project.clone(), settings)
    }

    pub(super) async fn authorize_all(&self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            self.authorize(number, at(0)).await;
        }
    }

    /// Records that a refresh of the member's tokens was not answered.
    pub(super) async fn set_unanswered(&self, number: usize) {
        self.change(number, |record| record.refresh_unanswered = true)
            .await;
    }

    async fn deauthorized(&self) -> Vec<ProjectMemberId> {
        let records = self.store.page(None, 10_000).await.unwrap();
        let deauthorized = records.into_iter().filter(|record| !record.is_authorized());
        deauthorized.map(|record| record.member).collect()
    }

    async fn pending_discoveries(&self) -> Vec<Discovery> {
        let events = self.events(EventState::Pending).await;
        events.iter().map(|event| event.discovery).collect()
    }
}

#[tokio::test]
async fn pass_finds_departed_members_by_their_own_tokens() {
    let setting = Setting::new();
    let project = Arc::new(Project::of(0..20));
    setting.authorize_all(0..20).await;
    project.remove(3);
    project.remove(17);
    let reconciler = setting.reconciler(&project);
    let early = reconciler.run_pass().await.unwrap();
    assert_eq!(early, PassReport::default(), "nobody is due");

    setting.clock.advance(DAY);
    let report = reconciler.run_pass().await.unwrap();
    assert_eq!((report.due, report.asked, report.deauthorized), (20, 20, 2));
    assert_eq!(setting.deauthorized().await, [member(3), member(17)]);
    let discoveries = setting.pending_discoveries().await;
    assert_eq!(discoveries, [Discovery::Reconciliation; 2]);

    let repeated = reconciler.run_pass().await.unwrap();
    assert_eq!(repeated, PassReport::default());
}

#[tokio::test]
async fn pass_asks_only_about_members_absent_from_two_readings() {
    let setting = Setting::new();
    let project = Project::with_list(0..30);
    // Member 1 is missed once, member 2 twice. Neither has left.
    let missed = vec![(0, member(1)), (0, member(2)), (1, member(2))];
    *project.missed.lock().unwrap() = missed;
    let project = Arc::new(project);
    setting.authorize_all(0..30).await;
    project.remove(5);
    setting.clock.advance(DAY);
    let report = setting.reconciler(&project).run_pass().await.unwrap();
    assert_eq!(project.asked(), [member(2), member(5)]);
    assert_eq!(
        (report.due, report.listed, report.deauthorized),
        (30, 28, 1)
    );
    assert_eq!(setting.deauthorized().await, [member(5)]);
}

#[tokio::test]
async fn pass_is_correct_while_members_join_and_leave() {
    let setting = Setting::new();
    let project = Project::with_list(0..60);
    let leaving: Vec<usize> = (10..16).collect();
    let mut changes: Vec<_> = leaving.iter().map(|n| (member(*n), false)).collect();
    changes.extend((100..106).map(|n| (member(n), true)));
    // Leaves and returns, in reverse order.
    changes.push((member(20), true));
    changes.push((member(20), false));
    *project.between_pages.lock().unwrap() = changes;
    let project = Arc::new(project);
    setting.authorize_all(0..60).await;
    let reconciler = setting.reconciler(&project);
    // The second pass finds members that left after they were listed.
    for _ in 0..2 {
        setting.clock.advance(DAY);
        reconciler.run_pass().await.unwrap();
    }
    let expected: Vec<_> = leaving.into_iter().map(member).collect();
    assert_eq!(setting.deauthorized().await, expected);
}

#[tokio::test]
async fn pass_ends_after_consecutive_failures_and_deauthorizes_nobody() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([]));
    project.down.store(true, Ordering::SeqCst);
    setting.authorize_all(0..30).await;
    setting.clock.advance(DAY);
    let reconciler = setting.reconciler(&project);
    assert!(reconciler.run_pass().await.is_err());
    assert_eq!(project.asked().len(), MAX_FAILURES as usize);
    assert!(setting.deauthorized().await.is_empty());
    project.down.store(false, Ordering::SeqCst);
    assert_eq!(reconciler.run_pass().await.unwrap().deauthorized, 30);
}

#[tokio::test(start_paused = true)]
async fn reconciler_survives_panics_of_inbox() {
    let setting = Setting::new();
    let project = Arc::new(Project::of([]));
    setting.authorize_all([1]).await;
    setting.clock.advance(DAY);
    setting.inbox.set_panics(true);
    let task = setting.reconciler(&project).spawn();
    for _ in 0..3 {
        setting.inbox.call_failed.notified().await;
    }
    setting.inbox.set_panics(false);
    project.question.notified().await;
    task.stop().await;
    assert_eq!(project.asked(), [member(1)]);
}

/// A process whose clock is years ahead has confirmed the member.
#[tokio::test]
async fn member_confirmed_in_the_future_is_due() {
    let setting = Setting::new();
    let project = Arc::new(Project::of(0..3));
    for (number, ahead) in [(0, 20 * 365 * DAY), (1, DAY), (2, Duration::ZERO)] {
        setting.authorize_all([number]).await;
        let confirmed_at = setting.clock.now() + ahead;
        setting
            .change(number, |record| record.confirmed_at = confirmed_at)
            .await;
    }
    project.remove(0);
    let report = setting.reconciler(&project).run_pass().await.unwrap();
    assert_eq!((report.due, report.deauthorized), (1, 1));
    assert_eq!(setting.deauthorized().await, [member(0)]);
}

#[tokio::test]
async fn pass_without_list_reports_unanswered_refresh_as_token_loss() {
    // An empty list counts as none while members are stored.
    for project in [Project::of([]), Project::with_list([])] {
        let setting = Setting::new();
        let project = Arc::new(project);
        for number in 1..=3 {
            setting.authorize_all([number]).await;
            setting.set_unanswered(number).await;
        }
        setting.clock.advance(DAY);
        setting.reconciler(&project).run_pass().await.unwrap();
        assert_eq!(project.asked().len(), 3);
        let discoveries = setting.pending_discoveries().await;
        assert_eq!(discoveries, [Discovery::TokenLoss; 3]);
    }
}

#[tokio::test]
async fn unanswered_refresh_is_decided_by_absence_in_later_pass() {
    let setting = Setting::new();
    let project = Project::with_list([1, 2, 3, 4]);
    // The first pass misses member 1 in both readings.
    *project.missed.lock().unwrap() = vec![(0, member(1)), (1, member(1))];
    *project.live_tokens.lock().unwrap() = vec![member(4)];
    let project = Arc::new(project);
    for number in 1..=4 {
        setting.authorize_all([number]).await;
        setting.set_unanswered(number).await;
    }
    project.remove(2);
    // Not on the list, but the access token works.
    project.remove(4);
    setting.clock.advance(DAY);
    let reconciler = setting.reconciler(&project);
    // Repeated passes at the same time see one absence.
    for _ in 0..3 {
        assert_eq!(reconciler.run_pass().await.unwrap().deauthorized, 0);
    }
    assert!(setting.deauthorized().await.is_empty());
    setting.clock.advance(DAY);
    let report = reconciler.run_pass().await.unwrap();
    assert_eq!((report.due, report.listed, report.deauthorized), (4, 2, 1));
    assert!(project.asked().is_empty());
    assert_eq!(setting.deauthorized().await, [member(2)]);
    let discoveries = setting.pending_discoveries().await;
    assert_eq!(discoveries, [Discovery::Reconciliation]);
}

/// A process died during a refresh. Later the member leaves without a webhook.
#[tokio::test]
async fn departure_after_token_loss_is_found_in_list() {
    let setting = Setting::new();
    for number in [1, 2] {
        setting.authorize_all([number]).await;
        setting.set_unanswered(number).await;
    }
    setting.clock.advance(DAY);
    let without_list = Arc::new(Project::of([]));
    setting.reconciler(&without_list).run_pass().await.unwrap();
    let processed = Arc::new(Mutex::new(Vec::new()));
    let recorded = processed.clone();
    let handler = move |departure: Departure| {
        let event = departure.event;
        recorded
            .lock()
            .unwrap()
            .push((event.member, event.discovery));
        async { Ok(()) }
    };
    setting.run_worker(handler.clone()).await;
    processed.lock().unwrap().sort();
    let lost = |number| (member(number), Discovery::TokenLoss);
    assert_eq!(*processed.lock().unwrap(), [lost(1), lost(2)]);

    let project = Arc::new(Project::with_list([1, 2, 3]));
    let reconciler = setting.reconciler(&project);
    let run_passes = async || {
        for pause in [DAY, PASS_INTERVAL, DAY] {
            setting.clock.advance(pause);
            reconciler.run_pass().await.unwrap();
            setting.run_worker(handler.clone()).await;
        }
    };
    run_passes().await;
    assert_eq!(processed.lock().unwrap().len(), 2, "both are listed");
    project.remove(2);
    run_passes().await;
    let departed = (member(2), Discovery::Reconciliation);
    assert_eq!(processed.lock().unwrap()[2..], [departed]);
    assert!(setting.record(1).await.unwrap().has_lost_tokens());
    let record = setting.record(2).await;
    assert!(record.is_none_or(|record| !record.has_lost_tokens()));
    assert!(
        project.asked().is_empty(),
        "there are no tokens to ask with"
    );
}

#[tokio::test]
async fn pass_requeues_stale_event_after_restart() {
    let setting = Setting::new();
    setting.authorize(1, at(60)).await;
    let _ = setting.report_webhook(1, at(50)).await;
    setting.run_worker(TokensOnly).await;
    assert_eq!(setting.events(EventState::Stale).await.len(), 1);
    // The restart has emptied the queue of inquiries.
    setting.clock.advance(DAY);
    let project = Arc::new(Project::of([]));
    setting.reconciler(&project).run_pass().await.unwrap();
    let events = setting.events(EventState::Pending).await;
    assert_eq!(events.len(), 1, "no second event without the request");
    assert_eq!(events[0].erasure, ErasureRequest::Requested);
    assert_eq!(setting.deauthorized().await, [member(1)]);
}
