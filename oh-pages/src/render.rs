//! Turns what a handler returns into HTML or JSON, and sets the headers of every response.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Uri};
use oh_core::login::LoginFailure;
use oh_core::login::{LoginPage as LoginRoutePage, LoginPages};
use oh_core::{SessionChange, Settings, Timestamp};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use crate::context::Context;
use crate::error::PageError;
use crate::guard::Access;
use crate::layout;
use crate::negotiation::Format;
use crate::pages::{App, LoginPage, LogoutPage, Page};
use crate::settings::Pages;

/// The result of a handler, which travels in the extensions of a response until it is rendered.
#[derive(Clone)]
pub(crate) enum Deferred {
    Page(Arc<Page>),
    Done(Done),
    Error(PageError),
}

impl IntoResponse for Deferred {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        Deferred::Page(Arc::new(self)).into_response()
    }
}

/// A completed action. Browsers are redirected to a page that confirms it.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) status: StatusCode,
    /// The route that browsers are redirected to.
    pub(crate) redirect: String,
    pub(crate) body: Confirmation,
    pub(crate) log_out: bool,
}

impl Done {
    pub(crate) fn new(code: &'static str, redirect: impl Into<String>) -> Self {
        Self {
            status: StatusCode::OK,
            redirect: redirect.into(),
            body: Confirmation {
                done: code,
                id: None,
                size: None,
            },
            log_out: false,
        }
    }
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        let log_out = self.log_out;
        let mut response = Deferred::Done(self).into_response();
        if log_out {
            response.extensions_mut().insert(SessionChange::LogOut);
        }
        response
    }
}

/// A completed action.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Confirmation {
    /// Identifies the action.
    pub(crate) done: &'static str,
    /// The id of the file that was changed or created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u64>,
    /// The size of the file that was stored, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
}

/// Renders the response of any route. This is the outermost layer of the router.
pub(crate) async fn render(State(app): State<App>, request: Request, next: Next) -> Response {
    let (headers, uri) = (request.headers().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    let deferred = response.extensions_mut().remove::<Deferred>();
    let deferred = deferred.or_else(|| {
        is_foreign_error(&response)
            .then(|| Deferred::Error(PageError::for_status(response.status())))
    });
    if let Some(deferred) = deferred {
        let rendered = deferred_response(&app, &headers, &uri, &response, &deferred);
        let (head, body) = rendered.into_parts();
        *response.status_mut() = head.status;
        *response.body_mut() = body;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().extend(head.headers);
    }
    let defaults = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in defaults {
        let entry = response.headers_mut().entry(name);
        entry.or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether a response is an error of the router, an extractor or `oh-core`, which explain it in
/// plain text or not at all.
fn is_foreign_error(response: &Response) -> bool {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    (status.is_client_error() || status.is_server_error())
        && content_type.is_none_or(|value| value.as_bytes().starts_with(b"text/plain"))
}

fn deferred_response(
    app: &App,
    headers: &HeaderMap,
    uri: &Uri,
    response: &Response,
    deferred: &Deferred,
) -> Response {
    let openhumans = app.openhumans();
    let now = openhumans.clock().now();
    let mut cx = Context::new(app.pages(), openhumans.settings(), headers, now);
    cx.query = uri.query().unwrap_or_default();
    cx.access = response.extensions().get::<Access>().copied();
    let rendered = match deferred {
        Deferred::Page(page) => page_response(&cx, StatusCode::OK, page),
        Deferred::Error(error) => page_response(&cx, error.status, &error.view(&cx).into()),
        Deferred::Done(done) => match cx.format {
            Format::Json => json_response(done.status, &done.body),
            Format::Html => {
                let code = done.body.done;
                let target = format!("{}?done={code}", cx.path(&done.redirect));
                redirect(&target)
            }
        },
    };
    rendered.map(Body::from)
}

impl LoginPages for Pages {
    fn render(
        &self,
        page: &LoginRoutePage<'_>,
        headers: &HeaderMap,
        settings: &Settings,
    ) -> Response<Bytes> {
        let cx = Context::new(self, settings, headers, Timestamp::now());
        let page: Page = match page {
            LoginRoutePage::Failed { failure, retry_url } => {
                LoginPage::failed(&cx, failure, retry_url).into()
            }
            LoginRoutePage::ConfirmLogin { login_url } => LoginPage::confirm(&cx, login_url).into(),
            LoginRoutePage::ConfirmLogout { logout_url } => LogoutPage {
                logout_url: (*logout_url).to_owned(),
            }
            .into(),
            _ => {
                LoginPage::failed(&cx, &LoginFailure::IncompleteCallback, &cx.path("/login")).into()
            }
        };
        page_response(&cx, StatusCode::OK, &page)
    }
}

/// A page in the negotiated format.
pub(crate) fn page_response(cx: &Context<'_>, status: StatusCode, page: &Page) -> Response<Bytes> {
    let mut response = match cx.format {
        Format::Json => json_response(status, page),
        Format::Html => html_response(cx, status, page),
    };
    let headers = response.headers_mut();
    set(headers, header::VARY, "accept, accept-language");
    response
}

fn html_response(cx: &Context<'_>, status: StatusCode, page: &Page) -> Response<Bytes> {
    let notice = cx.notice();
    let renderer = cx.pages.renderer.as_ref();
    let replaced = renderer.and_then(|r| r.render(page, &cx.page_context(notice.as_deref())));
    let html = replaced.unwrap_or_else(|| {
        let view = page.view();
        layout::document(cx, &view.frame(cx), notice.as_deref(), &view.html(cx)).into_string()
    });
    let mut response = Response::new(Bytes::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    set(headers, header::CONTENT_TYPE, "text/html; charset=utf-8");
    if let Ok(policy) = policy(cx.settings).parse() {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// Allows content of the application's origin, and nothing inline. Forms may end with a redirect to
/// Open Humans or to the page after a logout.
fn policy(settings: &Settings) -> String {
    let mut forms = vec!["'self'".to_owned()];
    forms.push(settings.oh_base_url().origin().ascii_serialization());
    if let Ok(url) = Url::parse(settings.logout_redirect_url()) {
        forms.push(url.origin().ascii_serialization());
    }
    format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
         connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action {}",
        forms.join(" ")
    )
}

pub(crate) fn json_response(status: StatusCode, value: &impl Serialize) -> Response<Bytes> {
    let text = serde_json::to_vec(value).expect("views have text keys and finite numbers");
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    set(headers, header::CONTENT_TYPE, "application/json");
    set(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// Redirects a browser, which follows with GET.
pub(crate) fn redirect(target: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    match HeaderValue::from_str(target) {
        Ok(location) => {
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(header::LOCATION, location);
        }
        Err(_) => {
            tracing::error!("the redirect URL is not a valid header value");
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
    response
}

pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}
