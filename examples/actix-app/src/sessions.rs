//! A session store in memory. The cookie contains only the key of the session.
//!
//! All sessions end when the process stops. Use Redis or a database table in a real application.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix_session::storage::{
    LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key,
};
use actix_web::cookie::time::Duration;
use anyhow::Error;

type Values = HashMap<String, String>;

/// Maximum number of sessions. At the limit, the session that expires first is removed.
const MAX_SESSIONS: usize = 100_000;

#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<HashMap<String, Session>>>);

struct Session {
    values: Values,
    expires_at: Instant,
}

impl Session {
    fn new(values: Values, ttl: &Duration) -> Self {
        Self {
            values,
            expires_at: expiry(ttl),
        }
    }
}

fn expiry(ttl: &Duration) -> Instant {
    Instant::now() + ttl.unsigned_abs()
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for Sessions {
    async fn load(&self, key: &SessionKey) -> Result<Option<Values>, LoadError> {
        let sessions = self.lock();
        let session = sessions.get(key.as_ref());
        let session = session.filter(|session| session.expires_at > Instant::now());
        Ok(session.map(|session| session.values.clone()))
    }

    async fn save(&self, values: Values, ttl: &Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        let mut sessions = self.lock();
        if sessions.len() >= MAX_SESSIONS {
            let now = Instant::now();
            sessions.retain(|_, session| session.expires_at > now);
        }
        if sessions.len() >= MAX_SESSIONS {
            let first = sessions
                .iter()
                .min_by_key(|(_, session)| session.expires_at);
            let first = first.map(|(key, _)| key.clone());
            first.and_then(|key| sessions.remove(&key));
        }
        sessions.insert(key.as_ref().to_owned(), Session::new(values, ttl));
        Ok(key)
    }

    async fn update(
        &self,
        key: SessionKey,
        values: Values,
        ttl: &Duration,
    ) -> Result<SessionKey, UpdateError> {
        let session = Session::new(values, ttl);
        self.lock().insert(key.as_ref().to_owned(), session);
        Ok(key)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &Duration) -> Result<(), Error> {
        if let Some(session) = self.lock().get_mut(key.as_ref()) {
            session.expires_at = expiry(ttl);
        }
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), Error> {
        self.lock().remove(key.as_ref());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::HOUR;

    fn values(text: &str) -> Values {
        HashMap::from([("name".to_owned(), text.to_owned())])
    }

    #[tokio::test]
    async fn store_removes_deleted_session_for_all_clones() {
        let sessions = Sessions::default();
        let key = sessions.save(values("alice"), &HOUR).await.unwrap();
        assert_eq!(sessions.load(&key).await.unwrap(), Some(values("alice")));
        let key = sessions.update(key, values("bob"), &HOUR).await.unwrap();
        let clone = sessions.clone();
        let loaded = clone.load(&key).await.unwrap();
        assert_eq!(loaded, Some(values("bob")));
        sessions.delete(&key).await.unwrap();
        assert_eq!(clone.load(&key).await.unwrap(), None);
    }

    #[tokio::test]
    async fn store_hides_expired_session() {
        let sessions = Sessions::default();
        let key = sessions.save(values("a"), &Duration::ZERO).await.unwrap();
        assert_eq!(sessions.load(&key).await.unwrap(), None);
        sessions.update_ttl(&key, &HOUR).await.unwrap();
        assert_eq!(sessions.load(&key).await.unwrap(), Some(values("a")));
    }

    #[tokio::test]
    async fn store_evicts_session_that_expires_first_at_the_limit() {
        let sessions = Sessions::default();
        let first = sessions.save(values("first"), &HOUR).await.unwrap();
        for number in 1..MAX_SESSIONS {
            let session = Session::new(Values::new(), &(HOUR * 2));
            sessions.lock().insert(number.to_string(), session);
        }
        let last = sessions.save(values("last"), &HOUR).await.unwrap();
        assert_eq!(sessions.lock().len(), MAX_SESSIONS);
        assert_eq!(sessions.load(&first).await.unwrap(), None);
        assert_eq!(sessions.load(&last).await.unwrap(), Some(values("last")));
    }
}
