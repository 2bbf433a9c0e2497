//! What the desk shows: the same values become HTML and JSON.

use serde::Serialize;

use crate::Timestamp;
use crate::deauth::{
    Discovery, ErasureRequest, EventId, EventRecord, EventState, InboxStats, LedgerLine, Pseudonym,
};

/// Where events are found at the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shelf {
    /// Every event.
    All,
    /// Waiting, or being worked on.
    Pending,
    /// Not done within [`DEADLINE`](crate::deauth::DEADLINE).
    Overdue,
    /// Given up.
    DeadLetter,
    /// Done.
    Done,
    /// Older than the member's latest authorization.
    Stale,
    /// Not acted on until someone releases it.
    Quarantined,
}

/// The overview.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeskPage {
    /// How many events stand where.
    pub stats: InboxStats,
    /// How many are overdue; no more than [`OVERDUE_COUNTED`](Self::OVERDUE_COUNTED) are counted.
    pub overdue: usize,
    /// What is being worked on, in any process.
    pub running: Vec<RunningEvent>,
    /// Whether the background work is alive.
    pub background: BackgroundView,
    /// How the sealing of the ledger stands.
    pub sealing: SealingView,
    /// How long the newest done events took; `None` when none is done.
    pub took: Option<Took>,
    /// How many events the plots are drawn from: the newest.
    pub plotted: usize,
    /// The plots, from the oldest span to the newest.
    pub plot: Vec<PlotSpan>,
}

impl DeskPage {
    /// Up to so many overdue events are counted.
    pub const OVERDUE_COUNTED: usize = 100;
}

/// An event that is being worked on.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RunningEvent {
    /// The event.
    pub id: EventId,
    /// Which attempt this is.
    pub attempt: u32,
    /// Since when.
    pub since: Option<Timestamp>,
    /// For how long, in seconds.
    pub seconds: Option<u64>,
}

/// Signs of life of the background work, in any process.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct BackgroundView {
    /// Whether a worker was heard of within the last minute.
    pub worker_alive: bool,
    /// When a worker was last heard of.
    pub worker_heard_at: Option<Timestamp>,
    /// Whether a reconciler is asking about members now.
    pub reconciler_asking: bool,
    /// When a reconciler last had asked about all who were due.
    pub reconciler_asked_at: Option<Timestamp>,
}

/// How the sealing of the ledger stands.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SealingView {
    /// How many lines the last checkpoint covers; `None` if there is none.
    pub lines: Option<u64>,
    /// When it was made.
    pub sealed_at: Option<Timestamp>,
    /// The checkpoint, as a signed note.
    pub checkpoint: Option<String>,
    /// Why nothing is sealed any more: the ledger does not agree with what was given away.
    pub trouble: Option<String>,
}

/// How long events took from receipt to completion, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct Took {
    /// How many were measured: the newest done.
    pub count: usize,
    /// Half of them took no longer.
    pub median: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// The longest.
    pub longest: f64,
}

/// A span of time in the plots.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlotSpan {
    /// When it begins.
    pub from: Timestamp,
    /// Events received in it.
    pub received: u64,
    /// Those of them that are pending, held or dead letters.
    pub open: u64,
    /// How long half of those done took at most, in seconds.
    pub median: Option<f64>,
    /// How long the longest took, in seconds.
    pub longest: Option<f64>,
}

/// A page of events, the newest first.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EventsPage {
    /// Which shelf.
    pub shelf: Shelf,
    /// The events.
    pub events: Vec<ShelfEvent>,
    /// What `before` has to be for the next page, which holds older ones.
    pub next: Option<String>,
}

/// An event in a list. It names no member.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ShelfEvent {
    /// Its name.
    pub id: EventId,
    /// Who left, by pseudonym.
    pub pseudonym: Pseudonym,
    /// What is known of the member's wish.
    pub erasure: ErasureRequest,
    /// How we know.
    pub discovery: Discovery,
    /// When the member left.
    pub left_at: Timestamp,
    /// When the event reached us.
    pub received_at: Timestamp,
    /// Where it stands.
    pub state: EventState,
    /// Whether it should have been done.
    pub overdue: bool,
    /// How often the handler was called.
    pub attempts: u32,
    /// When it may be tried next.
    pub due_at: Timestamp,
    /// When it was done, given up or found stale.
    pub settled_at: Option<Timestamp>,
    /// Whether it can be put back into the queue.
    pub can_requeue: bool,
    /// Whether it is held, and can be released.
    pub can_release: bool,
}

impl ShelfEvent {
    pub(crate) fn new(record: EventRecord, now: Timestamp) -> Self {
        let settled = matches!(record.state, EventState::DeadLetter | EventState::Stale);
        Self {
            overdue: record.is_overdue(now),
            can_release: record.state == EventState::Quarantined && record.member.is_some(),
            can_requeue: settled && record.member.is_some(),
            id: record.id,
            pseudonym: record.pseudonym,
            erasure: record.erasure,
            discovery: record.discovery,
            left_at: record.left_at,
            received_at: record.received_at,
            state: record.state,
            attempts: record.attempts,
            due_at: record.due_at,
            settled_at: record.settled_at,
        }
    }
}

/// The question before all that is held is released.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct ReleaseAllPage {
    /// How many events are held.
    pub held: u64,
}

/// One event, and all that happened to it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EventPage {
    /// The event.
    pub event: ShelfEvent,
    /// Its lines of the ledger, the newest of them in the order they were written; at most 1,000.
    pub lines: Vec<LedgerLine>,
    /// Whether there are older lines.
    pub shortened: bool,
}

/// The history of one member.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct MemberPage {
    /// Whose, by pseudonym; `None` before someone was looked for.
    pub pseudonym: Option<Pseudonym>,
    /// The member's events, the newest first; at most 100.
    pub events: Vec<ShelfEvent>,
    /// The lines of the ledger, the newest of them in the order they were written; at most 1,000.
    pub lines: Vec<LedgerLine>,
    /// Whether there are older lines.
    pub shortened: bool,
}
