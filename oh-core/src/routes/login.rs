//! The routes that a browser visits: `login`, `complete` and `logout`.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderMap, RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use oh_api::OAuthClient;
use serde::Deserialize;

use super::{RouteOutcome, origin, plain, plain_page, private, see_other};
use crate::login::pending::{CookieLookup, PendingLogin};
use crate::login::{FailedLogin, LoginFailure, LoginPage, LoginRequest, ReturnPath};
use crate::open_humans::Inner;
use crate::session::{SessionChange, SessionMember};
use crate::{AuthorizationCode, OpenHumans};

/// The query parameter with the state of a failed login that is started again.
const RETRY: &str = "again";

/// The query parameter of a second request that can read the session, after a first that could not.
const RESUME: &str = "resume";

pub(super) async fn login(
    oh: &OpenHumans,
    request: &Parts,
    session: Option<SessionMember>,
) -> RouteOutcome {
    let inner = &oh.inner;
    let headers = &request.headers;
    let query = request.uri.query().unwrap_or_default();
    let next = parameter(query, "next").and_then(|next| ReturnPath::parse(&next).ok());
    if !oh.is_same_origin(headers) {
        // Another site sent the browser here, so the person confirms the login.
        let status = match request.method {
            Method::POST => StatusCode::FORBIDDEN,
            _ => StatusCode::OK,
        };
        let login_url = &login_url(inner, next.as_ref().map(ReturnPath::as_str), None);
        let page = LoginPage::ConfirmLogin { login_url };
        return RouteOutcome::keep(login_page(oh, headers, status, &page));
    }
    if let Some(state) = parameter(query, RETRY)
        && let CookieLookup::Found(failed) = inner.login.cookies.find(headers, &state)
    {
        return RouteOutcome::keep(redirect_to_login(inner, failed.into_request(), headers));
    }
    // The request that the confirmation page sends carries a strict session cookie, which the
    // first request could not. The person may be logged in already.
    if parameter(query, RESUME).is_some() && matches!(oh.member(session).await, Ok(Some(_))) {
        let target = next
            .as_ref()
            .map_or(inner.settings.login_redirect_url.as_str(), |n| n.as_str());
        return RouteOutcome::keep(see_other(target));
    }
    let mut login = LoginRequest {
        return_to: next,
        ..LoginRequest::new()
    };
    if let Some(context) = inner.login.handler.context(request).await {
        match login.clone().context(context) {
            Ok(with_context) => login = with_context,
            Err(error) => {
                let error = &error as &dyn StdError;
                tracing::error!(error, "LoginHandler::context returned an invalid context");
            }
        }
    }
    RouteOutcome::keep(redirect_to_login(inner, login, headers))
}

impl OpenHumans {
    /// Starts a login from a handler of the application, and returns the response to send.
    /// `headers` are the headers of the request.
    ///
    /// The handler should handle POST requests of a form of the application. If another site sent
    /// the browser, the response is a page that asks for confirmation, so that no link on another
    /// site can connect an account.
    ///
    /// ```
    /// # use oh_core::{OpenHumans, login::{LoginRequest, InvalidLoginRequest}};
    /// # fn connect(oh: &OpenHumans, headers: &http::HeaderMap) -> Result<(), InvalidLoginRequest> {
    /// let request = LoginRequest::new().context("connect this to user 42")?;
    /// let response: http::Response<bytes::Bytes> = oh.start_login(request, headers);
    /// # Ok(()) }
    /// ```
    pub fn start_login(&self, request: LoginRequest, headers: &HeaderMap) -> Response<Bytes> {
        let inner = &self.inner;
        if self.is_same_origin(headers) {
            return redirect_to_login(inner, request, headers);
        }
        // A cookie stores the request until the person confirms, as for a failed login.
        let pending = PendingLogin::start(String::new(), request, inner.clock.now()).into_failed();
        let login_url = &login_url(inner, pending.return_to.as_deref(), Some(&pending.state));
        let page = LoginPage::ConfirmLogin { login_url };
        let mut response = login_page(self, headers, StatusCode::OK, &page);
        store_pending(inner, &pending, headers, &mut response);
        private(&mut response);
        response
    }
}

/// Renders one of the pages of these routes: the application's, or the built-in plain one.
fn login_page(
    oh: &OpenHumans,
    headers: &HeaderMap,
    status: StatusCode,
    page: &LoginPage<'_>,
) -> Response<Bytes> {
    let inner = &oh.inner;
    let mut response = match &inner.login_pages {
        Some(pages) => pages.render(page, headers, &inner.settings),
        None => plain_page::render(page, &inner.settings),
    };
    *response.status_mut() = status;
    response
}

/// Stores a pending login in a cookie, and removes the oldest cookies if there are too many.
fn store_pending(
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

/// Redirects the browser to Open Humans, with a cookie for the pending login.
fn redirect_to_login(inner: &Inner, request: LoginRequest, headers: &HeaderMap) -> Response<Bytes> {
    let verifier = OAuthClient::verifier();
    let pending = PendingLogin::start(verifier, request, inner.clock.now());
    let oauth = &inner.login.oauth;
    let mut authorization = oauth.authorization_with(&*pending.state, &*pending.verifier);
    if pending.force_approval {
        authorization = authorization.force_approval();
    }
    if let Some(scope) = &pending.scope {
        authorization = authorization.scope(scope);
    }
    let mut response = see_other(authorization.url().as_str());
    store_pending(inner, &pending, headers, &mut response);
    private(&mut response);
    response
}

/// The URL that a form posts to in order to log in. `failed` is the state of a failed login.
fn login_url(inner: &Inner, next: Option<&str>, failed: Option<&str>) -> String {
    let pairs = [(RESUME, Some("1")), ("next", next), (RETRY, failed)];
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
    format!("{}?{query}", inner.settings.route_path("login"))
}

#[derive(Deserialize)]
struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

pub(super) async fn complete(oh: &OpenHumans, request: &Parts) -> RouteOutcome {
    let inner = &oh.inner;
    let query = request.uri.query().unwrap_or_default();
    // A repeated parameter is an error (RFC 6749, section 3.1).
    let Ok(Callback {
        state: Some(state),
        code,
        error,
    }) = serde_urlencoded::from_str(query)
    else {
        return failed(oh, request, None, &LoginFailure::IncompleteCallback).await;
    };
    // An empty parameter counts as missing (RFC 6749, section 3.1).
    let code = code.filter(|code| !code.is_empty());
    let error = error.filter(|error| !error.is_empty());
    if state.is_empty() || code.is_none() && error.is_none() {
        return failed(oh, request, None, &LoginFailure::IncompleteCallback).await;
    }
    let pending = match inner.login.cookies.find(&request.headers, &state) {
        CookieLookup::Found(pending) => pending,
        CookieLookup::OtherState => {
            return failed(oh, request, None, &LoginFailure::StateMismatch).await;
        }
        CookieLookup::Missing => {
            return failed(oh, request, None, &LoginFailure::StateMissing).await;
        }
    };
    if pending.has_expired(inner.clock.now()) {
        return failed(oh, request, Some(pending), &LoginFailure::StateExpired).await;
    }
    if pending.used {
        return failed(oh, request, Some(pending), &LoginFailure::StateUsed).await;
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
        return failed(oh, request, Some(pending), &failure).await;
    };
    if origin::withholds_strict_cookies(&request.headers) && parameter(query, RESUME).is_none() {
        let path = inner.settings.redirect_uri.path();
        let url = format!("{path}?{query}&{RESUME}=1");
        return RouteOutcome::keep(plain_page::redirecting(&url));
    }
    // A browser that restores an old cookie must not cause a second token request.
    if !inner.login.cookies.mark_used(&pending) {
        return failed(oh, request, Some(pending), &LoginFailure::StateUsed).await;
    }
    // The code works only once, so the login is completed even if the browser disconnects.
    let task = {
        let (inner, pending) = (Arc::clone(inner), pending.clone());
        tokio::spawn(async move { inner.login.complete(&pending, &code).await })
    };
    match task.await {
        Ok(Ok(completed)) => {
            tracing::info!("a member logged in");
            let mut response = see_other(&completed.redirect_to);
            set_cookie(inner, &pending.into_completed(), &mut response);
            RouteOutcome::new(response, SessionChange::LogIn(completed.session))
        }
        Ok(Err(failure)) => failed(oh, request, Some(pending), &failure).await,
        Err(error) => {
            let error = &error as &dyn StdError;
            tracing::error!(error, "the task of a login panicked");
            RouteOutcome::keep(plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the login failed\n",
            ))
        }
    }
}

/// Returns the application's response to a failed login, or the page that explains the failure.
/// Its button starts the login again with the same context and return path.
async fn failed(
    oh: &OpenHumans,
    request: &Parts,
    pending: Option<PendingLogin>,
    failure: &LoginFailure,
) -> RouteOutcome {
    let inner = &oh.inner;
    let (status, reason) = (failure.status(), failure.reason());
    if status.is_server_error() {
        let error = failure as &dyn StdError;
        tracing::error!(reason, error, "a login failed");
    } else {
        tracing::info!(reason, "a login failed");
    }
    let next = pending
        .as_ref()
        .and_then(|pending| pending.return_to.as_deref());
    let state = pending.as_ref().map(|pending| pending.state.as_str());
    let retry_url = login_url(inner, next, state);
    let login = FailedLogin {
        context: pending.as_ref().and_then(|pending| pending.context.clone()),
        return_to: next.and_then(|path| ReturnPath::parse(path).ok()),
        retry_url: retry_url.clone(),
    };
    let custom = inner.login.handler.login_failed(failure, &login).await;
    let mut response = custom.unwrap_or_else(|| {
        let retry_url = &retry_url;
        let page = LoginPage::Failed { failure, retry_url };
        login_page(oh, &request.headers, status, &page)
    });
    if let Some(wait) = failure.retry_after() {
        let headers = response.headers_mut();
        headers
            .entry(RETRY_AFTER)
            .or_insert_with(|| wait.as_secs().into());
    }
    if let Some(pending) = pending {
        set_cookie(inner, &pending.into_failed(), &mut response);
    }
    RouteOutcome::keep(response)
}

/// Updates the cookie of a login that ended.
fn set_cookie(inner: &Inner, ended: &PendingLogin, response: &mut Response<Bytes>) {
    let cookie = inner.login.cookies.set_cookie(ended, inner.clock.now());
    response.headers_mut().append(SET_COOKIE, cookie);
}

pub(super) async fn logout(
    oh: &OpenHumans,
    request: &Parts,
    session: Option<SessionMember>,
) -> RouteOutcome {
    let settings = &oh.inner.settings;
    if request.method == Method::GET {
        // A link must not log anyone out, so the response is a page with a button.
        let logout_url = &settings.route_path("logout");
        let page = LoginPage::ConfirmLogout { logout_url };
        return RouteOutcome::keep(login_page(oh, &request.headers, StatusCode::OK, &page));
    }
    if !oh.is_same_origin(&request.headers) {
        let line = "only a page of this application can log a member out\n";
        return RouteOutcome::keep(plain(StatusCode::FORBIDDEN, line));
    }
    let ended = match &session {
        Some(session) => oh.log_out(session).await,
        None => Ok(()),
    };
    let response = match ended {
        Ok(()) => see_other(&settings.logout_redirect_url),
        Err(error) => {
            let error = &error as &dyn StdError;
            tracing::error!(error, "failed to end the sessions of a member");
            plain_page::logged_out_here_only()
        }
    };
    // The session of this browser ends in either case.
    RouteOutcome::new(response, SessionChange::LogOut)
}

/// The value of a query parameter. If it is repeated, the first value.
fn parameter(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}
