//! Which addresses secrets may be sent to.

use url::{Host, Url};

/// Why an address cannot be one that secrets are sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBaseUrl {
    /// It is not a URL at all.
    #[error("it is not a URL ({0})")]
    NotAUrl(#[from] url::ParseError),
    /// It holds a user name or a password.
    #[error("it has credentials in it")]
    Credentials,
    /// It has a part after `#`.
    #[error("it has a fragment")]
    Fragment,
    /// It is plain http, and not this machine.
    #[error("plain http would send secrets in the clear; only loopback may")]
    PlainHttp,
    /// Its scheme is neither https nor http.
    #[error("it is not an https address")]
    Scheme,
}

/// Reads an address that secrets may be sent to: https, or http on this machine, without
/// credentials and without a fragment.
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
/// What is wrong with it.
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

/// Whether a URL's host is this machine itself.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
