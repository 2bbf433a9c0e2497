//! What arrives, what is asked for, and what is left when it breaks off.

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderMap, header};
use http_body_util::StreamBody;

use super::*;
use crate::test_support::MockTransport;
use crate::transport::{Body, BoxError};

const CONTENT: &[u8] = b"0123456789";

fn file(md5: Option<&str>) -> DataFile {
    serde_json::from_value(serde_json::json!({
        "id": 7,
        "basename": "../a b.txt",
        "download_url": "https://oh.example/data-management/datafile-download/7/?key=k",
        "metadata": { "md5": md5 },
    }))
    .unwrap()
}

fn md5_of(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// Answers with a body that breaks off after `bytes`, if `breaks`.
fn answer(
    mock: &Arc<MockTransport>,
    status: u16,
    headers: &[(&'static str, &str)],
    bytes: &'static [u8],
    breaks: bool,
) {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    mock.respond_with(move || {
        let whole = Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(bytes)));
        let end = breaks.then(|| Err("reset".into()));
        let frames = futures_util::stream::iter([whole].into_iter().chain(end));
        Ok(response.body(Body::wrap(StreamBody::new(frames))).unwrap())
    });
}

fn redirected(mock: &Arc<MockTransport>) {
    answer(
        mock,
        302,
        &[("location", "https://store.example/7?Signature=s")],
        b"",
        false,
    );
}

fn download(mock: &Arc<MockTransport>, md5: Option<&str>) -> Download {
    mock.client().member("t").download(&file(md5))
}

fn headers(mock: &MockTransport) -> Vec<HeaderMap> {
    mock.requests()
        .iter()
        .map(|r| r.headers().clone())
        .collect()
}

#[tokio::test]
async fn follows_to_the_store_without_a_token() {
    let mock = MockTransport::new();
    redirected(&mock);
    answer(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let bytes = download(&mock, Some(&md5_of(CONTENT)))
        .bytes()
        .await
        .unwrap();
    assert_eq!(bytes, CONTENT);
    let requests = mock.requests();
    assert_eq!(requests[1].uri(), "https://store.example/7?Signature=s");
    for request in requests {
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
    }
}

#[tokio::test]
async fn goes_nowhere_without_https() {
    for location in ["http://store.example/7", "file:///etc/passwd", "//\u{0}"] {
        let mock = MockTransport::new();
        let location = location.replace('\0', "");
        answer(&mock, 302, &[("location", &location)], b"", false);
        let error = download(&mock, None).bytes().await.unwrap_err();
        assert!(
            matches!(error, Error::UnexpectedResponse { .. }),
            "{location}"
        );
    }
    let mock = MockTransport::new();
    for _ in 0..6 {
        redirected(&mock);
    }
    let error = download(&mock, None).bytes().await.unwrap_err();
    assert!(matches!(error, Error::UnexpectedResponse { .. }));
}

#[tokio::test]
async fn an_old_address_is_unauthorized() {
    let mock = MockTransport::new();
    mock.respond(403, "<h1>You are not authorized to view this file.</h1>");
    let error = download(&mock, None).bytes().await.unwrap_err();
    assert!(matches!(error, Error::Forbidden { .. }));
}

#[tokio::test]
async fn size_and_md5_are_checked() {
    let mock = MockTransport::new();
    answer(&mock, 200, &[("content-length", "11")], CONTENT, false);
    let error = download(&mock, None).bytes().await.unwrap_err();
    assert!(
        matches!(error, Error::Mismatch { what: "size", .. }),
        "{error}"
    );

    answer(&mock, 200, &[], CONTENT, false);
    let error = download(&mock, Some(&md5_of(b"other")))
        .bytes()
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Mismatch { what: "md5", .. }),
        "{error}"
    );

    answer(&mock, 200, &[], CONTENT, false);
    let other = md5_of(b"other");
    download(&mock, Some(&other))
        .ignore_md5()
        .bytes()
        .await
        .unwrap();
}

#[tokio::test]
async fn too_large_is_refused_at_the_head_and_on_the_way() {
    for length in [&[("content-length", "10")][..], &[]] {
        let mock = MockTransport::new();
        answer(&mock, 200, length, CONTENT, false);
        let error = download(&mock, None).max_size(9).bytes().await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }));
    }
}

#[tokio::test]
async fn a_transfer_that_breaks_off_is_resumed_in_the_same_state_only() {
    let mock = MockTransport::new();
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    answer(&mock, 200, &head, &CONTENT[..4], true);
    redirected(&mock);
    let rest = [("content-length", "6"), ("content-range", "bytes 4-9/10")];
    answer(&mock, 206, &rest, &CONTENT[4..], false);
    let bytes = download(&mock, Some(&md5_of(CONTENT)))
        .bytes()
        .await
        .unwrap();
    assert_eq!(bytes, CONTENT);
    let requests = headers(&mock);
    assert_eq!(requests[2][header::RANGE], "bytes=4-");
    assert_eq!(requests[2][header::IF_RANGE], "\"v1\"");

    // The file has changed: the store answers with the whole of it.
    answer(&mock, 200, &head, &CONTENT[..4], true);
    answer(&mock, 200, &[("content-length", "3")], b"new", false);
    let error = download(&mock, None).bytes().await.unwrap_err();
    assert!(matches!(error, Error::Network(_)), "{error}");

    // A state the store does not vouch for cannot be resumed.
    let weak = [("content-length", "10"), ("etag", "W/\"v1\"")];
    answer(&mock, 200, &weak, &CONTENT[..4], true);
    let error = download(&mock, None).bytes().await.unwrap_err();
    assert!(matches!(error, Error::Network(_)), "{error}");
}

#[tokio::test]
async fn a_stream_ends_in_an_error_where_it_is_not_the_file() {
    let mock = MockTransport::new();
    answer(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let stream = download(&mock, Some(&md5_of(b"other")))
        .stream()
        .await
        .unwrap();
    assert_eq!(stream.size(), Some(10));
    let items: Vec<_> = stream.collect().await;
    assert!(items[0].is_ok() && matches!(items[1], Err(Error::Mismatch { .. })));

    answer(&mock, 200, &[], CONTENT, false);
    let stream = download(&mock, None).stream().await.unwrap();
    let chunks: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(chunks.concat(), CONTENT);
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_appears_whole_and_within_the_directory() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    answer(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let seen = Arc::new(Mutex::new(vec![]));
    let watched = download(&mock, Some(&md5_of(CONTENT))).on_progress({
        let seen = Arc::clone(&seen);
        move |progress| seen.lock().unwrap().push(progress.done)
    });
    let done = watched.into_dir(dir.path()).await.unwrap();
    assert_eq!(done.path, dir.path().join("a b.txt"));
    assert_eq!((done.size, done.already_present), (10, false));
    assert_eq!(std::fs::read(&done.path).unwrap(), CONTENT);
    assert_eq!(names(dir.path()), ["a b.txt"]);
    assert_eq!(*seen.lock().unwrap(), [0, 10]);

    // It is here and has the right size.
    answer(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let again = download(&mock, None).skip_existing();
    assert!(again.into_dir(dir.path()).await.unwrap().already_present);
    // What has another size is replaced.
    answer(&mock, 200, &[("content-length", "3")], b"new", false);
    let again = download(&mock, None).skip_existing();
    assert!(!again.into_dir(dir.path()).await.unwrap().already_present);
    assert_eq!(std::fs::read(&done.path).unwrap(), b"new");
}

#[tokio::test]
async fn what_breaks_off_leaves_the_old_file_and_a_part_that_is_continued() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    std::fs::write(&target, "old").unwrap();
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    let fetch = || download(&mock, Some(&md5_of(CONTENT))).to_path(&target);

    answer(&mock, 200, &head, &CONTENT[..4], true);
    answer(&mock, 200, &[], b"", false);
    fetch().await.unwrap_err();
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
    assert_eq!(names(dir.path()).len(), 2);

    mock.requests();
    answer(&mock, 200, &head, b"", false);
    let rest = [("content-range", "bytes 4-9/10")];
    answer(&mock, 206, &rest, &CONTENT[4..], false);
    fetch().await.unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), CONTENT);
    assert_eq!(names(dir.path()), ["a"]);
    assert_eq!(headers(&mock)[1][header::RANGE], "bytes=4-");
}

#[tokio::test]
async fn what_cannot_be_continued_leaves_nothing() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    answer(&mock, 200, &[("content-length", "10")], &CONTENT[..4], true);
    download(&mock, None).to_path(&target).await.unwrap_err();
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    answer(&mock, 200, &head, CONTENT, false);
    let wrong = download(&mock, Some(&md5_of(b"other")));
    let error = wrong.to_path(&target).await.unwrap_err();
    assert!(matches!(error, Error::Mismatch { what: "md5", .. }));
    assert_eq!(names(dir.path()), ["a.oh-mismatch"]);
}

#[tokio::test]
async fn what_has_another_md5_is_kept_aside_and_taken_when_told() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    let wrong = || download(&mock, Some(&md5_of(b"other")));
    answer(&mock, 200, &head, CONTENT, false);
    let error = wrong().to_path(&target).await.unwrap_err();
    let aside = dir.path().join("a.oh-mismatch");
    assert!(error.to_string().contains("a.oh-mismatch"), "{error}");
    assert!(matches!(error, Error::Mismatch { saved_as: Some(path), .. } if path == aside));
    assert_eq!(std::fs::read(&aside).unwrap(), CONTENT);
    assert!(!target.exists());
    answer(&mock, 200, &head, CONTENT, false);
    wrong().ignore_md5().to_path(&target).await.unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), CONTENT);
}

#[tokio::test]
async fn a_stale_file_of_equal_size_shows_by_its_md5() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    std::fs::write(&target, "9876543210").unwrap();
    let known = || download(&mock, Some(&md5_of(CONTENT)));
    for kept in [false, true] {
        answer(&mock, 200, &[("content-length", "10")], CONTENT, false);
        let done = known().skip_verified().to_path(&target).await.unwrap();
        assert_eq!(done.already_present, kept);
        assert_eq!(std::fs::read(&target).unwrap(), CONTENT);
    }
    answer(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let unknown = download(&mock, None).skip_verified();
    assert!(unknown.to_path(&target).await.unwrap().already_present);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    answer(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let done = download(&mock, None).into_dir(dir.path()).await.unwrap();
    let mode = std::fs::metadata(done.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_bare_address_is_enough_and_errors_name_the_file() {
    let mock = MockTransport::new();
    answer(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let download = || {
        mock.client()
            .download("https://oh.example/7/?key=k", "a.txt")
    };
    assert_eq!(download().bytes().await.unwrap(), CONTENT);
    answer(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let missing = std::path::Path::new("/nonexistent/folder");
    let error = download().into_dir(missing).await.unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/folder/a.txt"),
        "{error}"
    );
}

#[tokio::test]
async fn a_part_that_is_a_link_is_not_written_through() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    answer(&mock, 200, &head, &CONTENT[..4], true);
    answer(&mock, 200, &[], b"", false);
    download(&mock, None).to_path(&target).await.unwrap_err();
    let part = dir.path().join(&names(dir.path())[0]);
    let elsewhere = dir.path().join("elsewhere");
    std::fs::rename(&part, &elsewhere).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&elsewhere, &part).unwrap();
    answer(&mock, 200, &head, CONTENT, false);
    download(&mock, None).to_path(&target).await.unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), CONTENT);
    assert_eq!(std::fs::read(&elsewhere).unwrap(), &CONTENT[..4]);
}
