//! What handlers return besides pages, and small responses.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use oh_core::SessionChange;
use serde::Serialize;
use utoipa::ToSchema;

/// An empty response with `value` among its extensions, for the layer that renders it.
pub(crate) fn deferred(value: impl Clone + Send + Sync + 'static) -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(value);
    response
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
        let mut response = deferred(self);
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
