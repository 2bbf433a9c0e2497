//! The built-in client: hyper's, over rustls with ring, trusting the system's roots.
//!
//! It is put together here, and not taken from reqwest, because a TLS feature of reqwest that a
//! library turns on is on for the whole application: an app's own `reqwest::Client` would change
//! its behaviour by depending on this crate.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response, Uri, uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tower_service::Service;

use super::{Body, BoxError, Transport, TransportError};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection is kept that nobody uses.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

const AGENT: HeaderValue = HeaderValue::from_static(concat!("oh-api/", env!("CARGO_PKG_VERSION")));

/// The built-in client: HTTP/1.1 and HTTP/2 over rustls with ring, the system's trusted roots.
///
/// Clones share their connections. It follows no redirect, decompresses nothing, and keeps no
/// cookies.
#[derive(Clone)]
pub struct HttpClient(Client<HttpsConnector<Connector>, Body>);

impl HttpClient {
    /// Makes one with its own connection pool. Proxies from the environment (`HTTPS_PROXY`,
    /// `ALL_PROXY`, `NO_PROXY`) are used for https; a proxy is spoken to in plain http, the
    /// connection through it is encrypted end to end.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn new() -> Result<Self, TransportError> {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = Connector {
            direct,
            proxies: Arc::new(Matcher::from_env()),
        };
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(https);
        Ok(Self(client))
    }
}

#[async_trait]
impl Transport for HttpClient {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Body>, TransportError> {
        let headers = request.headers_mut();
        headers.entry(USER_AGENT).or_insert(AGENT);
        match self.0.request(request).await {
            Ok(response) => Ok(response.map(Body::wrap)),
            Err(error) if error.is_connect() => Err(TransportError::connect(error)),
            Err(error) => Err(TransportError::other(error)),
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

fn tls() -> Result<rustls::ClientConfig, TransportError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TransportError::other)?;
    match tls.clone().with_platform_verifier() {
        Ok(verified) => Ok(verified.with_no_client_auth()),
        // A bare machine has no roots. Plain http on loopback works there all the same, and every
        // https connection fails.
        Err(error) => {
            tracing::error!(%error, "no trusted roots were found: https will not work");
            Ok(tls
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth())
        }
    }
}

/// Makes connections: directly, or for https through the proxy that the environment names.
#[derive(Clone)]
struct Connector {
    direct: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<TokioIo<TcpStream>, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        // Plain http goes to this machine only.
        let is_https = destination.scheme() == Some(&uri::Scheme::HTTPS);
        let proxy = is_https.then(|| self.proxies.intercept(&destination));
        let mut direct = self.direct.clone();
        let Some(proxy) = proxy.flatten() else {
            return Box::pin(async move { Ok(direct.call(destination).await?) });
        };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), direct);
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        Box::pin(async move {
            let through = tokio::time::timeout(CONNECT_TIMEOUT, tunnel.call(destination));
            Ok(through.await??)
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn get(url: &str) -> Request<Body> {
        Request::get(url).body(Body::empty()).unwrap()
    }

    /// Takes one connection, reads a head, and answers.
    async fn once(listener: TcpListener, answer: &'static str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_like_any_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?b=c", listener.local_addr().unwrap());
        let answer =
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nhi";
        let server = tokio::spawn(once(listener, answer));
        let response = HttpClient::new().unwrap().send(get(&url)).await.unwrap();
        assert_eq!(response.status(), 302);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hi");
        let head = server.await.unwrap();
        assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("user-agent: oh-api/"), "{head}");
    }

    #[tokio::test]
    async fn where_nobody_listens_nothing_was_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let error = HttpClient::new()
            .unwrap()
            .send(get(&url))
            .await
            .unwrap_err();
        assert!(matches!(error, TransportError::Connect(_)), "{error:?}");
    }

    #[tokio::test]
    async fn https_goes_through_the_proxy_and_what_it_says_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://user:pass@{}", listener.local_addr().unwrap());
        let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
        let server = tokio::spawn(once(listener, answer));
        let mut connector = Connector {
            direct: {
                let mut direct = HttpConnector::new();
                direct.enforce_http(false);
                direct
            },
            proxies: Arc::new(Matcher::builder().https(proxy).build()),
        };
        let destination = Uri::from_static("https://www.openhumans.org/");
        let error = connector.call(destination).await.unwrap_err();
        assert!(error.to_string().contains("unsuccessful"), "{error}");
        let head = server.await.unwrap();
        assert!(
            head.starts_with("CONNECT www.openhumans.org:443 "),
            "{head}"
        );
        assert!(head.contains("Basic dXNlcjpwYXNz"), "{head}");
    }
}
