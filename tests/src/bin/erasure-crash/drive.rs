//! Members join, write their rows, and leave in all possible ways.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Request;
use oh_core::deauth::{Discovery, ErasureRequest, EventId, EventQuery};
use oh_core::store::{MemberRecord, PutOutcome, Tokens};
use oh_core::transport::{Body, BoxError, HttpClient, Transport};
use oh_core::{OpenHumans, ProjectMemberId, Timestamp};
use oh_sandbox::{Sandbox, webhook};
use url::Url;

use crate::Result;
use crate::child::Ports;
use crate::participants::{Participant, Participants, Scenario, random};
use crate::rows::Rows;

/// The number of members at the same time.
const CONCURRENT_MEMBERS: usize = 12;

pub(crate) struct Driver<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) openhumans: &'a OpenHumans,
    pub(crate) rows: &'a Rows,
    pub(crate) ports: Ports,
    pub(crate) participants: &'a Participants,
    pub(crate) client: HttpClient,
    /// Whether the database can be unavailable.
    pub(crate) faults: bool,
}

impl Driver<'_> {
    /// Runs scenarios until the list of participants is closed, and completes all started scenarios.
    pub(crate) async fn run(&self) -> Result {
        try_join_all((0..CONCURRENT_MEMBERS).map(|_| self.run_scenarios())).await?;
        Ok(())
    }

    async fn run_scenarios(&self) -> Result {
        while let Some((member, scenario)) = self.participants.next()? {
            let joined = self.join(&member).await?;
            // Some hundred members per second.
            tokio::time::sleep(Duration::from_millis(random(20))).await;
            let accepted = match scenario {
                Scenario::RequestsErasure => {
                    Some(self.sends(&member, ErasureRequest::Requested, None).await?)
                }
                Scenario::Leaves => Some(
                    self.sends(&member, ErasureRequest::NotRequested, None)
                        .await?,
                ),
                Scenario::RequestsErasureAtOpenHumans => self.leaves_there(&member).await?,
                Scenario::RequestsErasureInApp => {
                    self.asks_here(&member).await?;
                    None
                }
                Scenario::StaysDespiteReplay => {
                    let before = joined - Duration::from_secs(60);
                    Some(
                        self.sends(&member, ErasureRequest::Requested, Some(before))
                            .await?,
                    )
                }
                Scenario::Stays => None,
            };
            self.participants.add(Participant {
                member,
                scenario,
                accepted,
            });
        }
        Ok(())
    }

    /// Writes rows and tokens for a new member. Returns the time of the authorization.
    async fn join(&self, member: &ProjectMemberId) -> Result<Timestamp> {
        let issued = self.sandbox.issue_tokens(member.as_str());
        while let Err(error) = self.rows.add(member.as_str()).await {
            self.wait_after(error).await?;
        }
        let now = Timestamp::now();
        let tokens = Tokens::new(
            issued.access_token,
            issued.refresh_token,
            now + Duration::from_secs(issued.expires_in),
        );
        let record = MemberRecord::authorized(member.clone(), tokens, now);
        let store = self.openhumans.token_store();
        let mut failed = false;
        loop {
            match store.put(&record, None).await {
                Ok(PutOutcome::Stored) => return Ok(now),
                // The failed write happened.
                Ok(PutOutcome::Conflict) if failed => return Ok(now),
                Ok(PutOutcome::Conflict) => return Err("a member joined twice".into()),
                Err(error) => self.wait_after(error.into()).await?,
            }
            failed = true;
        }
    }

    /// Waits for a moment if the database can be unavailable, and returns the error otherwise.
    async fn wait_after(&self, error: BoxError) -> Result {
        if !self.faults {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    }

    /// Leaves at the sandbox. Its only webhook may reach no process, or is not sent.
    async fn leaves_there(&self, member: &ProjectMemberId) -> Result<Option<EventId>> {
        // For some members no webhook is sent.
        let url = self.address().filter(|_| random(3) > 0);
        self.sandbox.set_webhook_url(url);
        let deliveries = self.sandbox.leave(member.as_str(), true).await;
        let Some(accepted) = deliveries.iter().find(|delivery| delivery.accepted()) else {
            return Ok(None);
        };
        let response: serde_json::Value = serde_json::from_str(&accepted.body)?;
        let left_at = response["timestamp"]
            .as_str()
            .ok_or("a timestamp")?
            .parse()?;
        let event = self.event(member, left_at, ErasureRequest::Requested);
        event.await.map(Some)
    }

    /// Requests erasure in the application until it succeeds, Open Humans has removed the member, or the
    /// attempts are used up: a refresh without response blocks for minutes. The library must complete the
    /// erasure in every case.
    async fn asks_here(&self, member: &ProjectMemberId) -> Result {
        let enough = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(mut url) = self.address() {
                url.set_path(&format!("/disconnect/{member}"));
                let request = Request::post(url.as_str()).body(Body::full(Bytes::new()))?;
                if self.succeeds(request).await {
                    return Ok(());
                }
            }
            if !self.sandbox.is_joined(member.as_str()) || Instant::now() > enough {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a signed webhook to the processes until one of them responds with 2xx, and sometimes once
    /// more.
    async fn sends(
        &self,
        member: &ProjectMemberId,
        erasure: ErasureRequest,
        left_at: Option<Timestamp>,
    ) -> Result<EventId> {
        let left_at = left_at.unwrap_or_else(Timestamp::now);
        let body = format!(
            r#"{{"project_member_id": "{member}", "erasure_requested": {}, "timestamp": "{left_at}"}}"#,
            erasure == ErasureRequest::Requested
        );
        while !self.post(&body).await? {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if random(10) == 0 {
            self.post(&body).await?;
        }
        self.event(member, left_at, erasure).await
    }

    /// Sends one request, and returns whether the response was 2xx.
    async fn post(&self, body: &str) -> Result<bool> {
        let Some(url) = self.address() else {
            return Ok(false);
        };
        let signature = webhook::sign(&self.sandbox.webhook_secret(), body);
        let request = Request::post(url.as_str())
            .header("Content-Type", "application/json")
            .header(webhook::SIGNATURE_HEADER, signature)
            .body(Body::full(Bytes::copy_from_slice(body.as_bytes())))?;
        Ok(self.succeeds(request).await)
    }

    async fn succeeds(&self, request: Request<Body>) -> bool {
        let answer = tokio::time::timeout(Duration::from_secs(20), self.client.send(request)).await;
        matches!(answer, Ok(Ok(response)) if response.status().is_success())
    }

    fn address(&self) -> Option<Url> {
        let first = usize::try_from(random(2)).unwrap_or(0);
        let ports = [first, 1 - first].map(|which| self.ports[which].load(Ordering::SeqCst));
        let port = ports.into_iter().find(|port| *port != 0)?;
        Url::parse(&format!("http://127.0.0.1:{port}/openhumans/deauth")).ok()
    }

    /// Returns the stored event of a webhook with a 2xx response.
    async fn event(
        &self,
        member: &ProjectMemberId,
        left_at: Timestamp,
        erasure: ErasureRequest,
    ) -> Result<EventId> {
        let pseudonym = self.openhumans.ledger().pseudonym(member);
        let query = EventQuery::first(1_000).pseudonym(pseudonym);
        loop {
            match self.openhumans.inbox().events(&query).await {
                Ok(events) => {
                    let stored = events.into_iter().find(|event| {
                        event.discovery == Discovery::Webhook
                            && event.left_at == left_at
                            && event.erasure == erasure
                    });
                    let stored = stored.ok_or("an accepted webhook is not stored")?;
                    return Ok(stored.id);
                }
                Err(error) => self.wait_after(error.into()).await?,
            }
        }
    }
}
