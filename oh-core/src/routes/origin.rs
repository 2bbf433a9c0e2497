//! Whether a request comes from this app's own pages.

use http::HeaderMap;
use http::header::ORIGIN;
use url::Url;

/// Where a browser says a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestOrigin {
    /// This app's pages, the address bar, or something that is not a browser.
    SameOrigin,
    /// Another origin, be it one of the same site.
    CrossSite,
}

/// Reads `Sec-Fetch-Site`, which pages cannot set, and `Origin` in browsers that lack it. A
/// request with neither is not from a browser, or from one that would show its session to anyone.
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
            let here = app.origin().ascii_serialization();
            if origin.as_bytes() == here.as_bytes() {
                RequestOrigin::SameOrigin
            } else {
                RequestOrigin::CrossSite
            }
        }
    }
}

/// Whether a browser may have kept `SameSite=Strict` cookies back from this request.
pub(super) fn keeps_strict_cookies_back(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| site.as_bytes() == b"cross-site")
}

/// Whether a person is looking at the answer, rather than a program.
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
    fn the_browser_tells() {
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
    fn what_the_browser_adds_itself_counts_more() {
        let pairs = [
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://app.example"),
        ];
        assert_eq!(from(&pairs), RequestOrigin::CrossSite);
    }
}
