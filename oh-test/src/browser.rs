//! A minimal browser: cookies with their rules, origins and redirects.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cookie_store::CookieStore;
use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode};
use oh_sandbox::AuthorizeError;
use url::{Position, Url};

use crate::app::App;
use crate::environment::Environment;
use crate::response::TestResponse;

/// A browser with its own cookies, created by [`Kit::axum`](crate::Kit::axum) and `Kit::actix`.
///
/// It does not follow redirects. It adds the headers that browsers add (`Origin`,
/// `Sec-Fetch-Site`), and sends cookies according to their path, `Secure`, `SameSite` and age.
pub struct Browser<A> {
    app: A,
    environment: Arc<Environment>,
    cookies: CookieStore,
}

/// The page that initiates a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Initiator {
    AddressBar,
    SamePage,
    OtherSite,
}

impl<A: App> Browser<A> {
    pub(crate) fn new(app: A, environment: Arc<Environment>) -> Self {
        Self {
            app,
            environment,
            cookies: CookieStore::default(),
        }
    }

    /// Opens a path of the application, such as `/nights?of=november`, from the address bar.
    ///
    /// # Panics
    ///
    /// Panics if `path` is invalid.
    pub async fn get(&mut self, path: &str) -> TestResponse {
        self.navigate(Method::GET, path, Initiator::AddressBar, Bytes::new())
            .await
    }

    /// Submits a form from a page of the application.
    ///
    /// # Panics
    ///
    /// Panics if `path` is invalid.
    pub async fn post<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        path: &str,
        form: impl IntoIterator<Item = (K, V)>,
    ) -> TestResponse {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.navigate(Method::POST, path, Initiator::SamePage, form.into())
            .await
    }

    /// Sends a request from a page of the application, with the matching cookies.
    ///
    /// # Panics
    ///
    /// Panics if the request's URI has no path.
    pub async fn send(&mut self, request: Request<Bytes>) -> TestResponse {
        self.send_as(request, Initiator::SamePage).await
    }

    /// Logs a member of the sandbox in, with the complete OAuth2 flow.
    ///
    /// # Panics
    ///
    /// Panics with the response of the application or the sandbox if the login fails.
    #[must_use]
    pub async fn log_in(mut self, member: &str) -> Self {
        let login = format!("{}/login", self.environment.settings.mount_path());
        let redirect = self.get(&login).await;
        let response = self.authorize(member, &redirect).await;
        assert!(
            response.status().is_redirection(),
            "failed to log in member {member}: the application returned {response}"
        );
        self
    }

    /// Continues a login after `redirect`, the application's redirect to Open Humans: the member
    /// authorizes the project and returns to the callback, whose response this returns.
    ///
    /// # Panics
    ///
    /// Panics if `redirect` has another target, or if the sandbox rejects the request.
    pub async fn authorize(&mut self, member: &str, redirect: &TestResponse) -> TestResponse {
        let callback = self
            .environment
            .sandbox
            .authorize(member, redirect.location());
        self.open_callback(callback.await).await
    }

    /// Continues a login after `redirect` as [`authorize`](Self::authorize) does, but the member
    /// denies the authorization.
    ///
    /// # Panics
    ///
    /// Panics if `redirect` has another target, or if the sandbox rejects the request.
    pub async fn refuse(&mut self, redirect: &TestResponse) -> TestResponse {
        let callback = self.environment.sandbox.refuse(redirect.location());
        self.open_callback(callback.await).await
    }

    /// Lets a member leave the project, and sends the webhook to the application.
    ///
    /// As Open Humans does, it sends a signed request, and an unsigned one if the first fails.
    /// Returns the status of each response: 204 for an accepted event. The list is empty if the
    /// member had not joined.
    ///
    /// For a departure without a webhook use `kit.sandbox().leave(member, false)`.
    ///
    /// # Panics
    ///
    /// Panics if `member` is not a project member id.
    pub async fn leave(&self, member: &str, erasure_requested: bool) -> Vec<StatusCode> {
        if !self.environment.sandbox.is_joined(member) {
            return Vec::new();
        }
        self.environment
            .sandbox
            .leave(member, erasure_requested)
            .await;
        self.environment.sync_clock();
        let webhook = self
            .environment
            .webhook(member)
            .erasure_requested(erasure_requested);
        let first = self.app.call(webhook.clone().signed()).await.status();
        if first.is_success() {
            return vec![first];
        }
        let second = self.app.call(webhook.second_attempt()).await.status();
        vec![first, second]
    }

    /// Returns the value of a cookie with any path.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let mut cookies = self.cookies.iter_unexpired();
        let cookie = cookies.find(|cookie| cookie.name() == name)?;
        Some(cookie.value())
    }

    /// Deletes all cookies.
    pub fn clear_cookies(&mut self) {
        self.cookies.clear();
    }

    /// Opens the callback from another site, and then the same-site continuation if the application
    /// needs cookies that are `SameSite=Strict`.
    async fn open_callback(&mut self, callback: Result<Url, AuthorizeError>) -> TestResponse {
        let callback = callback.unwrap_or_else(|error| panic!("the sandbox rejected: {error}"));
        let path = &callback[Position::BeforePath..];
        let empty = Bytes::new();
        let response = self
            .navigate(Method::GET, path, Initiator::OtherSite, empty.clone())
            .await;
        let text = response.text();
        let Some((_, rest)) = text.split_once("0;url=") else {
            return response;
        };
        let next = rest.split('"').next().unwrap_or_default();
        let next = next.replace("&amp;", "&");
        self.navigate(Method::GET, &next, Initiator::SamePage, empty)
            .await
    }

    async fn navigate(
        &mut self,
        method: Method,
        path: &str,
        initiator: Initiator,
        body: Bytes,
    ) -> TestResponse {
        let request = Request::builder()
            .uri(path)
            .header(header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        let request = match method {
            Method::POST => {
                request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            }
            _ => request,
        };
        let request = request.method(method).body(body);
        let request = request.unwrap_or_else(|error| panic!("{path:?} is not a path: {error}"));
        self.send_as(request, initiator).await
    }

    async fn send_as(&mut self, mut request: Request<Bytes>, initiator: Initiator) -> TestResponse {
        self.environment.sync_clock();
        let url = self.url(&request);
        let cookies = self.cookies_for(&url, initiator);
        let length = request.body().len();
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let headers = request.headers_mut();
        let mut add = |name, value: &str| {
            let value =
                HeaderValue::from_str(value).expect("cookies and hosts are valid header values");
            headers.entry(name).or_insert(value);
        };
        add(
            header::HOST,
            &url[Position::BeforeHost..Position::AfterPort],
        );
        let site = match initiator {
            Initiator::AddressBar => "none",
            Initiator::SamePage => "same-origin",
            Initiator::OtherSite => "cross-site",
        };
        add(header::HeaderName::from_static("sec-fetch-site"), site);
        if writes {
            add(header::ORIGIN, &url.origin().ascii_serialization());
            add(header::CONTENT_LENGTH, &length.to_string());
        }
        if !cookies.is_empty() {
            add(header::COOKIE, &cookies);
        }
        let response = TestResponse::new(self.app.call(request).await);
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            // Like a browser, ignore invalid cookies.
            let _ = cookie
                .to_str()
                .is_ok_and(|cookie| self.cookies.parse(cookie, &url).is_ok());
        }
        response
    }

    fn url(&self, request: &Request<Bytes>) -> Url {
        let path = request.uri().path_and_query().map(ToString::to_string);
        let path = path.unwrap_or_else(|| panic!("{} has no path", request.uri()));
        let app = self.environment.settings.app_base_url();
        app.join(&path)
            .unwrap_or_else(|error| panic!("{path:?} is not a path: {error}"))
    }

    fn cookies_for(&self, url: &Url, initiator: Initiator) -> String {
        let allowed = |cookie: &&cookie_store::Cookie<'_>| {
            initiator != Initiator::OtherSite
                || !cookie.same_site().is_some_and(|same| same.is_strict())
        };
        let cookies = self.cookies.matches(url).into_iter().filter(allowed);
        let pairs = cookies.map(|cookie| format!("{}={}", cookie.name(), cookie.value()));
        pairs.collect::<Vec<_>>().join("; ")
    }
}

impl<A> fmt::Debug for Browser<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}
