//! Public data.

use std::fmt;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::members::file_filter::{FileFilter, list_of, number_at_end, segment};
use crate::members::project::Project;
use crate::rest::call::Call;
use crate::rest::client::{Auth, Client};
use crate::rest::list::List;
use crate::types::data_file::{DataFile, DataFileId};
use crate::types::record::{Raw, bounded_list, deserialize_with_raw, lenient};

/// A client for public data, which needs no token.
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
/// Open Humans documents filters for its lists, and its newest server ignores all of them except
/// `include_children`. The filters of this library therefore also apply to the items that the server
/// returns. A list that belongs to an unknown project, member or data type ends with
/// [`Error::NotFound`].
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
    pub username: Option<String>,
    /// The public name.
    pub name: Option<String>,
    /// The URL of the profile.
    pub profile_url: Option<String>,
    #[serde(skip)]
    raw: Raw,
}

/// The longest record of one file in bytes. Its metadata can have 2.6 MB.
const MAX_FILE_RECORD: usize = 8 << 20;

/// The largest number of sources or projects of one record.
const MAX_LIST: usize = 10_000;

/// A data type of files.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct DataType {
    /// The data type's number.
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<u64>,
    /// The data type's name.
    pub name: Option<String>,
    /// The number of the more general data type.
    #[serde(default, deserialize_with = "lenient")]
    pub parent: Option<u64>,
    /// The numbers of the more specific data types.
    #[serde(default, deserialize_with = "lenient")]
    pub children: Option<Vec<u64>>,
    /// A short description.
    pub description: Option<String>,
    /// A long description.
    pub details: Option<String>,
    /// Whether files can have this data type, rather than only a more specific one.
    pub uploadable: Option<bool>,
    /// The projects that upload this data type, as paths relative to the server.
    #[serde(default, deserialize_with = "bounded_list::<_, _, MAX_LIST>")]
    pub source_projects: Vec<String>,
    #[serde(skip)]
    raw: Raw,
}

/// A member's username and public sources.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct SourcesOfMember {
    /// The username.
    pub username: String,
    /// The sources, such as `direct-sharing-2`.
    #[serde(default, deserialize_with = "bounded_list::<_, _, MAX_LIST>")]
    pub sources: Vec<String>,
    #[serde(skip)]
    raw: Raw,
}

/// A source and the members who made it public.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct MembersOfSource {
    /// The source, such as `direct-sharing-2`.
    pub source: String,
    /// The project's name.
    pub name: Option<String>,
    /// The members' usernames.
    #[serde(default, deserialize_with = "bounded_list::<_, _, 100_000>")]
    pub usernames: Vec<String>,
    #[serde(skip)]
    raw: Raw,
}

deserialize_with_raw!(PublicMember, DataType, SourcesOfMember, MembersOfSource);

impl Client {
    /// Returns a client for public data.
    pub fn public(&self) -> PublicClient {
        PublicClient {
            server: self.clone(),
        }
    }
}

impl PublicClient {
    /// Lists all projects.
    pub fn projects(&self) -> List<Project> {
        self.list(Call::page("public projects", "/api/public/projects/"))
    }

    /// Returns one project.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if no project has this number.
    pub async fn project(&self, id: u64) -> Result<Project, Error> {
        let path = format!("/api/public/project/{id}/");
        self.get(Call::get("public project", path)).await
    }

    /// Lists the public files of a project.
    pub fn project_files(&self, id: u64) -> List<DataFile> {
        self.list(list_of(
            "project's files",
            format!("project/{id}/"),
            "datafiles/",
        ))
    }

    /// Lists the public members of a project.
    pub fn project_members(&self, id: u64) -> List<PublicMember> {
        self.list(list_of(
            "project's members",
            format!("project/{id}/"),
            "members/",
        ))
    }

    /// Lists all public members.
    pub fn members(&self) -> List<PublicMember> {
        self.list(Call::page("public members", "/api/public/members/"))
    }

    /// Returns one member.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if no member has this username.
    pub async fn member(&self, username: &str) -> Result<PublicMember, Error> {
        let path = format!("/api/public/member/{}/", segment(username)?);
        self.get(Call::get("public member", path)).await
    }

    /// Lists the projects that a member joined publicly.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if the username is invalid.
    pub fn member_projects(&self, username: &str) -> Result<List<Project>, Error> {
        let member = format!("member/{}/", segment(username)?);
        Ok(self.list(list_of("member's projects", member, "projects/")))
    }

    /// Lists a member's public files.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if the username is invalid.
    pub fn member_files(&self, username: &str) -> Result<List<DataFile>, Error> {
        let member = format!("member/{}/", segment(username)?);
        Ok(self.list(list_of("member's files", member, "datafiles/")))
    }

    /// Lists all data types.
    pub fn data_types(&self) -> List<DataType> {
        self.list(Call::page("data types", "/api/public/datatypes/"))
    }

    /// Returns one data type.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if no data type has this number.
    pub async fn data_type(&self, id: u64) -> Result<DataType, Error> {
        let path = format!("/api/public/datatype/{id}/");
        self.get(Call::get("data type", path)).await
    }

    /// Lists the data types that a project uploads.
    pub fn data_types_of(&self, project: u64) -> List<DataType> {
        let call = Call::page("data types", "/api/public/datatypes/");
        let call = call.query("source_project_id", project.to_string());
        self.list(call).only(move |data_type: &DataType| {
            let mut projects = data_type.source_projects.iter();
            projects.any(|path| number_at_end(path) == Some(project))
        })
    }

    /// Lists the public files of a data type, without more specific types; see
    /// [`FileFilter::include_children`].
    pub fn data_type_files(&self, id: u64) -> List<DataFile> {
        self.list(list_of(
            "data type's files",
            format!("datatype/{id}/"),
            "datafiles/",
        ))
    }

    /// Lists all public files.
    pub fn files(&self) -> List<DataFile> {
        self.list(Call::page("public files", "/api/public/datafiles/"))
    }

    /// Lists the public files that match a filter.
    ///
    /// ```no_run
    /// use oh_api::{Client, FileFilter};
    ///
    /// # async fn example() -> Result<(), oh_api::Error> {
    /// let public = Client::new("https://www.openhumans.org")?.public();
    /// let filter = FileFilter::new().data_type(2).include_children().username("alice");
    /// let mut files = public.files_matching(&filter);
    /// while let Some(file) = files.try_next().await? {
    ///     println!("{}", file.basename);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn files_matching(&self, filter: &FileFilter) -> List<DataFile> {
        let Some(call) = filter.call() else {
            return List::of(Vec::new());
        };
        let filter = filter.clone();
        self.list(call).only(move |file| filter.matches(file))
    }

    /// Lists the projects whose names contain `name`, ignoring case.
    pub fn projects_named(&self, name: &str) -> List<Project> {
        let call = Call::page("public projects", "/api/public/projects/").query("name", name);
        let name = name.to_lowercase();
        let matches = move |project: &Project| contains(project.name.as_deref(), &name);
        self.list(call).only(matches)
    }

    /// Lists the public members whose usernames contain `part`, ignoring case.
    pub fn members_named(&self, part: &str) -> List<PublicMember> {
        let call = Call::page("public members", "/api/public/members/").query("username", part);
        let part = part.to_lowercase();
        let matches = move |member: &PublicMember| contains(member.username.as_deref(), &part);
        self.list(call).only(matches)
    }

    /// Returns one public file.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if no public file has this id.
    pub async fn file(&self, id: DataFileId) -> Result<DataFile, Error> {
        let mut call = Call::get("public file", format!("/api/public/datafile/{id}/"));
        call.max_response = MAX_FILE_RECORD;
        self.get(call).await
    }

    /// Lists all public files in an older form that contains each file's source.
    pub fn public_data(&self) -> List<DataFile> {
        self.list(Call::page("public data", "/api/public-data/"))
    }

    /// Lists the public sources of each member, in the older form.
    pub fn sources_by_member(&self) -> List<SourcesOfMember> {
        let path = "/api/public-data/sources-by-member/";
        self.list(Call::page("sources by member", path))
    }

    /// Returns the public members of one source, such as `direct-sharing-2`, in the older form;
    /// `None` if no member made the source public.
    ///
    /// Reads the list of all sources: the newest server ignores its documented filter `source`, and
    /// fails if the value is unknown.
    ///
    /// # Errors
    ///
    /// If the list cannot be read up to the source.
    pub async fn members_of_source(&self, source: &str) -> Result<Option<MembersOfSource>, Error> {
        let source = source.to_owned();
        let list = self.members_by_source();
        list.only(move |item| item.source == source)
            .try_next()
            .await
    }

    /// Lists the public members of each source, in the older form.
    pub fn members_by_source(&self) -> List<MembersOfSource> {
        let path = "/api/public-data/members-by-source/";
        self.list(Call::page("members by source", path))
    }

    pub(crate) fn server(&self) -> &Client {
        &self.server
    }

    fn list<T: DeserializeOwned>(&self, call: Call) -> List<T> {
        List::new(&self.server, &Auth::Anonymous, call)
    }

    async fn get<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        self.server.ask(&Auth::Anonymous, &call).await?.json()
    }
}

fn contains(text: Option<&str>, part: &str) -> bool {
    text.is_some_and(|text| text.to_lowercase().contains(part))
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
    async fn public_client_escapes_username_and_sends_no_token() {
        let mock = MockTransport::new();
        mock.respond(200, r#"{"username":"a/../b?c","name":"A"}"#);
        let public = mock.client().public();
        public.member("a/../b?c").await.unwrap();
        let request = mock.requests().remove(0);
        assert_eq!(request.uri().path(), "/api/public/member/a%2F..%2Fb%3Fc/");
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
        let error = public.member("..").await.unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }));
    }

    #[tokio::test]
    async fn public_list_filters_items_if_server_ignores_filter() {
        let mock = MockTransport::new();
        let public = mock.client().public();
        let answer = |items: &str| format!(r#"{{"count":3,"next":null,"results":[{items}]}}"#);
        mock.respond(
            200,
            answer(r#"{"name":"Loopback Test App"},{"name":"Other"},{}"#),
        );
        let mut projects = public.projects_named("test");
        let item = projects.try_next().await.unwrap().unwrap();
        assert_eq!(item.name.as_deref(), Some("Loopback Test App"));
        assert!(projects.try_next().await.unwrap().is_none());

        mock.respond(200, answer(r#"{"username":"bob"},{"username":"Alice"}"#));
        let mut members = public.members_named("ali");
        let item = members.try_next().await.unwrap().unwrap();
        assert_eq!(item.username.as_deref(), Some("Alice"));
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

    #[tokio::test]
    async fn list_of_unknown_resource_is_not_found() {
        let mock = MockTransport::new();
        let public = mock.client().public();
        let lists = [
            public.member_files("nobody").unwrap(),
            public.files_matching(&FileFilter::new().username("nobody")),
            public.project_files(999),
            public.data_type_files(999),
        ];
        for mut list in lists {
            mock.respond(500, "<html>").respond(404, "{}");
            let error = list.try_next().await.unwrap_err();
            assert!(matches!(error, Error::NotFound), "{error}");
            assert_eq!(mock.requests().len(), 2);
        }
        mock.respond(500, "<html>").respond(404, "{}");
        let error = public.project_members(999).try_next().await.unwrap_err();
        assert!(matches!(error, Error::NotFound), "{error}");
        mock.respond(500, "<html>").respond(404, "{}");
        let mut projects = public.member_projects("nobody").unwrap();
        let error = projects.try_next().await.unwrap_err();
        assert!(matches!(error, Error::NotFound), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn list_of_known_resource_is_retried_after_500() {
        let mock = MockTransport::new();
        mock.respond(500, "<html>")
            .respond(200, r#"{"id":2}"#)
            .respond(502, "")
            .respond(200, r#"{"results":[]}"#);
        let files = mock.client().public().project_files(2);
        let mut files = files;
        assert!(files.try_next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn members_of_source_returns_none_for_unknown_source() {
        let mock = MockTransport::new();
        mock.respond(
            200,
            r#"{"results":[{"source":"direct-sharing-2","usernames":["a"]}]}"#,
        );
        let public = mock.client().public();
        assert!(
            public
                .members_of_source("nonsense")
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(
            mock.requests()[0].uri().query(),
            None,
            "an unknown filter makes it fail"
        );
    }
}
