//! Responses of the application.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, Response, StatusCode};

/// A response of the application, with its complete body.
#[derive(Clone, Debug)]
pub struct TestResponse(Response<Bytes>);

impl TestResponse {
    pub(crate) fn new(response: Response<Bytes>) -> Self {
        Self(response)
    }

    /// Returns the status, which compares with numbers: `response.status() == 200`.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// Returns the target of a redirect.
    ///
    /// # Panics
    ///
    /// Panics if the response has no `Location` header.
    #[track_caller]
    pub fn location(&self) -> &str {
        let location = self.headers().get(LOCATION);
        location
            .and_then(|location| location.to_str().ok())
            .unwrap_or_else(|| panic!("expected a redirect, got {self}"))
    }

    /// Returns the body.
    pub fn body(&self) -> &Bytes {
        self.0.body()
    }

    /// Returns the body as text; invalid UTF-8 is replaced by `�`.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body()).into_owned()
    }
}

impl std::fmt::Display for TestResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.text();
        let start: String = text.chars().take(1_000).collect();
        write!(f, "{} with the body {start:?}", self.status())
    }
}
