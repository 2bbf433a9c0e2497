//! A model of the token refresh across processes, checked for every order of its steps.
//!
//! The model has two processes, one store and one server that rotates tokens without a grace
//! period. Either process may die at any step, stall, lose a response or lose its connection to the
//! store. The server may still process a request after its client has gone. The member may leave.
//! The clocks differ by up to the bound. Time passes in steps. In every state:
//!
//! - two processes never wait for responses to the same refresh token;
//! - a member is reported as departed only after leaving;
//! - tokens are reported as lost only if no process has the current pair;
//! - a reported member is never authorized again by a refresh.
//!
//! The model follows `oh-core/src/tokens` in its steps and names. Each rule of the protocol can be
//! disabled, and a second test shows that the checker then finds a violation, so that the first test
//! is meaningful.

#![allow(clippy::unwrap_used)]

use stateright::{Checker, HasDiscoveries, Model, Property};

/// Timeout of a request. All times are in steps of the model.
const TIMEOUT: u8 = 1;
/// Maximum time between writing the lease and starting the request.
const START_WITHIN: u8 = 1;
const LEASE: u8 = TIMEOUT + START_WITHIN + 1;
/// Maximum difference between the clocks.
const MAX_CLOCK_SKEW: u8 = 2;
/// How long a process retries to store a new pair.
const STORE_RETRY_TIME: u8 = 2;
const GRACE_PERIOD: u8 = LEASE + STORE_RETRY_TIME + 1;
/// Later pairs are not refreshed, so that the state space is finite.
const LAST_PAIR: u8 = 3;

/// The rules of the protocol. Each can be disabled.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// A process respects the leases of other processes.
    lease: bool,
    /// It measures their duration on its own monotonic clock.
    monotonic: bool,
    /// It discards its own lease if the write was slow.
    discard_slow_lease: bool,
    /// It marks the record before it sends the request.
    mark: bool,
    /// A rejection is undecided if another process has taken over the lease.
    check_holder: bool,
    /// Token loss is reported only after the grace period.
    grace: bool,
    /// A new pair replaces only the pair that it came from.
    compare: bool,
}

const ALL: Rules = Rules {
    lease: true,
    monotonic: true,
    discard_slow_lease: true,
    mark: true,
    check_holder: true,
    grace: true,
    compare: true,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Report {
    Departure,
    TokenLoss,
}

/// The process that wrote a lease. Each process has one attempt at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Process(u8),
    /// A process that died afterwards.
    Dead(u8),
}

impl Holder {
    const fn process(self) -> u8 {
        match self {
            Self::Process(process) | Self::Dead(process) => process,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Lease {
    holder: Holder,
    /// Time since it was written.
    age: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Record {
    pair: u8,
    lease: Option<Lease>,
    unanswered: bool,
    report: Option<Report>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Activity {
    Idle,
    /// Observes the lease of another process.
    Observing {
        holder: Holder,
        age: u8,
    },
    /// Has read the record before writing a lease. `stale`: the record has changed since.
    Read {
        record: Record,
        stale: bool,
    },
    /// Has the lease and has sent nothing.
    Leased {
        pair: u8,
        before: bool,
        age: u8,
    },
    /// Waits for the response; the server has not processed the request.
    Sent {
        pair: u8,
        before: bool,
        age: u8,
    },
    /// Waits for the response, which the server has sent: a new pair, or a rejection.
    Responded {
        pair: u8,
        before: bool,
        age: u8,
        new: Option<u8>,
    },
    /// Has a new pair that is not stored.
    Storing {
        pair: u8,
        new: u8,
        age: u8,
    },
    /// As `Storing`, between reading the record and writing it.
    StoringRead {
        pair: u8,
        new: u8,
        age: u8,
        stale: bool,
    },
    /// Was rejected and waits for a process that may have the new pair.
    Undecided {
        pair: u8,
        age: u8,
    },
    /// Is about to report the member.
    Reporting {
        report: Report,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// Lead of the second process's clock over that of the first process.
    ahead: i8,
    /// The pair that is valid at the server.
    current: u8,
    left: bool,
    record: Record,
    activities: [Activity; 2],
    /// A request without client, which the server may still process.
    orphan: Option<u8>,
    crashes: u8,
    losses: u8,
    /// A refresh has authorized a reported member again.
    revived: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Tick,
    /// The process takes its next step.
    Step(usize),
    /// The server processes the request of a process, or the orphaned one.
    Serve(usize),
    ServeOrphan,
    /// The response does not arrive in time.
    Lose(usize),
    Crash(usize),
    Leave,
    /// The webhook reports the departure.
    Webhook,
}

struct Protocol(Rules);

impl State {
    /// Another attempt of the same process is another lease, which is observed from its start.
    fn leased(&mut self, process: usize) {
        if let Activity::Observing { .. } = self.activities[1 - process] {
            self.activities[1 - process] = Activity::Idle;
        }
        self.mark_stale(process);
    }

    fn mark_stale(&mut self, writer: usize) {
        let other = &mut self.activities[1 - writer];
        match other {
            Activity::Read { stale, .. } | Activity::StoringRead { stale, .. } => *stale = true,
            _ => {}
        }
    }

    /// The server rotates this pair if it is the current one.
    fn serve(&mut self, pair: u8) -> Option<u8> {
        if self.left || pair != self.current {
            return None;
        }
        self.current += 1;
        Some(self.current)
    }

    fn has_lease(&self, process: usize) -> bool {
        let me = Holder::Process(u8::try_from(process).unwrap());
        self.record.lease.is_some_and(|lease| lease.holder == me)
    }

    fn release_lease(&mut self, process: usize, unanswered: bool) {
        if self.has_lease(process) {
            self.record.lease = None;
            self.record.unanswered = unanswered;
            self.mark_stale(process);
        }
    }

    /// Lead of this process's clock over that of the process that wrote the lease.
    fn ahead_of(&self, process: usize, lease: Lease) -> i8 {
        match (process, lease.holder.process()) {
            (1, 0) => self.ahead,
            (0, 1) => -self.ahead,
            _ => 0,
        }
    }

    /// Time since the end of the lease on the clock of this process.
    fn expired_for(&self, process: usize, lease: Lease) -> i8 {
        let age = i8::try_from(lease.age).unwrap() + self.ahead_of(process, lease);
        age - i8::try_from(LEASE).unwrap()
    }
}

impl Protocol {
    fn step(&self, state: &mut State, process: usize) -> bool {
        let rules = self.0;
        let record = state.record;
        match state.activities[process] {
            Activity::Idle | Activity::Observing { .. } => {
                if record.report.is_some() || record.pair >= LAST_PAIR {
                    let idle = state.activities[process] == Activity::Idle;
                    state.activities[process] = Activity::Idle;
                    return !idle;
                }
                if let Some(lease) = record.lease
                    && rules.lease
                    && !self.has_expired(state, process, lease)
                {
                    let seen = match state.activities[process] {
                        Activity::Observing { holder, age } if holder == lease.holder => age,
                        _ => 0,
                    };
                    let observing = Activity::Observing {
                        holder: lease.holder,
                        age: seen,
                    };
                    let news = state.activities[process] != observing;
                    state.activities[process] = observing;
                    return news;
                }
                state.activities[process] = Activity::Read {
                    record,
                    stale: false,
                };
            }
            Activity::Read { stale: true, .. } => state.activities[process] = Activity::Idle,
            Activity::Read { record: read, .. } => {
                let holder = Holder::Process(u8::try_from(process).unwrap());
                state.record.lease = Some(Lease { holder, age: 0 });
                state.record.unanswered = read.unanswered || rules.mark;
                state.leased(process);
                state.activities[process] = Activity::Leased {
                    pair: read.pair,
                    before: read.unanswered,
                    age: 0,
                };
            }
            Activity::Leased { pair, before, age } => {
                if rules.discard_slow_lease && age > START_WITHIN {
                    state.release_lease(process, before);
                    state.activities[process] = Activity::Idle;
                } else {
                    let age = 0;
                    state.activities[process] = Activity::Sent { pair, before, age };
                }
            }
            Activity::Sent { .. } => return false,
            Activity::Responded {
                pair,
                new: Some(new),
                ..
            } => {
                state.activities[process] = Activity::Storing { pair, new, age: 0 };
            }
            Activity::Responded {
                pair,
                before,
                new: None,
                ..
            } => {
                if record.report.is_some() || record.pair != pair {
                    state.activities[process] = Activity::Idle;
                } else if !before && (state.has_lease(process) || !rules.check_holder) {
                    state.activities[process] = Activity::Reporting {
                        report: Report::Departure,
                    };
                } else {
                    state.release_lease(process, true);
                    state.activities[process] = Activity::Undecided { pair, age: 0 };
                }
            }
            Activity::Storing { pair, new, age } => {
                if rules.compare && (record.report.is_some() || record.pair != pair) {
                    state.activities[process] = Activity::Idle;
                } else {
                    let stale = false;
                    state.activities[process] = Activity::StoringRead {
                        pair,
                        new,
                        age,
                        stale,
                    };
                }
            }
            Activity::StoringRead {
                pair,
                new,
                age,
                stale,
            } => {
                if stale && rules.compare {
                    state.activities[process] = Activity::Storing { pair, new, age };
                } else {
                    state.revived |= record.report.is_some();
                    state.record = Record {
                        pair: new,
                        lease: None,
                        unanswered: false,
                        report: None,
                    };
                    state.mark_stale(process);
                    state.activities[process] = Activity::Idle;
                }
            }
            Activity::Undecided { pair, age } => {
                if record.report.is_some() || record.pair != pair {
                    state.activities[process] = Activity::Idle;
                } else if age >= GRACE_PERIOD || !rules.grace {
                    state.activities[process] = Activity::Reporting {
                        report: Report::TokenLoss,
                    };
                } else {
                    return false;
                }
            }
            Activity::Reporting { report } => {
                if record.report.is_none() {
                    state.record.report = Some(report);
                    state.record.lease = None;
                    state.mark_stale(process);
                }
                state.activities[process] = Activity::Idle;
            }
        }
        true
    }

    fn has_expired(&self, state: &State, process: usize, lease: Lease) -> bool {
        let expired_for = state.expired_for(process, lease);
        if !self.0.monotonic {
            return expired_for >= 0;
        }
        if expired_for > i8::try_from(MAX_CLOCK_SKEW).unwrap() {
            return true;
        }
        matches!(
            state.activities[process],
            Activity::Observing { holder, age } if holder == lease.holder && age >= LEASE
        )
    }

    /// Advances time by one step, unless a process must act first.
    fn tick(state: &mut State) -> bool {
        for activity in &mut state.activities {
            match activity {
                Activity::Sent { age, .. } | Activity::Responded { age, .. } if *age >= TIMEOUT => {
                    return false;
                }
                Activity::Storing { age, .. } | Activity::StoringRead { age, .. }
                    if *age >= STORE_RETRY_TIME =>
                {
                    return false;
                }
                // Consecutive reads and writes take no time.
                Activity::Reporting { .. } => return false,
                _ => {}
            }
        }
        for activity in &mut state.activities {
            let (age, max) = match activity {
                Activity::Observing { age, .. } => (age, LEASE),
                Activity::Leased { age, .. } => (age, LEASE + 1),
                Activity::Sent { age, .. } | Activity::Responded { age, .. } => (age, TIMEOUT),
                Activity::Storing { age, .. } | Activity::StoringRead { age, .. } => {
                    (age, STORE_RETRY_TIME)
                }
                Activity::Undecided { age, .. } => (age, GRACE_PERIOD),
                _ => continue,
            };
            *age = max.min(*age + 1);
        }
        if let Some(lease) = &mut state.record.lease {
            lease.age = (LEASE + 2 * MAX_CLOCK_SKEW + 1).min(lease.age + 1);
        }
        true
    }

    fn crash(state: &mut State, process: usize) {
        if let Activity::Sent { pair, .. } = state.activities[process] {
            state.orphan = Some(pair);
        }
        let number = u8::try_from(process).unwrap();
        if let Some(lease) = &mut state.record.lease
            && lease.holder == Holder::Process(number)
        {
            lease.holder = Holder::Dead(number);
            if let Activity::Observing { holder, .. } = &mut state.activities[1 - process] {
                *holder = Holder::Dead(number);
            }
        }
        state.activities[process] = Activity::Idle;
        state.crashes -= 1;
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let skew = i8::try_from(MAX_CLOCK_SKEW).unwrap();
        [-skew, skew]
            .map(|ahead| State {
                ahead,
                current: 1,
                left: false,
                record: Record {
                    pair: 1,
                    lease: None,
                    unanswered: false,
                    report: None,
                },
                activities: [Activity::Idle; 2],
                orphan: None,
                crashes: 1,
                losses: 1,
                revived: false,
            })
            .to_vec()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend([
            Action::Tick,
            Action::ServeOrphan,
            Action::Leave,
            Action::Webhook,
        ]);
        for process in 0..2 {
            actions.extend([
                Action::Step(process),
                Action::Serve(process),
                Action::Lose(process),
            ]);
            if state.crashes > 0 && state.activities[process] != Activity::Idle {
                actions.push(Action::Crash(process));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let happened = match action {
            Action::Tick => Self::tick(&mut state),
            Action::Step(process) => self.step(&mut state, process),
            Action::Serve(process) => match state.activities[process] {
                Activity::Sent { pair, before, age } => {
                    let new = state.serve(pair);
                    state.activities[process] = Activity::Responded {
                        pair,
                        before,
                        age,
                        new,
                    };
                    true
                }
                _ => false,
            },
            Action::ServeOrphan => match state.orphan.take() {
                Some(pair) => {
                    let _ = state.serve(pair);
                    true
                }
                None => false,
            },
            Action::Lose(process) => match state.activities[process] {
                // Timed out or lost.
                Activity::Sent { pair, age, .. } if age >= TIMEOUT || state.losses > 0 => {
                    state.losses = state.losses.saturating_sub(u8::from(age < TIMEOUT));
                    state.orphan = Some(pair);
                    state.release_lease(process, true);
                    state.activities[process] = Activity::Idle;
                    true
                }
                Activity::Responded { age, .. } if age >= TIMEOUT || state.losses > 0 => {
                    state.losses = state.losses.saturating_sub(u8::from(age < TIMEOUT));
                    state.release_lease(process, true);
                    state.activities[process] = Activity::Idle;
                    true
                }
                // The store failed for too long.
                Activity::Storing { age, .. } | Activity::StoringRead { age, .. }
                    if age >= STORE_RETRY_TIME =>
                {
                    state.activities[process] = Activity::Idle;
                    true
                }
                _ => false,
            },
            Action::Crash(process) => {
                Self::crash(&mut state, process);
                true
            }
            Action::Leave => !std::mem::replace(&mut state.left, true),
            Action::Webhook if state.left && state.record.report.is_none() => {
                state.record.report = Some(Report::Departure);
                state.record.lease = None;
                state.mark_stale(0);
                state.mark_stale(1);
                true
            }
            Action::Webhook => false,
        };
        (happened && state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn awaited(activity: Activity) -> Option<u8> {
            match activity {
                Activity::Sent { pair, .. } | Activity::Responded { pair, .. } => Some(pair),
                _ => None,
            }
        }
        fn new_pair(activity: Activity) -> Option<u8> {
            match activity {
                Activity::Storing { new, .. } | Activity::StoringRead { new, .. } => Some(new),
                Activity::Responded { new, .. } => new,
                _ => None,
            }
        }
        vec![
            Property::always("a token has one use at a time", |_, state: &State| {
                let [one, other] = state.activities.map(awaited);
                one.is_none() || one != other
            }),
            Property::always("a reported departure is real", |_, state: &State| {
                state.record.report != Some(Report::Departure) || state.left
            }),
            Property::always("lost tokens exist nowhere", |_, state: &State| {
                let any_process = state
                    .activities
                    .map(new_pair)
                    .contains(&Some(state.current));
                let is_lost = state.record.report == Some(Report::TokenLoss);
                !is_lost || state.left || !any_process && state.record.pair != state.current
            }),
            Property::always("no reported member is revived", |_, state: &State| {
                !state.revived
            }),
            Property::sometimes("a pair is stored", |_, state: &State| {
                state.record.pair == LAST_PAIR
            }),
            Property::sometimes("a departure is reported", |_, state: &State| {
                state.record.report == Some(Report::Departure)
            }),
            Property::sometimes("token loss is reported", |_, state: &State| {
                state.record.report == Some(Report::TokenLoss) && !state.left
            }),
        ]
    }
}

#[test]
fn refresh_protocol_is_safe_in_every_order_of_steps() {
    let checked = Protocol(ALL).checker().threads(2).spawn_bfs().join();
    checked.assert_properties();
    // The checker has explored a large state space.
    assert!(
        checked.unique_state_count() > 10_000,
        "{}",
        checked.unique_state_count()
    );
}

#[test]
fn refresh_protocol_is_unsafe_without_each_rule() {
    for (what, rules, broken) in [
        (
            "leases",
            Rules {
                lease: false,
                ..ALL
            },
            "a token has one use at a time",
        ),
        (
            "the monotonic clock",
            Rules {
                monotonic: false,
                ..ALL
            },
            "a token has one use at a time",
        ),
        (
            "discarding slow leases",
            Rules {
                discard_slow_lease: false,
                ..ALL
            },
            "a token has one use at a time",
        ),
        (
            "the mark",
            Rules { mark: false, ..ALL },
            "a reported departure is real",
        ),
        (
            "checking the holder",
            Rules {
                discard_slow_lease: false,
                check_holder: false,
                ..ALL
            },
            "a reported departure is real",
        ),
        (
            "the grace period",
            Rules {
                grace: false,
                ..ALL
            },
            "lost tokens exist nowhere",
        ),
        (
            "the comparison",
            Rules {
                compare: false,
                ..ALL
            },
            "no reported member is revived",
        ),
    ] {
        let checked = Protocol(rules)
            .checker()
            .finish_when(HasDiscoveries::AllOf([broken].into()))
            .threads(2)
            .spawn_bfs()
            .join();
        assert!(
            checked.discovery(broken).is_some(),
            "the checker found no violation without {what}"
        );
    }
}
