//! The app itself lets a member go.

use crate::api::Removal;
use crate::deauth::{DeauthEvent, ErasureRequest, InboxError};
use crate::store::{MemberRecord, StoreError};
use crate::{AccessToken, Error, OpenHumans, ProjectMemberId};

impl OpenHumans {
    /// Ends a member's authorization from the app's side, for instance when the person deletes
    /// their account: removes the member from the project at Open Humans (unless
    /// `OPENHUMANS_DEAUTH_ON_DELETE` is false), forgets the tokens, ends the sessions, and has the
    /// `DeauthHandler` do with the data what `erasure` says.
    ///
    /// For a member whose tokens are gone already, it takes a master token to make sure of the
    /// removal; without one the member is believed to have left.
    ///
    /// Open Humans calls the project's webhook in the middle of this. That event is kept like any
    /// other; if `erasure` adds nothing to it, it stays the only one.
    ///
    /// A wish to be erased is kept before anything is done. Where the rest is cut off, it is held
    /// until the member turns out to have left, this is called again, or somebody releases it.
    ///
    /// # Errors
    ///
    /// When it is not certain that Open Humans has removed the member, or the event could not be
    /// kept. Nothing is forgotten then, and it is safe to call again.
    pub async fn disconnect(
        &self,
        member: &ProjectMemberId,
        erasure: ErasureRequest,
    ) -> Result<(), Error> {
        if self.inner.settings.deauth_on_delete {
            // Their webhook tells of the removal, and not of this wish.
            let wish = match erasure {
                ErasureRequest::Requested => self.keep_wish(member).await?,
                _ => None,
            };
            self.remove_at_open_humans(member).await?;
            if let Some(wish) = wish {
                let acted = self.inner.deauthorizer.act_on_wish(&wish).await;
                return acted.map_err(not_kept);
            }
        }
        let record = match self.inner.store.load(member).await? {
            Some(record) => record,
            // The member left long ago, and now asks for more than was done then.
            None if erasure == ErasureRequest::Requested => {
                MemberRecord::tombstone(member.clone(), self.inner.clock.now())
            }
            None => return Ok(()),
        };
        if !record.is_authorized() && erasure != ErasureRequest::Requested {
            // The webhook was faster, or the member had left before.
            return Ok(());
        }
        self.report(&record, erasure).await
    }

    /// `None` for a member who is not authorized: nothing is there to be told of.
    async fn keep_wish(&self, member: &ProjectMemberId) -> Result<Option<DeauthEvent>, Error> {
        let stored = self.inner.store.load(member).await?;
        let Some(record) = stored.filter(MemberRecord::is_authorized) else {
            return Ok(None);
        };
        let wish = self.inner.deauthorizer.keep_wish(&record).await;
        wish.map(Some).map_err(not_kept)
    }

    async fn report(&self, record: &MemberRecord, erasure: ErasureRequest) -> Result<(), Error> {
        let reported = self
            .inner
            .deauthorizer
            .report_disconnected(record, erasure)
            .await;
        reported.map(|_| ()).map_err(not_kept)
    }

    /// Whoever is not there any more is as good as removed.
    async fn remove_at_open_humans(&self, member: &ProjectMemberId) -> Result<(), Error> {
        let removed = async {
            let token = self.access_token(member).await?;
            match self.remove_with(&token).await {
                // Another process may have refreshed in between, which kills this token.
                Err(Error::Unauthorized { .. } | Error::Expired) => {
                    let token = self.refreshed_access_token(member, &token).await?;
                    self.remove_with(&token).await
                }
                done => done,
            }
        };
        match removed.await {
            Ok(_) => Ok(()),
            // Or so it seems: tokens that we lost say nothing. Only the project can tell then.
            Err(Error::Deauthorized) => match self.project_client() {
                Ok(project) => project.remove(member).await.map(|_| ()),
                Err(_) => Ok(()),
            },
            Err(error) => Err(error),
        }
    }

    /// With this token and no other: after the removal none is alive, and a refresh would find a
    /// member who has left.
    async fn remove_with(&self, token: &AccessToken) -> Result<Removal, Error> {
        self.inner.client.member(token.clone()).remove().await
    }
}

fn not_kept(error: InboxError) -> Error {
    StoreError::unavailable(error).into()
}
