//! Finding members who left unannounced, against an Open Humans that announces nothing unless
//! erasure was asked for, while others join and leave.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use oh_core::deauth::{Discovery, ErasureRequest, EventState};
use oh_core::routes::Route;
use oh_core::store::{MemberRecord, MemoryStore, PutOutcome, Tokens};
use oh_core::{Clock, OpenHumans, Settings, Timestamp};
use oh_sandbox::{Endpoint, Fault, Sandbox};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const DAY: Duration = Duration::from_secs(24 * 3_600);

struct Setting {
    sandbox: Sandbox,
    oh: OpenHumans,
    clock: Clock,
}

impl Setting {
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

    /// A member logs in, without a browser.
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

    /// Who the app thinks is in, and who is.
    async fn who_is_in(&self) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
        let records = self.oh.token_store().page(None, 100_000).await?;
        let ids = records.iter().map(|record| record.member.to_string());
        let really = ids.filter(|id| self.sandbox.is_joined(id)).collect();
        let stored = records
            .iter()
            .filter(|record| record.is_authorized())
            .map(|record| record.member.to_string())
            .collect();
        Ok((stored, really))
    }
}

fn id(number: usize) -> String {
    format!("{number:08}")
}

async fn comes_to_the_truth(with_master_token: bool) -> Result {
    let setting = Setting::new(with_master_token).await?;
    let members = 350;
    for number in 0..members {
        setting.log_in(&id(number)).await?;
    }
    // Some leave in all the ways there are to leave unannounced.
    for number in (0..members).step_by(29) {
        assert!(setting.sandbox.leave(&id(number), false).await.is_empty());
    }
    setting.sandbox.delete_account(&id(7));
    setting.clock.advance(DAY);
    let reconciler = setting.oh.reconciler().min_delay(Duration::ZERO);

    // While the round goes on others join, leave, and come back. Pages shift under the reader.
    setting
        .sandbox
        .fault(Endpoint::Members, Fault::ShiftingPages { by: 3 });
    let bustle = async {
        for number in 0..60 {
            let (joins, leaves, returns) = (id(1_000 + number), id(100 + number), id(number));
            setting.log_in(&joins).await.expect("a login");
            if number % 10 == 1 {
                setting.sandbox.leave(&leaves, false).await;
            }
            if number % 29 == 0 {
                setting.log_in(&returns).await.expect("a login");
            }
            tokio::task::yield_now().await;
        }
    };
    let (round, ()) = tokio::join!(reconciler.round(), bustle);
    let round = round.map_err(|error| error.to_string())?;
    assert!(round.gone > 0, "{round:?}");
    // Those who left after they had been listed are found a day later.
    setting.sandbox.clear_faults();
    setting.clock.advance(DAY);
    reconciler
        .round()
        .await
        .map_err(|error| error.to_string())?;

    let (stored, really) = setting.who_is_in().await?;
    assert_eq!(stored, really);
    let events = setting.oh.ledger().events(EventState::Pending).await?;
    assert!(
        events
            .iter()
            .all(|event| event.discovery == Discovery::Reconciliation)
    );
    let gone = setting.oh.token_store().page(None, 100_000).await?;
    let gone = gone.iter().filter(|record| !record.is_authorized()).count();
    assert!(events.len() >= gone, "each of them has an event");
    Ok(())
}

#[tokio::test]
async fn by_the_members_own_tokens() -> Result {
    comes_to_the_truth(false).await
}

#[tokio::test]
async fn by_the_list_of_members() -> Result {
    comes_to_the_truth(true).await
}

#[tokio::test]
async fn an_open_humans_that_is_down_makes_nobody_leave() -> Result {
    let setting = Setting::new(true).await?;
    for number in 0..20 {
        setting.log_in(&id(number)).await?;
    }
    setting.clock.advance(DAY);
    for endpoint in [Endpoint::Members, Endpoint::ExchangeMember, Endpoint::Token] {
        setting.sandbox.fault(endpoint, Fault::json(400, "{}"));
    }
    let reconciler = setting.oh.reconciler().min_delay(Duration::ZERO);
    assert!(reconciler.round().await.is_err());
    let (stored, _) = setting.who_is_in().await?;
    assert_eq!(stored.len(), 20);

    setting.sandbox.clear_faults();
    let round = reconciler
        .round()
        .await
        .map_err(|error| error.to_string())?;
    assert_eq!((round.due, round.listed, round.gone), (20, 20, 0));
    Ok(())
}

/// The second, unsigned attempt of the webhook: anyone could have sent it.
async fn unsigned(setting: &Setting, id: &str) -> Result<u16> {
    let body = format!(
        r#"{{"project_member_id": "{id}", "erasure_requested": true, "timestamp": "2026-11-22T16:31:27.299665+00:00"}}"#
    );
    let twice = serde_json::to_string(&body)?;
    let request = http::Request::post("/openhumans/deauth")
        .header("Content-Type", "application/json")
        .header("Content-Length", twice.len())
        .body(http_body_util::Full::<bytes::Bytes>::from(twice))?;
    let answer = setting.oh.respond(Route::Deauth, request, None).await;
    Ok(answer.response.status().as_u16())
}

#[tokio::test]
async fn the_unsigned_attempt_is_not_believed_and_is_asked_about_at_once() -> Result {
    let setting = Setting::new(false).await?;
    let (left, stays) = (id(1), id(2));
    setting.log_in(&left).await?;
    setting.log_in(&stays).await?;
    setting.sandbox.leave(&left, false).await;
    assert_eq!(unsigned(&setting, &stays).await?, 401);
    assert_eq!(unsigned(&setting, &left).await?, 401);
    let (stored, _) = setting.who_is_in().await?;
    assert_eq!(stored.len(), 2, "nothing has happened yet");

    let reconciler = setting.oh.reconciler().spawn();
    // The one who stays is asked about first.
    let noticed = async {
        while setting.oh.inbox().stats().await?.pending == 0 {
            tokio::task::yield_now().await;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::time::timeout(Duration::from_secs(30), noticed).await??;
    assert_eq!(setting.sandbox.count(Endpoint::ExchangeMember), 2);
    let (stored, really) = setting.who_is_in().await?;
    assert_eq!(stored, really);
    let event = setting.oh.ledger().events(EventState::Pending).await?;
    assert_eq!(event[0].discovery, Discovery::Reconciliation);
    assert_eq!(event[0].erasure, ErasureRequest::Unknown);
    reconciler.stop().await;
    Ok(())
}
