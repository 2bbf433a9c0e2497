//! Removal of members from the project, with a check of the result.
//!
//! If the project has a webhook, the newest Open Humans removes the member, then responds 500, and
//! ignores the rest of a list of ids. Each call therefore has one id, and an unclear failure is
//! resolved by another request: the server rejects the removal of a non-member, and
//! no longer knows the token of a removed member.

use serde_json::json;

use crate::members::member::MemberClient;
use crate::members::message::{check_ids, is_not_a_member};
use crate::members::project::ProjectClient;
use crate::rest::call::{Call, Repeat};
use crate::{Error, ProjectMemberId};

/// The result of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removal {
    /// This call removed the member.
    Removed,
    /// The member was not in the project.
    NotAMember,
}

impl MemberClient {
    /// Removes the member from the project. This revokes the member's tokens, and Open Humans calls
    /// the project's deauthorization webhook during this call.
    ///
    /// # Errors
    ///
    /// If the member could not be removed, or the result of a failed call is unknown. The call can
    /// safely be repeated.
    pub async fn remove(&self) -> Result<Removal, Error> {
        let call = self.removal()?;
        let failed = match self.server.ask_once(&self.auth, &call).await {
            Ok(_) => return Ok(Removal::Removed),
            Err(error) if is_not_a_member(&error) => return Ok(Removal::NotAMember),
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error),
        };
        let removed = match &self.on_behalf_of {
            Some(_) => self.remove_again(&call).await,
            None => self.is_removed().await,
        };
        match removed {
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

    /// Determines by a second removal whether the member was removed.
    async fn remove_again(&self, call: &Call) -> Result<bool, Error> {
        let mut call = call.clone();
        call.repeat = Repeat::Safe;
        match self.server.ask(&self.auth, &call).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_a_member(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Determines with the member's own token whether the member was removed.
    async fn is_removed(&self) -> Result<bool, Error> {
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
    /// As for [`MemberClient::remove`].
    pub async fn remove(&self, member: &ProjectMemberId) -> Result<Removal, Error> {
        self.member(member).remove().await
    }

    /// Removes members with one call each. Returns each member's result.
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

    const NOT_A_MEMBER: &str =
        r#"{"errors":{"project_member_ids":["Invalid project member ID(s): 01026778"]}}"#;

    #[tokio::test(start_paused = true)]
    async fn removal_after_500_is_checked_by_second_removal() {
        let mock = MockTransport::new();
        let id: ProjectMemberId = "01026778".parse().unwrap();
        let project = mock.client().project("master");
        mock.respond(500, "<html>").respond(400, NOT_A_MEMBER);
        assert_eq!(project.remove(&id).await.unwrap(), Removal::Removed);
        mock.respond(500, "<html>").respond(200, "\"success\"");
        assert_eq!(project.remove(&id).await.unwrap(), Removal::Removed);
        mock.respond(400, NOT_A_MEMBER);
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
    async fn removal_after_500_is_checked_with_member_token() {
        let mock = MockTransport::new();
        let member = mock.client().member("t");
        mock.respond(500, "<html>")
            .respond(401, r#"{"detail":"Invalid token."}"#);
        assert_eq!(member.remove().await.unwrap(), Removal::Removed);
        mock.respond(500, "<html>")
            .respond(200, r#"{"project_member_id":"01026778"}"#);
        assert!(matches!(member.remove().await, Err(Error::Server { .. })));
        // An invalid token does not prove that this call removed the member.
        mock.respond(401, r#"{"detail":"Invalid token."}"#);
        assert!(matches!(
            member.remove().await,
            Err(Error::Unauthorized { .. })
        ));
    }
}
