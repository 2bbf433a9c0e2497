//! The client for a project with its master token.

use std::fmt;

use serde::Deserialize;

use crate::members::member::MemberClient;
use crate::rest::call::Call;
use crate::rest::client::{Auth, Client};
use crate::rest::list::List;
use crate::rest::response::ApiResponse;
use crate::types::data_file::DataFile;
use crate::types::member_id::OnlyId;
use crate::types::record::{Raw, bounded_list, deserialize_with_raw, lenient};
use crate::{Error, MasterToken, ProjectMemberId, SecretUrl, Timestamp};

/// A client for a project and all its members, with the project's master token.
///
/// A master token expires 24 hours after it was created, unless an administrator of Open Humans
/// disabled that. After [`Error::Expired`], create a new one on the project's page.
///
/// ```no_run
/// use oh_api::Client;
///
/// # async fn example() -> Result<(), oh_api::Error> {
/// let project = Client::new("https://www.openhumans.org")?.project("the master token");
/// let mut members = project.members();
/// while let Some(member) = members.try_next().await? {
///     println!("{} has {:?} files", member.project_member_id, member.file_count);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ProjectClient {
    pub(crate) server: Client,
    pub(crate) auth: Auth,
}

/// A project.
///
/// Source: "Public API" and the responses of `project/` and `public/project/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Project {
    /// The project's number.
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<u64>,
    /// The source name of its files, such as `direct-sharing-2`.
    pub id_label: Option<String>,
    /// The project's name.
    pub name: Option<String>,
    /// The project's name in URLs.
    pub slug: Option<String>,
    /// `oauth2` or `on-site`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Whether members can join.
    pub active: Option<bool>,
    /// Whether the Open Humans community approved it.
    pub approved: Option<bool>,
    /// The number of members.
    #[serde(default, deserialize_with = "lenient")]
    pub authorized_members: Option<u64>,
    /// The project leader.
    pub leader: Option<String>,
    /// The organization that runs it.
    pub organization: Option<String>,
    /// The URL of its website.
    pub info_url: Option<String>,
    /// A short description.
    pub short_description: Option<String>,
    /// The data types that it may upload, as paths relative to the server.
    #[serde(default, deserialize_with = "bounded_list::<_, _, MAX_LIST>")]
    pub registered_datatypes: Vec<String>,
    /// The projects whose data it requests, as paths relative to the server.
    #[serde(default, deserialize_with = "bounded_list::<_, _, MAX_LIST>")]
    pub requested_sources: Vec<String>,
    /// The sources that it requests, such as `direct-sharing-1`.
    #[serde(default, deserialize_with = "bounded_list::<_, _, MAX_LIST>")]
    pub request_sources_access: Vec<String>,
    /// Whether it requests usernames.
    pub request_username_access: Option<bool>,
    /// The URL of its badge image.
    pub badge_image: Option<String>,
    /// The contact e-mail address.
    pub contact_email: Option<String>,
    /// Whether it is run by an academic or nonprofit organization.
    pub is_academic_or_nonprofit: Option<bool>,
    /// Whether it is a study with an institutional review board.
    pub is_study: Option<bool>,
    /// A long description.
    pub long_description: Option<String>,
    /// A description of the data that it returns to its members.
    pub returned_data_description: Option<String>,
    #[serde(skip)]
    raw: Raw,
}

/// The largest number of entries of one list in a record.
const MAX_LIST: usize = 1_000;

/// The largest number of files of one member in the member list. Open Humans sends ten.
const MAX_FILES: usize = 1_000;

/// An active member in the member list.
///
/// Source: "On-site Project API" and "OAuth2 Project API", sections on the members list.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct ProjectMember {
    /// The member's id in this project.
    pub project_member_id: ProjectMemberId,
    /// The username, if the member shares it with the project.
    pub username: Option<String>,
    /// When the member joined the project.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// How many of the member's files the project can see.
    #[serde(default, deserialize_with = "lenient")]
    pub file_count: Option<u64>,
    /// The sources that the member shares.
    #[serde(default, deserialize_with = "bounded_list::<_, _, MAX_LIST>")]
    pub sources_shared: Vec<String>,
    /// The first ten of these files.
    #[serde(default, deserialize_with = "bounded_list::<_, _, MAX_FILES>")]
    pub data: Vec<DataFile>,
    /// The `exchange-member` URL for this member. Contains the master token.
    pub exchange_member: Option<SecretUrl>,
    #[serde(skip)]
    raw: Raw,
}

deserialize_with_raw!(Project, ProjectMember);

impl Client {
    /// Creates a client for the project that a master token belongs to.
    pub fn project(&self, token: impl Into<MasterToken>) -> ProjectClient {
        ProjectClient {
            server: self.clone(),
            auth: Auth::Master(token.into()),
        }
    }
}

impl ProjectClient {
    /// Returns the project.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] or [`Error::Expired`] if the master token does not work.
    pub async fn project(&self) -> Result<Project, Error> {
        project(&self.server, &self.auth).await
    }

    /// Lists all active members. The order is not stable, see [`List`].
    pub fn members(&self) -> List<ProjectMember> {
        List::new(&self.server, &self.auth, members_call())
    }

    /// Lists only the ids of all active members.
    pub fn member_ids(&self) -> List<ProjectMemberId> {
        List::with_parser(&self.server, &self.auth, members_call(), |item| {
            Ok(serde_json::from_slice::<OnlyId>(item)?.project_member_id)
        })
    }

    /// Lists all files of a member from the [member list](Self::members). Makes no request if the
    /// member's record contains all files, which it does for up to ten.
    pub fn files_of(&self, member: &ProjectMember) -> List<DataFile> {
        if member.file_count == u64::try_from(member.data.len()).ok() {
            return List::of(member.data.clone());
        }
        self.member(&member.project_member_id).files()
    }

    /// Creates a client for one member that uses the master token.
    pub fn member(&self, member: &ProjectMemberId) -> MemberClient {
        MemberClient::new(self.server.clone(), self.auth.clone(), Some(member.clone()))
    }

    pub(crate) async fn ask(&self, call: &Call) -> Result<ApiResponse, Error> {
        self.server.ask(&self.auth, call).await
    }
}

impl MemberClient {
    /// Returns the project that the member's token belongs to.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] or [`Error::Expired`] if the token does not work.
    pub async fn project(&self) -> Result<Project, Error> {
        project(&self.server, &self.auth).await
    }
}

fn members_call() -> Call {
    let mut call = Call::page("members", "/api/direct-sharing/project/members/");
    // Open Humans responds 500 to this call if the token is in the header.
    call.token_in_query = true;
    call
}

async fn project(server: &Client, auth: &Auth) -> Result<Project, Error> {
    let call = Call::get("project", "/api/direct-sharing/project/");
    server.ask(auth, &call).await?.json()
}

impl fmt::Debug for ProjectClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectClient")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;
    use http::header;

    #[tokio::test]
    async fn member_list_sends_token_in_query() {
        let mock = MockTransport::new();
        mock.respond(
            200,
            r#"{"count":1,"next":null,"results":[{"project_member_id":"00000001","file_count":3,
                "exchange_member":"https://oh.example/?access_token=master"}]}"#,
        );
        let mut members = mock.client().project("master").members();
        let member = members.try_next().await.unwrap().unwrap();
        assert_eq!(member.project_member_id.as_str(), "00000001");
        assert!(!format!("{member:?}").contains("master\""));
        let request = mock.requests().remove(0);
        assert_eq!(request.uri().query(), Some("access_token=master"));
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
    }

    #[tokio::test]
    async fn master_token_names_member_in_query() {
        let mock = MockTransport::new();
        let id = "00000001".parse().unwrap();
        mock.respond(
            400,
            r#"{"project_member_id":"project_member_id is invalid"}"#,
        );
        let member = mock.client().project("master").member(&id);
        let error = member.exchange_member().await.unwrap_err();
        assert!(matches!(error, Error::Deauthorized));
        let request = mock.requests().remove(0);
        assert_eq!(request.uri().query(), Some("project_member_id=00000001"));
    }
}
