//! A model of the refresh across processes, and a walk through every order of its steps.
//!
//! Two processes, one store, one server that rotates with no grace. Either process may die at any
//! step, stall, lose an answer, or be cut off from the store; a request that nobody waits for any
//! more may still be worked on; the member may leave; the clocks differ by up to the bound. Time
//! passes in steps. What must hold in every state:
//!
//! - no two processes wait for the answer to the same refresh token;
//! - nobody is declared gone who has not left;
//! - nobody is declared lost while a process still holds the living pair;
//! - who is gone or lost stays so.
//!
//! The model follows `oh-core/src/tokens`, step by step and name by name. Each rule of the protocol
//! can be left out here, and a second test shows that the walk then finds what goes wrong: a model
//! that finds nothing proves something only if it can find something.

#![allow(clippy::unwrap_used)]

use stateright::{Checker, HasDiscoveries, Model, Property};

/// How long a request may take. All times in steps of the model.
const TIMEOUT: u8 = 1;
/// How long after writing the lease a request may still begin.
const FRESH: u8 = 1;
const LEASE: u8 = TIMEOUT + FRESH + 1;
/// By how much the clocks may differ.
const MAX_SKEW: u8 = 2;
/// How long a pair is held on to that the store does not take.
const KEEP: u8 = 2;
const GRACE: u8 = LEASE + KEEP + 1;
/// Pairs after this one are not refreshed: the walk must end.
const LAST_PAIR: u8 = 3;

/// The rules, each of which can be left out.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// Leases of others are respected.
    lease: bool,
    /// They are waited out on one's own monotonic clock.
    monotonic: bool,
    /// A lease that took long to write is not used.
    fresh: bool,
    /// That a refresh is under way is written down before it is sent.
    unanswered: bool,
    /// A refusal is doubted when another process has taken the lease meanwhile.
    alone: bool,
    /// A doubtful refusal is believed after a while only.
    grace: bool,
    /// A new pair is written only over the pair it came from.
    compare: bool,
}

const ALL: Rules = Rules {
    lease: true,
    monotonic: true,
    fresh: true,
    unanswered: true,
    alone: true,
    grace: true,
    compare: true,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Gone,
    Lost,
}

/// Who wrote a lease. Each process has one turn at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Process(u8),
    /// A process that died since.
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
    /// Since it was written.
    age: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Record {
    pair: u8,
    lease: Option<Lease>,
    unanswered: bool,
    fate: Option<Fate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doing {
    Nothing,
    /// Watches the lease of this holder, for so long.
    Watching {
        holder: Holder,
        age: u8,
    },
    /// Has read the record and may take the lease. `stale`: someone has written since.
    Read {
        record: Record,
        stale: bool,
    },
    /// Holds the lease; nothing is sent.
    LeasedEvent {
        pair: u8,
        before: bool,
        age: u8,
    },
    /// Waits for the answer; the server has not looked at the request.
    Sent {
        pair: u8,
        before: bool,
        age: u8,
    },
    /// Waits for the answer, which is on its way: a new pair, or a refusal.
    Answered {
        pair: u8,
        before: bool,
        age: u8,
        new: Option<u8>,
    },
    /// Holds a new pair that is not stored.
    Keeping {
        pair: u8,
        new: u8,
        age: u8,
    },
    /// As `Keeping`, between reading the record and writing it.
    KeepRead {
        pair: u8,
        new: u8,
        age: u8,
        stale: bool,
    },
    /// Was refused, and waits for whoever may explain it.
    Doubting {
        pair: u8,
        age: u8,
    },
    /// Is about to say what has become of the member.
    Reporting {
        fate: Fate,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// By how much the clock of the second process is ahead of the first one's.
    ahead: i8,
    /// The pair that is alive at the server.
    living: u8,
    left: bool,
    record: Record,
    doing: [Doing; 2],
    /// A request nobody waits for, which the server may still work on.
    stray: Option<u8>,
    crashes: u8,
    losses: u8,
    /// Someone who was gone or lost was written back.
    resurrected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Tick,
    /// The process does what comes next.
    Step(usize),
    /// The server works on the request of a process, or on the stray one.
    Serve(usize),
    ServeStray,
    /// The answer does not arrive, or not in time.
    Lose(usize),
    Crash(usize),
    Leave,
    /// The webhook tells that the member has left.
    Tell,
}

struct Protocol(Rules);

impl State {
    /// A lease is of one turn, not of one process: who watches the last one begins anew.
    fn leased(&mut self, process: usize) {
        if let Doing::Watching { .. } = self.doing[1 - process] {
            self.doing[1 - process] = Doing::Nothing;
        }
        self.wrote(process);
    }

    fn wrote(&mut self, writer: usize) {
        let other = &mut self.doing[1 - writer];
        match other {
            Doing::Read { stale, .. } | Doing::KeepRead { stale, .. } => *stale = true,
            _ => {}
        }
    }

    /// Whether the server takes the refresh token of this pair, which then rotates.
    fn serve(&mut self, pair: u8) -> Option<u8> {
        if self.left || pair != self.living {
            return None;
        }
        self.living += 1;
        Some(self.living)
    }

    fn holds(&self, process: usize) -> bool {
        let me = Holder::Process(u8::try_from(process).unwrap());
        self.record.lease.is_some_and(|lease| lease.holder == me)
    }

    fn give_back(&mut self, process: usize, unanswered: bool) {
        if self.holds(process) {
            self.record.lease = None;
            self.record.unanswered = unanswered;
            self.wrote(process);
        }
    }

    /// By how much this process's clock is ahead of the one of the lease's writer.
    fn ahead_of(&self, process: usize, lease: Lease) -> i8 {
        match (process, lease.holder.process()) {
            (1, 0) => self.ahead,
            (0, 1) => -self.ahead,
            _ => 0,
        }
    }

    /// What the clock of this process says of the lease's end: how long ago it was.
    fn over_by(&self, process: usize, lease: Lease) -> i8 {
        let age = i8::try_from(lease.age).unwrap() + self.ahead_of(process, lease);
        age - i8::try_from(LEASE).unwrap()
    }
}

impl Protocol {
    fn step(&self, state: &mut State, process: usize) -> bool {
        let rules = self.0;
        let record = state.record;
        match state.doing[process] {
            Doing::Nothing | Doing::Watching { .. } => {
                if record.fate.is_some() || record.pair >= LAST_PAIR {
                    let idle = state.doing[process] == Doing::Nothing;
                    state.doing[process] = Doing::Nothing;
                    return !idle;
                }
                if let Some(lease) = record.lease
                    && rules.lease
                    && !self.is_over(state, process, lease)
                {
                    let seen = match state.doing[process] {
                        Doing::Watching { holder, age } if holder == lease.holder => age,
                        _ => 0,
                    };
                    let watching = Doing::Watching {
                        holder: lease.holder,
                        age: seen,
                    };
                    let news = state.doing[process] != watching;
                    state.doing[process] = watching;
                    return news;
                }
                state.doing[process] = Doing::Read {
                    record,
                    stale: false,
                };
            }
            Doing::Read { stale: true, .. } => state.doing[process] = Doing::Nothing,
            Doing::Read { record: read, .. } => {
                let holder = Holder::Process(u8::try_from(process).unwrap());
                state.record.lease = Some(Lease { holder, age: 0 });
                state.record.unanswered = read.unanswered || rules.unanswered;
                state.leased(process);
                state.doing[process] = Doing::LeasedEvent {
                    pair: read.pair,
                    before: read.unanswered,
                    age: 0,
                };
            }
            Doing::LeasedEvent { pair, before, age } => {
                if rules.fresh && age > FRESH {
                    state.give_back(process, before);
                    state.doing[process] = Doing::Nothing;
                } else {
                    let age = 0;
                    state.doing[process] = Doing::Sent { pair, before, age };
                }
            }
            Doing::Sent { .. } => return false,
            Doing::Answered {
                pair,
                new: Some(new),
                ..
            } => {
                state.doing[process] = Doing::Keeping { pair, new, age: 0 };
            }
            Doing::Answered {
                pair,
                before,
                new: None,
                ..
            } => {
                if record.fate.is_some() || record.pair != pair {
                    state.doing[process] = Doing::Nothing;
                } else if !before && (state.holds(process) || !rules.alone) {
                    state.doing[process] = Doing::Reporting { fate: Fate::Gone };
                } else {
                    state.give_back(process, true);
                    state.doing[process] = Doing::Doubting { pair, age: 0 };
                }
            }
            Doing::Keeping { pair, new, age } => {
                if rules.compare && (record.fate.is_some() || record.pair != pair) {
                    state.doing[process] = Doing::Nothing;
                } else {
                    let stale = false;
                    state.doing[process] = Doing::KeepRead {
                        pair,
                        new,
                        age,
                        stale,
                    };
                }
            }
            Doing::KeepRead {
                pair,
                new,
                age,
                stale,
            } => {
                if stale && rules.compare {
                    state.doing[process] = Doing::Keeping { pair, new, age };
                } else {
                    state.resurrected |= record.fate.is_some();
                    state.record = Record {
                        pair: new,
                        lease: None,
                        unanswered: false,
                        fate: None,
                    };
                    state.wrote(process);
                    state.doing[process] = Doing::Nothing;
                }
            }
            Doing::Doubting { pair, age } => {
                if record.fate.is_some() || record.pair != pair {
                    state.doing[process] = Doing::Nothing;
                } else if age >= GRACE || !rules.grace {
                    state.doing[process] = Doing::Reporting { fate: Fate::Lost };
                } else {
                    return false;
                }
            }
            Doing::Reporting { fate } => {
                if record.fate.is_none() {
                    state.record.fate = Some(fate);
                    state.record.lease = None;
                    state.wrote(process);
                }
                state.doing[process] = Doing::Nothing;
            }
        }
        true
    }

    fn is_over(&self, state: &State, process: usize, lease: Lease) -> bool {
        let over_by = state.over_by(process, lease);
        if !self.0.monotonic {
            return over_by >= 0;
        }
        if over_by > i8::try_from(MAX_SKEW).unwrap() {
            return true;
        }
        matches!(
            state.doing[process],
            Doing::Watching { holder, age } if holder == lease.holder && age >= LEASE
        )
    }

    /// One step of time, unless someone has to do something before.
    fn tick(state: &mut State) -> bool {
        for doing in &mut state.doing {
            match doing {
                Doing::Sent { age, .. } | Doing::Answered { age, .. } if *age >= TIMEOUT => {
                    return false;
                }
                Doing::Keeping { age, .. } | Doing::KeepRead { age, .. } if *age >= KEEP => {
                    return false;
                }
                // Between two reads and writes that follow each other no time passes that counts.
                Doing::Reporting { .. } => return false,
                _ => {}
            }
        }
        for doing in &mut state.doing {
            let (age, most) = match doing {
                Doing::Watching { age, .. } => (age, LEASE),
                Doing::LeasedEvent { age, .. } => (age, LEASE + 1),
                Doing::Sent { age, .. } | Doing::Answered { age, .. } => (age, TIMEOUT),
                Doing::Keeping { age, .. } | Doing::KeepRead { age, .. } => (age, KEEP),
                Doing::Doubting { age, .. } => (age, GRACE),
                _ => continue,
            };
            *age = most.min(*age + 1);
        }
        if let Some(lease) = &mut state.record.lease {
            lease.age = (LEASE + 2 * MAX_SKEW + 1).min(lease.age + 1);
        }
        true
    }

    fn crash(state: &mut State, process: usize) {
        if let Doing::Sent { pair, .. } = state.doing[process] {
            state.stray = Some(pair);
        }
        let number = u8::try_from(process).unwrap();
        if let Some(lease) = &mut state.record.lease
            && lease.holder == Holder::Process(number)
        {
            lease.holder = Holder::Dead(number);
            if let Doing::Watching { holder, .. } = &mut state.doing[1 - process] {
                *holder = Holder::Dead(number);
            }
        }
        state.doing[process] = Doing::Nothing;
        state.crashes -= 1;
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let skew = i8::try_from(MAX_SKEW).unwrap();
        [-skew, skew]
            .map(|ahead| State {
                ahead,
                living: 1,
                left: false,
                record: Record {
                    pair: 1,
                    lease: None,
                    unanswered: false,
                    fate: None,
                },
                doing: [Doing::Nothing; 2],
                stray: None,
                crashes: 1,
                losses: 1,
                resurrected: false,
            })
            .to_vec()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend([
            Action::Tick,
            Action::ServeStray,
            Action::Leave,
            Action::Tell,
        ]);
        for process in 0..2 {
            actions.extend([
                Action::Step(process),
                Action::Serve(process),
                Action::Lose(process),
            ]);
            if state.crashes > 0 && state.doing[process] != Doing::Nothing {
                actions.push(Action::Crash(process));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let happened = match action {
            Action::Tick => Self::tick(&mut state),
            Action::Step(process) => self.step(&mut state, process),
            Action::Serve(process) => match state.doing[process] {
                Doing::Sent { pair, before, age } => {
                    let new = state.serve(pair);
                    state.doing[process] = Doing::Answered {
                        pair,
                        before,
                        age,
                        new,
                    };
                    true
                }
                _ => false,
            },
            Action::ServeStray => match state.stray.take() {
                Some(pair) => {
                    let _ = state.serve(pair);
                    true
                }
                None => false,
            },
            Action::Lose(process) => match state.doing[process] {
                // Not in time, or lost on the way.
                Doing::Sent { pair, age, .. } if age >= TIMEOUT || state.losses > 0 => {
                    state.losses = state.losses.saturating_sub(u8::from(age < TIMEOUT));
                    state.stray = Some(pair);
                    state.give_back(process, true);
                    state.doing[process] = Doing::Nothing;
                    true
                }
                Doing::Answered { age, .. } if age >= TIMEOUT || state.losses > 0 => {
                    state.losses = state.losses.saturating_sub(u8::from(age < TIMEOUT));
                    state.give_back(process, true);
                    state.doing[process] = Doing::Nothing;
                    true
                }
                // The store was away for too long.
                Doing::Keeping { age, .. } | Doing::KeepRead { age, .. } if age >= KEEP => {
                    state.doing[process] = Doing::Nothing;
                    true
                }
                _ => false,
            },
            Action::Crash(process) => {
                Self::crash(&mut state, process);
                true
            }
            Action::Leave => !std::mem::replace(&mut state.left, true),
            Action::Tell if state.left && state.record.fate.is_none() => {
                state.record.fate = Some(Fate::Gone);
                state.record.lease = None;
                state.wrote(0);
                state.wrote(1);
                true
            }
            Action::Tell => false,
        };
        (happened && state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn awaited(doing: Doing) -> Option<u8> {
            match doing {
                Doing::Sent { pair, .. } | Doing::Answered { pair, .. } => Some(pair),
                _ => None,
            }
        }
        fn held(doing: Doing) -> Option<u8> {
            match doing {
                Doing::Keeping { new, .. } | Doing::KeepRead { new, .. } => Some(new),
                Doing::Answered { new, .. } => new,
                _ => None,
            }
        }
        vec![
            Property::always("one use of a token at a time", |_, state: &State| {
                let [one, other] = state.doing.map(awaited);
                one.is_none() || one != other
            }),
            Property::always("gone means left", |_, state: &State| {
                state.record.fate != Some(Fate::Gone) || state.left
            }),
            Property::always("lost means that nobody has the pair", |_, state: &State| {
                let anyone = state.doing.map(held).contains(&Some(state.living));
                let lost = state.record.fate == Some(Fate::Lost);
                !lost || state.left || !anyone && state.record.pair != state.living
            }),
            Property::always("nobody is written back", |_, state: &State| {
                !state.resurrected
            }),
            Property::sometimes("a pair is kept", |_, state: &State| {
                state.record.pair == LAST_PAIR
            }),
            Property::sometimes("who left is found", |_, state: &State| {
                state.record.fate == Some(Fate::Gone)
            }),
            Property::sometimes("a lost pair is found out", |_, state: &State| {
                state.record.fate == Some(Fate::Lost) && !state.left
            }),
        ]
    }
}

#[test]
fn no_order_of_steps_uses_a_token_twice_or_forgets_a_member() {
    let checked = Protocol(ALL).checker().threads(2).spawn_bfs().join();
    checked.assert_properties();
    // Not a walk that ended at the first corner.
    assert!(
        checked.unique_state_count() > 10_000,
        "{}",
        checked.unique_state_count()
    );
}

#[test]
fn each_rule_is_needed() {
    for (what, rules, broken) in [
        (
            "leases",
            Rules {
                lease: false,
                ..ALL
            },
            "one use of a token at a time",
        ),
        (
            "the monotonic clock",
            Rules {
                monotonic: false,
                ..ALL
            },
            "one use of a token at a time",
        ),
        (
            "the look at the time",
            Rules {
                fresh: false,
                ..ALL
            },
            "one use of a token at a time",
        ),
        (
            "writing down first",
            Rules {
                unanswered: false,
                ..ALL
            },
            "gone means left",
        ),
        (
            "the doubt about a lease that was taken over",
            Rules {
                fresh: false,
                alone: false,
                ..ALL
            },
            "gone means left",
        ),
        (
            "the grace",
            Rules {
                grace: false,
                ..ALL
            },
            "lost means that nobody has the pair",
        ),
        (
            "the comparison",
            Rules {
                compare: false,
                ..ALL
            },
            "nobody is written back",
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
            "without {what} nothing was found"
        );
    }
}
