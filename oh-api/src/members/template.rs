//! Messages are Django templates to Open Humans, whether their writers know it or not.
//!
//! One that is not well formed is accepted, queued, and never arrives; a name Open Humans does not
//! know leaves a hole. So both are found before a message is sent.
//!
//! Source: Django's documentation, "The Django template language"; `PROJECT_MEMBER_ID` from Open
//! Humans' "OAuth2 Project API", section on messages.

/// What is wrong with a text as a template, if it is not simply text and the receiver's id.
pub(crate) fn problem(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        let Some((inside, kind, after)) = next(rest) else {
            // A brace that begins nothing is text.
            rest = &rest[1..];
            continue;
        };
        let shown: String = rest[..inside.len() + 4].chars().take(40).collect();
        match kind {
            Kind::Comment => {}
            Kind::Tag => {
                return Some(format!(
                    "Open Humans would read {shown} in it as a template's tag"
                ));
            }
            Kind::Variable if inside.trim() == "PROJECT_MEMBER_ID" => {}
            Kind::Variable => {
                return Some(format!(
                    "Open Humans would read {shown} in it as a template's variable, and knows only \
                     {{{{ PROJECT_MEMBER_ID }}}}"
                ));
            }
        }
        rest = after;
    }
    None
}

enum Kind {
    Variable,
    Tag,
    Comment,
}

/// What is between the braces at the beginning, and what follows. They must end on their line.
fn next(text: &str) -> Option<(&str, Kind, &str)> {
    let (close, kind) = match text.as_bytes().get(1)? {
        b'{' => ("}}", Kind::Variable),
        b'%' => ("%}", Kind::Tag),
        b'#' => ("#}", Kind::Comment),
        _ => return None,
    };
    let (inside, after) = text[2..].split_once(close)?;
    (!inside.contains('\n')).then_some((inside, kind, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_the_receivers_id_arrive() {
        for good in [
            "Hello",
            "Hello {{ PROJECT_MEMBER_ID }}, {{PROJECT_MEMBER_ID}}",
            "a { b } c {",
            "{",
            "broken {{ x",
            "over {{ two\nlines }}",
            "{# nobody sees this #}",
            "100 % }} sure %}",
        ] {
            assert_eq!(problem(good), None, "{good}");
        }
    }

    #[test]
    fn what_keeps_a_message_from_arriving_is_found() {
        for (bad, named) in [
            ("{% nosuch %}", "{% nosuch %}"),
            ("a {{ }}", "{{ }}"),
            ("a {{ name }}", "{{ name }}"),
            ("{{ PROJECT_MEMBER_ID|nosuch }}", "|nosuch"),
            ("{{ PROJECT_MEMBER_ID }} {% if x %}", "{% if x %}"),
            ("{{{ PROJECT_MEMBER_ID }}}", "{{{ PROJECT"),
            ("{é {{ é }}", "{{ é }}"),
        ] {
            let problem = problem(bad).unwrap_or_default();
            assert!(problem.contains(named), "{bad}: {problem}");
        }
    }
}
