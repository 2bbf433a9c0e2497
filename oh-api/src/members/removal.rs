//! Removing members from the project, and making sure of it.
//!
//! With a webhook configured, the newest Open Humans removes the member and then answers 500, and
//! stops after the first id of a list. So there is one id to a call, and a failure that leaves
//! the outcome open is settled by asking: a second removal of someone who is gone is refused with
//! the id, and a member's own token is no longer known.

use serde_json::json;

use crate::members::member::MemberClient;
use crate::members::message::{check_ids, names_nobody};
use crate::members::project::ProjectClient;
use crate::rest::call::{Call, Repeat};
use crate::{Error, ProjectMemberId};

/// What came of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removal {
    /// The member is removed, by this call.
    Removed,
    /// The member was not in the project.
    NotAMember,
}

impl MemberClient {
    /// Removes the member from the project: tokens die, and Open Humans calls the project's own
    /// deauthorization webhook during this call.
    ///
    /// # Errors
    ///
    /// When the member could not be removed, or, after a failure, it could not be settled whether
    /// the member was. It is safe to call again.
    pub async fn remove(&self) -> Result<Removal, Error> {
        let call = self.removal()?;
        let failed = match self.server.ask_once(&self.auth, &call).await {
            Ok(_) => return Ok(Removal::Removed),
            Err(error) if names_nobody(&error) => return Ok(Removal::NotAMember),
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error),
        };
        let settled = match &self.on_behalf_of {
            Some(_) => self.remove_again(&call).await,
            None => self.is_gone().await,
        };
        match settled {
            Ok(true) => Ok(Removal::Removed),
            Ok(false) | Err(_) => Err(failed),
        }
    }

    fn removal(&self) -> Result<Call, Error> {
        let body = match &self.on_behalf_of {
            Some(member) => {
                check_ids(std::slice::from_ref(member))?;
                json!({ "project_member_ids": [member] })
            }
            None => json!({}),
        };
        Call::post(
            "remove-members",
            "/api/direct-sharing/project/remove-members/",
            Repeat::IfUnprocessed,
        )
        .json(&body)
    }

    /// Whether the member is gone, found out by removing again.
    async fn remove_again(&self, call: &Call) -> Result<bool, Error> {
        let mut call = call.clone();
        // Whoever has been removed cannot be removed twice, so this may be repeated.
        call.repeat = Repeat::Safe;
        match self.server.ask(&self.auth, &call).await {
            Ok(_) => Ok(true),
            Err(error) if names_nobody(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether the member is gone, found out with the member's own token.
    async fn is_gone(&self) -> Result<bool, Error> {
        match self.project_member_id().await {
            Ok(_) => Ok(false),
            Err(Error::Unauthorized { .. } | Error::Deauthorized) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl ProjectClient {
    /// Removes a member from the project; see [`MemberClient::remove`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn remove(&self, member: &ProjectMemberId) -> Result<Removal, Error> {
        self.member(member).remove().await
    }

    /// Removes members, one call each, and says for each what came of it.
    pub async fn remove_members(
        &self,
        members: &[ProjectMemberId],
    ) -> Vec<(ProjectMemberId, Result<Removal, Error>)> {
        let mut outcomes = Vec::with_capacity(members.len());
        for member in members {
            outcomes.push((member.clone(), self.remove(member).await));
        }
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;

    const GONE: &str =
        r#"{"errors":{"project_member_ids":["Invalid project member ID(s): 01026778"]}}"#;

    #[tokio::test(start_paused = true)]
    async fn a_500_is_settled_by_asking() {
        let mock = MockTransport::new();
        let id: ProjectMemberId = "01026778".parse().unwrap();
        let project = mock.client().project("master");
        mock.respond(500, "<html>").respond(400, GONE);
        assert_eq!(project.remove(&id).await.unwrap(), Removal::Removed);
        mock.respond(500, "<html>").respond(200, "\"success\"");
        assert_eq!(project.remove(&id).await.unwrap(), Removal::Removed);
        mock.respond(400, GONE);
        assert_eq!(project.remove(&id).await.unwrap(), Removal::NotAMember);
        for _ in 0..5 {
            mock.respond(500, "<html>");
        }
        assert!(matches!(
            project.remove(&id).await,
            Err(Error::Server { .. })
        ));
    }

    #[tokio::test]
    async fn a_members_own_token_proves_it() {
        let mock = MockTransport::new();
        let member = mock.client().member("t");
        mock.respond(500, "<html>")
            .respond(401, r#"{"detail":"Invalid token."}"#);
        assert_eq!(member.remove().await.unwrap(), Removal::Removed);
        mock.respond(500, "<html>")
            .respond(200, r#"{"project_member_id":"01026778"}"#);
        assert!(matches!(member.remove().await, Err(Error::Server { .. })));
        // A token that was dead before proves nothing was done here.
        mock.respond(401, r#"{"detail":"Invalid token."}"#);
        assert!(matches!(
            member.remove().await,
            Err(Error::Unauthorized { .. })
        ));
    }
}
