//! What Open Humans shows to everyone.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::members::file_filter::{FileFilter, number_at_end};
use crate::members::project::Project;
use crate::rest::call::Call;
use crate::rest::client::{Auth, Client};
use crate::rest::list::{self, List};
use crate::types::data_file::{DataFile, DataFileId};
use crate::types::record::{Raw, at_most, deserialize_with_raw, lenient};

/// Public data, without a token.
///
/// ```no_run
/// use oh_api::Client;
///
/// # async fn example() -> Result<(), oh_api::Error> {
/// let public = Client::new("https://www.openhumans.org")?.public();
/// let mut projects = public.projects();
/// while let Some(project) = projects.try_next().await? {
///     println!("{}", project.name.unwrap_or_default());
/// }
/// # Ok(())
/// # }
/// ```
///
/// Lists by project, member and data type have addresses of their own. Beyond that there are filters,
/// such as [`FileFilter`]. Open Humans documents them; its newest server ignores all of them but
/// `include_children`. So each filter is sent, for the servers that honour it, and what comes is
/// filtered here once more: the items are right at every server, and a server that ignores a filter
/// sends the whole list for them.
///
/// Source: "Public API" (`/api/public/`).
#[derive(Clone)]
pub struct PublicClient {
    server: Client,
}

/// A member's public profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct PublicMember {
    /// The username.
    #[serde(default)]
    pub username: Option<String>,
    /// The public name.
    #[serde(default)]
    pub name: Option<String>,
    /// The profile's address.
    #[serde(default)]
    pub profile_url: Option<String>,
    #[serde(skip)]
    raw: Raw,
}

/// The longest record of one file that is read: its metadata can have 2.6 MB.
const MAX_FILE_RECORD: usize = 8 << 20;

/// So many sources or projects of one record are read.
const MAX_LIST: usize = 10_000;

/// A data type that files can be registered with.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct DataType {
    /// Its number.
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<u64>,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// The number of the wider type it belongs to.
    #[serde(default, deserialize_with = "lenient")]
    pub parent: Option<u64>,
    /// The numbers of the narrower types below it.
    #[serde(default, deserialize_with = "lenient")]
    pub children: Option<Vec<u64>>,
    /// What it is, in short.
    #[serde(default)]
    pub description: Option<String>,
    /// What it is, at length.
    #[serde(default)]
    pub details: Option<String>,
    /// Whether files can be registered with it, rather than with one below.
    #[serde(default)]
    pub uploadable: Option<bool>,
    /// The projects that upload it, as paths relative to the server.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_LIST>")]
    pub source_projects: Vec<String>,
    #[serde(skip)]
    raw: Raw,
}

/// A member's username and the sources the member has made public.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct SourcesOfMember {
    /// The username.
    pub username: String,
    /// The sources, such as `direct-sharing-2`.
    #[serde(default, deserialize_with = "at_most::<_, _, MAX_LIST>")]
    pub sources: Vec<String>,
    #[serde(skip)]
    raw: Raw,
}

/// A source and the members who have made it public.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct MembersOfSource {
    /// The source, such as `direct-sharing-2`.
    pub source: String,
    /// The project's name.
    #[serde(default)]
    pub name: Option<String>,
    /// The members' usernames.
    #[serde(default, deserialize_with = "at_most::<_, _, 100_000>")]
    pub usernames: Vec<String>,
    #[serde(skip)]
    raw: Raw,
}

deserialize_with_raw!(PublicMember, DataType, SourcesOfMember, MembersOfSource);

impl Client {
    /// What is public.
    pub fn public(&self) -> PublicClient {
        PublicClient::new(self.clone())
    }
}

impl PublicClient {
    fn new(server: Client) -> Self {
        Self { server }
    }

    /// All projects.
    pub fn projects(&self) -> List<Project> {
        self.list("public projects", "/api/public/projects/".into())
    }

    /// One project.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none with this number.
    pub async fn project(&self, id: u64) -> Result<Project, Error> {
        self.one("public project", format!("/api/public/project/{id}/"))
            .await
    }

    /// The public files of a project.
    pub fn project_files(&self, id: u64) -> List<DataFile> {
        let path = format!("/api/public/project/{id}/datafiles/");
        self.list("public project's files", path)
    }

    /// The public members of a project.
    pub fn project_members(&self, id: u64) -> List<PublicMember> {
        let path = format!("/api/public/project/{id}/members/");
        self.list("public project's members", path)
    }

    /// All public members.
    pub fn members(&self) -> List<PublicMember> {
        self.list("public members", "/api/public/members/".into())
    }

    /// One member.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none of this name.
    pub async fn member(&self, username: &str) -> Result<PublicMember, Error> {
        let path = format!("/api/public/member/{}/", segment(username)?);
        self.one("public member", path).await
    }

    /// The projects a member is publicly in.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] where the username cannot be one.
    pub fn member_projects(&self, username: &str) -> Result<List<Project>, Error> {
        let path = format!("/api/public/member/{}/projects/", segment(username)?);
        Ok(self.list("public member's projects", path))
    }

    /// A member's public files. For a name nobody has, the server fails ([`Error::Server`]) where
    /// one expects it to say so; [`member`](Self::member) tells the two apart.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] where the username cannot be one.
    pub fn member_files(&self, username: &str) -> Result<List<DataFile>, Error> {
        let path = format!("/api/public/member/{}/datafiles/", segment(username)?);
        Ok(self.list("public member's files", path))
    }

    /// All data types.
    pub fn data_types(&self) -> List<DataType> {
        self.list("public data types", "/api/public/datatypes/".into())
    }

    /// One data type.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none with this number.
    pub async fn data_type(&self, id: u64) -> Result<DataType, Error> {
        self.one("public data type", format!("/api/public/datatype/{id}/"))
            .await
    }

    /// The data types that a project uploads, of all there are.
    pub fn data_types_of(&self, project: u64) -> List<DataType> {
        let call = Call::page("public data types", "/api/public/datatypes/");
        let call = call.query("source_project_id", project.to_string());
        self.listed(call).only(move |data_type: &DataType| {
            let mut projects = data_type.source_projects.iter();
            projects.any(|path| number_at_end(path) == Some(project))
        })
    }

    /// The public files of a data type. Those of the types below it are left out; see
    /// [`FileFilter::include_children`].
    pub fn data_type_files(&self, id: u64) -> List<DataFile> {
        let path = format!("/api/public/datatype/{id}/datafiles/");
        self.list("public data type's files", path)
    }

    /// All public files.
    pub fn files(&self) -> List<DataFile> {
        self.list("public files", "/api/public/datafiles/".into())
    }

    /// The public files that a filter wants.
    ///
    /// ```no_run
    /// use oh_api::{Client, FileFilter};
    ///
    /// # async fn example() -> Result<(), oh_api::Error> {
    /// let public = Client::new("https://www.openhumans.org")?.public();
    /// let wanted = FileFilter::new().data_type(2).include_children().username("alice");
    /// let mut files = public.files_matching(&wanted);
    /// while let Some(file) = files.try_next().await? {
    ///     println!("{}", file.basename);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn files_matching(&self, filter: &FileFilter) -> List<DataFile> {
        let wanted = filter.clone();
        self.listed(filter.call())
            .only(move |file| wanted.wants(file))
    }

    /// The projects whose names hold `name`, in whatever case.
    pub fn projects_named(&self, name: &str) -> List<Project> {
        let call = Call::page("public projects", "/api/public/projects/").query("name", name);
        let name = name.to_lowercase();
        self.listed(call)
            .only(move |project: &Project| holds(project.name.as_deref(), &name))
    }

    /// The public members whose usernames hold `part`, in whatever case.
    pub fn members_named(&self, part: &str) -> List<PublicMember> {
        let call = Call::page("public members", "/api/public/members/").query("username", part);
        let part = part.to_lowercase();
        self.listed(call)
            .only(move |member: &PublicMember| holds(member.username.as_deref(), &part))
    }

    /// One public file.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where there is none with this id, or it is not public.
    pub async fn file(&self, id: DataFileId) -> Result<DataFile, Error> {
        let mut call = Call::get("public file", format!("/api/public/datafile/{id}/"));
        call.max_response = MAX_FILE_RECORD;
        self.server.ask(&Auth::Anonymous, &call).await?.json()
    }

    /// All public files, in the older form, which names each file's source.
    pub fn public_data(&self) -> List<DataFile> {
        self.list("public data", "/api/public-data/".into())
    }

    /// The public sources of each member, in the older form.
    pub fn sources_by_member(&self) -> List<SourcesOfMember> {
        let path = "/api/public-data/sources-by-member/";
        self.list("sources by member", path.into())
    }

    /// The public members of one source, such as `direct-sharing-2`, in the older form: nothing
    /// for a source nobody has made public. The list is filtered here, because the newest server
    /// responds with an error to an unknown source.
    ///
    /// # Errors
    ///
    /// When the list cannot be read up to the source.
    pub async fn members_of_source(&self, source: &str) -> Result<Option<MembersOfSource>, Error> {
        // Without the filter `source`: the newest server responds 500 for an unknown source.
        let call = Call::page("members by source", "/api/public-data/members-by-source/");
        let mut list: List<MembersOfSource> = self.listed(call);
        while let Some(found) = list.try_next().await? {
            if found.source == source {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The public members of each source, in the older form.
    pub fn members_by_source(&self) -> List<MembersOfSource> {
        let path = "/api/public-data/members-by-source/";
        self.list("members by source", path.into())
    }

    pub(crate) fn server(&self) -> &Client {
        &self.server
    }

    fn list<T>(&self, name: &'static str, path: String) -> List<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        self.listed(Call::page(name, path))
    }

    fn listed<T>(&self, call: Call) -> List<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        list::results(&self.server, &Auth::Anonymous, call)
    }

    async fn one<T: DeserializeOwned>(&self, name: &'static str, path: String) -> Result<T, Error> {
        let call = Call::get(name, path);
        self.server.ask(&Auth::Anonymous, &call).await?.json()
    }
}

fn holds(text: Option<&str>, part: &str) -> bool {
    text.is_some_and(|text| text.to_lowercase().contains(part))
}

/// What a path segment may hold as it is (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn segment(username: &str) -> Result<String, Error> {
    if matches!(username, "" | "." | "..") {
        return Err(Error::InvalidInput {
            argument: "username",
            reason: "nobody can have it".into(),
        });
    }
    Ok(utf8_percent_encode(username, SEGMENT).to_string())
}

impl fmt::Debug for PublicClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicClient")
            .field("server", &self.server)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;
    use http::header;

    #[tokio::test]
    async fn sends_no_token_and_stays_in_its_path() {
        let mock = MockTransport::new();
        mock.respond(200, r#"{"username":"a/../b?c","name":"A"}"#);
        let public = mock.client().public();
        public.member("a/../b?c").await.unwrap();
        let requests = mock.requests().remove(0);
        assert_eq!(requests.uri().path(), "/api/public/member/a%2F..%2Fb%3Fc/");
        assert!(!requests.headers().contains_key(header::AUTHORIZATION));
        let error = public.member("..").await.unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }));
    }

    #[tokio::test]
    async fn filters_are_sent_and_hold_where_the_server_ignores_them() {
        let mock = MockTransport::new();
        let public = mock.client().public();
        let answer = |items: &str| format!(r#"{{"count":3,"next":null,"results":[{items}]}}"#);
        mock.respond(
            200,
            answer(r#"{"name":"Loopback Test App"},{"name":"Other"},{}"#),
        );
        let mut projects = public.projects_named("test");
        let found = projects.try_next().await.unwrap().unwrap();
        assert_eq!(found.name.as_deref(), Some("Loopback Test App"));
        assert!(projects.try_next().await.unwrap().is_none());

        mock.respond(200, answer(r#"{"username":"bob"},{"username":"Alice"}"#));
        let mut members = public.members_named("ali");
        let found = members.try_next().await.unwrap().unwrap();
        assert_eq!(found.username.as_deref(), Some("Alice"));
        assert!(members.try_next().await.unwrap().is_none());

        mock.respond(
            200,
            answer(
                r#"{"id":1,"source_projects":[]},
                   {"id":2,"source_projects":["/api/public/project/4/","/api/public/project/2/"]}"#,
            ),
        );
        let mut types = public.data_types_of(2);
        assert_eq!(types.try_next().await.unwrap().unwrap().id, Some(2));
        assert!(types.try_next().await.unwrap().is_none());

        let requests: Vec<_> = mock
            .requests()
            .iter()
            .map(|r| r.uri().to_string())
            .collect();
        assert_eq!(
            requests,
            [
                "https://oh.example/api/public/projects/?name=test",
                "https://oh.example/api/public/members/?username=ali",
                "https://oh.example/api/public/datatypes/?source_project_id=2"
            ]
        );
    }
}
