//! Content negotiation (RFC 9110, section 12.5): the format and the language of a response.

use http::header::{ACCEPT, ACCEPT_LANGUAGE, AsHeaderName, HeaderMap};

/// The format of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Html,
    Json,
}

/// Returns JSON for clients that prefer it to HTML, and HTML for all others.
pub(crate) fn format(headers: &HeaderMap) -> Format {
    let accepted = preferences(headers, ACCEPT);
    let quality = |media_type: &str| {
        let of = |name: &str| accepted.iter().find(|(value, _)| value == name);
        let group = media_type.split('/').next().unwrap_or_default();
        of(media_type)
            .or_else(|| of(&format!("{group}/*")))
            .or_else(|| of("*/*"))
            .map_or(0, |(_, quality)| *quality)
    };
    if quality("application/json") > quality("text/html") {
        Format::Json
    } else {
        Format::Html
    }
}

/// Returns the accepted languages, the preferred one first, in lower case: `de-at`, `en`.
pub(crate) fn languages(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let mut accepted = preferences(headers, ACCEPT_LANGUAGE);
    accepted.retain(|(_, quality)| *quality > 0);
    accepted.sort_by_key(|(_, quality)| std::cmp::Reverse(*quality));
    accepted.into_iter().map(|(value, _)| value)
}

/// Returns the values of a header with their qualities in thousandths.
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
                reason = "clamped to the range of u16"
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
    fn format_is_json_only_where_it_is_preferred() {
        let of = |accept: &str| format(&headers("accept", accept));
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert_eq!(of(browser), Format::Html);
        assert_eq!(of("*/*"), Format::Html);
        assert_eq!(of("application/json"), Format::Json);
        assert_eq!(of("application/json, text/html;q=0.5"), Format::Json);
        assert_eq!(of("application/json;q=0.4, text/*"), Format::Html);
        assert_eq!(of("application/*, text/html;q=0"), Format::Json);
        assert_eq!(of("application/json;q=nonsense"), Format::Html);
        assert_eq!(format(&HeaderMap::new()), Format::Html);
    }

    #[test]
    fn languages_are_sorted_by_quality() {
        let of = |text: &str| languages(&headers("accept-language", text)).collect::<Vec<_>>();
        assert_eq!(of("en;q=0.5, de-AT, fr;q=0.7"), ["de-at", "fr", "en"]);
        assert_eq!(of("de;q=0, *"), ["*"]);
        assert!(of(";;;,,").iter().all(String::is_empty));
    }
}
