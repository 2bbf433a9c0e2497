//! A direct upload that has begun and must not stay half done.
//!
//! Open Humans' delete call does not see a file before it is completed, and completing wants
//! something at the address. So what cannot be deleted is first made an empty, complete file.

use crate::files::object_store;
use crate::members::member::MemberClient;
use crate::rest::retry::RetryPolicy;
use crate::transport::Body;
use crate::types::data_file::DataFileId;
use crate::{Error, SecretUrl};

pub(super) struct Unfinished {
    begun: Option<Begun>,
}

struct Begun {
    member: MemberClient,
    id: DataFileId,
    url: SecretUrl,
}

impl Unfinished {
    pub(super) fn new(mut member: MemberClient, id: DataFileId, url: SecretUrl) -> Self {
        // Tidying up is tried once.
        member.server = member.server.retries(RetryPolicy::none());
        Self {
            begun: Some(Begun { member, id, url }),
        }
    }

    pub(super) fn url(&self) -> &SecretUrl {
        let begun = self.begun.as_ref();
        &begun.expect("it is taken only when this is dropped").url
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

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(begun.clean_up());
        }
    }
}

impl Begun {
    async fn clean_up(self) {
        if let Err(error) = self.delete().await {
            tracing::debug!(%error, "an unfinished upload was left behind");
        }
    }

    async fn delete(&self) -> Result<(), Error> {
        let deleted = self.member.delete_file(self.id).await?;
        if deleted.contains(&self.id) {
            return Ok(());
        }
        self.put_nothing().await?;
        self.member.complete(self.id).await?;
        self.member.delete_file(self.id).await?;
        Ok(())
    }

    async fn put_nothing(&self) -> Result<(), Error> {
        let server = &self.member.server;
        let url = object_store::checked(server, &self.url)?;
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
