//! A direct upload that has begun and must not stay half done.
//!
//! Open Humans' delete call does not see a file before it is completed, and completing wants
//! something at the address. So what cannot be deleted is first made an empty, complete file.

use super::direct::StartedUpload;
use crate::files::object_store;
use crate::members::member::MemberClient;
use crate::rest::retry::RetryPolicy;
use crate::transport::Body;
use crate::{Error, SecretUrl};

pub(super) struct PendingUpload {
    begun: Option<Begun>,
}

/// What has begun, and for whom.
struct Begun {
    member: MemberClient,
    upload: StartedUpload,
}

impl PendingUpload {
    pub(super) fn new(mut member: MemberClient, upload: StartedUpload) -> Self {
        // Tidying up is tried once.
        member.server = member.server.retries(RetryPolicy::none());
        Self {
            begun: Some(Begun::new(member, upload)),
        }
    }

    pub(super) fn url(&self) -> &SecretUrl {
        let begun = self.begun.as_ref();
        &begun
            .expect("it is taken only when this is dropped")
            .upload
            .url
    }

    /// The file is complete; nothing is to be cleaned up.
    pub(super) fn finish(mut self) {
        self.begun = None;
    }

    /// Deletes what has begun, as far as possible.
    pub(super) async fn clean_up(mut self) {
        if let Some(begun) = self.begun.take() {
            begun.clean_up().await;
        }
    }
}

impl Drop for PendingUpload {
    fn drop(&mut self) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(begun.clean_up());
        }
    }
}

impl MemberClient {
    /// Takes back an upload that has begun and will not be completed, or one that was. Open Humans
    /// deletes only what is complete, so what is not is first made an empty file: this needs the
    /// address while it works.
    ///
    /// # Errors
    ///
    /// [`Error::ObjectStore`] when the address has expired; [`Error::Deauthorized`] when the member
    /// has left; or what the connection ends in.
    pub async fn discard_upload(&self, upload: &StartedUpload) -> Result<(), Error> {
        Begun::new(self.clone(), upload.clone()).delete().await
    }
}

impl Begun {
    fn new(member: MemberClient, upload: StartedUpload) -> Self {
        Self { member, upload }
    }

    async fn clean_up(self) {
        if let Err(error) = self.delete().await {
            tracing::debug!(%error, "an unfinished upload was left behind");
        }
    }

    async fn delete(&self) -> Result<(), Error> {
        let deleted = self.member.delete_file(self.upload.id).await?;
        if deleted.contains(&self.upload.id) {
            return Ok(());
        }
        self.put_nothing().await?;
        self.member.complete_upload(self.upload.id).await?;
        self.member.delete_file(self.upload.id).await?;
        Ok(())
    }

    async fn put_nothing(&self) -> Result<(), Error> {
        let server = &self.member.server;
        let url = object_store::checked(server, &self.upload.url)?;
        let request = object_store::request(http::Method::PUT, &url, Body::full(""))?;
        let send = server.transport().send(request);
        let response = tokio::time::timeout(server.idle_timeout(), send).await;
        let response = response.map_err(|_| Error::Timeout)??;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(object_store::failed(server, response).await),
        }
    }
}
