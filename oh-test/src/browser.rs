//! A browser reduced to what matters to a login: cookies, which of them go along, and redirects.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use cookie_store::CookieStore;
use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode};
use url::{Position, Url};

use crate::answer::TestResponse;
use crate::app::App;
use crate::world::World;

/// Someone's browser, at the app. Made by [`Kit::axum`](crate::Kit::axum) and
/// `Kit::actix`.
///
/// Redirects are answers here, and not followed. Requests carry what browsers add (`Origin`,
/// `Sec-Fetch-Site`), and cookies go along as their path, `Secure`, `SameSite` and age want it.
pub struct Browser<A> {
    app: A,
    world: Arc<World>,
    cookies: CookieStore,
}

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    AddressBar,
    SamePage,
    AnotherSite,
}

impl<A: App> Browser<A> {
    pub(crate) fn new(app: A, world: Arc<World>) -> Self {
        Self {
            app,
            world,
            cookies: CookieStore::default(),
        }
    }

    /// Opens a page of the app from the address bar: `/nights?of=november`.
    ///
    /// # Panics
    ///
    /// When `path` is none.
    pub async fn get(&mut self, path: &str) -> TestResponse {
        self.navigate(Method::GET, path, From::AddressBar, Bytes::new())
            .await
    }

    /// Sends a form of one of the app's pages.
    ///
    /// # Panics
    ///
    /// When `path` is none.
    pub async fn post<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        path: &str,
        form: impl IntoIterator<Item = (K, V)>,
    ) -> TestResponse {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.navigate(Method::POST, path, From::SamePage, form.into())
            .await
    }

    /// Sends any request, from one of the app's pages, with the cookies that go along.
    ///
    /// # Panics
    ///
    /// When the request's URI has no path.
    pub async fn send(&mut self, request: Request<Bytes>) -> TestResponse {
        self.send_from(request, From::SamePage).await
    }

    /// Logs a member of the sandbox in, from beginning to end: the app's login route, Open Humans,
    /// and back.
    ///
    /// # Panics
    ///
    /// When the login fails: with what the app or the sandbox answered.
    #[must_use]
    pub async fn log_in(mut self, member: &str) -> Self {
        let login = format!("{}/login", self.world.settings.mount_path());
        let answer = self.get(&login).await;
        let answer = self.authorize(member, &answer).await;
        assert!(
            answer.status().is_redirection(),
            "member {member} was not logged in: the app answered {answer}"
        );
        self
    }

    /// Goes on with a login that the app has begun: `answer` redirects to Open Humans. The member
    /// authorizes the project there and is sent back. Gives what the app answers then, a redirect
    /// if all is well.
    ///
    /// # Panics
    ///
    /// When `answer` leads elsewhere, or the sandbox does not send the member back.
    pub async fn authorize(&mut self, member: &str, answer: &TestResponse) -> TestResponse {
        let back = self
            .world
            .sandbox
            .authorize(member, answer.location())
            .await;
        let back = back.unwrap_or_else(|error| panic!("{error}: {}", answer.location()));
        self.come_back(&back).await
    }

    /// As [`authorize`](Self::authorize), for someone who refuses.
    ///
    /// # Panics
    ///
    /// As [`authorize`](Self::authorize).
    pub async fn refuse(&mut self, answer: &TestResponse) -> TestResponse {
        let back = self.world.sandbox.refuse(answer.location()).await;
        let back = back.unwrap_or_else(|error| panic!("{error}: {}", answer.location()));
        self.come_back(&back).await
    }

    /// Lets a member leave the project at Open Humans, which tells the app by its webhook as it
    /// does: signed, and where that is not taken once more unsigned. Gives the app's answers; 204
    /// is that of the routes that come with the library. None if the member took no part.
    ///
    /// Open Humans does not tell of every departure. For one that it keeps to itself, say
    /// `kit.sandbox().leave(member, false)`.
    ///
    /// # Panics
    ///
    /// When `member` cannot be one.
    pub async fn leave(&self, member: &str, erasure_requested: bool) -> Vec<StatusCode> {
        if !self.world.sandbox.is_joined(member) {
            return Vec::new();
        }
        self.world.sandbox.leave(member, erasure_requested).await;
        self.world.keep_time();
        let webhook = self
            .world
            .webhook(member)
            .erasure_requested(erasure_requested);
        let first = self.app.call(webhook.clone().signed()).await.status();
        if first.is_success() {
            return vec![first];
        }
        let second = self.app.call(webhook.second_attempt()).await.status();
        vec![first, second]
    }

    /// The value of a cookie, wherever in the app it is for.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let mut cookies = self.cookies.iter_unexpired();
        let found = cookies.find(|cookie| cookie.name() == name)?;
        Some(found.value())
    }

    /// Forgets all cookies, as if all sessions had ended here.
    pub fn forget_cookies(&mut self) {
        self.cookies.clear();
    }

    /// Comes back to the app from Open Humans. The first request comes from another site; a page
    /// that leads on makes a second one, of the app's own, with all cookies.
    async fn come_back(&mut self, back: &Url) -> TestResponse {
        let path = &back[Position::BeforePath..];
        let none = Bytes::new();
        let answer = self
            .navigate(Method::GET, path, From::AnotherSite, none.clone())
            .await;
        let text = answer.text();
        let Some((_, rest)) = text.split_once("0;url=") else {
            return answer;
        };
        let on = rest.split('"').next().unwrap_or_default();
        let on = on.replace("&amp;", "&");
        self.navigate(Method::GET, &on, From::SamePage, none).await
    }

    async fn navigate(
        &mut self,
        method: Method,
        path: &str,
        from: From,
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
        let request = request.unwrap_or_else(|error| panic!("{path:?} is no path: {error}"));
        self.send_from(request, from).await
    }

    async fn send_from(&mut self, mut request: Request<Bytes>, from: From) -> TestResponse {
        self.world.keep_time();
        let url = self.url(&request);
        let cookies = self.cookies_for(&url, from);
        let length = request.body().len();
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let headers = request.headers_mut();
        let mut add = |name, value: &str| {
            let value = HeaderValue::from_str(value).expect("cookies and hosts fit headers");
            headers.entry(name).or_insert(value);
        };
        add(
            header::HOST,
            &url[Position::BeforeHost..Position::AfterPort],
        );
        let site = match from {
            From::AddressBar => "none",
            From::SamePage => "same-origin",
            From::AnotherSite => "cross-site",
        };
        add(header::HeaderName::from_static("sec-fetch-site"), site);
        if writes {
            add(header::ORIGIN, &url.origin().ascii_serialization());
            add(header::CONTENT_LENGTH, &length.to_string());
        }
        if !cookies.is_empty() {
            add(header::COOKIE, &cookies);
        }
        let answer = TestResponse::new(self.app.call(request).await);
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            // What a browser would not keep, this does not keep either.
            let _ = cookie
                .to_str()
                .is_ok_and(|cookie| self.cookies.parse(cookie, &url).is_ok());
        }
        answer
    }

    fn url(&self, request: &Request<Bytes>) -> Url {
        let path = request.uri().path_and_query().map(ToString::to_string);
        let path = path.unwrap_or_else(|| panic!("{} has no path", request.uri()));
        let app = self.world.settings.app_base_url();
        app.join(&path)
            .unwrap_or_else(|error| panic!("{path:?} is no path: {error}"))
    }

    fn cookies_for(&self, url: &Url, from: From) -> String {
        let strict = |cookie: &&cookie_store::Cookie<'_>| {
            from != From::AnotherSite || !cookie.same_site().is_some_and(|same| same.is_strict())
        };
        let cookies = self.cookies.matches(url).into_iter().filter(strict);
        let pairs = cookies.map(|cookie| format!("{}={}", cookie.name(), cookie.value()));
        pairs.collect::<Vec<_>>().join("; ")
    }
}

impl<A> fmt::Debug for Browser<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}
