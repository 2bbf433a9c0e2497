//! The description of an API call, from which each attempt builds its request.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde::Serialize;
use url::Url;

use crate::Error;
use crate::transport::Body;

/// A request body.
#[derive(Clone)]
pub(crate) struct Payload {
    pub(crate) content_type: HeaderValue,
    pub(crate) bytes: Bytes,
}

/// Whether a call may be repeated after a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The call is idempotent.
    Safe,
    /// Only if the server certainly did not process the call.
    IfUnprocessed,
}

/// One call to the API.
#[derive(Clone)]
pub(crate) struct Call {
    /// The name in logs, which must not contain an id.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) payload: Option<Payload>,
    pub(crate) repeat: Repeat,
    /// The path of the resource that a list belongs to. The server answers 500 to a list of an
    /// unknown resource, and 404 to the resource itself.
    pub(crate) parent: Option<String>,
    /// Whether the token is sent as a query parameter, as the member list requires.
    pub(crate) token_in_query: bool,
    /// The longest response that is read, in bytes.
    pub(crate) max_response: usize,
}

/// The longest response about a single resource.
const MAX_RESOURCE: usize = 2 << 20;

/// The longest page of a list. A page of 100 members has about 600 KB; with metadata in all of
/// their files it can have much more.
const MAX_PAGE: usize = 32 << 20;

impl Call {
    pub(crate) fn get(name: &'static str, path: impl Into<String>) -> Self {
        Self {
            name,
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            payload: None,
            repeat: Repeat::Safe,
            parent: None,
            token_in_query: false,
            max_response: MAX_RESOURCE,
        }
    }

    /// Requests a page of a list.
    pub(crate) fn page(name: &'static str, path: impl Into<String>) -> Self {
        Self {
            max_response: MAX_PAGE,
            ..Self::get(name, path)
        }
    }

    pub(crate) fn post(name: &'static str, path: impl Into<String>, repeat: Repeat) -> Self {
        Self {
            method: Method::POST,
            repeat,
            ..Self::get(name, path)
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn json(self, value: &impl Serialize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(value);
        let bytes = bytes.map_err(|e| Error::invalid_input("body", e.to_string()))?;
        Ok(self.body("application/json", bytes))
    }

    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Result<Self, Error> {
        let text = serde_urlencoded::to_string(fields);
        let text = text.map_err(|e| Error::invalid_input("body", e.to_string()))?;
        Ok(self.body("application/x-www-form-urlencoded", text))
    }

    fn body(mut self, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        self.payload = Some(Payload {
            content_type: HeaderValue::from_static(content_type),
            bytes: bytes.into(),
        });
        self
    }

    /// Builds the request to `url`, with the token in the header or in the query.
    pub(crate) fn request(
        &self,
        mut url: Url,
        token: Option<&str>,
    ) -> Result<Request<Body>, Error> {
        let query_token = token.filter(|_| self.token_in_query);
        if !self.query.is_empty() || query_token.is_some() {
            let mut pairs = url.query_pairs_mut();
            pairs.extend_pairs(&self.query);
            if let Some(token) = query_token {
                pairs.append_pair("access_token", token);
            }
        }
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(url.as_str())
            .header(header::ACCEPT, "application/json");
        if let Some(token) = token.filter(|_| !self.token_in_query) {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let invalid = "it contains characters that are invalid in a header";
            let mut value = value.map_err(|_| Error::invalid_input("access token", invalid))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let body = match &self.payload {
            None => Body::empty(),
            Some(payload) => {
                request = request.header(header::CONTENT_TYPE, &payload.content_type);
                Body::full(payload.bytes.clone())
            }
        };
        let request = request.body(body);
        request.map_err(|_| Error::invalid_input("URL", "it is not valid in a request"))
    }
}
