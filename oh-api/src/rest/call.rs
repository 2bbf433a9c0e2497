//! One call, described apart from sending it, so that it can be sent again.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde::Serialize;
use url::Url;

use crate::Error;
use crate::transport::Body;

/// What a call carries.
#[derive(Clone)]
pub(crate) enum Payload {
    None,
    Bytes {
        content_type: HeaderValue,
        bytes: Bytes,
    },
}

/// Whether a call may be sent again after a failure that leaves open if it was done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// Only where it certainly was not done.
    IfUnprocessed,
}

/// One call to the API.
#[derive(Clone)]
pub(crate) struct Call {
    /// What the call is called in logs: never with an id in it.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) payload: Payload,
    pub(crate) repeat: Repeat,
    /// `members/` knows the token only as a query parameter.
    pub(crate) token_in_query: bool,
    /// The longest answer that is read, in bytes.
    pub(crate) max_response: usize,
}

/// The longest answer about one thing.
const MAX_SINGLE: usize = 2 << 20;

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
            payload: Payload::None,
            repeat: Repeat::Safe,
            token_in_query: false,
            max_response: MAX_SINGLE,
        }
    }

    /// A call for a page of a list.
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

    pub(crate) fn json(mut self, value: &impl Serialize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(value).map_err(|e| Error::InvalidInput {
            argument: "body",
            reason: e.to_string(),
        })?;
        self.payload = Payload::Bytes {
            content_type: HeaderValue::from_static("application/json"),
            bytes: bytes.into(),
        };
        Ok(self)
    }

    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Result<Self, Error> {
        let text = serde_urlencoded::to_string(fields).map_err(|e| Error::InvalidInput {
            argument: "body",
            reason: e.to_string(),
        })?;
        self.payload = Payload::Bytes {
            content_type: HeaderValue::from_static("application/x-www-form-urlencoded"),
            bytes: text.into(),
        };
        Ok(self)
    }

    /// The request to `url`, which is the path's, with the token where this call wants it.
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
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
                Error::InvalidInput {
                    argument: "access token",
                    reason: "it has characters no token has".into(),
                }
            })?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let body = match &self.payload {
            Payload::None => Body::empty(),
            Payload::Bytes {
                content_type,
                bytes,
            } => {
                request = request.header(header::CONTENT_TYPE, content_type);
                Body::full(bytes.clone())
            }
        };
        request.body(body).map_err(|_| Error::InvalidInput {
            argument: "address",
            reason: "it is not one a request can be sent to".into(),
        })
    }
}
