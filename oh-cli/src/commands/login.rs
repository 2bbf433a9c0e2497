//! A complete authorization: the page in a browser, the redirect to this machine, the exchange.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use oh_api::{AuthorizationCode, Error};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use url::{Host, Url};

use super::tokens::{self, authorization, exchange_error, request_tokens};
use crate::access::Access;
use crate::args::Login;
use crate::error::CliError;
use crate::output;
use crate::token_output::TokenOutput;

/// How long the browser may take to receive the final page.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn run(access: &Access, args: Login) -> Result<(), CliError> {
    let secret = tokens::client_secret(&args.secret)?;
    let client_args = &args.authorize.client;
    let client = tokens::client(
        access,
        &client_args.client_id,
        &secret,
        &client_args.redirect_uri,
    )?;
    let redirect_uri = loopback_url(&client_args.redirect_uri)?;
    let output = TokenOutput::prepare(args.out.out.as_deref())?;
    let authorization = authorization(&client, &args.authorize);
    let (redirects, mut codes) = mpsc::channel(1);
    let (page, final_page) = watch::channel(None);
    let callback = Callback {
        path: redirect_uri.path().to_owned(),
        state: authorization.state().to_owned(),
        redirects,
        final_page,
    };
    let server = Server::start(&redirect_uri, callback).await?;
    show(authorization.url(), args.no_browser);

    let Some(code) = codes.recv().await else {
        return Err(CliError::Invalid(
            "the redirect URI is no longer served".into(),
        ));
    };
    let result = match code {
        Ok(code) => {
            let (code, verifier) = (
                AuthorizationCode::new(code),
                authorization.verifier().to_owned(),
            );
            request_tokens(output, async move {
                let granted = client.exchange(&code, &verifier).await;
                granted
                    .map(|granted| granted.tokens)
                    .map_err(exchange_error)
            })
            .await
        }
        Err(reason) => Err(rejected(&reason)),
    };
    page.send_replace(Some(match &result {
        Ok(_) => Page::Authorized,
        Err(CliError::WithHint(error, _))
            if matches!(**error, CliError::Api(Error::Deauthorized)) =>
        {
            Page::Declined
        }
        Err(_) => Page::Failed,
    }));
    server.stop().await;
    let tokens = result?;
    tokens::report_location(&tokens, args.out.out.as_deref());
    let member = access.server()?.member(tokens.access_token);
    match member.project_member_id().await {
        Ok(id) => output::status(format!("member {id} authorized the project")),
        Err(error) => tracing::info!(%error, "failed to look up the member"),
    }
    Ok(())
}

fn show(url: &Url, no_browser: bool) {
    // The URL is needed even with --quiet if no browser opens.
    output::warning(format!(
        "Open this URL in a browser, where the member authorizes the project:\n\n    {url}\n"
    ));
    if !no_browser && let Err(error) = open::that_detached(url.as_str()) {
        output::warning(format!("oh: could not open a browser: {error}"));
    }
}

fn rejected(reason: &str) -> CliError {
    match reason {
        "access_denied" => CliError::Api(Error::Deauthorized)
            .with_hint("the member declined at Open Humans; nothing was authorized"),
        reason => CliError::Invalid(format!(
            "Open Humans did not authorize the project: {reason}"
        )),
    }
}

/// Parses a redirect URI, which must be plain HTTP on this machine.
fn loopback_url(redirect_uri: &str) -> Result<Url, CliError> {
    let url = Url::parse(redirect_uri).ok();
    url.filter(|url| url.scheme() == "http" && addresses(url).is_some())
        .ok_or_else(|| {
            CliError::Usage(format!(
                "the redirect URI {redirect_uri} does not point to this machine: register one that \
                 does, for example http://localhost:8000/openhumans/complete, or use `oh \
                 authorize-url` and `oh exchange`"
            ))
        })
}

fn addresses(url: &Url) -> Option<Vec<SocketAddr>> {
    let port = url.port_or_known_default()?;
    let hosts: Vec<IpAddr> = match url.host()? {
        Host::Domain("localhost") => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Host::Ipv4(ip) if ip.is_loopback() => vec![ip.into()],
        Host::Ipv6(ip) if ip.is_loopback() => vec![ip.into()],
        _ => return None,
    };
    Some(hosts.into_iter().map(|ip| (ip, port).into()).collect())
}

/// Listens at the addresses of the redirect URI. A machine can lack one of IPv4 and IPv6.
async fn listen(redirect_uri: &Url) -> Result<Vec<TcpListener>, CliError> {
    let mut listeners = Vec::new();
    let mut failed = None;
    for address in addresses(redirect_uri).unwrap_or_default() {
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                return Err(CliError::Usage(format!(
                    "another program listens at {address}, the address of the redirect URI: stop \
                     it, or use another redirect URI of the project"
                )));
            }
            Err(error) => failed = Some(error),
        }
    }
    match (listeners.is_empty(), failed) {
        (true, Some(error)) => Err(error.into()),
        _ => Ok(listeners),
    }
}

/// The server at the redirect URI. Dropping it closes the connections.
struct Server {
    shutdown: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Server {
    async fn start(redirect_uri: &Url, callback: Callback) -> Result<Self, CliError> {
        let (shutdown, receiver) = watch::channel(false);
        let router = Router::new().fallback(handle).with_state(callback);
        let mut tasks = JoinSet::new();
        for listener in listen(redirect_uri).await? {
            let (router, mut receiver) = (router.clone(), receiver.clone());
            tasks.spawn(async move {
                let stopped = async move {
                    let _ = receiver.wait_for(|stop| *stop).await;
                };
                let serve = axum::serve(listener, router).with_graceful_shutdown(stopped);
                if let Err(error) = serve.await {
                    tracing::debug!(%error, "failed to serve the redirect URI");
                }
            });
        }
        Ok(Self { shutdown, tasks })
    }

    /// Stops after the open responses are sent.
    async fn stop(self) {
        let _ = self.shutdown.send(true);
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tasks.join_all()).await;
    }
}

/// The state of the server at the redirect URI.
#[derive(Clone)]
struct Callback {
    path: String,
    state: String,
    /// Receives the code, or the error of the authorization page.
    redirects: mpsc::Sender<Result<String, String>>,
    /// The page to show when the exchange has ended.
    final_page: watch::Receiver<Option<Page>>,
}

async fn handle(State(mut callback): State<Callback>, method: Method, uri: Uri) -> Page {
    if uri.path() != callback.path {
        return Page::NotFound;
    }
    // Link scanners send HEAD, which must not use up the code.
    if method != Method::GET {
        return Page::MethodNotAllowed;
    }
    let query = uri.query().unwrap_or_default();
    let get = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value)
    };
    if get("state").as_deref() != Some(&*callback.state) {
        return Page::OtherAuthorization;
    }
    let code = match (get("error"), get("code")) {
        (Some(error), _) => {
            let allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            Err(error.chars().filter(allowed).take(40).collect())
        }
        (None, Some(code)) => Ok(code.into_owned()),
        (None, None) => return Page::OtherAuthorization,
    };
    // Browsers repeat the request, for example to prefetch or reload. The first code counts, and
    // every request receives the same page.
    let _ = callback.redirects.try_send(code);
    let page = callback.final_page.wait_for(Option::is_some).await;
    page.ok().and_then(|page| *page).unwrap_or(Page::Failed)
}

/// The pages that the browser shows.
#[derive(Clone, Copy)]
enum Page {
    Authorized,
    Declined,
    Failed,
    OtherAuthorization,
    MethodNotAllowed,
    NotFound,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            Self::Authorized => (
                StatusCode::OK,
                "Authorized",
                "The project is authorized. You can close this page.",
            ),
            Self::Declined => (
                StatusCode::OK,
                "Not authorized",
                "Nothing was authorized. You can close this page.",
            ),
            Self::Failed => (
                StatusCode::BAD_GATEWAY,
                "Not authorized",
                "The authorization failed. The terminal shows the reason. You can close this page.",
            ),
            Self::OtherAuthorization => (
                StatusCode::BAD_REQUEST,
                "Another authorization",
                "This page is the result of another authorization. Open the URL that the terminal \
                 shows.",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not allowed",
                "Open this page with GET.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Not found",
                "This page does not exist.",
            ),
        };
        let page = Html(format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
             <main><h1>{title}</h1><p>{text}</p></main></html>\n"
        ));
        let headers = [
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
            (header::CACHE_CONTROL, "no-store"),
            // The URL contains the code.
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CONNECTION, "close"),
        ];
        (status, headers, page).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_url_accepts_plain_http_on_this_machine_only() {
        for (uri, count) in [
            ("http://localhost:8000/done", 2),
            ("http://127.0.0.1:8000/done", 1),
            ("http://[::1]/done", 1),
        ] {
            let url = loopback_url(uri).unwrap();
            assert_eq!(addresses(&url).unwrap().len(), count, "{uri}");
        }
        for uri in [
            "https://localhost/done",
            "http://example.org/done",
            "http://10.0.0.1/",
            "x",
        ] {
            assert!(loopback_url(uri).is_err(), "{uri}");
        }
    }

    #[tokio::test]
    async fn repeated_redirect_receives_the_same_page() {
        let (redirects, mut codes) = mpsc::channel(1);
        let (page, final_page) = watch::channel(None);
        let callback = Callback {
            path: "/done".into(),
            state: "s".into(),
            redirects,
            final_page,
        };
        let get = || {
            let uri = Uri::from_static("/done?code=c&state=s");
            handle(State(callback.clone()), Method::GET, uri)
        };
        let (first, second, ()) = tokio::join!(get(), get(), async {
            assert_eq!(codes.recv().await, Some(Ok("c".to_owned())));
            page.send_replace(Some(Page::Authorized));
        });
        for page in [first, second] {
            assert_eq!(page.into_response().status(), StatusCode::OK);
        }
    }
}
