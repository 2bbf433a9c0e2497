//! Redirect URIs.

use url::Url;

/// Returns the redirect URI if it is registered: scheme, host, port and path must match exactly,
/// and additional query parameters are allowed.
pub(crate) fn registered(asked: &str, known: &[Url]) -> Option<Url> {
    let asked = Url::parse(asked).ok()?;
    if asked.fragment().is_some() {
        return None;
    }
    let matches = known.iter().any(|known| {
        let has = |pair| asked.query_pairs().any(|other| other == pair);
        known.scheme() == asked.scheme()
            && known.host_str() == asked.host_str()
            && known.port_or_known_default() == asked.port_or_known_default()
            && known.path() == asked.path()
            && known.query_pairs().all(has)
    });
    matches.then_some(asked)
}

/// Appends form-encoded parameters to a URL, like oauthlib.
pub(crate) fn with(mut url: Url, added: &[(&str, Option<&str>)]) -> Url {
    {
        let mut pairs = url.query_pairs_mut();
        for (key, value) in added {
            if let Some(value) = value {
                pairs.append_pair(key, value);
            }
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Url> {
        vec![Url::parse("http://127.0.0.1:8000/openhumans/complete").unwrap()]
    }

    #[test]
    fn registered_ignores_additional_query_parameters_only() {
        let known = known();
        assert!(registered("http://127.0.0.1:8000/openhumans/complete", &known).is_some());
        assert!(registered("http://127.0.0.1:8000/openhumans/complete?x=1", &known).is_some());
        for other in [
            "http://127.0.0.1:8000/openhumans/complete/",
            "http://127.0.0.1:9999/openhumans/complete",
            "http://localhost:8000/openhumans/complete",
            "https://127.0.0.1:8000/openhumans/complete",
            "http://127.0.0.1:8000/openhumans/complete#x",
            "nonsense",
        ] {
            assert!(registered(other, &known).is_none(), "{other}");
        }
    }

    #[test]
    fn redirect_appends_form_encoded_parameters() {
        let url = Url::parse("http://app.test/back?x=1").unwrap();
        let url = with(
            url,
            &[
                ("code", Some("c")),
                ("state", Some("abc xyz/+=&é")),
                ("origin", None),
            ],
        );
        assert_eq!(
            url.as_str(),
            "http://app.test/back?x=1&code=c&state=abc+xyz%2F%2B%3D%26%C3%A9"
        );
    }
}
