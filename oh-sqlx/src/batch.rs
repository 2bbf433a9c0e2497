//! Events that are accepted together.

use std::collections::HashSet;

use oh_core::deauth::{Accepted, DeauthEvent, TokenOutcome};

use crate::errors::Failure;
use crate::writer::{Job, Reply};

/// An event to accept.
pub(crate) struct AcceptJob {
    pub(crate) event: DeauthEvent,
    pub(crate) reply: Reply<Accepted>,
}

impl Job for AcceptJob {
    fn reply(self, result: Result<(), Failure>) {
        self.reply.send(result);
    }
}

/// Splits events into runs in which no member and no event occurs twice. One statement can change a row
/// only once, and the second event of a member must see the effect of the first.
pub(crate) fn runs<'a>(
    events: &'a [&'a DeauthEvent],
) -> impl Iterator<Item = &'a [&'a DeauthEvent]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let (mut members, mut ids) = (HashSet::new(), HashSet::new());
        let end = rest
            .iter()
            .position(|event| !members.insert(&event.member) || !ids.insert(&event.id))
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        (!run.is_empty()).then_some(run)
    })
}

/// The events of a run whose ids were inserted. The others existed before.
pub(crate) fn inserted<'a>(
    run: &[&'a DeauthEvent],
    inserted: &HashSet<String>,
) -> Vec<&'a DeauthEvent> {
    let is_new = |event: &&&DeauthEvent| inserted.contains(event.id.as_str());
    run.iter().filter(is_new).copied().collect()
}

/// The outcome of each event of a run. `left` are the members whose tokens were destroyed; `None` if
/// the tokens are in another database.
pub(crate) fn outcomes(
    run: &[&DeauthEvent],
    inserted: &HashSet<String>,
    left: Option<&HashSet<String>>,
) -> impl Iterator<Item = Accepted> {
    run.iter().map(move |event| {
        if !inserted.contains(event.id.as_str()) {
            return Accepted::Duplicate;
        }
        Accepted::New(match left {
            None => TokenOutcome::Untouched,
            Some(left) if left.contains(event.member.as_str()) => TokenOutcome::Destroyed,
            Some(_) => TokenOutcome::Stale,
        })
    })
}
