//! The history of each event, assembled from its lines.

use std::collections::{BTreeMap, HashMap};

use crate::line::{DataOutcome, Discovery, EventKind, Line, display};

/// The state in which the ledger leaves an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum End {
    /// The application's handler succeeded.
    Done,
    /// Not processed, because the member authorized the project again after it.
    Superseded,
    /// Not processed: the handler failed too often, and an operator must act.
    DeadLetter,
    /// Not processed: an operator must release or reject it.
    Quarantined,
    /// Not processed yet.
    Pending,
}

display!(End {
    Done => "done",
    Superseded => "superseded",
    DeadLetter => "dead letter",
    Quarantined => "quarantined",
    Pending => "pending",
});

impl End {
    /// Returns whether the event needs no further processing.
    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Superseded)
    }
}

/// Whether an event ended before its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verdict {
    /// No deadline applies to events of this kind.
    NoDeadline,
    /// Ended before the deadline.
    InTime,
    /// Ended after the deadline.
    Late,
    /// Has not ended, and the deadline is in the future.
    Open,
    /// Has not ended, and the deadline has passed.
    Overdue,
}

display!(Verdict {
    NoDeadline => "no deadline",
    InTime => "in time",
    Late => "late",
    Open => "open",
    Overdue => "overdue",
});

/// The deadline, and the time at which events are compared with it, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) as_of: i64,
    pub(crate) limit: i64,
}

/// The history of one event. Contains no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The event id.
    pub id: String,
    /// The pseudonym of the member.
    pub member: String,
    /// The kind of event.
    pub kind: EventKind,
    /// How the departure was discovered, if the ledger records it.
    pub discovery: Option<Discovery>,
    /// The time of receipt, in microseconds since 1970, if the ledger records it.
    pub received_at: Option<i64>,
    /// The state in which the ledger leaves the event.
    pub end: End,
    /// When the event reached that state, in microseconds since 1970.
    pub since: i64,
    /// The fate of the member's data, once the event is done.
    pub data: Option<DataOutcome>,
    /// The number of deleted items of each kind, if the handler reported it.
    pub result: BTreeMap<String, u64>,
    /// How often the handler was called.
    pub attempts: u32,
    /// The note of the latest line that has one.
    pub note: Option<String>,
    /// Whether the event ended before its deadline.
    pub verdict: Verdict,
    /// The time from the receipt to the end, or to the time of the assessment, in microseconds.
    pub elapsed: Option<i64>,
}

impl Event {
    fn new(line: &Line) -> Self {
        Self {
            id: line.event.clone(),
            member: line.member.clone(),
            kind: EventKind::Unrecorded,
            discovery: None,
            received_at: None,
            end: End::Pending,
            since: line.at,
            data: None,
            result: BTreeMap::new(),
            attempts: 0,
            note: None,
            verdict: Verdict::NoDeadline,
            elapsed: None,
        }
    }

    /// Returns whether someone should look at the event: it is late or has not ended, or its data
    /// was kept although the member requested erasure.
    pub(crate) fn needs_attention(&self) -> bool {
        !self.end.is_final() || self.verdict == Verdict::Late || data_kept(self.kind, self.data)
    }

    fn apply(&mut self, line: &Line) {
        self.attempts = self.attempts.max(line.attempt);
        let end = match line.step.as_str() {
            "received" => {
                self.kind = line.kind();
                self.discovery = line.discovery;
                self.received_at.get_or_insert(line.at);
                End::Pending
            }
            "done" => {
                self.data = line.data;
                self.result = line.result.clone().unwrap_or_default();
                End::Done
            }
            "stale" => End::Superseded,
            "dead_lettered" => End::DeadLetter,
            "quarantined" => End::Quarantined,
            "requeued" | "released" => End::Pending,
            // Intermediate steps, and steps that a later release adds.
            _ => {
                if line.note.is_some() {
                    self.note.clone_from(&line.note);
                }
                return;
            }
        };
        self.end = end;
        self.since = line.at;
        self.note.clone_from(&line.note);
    }

    fn assess(&mut self, deadline: Deadline) {
        let until = if self.end.is_final() {
            self.since
        } else {
            deadline.as_of
        };
        let received = self.received_at;
        self.elapsed = received.map(|received| until.saturating_sub(received).max(0));
        // Without a recorded receipt, nothing shows that the event ended in time.
        let in_time = self
            .elapsed
            .is_some_and(|elapsed| elapsed <= deadline.limit);
        self.verdict = match (self.kind.has_deadline(), self.end.is_final(), in_time) {
            (false, ..) => Verdict::NoDeadline,
            (true, true, true) => Verdict::InTime,
            (true, true, false) => Verdict::Late,
            (true, false, true) => Verdict::Open,
            (true, false, false) => Verdict::Overdue,
        };
    }
}

/// Returns whether the application kept the data of a member who requested erasure.
pub(crate) fn data_kept(kind: EventKind, data: Option<DataOutcome>) -> bool {
    let kept = matches!(data, Some(DataOutcome::Retained | DataOutcome::NoHandler));
    kept && kind == EventKind::ErasureRequest
}

/// Assembles events from the lines of a ledger. Only events that are not done stay in memory.
#[derive(Debug)]
pub(crate) struct Events {
    deadline: Deadline,
    open: HashMap<String, Event>,
}

impl Events {
    pub(crate) fn new(deadline: Deadline) -> Self {
        Self {
            deadline,
            open: HashMap::new(),
        }
    }

    /// Adds the next line. Returns its event if the line says that the event is done.
    pub(crate) fn add(&mut self, line: &Line) -> Option<Event> {
        let event = self
            .open
            .entry(line.event.clone())
            .or_insert_with(|| Event::new(line));
        event.apply(line);
        if event.end != End::Done {
            return None;
        }
        let mut event = self.open.remove(&line.event)?;
        event.assess(self.deadline);
        Some(event)
    }

    /// Removes and returns the events that are not done, by the time of their receipt.
    pub(crate) fn take_open(&mut self) -> Vec<Event> {
        let mut open: Vec<_> = self.open.drain().map(|(_, event)| event).collect();
        open.iter_mut()
            .for_each(|event| event.assess(self.deadline));
        open.sort_by(|a, b| (a.received_at, &a.id).cmp(&(b.received_at, &b.id)));
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::ErasureRequest;

    const DAY: i64 = 86_400_000_000;

    fn line(event: &str, step: &str, day: i64, attempt: u32) -> Line {
        Line {
            seq: 0,
            event: event.into(),
            member: "m".into(),
            at: day * DAY,
            step: step.into(),
            attempt,
            erasure: (step == "received").then_some(ErasureRequest::Requested),
            discovery: (step == "received").then_some(Discovery::Webhook),
            data: (step == "done").then_some(DataOutcome::Deleted),
            result: None,
            note: (step == "failed").then(|| "the disk is full".into()),
        }
    }

    /// Returns the event that results from these lines, assessed on this day with a limit of 2 days.
    fn event_of(lines: &[Line], day: i64) -> Event {
        let mut events = Events::new(Deadline {
            as_of: day * DAY,
            limit: 2 * DAY,
        });
        let mut done = None;
        for line in lines {
            done = done.or(events.add(line));
        }
        done.unwrap_or_else(|| events.take_open().remove(0))
    }

    /// Returns the event that results from these steps, one per day.
    fn event(steps: &[&str], day: i64) -> Event {
        let lines = (0..).zip(steps).map(|(day, step)| line("e", step, day, 0));
        event_of(&lines.collect::<Vec<_>>(), day)
    }

    #[test]
    fn event_end_follows_from_last_decisive_step() {
        for (steps, end) in [
            (
                &["received", "tokens_destroyed", "tried", "done"][..],
                End::Done,
            ),
            (&["received", "stale"], End::Superseded),
            (
                &["received", "tried", "failed", "dead_lettered"],
                End::DeadLetter,
            ),
            (
                &["received", "dead_lettered", "requeued", "tried", "done"],
                End::Done,
            ),
            (&["received", "stale", "requeued"], End::Pending),
            (&["received", "quarantined"], End::Quarantined),
            (&["received", "quarantined", "released"], End::Pending),
            (&["received", "tried", "failed"], End::Pending),
            (&["received", "a later step"], End::Pending),
        ] {
            assert_eq!(event(steps, 100).end, end, "{steps:?}");
        }
        let note = event(&["received", "failed"], 100).note;
        assert_eq!(note.as_deref(), Some("the disk is full"));
    }

    #[test]
    fn verdict_counts_from_receipt() {
        for (steps, day, verdict) in [
            (&["received", "tried", "done"][..], 100, Verdict::InTime),
            (&["received", "tried", "failed", "done"], 100, Verdict::Late),
            (&["received", "stale"], 100, Verdict::InTime),
            (&["received", "dead_lettered"], 100, Verdict::Overdue),
            (&["received", "quarantined"], 2, Verdict::Open),
            (&["received", "quarantined"], 3, Verdict::Overdue),
            // No line records the receipt.
            (&["tried", "done"], 100, Verdict::Late),
        ] {
            assert_eq!(event(steps, day).verdict, verdict, "{steps:?}");
        }
    }

    #[test]
    fn deadline_applies_to_erasure_requests_only() {
        for (erasure, discovery, verdict) in [
            (ErasureRequest::Requested, Discovery::Webhook, Verdict::Late),
            (
                ErasureRequest::NotRequested,
                Discovery::Webhook,
                Verdict::NoDeadline,
            ),
            (
                ErasureRequest::Unknown,
                Discovery::Reconciliation,
                Verdict::NoDeadline,
            ),
            (
                ErasureRequest::Unknown,
                Discovery::TokenLoss,
                Verdict::NoDeadline,
            ),
        ] {
            let mut opened = line("e", "received", 0, 0);
            (opened.erasure, opened.discovery) = (Some(erasure), Some(discovery));
            let event = event_of(&[opened, line("e", "done", 9, 1)], 100);
            assert_eq!(event.verdict, verdict, "{discovery:?}");
            assert_eq!(event.elapsed, Some(9 * DAY));
        }
    }

    #[test]
    fn event_needs_attention_when_requested_erasure_did_not_happen() {
        let with = |erasure, data| {
            let mut lines = [line("e", "received", 0, 0), line("e", "done", 1, 1)];
            lines[0].erasure = Some(erasure);
            lines[1].data = Some(data);
            event_of(&lines, 100).needs_attention()
        };
        assert!(!with(ErasureRequest::Requested, DataOutcome::Deleted));
        assert!(with(ErasureRequest::Requested, DataOutcome::Retained));
        assert!(with(ErasureRequest::Requested, DataOutcome::NoHandler));
        assert!(!with(ErasureRequest::NotRequested, DataOutcome::Retained));
        assert!(event(&["received", "dead_lettered"], 0).needs_attention());
    }

    #[test]
    fn events_forget_event_that_is_done() {
        let mut events = Events::new(Deadline { as_of: 0, limit: 0 });
        for number in 0..100 {
            let id = number.to_string();
            assert!(events.add(&line(&id, "received", 0, 0)).is_none());
            assert!(events.add(&line(&id, "tried", 0, 3)).is_none());
            let done = events.add(&line(&id, "done", 1, 3)).unwrap();
            assert_eq!((done.attempts, done.elapsed), (3, Some(DAY)));
        }
        assert!(events.open.is_empty());
    }
}
