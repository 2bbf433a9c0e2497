//! Where a login leads back to: a path of this app and nothing else.
//!
//! A return path comes from the address bar, so anyone can write it. Browsers read `\` as `/`,
//! drop tabs and newlines, and take `//host` for another site; all of that is refused, also when
//! percent-encoded, so that no proxy or framework that decodes once more can be led astray.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// A path of this app, with query and fragment if it had any.
///
/// ```
/// use oh_core::login::ReturnPath;
///
/// assert_eq!(ReturnPath::parse("/files?page=2")?.as_str(), "/files?page=2");
/// for elsewhere in ["//evil", r"/\evil", "https:evil", "/%2Fevil", "/\t/evil", "evil", ""] {
///     assert!(ReturnPath::parse(elsewhere).is_err());
/// }
/// let path: ReturnPath = "/files?page=2".parse()?;
/// assert_eq!(path.to_string(), "/files?page=2");
/// # Ok::<(), oh_core::login::InvalidReturnPath>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPath(String);

/// The text could lead away from this app.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a path of this app")]
pub struct InvalidReturnPath;

impl ReturnPath {
    /// The longest accepted, in bytes: the path travels in a cookie.
    pub const MAX_LEN: usize = 1024;

    /// Takes a path of this app.
    ///
    /// # Errors
    ///
    /// For anything that a browser could take for another site, and for what is too long.
    pub fn parse(text: &str) -> Result<Self, InvalidReturnPath> {
        if text.len() > Self::MAX_LEN || !text.bytes().all(is_url_byte) || !stays_here(text) {
            return Err(InvalidReturnPath);
        }
        // Only the path decides where a browser goes; what a query holds stays a query.
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let mut decoded = path.to_owned();
        for _ in 0..3 {
            let next = percent_decode_str(&decoded)
                .decode_utf8_lossy()
                .into_owned();
            if !stays_here(&next) {
                return Err(InvalidReturnPath);
            }
            if next == decoded {
                return Ok(Self(text.to_owned()));
            }
            decoded = next;
        }
        Err(InvalidReturnPath)
    }

    /// The path, fit for a `Location` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Printable ASCII without what a URL has to encode (RFC 3986 appendix A), so that the path fits
/// a header and JSON as it is.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\`".contains(&byte)
}

/// A path that begins with exactly one slash, with nothing in it that browsers rewrite.
fn stays_here(text: &str) -> bool {
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

/// As [`ReturnPath::parse`].
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
    fn paths_of_this_app_are_kept_letter_for_letter() {
        for good in [
            "/",
            "/a",
            "/a/b?c=d&e=%2F%2F",
            "/a#b",
            "/a?next=//x",
            "/%C3%A9",
            "/a%20b",
        ] {
            assert_eq!(ReturnPath::parse(good).map(|p| p.0), Ok(good.to_owned()));
        }
    }

    #[test]
    fn text_parses_into_a_path_as_parse_has_it() {
        for text in ["/", "/a/b?c=d#e"] {
            let path: ReturnPath = text.parse().unwrap();
            assert_eq!((path.as_str(), path.to_string()), (text, text.to_owned()));
        }
        assert_eq!("//evil".parse::<ReturnPath>(), Err(InvalidReturnPath));
    }

    #[test]
    fn ways_out_are_refused() {
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
            assert_eq!(ReturnPath::parse(bad), Err(InvalidReturnPath), "{bad:?}");
        }
        assert!(ReturnPath::parse(&format!("/{}", "a".repeat(1024))).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_on_the_site(text in r"[/\\a-z%0-9A-F.:@?#\t\n ]{0,24}") {
            if let Ok(path) = ReturnPath::parse(&text) {
                let base = Url::parse("https://app.example/openhumans/login").unwrap();
                let target = base.join(path.as_str()).unwrap();
                prop_assert_eq!(target.origin(), base.origin());
            }
        }
    }
}
