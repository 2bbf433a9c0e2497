//! The project itself, with its master token.

use std::fmt;

use serde::Deserialize;

use crate::members::member::MemberClient;
use crate::rest::call::Call;
use crate::rest::client::{Auth, Client};
use crate::rest::list::{self, List};
use crate::rest::response::ApiResponse;
use crate::types::data_file::DataFile;
use crate::types::member_id::OnlyId;
use crate::types::record::{Raw, at_most, deserialize_with_raw, lenient};
use crate::{Error, MasterToken, ProjectMemberId, SecretUrl, Timestamp};

/// The project and all its members, with the project's master token.
///
/// Master tokens expire 24 hours after they are made unless an administrator of Open Humans has
/// switched that off: [`Error::Expired`] then asks for a new one from the project's page.
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

/// A project, its own record or a public one.
///
/// Source: "Public API" and the answers of `project/` and `public/project/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Project {
    /// Its number.
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<u64>,
    /// The name its files have as a source, such as `direct-sharing-2`.
    #[serde(default)]
    pub id_label: Option<String>,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its name in addresses.
    #[serde(default)]
    pub slug: Option<String>,
    /// `oauth2` or `on-site`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Whether it takes members.
    #[serde(default)]
    pub active: Option<bool>,
    /// Whether Open Humans' community has approved it.
    #[serde(default)]
    pub approved: Option<bool>,
    /// How many members it has.
    #[serde(default, deserialize_with = "lenient")]
    pub authorized_members: Option<u64>,
    /// Who leads it.
    #[serde(default)]
    pub leader: Option<String>,
    /// The organization behind it.
    #[serde(default)]
    pub organization: Option<String>,
    /// Where to read more.
    #[serde(default)]
    pub info_url: Option<String>,
    /// What it says of itself, in short.
    #[serde(default)]
    pub short_description: Option<String>,
    /// The data types it may upload, as paths relative to the server.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_LIST>")]
    pub registered_datatypes: Vec<String>,
    /// The projects whose data it asks for, as paths relative to the server.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_LIST>")]
    pub requested_sources: Vec<String>,
    /// The sources it asks for, such as `direct-sharing-1`.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_LIST>")]
    pub request_sources_access: Vec<String>,
    /// Whether it asks for usernames.
    #[serde(default)]
    pub request_username_access: Option<bool>,
    /// Its picture's address.
    #[serde(default)]
    pub badge_image: Option<String>,
    /// Where to write to.
    #[serde(default)]
    pub contact_email: Option<String>,
    /// Whether it is run by an academic or nonprofit organization.
    #[serde(default)]
    pub is_academic_or_nonprofit: Option<bool>,
    /// Whether it is a study with an institutional review board.
    #[serde(default)]
    pub is_study: Option<bool>,
    /// What it says of itself.
    #[serde(default)]
    pub long_description: Option<String>,
    /// What it says of the data it returns to its members.
    #[serde(default)]
    pub returned_data_description: Option<String>,
    #[serde(skip)]
    raw: Raw,
}

/// So many entries of one list in a record are read.
const MAX_LIST: usize = 1_000;

/// So many files of a member in a list of members are read. Open Humans sends ten.
const MAX_FILES: usize = 1_000;

/// An active member, from the project's list.
///
/// Source: "On-site Project API" and "OAuth2 Project API", sections on the members list.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct ProjectMember {
    /// The member's id in this project.
    pub project_member_id: ProjectMemberId,
    /// The username, if the member shares it.
    #[serde(default)]
    pub username: Option<String>,
    /// When the member joined.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// How many files of the member's the project can see.
    #[serde(default, deserialize_with = "lenient")]
    pub file_count: Option<u64>,
    /// The sources the member shares.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_LIST>")]
    pub sources_shared: Vec<String>,
    /// The first ten of the files.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_FILES>")]
    pub data: Vec<DataFile>,
    /// Where `exchange-member` answers for this member. Holds the master token.
    #[serde(default)]
    pub exchange_member: Option<SecretUrl>,
    #[serde(skip)]
    raw: Raw,
}

deserialize_with_raw!(Project, ProjectMember);

impl Client {
    /// The project this master token belongs to.
    pub fn project(&self, token: impl Into<MasterToken>) -> ProjectClient {
        ProjectClient::new(self.clone(), token.into())
    }
}

impl ProjectClient {
    fn new(server: Client, token: MasterToken) -> Self {
        Self {
            server,
            auth: Auth::Master(token),
        }
    }

    /// The project's own record.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] or [`Error::Expired`] when the master token does not work.
    pub async fn project(&self) -> Result<Project, Error> {
        project(&self.server, &self.auth).await
    }

    /// All active members. The order is not fixed; see [`List`] for what that means.
    pub fn members(&self) -> List<ProjectMember> {
        list::results(&self.server, &self.auth, members_call())
    }

    /// The ids of all active members, and nothing else of the answers.
    pub fn member_ids(&self) -> List<ProjectMemberId> {
        list::pages(
            &self.server,
            &self.auth,
            members_call(),
            |error| error,
            list::results_page,
            |item| Ok(serde_json::from_slice::<OnlyId>(item)?.project_member_id),
        )
    }

    /// All files of a member from the [list of members](Self::members). Those the list brought
    /// along are taken as they are where they are all; only a member with more than Open Humans
    /// puts there, ten, costs requests.
    pub fn files_of(&self, member: &ProjectMember) -> List<DataFile> {
        if member.file_count == u64::try_from(member.data.len()).ok() {
            return List::of(member.data.clone());
        }
        self.member(&member.project_member_id).files()
    }

    /// One member, with the master token acting for the member.
    pub fn member(&self, member: &ProjectMemberId) -> MemberClient {
        MemberClient::new(self.server.clone(), self.auth.clone(), Some(member.clone()))
    }

    pub(crate) async fn ask(&self, call: &Call) -> Result<ApiResponse, Error> {
        self.server.ask(&self.auth, call).await
    }
}

impl MemberClient {
    /// The record of the project the member's token belongs to.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`] or [`Error::Expired`] when the token does not work.
    pub async fn project(&self) -> Result<Project, Error> {
        project(&self.server, &self.auth).await
    }
}

fn members_call() -> Call {
    let mut call = Call::page("members", "/api/direct-sharing/project/members/");
    // With the token in the header Open Humans answers this one call with a 500.
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
    async fn the_members_list_wants_its_token_in_the_query() {
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
        let requests = mock.requests().remove(0);
        assert_eq!(requests.uri().query(), Some("access_token=master"));
        assert!(!requests.headers().contains_key(header::AUTHORIZATION));
    }

    #[tokio::test]
    async fn a_master_token_asks_for_one_member() {
        let mock = MockTransport::new();
        let id = "00000001".parse().unwrap();
        mock.respond(
            400,
            r#"{"project_member_id":"project_member_id is invalid"}"#,
        );
        let member = mock.client().project("master").member(&id);
        let error = member.exchange_member().await.unwrap_err();
        assert!(matches!(error, Error::Deauthorized));
        let requests = mock.requests().remove(0);
        assert_eq!(requests.uri().query(), Some("project_member_id=00000001"));
    }
}
