//! Everything that can go wrong, and the error it is.

use std::time::Duration;

use oh_core::Error;
use oh_core::api::{Client, DataFile, MemberClient, Message, RetryPolicy, Upload};
use oh_sandbox::{Endpoint, Fault, Sandbox};

use crate::world::{World, in_sandbox};

/// The member, by a client that tries once and waits for little.
fn once(world: &World) -> MemberClient {
    impatient(world).member(world.tokens.access_token.clone())
}

fn impatient(world: &World) -> Client {
    let server = world.server.clone().retries(RetryPolicy::none());
    // Long enough for a machine that is busy.
    server.timeout(Duration::from_secs(2))
}

/// What asking who the member is ends in, with a fault in the way.
async fn asked_with(fault: Fault) -> Error {
    let mut error = None;
    in_sandbox(async |world, sandbox| {
        sandbox.fault_next(Endpoint::ExchangeMember, 1, fault);
        error = once(world).exchange_member().await.err();
        sandbox.release();
    })
    .await;
    error.expect("it went well")
}

#[tokio::test]
async fn a_server_that_is_slow_or_hangs_is_a_timeout() {
    for fault in [
        Fault::Hang,
        Fault::HangAfter,
        Fault::delay(Duration::from_secs(5)),
        Fault::trickle(10),
    ] {
        let error = asked_with(fault.clone()).await;
        assert!(matches!(error, Error::Timeout), "{fault:?}: {error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_the_network() {
    for fault in [
        Fault::Reset,
        Fault::ResetAfter,
        Fault::ResetMidBody,
        Fault::WrongContentLength,
    ] {
        let error = asked_with(fault.clone()).await;
        assert!(matches!(error, Error::Network(_)), "{fault:?}: {error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn a_server_that_fails_is_the_server() {
    for fault in [
        Fault::Html500,
        Fault::Html500After,
        Fault::page(502),
        Fault::page(503),
    ] {
        let error = asked_with(fault.clone()).await;
        assert!(matches!(error, Error::Server { .. }), "{fault:?}: {error}");
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn too_many_requests_say_when_to_come_back() {
    for retry_after in [None, Some(7)] {
        let error = asked_with(Fault::RateLimited { retry_after }).await;
        let expected = retry_after.map(Duration::from_secs);
        assert!(
            matches!(error, Error::RateLimited { retry_after } if retry_after == expected),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_not_one_is_not_understood_and_quoted_without_secrets() {
    let page = Fault::Status {
        status: 200,
        content_type: "text/html".into(),
        body: "<html><head><title>Down for maintenance</title></head></html>".into(),
    };
    let error = asked_with(page).await;
    assert!(
        matches!(&error, Error::UnexpectedResponse { excerpt, .. } if excerpt.contains("maintenance")),
        "{error}"
    );
    in_sandbox(async |world, sandbox| {
        sandbox.fault_next(Endpoint::Members, 1, Fault::TruncatedJson);
        let error = world.project.members().try_next().await.unwrap_err();
        assert!(matches!(error, Error::UnexpectedResponse { .. }), "{error}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains(world.master().expose()), "{text}");
    })
    .await;
}

#[tokio::test]
async fn refusals_have_their_own_variants() {
    let detail = |text: &str| format!(r#"{{"detail":"{text}"}}"#);
    let too_large = asked_with(Fault::page(413)).await;
    assert!(matches!(too_large, Error::TooLarge { .. }));
    let not_found = asked_with(Fault::page(404)).await;
    assert!(matches!(not_found, Error::NotFound));
    let expired = asked_with(Fault::json(401, detail("Expired token."))).await;
    assert!(matches!(expired, Error::Expired));
    let invalid = asked_with(Fault::json(401, detail("Invalid token."))).await;
    assert!(matches!(invalid, Error::Unauthorized { .. }));
    let by_field = r#"{"metadata":["This field is required."]}"#;
    let refused = asked_with(Fault::json(400, by_field)).await;
    assert_eq!(refused.field("metadata"), Some("This field is required."));
    let page = asked_with(Fault::page(400)).await;
    assert!(matches!(page, Error::BadRequest { .. }));
}

#[tokio::test]
async fn nobody_there_is_the_network() {
    let server = Client::new("http://127.0.0.1:9").unwrap();
    let member = server.retries(RetryPolicy::none()).member("t");
    let error = member.exchange_member().await.unwrap_err();
    assert!(matches!(error, Error::Network(_)), "{error}");
}

#[tokio::test]
async fn what_passes_is_waited_out() {
    in_sandbox(async |world, sandbox| {
        let limited = Fault::RateLimited {
            retry_after: Some(0),
        };
        for fault in [limited, Fault::page(502), Fault::Reset] {
            sandbox.fault_next(Endpoint::ExchangeMember, 1, fault);
        }
        world.member.exchange_member().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_message_is_never_sent_twice() {
    for fault in [
        Fault::Html500After,
        Fault::ResetAfter,
        Fault::WrongContentLength,
    ] {
        in_sandbox(async |world, sandbox| {
            sandbox.fault_next(Endpoint::Message, 1, fault);
            let _ = world.member.message(&Message::new("once")).await;
            assert_eq!(sandbox.messages().len(), 1);
            assert_eq!(sandbox.count(Endpoint::Message), 1);
        })
        .await;
    }
    in_sandbox(async |world, sandbox| {
        let limited = Fault::RateLimited {
            retry_after: Some(0),
        };
        sandbox.fault_next(Endpoint::Message, 1, limited);
        world.member.message(&Message::new("once")).await.unwrap();
        assert_eq!(sandbox.messages().len(), 1);
    })
    .await;
}

fn big() -> Vec<u8> {
    (0..=250).cycle().take(3 << 20).collect()
}

/// No file is left, finished or not.
async fn assert_nothing_left(world: &World, sandbox: &Sandbox) {
    assert_eq!(sandbox.files(world.id.as_str()), []);
}

#[tokio::test]
async fn an_upload_that_fails_at_the_store_leaves_nothing_behind() {
    for fault in [Fault::Reset, Fault::ResetMidBody, Fault::page(500)] {
        in_sandbox(async |world, sandbox| {
            let member = once(world);
            sandbox.fault_next(Endpoint::ObjectPut, 1, fault);
            let error = member.upload(Upload::bytes("big.bin", big())).await;
            let error = error.unwrap_err();
            assert!(error.is_retryable(), "{error}");
            assert_nothing_left(world, sandbox).await;
            // And it can be tried again.
            let again = member.upload(Upload::bytes("big.bin", big())).await;
            assert_eq!(again.unwrap().size, 3 << 20);
        })
        .await;
    }
}

#[tokio::test]
async fn an_upload_the_store_refuses_says_why_and_leaves_nothing_behind() {
    in_sandbox(async |world, sandbox| {
        let refusal = Fault::Status {
            status: 403,
            content_type: "application/xml".into(),
            body: "<Error><Code>SignatureDoesNotMatch</Code></Error>".into(),
        };
        sandbox.fault_next(Endpoint::ObjectPut, 1, refusal);
        let error = world.member.upload(Upload::bytes("big.bin", big())).await;
        assert!(
            matches!(&error, Err(Error::ObjectStore { code, .. }) if code == "SignatureDoesNotMatch"),
            "{error:?}"
        );
        assert_nothing_left(world, sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_put_again_at_the_same_address() {
    in_sandbox(async |world, sandbox| {
        for fault in [Fault::ResetMidBody, Fault::Reset, Fault::page(503)] {
            sandbox.fault_next(Endpoint::ObjectPut, 1, fault);
        }
        let uploaded = world.member.upload(Upload::bytes("big.bin", big())).await;
        assert_eq!(sandbox.count(Endpoint::DirectUpload), 1);
        let content = sandbox.file_content(uploaded.unwrap().id.get()).unwrap();
        assert!(content == big());
    })
    .await;
}

#[tokio::test]
async fn a_completion_that_fails_leaves_nothing_behind() {
    in_sandbox(async |world, sandbox| {
        sandbox.fault_next(Endpoint::CompleteUpload, 1, Fault::Html500After);
        let upload = Upload::bytes("big.bin", big());
        let error = once(world).upload(upload).await;
        assert!(matches!(error, Err(Error::Server { .. })));
        assert_nothing_left(world, sandbox).await;

        let other_size = Fault::json(200, r#"{"status":"ok","size":1}"#);
        sandbox.fault_next(Endpoint::CompleteUpload, 1, other_size);
        let upload = Upload::bytes("big.bin", big());
        let error = once(world).upload(upload).await;
        assert!(matches!(error, Err(Error::Mismatch { what: "size", .. })));
        assert_nothing_left(world, sandbox).await;
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_hangs_is_a_timeout_and_one_that_is_dropped_is_tidied_up() {
    in_sandbox(async |world, sandbox| {
        sandbox.fault_next(Endpoint::ObjectPut, 1, Fault::Hang);
        let error = once(world).upload(Upload::bytes("big.bin", big())).await;
        assert!(matches!(error, Err(Error::Timeout)), "{error:?}");
        assert_nothing_left(world, sandbox).await;
        sandbox.release();

        sandbox.reset_stats();
        sandbox.fault_next(Endpoint::ObjectPut, 1, Fault::Hang);
        let member = world.member.clone();
        let upload = Upload::bytes("big.bin", big());
        let uploading = tokio::spawn(async move { member.upload(upload).await });
        sandbox.wait_for(Endpoint::ObjectPut, 1).await;
        uploading.abort();
        // Delete finds nothing yet, so: an empty PUT, completion, and delete.
        sandbox.wait_for(Endpoint::DeleteFiles, 2).await;
        while !sandbox.files(world.id.as_str()).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A listed file of three megabytes.
async fn big_file(world: &World) -> DataFile {
    let upload = Upload::bytes("big.bin", big()).with_md5();
    world.member.upload(upload).await.unwrap();
    world.member.exchange_member().await.unwrap().data.remove(0)
}

#[tokio::test]
async fn a_download_that_breaks_off_is_resumed() {
    in_sandbox(async |world, sandbox| {
        let file = big_file(world).await;
        sandbox.fault_next(Endpoint::ObjectGet, 1, Fault::ResetMidBody);
        let bytes = world.member.download(&file).bytes().await.unwrap();
        assert!(bytes == big());
        assert_eq!(sandbox.count(Endpoint::ObjectGet), 2);
    })
    .await;
}

#[tokio::test]
async fn a_download_that_breaks_off_for_good_is_continued_by_the_next_call() {
    in_sandbox(async |world, sandbox| {
        let file = big_file(world).await;
        let dir = tempfile::tempdir().unwrap();
        sandbox.fault_next(Endpoint::ObjectGet, 1, Fault::ResetMidBody);
        sandbox.fault_next(Endpoint::ObjectGet, 1, Fault::page(500));
        let error = once(world).download(&file).into_dir(dir.path()).await;
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Network(_)), "{error}");
        let part = std::fs::read_dir(dir.path()).unwrap().next().unwrap();
        let have = part.unwrap().metadata().unwrap().len();
        assert!(have > 0 && have < 3 << 20, "{have}");

        let done = world.member.download(&file).into_dir(dir.path()).await;
        assert!(std::fs::read(done.unwrap().path).unwrap() == big());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_download_of_another_length_is_an_error() {
    in_sandbox(async |world, sandbox| {
        let file = big_file(world).await;
        sandbox.fault(Endpoint::ObjectGet, Fault::WrongContentLength);
        let error = world.member.download(&file).bytes().await.unwrap_err();
        let expected = matches!(
            error,
            Error::Network(_) | Error::Mismatch { what: "size", .. }
        );
        assert!(expected, "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_download_that_stalls_is_a_timeout() {
    in_sandbox(async |world, sandbox| {
        let file = big_file(world).await;
        for (endpoint, fault) in [
            (Endpoint::Download, Fault::Hang),
            (Endpoint::ObjectGet, Fault::Hang),
        ] {
            sandbox.fault_next(endpoint, 1, fault);
            let error = once(world).download(&file).bytes().await.unwrap_err();
            assert!(matches!(error, Error::Timeout), "{error}");
            sandbox.release();
        }
    })
    .await;
}
