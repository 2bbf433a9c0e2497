//! Errors of faulty servers and connections.

use std::time::Duration;

use oh_core::Error;
use oh_core::api::{Client, DataFile, MemberClient, Message, RetryPolicy, Upload};
use oh_sandbox::{Endpoint, Fault, Sandbox};

use crate::server::{TestServer, in_sandbox};

/// The member's client, without retries and with a short timeout.
fn without_retries(server: &TestServer) -> MemberClient {
    single_attempt(server).member(server.tokens.access_token.clone())
}

fn single_attempt(server: &TestServer) -> Client {
    let client = server.client.clone().retries(RetryPolicy::none());
    // Long enough for a busy machine.
    client.timeout(Duration::from_secs(2))
}

/// Returns the error of a call while the sandbox injects a fault.
async fn error_of(fault: Fault) -> Error {
    let mut error = None;
    in_sandbox(async |server, sandbox| {
        sandbox.fault_next(Endpoint::ExchangeMember, 1, fault);
        error = without_retries(server).exchange_member().await.err();
        sandbox.release();
    })
    .await;
    error.expect("the call succeeded")
}

#[tokio::test]
async fn slow_server_is_timeout() {
    for fault in [
        Fault::Hang,
        Fault::HangAfter,
        Fault::delay(Duration::from_secs(5)),
        Fault::trickle(10),
    ] {
        let error = error_of(fault.clone()).await;
        assert!(matches!(error, Error::Timeout), "{fault:?}: {error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn interrupted_connection_is_network_error() {
    for fault in [
        Fault::Reset,
        Fault::ResetAfter,
        Fault::ResetMidBody,
        Fault::WrongContentLength,
    ] {
        let error = error_of(fault.clone()).await;
        assert!(matches!(error, Error::Network(_)), "{fault:?}: {error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn failing_server_is_server_error() {
    for fault in [
        Fault::Html500,
        Fault::Html500After,
        Fault::page(502),
        Fault::page(503),
    ] {
        let error = error_of(fault.clone()).await;
        assert!(matches!(error, Error::Server { .. }), "{fault:?}: {error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn rate_limit_returns_retry_after() {
    for retry_after in [None, Some(7)] {
        let error = error_of(Fault::RateLimited { retry_after }).await;
        let expected = retry_after.map(Duration::from_secs);
        assert!(
            matches!(error, Error::RateLimited { retry_after } if retry_after == expected),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn unexpected_response_is_quoted_without_secrets() {
    let page = Fault::Status {
        status: 200,
        content_type: "text/html".into(),
        body: "<html><head><title>Down for maintenance</title></head></html>".into(),
    };
    let error = error_of(page).await;
    assert!(
        matches!(&error, Error::UnexpectedResponse { excerpt, .. } if excerpt.contains("maintenance")),
        "{error}"
    );
    in_sandbox(async |server, sandbox| {
        sandbox.fault_next(Endpoint::Members, 1, Fault::TruncatedJson);
        let error = server.project.members().try_next().await.unwrap_err();
        assert!(matches!(error, Error::UnexpectedResponse { .. }), "{error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains(server.master().expose()), "{text}");
    })
    .await;
}

#[tokio::test]
async fn rejections_map_to_error_variants() {
    let detail = |text: &str| format!(r#"{{"detail":"{text}"}}"#);
    let too_large = error_of(Fault::page(413)).await;
    assert!(matches!(too_large, Error::TooLarge { .. }));
    let not_found = error_of(Fault::page(404)).await;
    assert!(matches!(not_found, Error::NotFound));
    let expired = error_of(Fault::json(401, detail("Expired token."))).await;
    assert!(matches!(expired, Error::Expired));
    let invalid = error_of(Fault::json(401, detail("Invalid token."))).await;
    assert!(matches!(invalid, Error::Unauthorized { .. }));
    let by_field = r#"{"metadata":["This field is required."]}"#;
    let refused = error_of(Fault::json(400, by_field)).await;
    assert_eq!(refused.field("metadata"), Some("This field is required."));
    let page = error_of(Fault::page(400)).await;
    assert!(matches!(page, Error::BadRequest { .. }));
}

#[tokio::test]
async fn unreachable_server_is_network_error() {
    let server = Client::new("http://127.0.0.1:9").unwrap();
    let member = server.retries(RetryPolicy::none()).member("t");
    let error = member.exchange_member().await.unwrap_err();
    assert!(matches!(error, Error::Network(_)), "{error}");
}

#[tokio::test]
async fn temporary_errors_are_retried() {
    in_sandbox(async |server, sandbox| {
        let limited = Fault::RateLimited {
            retry_after: Some(0),
        };
        for fault in [limited, Fault::page(502), Fault::Reset] {
            sandbox.fault_next(Endpoint::ExchangeMember, 1, fault);
        }
        server.member.exchange_member().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn message_is_sent_at_most_once() {
    for fault in [
        Fault::Html500After,
        Fault::ResetAfter,
        Fault::WrongContentLength,
    ] {
        in_sandbox(async |server, sandbox| {
            sandbox.fault_next(Endpoint::Message, 1, fault);
            let _ = server.member.message(&Message::new("once")).await;
            assert_eq!(sandbox.messages().len(), 1);
            assert_eq!(sandbox.count(Endpoint::Message), 1);
        })
        .await;
    }
    in_sandbox(async |server, sandbox| {
        let limited = Fault::RateLimited {
            retry_after: Some(0),
        };
        sandbox.fault_next(Endpoint::Message, 1, limited);
        server.member.message(&Message::new("once")).await.unwrap();
        assert_eq!(sandbox.messages().len(), 1);
    })
    .await;
}

fn big() -> Vec<u8> {
    (0..=250).cycle().take(3 << 20).collect()
}

/// Asserts that there is no file, complete or not.
async fn assert_no_files(server: &TestServer, sandbox: &Sandbox) {
    assert_eq!(sandbox.files(server.id.as_str()), []);
}

#[tokio::test]
async fn upload_that_fails_at_store_is_deleted() {
    for fault in [Fault::Reset, Fault::ResetMidBody, Fault::page(500)] {
        in_sandbox(async |server, sandbox| {
            let member = without_retries(server);
            sandbox.fault_next(Endpoint::ObjectPut, 1, fault);
            let error = member.upload(Upload::bytes("big.bin", big())).await;
            let error = error.unwrap_err();
            assert!(error.is_retryable(), "{error}");
            assert_no_files(server, sandbox).await;
            let again = member.upload(Upload::bytes("big.bin", big())).await;
            assert_eq!(again.unwrap().size, 3 << 20);
        })
        .await;
    }
}

#[tokio::test]
async fn rejected_upload_returns_store_code_and_is_deleted() {
    in_sandbox(async |server, sandbox| {
        let refusal = Fault::Status {
            status: 403,
            content_type: "application/xml".into(),
            body: "<Error><Code>SignatureDoesNotMatch</Code></Error>".into(),
        };
        sandbox.fault_next(Endpoint::ObjectPut, 1, refusal);
        let error = server.member.upload(Upload::bytes("big.bin", big())).await;
        assert!(
            matches!(&error, Err(Error::ObjectStore { code, .. }) if code == "SignatureDoesNotMatch"),
            "{error:?}"
        );
        assert_no_files(server, sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn interrupted_upload_is_repeated_at_same_url() {
    in_sandbox(async |server, sandbox| {
        for fault in [Fault::ResetMidBody, Fault::Reset, Fault::page(503)] {
            sandbox.fault_next(Endpoint::ObjectPut, 1, fault);
        }
        let uploaded = server.member.upload(Upload::bytes("big.bin", big())).await;
        assert_eq!(sandbox.count(Endpoint::DirectUpload), 1);
        let content = sandbox.file_content(uploaded.unwrap().id.get()).unwrap();
        assert!(content == big());
    })
    .await;
}

#[tokio::test]
async fn upload_with_failed_completion_is_deleted() {
    in_sandbox(async |server, sandbox| {
        sandbox.fault_next(Endpoint::CompleteUpload, 1, Fault::Html500After);
        let upload = Upload::bytes("big.bin", big());
        let error = without_retries(server).upload(upload).await;
        assert!(matches!(error, Err(Error::Server { .. })));
        assert_no_files(server, sandbox).await;

        let other_size = Fault::json(200, r#"{"status":"ok","size":1}"#);
        sandbox.fault_next(Endpoint::CompleteUpload, 1, other_size);
        let upload = Upload::bytes("big.bin", big());
        let error = without_retries(server).upload(upload).await;
        assert!(matches!(error, Err(Error::Mismatch { what: "size", .. })));
        assert_no_files(server, sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn stalled_and_dropped_uploads_are_deleted() {
    in_sandbox(async |server, sandbox| {
        sandbox.fault_next(Endpoint::ObjectPut, 1, Fault::Hang);
        let error = without_retries(server)
            .upload(Upload::bytes("big.bin", big()))
            .await;
        assert!(matches!(error, Err(Error::Timeout)), "{error:?}");
        assert_no_files(server, sandbox).await;
        sandbox.release();

        sandbox.reset_stats();
        sandbox.fault_next(Endpoint::ObjectPut, 1, Fault::Hang);
        let member = server.member.clone();
        let upload = Upload::bytes("big.bin", big());
        let uploading = tokio::spawn(async move { member.upload(upload).await });
        sandbox.wait_for(Endpoint::ObjectPut, 1).await;
        uploading.abort();
        // The first deletion does not find the incomplete file; the second follows its completion.
        sandbox.wait_for(Endpoint::DeleteFiles, 2).await;
        while !sandbox.files(server.id.as_str()).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A listed file of three megabytes.
async fn big_file(server: &TestServer) -> DataFile {
    let upload = Upload::bytes("big.bin", big()).with_md5();
    server.member.upload(upload).await.unwrap();
    server
        .member
        .exchange_member()
        .await
        .unwrap()
        .data
        .remove(0)
}

#[tokio::test]
async fn interrupted_download_is_resumed() {
    in_sandbox(async |server, sandbox| {
        let file = big_file(server).await;
        sandbox.fault_next(Endpoint::ObjectGet, 1, Fault::ResetMidBody);
        let bytes = server.member.download(&file).bytes().await.unwrap();
        assert!(bytes == big());
        assert_eq!(sandbox.count(Endpoint::ObjectGet), 2);
    })
    .await;
}

#[tokio::test]
async fn failed_download_is_continued_by_next_call() {
    in_sandbox(async |server, sandbox| {
        let file = big_file(server).await;
        let dir = tempfile::tempdir().unwrap();
        sandbox.fault_next(Endpoint::ObjectGet, 1, Fault::ResetMidBody);
        sandbox.fault_next(Endpoint::ObjectGet, 1, Fault::page(500));
        let error = without_retries(server)
            .download(&file)
            .into_dir(dir.path())
            .await;
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Network(_)), "{error}");
        let part = std::fs::read_dir(dir.path()).unwrap().next().unwrap();
        let length = part.unwrap().metadata().unwrap().len();
        assert!(length > 0 && length < 3 << 20, "{length}");

        let done = server.member.download(&file).into_dir(dir.path()).await;
        assert!(std::fs::read(done.unwrap().path).unwrap() == big());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    })
    .await;
}

#[tokio::test]
async fn download_of_wrong_length_fails() {
    in_sandbox(async |server, sandbox| {
        let file = big_file(server).await;
        sandbox.fault(Endpoint::ObjectGet, Fault::WrongContentLength);
        let error = server.member.download(&file).bytes().await.unwrap_err();
        let expected = matches!(
            error,
            Error::Network(_) | Error::Mismatch { what: "size", .. }
        );
        assert!(expected, "{error}");
    })
    .await;
}

#[tokio::test]
async fn stalled_download_is_timeout() {
    in_sandbox(async |server, sandbox| {
        let file = big_file(server).await;
        for (endpoint, fault) in [
            (Endpoint::Download, Fault::Hang),
            (Endpoint::ObjectGet, Fault::Hang),
        ] {
            sandbox.fault_next(endpoint, 1, fault);
            let error = without_retries(server)
                .download(&file)
                .bytes()
                .await
                .unwrap_err();
            assert!(matches!(error, Error::Timeout), "{error}");
            sandbox.release();
        }
    })
    .await;
}
