//! What the one who asks would like: which form, and which language.

use http::header::{ACCEPT, ACCEPT_LANGUAGE, AsHeaderName, HeaderMap};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Html,
    Json,
}

/// JSON for those who say they would rather have it; pages for everyone else (RFC 9110,
/// section 12.5.1).
pub(crate) fn form(headers: &HeaderMap) -> Form {
    let wanted = preferences(headers, ACCEPT);
    let quality = |kind: &str| {
        let of = |name: &str| wanted.iter().find(|(value, _)| value == name);
        let group = kind.split('/').next().unwrap_or_default();
        of(kind)
            .or_else(|| of(&format!("{group}/*")))
            .or_else(|| of("*/*"))
            .map_or(0, |(_, quality)| *quality)
    };
    if quality("application/json") > quality("text/html") {
        Form::Json
    } else {
        Form::Html
    }
}

/// The languages asked for, the dearest first, in lower case: `de-at`, `en`.
pub(crate) fn languages(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let mut wanted = preferences(headers, ACCEPT_LANGUAGE);
    wanted.retain(|(_, quality)| *quality > 0);
    wanted.sort_by_key(|(_, quality)| std::cmp::Reverse(*quality));
    wanted.into_iter().map(|(value, _)| value)
}

/// The values of a header with their qualities, in thousandths.
fn preferences(headers: &HeaderMap, name: impl AsHeaderName) -> Vec<(String, u16)> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .take(50)
        .filter_map(|part| {
            let mut pieces = part.split(';').map(str::trim);
            let value = pieces.next()?.to_ascii_lowercase();
            let quality = pieces.find_map(|piece| piece.strip_prefix("q="));
            let quality = quality.map_or(Some(1.0), |q| q.parse::<f32>().ok())?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to what fits"
            )]
            Some((value, (quality.clamp(0.0, 1.0) * 1000.0) as u16))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn browsers_get_pages_and_programs_what_they_ask_for() {
        let of = |accept: &str| form(&headers("accept", accept));
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(of(browser), Form::Html);
        assert_eq!(of("*/*"), Form::Html);
        assert_eq!(of("application/json"), Form::Json);
        assert_eq!(of("application/json, text/html;q=0.5"), Form::Json);
        assert_eq!(of("application/json;q=0.4, text/*"), Form::Html);
        assert_eq!(of("application/*, text/html;q=0"), Form::Json);
        assert_eq!(of("application/json;q=nonsense"), Form::Html);
        assert_eq!(form(&HeaderMap::new()), Form::Html);
    }

    #[test]
    fn languages_come_by_how_dear_they_are() {
        let of = |text: &str| languages(&headers("accept-language", text)).collect::<Vec<_>>();
        assert_eq!(of("en;q=0.5, de-AT, fr;q=0.7"), ["de-at", "fr", "en"]);
        assert_eq!(of("de;q=0, *"), ["*"]);
        assert!(of(";;;,,").iter().all(String::is_empty));
    }
}
