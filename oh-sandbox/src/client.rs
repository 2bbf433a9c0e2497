//! HTTP clients of the sandbox: to loopback, in plain http.
//!
//! A workspace builds reqwest once, with the features of all its crates. Where another crate
//! switches TLS on without a provider of its own, a client made the usual way panics; so ours
//! brings one. It trusts no one: the sandbox has no business with https.

use std::sync::Arc;

/// Starts a client.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default protocol versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
}
