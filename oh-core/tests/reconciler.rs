//! The reconciler against an Open Humans that sends webhooks only for erasure requests, while
//! members join and leave.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use oh_core::deauth::{Discovery, ErasureRequest, EventState, ReconcilerSettings};
use oh_core::routes::Route;
use oh_core::store::{MemberRecord, MemoryStore, PutOutcome, Tokens};
use oh_core::{Clock, OpenHumans, Settings, Timestamp};
use oh_sandbox::{Endpoint, Fault, Sandbox};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn without_delay() -> ReconcilerSettings {
    ReconcilerSettings {
        min_delay: Duration::ZERO,
        ..ReconcilerSettings::default()
    }
}

struct Setup {
    sandbox: Sandbox,
    oh: OpenHumans,
    clock: Clock,
}

impl Setup {
    async fn new(with_master_token: bool) -> Result<Self> {
        let sandbox = Sandbox::builder()
            .redirect_uri("http://localhost:8000/openhumans/complete")
            .silent_leave(true)
            .start()
            .await?;
        let mut settings = Settings::builder(
            sandbox.client_id(),
            sandbox.client_secret(),
            "http://localhost:8000",
        )
        .oh_base_url(sandbox.url().as_str())
        .webhook_secret("abcdefghijklmnop");
        if with_master_token {
            settings = settings.master_token(sandbox.master_token());
        }
        let clock = Clock::manual(Timestamp::now());
        let oh = OpenHumans::builder(settings.build()?)
            .token_store(MemoryStore::new())
            .clock(clock.clone())
            .build()?;
        Ok(Self { sandbox, oh, clock })
    }

    /// Stores an authorization, without a browser.
    async fn log_in(&self, id: &str) -> Result {
        let issued = self.sandbox.issue_tokens(id);
        let now = self.clock.now();
        let member = id.parse()?;
        let stored = self.oh.token_store().load(&member).await?;
        let tokens = Tokens::new(
            issued.access_token,
            issued.refresh_token,
            now + Duration::from_secs(issued.expires_in),
        );
        let mut record = MemberRecord::authorized(member, tokens, now);
        if let Some(before) = &stored {
            record.epoch = before.epoch;
        }
        let expected = stored.map(|record| record.version);
        let put = self.oh.token_store().put(&record, expected).await?;
        assert_eq!(put, PutOutcome::Stored);
        Ok(())
    }

    /// The ids that are stored as authorized, and the stored ids that are joined.
    async fn members(&self) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
        let records = self.oh.token_store().page(None, 100_000).await?;
        let ids = records.iter().map(|record| record.member.to_string());
        let joined = ids.filter(|id| self.sandbox.is_joined(id)).collect();
        let stored = records
            .iter()
            .filter(|record| record.is_authorized())
            .map(|record| record.member.to_string())
            .collect();
        Ok((stored, joined))
    }
}

fn id(number: usize) -> String {
    format!("{number:08}")
}

async fn finds_all_departures(with_master_token: bool) -> Result {
    let setup = Setup::new(with_master_token).await?;
    let members = 350;
    for number in 0..members {
        setup.log_in(&id(number)).await?;
    }
    // Members leave without a webhook: from the project, or by deleting their account.
    for number in (0..members).step_by(29) {
        assert!(setup.sandbox.leave(&id(number), false).await.is_empty());
    }
    setup.sandbox.delete_account(&id(7));
    setup.clock.advance(DAY);
    let reconciler = setup.oh.reconciler(without_delay());

    // During the pass, other members join, leave and return, so that pages shift.
    setup
        .sandbox
        .fault(Endpoint::Members, Fault::ShiftingPages { by: 3 });
    let changes = async {
        for number in 0..60 {
            let (joins, leaves, returns) = (id(1_000 + number), id(100 + number), id(number));
            setup.log_in(&joins).await.expect("a login");
            if number % 10 == 1 {
                setup.sandbox.leave(&leaves, false).await;
            }
            if number % 29 == 0 {
                setup.log_in(&returns).await.expect("a login");
            }
            tokio::task::yield_now().await;
        }
    };
    let (round, ()) = tokio::join!(reconciler.run_pass(), changes);
    let round = round.map_err(|error| error.to_string())?;
    assert!(round.deauthorized > 0, "{round:?}");
    // Departures after the listing are found a day later.
    setup.sandbox.clear_faults();
    setup.clock.advance(DAY);
    reconciler
        .run_pass()
        .await
        .map_err(|error| error.to_string())?;

    let (stored, joined) = setup.members().await?;
    assert_eq!(stored, joined);
    let events = setup.oh.ledger().events(EventState::Pending).await?;
    assert!(
        events
            .iter()
            .all(|event| event.discovery == Discovery::Reconciliation)
    );
    let gone = setup.oh.token_store().page(None, 100_000).await?;
    let gone = gone.iter().filter(|record| !record.is_authorized()).count();
    assert!(events.len() >= gone, "each departure has an event");
    Ok(())
}

#[tokio::test]
async fn reconciler_finds_all_departures_by_member_tokens() -> Result {
    finds_all_departures(false).await
}

#[tokio::test]
async fn reconciler_finds_all_departures_by_member_list() -> Result {
    finds_all_departures(true).await
}

#[tokio::test]
async fn reconciler_deauthorizes_nobody_when_open_humans_fails() -> Result {
    let setup = Setup::new(true).await?;
    for number in 0..20 {
        setup.log_in(&id(number)).await?;
    }
    setup.clock.advance(DAY);
    for endpoint in [Endpoint::Members, Endpoint::ExchangeMember, Endpoint::Token] {
        setup.sandbox.fault(endpoint, Fault::json(400, "{}"));
    }
    let reconciler = setup.oh.reconciler(without_delay());
    assert!(reconciler.run_pass().await.is_err());
    let (stored, _) = setup.members().await?;
    assert_eq!(stored.len(), 20);

    setup.sandbox.clear_faults();
    let round = reconciler
        .run_pass()
        .await
        .map_err(|error| error.to_string())?;
    assert_eq!((round.due, round.listed, round.deauthorized), (20, 20, 0));
    Ok(())
}

/// Sends an unsigned notification, the second attempt of a webhook. Anyone could send it.
async fn notify(setup: &Setup, id: &str) -> Result<u16> {
    let body = format!(
        r#"{{"project_member_id": "{id}", "erasure_requested": true, "timestamp": "2026-11-22T16:31:27.299665+00:00"}}"#
    );
    let twice = serde_json::to_string(&body)?;
    let request = http::Request::post("/openhumans/deauth")
        .header("Content-Type", "application/json")
        .header("Content-Length", twice.len())
        .body(http_body_util::Full::<bytes::Bytes>::from(twice))?;
    let outcome = setup.oh.respond(Route::Deauth, request, None).await;
    Ok(outcome.response.status().as_u16())
}

#[tokio::test]
async fn unsigned_notification_is_rejected_and_starts_inquiry() -> Result {
    let setup = Setup::new(false).await?;
    let (left, stays) = (id(1), id(2));
    setup.log_in(&left).await?;
    setup.log_in(&stays).await?;
    setup.sandbox.leave(&left, false).await;
    assert_eq!(notify(&setup, &stays).await?, 401);
    assert_eq!(notify(&setup, &left).await?, 401);
    let (stored, _) = setup.members().await?;
    assert_eq!(stored.len(), 2, "nothing is decided yet");

    let background = setup.oh.start_background();
    // The reconciler asks about both members.
    let reported = async {
        while setup.oh.inbox().stats().await?.done == 0 {
            tokio::task::yield_now().await;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::time::timeout(Duration::from_secs(30), reported).await??;
    assert_eq!(setup.sandbox.count(Endpoint::ExchangeMember), 2);
    let (stored, joined) = setup.members().await?;
    assert_eq!(stored, joined);
    let event = setup.oh.ledger().events(EventState::Done).await?;
    assert_eq!(event[0].discovery, Discovery::Reconciliation);
    assert_eq!(event[0].erasure, ErasureRequest::Unknown);
    background.stop().await;
    Ok(())
}
