//! The body of a POST request: a small form, as browsers send it or as JSON.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::error::PageError;

/// The size limit of a form in bytes.
const MAX_FORM: usize = 64 * 1024;

/// The time limit for receiving a form.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// Extracts the fields of a form.
pub(crate) struct Input<T>(pub(crate) T);

impl<S, T> FromRequest<S> for Input<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = PageError;

    async fn from_request(request: Request, _: &S) -> Result<Self, PageError> {
        let (parts, body) = request.into_parts();
        let collect = Limited::new(body, MAX_FORM).collect();
        let collected = tokio::time::timeout(FORM_TIMEOUT, collect).await;
        let bytes = match collected.map_err(|_| PageError::bad_form())? {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(PageError::too_large()),
            Err(_) => return Err(PageError::bad_form()),
        };
        let content_type = parts.headers.get(CONTENT_TYPE);
        let is_json =
            content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        let fields = if is_json {
            serde_json::from_slice(&bytes).ok()
        } else {
            serde_urlencoded::from_bytes(&bytes).ok()
        };
        fields.map(Self).ok_or_else(PageError::bad_form)
    }
}
