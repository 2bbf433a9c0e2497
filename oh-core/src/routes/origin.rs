//! The origin of a request, as the browser states it.

use http::HeaderMap;
use http::header::ORIGIN;
use url::Url;

/// The origin of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestOrigin {
    /// A page of this application, the address bar, or a program that is not a browser.
    SameOrigin,
    /// Another origin, even if it is of the same site.
    CrossSite,
}

/// Reads `Sec-Fetch-Site`, which pages cannot set, and `Origin` if a browser lacks it. A request
/// without either header does not come from a current browser.
pub(super) fn of(headers: &HeaderMap, app: &Url) -> RequestOrigin {
    if let Some(site) = headers.get("sec-fetch-site") {
        return match site.as_bytes() {
            b"same-origin" | b"none" => RequestOrigin::SameOrigin,
            _ => RequestOrigin::CrossSite,
        };
    }
    match headers.get(ORIGIN) {
        None => RequestOrigin::SameOrigin,
        Some(origin) => {
            let own = app.origin().ascii_serialization();
            if origin.as_bytes() == own.as_bytes() {
                RequestOrigin::SameOrigin
            } else {
                RequestOrigin::CrossSite
            }
        }
    }
}

/// Whether a browser may have withheld `SameSite=Strict` cookies from this request.
pub(super) fn withholds_strict_cookies(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site.as_bytes() == b"cross-site")
}

/// Whether the response is shown to a person.
pub(super) fn is_navigation(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode.as_bytes() == b"navigate",
        None => headers
            .get_all(http::header::ACCEPT)
            .iter()
            .filter_map(|accept| accept.to_str().ok())
            .any(|accept| accept.to_ascii_lowercase().contains("text/html")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&'static str, &str)]) -> RequestOrigin {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        of(&headers, &Url::parse("https://app.example/x").unwrap())
    }

    #[test]
    fn origin_reads_sec_fetch_site_and_origin() {
        assert_eq!(from(&[]), RequestOrigin::SameOrigin);
        assert_eq!(
            from(&[("sec-fetch-site", "none")]),
            RequestOrigin::SameOrigin
        );
        assert_eq!(
            from(&[("sec-fetch-site", "same-origin")]),
            RequestOrigin::SameOrigin
        );
        assert_eq!(
            from(&[("sec-fetch-site", "same-site")]),
            RequestOrigin::CrossSite
        );
        assert_eq!(
            from(&[("sec-fetch-site", "cross-site")]),
            RequestOrigin::CrossSite
        );
        assert_eq!(
            from(&[("origin", "https://app.example")]),
            RequestOrigin::SameOrigin
        );
        assert_eq!(
            from(&[("origin", "https://app.example.evil")]),
            RequestOrigin::CrossSite
        );
        assert_eq!(from(&[("origin", "null")]), RequestOrigin::CrossSite);
    }

    #[test]
    fn origin_prefers_sec_fetch_site() {
        let pairs = [
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://app.example"),
        ];
        assert_eq!(from(&pairs), RequestOrigin::CrossSite);
    }
}
