//! Requests of downloads, and files after interruptions.

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

/// Responds with a body that is interrupted after `bytes` if `interrupted`.
fn respond(
    mock: &Arc<MockTransport>,
    status: u16,
    headers: &[(&'static str, &str)],
    bytes: &'static [u8],
    interrupted: bool,
) {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    mock.respond_with(move || {
        let data = Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(bytes)));
        let end = interrupted.then(|| Err("reset".into()));
        let frames = futures_util::stream::iter([data].into_iter().chain(end));
        Ok(response.body(Body::wrap(StreamBody::new(frames))).unwrap())
    });
}

fn redirected(mock: &Arc<MockTransport>) {
    respond(
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
async fn download_follows_redirect_without_token() {
    let mock = MockTransport::new();
    redirected(&mock);
    respond(&mock, 200, &[("content-length", "10")], CONTENT, false);
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
async fn download_rejects_redirect_without_https() {
    for location in ["http://store.example/7", "file:///etc/passwd", "//\u{0}"] {
        let mock = MockTransport::new();
        let location = location.replace('\0', "");
        respond(&mock, 302, &[("location", &location)], b"", false);
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
async fn expired_url_is_forbidden() {
    let mock = MockTransport::new();
    mock.respond(403, "<h1>You are not authorized to view this file.</h1>");
    let error = download(&mock, None).bytes().await.unwrap_err();
    assert!(matches!(error, Error::Forbidden { .. }));
}

#[tokio::test]
async fn download_checks_size_and_md5() {
    let mock = MockTransport::new();
    for _ in 0..4 {
        respond(&mock, 200, &[("content-length", "11")], CONTENT, false);
    }
    let error = download(&mock, None).bytes().await.unwrap_err();
    assert!(
        matches!(error, Error::Mismatch { what: "size", .. }),
        "{error}"
    );

    respond(&mock, 200, &[], CONTENT, false);
    let error = download(&mock, Some(&md5_of(b"other")))
        .bytes()
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Mismatch { what: "md5", .. }),
        "{error}"
    );

    respond(&mock, 200, &[], CONTENT, false);
    let other = md5_of(b"other");
    download(&mock, Some(&other))
        .ignore_md5()
        .bytes()
        .await
        .unwrap();
}

#[tokio::test]
async fn download_rejects_large_file_before_and_during_transfer() {
    for length in [&[("content-length", "10")][..], &[]] {
        let mock = MockTransport::new();
        respond(&mock, 200, length, CONTENT, false);
        let error = download(&mock, None).max_size(9).bytes().await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }));
    }
}

#[tokio::test]
async fn interrupted_download_resumes_only_same_version() {
    let mock = MockTransport::new();
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    respond(&mock, 200, &head, &CONTENT[..4], true);
    redirected(&mock);
    let rest = [("content-length", "6"), ("content-range", "bytes 4-9/10")];
    respond(&mock, 206, &rest, &CONTENT[4..], false);
    let bytes = download(&mock, Some(&md5_of(CONTENT)))
        .bytes()
        .await
        .unwrap();
    assert_eq!(bytes, CONTENT);
    let requests = headers(&mock);
    assert_eq!(requests[2][header::RANGE], "bytes=4-");
    assert_eq!(requests[2][header::IF_RANGE], "\"v1\"");

    // The file has changed, so the store returns it completely.
    respond(&mock, 200, &head, &CONTENT[..4], true);
    respond(&mock, 200, &[("content-length", "3")], b"new", false);
    let error = download(&mock, None).bytes().await.unwrap_err();
    assert!(matches!(error, Error::Network(_)), "{error}");
}

#[tokio::test]
async fn interrupted_download_starts_over_if_store_cannot_resume() {
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    let no_etag = [("content-length", "10")];
    let weak = [("content-length", "10"), ("etag", "W/\"v1\"")];
    let earlier = [("content-range", "bytes 2-9/10")];
    type Resumed<'a> = Option<(u16, Headers<'a>)>;
    let starts: [(&str, Headers<'_>, Resumed<'_>); 5] = [
        ("ignores Range", &head, None),
        ("returns another range", &head, Some((206, &earlier))),
        ("cannot satisfy Range", &head, Some((416, &[]))),
        ("has a weak ETag", &weak, None),
        ("has no ETag", &no_etag, None),
    ];
    for (store, head, resumed) in starts {
        let mock = MockTransport::new();
        respond(&mock, 200, head, &CONTENT[..4], true);
        if let Some((status, headers)) = resumed {
            respond(&mock, status, headers, b"", false);
        }
        // The second response is interrupted before the position of the first.
        respond(&mock, 200, head, &CONTENT[..2], true);
        if let Some((status, headers)) = resumed {
            respond(&mock, status, headers, b"", false);
        }
        respond(&mock, 200, head, CONTENT, false);
        let seen = Arc::new(Mutex::new(vec![]));
        let download = download(&mock, Some(&md5_of(CONTENT))).on_progress({
            let seen = Arc::clone(&seen);
            move |progress| seen.lock().unwrap().push(progress.done)
        });
        assert_eq!(download.bytes().await.unwrap(), CONTENT, "{store}");
        assert_eq!(*seen.lock().unwrap(), [0, 4, 10], "{store}");
    }
    // Without an ETag, the bytes that were already received must be the same.
    let mock = MockTransport::new();
    respond(&mock, 200, &no_etag, &CONTENT[..4], true);
    respond(&mock, 200, &no_etag, b"9876543210", false);
    let error = download(&mock, None).bytes().await.unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
}

#[tokio::test]
async fn download_accepts_only_complete_uncompressed_file() {
    let range = [("content-range", "bytes 0-3/10")];
    let responses: [(u16, Headers<'_>); 5] = [
        (204, &[]),
        (203, &[]),
        (206, &range),
        (200, &[("content-encoding", "gzip")]),
        (416, &[]),
    ];
    for (status, headers) in responses {
        let mock = MockTransport::new();
        let dir = tempfile::tempdir().unwrap();
        respond(&mock, status, headers, CONTENT, false);
        let error = download(&mock, None)
            .into_dir(dir.path())
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::UnexpectedResponse { .. } | Error::BadRequest { .. }
            ),
            "{status}: {error}"
        );
        assert_eq!(names(dir.path()), [""; 0]);
    }
    let mock = MockTransport::new();
    let identity = [("content-encoding", "identity"), ("content-length", "10")];
    respond(&mock, 200, &identity, CONTENT, false);
    assert_eq!(download(&mock, None).bytes().await.unwrap(), CONTENT);
}

#[tokio::test]
async fn stream_ends_with_error_for_wrong_md5() {
    let mock = MockTransport::new();
    respond(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let stream = download(&mock, Some(&md5_of(b"other")))
        .stream()
        .await
        .unwrap();
    assert_eq!(stream.size(), Some(10));
    let items: Vec<_> = stream.collect().await;
    assert!(items[0].is_ok() && matches!(items[1], Err(Error::Mismatch { .. })));

    respond(&mock, 200, &[], CONTENT, false);
    let stream = download(&mock, None).stream().await.unwrap();
    let chunks: Vec<Bytes> = stream.try_collect().await.unwrap();
    assert_eq!(chunks.concat(), CONTENT);
}

type Headers<'a> = &'a [(&'static str, &'a str)];

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn into_dir_saves_complete_file_in_directory() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    respond(&mock, 200, &[("content-length", "10")], CONTENT, false);
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

    respond(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let again = download(&mock, None).skip_existing();
    assert!(again.into_dir(dir.path()).await.unwrap().already_present);
    respond(&mock, 200, &[("content-length", "3")], b"new", false);
    let again = download(&mock, None).skip_existing();
    assert!(!again.into_dir(dir.path()).await.unwrap().already_present);
    assert_eq!(std::fs::read(&done.path).unwrap(), b"new");
}

#[tokio::test]
async fn download_to_path_keeps_old_file_and_continues_part() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    std::fs::write(&target, "old").unwrap();
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    let fetch = || download(&mock, Some(&md5_of(CONTENT))).to_path(&target);

    respond(&mock, 200, &head, &CONTENT[..4], true);
    respond(&mock, 200, &[], b"", false);
    fetch().await.unwrap_err();
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
    assert_eq!(names(dir.path()).len(), 2);

    mock.requests();
    respond(&mock, 200, &head, b"", false);
    let rest = [("content-range", "bytes 4-9/10")];
    respond(&mock, 206, &rest, &CONTENT[4..], false);
    fetch().await.unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), CONTENT);
    assert_eq!(names(dir.path()), ["a"]);
    assert_eq!(headers(&mock)[1][header::RANGE], "bytes=4-");
}

#[tokio::test]
async fn download_to_path_removes_part_that_cannot_continue() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    respond(&mock, 200, &[("content-length", "10")], &CONTENT[..4], true);
    respond(&mock, 403, &[], b"", false);
    download(&mock, None).to_path(&target).await.unwrap_err();
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    respond(&mock, 200, &head, CONTENT, false);
    let wrong = download(&mock, Some(&md5_of(b"other")));
    let error = wrong.to_path(&target).await.unwrap_err();
    assert!(matches!(error, Error::Mismatch { what: "md5", .. }));
    assert_eq!(names(dir.path()), ["a.oh-mismatch"]);
}

#[tokio::test]
async fn download_to_path_saves_file_with_wrong_md5_beside_target() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    let wrong = || download(&mock, Some(&md5_of(b"other")));
    respond(&mock, 200, &head, CONTENT, false);
    let error = wrong().to_path(&target).await.unwrap_err();
    let aside = dir.path().join("a.oh-mismatch");
    assert!(error.to_string().contains("a.oh-mismatch"), "{error}");
    assert!(matches!(error, Error::Mismatch { saved_as: Some(path), .. } if path == aside));
    assert_eq!(std::fs::read(&aside).unwrap(), CONTENT);
    assert!(!target.exists());
    respond(&mock, 200, &head, CONTENT, false);
    wrong().ignore_md5().to_path(&target).await.unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), CONTENT);
}

#[tokio::test]
async fn skip_verified_replaces_file_with_other_md5() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    std::fs::write(&target, "9876543210").unwrap();
    let known = || download(&mock, Some(&md5_of(CONTENT)));
    for is_kept in [false, true] {
        respond(&mock, 200, &[("content-length", "10")], CONTENT, false);
        let done = known().skip_verified().to_path(&target).await.unwrap();
        assert_eq!(done.already_present, is_kept);
        assert_eq!(std::fs::read(&target).unwrap(), CONTENT);
    }
    respond(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let unknown = download(&mock, None).skip_verified();
    assert!(unknown.to_path(&target).await.unwrap().already_present);
}

#[cfg(unix)]
#[tokio::test]
async fn downloaded_file_is_readable_only_by_owner() {
    use std::os::unix::fs::PermissionsExt;

    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    respond(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let done = download(&mock, None).into_dir(dir.path()).await.unwrap();
    let mode = std::fs::metadata(done.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn client_download_needs_only_url_and_names_file_in_error() {
    let mock = MockTransport::new();
    respond(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let download = || {
        mock.client()
            .download("https://oh.example/7/?key=k", "a.txt")
    };
    assert_eq!(download().bytes().await.unwrap(), CONTENT);
    respond(&mock, 200, &[("content-length", "10")], CONTENT, false);
    let missing = std::path::Path::new("/nonexistent/folder");
    let error = download().into_dir(missing).await.unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/folder/a.txt"),
        "{error}"
    );
}

#[tokio::test]
async fn download_to_path_does_not_follow_linked_part() {
    let mock = MockTransport::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a");
    let head = [("content-length", "10"), ("etag", "\"v1\"")];
    respond(&mock, 200, &head, &CONTENT[..4], true);
    respond(&mock, 200, &[], b"", false);
    download(&mock, None).to_path(&target).await.unwrap_err();
    let part = dir.path().join(&names(dir.path())[0]);
    let elsewhere = dir.path().join("elsewhere");
    std::fs::rename(&part, &elsewhere).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&elsewhere, &part).unwrap();
    respond(&mock, 200, &head, CONTENT, false);
    download(&mock, None).to_path(&target).await.unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), CONTENT);
    assert_eq!(std::fs::read(&elsewhere).unwrap(), &CONTENT[..4]);
}
