use std::cell::Cell;
use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use serde::Deserialize;

use crate::routes::pages::form::{Input, carry, read};
use crate::routes::pages::problem::Problem;

#[derive(Debug, Deserialize)]
struct Said {
    description: String,
}

async fn parsed(body: String) -> Result<Said, Problem> {
    let input = read(Full::new(Bytes::from(body))).await;
    input.parse(&HeaderMap::new())
}

#[tokio::test]
async fn a_form_of_more_than_64_kib_is_said_to_be_too_large() {
    let begin = "description=";
    let longest = format!("{begin}{}", "x".repeat(64 * 1024 - begin.len()));
    let longer = format!("{longest}x");
    let said = parsed(longest).await.unwrap();
    assert_eq!(said.description.len(), 64 * 1024 - begin.len());
    let problem = parsed(longer).await.unwrap_err();
    assert_eq!(problem.status, StatusCode::PAYLOAD_TOO_LARGE);
    let problem = parsed("tags=a".into()).await.unwrap_err();
    assert_eq!(problem.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_upload_ends_where_it_broke_off() {
    let parts = [
        Ok(Bytes::from("a")),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
        Ok(Bytes::from("b")),
    ];
    let body = StreamBody::new(stream::iter(parts).map(|part| part.map(Frame::data)));
    let (carrying, input) = carry(body);
    let Input::Upload(arriving) = input else {
        panic!("it is an upload");
    };
    let arrived = arriving.map(Result::ok).collect::<Vec<_>>();
    let Either::Left((arrived, _)) = select(arrived, Box::pin(carrying)).await;
    assert_eq!(arrived, [Some(Bytes::from("a")), None]);
}

#[tokio::test]
async fn an_upload_that_nobody_wants_is_not_read_to_its_end() {
    let taken = Cell::new(0);
    let parts = stream::iter(0..100).map(|_| {
        taken.set(taken.get() + 1);
        Ok::<_, Infallible>(Frame::data(Bytes::from("a")))
    });
    let (carrying, input) = carry(StreamBody::new(parts));
    drop(input);
    assert!(Box::pin(carrying).now_or_never().is_none());
    assert_eq!(taken.get(), 1);
}
