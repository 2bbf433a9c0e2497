//! A handle whose token store has one member, and a minimal session type.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use oh_core::store::{Epoch, MemberRecord, MemoryStore, TokenStore, Tokens};
use oh_core::{OpenHumans, SessionMember, Settings, Timestamp};

use crate::session::HostSession;

pub(crate) const SECRET: &str = "abcdefghijklmnop";

/// Returns a handle whose token store has one member, and that member's session.
pub(crate) async fn alice() -> (OpenHumans, SessionMember) {
    let now = Timestamp::now();
    let tokens = Tokens::new("a", "r", now);
    let mut record = MemberRecord::authorized("01026778".parse().unwrap(), tokens, now);
    record.username = Some("alice".to_owned());
    let store = MemoryStore::new();
    let put = store.put(&record, None).await.unwrap();
    assert_eq!(put, oh_core::store::PutOutcome::Stored);
    let mut session = SessionMember::new(record.member, Epoch::begin(now), now);
    session.username = record.username;
    let settings = Settings::builder("id", "secret", "http://localhost:8000")
        .webhook_secret(SECRET)
        .build()
        .unwrap();
    let openhumans = OpenHumans::builder(settings)
        .unencrypted_token_store(store)
        .build();
    (openhumans.unwrap(), session)
}

/// A session type other than that of tower-sessions.
#[derive(Clone, Default)]
pub(crate) struct OtherSession(pub(crate) Arc<Mutex<Option<SessionMember>>>);

impl HostSession for OtherSession {
    type Error = Infallible;

    async fn member(&self) -> Result<Option<SessionMember>, Infallible> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn log_in(&self, member: &SessionMember) -> Result<(), Infallible> {
        *self.0.lock().unwrap() = Some(member.clone());
        Ok(())
    }

    async fn log_out(&self) -> Result<(), Infallible> {
        *self.0.lock().unwrap() = None;
        Ok(())
    }
}
