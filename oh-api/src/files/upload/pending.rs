//! A direct upload that was started and not completed yet.
//!
//! Open Humans can delete a file only after the upload was completed, and it can be completed only
//! after something was sent to its URL. To discard an upload, an empty file is sent, completed and
//! deleted.

use super::direct::StartedUpload;
use crate::files::object_store;
use crate::members::member::MemberClient;
use crate::rest::retry::RetryPolicy;
use crate::transport::Body;
use crate::{Error, SecretUrl};

/// Discards the upload on drop, unless it was finished.
pub(super) struct PendingUpload {
    started: Option<(MemberClient, StartedUpload)>,
    url: SecretUrl,
}

impl PendingUpload {
    pub(super) fn new(mut member: MemberClient, upload: StartedUpload) -> Self {
        member.server = member.server.retries(RetryPolicy::none());
        Self {
            url: upload.url.clone(),
            started: Some((member, upload)),
        }
    }

    pub(super) fn url(&self) -> &SecretUrl {
        &self.url
    }

    /// Marks the upload as complete.
    pub(super) fn finish(mut self) {
        self.started = None;
    }

    /// Discards the upload and logs a failure.
    pub(super) async fn discard(mut self) {
        if let Some((member, upload)) = self.started.take() {
            discard_or_log(member, upload).await;
        }
    }
}

impl Drop for PendingUpload {
    fn drop(&mut self) {
        let Some((member, upload)) = self.started.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(discard_or_log(member, upload));
        }
    }
}

async fn discard_or_log(member: MemberClient, upload: StartedUpload) {
    if let Err(error) = member.discard_upload(&upload).await {
        tracing::debug!(%error, "failed to discard an incomplete upload");
    }
}

impl MemberClient {
    /// Deletes a direct upload, whether it was completed or not. Open Humans deletes only completed
    /// uploads, so an incomplete one is first completed as an empty file, which needs a URL that has
    /// not expired.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectStore`] if the URL has expired; [`Error::Deauthorized`] if the member has
    /// left; or a connection error.
    pub async fn discard_upload(&self, upload: &StartedUpload) -> Result<(), Error> {
        let deleted = self.delete_file(upload.id).await?;
        if deleted.contains(&upload.id) {
            return Ok(());
        }
        self.put_empty(&upload.url).await?;
        self.complete_upload(upload.id).await?;
        self.delete_file(upload.id).await?;
        Ok(())
    }

    async fn put_empty(&self, url: &SecretUrl) -> Result<(), Error> {
        let client = &self.server;
        let url = object_store::checked(client, url)?;
        let request = object_store::request(http::Method::PUT, &url, Body::full(""))?;
        let send = client.transport().send(request);
        let response = tokio::time::timeout(client.idle_timeout(), send).await;
        let response = response.map_err(|_| Error::Timeout)??;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(object_store::failed(client, response).await),
        }
    }
}
