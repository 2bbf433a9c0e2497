//! Turns what a handler returns into HTML or JSON, and sets the headers of every response.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};
use oh_core::Settings;
use url::Url;

use crate::access::Access;
use crate::app::App;
use crate::context::Context;
use crate::error::PageError;
use crate::layout;
use crate::negotiation::Format;
use crate::pages::{ErrorPage, Page};
use crate::renderer::PageRenderer;
use crate::response::{Done, deferred, json_response, redirect, set};

/// The state of the layer.
#[derive(Clone)]
pub(crate) struct RenderState {
    pub(crate) app: App,
    pub(crate) renderer: Option<Arc<dyn PageRenderer>>,
}

/// The result of a handler, from the extensions of its response.
enum Deferred {
    Page(Arc<Page>),
    Done(Done),
    Error(PageError),
}

impl Deferred {
    fn take_from(response: &mut Response) -> Option<Self> {
        let extensions = response.extensions_mut();
        let page = extensions.remove().map(Self::Page);
        let done = extensions.remove().map(Self::Done);
        let error = extensions.remove().map(Self::Error);
        let result = page.or(done).or(error);
        result.or_else(|| {
            is_foreign_error(response)
                .then(|| Self::Error(PageError::for_status(response.status())))
        })
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        deferred(Arc::new(self))
    }
}

/// Renders the response of any route. This is the outermost layer of the router.
pub(crate) async fn render(
    State(state): State<RenderState>,
    request: Request,
    next: Next,
) -> Response {
    let (headers, uri) = (request.headers().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    let deferred = Deferred::take_from(&mut response);
    if let Some(deferred) = deferred {
        let rendered = deferred_response(&state, &headers, &uri, &response, &deferred);
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
    state: &RenderState,
    headers: &HeaderMap,
    uri: &Uri,
    response: &Response,
    deferred: &Deferred,
) -> Response {
    let openhumans = state.app.openhumans();
    let now = openhumans.clock().now();
    let mut cx = Context::new(state.app.appearance(), openhumans.settings(), headers, now);
    cx.query = uri.query().unwrap_or_default();
    cx.access = response.extensions().get::<Access>().copied();
    let renderer = state.renderer.as_deref();
    let rendered = match deferred {
        Deferred::Page(page) => page_response(&cx, renderer, StatusCode::OK, page),
        Deferred::Error(error) => page_response(
            &cx,
            renderer,
            error.status,
            &ErrorPage::new(error, &cx).into(),
        ),
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

/// A page in the negotiated format.
pub(crate) fn page_response(
    cx: &Context<'_>,
    renderer: Option<&dyn PageRenderer>,
    status: StatusCode,
    page: &Page,
) -> Response<Bytes> {
    let mut response = match cx.format {
        Format::Json => json_response(status, page),
        Format::Html => html_response(cx, renderer, status, page),
    };
    let headers = response.headers_mut();
    set(headers, header::VARY, "accept, accept-language");
    response
}

fn html_response(
    cx: &Context<'_>,
    renderer: Option<&dyn PageRenderer>,
    status: StatusCode,
    page: &Page,
) -> Response<Bytes> {
    let notice = cx.notice();
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
