//! What a POST brings: a small form, as browsers send it or as JSON; or an upload, as it arrives.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, stream};
use http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::problem::Problem;
use crate::routes::body::{self, BodyProblem};
use crate::transport::BoxError;

/// The longest form, in bytes: a description and tags.
const MAX_FORM: usize = 64 * 1024;

/// How long to wait for the next part of an upload.
const PATIENCE: Duration = Duration::from_secs(60);

/// The parts of an upload that may wait to be sent on.
const WAITING: usize = 2;

/// What came with a request.
pub(super) enum Input {
    Nothing,
    Form(Result<Bytes, BodyProblem>),
    Upload(Arriving),
}

/// An upload as it arrives.
pub(super) type Arriving = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Reads a small form.
pub(super) async fn read<B>(body: B) -> Input
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    Input::Form(body::read(body, MAX_FORM).await)
}

/// Two ends of one upload. The body need not be `Send`, and what sends it on must be: whoever
/// polls the first end carries the parts over, a few at a time, so that memory stays flat.
pub(super) fn carry<B>(body: B) -> (impl Future<Output = Infallible>, Input)
where
    B: http_body::Body,
    B::Data: Buf,
    B::Error: Into<BoxError>,
{
    let (to, from) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    let carrying = async move {
        let mut body = std::pin::pin!(body);
        loop {
            let next = match tokio::time::timeout(PATIENCE, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(mut data) => Ok(data.copy_to_bytes(data.remaining())),
                    Err(_) => continue,
                },
                Ok(Some(Err(error))) => Err(io::Error::other(error.into())),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            let last = next.is_err();
            if to.send(next).await.is_err() || last {
                break;
            }
        }
        drop(to);
        std::future::pending().await
    };
    let arriving = stream::unfold(from, |mut from| async move {
        from.recv().await.map(|part| (part, from))
    });
    (carrying, Input::Upload(Box::pin(arriving)))
}

impl Input {
    /// A form's values, whichever way they were written.
    pub(super) fn parse<T: DeserializeOwned>(self, headers: &HeaderMap) -> Result<T, Problem> {
        let bytes = match self {
            Self::Form(Ok(bytes)) => bytes,
            Self::Form(Err(BodyProblem::TooLarge)) => return Err(Problem::too_large()),
            _ => return Err(Problem::form()),
        };
        let is_json = headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        if is_json {
            serde_json::from_slice(&bytes).map_err(|_| Problem::form())
        } else {
            serde_urlencoded::from_bytes(&bytes).map_err(|_| Problem::form())
        }
    }
}
