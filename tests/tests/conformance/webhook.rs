//! The webhook: accepted and rejected requests.

use async_trait::async_trait;
use oh_core::Timestamp;
use oh_core::deauth::{
    Accepted, CheckpointOutcome, CheckpointQuery, Completion, DeauthEvent, DeauthInbox, EventId,
    EventQuery, EventRecord, InboxError, InboxStats, Lease, LeaseOutcome, LeasedEvent, LedgerLine,
    LedgerQuery, LockState, StoredCheckpoint,
};
use oh_sandbox::webhook::sign;
use oh_tests::wire::Request;

use crate::apps::{App, OTHER_SECRET, Plan, SECRET, both};

/// The routes that verify webhooks: the built-in route, the extractor and the middleware.
pub(crate) const PATHS: [&str; 3] = ["/openhumans/deauth", "/webhook/extractor", "/webhook/layer"];

/// A body in the format of Open Humans.
/// The time is in the future, because an old webhook would be quarantined.
pub(crate) const BODY: &str = r#"{"project_member_id": "01026778", "erasure_requested": true, "timestamp": "2099-11-22T16:31:27.299665+00:00"}"#;

const HEADER: &str = "X-OpenHumans-Webhooks-Signature";

pub(crate) fn signed(path: &str, body: &str) -> Request {
    post(path, body).header(HEADER, sign(SECRET, body))
}

pub(crate) fn post(path: &str, body: &str) -> Request {
    Request::post(path)
        .header("content-type", "application/json")
        .body(body)
}

/// Sends the request to every route, and asserts the status. Only a success may create events.
pub(crate) async fn everywhere(
    app: &mut App,
    label: &str,
    status: u16,
    request: impl Fn(&str) -> Request,
) {
    let before = app.events().await;
    for path in PATHS {
        let response = app.send(&format!("{path}: {label}"), &request(path)).await;
        let ours = path == "/openhumans/deauth";
        let expected = if status == 200 && ours { 204 } else { status };
        assert_eq!(response.status, expected, "{path}: {label}: {response:?}");
    }
    let created = app.events().await - before;
    assert!(
        created == 0 || status == 200,
        "{label}: an event was stored"
    );
}

#[tokio::test]
async fn webhook_is_stored_once() {
    both(Plan::default(), async |app| {
        everywhere(app, "signed", 200, |path| signed(path, BODY)).await;
        everywhere(app, "the same again", 200, |path| signed(path, BODY)).await;
        assert_eq!(app.events().await, 1);
    })
    .await;
}

#[tokio::test]
async fn signatures_that_are_not_good() {
    both(Plan::default(), async |app| {
        let good = sign(SECRET, BODY);
        let digits = good.trim_start_matches("sha1=").to_owned();
        for (label, values) in [
            ("missing", vec![]),
            ("twice", vec![good.clone(), good.clone()]),
            (
                "good and bad",
                vec![good.clone(), sign("another secret 0123", BODY)],
            ),
            ("two in one header", vec![format!("{good}, {good}")]),
            ("empty", vec![String::new()]),
            ("no digits", vec!["sha1=".to_owned()]),
            ("no algorithm", vec![digits.clone()]),
            ("another algorithm", vec![format!("sha256={digits}")]),
            ("the algorithm in capitals", vec![format!("SHA1={digits}")]),
            ("a space before the digits", vec![format!("sha1= {digits}")]),
            ("truncated by one", vec![good[..good.len() - 1].to_owned()]),
            (
                "truncated by a byte",
                vec![good[..good.len() - 2].to_owned()],
            ),
            ("one byte only", vec![good[..7].to_owned()]),
            ("too long", vec![format!("{good}00")]),
            ("not hex", vec![format!("sha1=g{}", &digits[1..])]),
            ("of another secret", vec![sign("another secret 0123", BODY)]),
            ("of another body", vec![sign(SECRET, "{}")]),
        ] {
            everywhere(app, label, 401, |path| {
                values.iter().fold(post(path, BODY), |request, value| {
                    request.header(HEADER, value)
                })
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn bytes_that_are_no_text_in_the_signature() {
    both(Plan::default(), async |app| {
        everywhere(app, "bytes", 401, |path| {
            post(path, BODY).header(HEADER, b"sha1=\xff\xfe")
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn hex_digits_may_be_in_capitals() {
    both(Plan::default(), async |app| {
        let digits = sign(SECRET, BODY)
            .trim_start_matches("sha1=")
            .to_ascii_uppercase();
        let value = format!("sha1={digits}");
        everywhere(app, "capitals", 200, |path| {
            post(path, BODY).header(HEADER, &value)
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn either_secret_is_good_while_rotating() {
    both(Plan::default(), async |app| {
        for secret in [SECRET, OTHER_SECRET] {
            let value = sign(secret, BODY);
            everywhere(app, "rotating", 200, |path| {
                post(path, BODY).header(HEADER, &value)
            })
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn webhook_rejects_signed_nonsense() {
    both(Plan::default(), async |app| {
        for body in [
            "",
            "{}",
            "null",
            "not json",
            r#"{"project_member_id": 1026778, "erasure_requested": true, "timestamp": "2099-11-22T16:31:27.299665+00:00"}"#,
            r#"{"project_member_id": "01026778", "erasure_requested": "yes", "timestamp": "2099-11-22T16:31:27.299665+00:00"}"#,
            r#"{"project_member_id": "01026778", "erasure_requested": true, "timestamp": "yesterday"}"#,
            r#"{"project_member_id": "../../etc", "erasure_requested": true, "timestamp": "2099-11-22T16:31:27.299665+00:00"}"#,
        ] {
            everywhere(app, body, 400, |path| signed(path, body)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn webhook_is_rejected_without_a_secret() {
    let plan = Plan {
        settings: |_| {
            // The sandbox signs, but the application has no secret.
            oh_core::Settings::builder("id", "secret", "http://localhost:8000")
        },
        ..Plan::default()
    };
    both(plan, async |app| {
        everywhere(app, "no secret", 503, |path| signed(path, BODY)).await;
        everywhere(app, "no secret, no signature", 503, |path| post(path, BODY)).await;
    })
    .await;
}

#[tokio::test]
async fn the_unsigned_second_attempt_is_never_believed() {
    both(Plan::default(), async |app| {
        let doubled = oh_sandbox::webhook::encode_twice(BODY);
        everywhere(app, "doubly encoded", 401, |path| post(path, &doubled)).await;
        // Open Humans never signs such a body.
        everywhere(app, "doubly encoded, signed", 400, |path| {
            signed(path, &doubled)
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn the_sandbox_sends_what_is_believed() {
    both(Plan::default(), async |app| {
        let mut alice = app.visitor();
        app.log_in(&mut alice, "01026778").await;
        let sent = app.sandbox.leave("01026778", true).await;
        assert_eq!(sent.len(), 1, "one attempt is enough: {sent:?}");
        assert_eq!(app.events().await, 1);
    })
    .await;
}

#[tokio::test]
async fn unsigned_ones_are_believed_where_the_app_says_so_by_name() {
    let plan = Plan {
        settings: |_| {
            oh_core::Settings::builder("id", "secret", "http://localhost:8000")
                .dangerously_accept_unsigned_webhooks()
        },
        ..Plan::default()
    };
    both(plan, async |app| {
        everywhere(app, "unsigned", 200, |path| post(path, BODY)).await;
        everywhere(app, "unsigned nonsense", 400, |path| post(path, "{}")).await;
    })
    .await;
}

#[tokio::test]
async fn webhook_returns_503_if_the_event_cannot_be_stored() {
    let plan = Plan {
        build: |builder| builder.deauth_inbox(FullDisk),
        ..Plan::default()
    };
    both(plan, async |app| {
        let request = signed("/openhumans/deauth", BODY);
        let response = app.send("the disk is full", &request).await;
        assert_eq!(response.status, 503);
    })
    .await;
}

/// An inbox on a full disk.
struct FullDisk;

fn full<T>() -> Result<T, InboxError> {
    Err(InboxError::new("the disk is full"))
}

#[async_trait]
impl DeauthInbox for FullDisk {
    async fn accept(&self, _: &DeauthEvent) -> Result<Accepted, InboxError> {
        full()
    }

    async fn lease(
        &self,
        _: Timestamp,
        _: Timestamp,
        _: usize,
    ) -> Result<Vec<LeasedEvent>, InboxError> {
        full()
    }

    async fn renew(&self, _: &Lease, _: Timestamp) -> Result<LeaseOutcome, InboxError> {
        full()
    }

    async fn complete(
        &self,
        _: &Lease,
        _: &Completion,
        _: Timestamp,
    ) -> Result<LeaseOutcome, InboxError> {
        full()
    }

    async fn mark_tokens_destroyed(&self, _: &DeauthEvent, _: Timestamp) -> Result<(), InboxError> {
        full()
    }

    async fn quarantine(&self, _: &DeauthEvent, _: &str) -> Result<Accepted, InboxError> {
        full()
    }

    async fn release(&self, _: &EventId, _: Timestamp) -> Result<bool, InboxError> {
        full()
    }

    async fn requeue(&self, _: &EventId, _: Timestamp) -> Result<bool, InboxError> {
        full()
    }

    async fn stats(&self) -> Result<InboxStats, InboxError> {
        full()
    }

    async fn events(&self, _: &EventQuery) -> Result<Vec<EventRecord>, InboxError> {
        full()
    }

    async fn ledger(&self, _: &LedgerQuery) -> Result<Vec<LedgerLine>, InboxError> {
        full()
    }

    async fn acquire_lock(
        &self,
        _: &str,
        _: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Option<String>, InboxError> {
        full()
    }

    async fn update_lock(
        &self,
        _: &str,
        _: &str,
        _: Timestamp,
        _: &str,
    ) -> Result<LeaseOutcome, InboxError> {
        full()
    }

    async fn lock_state(&self, _: &str, _: Timestamp) -> Result<LockState, InboxError> {
        full()
    }

    async fn store_checkpoint(
        &self,
        _: &StoredCheckpoint,
    ) -> Result<CheckpointOutcome, InboxError> {
        full()
    }

    async fn checkpoints(&self, _: &CheckpointQuery) -> Result<Vec<StoredCheckpoint>, InboxError> {
        full()
    }
}
