//! The text that the ledger records for a failed attempt: short, on one line, without the member id.

use std::error::Error;

use crate::deauth::event::DeauthEvent;

const MAX_CHARS: usize = 500;

/// The text of an error and its sources.
pub(super) fn of_error(error: &(dyn Error + 'static), event: &DeauthEvent) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        // Many errors repeat their source in their own text.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    sanitize(&text, event)
}

/// The text of a panic.
pub(super) fn of_panic(panic: &(dyn std::any::Any + Send), event: &DeauthEvent) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    sanitize(&format!("the handler panicked: {text}"), event)
}

fn sanitize(text: &str, event: &DeauthEvent) -> String {
    // Control characters could split the id, so they go first. Truncating could cut the id in two,
    // so it comes last.
    let text: String = text
        .chars()
        .map(|c| if c == '\n' || c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    let text = text.replace(event.member.as_str(), event.pseudonym.as_str());
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::test_support;
    use super::*;
    use crate::deauth::event::Pseudonym;
    use crate::transport::BoxError;

    /// An event of member 00000007 with the pseudonym "feed".
    fn event() -> DeauthEvent {
        DeauthEvent {
            pseudonym: Pseudonym::new("feed"),
            ..test_support::event(7)
        }
    }

    #[test]
    fn error_note_replaces_member_id_and_lists_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot delete")]
        struct Outer(#[source] BoxError);
        let outer = |source: &str| Outer(source.into()).into();
        let errors: [(BoxError, &str); 3] = [
            ("member 00000007: gone".into(), "member feed: gone"),
            ("member 0000\u{0}0007: gone".into(), "member feed: gone"),
            (
                outer("disk full\nof 00000007"),
                "cannot delete: disk full of feed",
            ),
        ];
        for (error, note) in errors {
            assert_eq!(of_error(&*error, &event()), note);
        }
    }

    #[test]
    fn error_note_is_truncated_after_member_id_is_replaced() {
        let text = format!("{}00000007", "ä".repeat(MAX_CHARS - 2));
        let note = of_error(&*BoxError::from(text), &event());
        assert_eq!(note.chars().count(), MAX_CHARS + 1);
        assert!(note.ends_with("fe…"), "{note}");
    }

    #[test]
    fn panic_note_replaces_member_id() {
        let panic: Box<dyn std::any::Any + Send> = Box::new("lost 00000007".to_owned());
        assert_eq!(
            of_panic(&*panic, &event()),
            "the handler panicked: lost feed"
        );
    }
}
