//! The handle of a running sandbox.

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
use crate::state::database::{Database, MASTER_TOKEN_LIFETIME, OTHER_PROJECT, PROJECT};
use crate::state::grants::{IssuedTokens, SCOPES};
use crate::state::{Shared, leave, populate};
use crate::{Delivery, Endpoint, Fault, Message, Stats};

/// A running sandbox. Dropping it stops the sandbox.
///
/// All methods take effect immediately. The asynchronous methods work under any runtime.
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
    /// The file id.
    pub id: u64,
    /// The file name.
    pub basename: String,
    /// The size in bytes, or `None` before the content of a direct upload arrives.
    pub size: Option<u64>,
    /// Whether the upload is complete.
    pub complete: bool,
    /// The metadata.
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

    /// Returns the base URL, such as `http://127.0.0.1:8001/`. Set `OPENHUMANS_OH_BASE_URL` to this
    /// value.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.shared.url
    }

    /// Returns the client id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.shared.credentials.client_id
    }

    /// Returns the client secret.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        &self.shared.credentials.client_secret
    }

    /// Returns the master token of the project.
    #[must_use]
    pub fn master_token(&self) -> &str {
        &self.shared.credentials.master_token
    }

    /// Returns the secret that signs webhooks, or an empty string if webhooks are unsigned.
    #[must_use]
    pub fn webhook_secret(&self) -> String {
        self.shared
            .db()
            .settings
            .webhook_secret
            .clone()
            .unwrap_or_default()
    }

    /// Adds a member of Open Humans, or changes the username of an existing member. A new member has
    /// not joined the project.
    pub fn add_member(&self, id: &str, username: Option<&str>) {
        let now = self.shared.clock.now();
        self.shared.db().add_member(id, username, now);
    }

    /// Adds members who have joined and returns their ids. A hundred thousand members need about
    /// ten megabytes.
    pub fn populate(&self, members: u32) -> Vec<String> {
        populate(&self.shared, members)
    }

    /// Lets a member join the project without the authorization form. Adds the member if necessary.
    pub fn join(&self, id: &str) {
        let now = self.shared.clock.now();
        let mut db = self.shared.db();
        let index = db.find(id).unwrap_or_else(|| db.add_member(id, None, now));
        db.join(index, now);
    }

    /// Returns whether a member takes part in the project.
    #[must_use]
    pub fn is_joined(&self, id: &str) -> bool {
        self.shared.db().find_joined(id).is_some()
    }

    /// Replaces the redirect URIs. Values that are not URLs are ignored.
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

    /// Sets the URL that receives webhooks.
    pub fn set_webhook_url(&self, url: Option<Url>) {
        self.shared.db().settings.webhook_url = url;
    }

    /// Sets the secret that signs webhooks. With `None` webhooks are unsigned.
    pub fn set_webhook_secret(&self, secret: Option<&str>) {
        self.shared.db().settings.webhook_secret = secret.map(str::to_owned);
    }

    /// Sets whether the webhook is omitted when a member leaves without an erasure request, as on
    /// the newest server.
    pub fn set_silent_leave(&self, silent: bool) {
        self.shared.db().settings.silent_leave = silent;
    }

    /// Sets whether `remove-members/` responds 500 after it removed the first member, as on the
    /// newest server.
    pub fn set_remove_members_fails(&self, fails: bool) {
        self.shared.db().settings.remove_members_fails = fails;
    }

    /// Sets whether the project is active. Members cannot authorize an inactive project.
    pub fn set_active(&self, active: bool) {
        self.shared.db().settings.active = active;
    }

    /// Sets whether Open Humans has approved the project.
    pub fn set_approved(&self, approved: bool) {
        self.shared.db().settings.approved = approved;
    }

    /// Expires the master token.
    pub fn expire_master_token(&self) {
        let now = self.shared.clock.now();
        self.shared.db().settings.master_token_expires = Some(now);
    }

    /// Renews the master token for 24 hours. Unlike at Open Humans, the token does not change.
    pub fn renew_master_token(&self) {
        let now = self.shared.clock.now();
        self.shared.db().settings.master_token_expires = Some(now + MASTER_TOKEN_LIFETIME);
    }

    /// Opens an authorization URL as a member, allows the authorization, and returns the redirect
    /// URI with the code.
    ///
    /// # Errors
    ///
    /// Returns an error if the sandbox responds with a page or not at all.
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

    /// Opens an authorization URL and refuses the authorization.
    ///
    /// # Errors
    ///
    /// Returns an error if the sandbox responds with a page or not at all.
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

    /// Issues a pair of tokens. The member joins, and is added if necessary.
    #[must_use]
    pub fn issue_tokens(&self, member_id: &str) -> IssuedTokens {
        self.join(member_id);
        let now = self.shared.clock.now();
        let mut db = self.shared.db();
        // `join` has added the member.
        let index = db.find(member_id).unwrap_or_default();
        db.grants.issue(index, SCOPES, now)
    }

    /// Expires a member's access tokens. The refresh tokens remain valid.
    pub fn expire_tokens(&self, member_id: &str) {
        let now = self.shared.clock.now();
        self.with_member(member_id, |db, index| db.grants.expire(index, now));
    }

    /// Revokes all tokens of a member, who remains in the project.
    pub fn revoke_tokens(&self, member_id: &str) {
        self.with_member(member_id, |db, index| db.grants.revoke_all(index));
    }

    /// Calls `f` for a member. Does nothing if there is no such member.
    fn with_member(&self, id: &str, f: impl FnOnce(&mut Database, usize)) {
        let mut db = self.shared.db();
        if let Some(index) = db.find(id) {
            f(&mut db, index);
        }
    }

    /// Expires all authorization codes.
    pub fn expire_codes(&self) {
        self.shared.db().grants.expire_codes();
    }

    /// Lets a member leave and returns the webhook requests. There are none if the member does not
    /// take part in the project, if there is no webhook URL, or if the webhook is omitted.
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
        self.with_member(member_id, |db, index| db.members[index].active = active);
    }

    /// Sets whether a member hides the membership in the project from the public. The public records
    /// of the member's files then have no username.
    pub fn set_hidden(&self, member_id: &str, hidden: bool) {
        self.with_member(member_id, |db, index| db.members[index].hidden = hidden);
    }

    /// Sets whether the deletion of a joined member's account fails, as on the newest server.
    pub fn set_account_deletion_fails(&self, fails: bool) {
        self.shared.db().settings.account_deletion_fails = fails;
    }

    /// Adds a file as if the project had uploaded it, and returns its id. Returns `None` if there
    /// is no such member or the disk is full.
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

    /// Returns a member's files, including incomplete uploads.
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

    /// Reads the content of a file.
    #[must_use]
    pub fn file_content(&self, file_id: u64) -> Option<Vec<u8>> {
        let object = self.shared.db().files.get(&file_id)?.object.clone();
        let content = self.shared.objects.get(&object)?;
        std::fs::read(&content.path).ok()
    }

    /// Returns the messages that the project has sent.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.shared.db().messages.clone()
    }

    /// Adds a fault to an endpoint, after the faults that it already has. It lasts until it is
    /// removed.
    pub fn fault(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.faults.add(endpoint, fault, None);
    }

    /// Adds a fault for the next `times` requests to an endpoint.
    pub fn fault_next(&self, endpoint: Endpoint, times: u64, fault: Fault) {
        self.shared.faults.add(endpoint, fault, Some(times));
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.shared.faults.clear_all();
    }

    /// Lets all hanging requests continue.
    pub fn release(&self) {
        self.shared.faults.release();
    }

    /// Waits until exactly this number of requests hang. Wait for zero to detect that a client has
    /// disconnected.
    pub async fn wait_for_hanging(&self, requests: usize) {
        self.shared.faults.wait_for_hanging(requests).await;
    }

    /// Returns the number of requests to an endpoint, including failed requests.
    #[must_use]
    pub fn count(&self, endpoint: Endpoint) -> u64 {
        self.shared.counter.count(endpoint)
    }

    /// Returns the number of requests to the token endpoint.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        self.count(Endpoint::Token)
    }

    /// Returns all request counts.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counter.snapshot()
    }

    /// Resets all request counts.
    pub fn reset_stats(&self) {
        self.shared.counter.reset();
    }

    /// Waits until an endpoint has received at least this number of requests. A request counts when
    /// it arrives, even if it hangs.
    pub async fn wait_for(&self, endpoint: Endpoint, times: u64) {
        self.shared.counter.wait_for(endpoint, times).await;
    }

    /// Advances the clock of the sandbox, which expires tokens, codes and links.
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
