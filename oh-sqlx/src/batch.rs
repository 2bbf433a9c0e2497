//! Events that arrive together, in pieces that one statement can take.

use std::borrow::Borrow;
use std::collections::HashSet;

use oh_core::deauth::{Accepted, DeauthEvent, TokenOutcome};

/// Cuts a batch so that no member and no event is twice in one piece: one statement can change a
/// row only once, and what comes second must find what came first.
pub(crate) fn runs<E: Borrow<DeauthEvent>>(events: &[E]) -> impl Iterator<Item = &[E]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let (mut members, mut ids) = (HashSet::new(), HashSet::new());
        let end = rest
            .iter()
            .map(Borrow::borrow)
            .position(|e: &DeauthEvent| !members.insert(&e.member) || !ids.insert(&e.id))
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        (!run.is_empty()).then_some(run)
    })
}

/// Those of a run whose ids were `kept`: the others were there before.
pub(crate) fn new<'a, E: Borrow<DeauthEvent>>(
    run: &'a [E],
    kept: &HashSet<String>,
) -> Vec<&'a DeauthEvent> {
    let is_new = |event: &&DeauthEvent| kept.contains(event.id.as_str());
    run.iter().map(Borrow::borrow).filter(is_new).collect()
}

/// What became of each event of a run. `left` are the members who have left by it, where their
/// tokens live in this database.
pub(crate) fn outcomes<E: Borrow<DeauthEvent>>(
    run: &[E],
    kept: &HashSet<String>,
    left: Option<&HashSet<String>>,
) -> impl Iterator<Item = Accepted> {
    run.iter()
        .map(Borrow::borrow)
        .map(move |event: &DeauthEvent| {
            if !kept.contains(event.id.as_str()) {
                return Accepted::Duplicate;
            }
            Accepted::New(match left {
                None => TokenOutcome::Untouched,
                Some(left) if left.contains(event.member.as_str()) => TokenOutcome::Destroyed,
                Some(_) => TokenOutcome::Stale,
            })
        })
}
