//! What became of each request that the lines tell of.

use std::collections::HashMap;

use crate::export::Line;

/// How a request ended, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum End {
    /// The app's handler succeeded.
    Done,
    /// It was older than the member's latest authorization, and not to be acted on.
    Stale,
    /// None yet: the handler failed too often, and someone must look.
    DeadLetter,
    /// None yet: it waits for someone to release it.
    Quarantined,
    /// None yet.
    Pending,
}

impl End {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Done,
        Self::Stale,
        Self::DeadLetter,
        Self::Quarantined,
        Self::Pending,
    ];

    /// In a word or two.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stale => "superseded",
            Self::DeadLetter => "dead letter",
            Self::Quarantined => "quarantined",
            Self::Pending => "pending",
        }
    }

    /// Whether this is an end, rather than the want of one.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::Stale)
    }
}

/// One request, from its receipt on. It names nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The event's name.
    pub event: String,
    /// The member, by pseudonym.
    pub member: String,
    /// When it was received, in microseconds since 1970; `None` if no line says so.
    pub received_at: Option<i64>,
    /// How it ended, or where it stands.
    pub end: End,
    /// When it came to that.
    pub since: i64,
    /// How often the handler was called, as its last line counts.
    pub attempts: u32,
    /// What its last line says beside that.
    pub note: Option<String>,
}

/// Whether a request had its end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It did.
    InTime,
    /// It had its end, too late.
    Late,
    /// It has no end yet, and there is time left.
    Open,
    /// It has no end yet, and should have had it.
    Overdue,
}

impl Verdict {
    /// In a word or two.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InTime => "in time",
            Self::Late => "late",
            Self::Open => "open",
            Self::Overdue => "overdue",
        }
    }
}

/// What "in time" means.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Terms {
    /// The moment of the judgement, in microseconds since 1970.
    pub as_of: i64,
    /// How long a request may take, in microseconds.
    pub deadline: i64,
}

impl Terms {
    /// One month, taken as 30 days (GDPR Art. 12(3)), judged at this moment.
    pub fn at(as_of: i64) -> Self {
        Self {
            as_of,
            deadline: 30 * 86_400_000_000,
        }
    }

    /// So many days, judged at the same moment.
    #[must_use]
    pub fn days(mut self, days: u32) -> Self {
        self.deadline = i64::from(days) * 86_400_000_000;
        self
    }
}

impl Request {
    /// How long it took, or has taken so far, in microseconds.
    pub fn took(&self, terms: Terms) -> Option<i64> {
        let until = if self.end.is_end() {
            self.since
        } else {
            terms.as_of
        };
        let received = self.received_at?;
        Some(until.saturating_sub(received).max(0))
    }

    /// Whether it had its end in time. One whose receipt is nowhere written had not.
    pub fn verdict(&self, terms: Terms) -> Verdict {
        let in_time = self.took(terms).is_some_and(|took| took <= terms.deadline);
        match (self.end.is_end(), in_time) {
            (true, true) => Verdict::InTime,
            (true, false) => Verdict::Late,
            (false, true) => Verdict::Open,
            (false, false) => Verdict::Overdue,
        }
    }
}

/// Follows requests through the lines of a ledger. Those that are done it hands out and forgets.
#[derive(Debug, Default)]
pub struct Requests {
    open: HashMap<String, Request>,
}

impl Requests {
    /// Takes the next line. Gives the request, if that was its end for good.
    pub fn line(&mut self, line: &Line) -> Option<Request> {
        let request = self
            .open
            .entry(line.event.clone())
            .or_insert_with(|| Request {
                event: line.event.clone(),
                member: line.member.clone(),
                received_at: None,
                end: End::Pending,
                since: line.at,
                attempts: 0,
                note: None,
            });
        request.attempts = request.attempts.max(line.attempt);
        let end = match line.step.as_str() {
            "received" => {
                request.received_at.get_or_insert(line.at);
                End::Pending
            }
            "done" => End::Done,
            "stale" => End::Stale,
            "dead_lettered" => End::DeadLetter,
            "quarantined" => End::Quarantined,
            "requeued" | "released" => End::Pending,
            // Steps on the way, and those of later releases.
            _ => {
                if line.note.is_some() {
                    request.note.clone_from(&line.note);
                }
                return None;
            }
        };
        request.end = end;
        request.since = line.at;
        request.note.clone_from(&line.note);
        match end {
            End::Done => self.open.remove(&line.event),
            _ => None,
        }
    }

    /// The requests that are not done, by the time of their receipt.
    pub fn into_rest(self) -> Vec<Request> {
        let mut rest: Vec<_> = self.open.into_values().collect();
        rest.sort_by(|a, b| (a.received_at, &a.event).cmp(&(b.received_at, &b.event)));
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    fn line(event: &str, step: &str, day: i64, attempt: u32) -> Line {
        Line {
            seq: 0,
            event: event.into(),
            member: "m".into(),
            at: day * DAY,
            step: step.into(),
            attempt,
            note: (step == "failed").then(|| "the disk is full".into()),
        }
    }

    /// What became of one request with these steps, a day after another.
    fn life(steps: &[&str]) -> Request {
        let mut requests = Requests::default();
        let mut done = None;
        for (day, step) in (0..).zip(steps) {
            done = done.or(requests.line(&line("e", step, day, 0)));
        }
        done.unwrap_or_else(|| requests.into_rest().remove(0))
    }

    #[test]
    fn each_way_to_end_is_told_from_the_others() {
        for (steps, end) in [
            (
                &["received", "tokens_destroyed", "tried", "done"][..],
                End::Done,
            ),
            (&["received", "stale"], End::Stale),
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
            (&["received", "a step of next year"], End::Pending),
        ] {
            assert_eq!(life(steps).end, end, "{steps:?}");
        }
        assert_eq!(
            life(&["received", "failed"]).note.as_deref(),
            Some("the disk is full")
        );
    }

    #[test]
    fn in_time_is_judged_from_the_receipt() {
        let terms = Terms::at(100 * DAY).days(2);
        assert_eq!(
            life(&["received", "tried", "done"]).verdict(terms),
            Verdict::InTime
        );
        assert_eq!(
            life(&["received", "tried", "failed", "done"]).verdict(terms),
            Verdict::Late
        );
        assert_eq!(life(&["received", "stale"]).verdict(terms), Verdict::InTime);
        assert_eq!(
            life(&["received", "dead_lettered"]).verdict(terms),
            Verdict::Overdue
        );
        let early = Terms::at(2 * DAY).days(2);
        assert_eq!(
            life(&["received", "quarantined"]).verdict(early),
            Verdict::Open
        );
        assert_eq!(
            life(&["received", "quarantined"]).verdict(Terms::at(2 * DAY + 1).days(2)),
            Verdict::Overdue
        );
        // Whose receipt was never written down.
        assert_eq!(life(&["tried", "done"]).verdict(terms), Verdict::Late);
        assert_eq!(Terms::at(0).deadline, 30 * DAY);
    }

    #[test]
    fn what_is_done_is_not_kept_in_mind() {
        let mut requests = Requests::default();
        for number in 0..100 {
            let name = number.to_string();
            assert!(requests.line(&line(&name, "received", 0, 0)).is_none());
            assert!(requests.line(&line(&name, "tried", 0, 3)).is_none());
            let done = requests.line(&line(&name, "done", 1, 3)).unwrap();
            assert_eq!((done.attempts, done.took(Terms::at(0))), (3, Some(DAY)));
        }
        assert!(requests.open.is_empty());
    }
}
