//! Requests of uploads, and cleanup after failures.

use std::io;
use std::sync::{Arc, Mutex};

use http::header;

use super::*;
use crate::test_support::MockTransport;
use crate::transport::TransportError;

const STARTED: &str = r#"{"id":7,"url":"https://store.example/a?Signature=s"}"#;
const BIG: usize = 3 << 20;

fn big() -> Vec<u8> {
    (0..=250).cycle().take(BIG).collect()
}

fn completed(size: usize) -> String {
    format!(r#"{{"status":"ok","size":{size}}}"#)
}

/// Method, path and body length of all requests.
fn requests(mock: &MockTransport) -> Vec<(String, String, usize)> {
    let one = |r: http::Request<Bytes>| {
        let path = r.uri().path().replace("/api/direct-sharing/project", "");
        (r.method().to_string(), path, r.body().len())
    };
    mock.requests().into_iter().map(one).collect()
}

fn paths(mock: &MockTransport) -> Vec<String> {
    requests(mock)
        .into_iter()
        .map(|(_, path, _)| path)
        .collect()
}

#[tokio::test]
async fn small_file_is_uploaded_in_one_request() {
    let mock = MockTransport::new();
    mock.respond(201, r#"{"id":187}"#);
    let upload = Upload::bytes("a.csv", "a,b\n1,2\n")
        .metadata(FileMetadata::new("Diet survey").tags(["csv"]))
        .data_types(["GPS"])
        .with_md5();
    let id = "00000001".parse().unwrap();
    let member = mock.client().project("m").member(&id);
    let uploaded = member.upload(upload).await.unwrap();
    assert_eq!(uploaded.id, DataFileId::new(187));
    assert_eq!(uploaded.size, 8);
    assert_eq!(
        uploaded.md5.as_deref(),
        Some("e5ebd4c02cefbe7955977c67ada242b7")
    );
    let request = mock.requests().remove(0);
    let content_type = request.headers()[header::CONTENT_TYPE].to_str().unwrap();
    let boundary = content_type
        .strip_prefix("multipart/form-data; boundary=")
        .unwrap();
    let md5 = uploaded.md5.unwrap();
    let expected = [
        "--B\r\nContent-Disposition: form-data; name=\"project_member_id\"\r\n\r\n00000001\r\n",
        "--B\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n",
        "{\"description\":\"Diet survey\",\"md5\":\"MD5\",\"tags\":[\"csv\"]}\r\n",
        "--B\r\nContent-Disposition: form-data; name=\"datatypes\"\r\n\r\n[\"GPS\"]\r\n",
        "--B\r\nContent-Disposition: form-data; name=\"data_file\"; filename=\"a.csv\"\r\n",
        "Content-Type: application/octet-stream\r\n\r\na,b\n1,2\n\r\n--B--\r\n",
    ];
    let expected = expected.concat().replace("--B", &format!("--{boundary}"));
    // Another crate of the build may enable serde_json's feature that preserves the order of keys.
    let unsorted = format!("{{\"md5\":\"{md5}\",\"description\":\"Diet survey\"");
    let sorted = format!("{{\"description\":\"Diet survey\",\"md5\":\"{md5}\"");
    let body = String::from_utf8_lossy(request.body()).replace(&unsorted, &sorted);
    assert_eq!(body, expected.replace("MD5", &md5));
}

#[tokio::test]
async fn large_empty_and_renamed_files_are_uploaded_directly() {
    for (name, bytes) in [
        ("a.bin", big()),
        ("empty", vec![]),
        ("a b.txt", b"x".to_vec()),
    ] {
        let mock = MockTransport::new();
        let size = bytes.len();
        mock.respond(201, STARTED)
            .respond(200, "")
            .respond(200, completed(size));
        let upload = Upload::bytes(name, bytes.clone());
        let uploaded = mock.client().member("t").upload(upload).await.unwrap();
        assert_eq!(uploaded.size, size as u64);
        let requests = mock.requests();
        let put = &requests[1];
        assert_eq!(put.uri(), "https://store.example/a?Signature=s");
        assert!(!put.headers().contains_key(header::AUTHORIZATION));
        assert!(!put.headers().contains_key(header::CONTENT_TYPE));
        assert_eq!(put.body(), &bytes);
        assert_eq!(requests[2].body(), "file_id=7");
    }
}

#[tokio::test]
async fn upload_sources_send_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.bin");
    std::fs::write(&path, big()).unwrap();
    let reader = || io::Cursor::new(big());
    let uploads = [
        Upload::path(&path),
        Upload::path(&path).with_md5(),
        Upload::reader("big.bin", reader()),
        Upload::reader("big.bin", reader()).with_md5(),
        Upload::sized_reader("big.bin", reader(), BIG as u64),
        Upload::sized_reader("big.bin", reader(), BIG as u64).with_md5(),
    ];
    for upload in uploads {
        let wants_md5 = upload.with_md5;
        let mock = MockTransport::new();
        mock.respond(201, STARTED)
            .respond(200, "")
            .respond(200, completed(BIG));
        let uploaded = mock.client().member("t").upload(upload).await.unwrap();
        let expected = wants_md5.then(|| {
            use md5::Digest;
            hex::encode(md5::Md5::digest(big()))
        });
        assert_eq!(uploaded.md5, expected);
        let requests = mock.requests();
        let form = String::from_utf8_lossy(requests[0].body()).into_owned();
        assert!(form.starts_with("filename=big.bin&metadata="), "{form}");
        assert_eq!(expected.is_some_and(|md5| form.contains(&md5)), wants_md5);
        assert!(requests[1].body() == &big(), "the content differs");
    }
}

#[tokio::test]
async fn upload_progress_ends_at_file_size() {
    let mock = MockTransport::new();
    mock.respond(201, STARTED)
        .respond(200, "")
        .respond(200, completed(BIG));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let upload = Upload::bytes("a", big()).on_progress({
        let seen = Arc::clone(&seen);
        move |progress| seen.lock().unwrap().push(progress.done)
    });
    mock.client().member("t").upload(upload).await.unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted() && seen.len() > 10);
    assert_eq!((seen[0], *seen.last().unwrap()), (0, BIG as u64));
}

#[tokio::test(start_paused = true)]
async fn failed_put_is_repeated_at_same_url() {
    let mock = MockTransport::new();
    mock.respond(201, STARTED)
        .respond(503, "")
        .respond_with(|| Err(TransportError::other("reset")))
        .respond(200, "")
        .respond(200, completed(BIG));
    let upload = Upload::bytes("a", big());
    mock.client().member("t").upload(upload).await.unwrap();
    let lengths: Vec<_> = requests(&mock)
        .iter()
        .map(|(_, _, length)| *length)
        .collect();
    assert_eq!(lengths[1..4], [BIG, BIG, BIG]);
}

#[tokio::test]
async fn rejected_put_deletes_upload() {
    let mock = MockTransport::new();
    mock.respond(201, STARTED)
        .respond_with(|| {
            let body = "<?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code></Error>";
            let response = http::Response::builder()
                .status(403)
                .header(header::CONTENT_TYPE, "application/xml");
            Ok(response.body(crate::transport::Body::full(body)).unwrap())
        })
        .respond(200, r#"{"ids":[]}"#)
        .respond(200, "")
        .respond(200, completed(0))
        .respond(200, r#"{"ids":[7]}"#);
    let upload = Upload::bytes("a", big());
    let error = mock.client().member("t").upload(upload).await.unwrap_err();
    assert!(matches!(error, Error::ObjectStore { code, .. } if code == "SignatureDoesNotMatch"));
    assert_eq!(
        paths(&mock)[2..],
        [
            "/files/delete/",
            "/a",
            "/files/upload/complete/",
            "/files/delete/"
        ]
    );
}

#[tokio::test]
async fn upload_with_wrong_stored_size_is_deleted() {
    let mock = MockTransport::new();
    mock.respond(201, STARTED)
        .respond(200, "")
        .respond(200, completed(BIG - 1))
        .respond(200, r#"{"ids":[7]}"#);
    let upload = Upload::bytes("a", big());
    let error = mock.client().member("t").upload(upload).await.unwrap_err();
    assert!(matches!(error, Error::Mismatch { what: "size", .. }));
    assert_eq!(paths(&mock).last().unwrap(), "/files/delete/");
}

#[tokio::test]
async fn reader_of_wrong_length_is_rejected() {
    for (length, via_store) in [(BIG - 1, true), (BIG + 1, true), (9, false), (11, false)] {
        let mock = MockTransport::new();
        if via_store {
            mock.respond(201, STARTED)
                .respond(200, "")
                .respond(200, r#"{"ids":[7]}"#);
        }
        let bytes = if via_store { big() } else { vec![1; 10] };
        let reader = io::Cursor::new(bytes);
        let upload = Upload::sized_reader("a", reader, length as u64);
        let error = mock.client().member("t").upload(upload).await.unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{length}: {error:?}");
        let requests = paths(&mock);
        assert!(
            !requests.iter().any(|path| path.contains("complete")),
            "{requests:?}"
        );
    }
}

#[tokio::test]
async fn upload_rejects_invalid_input_before_sending() {
    let mock = MockTransport::new();
    let member = mock.client().member("t");
    let bad_date = FileMetadata::new("").creation_date("2020-13-01");
    for upload in [
        Upload::bytes("../a", "x"),
        Upload::bytes("", "x"),
        Upload::bytes("a", "x").metadata(bad_date),
        Upload::bytes("a", big()).via(UploadMethod::Simple),
        Upload::path("/nonexistent/file"),
        Upload::path("/"),
    ] {
        member.upload(upload).await.unwrap_err();
    }
    assert!(mock.requests().is_empty());
}

#[tokio::test]
async fn cancelled_upload_is_deleted() {
    let mock = MockTransport::new();
    let (started, has_started) = tokio::sync::oneshot::channel();
    mock.respond_with(move || {
        started.send(()).unwrap();
        Ok(http::Response::new(crate::transport::Body::full(STARTED)))
    });
    // The reader provides no data, so the PUT waits.
    let (reader, _writer) = tokio::io::duplex(64);
    let upload = Upload::sized_reader("a", reader, BIG as u64);
    let member = mock.client().member("t");
    let uploading = tokio::spawn(async move { member.upload(upload).await });
    has_started.await.unwrap();
    // The upload continues to the PUT.
    tokio::task::yield_now().await;
    let (deleted, is_deleted) = tokio::sync::oneshot::channel();
    mock.respond_with(move || {
        deleted.send(()).unwrap();
        Ok(http::Response::new(crate::transport::Body::full(
            r#"{"ids":[7]}"#,
        )))
    });
    uploading.abort();
    is_deleted.await.unwrap();
    assert_eq!(paths(&mock).last().unwrap(), "/files/delete/");
}

#[tokio::test]
async fn upload_rejects_wrong_md5_before_sending() {
    let mock = MockTransport::new();
    let member = mock.client().member("t");
    let stale = FileMetadata::new("d").md5("00000000000000000000000000000000");
    let sized = std::io::Cursor::new(big());
    for upload in [
        Upload::bytes("a.csv", "a,b\n1,2\n"),
        Upload::bytes("a.bin", big()),
        Upload::sized_reader("a.bin", sized, BIG as u64),
    ] {
        let error = member
            .upload(upload.metadata(stale.clone()))
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Mismatch { what: "md5", .. }),
            "{error}"
        );
    }
    assert!(mock.requests().is_empty());
    mock.respond(201, r#"{"id":7}"#);
    let right = FileMetadata::new("d").md5("E5EBD4C02CEFBE7955977C67ADA242B7");
    let upload = Upload::bytes("a.csv", "a,b\n1,2\n").metadata(right);
    member.upload(upload).await.unwrap();
}

#[tokio::test]
async fn upload_trims_name() {
    let mock = MockTransport::new();
    mock.respond(201, r#"{"id":7}"#);
    let upload = Upload::bytes(" a.csv ", "1");
    mock.client().member("t").upload(upload).await.unwrap();
    let body = mock.requests().remove(0).into_body();
    let body = String::from_utf8_lossy(&body);
    assert!(body.contains("filename=\"a.csv\""), "{body}");
}

#[tokio::test]
async fn upload_error_names_local_file() {
    let member = MockTransport::new().client().member("t");
    let error = member
        .upload(Upload::path("/nonexistent/a.csv"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/nonexistent/a.csv"), "{error}");
}

#[tokio::test]
async fn file_that_changes_during_upload_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.bin");
    std::fs::write(&path, big()).unwrap();
    let mock = MockTransport::new();
    let changed = path.clone();
    // The file is overwritten after its MD5 was computed.
    mock.respond_with(move || {
        std::fs::write(&changed, vec![7; BIG]).unwrap();
        Ok(http::Response::new(crate::transport::Body::full(STARTED)))
    })
    .respond(200, r#"{"ids":[7]}"#);
    let upload = Upload::path(&path).with_md5();
    let error = mock.client().member("t").upload(upload).await.unwrap_err();
    let text = format!("{error:?}");
    assert!(
        text.contains("big.bin") && text.contains("changed while"),
        "{text}"
    );
    assert_eq!(paths(&mock), ["/files/upload/direct/", "/files/delete/"]);
}

#[tokio::test]
async fn put_follows_one_redirect_without_credentials() {
    let redirect = |status: u16, location: &'static str| {
        move || {
            let response = http::Response::builder()
                .status(status)
                .header(header::LOCATION, location);
            Ok(response.body(crate::transport::Body::empty()).unwrap())
        }
    };
    for status in [307, 308] {
        let mock = MockTransport::new();
        mock.respond(201, STARTED)
            .respond_with(redirect(status, "https://region.example/a?Signature=s"))
            .respond(200, "")
            .respond(200, completed(BIG));
        let upload = Upload::bytes("a", big());
        mock.client().member("t").upload(upload).await.unwrap();
        let requests = mock.requests();
        assert_eq!(requests[2].uri(), "https://region.example/a?Signature=s");
        assert!(requests[2].body() == &big() && requests[2].method() == "PUT");
        assert!(!requests[2].headers().contains_key(header::AUTHORIZATION));
    }
    for location in ["https://region.example/b", "http://plain.example/a"] {
        let mock = MockTransport::new();
        mock.respond(201, STARTED);
        mock.respond_with(redirect(307, location));
        if location.starts_with("https") {
            mock.respond_with(redirect(307, location));
        }
        mock.respond(200, r#"{"ids":[7]}"#);
        let upload = Upload::bytes("a", big());
        let error = mock.client().member("t").upload(upload).await.unwrap_err();
        assert!(matches!(error, Error::UnexpectedResponse { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn upload_is_repeated_if_connection_refused_it() {
    let mock = MockTransport::new();
    mock.respond_with(|| Err(TransportError::unprocessed("REFUSED_STREAM")))
        .respond(201, r#"{"id":7}"#);
    let upload = Upload::bytes("a.csv", "1").data_types([""; 0]);
    mock.client().member("t").upload(upload).await.unwrap();
    let body = mock.requests().remove(1).into_body();
    let body = String::from_utf8_lossy(&body);
    assert!(
        body.contains("name=\"datatypes\"\r\n\r\n[]"),
        "an empty list is sent: {body}"
    );
}
