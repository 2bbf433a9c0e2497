//! Validation of URLs that secrets are sent to.

use url::{Host, Url};

/// The reason why secrets cannot be sent to a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBaseUrl {
    /// The text is not a URL.
    #[error("it is not a URL ({0})")]
    NotAUrl(#[from] url::ParseError),
    /// The URL contains a user name or a password.
    #[error("it contains credentials")]
    Credentials,
    /// The URL has a fragment.
    #[error("it has a fragment")]
    Fragment,
    /// The URL uses http with another host than loopback.
    #[error("http would send secrets unencrypted; use https, or http with a loopback address")]
    PlainHttp,
    /// The URL uses neither https nor http.
    #[error("it is not an https URL")]
    Scheme,
}

/// Parses a URL that secrets may be sent to: https, or http with a loopback address, without
/// credentials and fragment.
///
/// ```
/// use oh_api::{InvalidBaseUrl, check_base_url};
///
/// assert!(check_base_url("https://www.openhumans.org").is_ok());
/// assert!(check_base_url("http://127.0.0.1:8001").is_ok());
/// assert_eq!(check_base_url("http://openhumans.org"), Err(InvalidBaseUrl::PlainHttp));
/// ```
///
/// # Errors
///
/// The first rule that the URL violates.
pub fn check_base_url(text: &str) -> Result<Url, InvalidBaseUrl> {
    let url = Url::parse(text)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidBaseUrl::Credentials);
    }
    if url.fragment().is_some() {
        return Err(InvalidBaseUrl::Fragment);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(InvalidBaseUrl::PlainHttp),
        _ => Err(InvalidBaseUrl::Scheme),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
