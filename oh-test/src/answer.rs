//! What the app answered.

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, Response, StatusCode};

/// What the app answered.
#[derive(Clone, Debug)]
pub struct TestResponse(Response<Bytes>);

impl TestResponse {
    pub(crate) fn new(response: Response<Bytes>) -> Self {
        Self(response)
    }

    /// The status. It compares with numbers: `answer.status() == 200`.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// A header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Where a redirect leads.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[track_caller]
    pub fn location(&self) -> &str {
        let location = self.headers().get(LOCATION);
        location
            .and_then(|location| location.to_str().ok())
            .unwrap_or_else(|| panic!("no redirect, but {self}"))
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        self.0.body()
    }

    /// The body as text. What is no UTF-8 becomes �.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body()).into_owned()
    }
}

impl std::fmt::Display for TestResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.text();
        let begin: String = text.chars().take(1_000).collect();
        write!(f, "{} with the body {begin:?}", self.status())
    }
}
