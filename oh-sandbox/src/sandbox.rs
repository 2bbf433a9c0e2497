//! The handle that tests hold a running sandbox by.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use url::Url;

use crate::api::{NewFile, store_file};
use crate::client::Client;
use crate::state::database::{MASTER_TOKEN_LIFETIME, OTHER_PROJECT, PROJECT};
use crate::state::grants::{IssuedTokens, SCOPES};
use crate::state::{Shared, leave, populate};
use crate::{Delivery, Endpoint, Fault, Message, Stats};

/// A running stand-in Open Humans. It stops when this is dropped.
///
/// Its methods take effect at once; the asynchronous ones may be awaited under any runtime.
pub struct Sandbox {
    shared: Arc<Shared>,
    runtime: tokio::runtime::Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("url", &self.shared.url.as_str())
            .finish_non_exhaustive()
    }
}

/// The error of [`Sandbox::authorize`] and [`Sandbox::refuse`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// The URL does not belong to this sandbox.
    #[error("the URL does not belong to this sandbox")]
    ForeignUrl,
    /// The sandbox responded with a page instead of a redirect.
    #[error("the sandbox responded with status {status} instead of a redirect")]
    NotRedirected {
        /// The status: 404 for an unknown client, 400 for an invalid redirect URI or member.
        status: u16,
    },
    /// The sandbox did not respond.
    #[error("the sandbox did not respond")]
    NoResponse,
}

/// A file in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileInfo {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub basename: String,
    /// Its size in bytes, `None` while a direct upload has brought nothing yet.
    pub size: Option<u64>,
    /// Whether the upload has been completed.
    pub complete: bool,
    /// What was said about it.
    pub metadata: Value,
}

impl Sandbox {
    pub(crate) fn new(
        shared: Arc<Shared>,
        runtime: tokio::runtime::Handle,
        stop: oneshot::Sender<()>,
        thread: JoinHandle<()>,
    ) -> Self {
        Self {
            shared,
            runtime,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Where it is, as in `http://127.0.0.1:8001/`: the value for `OPENHUMANS_OH_BASE_URL`.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.shared.url
    }

    /// The client id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.shared.credentials.client_id
    }

    /// The client secret.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        &self.shared.credentials.client_secret
    }

    /// The project's master token.
    #[must_use]
    pub fn master_token(&self) -> &str {
        &self.shared.credentials.master_token
    }

    /// What webhooks are signed with; empty if they are not.
    #[must_use]
    pub fn webhook_secret(&self) -> String {
        self.shared
            .db()
            .settings
            .webhook_secret
            .clone()
            .unwrap_or_default()
    }

    /// Adds a member of Open Humans, who has yet to join the project; or gives one another name.
    pub fn add_member(&self, id: &str, username: Option<&str>) {
        let now = self.shared.clock.now();
        self.shared.db().add_member(id, username, now);
    }

    /// Adds so many members who have joined, and says their ids. They are cheap: a hundred
    /// thousand take some ten megabytes.
    pub fn populate(&self, members: u32) -> Vec<String> {
        populate(&self.shared, members)
    }

    /// Lets a member join without the authorize page, adding them if there is no such member.
    pub fn join(&self, id: &str) {
        let now = self.shared.clock.now();
        let mut db = self.shared.db();
        let index = db.find(id).unwrap_or_else(|| db.add_member(id, None, now));
        db.join(index, now);
    }

    /// Whether a member takes part in the project.
    #[must_use]
    pub fn is_joined(&self, id: &str) -> bool {
        self.shared.db().find_joined(id).is_some()
    }

    /// Replaces the addresses that members may be sent back to. What is no URL is left out.
    pub fn set_redirect_uris<I>(&self, uris: I)
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let uris = uris
            .into_iter()
            .filter_map(|uri| Url::parse(uri.as_ref()).ok())
            .collect();
        self.shared.db().settings.redirect_uris = uris;
    }

    /// Changes where leaving is announced.
    pub fn set_webhook_url(&self, url: Option<Url>) {
        self.shared.db().settings.webhook_url = url;
    }

    /// Changes what webhooks are signed with; `None` sends them unsigned.
    pub fn set_webhook_secret(&self, secret: Option<&str>) {
        self.shared.db().settings.webhook_secret = secret.map(str::to_owned);
    }

    /// Whether leaving without erasure goes unannounced, as at the newest server.
    pub fn set_silent_leave(&self, silent: bool) {
        self.shared.db().settings.silent_leave = silent;
    }

    /// Whether removing members by API answers 500 once the first is gone, as at the newest server.
    pub fn set_remove_members_fails(&self, fails: bool) {
        self.shared.db().settings.remove_members_fails = fails;
    }

    /// Whether the project takes part at all. Nobody can authorize an inactive one.
    pub fn set_active(&self, active: bool) {
        self.shared.db().settings.active = active;
    }

    /// Whether Open Humans has approved the project.
    pub fn set_approved(&self, approved: bool) {
        self.shared.db().settings.approved = approved;
    }

    /// Makes the master token expire now.
    pub fn expire_master_token(&self) {
        let now = self.shared.clock.now();
        self.shared.db().settings.master_token_expires = Some(now);
    }

    /// Makes the master token good for another 24 hours. The real project page gives another one
    /// then; here it stays the same.
    pub fn renew_master_token(&self) {
        let now = self.shared.clock.now();
        self.shared.db().settings.master_token_expires = Some(now + MASTER_TOKEN_LIFETIME);
    }

    /// Does what a member's browser would do with an authorization URL, and says where it would
    /// end: at the redirect URI, with a code.
    ///
    /// # Errors
    ///
    /// When the sandbox answers with a page, or not at all.
    pub async fn authorize(
        &self,
        member_id: &str,
        authorization_url: impl AsRef<str>,
    ) -> Result<Url, AuthorizeError> {
        self.decide(
            authorization_url.as_ref(),
            &[("sandbox_member", member_id), ("sandbox_decision", "allow")],
        )
        .await
    }

    /// The same for somebody who refuses.
    ///
    /// # Errors
    ///
    /// When the sandbox answers with a page, or not at all.
    pub async fn refuse(&self, authorization_url: impl AsRef<str>) -> Result<Url, AuthorizeError> {
        self.decide(
            authorization_url.as_ref(),
            &[("sandbox_decision", "refuse")],
        )
        .await
    }

    async fn decide(&self, url: &str, decision: &[(&str, &str)]) -> Result<Url, AuthorizeError> {
        let mut url = Url::parse(url).map_err(|_| AuthorizeError::ForeignUrl)?;
        if url.port_or_known_default() != self.url().port_or_known_default() {
            return Err(AuthorizeError::ForeignUrl);
        }
        url.query_pairs_mut().extend_pairs(decision);
        let asking = self.runtime.spawn(async move {
            let ask = http::Request::get(url.as_str()).body(Bytes::new()).ok()?;
            Client::new().send(ask).await
        });
        let response = asking
            .await
            .ok()
            .flatten()
            .ok_or(AuthorizeError::NoResponse)?;
        let location = response
            .headers()
            .get(http::header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let back = location.and_then(|text| Url::parse(text).ok());
        back.ok_or(AuthorizeError::NotRedirected {
            status: response.status().as_u16(),
        })
    }

    /// A pair of tokens without the flow. The member joins, and is added if there is no such one.
    #[must_use]
    pub fn issue_tokens(&self, member_id: &str) -> IssuedTokens {
        self.join(member_id);
        let now = self.shared.clock.now();
        let mut db = self.shared.db();
        // Joining has just made sure that the member is there.
        let index = db.find(member_id).unwrap_or_default();
        db.grants.issue(index, SCOPES, now)
    }

    /// Makes a member's access tokens expire now. Their refresh tokens go on working.
    pub fn expire_tokens(&self, member_id: &str) {
        let now = self.shared.clock.now();
        let mut db = self.shared.db();
        if let Some(index) = db.find(member_id) {
            db.grants.expire(index, now);
        }
    }

    /// Revokes all of a member's tokens, who goes on taking part.
    pub fn revoke_tokens(&self, member_id: &str) {
        let mut db = self.shared.db();
        if let Some(index) = db.find(member_id) {
            db.grants.revoke_all(index);
        }
    }

    /// Makes all codes expire that have not been exchanged yet.
    pub fn expire_codes(&self) {
        self.shared.db().grants.expire_codes();
    }

    /// Lets a member leave, and says which webhook requests were made. None if they take no part
    /// in the project, if there is no webhook URL, or if leaving is silent.
    pub async fn leave(&self, member_id: &str, erasure: bool) -> Vec<Delivery> {
        let (shared, id) = (self.shared.clone(), member_id.to_owned());
        let leaving = self
            .runtime
            .spawn(async move { leave(&shared, &id, erasure).await });
        leaving.await.ok().flatten().unwrap_or_default().deliveries
    }

    /// Deletes a member's account at Open Humans, which sends no webhook. Returns false if there is
    /// no such member, or if the sandbox behaves like the newest server and the member takes part in
    /// the project: that server responds 500, and the membership stays.
    pub fn delete_account(&self, member_id: &str) -> bool {
        let mut db = self.shared.db();
        let objects = db
            .find(member_id)
            .and_then(|index| db.delete_account(index));
        drop(db);
        let deleted = objects.is_some();
        self.shared.objects.remove(objects.into_iter().flatten());
        deleted
    }

    /// Sets whether a member's account is active. An inactive member is absent from `members/` and
    /// cannot receive messages, but the member's tokens remain valid.
    pub fn set_account_active(&self, member_id: &str, active: bool) {
        let mut db = self.shared.db();
        if let Some(index) = db.find(member_id) {
            db.members[index].active = active;
        }
    }

    /// Sets whether a member hides the membership in the project from the public. The public records
    /// of the member's files then have no username.
    pub fn set_hidden(&self, member_id: &str, hidden: bool) {
        let mut db = self.shared.db();
        if let Some(index) = db.find(member_id) {
            db.members[index].hidden = hidden;
        }
    }

    /// Sets whether deleting the account of a member who takes part in the project fails, as on the
    /// newest server.
    pub fn set_account_deletion_fails(&self, fails: bool) {
        self.shared.db().settings.account_deletion_fails = fails;
    }

    /// Adds a file of the project to a member's, as if it had been uploaded, and says its id.
    /// `None` if there is no such member, or no room on the disk.
    pub fn add_file(
        &self,
        member_id: &str,
        basename: &str,
        content: &[u8],
        metadata: Value,
    ) -> Option<u64> {
        self.store_file(PROJECT, member_id, basename, content, metadata)
    }

    /// Adds a file of the other project, which members share with this project.
    pub fn add_shared_file(
        &self,
        member_id: &str,
        basename: &str,
        content: &[u8],
        metadata: Value,
    ) -> Option<u64> {
        self.store_file(OTHER_PROJECT, member_id, basename, content, metadata)
    }

    fn store_file(
        &self,
        project: u64,
        member_id: &str,
        basename: &str,
        content: &[u8],
        metadata: Value,
    ) -> Option<u64> {
        let member = self.shared.db().find(member_id)?;
        let file = NewFile {
            member,
            project,
            basename,
            content,
            metadata,
            datatypes: Vec::new(),
        };
        store_file(&self.shared, file).ok()
    }

    /// A member's files, unfinished uploads included.
    #[must_use]
    pub fn files(&self, member_id: &str) -> Vec<FileInfo> {
        let db = self.shared.db();
        let Some(index) = db.find(member_id) else {
            return Vec::new();
        };
        let files = db.members[index]
            .files
            .iter()
            .filter_map(|id| db.files.get(id));
        files
            .map(|file| FileInfo {
                id: file.id,
                basename: file.basename.clone(),
                size: self
                    .shared
                    .objects
                    .get(&file.object)
                    .map(|content| content.size),
                complete: file.complete,
                metadata: file.metadata.clone(),
            })
            .collect()
    }

    /// The content of a file, read into memory.
    #[must_use]
    pub fn file_content(&self, file_id: u64) -> Option<Vec<u8>> {
        let object = self.shared.db().files.get(&file_id)?.object.clone();
        let content = self.shared.objects.get(&object)?;
        std::fs::read(&content.path).ok()
    }

    /// The messages sent so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.shared.db().messages.clone()
    }

    /// Plants a fault at an endpoint until it is cleared. It comes behind those already there.
    pub fn fault(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.faults.add(endpoint, fault, None);
    }

    /// Plants a fault for the next few requests to an endpoint.
    pub fn fault_next(&self, endpoint: Endpoint, times: u64, fault: Fault) {
        self.shared.faults.add(endpoint, fault, Some(times));
    }

    /// Clears all faults.
    pub fn clear_faults(&self) {
        self.shared.faults.clear_all();
    }

    /// Lets those requests go on that hang now.
    pub fn release(&self) {
        self.shared.faults.release();
    }

    /// Waits until just so many requests hang: one, to know that it hangs; none, to know that the
    /// sandbox has noticed its client going away.
    pub async fn wait_for_hanging(&self, requests: usize) {
        self.shared.faults.wait_for_hanging(requests).await;
    }

    /// How often an endpoint was asked, whatever became of it.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.shared.counter.count(endpoint)
    }

    /// How often the token endpoint was asked.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        self.count(Endpoint::Token)
    }

    /// All counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counter.snapshot()
    }

    /// Starts counting anew.
    pub fn reset_stats(&self) {
        self.shared.counter.reset();
    }

    /// Waits until an endpoint has been asked at least so often, counted from the start. A request
    /// counts as soon as it arrives, so this also tells that one is hanging.
    pub async fn wait_for(&self, endpoint: Endpoint, times: u64) {
        self.shared.counter.wait_for(endpoint, times).await;
    }

    /// Pushes the sandbox's clock forward, so that tokens, codes and links age.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
