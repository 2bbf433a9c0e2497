//! The proxy settings of the environment.
//!
//! `hyper-util` selects the proxy. This module rejects values that it would ignore, and supports the
//! common forms of `NO_PROXY` that it does not.

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use url::Url;

use super::TransportError;

/// The port of a SOCKS proxy whose URL has none.
const SOCKS_PORT: u16 = 1080;

pub(super) struct Proxies {
    matcher: Matcher,
    /// Entries of `NO_PROXY` with a port, each with its own matcher.
    direct: Vec<(Matcher, u16)>,
}

impl Default for Proxies {
    fn default() -> Self {
        Self {
            matcher: Matcher::builder().build(),
            direct: Vec::new(),
        }
    }
}

impl Proxies {
    pub(super) fn from_env() -> Result<Self, TransportError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    pub(super) fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, TransportError> {
        let proxy = |name: &str| -> Result<String, TransportError> {
            for name in [name.to_owned(), name.to_ascii_lowercase()] {
                if let Some(value) = variable(&name).filter(|value| !value.trim().is_empty()) {
                    return checked(&name, value.trim());
                }
            }
            Ok(String::new())
        };
        let (all, https) = (proxy("ALL_PROXY")?, proxy("HTTPS_PROXY")?);
        let exceptions = variable("NO_PROXY").or_else(|| variable("no_proxy"));
        let exceptions = exceptions.unwrap_or_default();
        let mut hosts = Vec::new();
        let mut direct = Vec::new();
        for entry in exceptions.split(|c: char| c == ',' || c.is_whitespace()) {
            let entry = entry
                .strip_prefix("*.")
                .map_or(entry.into(), |domain| format!(".{domain}"));
            match entry.rsplit_once(':') {
                // An IPv6 address contains several colons.
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                    if let Ok(port) = port.parse() {
                        // This matcher has a proxy for every host except this one.
                        let host = Matcher::builder().all("http://proxy").no(host).build();
                        direct.push((host, port));
                    }
                }
                _ => hosts.push(entry),
            }
        }
        let matcher = Matcher::builder().all(all).https(https).no(hosts.join(","));
        Ok(Self {
            matcher: matcher.build(),
            direct,
        })
    }

    /// Returns the proxy for a destination, or `None` to connect directly.
    pub(super) fn intercept(&self, destination: &Uri) -> Option<Intercept> {
        let port = destination.port_u16().unwrap_or(443);
        let mut direct = self.direct.iter();
        let is_direct = direct.any(|(host, direct_port)| {
            port == *direct_port && host.intercept(destination).is_none()
        });
        self.matcher.intercept(destination).filter(|_| !is_direct)
    }
}

/// Validates the URL of a proxy and adds the scheme and the SOCKS port if they are missing.
fn checked(name: &str, value: &str) -> Result<String, TransportError> {
    let invalid = |reason: &str| TransportError::other(format!("{name} {reason}"));
    let full = match value.contains("://") {
        true => value.to_owned(),
        false => format!("http://{value}"),
    };
    let mut url = Url::parse(&full).map_err(|_| invalid("is not the URL of a proxy"))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("is not the URL of a proxy"));
    }
    match url.scheme() {
        "http" => {}
        "socks4" | "socks4a" | "socks5" | "socks5h" => {
            if url.port().is_none() && url.set_port(Some(SOCKS_PORT)).is_err() {
                return Err(invalid("is not the URL of a proxy"));
            }
        }
        _ => {
            let reason = "names an unsupported proxy: use http, socks4, socks4a, socks5 or socks5h";
            return Err(invalid(reason));
        }
    }
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &'static [(&str, &str)]) -> Result<Proxies, TransportError> {
        Proxies::from_variables(|name| {
            let (_, value) = variables.iter().find(|(variable, _)| *variable == name)?;
            Some((*value).to_owned())
        })
    }

    fn proxy_of(proxies: &Proxies, url: &'static str) -> Option<String> {
        let proxy = proxies.intercept(&Uri::from_static(url))?;
        Some(proxy.uri().to_string())
    }

    #[test]
    fn proxy_variables_select_the_proxy() {
        for (variables, proxy) in [
            (&[("HTTPS_PROXY", "http://p:8080")][..], "http://p:8080/"),
            (&[("https_proxy", "p:8080")], "http://p:8080/"),
            (&[("ALL_PROXY", "socks5h://p")], "socks5h://p:1080/"),
            (
                &[("ALL_PROXY", "http://a"), ("HTTPS_PROXY", "http://b")],
                "http://b/",
            ),
        ] {
            let proxies = proxies(variables).unwrap();
            assert_eq!(
                proxy_of(&proxies, "https://oh.test/").as_deref(),
                Some(proxy)
            );
        }
        let none = proxies(&[("HTTPS_PROXY", " ")]).unwrap();
        assert_eq!(proxy_of(&none, "https://oh.test/"), None);
    }

    #[test]
    fn invalid_proxy_variable_is_an_error_that_names_it() {
        for value in ["http://", "ftp://p", "https://p:443", "http://[::1", "a b"] {
            let value = value.to_owned();
            let error =
                Proxies::from_variables(|name| (name == "HTTPS_PROXY").then(|| value.clone()));
            let error = crate::Error::from(error.err().unwrap());
            assert!(format!("{error:?}").contains("HTTPS_PROXY"), "{error:?}");
        }
    }

    #[test]
    fn proxy_exceptions_accept_ports_wildcards_and_blanks() {
        let proxies = proxies(&[
            ("ALL_PROXY", "http://p"),
            (
                "NO_PROXY",
                "a.test:8443, *.b.test  c.test,.d.test 10.0.0.0/8",
            ),
        ])
        .unwrap();
        for (url, is_direct) in [
            ("https://a.test:8443/", true),
            ("https://a.test/", false),
            ("https://x.b.test/", true),
            ("https://c.test/", true),
            ("https://x.d.test/", true),
            ("https://10.1.2.3/", true),
            ("https://e.test/", false),
        ] {
            assert_eq!(proxy_of(&proxies, url).is_none(), is_direct, "{url}");
        }
    }
}
