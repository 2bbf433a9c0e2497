//! The routes a person's browser goes through: `login`, `complete` and `logout`.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use maud::html;
use oh_api::OAuthClient;
use serde::Deserialize;

use super::{RouteOutcome, origin, page, plain, private, see_other};
use crate::login::pending::{CookieLookup, PendingLogin};
use crate::login::{FailedLogin, LoginFailure, LoginRequest, ReturnPath};
use crate::open_humans::Inner;
use crate::session::{SessionChange, SessionMember};
use crate::{AuthorizationCode, OpenHumans};

/// Names the login that failed, on the way to another like it.
const AGAIN: &str = "again";

/// Set on the second of two requests, where the first could not see the session.
const RESUME: &str = "resume";

pub(super) async fn login(
    oh: &OpenHumans,
    head: &Parts,
    session: Option<SessionMember>,
) -> RouteOutcome {
    let inner = &oh.inner;
    let query = head.uri.query().unwrap_or_default();
    let next = parameter(query, "next").and_then(|next| ReturnPath::parse(&next).ok());
    if origin::of(&head.headers, &inner.settings.app_base_url) == origin::RequestOrigin::CrossSite {
        return RouteOutcome::keep(ask_first(oh, head, next));
    }
    // Again, after a login that failed: with what its cookie still holds.
    if let Some(state) = parameter(query, AGAIN)
        && let CookieLookup::Found(failed) = inner.login.cookies.find(&head.headers, &state)
    {
        return RouteOutcome::keep(start_login(inner, failed.into_request(), &head.headers));
    }
    // Came through the page above. Its own request brings a strict session cookie along that the
    // first one could not: the person may be logged in already.
    if parameter(query, RESUME).is_some() && matches!(oh.member(session).await, Ok(Some(_))) {
        let to = next
            .as_ref()
            .map_or(inner.settings.login_redirect_url.as_str(), |n| n.as_str());
        return RouteOutcome::keep(see_other(to));
    }
    let mut request = LoginRequest {
        return_to: next,
        ..LoginRequest::new()
    };
    if let Some(context) = inner.login.handler.context(head).await {
        match request.clone().context(context) {
            Ok(with_context) => request = with_context,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    "LoginHandler::context gave what cannot be told again"
                );
            }
        }
    }
    RouteOutcome::keep(start_login(inner, request, &head.headers))
}

impl OpenHumans {
    /// Starts a login from a handler of the app's own: the answer to give, with its cookie.
    /// `headers` are those of the request being answered.
    ///
    /// Let the handler be one of a POST, from a form of the app. A browser that says that another site
    /// has led it here is asked first, by a page with a button, so that no link elsewhere connects an
    /// account to whoever is logged in at Open Humans.
    ///
    /// ```
    /// # use oh_core::{OpenHumans, login::{LoginRequest, InvalidLoginRequest}};
    /// # fn connect(oh: &OpenHumans, headers: &http::HeaderMap) -> Result<(), InvalidLoginRequest> {
    /// let request = LoginRequest::new().context("connect this to user 42")?;
    /// let response: http::Response<bytes::Bytes> = oh.start_login(request, headers);
    /// # Ok(()) }
    /// ```
    pub fn start_login(&self, request: LoginRequest, headers: &HeaderMap) -> Response<Bytes> {
        if origin::of(headers, &self.inner.settings.app_base_url)
            == origin::RequestOrigin::CrossSite
        {
            return ask_before(self, request, headers);
        }
        start_login(&self.inner, request, headers)
    }
}

/// The page that asks before a login the app has begun. What the app gave along waits in a cookie,
/// as that of a login that failed does.
fn ask_before(oh: &OpenHumans, request: LoginRequest, headers: &HeaderMap) -> Response<Bytes> {
    let inner = &oh.inner;
    let now = inner.clock.now();
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.headers = headers.clone();
    let waiting = PendingLogin::start(String::new(), request, now).into_failed();
    let url = login_url(inner, waiting.return_to.as_deref(), Some(&waiting.state));
    let mut response = asked_first(oh, &head, StatusCode::OK, url);
    remember(inner, &waiting, headers, &mut response);
    private(&mut response);
    response
}

/// Has the browser keep a login, and forget what is too much.
fn remember(
    inner: &Inner,
    pending: &PendingLogin,
    headers: &HeaderMap,
    response: &mut Response<Bytes>,
) {
    let cookies = &inner.login.cookies;
    let cookie = cookies.set_cookie(pending, inner.clock.now());
    for old in cookies.evict(headers, &cookie) {
        response.headers_mut().append(SET_COOKIE, old);
    }
    response.headers_mut().append(SET_COOKIE, cookie);
}

/// Sends the person to Open Humans, and has the browser remember the login.
fn start_login(inner: &Inner, request: LoginRequest, headers: &HeaderMap) -> Response<Bytes> {
    let now = inner.clock.now();
    let verifier = OAuthClient::verifier();
    let pending = PendingLogin::start(verifier, request, now);
    let oauth = &inner.login.oauth;
    let mut authorization = oauth.authorization_with(&*pending.state, &*pending.verifier);
    if pending.force_approval {
        authorization = authorization.force_approval();
    }
    if let Some(scope) = &pending.scope {
        authorization = authorization.scope(scope);
    }
    let mut response = see_other(authorization.url().as_str());
    remember(inner, &pending, headers, &mut response);
    private(&mut response);
    response
}

/// Another site has led the person here, who may not have meant to log in.
fn ask_first(oh: &OpenHumans, head: &Parts, next: Option<ReturnPath>) -> Response<Bytes> {
    let status = if head.method == Method::POST {
        StatusCode::FORBIDDEN
    } else {
        StatusCode::OK
    };
    let url = login_url(&oh.inner, next.as_ref().map(ReturnPath::as_str), None);
    asked_first(oh, head, status, url)
}

/// The page that asks first; its button posts to `url`.
fn asked_first(oh: &OpenHumans, head: &Parts, status: StatusCode, url: String) -> Response<Bytes> {
    #[cfg(not(feature = "pages"))]
    let _ = head;
    #[cfg(feature = "pages")]
    if let Some(page) = super::pages::ask_first(oh, head, status, url.clone()) {
        return page;
    }
    let markup = page::page(
        "Log in",
        "This app asks you to log in with Open Humans.",
        &login_button(&oh.inner, &url, "Log in with Open Humans"),
    );
    page::answer(status, markup, Some(&open_humans(&oh.inner)))
}

/// Where to POST to log in, by someone who means to. `failed` is the state of a login before.
fn login_url(inner: &Inner, next: Option<&str>, failed: Option<&str>) -> String {
    let pairs = [(RESUME, Some("1")), ("next", next), (AGAIN, failed)];
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
    format!("{}?{query}", inner.settings.route_path("login"))
}

fn login_button(inner: &Inner, url: &str, label: &str) -> maud::Markup {
    let home = inner.settings.app_base_url.path();
    html! {
        form method="post" action=(url) { button type="submit" { (label) } }
        p { a href=(home) { "Back to the start" } }
    }
}

/// Forms on our pages end at Open Humans, by a redirect.
fn open_humans(inner: &Inner) -> String {
    inner.settings.oh_base_url.origin().ascii_serialization()
}

#[derive(Deserialize)]
struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

pub(super) async fn complete(oh: &OpenHumans, head: &Parts) -> RouteOutcome {
    let inner = &oh.inner;
    let query = head.uri.query().unwrap_or_default();
    // A parameter that comes twice is an error here, as RFC 6749 section 3.1 has it.
    let Ok(Callback {
        state: Some(state),
        code,
        error,
    }) = serde_urlencoded::from_str(query)
    else {
        return failed(oh, head, None, &LoginFailure::IncompleteCallback).await;
    };
    if code.is_none() && error.is_none() {
        return failed(oh, head, None, &LoginFailure::IncompleteCallback).await;
    }
    let pending = match inner.login.cookies.find(&head.headers, &state) {
        CookieLookup::Found(pending) => pending,
        CookieLookup::OtherState => {
            return failed(oh, head, None, &LoginFailure::StateMismatch).await;
        }
        CookieLookup::Missing => return failed(oh, head, None, &LoginFailure::StateMissing).await,
    };
    if pending.has_expired(inner.clock.now()) {
        return failed(oh, head, Some(pending), &LoginFailure::StateExpired).await;
    }
    if pending.used {
        return failed(oh, head, Some(pending), &LoginFailure::StateUsed).await;
    }
    let Some(code) = code.map(AuthorizationCode::new) else {
        let failure = match error.as_deref() {
            Some("access_denied") | None => LoginFailure::AccessDenied,
            Some(error) => {
                let error = error
                    .chars()
                    .filter(char::is_ascii_graphic)
                    .take(40)
                    .collect();
                LoginFailure::AuthorizationError(error)
            }
        };
        return failed(oh, head, Some(pending), &failure).await;
    };
    if origin::keeps_strict_cookies_back(&head.headers) && parameter(query, RESUME).is_none() {
        let path = inner.settings.redirect_uri.path();
        let url = format!("{path}?{query}&{RESUME}=1");
        return RouteOutcome::keep(page::answer(StatusCode::OK, page::continue_to(&url), None));
    }
    // A browser that puts an old cookie back does not make us ask again.
    if !inner.login.cookies.mark_used(&pending) {
        return failed(oh, head, Some(pending), &LoginFailure::StateUsed).await;
    }
    // A login that the browser gives up on is completed all the same: the code works only once.
    let task = {
        let (inner, pending) = (Arc::clone(inner), pending.clone());
        tokio::spawn(async move { inner.login.complete(&pending, &code).await })
    };
    match task.await {
        Ok(Ok(completed)) => {
            tracing::info!("a member has logged in");
            let mut response = see_other(&completed.redirect_to);
            spend(inner, &pending.into_completed(), &mut response);
            RouteOutcome::new(response, SessionChange::LogIn(completed.session))
        }
        Ok(Err(failure)) => failed(oh, head, Some(pending), &failure).await,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a login panicked");
            RouteOutcome::keep(plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the login failed\n",
            ))
        }
    }
}

/// The app's answer to a login that failed, or the page that says why and lets the person try
/// again: with the app's context and the way back, as far as they are known.
async fn failed(
    oh: &OpenHumans,
    head: &Parts,
    pending: Option<PendingLogin>,
    failure: &LoginFailure,
) -> RouteOutcome {
    let inner = &oh.inner;
    let status = failure.status();
    if status.is_server_error() {
        let error = failure as &dyn std::error::Error;
        tracing::error!(reason = failure.reason(), error, "a login failed");
    } else {
        tracing::info!(reason = failure.reason(), "a login failed");
    }
    let next = pending
        .as_ref()
        .and_then(|pending| pending.return_to.as_deref());
    let state = pending.as_ref().map(|pending| pending.state.as_str());
    let url = login_url(inner, next, state);
    let login = FailedLogin {
        context: pending.as_ref().and_then(|pending| pending.context.clone()),
        return_to: next.and_then(|path| ReturnPath::parse(path).ok()),
        retry_url: url.clone(),
    };
    let theirs = inner.login.handler.login_failed(failure, &login).await;
    let mut response = theirs.unwrap_or_else(|| failure_page(oh, head, failure, url));
    if let Some(wait) = failure.retry_after() {
        let headers = response.headers_mut();
        headers
            .entry(RETRY_AFTER)
            .or_insert_with(|| wait.as_secs().into());
    }
    if let Some(pending) = pending {
        spend(inner, &pending.into_failed(), &mut response);
    }
    RouteOutcome::keep(response)
}

fn failure_page(
    oh: &OpenHumans,
    head: &Parts,
    failure: &LoginFailure,
    url: String,
) -> Response<Bytes> {
    #[cfg(feature = "pages")]
    if let Some(page) = super::pages::login_failed(oh, head, failure, url.clone()) {
        return page;
    }
    #[cfg(not(feature = "pages"))]
    let _ = head;
    let (title, text) = failure.explain();
    let again = login_button(&oh.inner, &url, "Try again");
    let markup = page::page(title, text, &again);
    page::answer(failure.status(), markup, Some(&open_humans(&oh.inner)))
}

/// Has the browser keep what is left of a login that is over.
fn spend(inner: &Inner, over: &PendingLogin, response: &mut Response<Bytes>) {
    let cookie = inner.login.cookies.set_cookie(over, inner.clock.now());
    response.headers_mut().append(SET_COOKIE, cookie);
}

pub(super) async fn logout(
    oh: &OpenHumans,
    head: &Parts,
    session: Option<SessionMember>,
) -> RouteOutcome {
    let inner = &oh.inner;
    if head.method == Method::GET {
        return RouteOutcome::keep(ask_to_log_out(oh, head));
    }
    if origin::of(&head.headers, &inner.settings.app_base_url) == origin::RequestOrigin::CrossSite {
        let line = "only a page of this app may log a member out\n";
        return RouteOutcome::keep(plain(StatusCode::FORBIDDEN, line));
    }
    let ended = match &session {
        Some(session) => oh.log_out(session).await,
        None => Ok(()),
    };
    let response = match ended {
        Ok(()) => see_other(&inner.settings.logout_redirect_url),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "the sessions of a member could not be ended");
            let markup = page::page(
                "You are logged out here",
                "This browser is logged out. If you are logged in elsewhere, you still are: that \
                 could not be ended right now. Log in and out again later to end it.",
                &html! {},
            );
            page::answer(StatusCode::SERVICE_UNAVAILABLE, markup, None)
        }
    };
    // Whatever became of the others: this browser forgets.
    RouteOutcome::new(response, SessionChange::LogOut)
}

/// A link logs nobody out: it leads to a page with a button that does.
fn ask_to_log_out(oh: &OpenHumans, head: &Parts) -> Response<Bytes> {
    let settings = &oh.inner.settings;
    let url = settings.route_path("logout");
    #[cfg(feature = "pages")]
    if let Some(page) = super::pages::ask_to_log_out(oh, head, url.clone()) {
        return page;
    }
    #[cfg(not(feature = "pages"))]
    let _ = head;
    let next = html! {
        form method="post" action=(url) { button type="submit" { "Log out" } }
        p { a href=(settings.app_base_url.path()) { "Back to the start" } }
    };
    let text = "You can log in again at any time.";
    let form_to = url::Url::parse(&settings.logout_redirect_url).ok();
    let form_to = form_to.map(|url| url.origin().ascii_serialization());
    page::answer(
        StatusCode::OK,
        page::page("Log out", text, &next),
        form_to.as_deref(),
    )
}

/// A parameter of a query, the first of its name.
fn parameter(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}
