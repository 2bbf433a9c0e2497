//! A request with its parsed query and its body.

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::{HeaderMap, Method, header};

use crate::fault::Fault;

/// The maximum size of a stored body. A longer body is read and discarded, so the client receives a
/// response instead of a broken pipe.
pub(crate) const MAX_STORED_BODY: u64 = 16 << 20;

/// A request with its body in memory.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) raw_query: Option<String>,
    pub(crate) query: Fields,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
    /// The scheme and host of the request, without a trailing slash.
    pub(crate) base: String,
    /// A fault that changes lists.
    pub(crate) fault: Option<Fault>,
}

/// The body of a request.
pub(crate) enum RequestBody {
    Whole(Bytes),
    TooLarge,
}

/// The client disconnected before the request was complete.
#[derive(Debug)]
pub(crate) struct ClientDisconnected;

/// The names and values of a query or form, in their order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(text: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(text).into_owned().collect())
    }

    /// Returns the last value of a name, like Django.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Call {
    pub(crate) async fn read(
        request: Request,
        default_host: &str,
    ) -> Result<Self, ClientDisconnected> {
        let (parts, body) = request.into_parts();
        let chunked = parts.headers.contains_key(header::TRANSFER_ENCODING);
        let body = read_body(body, chunked).await?;
        let raw_query = parts.uri.query().map(str::to_owned);
        let query = Fields::parse(raw_query.as_deref().unwrap_or_default().as_bytes());
        let host = text(&parts.headers, header::HOST.as_str()).unwrap_or(default_host);
        let scheme = if text(&parts.headers, "x-forwarded-proto") == Some("https") {
            "https"
        } else {
            "http"
        };
        Ok(Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            raw_query,
            query,
            base: format!("{scheme}://{host}"),
            headers: parts.headers,
            body,
            fault: None,
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }

    /// Returns the media type of the body, without parameters and in lower case.
    pub(crate) fn content_type(&self) -> Option<String> {
        let value = self.header("content-type")?;
        Some(
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase(),
        )
    }

    pub(crate) fn body(&self) -> &[u8] {
        match &self.body {
            RequestBody::Whole(bytes) => bytes,
            RequestBody::TooLarge => &[],
        }
    }

    /// Returns the value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self
            .headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        cookies.flat_map(|value| value.split(';')).find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then_some(value)
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reads a body to its end. A chunked body arrives empty, because the real server reads only the
/// announced length.
async fn read_body(body: Body, chunked: bool) -> Result<RequestBody, ClientDisconnected> {
    let mut kept = BytesMut::new();
    let mut length = 0_u64;
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| ClientDisconnected)?;
        length += frame.len() as u64;
        if !chunked && length <= MAX_STORED_BODY {
            kept.extend_from_slice(&frame);
        }
    }
    if chunked {
        return Ok(RequestBody::Whole(Bytes::new()));
    }
    Ok(if length > MAX_STORED_BODY {
        RequestBody::TooLarge
    } else {
        RequestBody::Whole(kept.freeze())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_return_last_value() {
        let fields = Fields::parse(b"a=1&b=x+y&a=2");
        assert_eq!(fields.get("a"), Some("2"));
        assert_eq!(fields.get("b"), Some("x y"));
        assert_eq!(fields.get("c"), None);
    }

    #[tokio::test]
    async fn call_discards_chunked_body() {
        let request = http::Request::post("/oauth2/token/?a=1")
            .header("transfer-encoding", "chunked")
            .header("cookie", "x=1; oh=2")
            .body(Body::from("grant_type=x"))
            .unwrap();
        let call = Call::read(request, "127.0.0.1:1").await.unwrap();
        assert!(call.body().is_empty());
        assert_eq!(call.base, "http://127.0.0.1:1");
        assert_eq!(call.cookie("oh"), Some("2"));
    }
}
