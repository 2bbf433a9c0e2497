//! What leaves, and what is left behind when it goes wrong.

use std::io;
use std::sync::{Arc, Mutex};

use http::header;

use super::*;
use crate::test_support::MockTransport;
use crate::transport::TransportError;

const BEGUN: &str = r#"{"id":7,"url":"https://store.example/a?Signature=s"}"#;
const BIG: usize = 3 << 20;

fn big() -> Vec<u8> {
    (0..=250).cycle().take(BIG).collect()
}

fn completed(size: usize) -> String {
    format!(r#"{{"status":"ok","size":{size}}}"#)
}

/// Method, path and the length of the body of everything requests.
fn asked(mock: &MockTransport) -> Vec<(String, String, usize)> {
    let one = |r: http::Request<Bytes>| {
        let path = r.uri().path().replace("/api/direct-sharing/project", "");
        (r.method().to_string(), path, r.body().len())
    };
    mock.requests().into_iter().map(one).collect()
}

fn paths(mock: &MockTransport) -> Vec<String> {
    asked(mock).into_iter().map(|(_, path, _)| path).collect()
}

#[tokio::test]
async fn a_small_file_goes_in_one_request() {
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
    let requests = mock.requests().remove(0);
    let content_type = requests.headers()[header::CONTENT_TYPE].to_str().unwrap();
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
    // Another crate of the same build may have asked serde_json to keep the order of keys.
    let kept = format!("{{\"md5\":\"{md5}\",\"description\":\"Diet survey\"");
    let sorted = format!("{{\"description\":\"Diet survey\",\"md5\":\"{md5}\"");
    let body = String::from_utf8_lossy(requests.body()).replace(&kept, &sorted);
    assert_eq!(body, expected.replace("MD5", &md5));
}

#[tokio::test]
async fn large_empty_and_oddly_named_files_go_through_the_store() {
    for (name, bytes) in [
        ("a.bin", big()),
        ("empty", vec![]),
        ("a b.txt", b"x".to_vec()),
    ] {
        let mock = MockTransport::new();
        let size = bytes.len();
        mock.respond(201, BEGUN)
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
async fn every_source_sends_the_same() {
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
        let wants_md5 = upload.md5;
        let mock = MockTransport::new();
        mock.respond(201, BEGUN)
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
        assert!(requests[1].body() == &big(), "another content");
    }
}

#[tokio::test]
async fn progress_is_told_to_the_end() {
    let mock = MockTransport::new();
    mock.respond(201, BEGUN)
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
async fn a_put_that_fails_is_repeated_at_the_same_address() {
    let mock = MockTransport::new();
    mock.respond(201, BEGUN)
        .respond(503, "")
        .respond_with(|| Err(TransportError::other("reset")))
        .respond(200, "")
        .respond(200, completed(BIG));
    let upload = Upload::bytes("a", big());
    mock.client().member("t").upload(upload).await.unwrap();
    let lengths: Vec<_> = asked(&mock).iter().map(|(_, _, length)| *length).collect();
    assert_eq!(lengths[1..4], [BIG, BIG, BIG]);
}

#[tokio::test]
async fn a_refused_put_leaves_nothing_behind() {
    let mock = MockTransport::new();
    mock.respond(201, BEGUN)
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
async fn another_size_than_was_sent_is_an_error_and_deleted() {
    let mock = MockTransport::new();
    mock.respond(201, BEGUN)
        .respond(200, "")
        .respond(200, completed(BIG - 1))
        .respond(200, r#"{"ids":[7]}"#);
    let upload = Upload::bytes("a", big());
    let error = mock.client().member("t").upload(upload).await.unwrap_err();
    assert!(matches!(error, Error::Mismatch { what: "size", .. }));
    assert_eq!(paths(&mock).last().unwrap(), "/files/delete/");
}

#[tokio::test]
async fn a_reader_of_another_length_is_an_error() {
    for (length, via_store) in [(BIG - 1, true), (BIG + 1, true), (9, false), (11, false)] {
        let mock = MockTransport::new();
        if via_store {
            mock.respond(201, BEGUN)
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
async fn what_cannot_be_uploaded_is_refused_before_anything_is_sent() {
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
async fn a_cancelled_upload_is_cleaned_up() {
    let mock = MockTransport::new();
    let (started, has_started) = tokio::sync::oneshot::channel();
    mock.respond_with(move || {
        started.send(()).unwrap();
        Ok(http::Response::new(crate::transport::Body::full(BEGUN)))
    });
    // The reader never gives anything: the PUT hangs.
    let (reader, _writer) = tokio::io::duplex(64);
    let upload = Upload::sized_reader("a", reader, BIG as u64);
    let member = mock.client().member("t");
    let uploading = tokio::spawn(async move { member.upload(upload).await });
    has_started.await.unwrap();
    // Let it come to the PUT, which waits for the reader.
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
async fn a_stale_md5_is_found_before_anything_is_sent() {
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
    // Upper case says the same.
    mock.respond(201, r#"{"id":7}"#);
    let right = FileMetadata::new("d").md5("E5EBD4C02CEFBE7955977C67ADA242B7");
    let upload = Upload::bytes("a.csv", "a,b\n1,2\n").metadata(right);
    member.upload(upload).await.unwrap();
}

#[tokio::test]
async fn a_name_is_sent_as_open_humans_keeps_it() {
    let mock = MockTransport::new();
    mock.respond(201, r#"{"id":7}"#);
    let upload = Upload::bytes(" a.csv ", "1");
    mock.client().member("t").upload(upload).await.unwrap();
    let body = mock.requests().remove(0).into_body();
    let body = String::from_utf8_lossy(&body);
    assert!(body.contains("filename=\"a.csv\""), "{body}");
}

#[tokio::test]
async fn an_error_names_the_file() {
    let member = MockTransport::new().client().member("t");
    let error = member
        .upload(Upload::path("/nonexistent/a.csv"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("/nonexistent/a.csv"), "{error}");
}
