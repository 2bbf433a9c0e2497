//! What the ledger may say of a failure: its text, short, on one line, without the member's id.

use std::error::Error;

use crate::deauth::event::DeauthEvent;

const LONGEST: usize = 500;

/// The text of an error with its causes.
pub(super) fn of_error(error: &(dyn Error + 'static), event: &DeauthEvent) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Many errors repeat their cause in their own text.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    of_text(&text, event)
}

/// The text of a panic.
pub(super) fn of_panic(panic: &(dyn std::any::Any + Send), event: &DeauthEvent) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word");
    of_text(&format!("the handler panicked: {text}"), event)
}

fn of_text(text: &str, event: &DeauthEvent) -> String {
    // First what could split the id, then the id, then what could cut it in two.
    let text: String = text
        .chars()
        .map(|c| if c == '\n' || c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    let text = text.replace(event.member.as_str(), event.pseudonym.as_str());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::deauth::event::{Discovery, ErasureRequest, EventId, Pseudonym};
    use crate::transport::BoxError;

    fn event() -> DeauthEvent {
        DeauthEvent {
            id: EventId::new("e"),
            member: "01026778".parse().unwrap(),
            pseudonym: Pseudonym::new("feed"),
            erasure: ErasureRequest::Requested,
            discovery: Discovery::Webhook,
            left_at: Timestamp::UNIX_EPOCH,
            received_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_id_is_replaced_even_in_disguise() {
        for text in ["member 01026778: gone", "member 0102\u{0}6778: gone"] {
            let error = BoxError::from(text);
            assert_eq!(of_error(&*error, &event()), "member feed: gone");
        }
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot delete")]
        struct Outer(#[source] BoxError);
        let error = Outer(BoxError::from("disk full\nof 01026778"));
        assert_eq!(
            of_error(&error, &event()),
            "cannot delete: disk full of feed"
        );
    }

    #[test]
    fn long_texts_are_cut_and_never_through_the_id() {
        let text = format!("{}01026778", "ä".repeat(LONGEST - 2));
        let note = of_error(&*BoxError::from(text), &event());
        assert_eq!(note.chars().count(), LONGEST + 1);
        assert!(note.ends_with("fe…"), "{note}");
    }

    #[test]
    fn a_panic_is_told() {
        let panic: Box<dyn std::any::Any + Send> = Box::new("lost 01026778".to_owned());
        assert_eq!(
            of_panic(&*panic, &event()),
            "the handler panicked: lost feed"
        );
    }
}
