//! Protection against DNS rebinding.
//!
//! A site can resolve its name to 127.0.0.1, so that browsers treat the sandbox as that site. A
//! sandbox on a loopback address therefore accepts only loopback host names.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header;

use crate::web::respond::bad_request_page;

/// Rejects requests for other hosts, like the real server.
pub(crate) async fn loopback_only(request: Request, next: Next) -> Response {
    let named = request.headers().get_all(header::HOST).iter();
    let named = named.map(|host| host.to_str().unwrap_or_default());
    let mut hosts = named.chain(request.uri().authority().map(http::uri::Authority::as_str));
    if hosts.all(is_loopback) {
        next.run(request).await
    } else {
        bad_request_page()
    }
}

/// Returns whether a host, with or without a port, is a loopback name or address.
fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    if let Some(address) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        return address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    }
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    if port.parse::<u16>().is_err() {
        return false;
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_loopback_accepts_loopback_names_only() {
        for good in [
            "localhost",
            "LOCALHOST:8001",
            "a.localhost:1",
            "127.0.0.1:8001",
            "127.9.9.9",
            "[::1]:8001",
            "[::1]",
        ] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:8001",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.1.1:8001",
            "0.0.0.0:8001",
            "[::]:1",
            "localhost:8001@evil.example",
            "evillocalhost",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
