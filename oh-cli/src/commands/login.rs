//! A whole authorization: the page in a browser, the way back to this machine, the exchange.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use oh_api::{AuthorizationCode, Error};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use url::{Host, Url};

use super::authorize::{self, authorization, of_code, to_the_end};
use crate::access::Access;
use crate::args::Login;
use crate::failure::Failure;
use crate::keep::Place;
use crate::output;

pub(crate) async fn run(access: &Access, args: Login) -> Result<(), Failure> {
    let secret = authorize::secret(&args.secret)?;
    let (id, redirect_uri) = (
        &args.asked.client.client_id,
        &args.asked.client.redirect_uri,
    );
    let client = authorize::client(access, id, &secret, redirect_uri)?;
    let place = Place::ready(args.out.out.as_deref())?;
    let redirect_uri = on_this_machine(redirect_uri)?;
    let listeners = listen(&redirect_uri).await?;
    let authorization = authorization(&client, &args.asked);
    let (visits, mut visitors) = mpsc::channel(1);
    let expected = Arc::new(Expected {
        path: redirect_uri.path().to_owned(),
        state: authorization.state().to_owned(),
    });
    // Aborted when this ends, however it ends.
    let mut serving = tokio::task::JoinSet::new();
    for listener in listeners {
        serving.spawn(serve(listener, Arc::clone(&expected), visits.clone()));
    }
    show(authorization.url(), args.no_browser);

    let Some(visit) = visitors.recv().await else {
        return Err(Failure::Wrong("nobody listens any more".into()));
    };
    let code = match visit.brought.clone() {
        Ok(code) => AuthorizationCode::new(code),
        Err(why) => {
            visit.answer(Page::Refused).await;
            return Err(refused(&why));
        }
    };
    let verifier = authorization.verifier().to_owned();
    let granted = to_the_end(place, async move {
        let granted = client.exchange(&code, &verifier).await;
        granted.map(|granted| granted.tokens).map_err(of_code)
    })
    .await;
    let tokens = match granted {
        Ok(tokens) => tokens,
        Err(failure) => {
            visit.answer(Page::Failed).await;
            return Err(failure);
        }
    };
    visit.answer(Page::Done).await;
    authorize::said(&tokens, args.out.out.as_deref());
    let member = access.server()?.member(tokens.access_token);
    match member.project_member_id().await {
        Ok(id) => output::say(format!("member {id} has authorized the project")),
        Err(error) => tracing::info!(%error, "who it is could not be asked"),
    }
    Ok(())
}

fn show(url: &Url, by_hand: bool) {
    output::note(format!(
        "Open this address in a browser, where the member authorizes the project:\n\n    {url}\n"
    ));
    if !by_hand && let Err(error) = open::that_detached(url.as_str()) {
        output::note(format!("oh: no browser could be opened here ({error})"));
    }
}

fn refused(why: &str) -> Failure {
    match why {
        "access_denied" => Failure::Error(Error::Deauthorized)
            .advise("the member said no at Open Humans; nothing was authorized"),
        why => Failure::Wrong(format!("Open Humans did not authorize the project: {why}")),
    }
}

/// A redirect URI that leads here, to plain http.
fn on_this_machine(redirect_uri: &str) -> Result<Url, Failure> {
    let not_here = || {
        Failure::Usage(format!(
            "the redirect URI {redirect_uri} does not lead to this machine: add one to the project \
             that does, such as http://localhost:8000/openhumans/complete, or take `oh \
             authorize-url` and `oh exchange`"
        ))
    };
    let url = Url::parse(redirect_uri).map_err(|_| not_here())?;
    match url.scheme() == "http" && addresses(&url).is_some() {
        true => Ok(url),
        false => Err(not_here()),
    }
}

fn addresses(url: &Url) -> Option<Vec<SocketAddr>> {
    let port = url.port_or_known_default()?;
    let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let hosts: Vec<IpAddr> = match url.host()? {
        Host::Domain("localhost") => both.into(),
        Host::Ipv4(ip) if ip.is_loopback() => vec![ip.into()],
        Host::Ipv6(ip) if ip.is_loopback() => vec![ip.into()],
        _ => return None,
    };
    Some(hosts.into_iter().map(|ip| (ip, port).into()).collect())
}

/// Listens at all addresses of the redirect URI. Not every machine has both kinds.
async fn listen(redirect_uri: &Url) -> Result<Vec<TcpListener>, Failure> {
    let mut listeners = Vec::new();
    let mut failed = None;
    for address in addresses(redirect_uri).unwrap_or_default() {
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                return Err(Failure::Usage(format!(
                    "another program listens at {address} already, where the member would come \
                     back: stop it, or take another redirect URI of the project's"
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

/// What a request must bring to be the one that is waited for.
struct Expected {
    path: String,
    state: String,
}

/// A member who came back.
struct Visit {
    /// The code, or why there is none.
    brought: Result<String, String>,
    page: oneshot::Sender<Page>,
    /// Ends when the page is on its way.
    gone: oneshot::Receiver<()>,
}

impl Visit {
    async fn answer(self, page: Page) {
        // A browser that is closed already wants no page.
        let _ = self.page.send(page);
        let _ = tokio::time::timeout(Duration::from_secs(5), self.gone).await;
    }
}

async fn serve(listener: TcpListener, expected: Arc<Expected>, visits: mpsc::Sender<Visit>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connection(stream, Arc::clone(&expected), visits.clone()));
    }
}

async fn connection(stream: TcpStream, expected: Arc<Expected>, visits: mpsc::Sender<Visit>) {
    let (went, gone) = oneshot::channel();
    let gone = std::sync::Mutex::new(Some(gone));
    let service = service_fn(|request: Request<Incoming>| {
        let brought = expected.brought(&request);
        let gone = gone.lock().ok().and_then(|mut gone| gone.take());
        let visits = &visits;
        async move {
            let page = match (brought, gone) {
                (Err(page), _) => page,
                (Ok(brought), Some(gone)) => {
                    let (page, answer) = oneshot::channel();
                    let visit = Visit {
                        brought,
                        page,
                        gone,
                    };
                    match visits.send(visit).await {
                        Ok(()) => answer.await.unwrap_or(Page::Failed),
                        Err(_) => Page::Unknown,
                    }
                }
                (Ok(_), None) => Page::Unknown,
            };
            Ok::<_, Infallible>(page.response())
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection ended early");
    }
    // Whoever waits for this may have stopped.
    let _ = went.send(());
}

impl Expected {
    /// The code the request brings, or why there is none; a page where it is another request.
    fn brought(&self, request: &Request<Incoming>) -> Result<Result<String, String>, Page> {
        if request.uri().path() != self.path {
            return Err(Page::NotFound);
        }
        let query = request.uri().query().unwrap_or_default();
        let get = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value)
        };
        if get("state").as_deref() != Some(&self.state) {
            return Err(Page::Unknown);
        }
        if let Some(error) = get("error") {
            let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            return Ok(Err(error.chars().filter(plain).take(40).collect()));
        }
        match get("code") {
            Some(code) => Ok(Ok(code.into_owned())),
            None => Err(Page::Unknown),
        }
    }
}

/// What the browser shows.
enum Page {
    Done,
    Refused,
    Failed,
    Unknown,
    NotFound,
}

impl Page {
    fn response(&self) -> Response<Full<Bytes>> {
        let (status, title, text) = match self {
            Self::Done => (
                StatusCode::OK,
                "Authorized",
                "The project is authorized. You can close this page.",
            ),
            Self::Refused => (
                StatusCode::OK,
                "Not authorized",
                "Nothing was authorized. You can close this page.",
            ),
            Self::Failed => (
                StatusCode::BAD_GATEWAY,
                "Not authorized",
                "The authorization could not be finished. The terminal says why.",
            ),
            Self::Unknown => (
                StatusCode::BAD_REQUEST,
                "Another authorization",
                "This page belongs to another authorization than the one that is waited for. Open \
                 the address that the terminal shows.",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not found", "There is nothing here."),
        };
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
             <main><h1>{title}</h1><p>{text}</p></main></html>\n"
        );
        let mut response = Response::new(Full::new(Bytes::from(page)));
        *response.status_mut() = status;
        for (name, value) in [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
            (header::CACHE_CONTROL, "no-store"),
            // The address holds a code.
            (header::REFERRER_POLICY, "no-referrer"),
        ] {
            let value = header::HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_on_this_machine_leads_here() {
        for (uri, count) in [
            ("http://localhost:8000/done", 2),
            ("http://127.0.0.1:8000/done", 1),
            ("http://[::1]/done", 1),
        ] {
            let url = on_this_machine(uri).unwrap();
            assert_eq!(addresses(&url).unwrap().len(), count, "{uri}");
        }
        for uri in [
            "https://localhost/done",
            "http://example.org/done",
            "http://10.0.0.1/",
            "x",
        ] {
            assert!(on_this_machine(uri).is_err(), "{uri}");
        }
    }
}
