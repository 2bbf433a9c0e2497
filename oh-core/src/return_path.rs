//! The path to redirect to after a login.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// A path of this application, with its query and fragment, that is safe to redirect to.
///
/// Return paths come from a query parameter, so anyone can choose them. Browsers read `\` as `/`,
/// remove tabs and newlines, and treat `//host` as another site. All of these are rejected, also if
/// they are percent-encoded, because a proxy or framework may decode the path once more.
///
/// ```
/// use oh_core::login::ReturnPath;
///
/// let path: ReturnPath = "/files?page=2".parse()?;
/// assert_eq!(path.as_str(), "/files?page=2");
/// for unsafe_path in ["//evil", r"/\evil", "https:evil", "/%2Fevil", "/\t/evil", "evil", ""] {
///     assert!(unsafe_path.parse::<ReturnPath>().is_err());
/// }
/// # Ok::<(), oh_core::login::InvalidReturnPath>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPath(String);

/// A text that is not a safe return path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the return path must be a path of this application with at most {} bytes",
    ReturnPath::MAX_LEN
)]
pub struct InvalidReturnPath;

impl ReturnPath {
    /// Maximum length in bytes: the path travels in a cookie.
    pub(crate) const MAX_LEN: usize = 1024;

    pub(crate) fn parse(text: &str) -> Result<Self, InvalidReturnPath> {
        if text.len() > Self::MAX_LEN || !text.bytes().all(is_url_byte) || !is_local(text) {
            return Err(InvalidReturnPath);
        }
        // Only the path decides which site a browser visits.
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let mut decoded = path.to_owned();
        for _ in 0..3 {
            let next = percent_decode_str(&decoded)
                .decode_utf8_lossy()
                .into_owned();
            if !is_local(&next) {
                break;
            }
            if next == decoded {
                return Ok(Self(text.to_owned()));
            }
            decoded = next;
        }
        Err(InvalidReturnPath)
    }

    /// Returns the path. It is a valid value of the `Location` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a URL can contain this byte unencoded (RFC 3986, appendix A), so that the path needs no
/// escaping in headers and JSON.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\`".contains(&byte)
}

/// Whether the path starts with exactly one slash and contains nothing that browsers rewrite.
fn is_local(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !path.split('/').any(|part| part == "." || part == "..")
        && !text.contains(char::is_control)
}

impl fmt::Display for ReturnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ReturnPath {
    type Err = InvalidReturnPath;

    fn from_str(text: &str) -> Result<Self, InvalidReturnPath> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn return_path_accepts_paths_unchanged() {
        for text in [
            "/",
            "/a",
            "/a/b?c=d&e=%2F%2F",
            "/a/b?c=d#e",
            "/a?next=//x",
            "/%C3%A9",
            "/a%20b",
        ] {
            let path: ReturnPath = text.parse().unwrap();
            assert_eq!((path.as_str(), path.to_string()), (text, text.to_owned()));
        }
    }

    #[test]
    fn return_path_rejects_other_sites() {
        for bad in [
            "",
            "a",
            "//evil",
            "///evil",
            r"/\evil",
            r"\/evil",
            r"\\evil",
            "https:evil",
            "https://evil",
            "javascript:alert(1)",
            "/%2Fevil",
            "/%2fevil",
            "/%5Cevil",
            "/%252Fevil",
            "/%25252525252Fevil",
            "/\t/evil",
            "/\n/evil",
            "/\r\nSet-Cookie: a=b",
            "/%0d%0aX: y",
            "/%09/evil",
            " /a",
            "/a b",
            "/.//evil",
            "/..//evil",
            "/a/..//evil",
            "/%2e%2e//evil",
            "/\u{a0}evil",
            "/\0",
            "/%00",
        ] {
            assert_eq!(bad.parse::<ReturnPath>(), Err(InvalidReturnPath), "{bad:?}");
        }
        assert!(ReturnPath::parse(&format!("/{}", "a".repeat(1024))).is_err());
    }

    proptest! {
        #[test]
        fn return_path_stays_on_the_site_for_any_text(text in r"[/\\a-z%0-9A-F.:@?#\t\n ]{0,24}") {
            if let Ok(path) = ReturnPath::parse(&text) {
                let base = Url::parse("https://app.example/openhumans/login").unwrap();
                let target = base.join(path.as_str()).unwrap();
                prop_assert_eq!(target.origin(), base.origin());
            }
        }
    }
}
