//! Detection of Django template syntax in messages.
//!
//! Open Humans interprets every message as a template. It accepts and queues a malformed template,
//! but never delivers it, and replaces unknown variables by nothing.
//!
//! Source: Django's documentation, "The Django template language"; `PROJECT_MEMBER_ID` from Open
//! Humans' "OAuth2 Project API", section on messages.

/// Returns the problem of a text that contains template syntax other than the recipient's id.
pub(crate) fn problem(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        let Some((inside, kind, after)) = next(rest) else {
            // A single brace is text.
            rest = &rest[1..];
            continue;
        };
        let shown: String = rest[..inside.len() + 4].chars().take(40).collect();
        match kind {
            Kind::Comment => {}
            Kind::Tag => {
                return Some(format!("Open Humans interprets {shown} as a template tag"));
            }
            Kind::Variable if inside.trim() == "PROJECT_MEMBER_ID" => {}
            Kind::Variable => {
                return Some(format!(
                    "Open Humans interprets {shown} as a template variable, and only defines \
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

/// Splits the text after a template element at its start. An element ends on its line.
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
    fn template_problem_accepts_text_and_recipient_id() {
        for good in [
            "Hello",
            "Hello {{ PROJECT_MEMBER_ID }}, {{PROJECT_MEMBER_ID}}",
            "a { b } c {",
            "{",
            "broken {{ x",
            "over {{ two\nlines }}",
            "{# a comment #}",
            "100 % }} sure %}",
        ] {
            assert_eq!(problem(good), None, "{good}");
        }
    }

    #[test]
    fn template_problem_rejects_tags_and_unknown_variables() {
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
