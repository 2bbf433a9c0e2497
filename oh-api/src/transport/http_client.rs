//! The built-in HTTP client: hyper over rustls with ring and the system's trusted roots.
//!
//! It does not use reqwest, because a TLS feature that a library enables in reqwest is enabled for
//! the whole application and would change the behavior of the application's own clients.

use std::error::Error as StdError;
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
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tower_service::Service;

use super::proxy::Proxies;
use super::{Body, BoxError, Transport, TransportError};

/// The timeout to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection remains open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

const AGENT: HeaderValue = HeaderValue::from_static(concat!("oh-api/", env!("CARGO_PKG_VERSION")));

/// The built-in HTTP client: HTTP/1.1 and HTTP/2 over rustls with ring and the system's trusted
/// roots.
///
/// Clones share their connections. The client follows no redirects, does not decompress and stores
/// no cookies.
#[derive(Clone)]
pub struct HttpClient(Client<HttpsConnector<Connector>, Body>);

impl HttpClient {
    /// Creates a client with its own connection pool.
    ///
    /// For https it uses the proxy in `HTTPS_PROXY` or `ALL_PROXY` (lower case works, too), which
    /// can be an `http`, `socks4`, `socks4a`, `socks5` or `socks5h` URL. `NO_PROXY` lists
    /// exceptions: hosts, `.domain` or `*.domain`, `host:port` and IP networks, separated by commas
    /// or blanks. The connection through a proxy is encrypted end to end.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up, or a proxy variable is malformed or names an unsupported kind of
    /// proxy.
    pub fn new() -> Result<Self, TransportError> {
        Self::with_proxies(Proxies::from_env()?)
    }

    fn with_proxies(proxies: Proxies) -> Result<Self, TransportError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(Connector::new(proxies));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
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
            Err(error) if was_unprocessed(&error) => Err(TransportError::unprocessed(error)),
            Err(error) => Err(TransportError::other(error)),
        }
    }
}

/// Whether the server certainly did not process the request: it was never sent, or an HTTP/2 server
/// refused its stream or closed the connection before it (RFC 9113 section 8.7).
fn was_unprocessed(error: &(dyn StdError + 'static)) -> bool {
    let mut source = Some(error);
    while let Some(error) = source {
        if error.downcast_ref().is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let reason = error.reason();
            return reason == Some(h2::Reason::REFUSED_STREAM)
                || error.is_go_away() && error.is_remote() && reason == Some(h2::Reason::NO_ERROR);
        }
        source = error.source();
    }
    false
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
        // A minimal container has no trusted roots. Loopback connections over http still work.
        Err(error) => {
            tracing::error!(%error, "no trusted root certificates: https connections will fail");
            Ok(tls
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth())
        }
    }
}

type Connecting = BoxFuture<'static, Result<TokioIo<TcpStream>, BoxError>>;

/// Connects directly, or through a proxy for https.
#[derive(Clone)]
struct Connector {
    direct: HttpConnector,
    proxies: Arc<Proxies>,
}

impl Connector {
    fn new(proxies: Proxies) -> Self {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let proxies = Arc::new(proxies);
        Self { direct, proxies }
    }

    fn through(&self, proxy: &Intercept, destination: Uri) -> Connecting {
        let direct = self.direct.clone();
        let uri = proxy.uri().clone();
        let auth = proxy.raw_auth();
        let auth = auth.map(|(user, password)| (user.to_owned(), password.to_owned()));
        match uri.scheme_str() {
            Some(scheme @ ("socks5" | "socks5h")) => {
                let mut socks = SocksV5::new(uri.clone(), direct).local_dns(scheme == "socks5");
                if let Some((user, password)) = auth {
                    socks = socks.with_auth(user, password);
                }
                Box::pin(async move { Ok(socks.call(destination).await?) })
            }
            Some(scheme @ ("socks4" | "socks4a")) => {
                let mut socks = SocksV4::new(uri.clone(), direct).local_dns(scheme == "socks4");
                Box::pin(async move { Ok(socks.call(destination).await?) })
            }
            _ => {
                let mut tunnel = Tunnel::new(uri, direct);
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                Box::pin(async move { Ok(tunnel.call(destination).await?) })
            }
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        // Plain http is only used for loopback.
        let is_https = destination.scheme() == Some(&uri::Scheme::HTTPS);
        let proxy = is_https.then(|| self.proxies.intercept(&destination));
        let Some(proxy) = proxy.flatten() else {
            let mut direct = self.direct.clone();
            return Box::pin(async move { Ok(direct.call(destination).await?) });
        };
        let connecting = self.through(&proxy, destination);
        Box::pin(async move { tokio::time::timeout(CONNECT_TIMEOUT, connecting).await? })
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

    /// Accepts one connection, reads a request head and responds.
    async fn respond_once(listener: TcpListener, response: &'static str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(response.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn http_client_returns_redirect_response() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?b=c", listener.local_addr().unwrap());
        let redirect =
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nhi";
        let server = tokio::spawn(respond_once(listener, redirect));
        let response = HttpClient::new().unwrap().send(get(&url)).await.unwrap();
        assert_eq!(response.status(), 302);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hi");
        let head = server.await.unwrap();
        assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("user-agent: oh-api/"), "{head}");
    }

    #[tokio::test]
    async fn refused_connection_is_connect_error() {
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

    async fn connect(scheme_and_auth: &str, listener: &TcpListener) -> Result<(), BoxError> {
        let address = listener.local_addr().unwrap();
        let proxy = format!("{scheme_and_auth}{address}");
        let variables = move |name: &str| (name == "ALL_PROXY").then(|| proxy.clone());
        let mut connector = Connector::new(Proxies::from_variables(variables).unwrap());
        let destination = Uri::from_static("https://www.openhumans.org/");
        connector.call(destination).await.map(drop)
    }

    #[tokio::test]
    async fn https_uses_http_proxy_and_returns_its_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 1_024];
            let read = stream.read(&mut head).await.unwrap();
            let response = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(response.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&head[..read]).into_owned()
        };
        let (connected, head) = tokio::join!(connect("http://user:pass@", &listener), serve);
        let error = connected.unwrap_err();
        assert!(error.to_string().contains("unsuccessful"), "{error}");
        assert!(
            head.starts_with("CONNECT www.openhumans.org:443 "),
            "{head}"
        );
        assert!(head.contains("Basic dXNlcjpwYXNz"), "{head}");
    }

    #[tokio::test]
    async fn https_uses_socks_proxy_that_resolves_the_name() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut greeting = [0; 3];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(greeting, [5, 1, 0], "SOCKS 5 without authentication");
            stream.write_all(&[5, 0]).await.unwrap();
            let mut request = vec![0; 7 + "www.openhumans.org".len()];
            stream.read_exact(&mut request).await.unwrap();
            stream
                .write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
                .await
                .unwrap();
            request
        };
        let (connected, request) = tokio::join!(connect("socks5h://", &listener), serve);
        connected.unwrap();
        assert_eq!(
            request[..5],
            [5, 1, 0, 3, 18],
            "the proxy resolves the name"
        );
        assert_eq!(&request[5..23], b"www.openhumans.org");
    }

    /// Serves one HTTP/2 connection that receives a request and then writes raw frames.
    async fn http2_failure(frames: &'static [u8]) -> TransportError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build(
                HttpsConnectorBuilder::new()
                    .with_tls_config(tls().unwrap())
                    .https_or_http()
                    .enable_http2()
                    .wrap_connector(Connector::new(Proxies::default())),
            );
        let client = HttpClient(client);
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut preface = [0; 24];
            stream.read_exact(&mut preface).await.unwrap();
            stream
                .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
                .await
                .unwrap();
            loop {
                let mut head = [0; 9];
                stream.read_exact(&mut head).await.unwrap();
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; length as usize];
                stream.read_exact(&mut payload).await.unwrap();
                if head[3] == 1 {
                    break;
                }
            }
            stream.write_all(frames).await.unwrap();
            stream
        };
        let (sent, _stream) = tokio::join!(client.send(get(&url)), serve);
        sent.unwrap_err()
    }

    #[tokio::test]
    async fn http2_refusal_is_unprocessed() {
        // GOAWAY with last stream 0 and NO_ERROR, and RST_STREAM of stream 1 with REFUSED_STREAM.
        let goaway: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let refused: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
        for frames in [goaway, refused] {
            let error = http2_failure(frames).await;
            assert!(matches!(error, TransportError::Unprocessed(_)), "{error:?}");
        }
        // RST_STREAM with INTERNAL_ERROR, and GOAWAY with PROTOCOL_ERROR.
        let internal: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        let protocol: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        for frames in [internal, protocol] {
            let error = http2_failure(frames).await;
            assert!(matches!(error, TransportError::Other(_)), "{error:?}");
        }
    }
}
