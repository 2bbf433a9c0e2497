//! The state that all requests share.

pub(crate) mod database;
pub(crate) mod grants;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use url::Url;

use crate::client::Client;
use crate::clock::Clock;
use crate::fault::Faults;
use crate::objects::ObjectStore;
use crate::secret::Key;
use crate::stats::Counter;
use crate::webhook::{self, Delivery};
use database::{Access, AccessKind, Database, Settings};

/// The credentials of the project, which do not change while the sandbox runs.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) master_token: String,
}

/// The state of a running sandbox.
pub(crate) struct Shared {
    pub(crate) url: Url,
    pub(crate) credentials: Credentials,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) counter: Counter,
    pub(crate) objects: ObjectStore,
    pub(crate) key: Key,
    http: Client,
    db: Mutex<Database>,
}

impl Shared {
    pub(crate) fn new(
        url: Url,
        credentials: Credentials,
        settings: Settings,
        objects: ObjectStore,
        key: Key,
    ) -> Self {
        Self {
            url,
            credentials,
            clock: Clock::default(),
            faults: Faults::default(),
            counter: Counter::default(),
            objects,
            key,
            http: Client::new(),
            db: Mutex::new(Database::new(settings)),
        }
    }

    /// Locks the database. Hold the lock for the duration of one request's effect.
    pub(crate) fn db(&self) -> MutexGuard<'_, Database> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs an access to an object.
    pub(crate) fn fetched(&self, object: &str, status: u16, agent: String) {
        let size = self.objects.get(object).map_or(0, |content| content.size);
        let at = self.clock.now();
        let mut db = self.db();
        if !db.settings.access_logs {
            return;
        }
        let file = db.files.values().find(|file| file.object == object);
        if let Some(file) = file.cloned() {
            let what = AccessKind::Store {
                status,
                size,
                agent,
            };
            db.accesses.push(Access { at, file, what });
        }
    }

    /// Returns the host and port for links, for requests without a `Host` header.
    pub(crate) fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or("127.0.0.1");
        format!("{host}:{}", self.url.port_or_known_default().unwrap_or(80))
    }
}

/// The result of a member's departure.
#[derive(Debug, Default)]
pub(crate) struct LeaveOutcome {
    pub(crate) deliveries: Vec<Delivery>,
    /// Whether the real server crashes after the departure, because the webhook was not sent or not
    /// answered.
    pub(crate) crashed: bool,
}

/// Removes a member from the project and sends the webhook. Returns `None` if the member does not
/// take part in the project.
///
/// The tokens are revoked before the webhook is sent. The delivery continues if the caller is
/// dropped. Must be called on the sandbox's runtime.
pub(crate) async fn leave(shared: &Arc<Shared>, id: &str, erasure: bool) -> Option<LeaveOutcome> {
    let now = shared.clock.now();
    let (settings, id) = {
        let mut db = shared.db();
        let index = db.find_joined(id)?;
        db.leave(index);
        (db.settings.clone(), db.members[index].id.clone())
    };
    let Some(url) = settings.webhook_url else {
        return Some(LeaveOutcome::default());
    };
    if settings.silent_leave && !erasure {
        return Some(LeaveOutcome {
            deliveries: Vec::new(),
            crashed: true,
        });
    }
    let body = webhook::body(&id, erasure, now);
    let shared = shared.clone();
    let announcing = tokio::spawn(async move {
        let deliveries =
            webhook::deliver(&shared.http, &url, settings.webhook_secret.as_deref(), body).await;
        shared.counter.webhooks(deliveries.len());
        deliveries
    });
    let deliveries = announcing.await.unwrap_or_default();
    let crashed = deliveries.iter().any(|delivery| delivery.status.is_none());
    Some(LeaveOutcome {
        deliveries,
        crashed,
    })
}

/// Adds members with new ids who have joined the project.
pub(crate) fn populate(shared: &Shared, members: u32) -> Vec<String> {
    let now = shared.clock.now();
    let mut db = shared.db();
    let mut ids = Vec::new();
    let mut number = 20_000_000_u32;
    while ids.len() < members as usize {
        let id = format!("{number:08}");
        number += 1;
        if db.find(&id).is_some() {
            continue;
        }
        let name = format!("member{number}");
        let index = db.add_member(&id, Some(&name), now);
        db.join(index, now);
        ids.push(id);
    }
    ids
}
