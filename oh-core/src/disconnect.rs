//! Disconnecting a member from the application's side.

use crate::api::Removal;
use crate::deauth::{ErasureRequest, InboxError, erasure_requests};
use crate::store::{MemberRecord, StoreError};
use crate::{AccessToken, Error, OpenHumans, ProjectMemberId};

impl OpenHumans {
    /// Ends a member's authorization, for instance when a person deletes their account.
    ///
    /// Removes the member from the project at Open Humans (unless `OPENHUMANS_DEAUTH_ON_DELETE` is
    /// false), destroys the tokens, ends the sessions, and has the `DeauthHandler` process the data
    /// as `erasure` says. If the member's tokens are gone already, a master token is needed to confirm
    /// the removal. Without one the member is assumed to have left.
    ///
    /// Open Humans calls the project's webhook during the removal. That event is stored like any
    /// other. No second event is stored unless `erasure` adds a request.
    ///
    /// A request for erasure is stored first. If the process dies before the removal is certain, the
    /// request stays quarantined until another event proves that the member has left, this method is
    /// called again, or an operator releases it.
    ///
    /// # Errors
    ///
    /// When the removal at Open Humans is not certain, or the event could not be stored. The tokens
    /// are kept in that case, and the call can be repeated.
    pub async fn disconnect(
        &self,
        member: &ProjectMemberId,
        erasure: ErasureRequest,
    ) -> Result<(), Error> {
        let deauthorizer = &self.inner.deauthorizer;
        if self.inner.settings.deauth_on_delete {
            let stored = self.inner.store.load(member).await?;
            let request = match stored.filter(MemberRecord::is_authorized) {
                // The webhook will report the removal, but not the request.
                Some(record) if erasure == ErasureRequest::Requested => {
                    let request = erasure_requests::store(deauthorizer, &record).await;
                    Some(request.map_err(unavailable)?)
                }
                _ => None,
            };
            self.remove_at_open_humans(member).await?;
            if let Some(request) = request {
                let confirmed = erasure_requests::confirm(deauthorizer, &request).await;
                return confirmed.map_err(unavailable);
            }
        }
        let record = match self.inner.store.load(member).await? {
            Some(record) => record,
            // The member left long ago and now requests erasure as well.
            None if erasure == ErasureRequest::Requested => {
                MemberRecord::tombstone(member.clone(), self.inner.clock.now())
            }
            None => return Ok(()),
        };
        if !record.is_authorized() && erasure != ErasureRequest::Requested {
            // The webhook has arrived meanwhile, or the member had left before.
            return Ok(());
        }
        let reported = deauthorizer.report_disconnected(&record, erasure).await;
        reported.map(|_| ()).map_err(unavailable)
    }

    /// Removes the member. Succeeds if the member is not authorized any more.
    async fn remove_at_open_humans(&self, member: &ProjectMemberId) -> Result<(), Error> {
        let removed = async {
            let token = self.access_token(member).await?;
            match self.remove_with(&token).await {
                // Another process may have refreshed meanwhile, which invalidates this token.
                Err(Error::Unauthorized { .. } | Error::Expired) => {
                    let token = self.refreshed_access_token(member, &token).await?;
                    self.remove_with(&token).await
                }
                result => result,
            }
        };
        match removed.await {
            Ok(_) => Ok(()),
            // Tokens that were lost prove nothing. Only the project can confirm the removal then.
            Err(Error::Deauthorized) => match self.project_client() {
                Ok(project) => project.remove(member).await.map(|_| ()),
                Err(_) => Ok(()),
            },
            Err(error) => Err(error),
        }
    }

    /// Removes the member with this token, without a refresh: the removal invalidates all tokens, so a
    /// refresh during a retry would report a departure.
    async fn remove_with(&self, token: &AccessToken) -> Result<Removal, Error> {
        self.inner.client.member(token.clone()).remove().await
    }
}

fn unavailable(error: InboxError) -> Error {
    StoreError::unavailable(error).into()
}
