//! Filters for public files.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::Error;
use crate::rest::call::Call;
use crate::types::data_file::DataFile;

/// A filter for public files. The default matches all files.
///
/// | filter | applied by |
/// |---|---|
/// | [`username`](Self::username) | the server, through the member's own list; with a data type by this library |
/// | [`data_type`](Self::data_type), [`include_children`](Self::include_children) | the server |
/// | [`source_project`](Self::source_project) | older servers, and this library |
///
/// A file whose record does not name its project, as on older servers, matches every project. A file
/// whose record does not name its owner matches no username: the owner may hide it.
///
/// Source: "Public API" (`/api/public/`) for the filters; responses of the newest server for those
/// that it ignores.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct FileFilter {
    data_type: Option<u64>,
    include_children: bool,
    source_project: Option<u64>,
    username: Option<String>,
}

impl FileFilter {
    /// Creates a filter that matches all files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only matches files of the data type with this number.
    pub fn data_type(mut self, id: u64) -> Self {
        self.data_type = Some(id);
        self
    }

    /// Also matches files of the data types below [`data_type`](Self::data_type).
    pub fn include_children(mut self) -> Self {
        self.include_children = true;
        self
    }

    /// Only matches files that the project with this number uploaded.
    pub fn source_project(mut self, id: u64) -> Self {
        self.source_project = Some(id);
        self
    }

    /// Only matches files of the member with this username.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Returns the call for the list, or `None` if nobody can have the username.
    pub(crate) fn call(&self) -> Option<Call> {
        // The server's own filter for usernames finds parts of names and other members' files.
        let mut call = match (self.data_type, &self.username) {
            (Some(id), _) => list_of("data type's files", format!("datatype/{id}/"), "datafiles/"),
            (None, Some(username)) => {
                let member = format!("member/{}/", segment(username).ok()?);
                list_of("member's files", member, "datafiles/")
            }
            (None, None) => Call::page("public files", "/api/public/datafiles/"),
        };
        if self.data_type.is_some() && self.include_children {
            call = call.query("include_children", "true");
        }
        if let Some(id) = self.source_project {
            call = call.query("source_project_id", id.to_string());
        }
        Some(call)
    }

    pub(crate) fn matches(&self, file: &DataFile) -> bool {
        let project = file.source_project.as_deref().and_then(number_at_end);
        let user = file.user.as_ref().and_then(|user| user.username.as_ref());
        let is_project = self
            .source_project
            .is_none_or(|id| project.is_none_or(|project| project == id));
        // The member's own list does not repeat whose files they are.
        let is_own_list = self.data_type.is_none() && file.user.is_none();
        is_project && (self.username.is_none() || self.username.as_ref() == user || is_own_list)
    }
}

/// A list below a public resource, such as a member's files.
pub(crate) fn list_of(name: &'static str, resource: String, list: &str) -> Call {
    let parent = format!("/api/public/{resource}");
    let mut call = Call::page(name, format!("{parent}{list}"));
    call.parent = Some(parent);
    call
}

/// Returns the number at the end of a URL or path, as in `/api/public/project/2/`.
pub(crate) fn number_at_end(address: &str) -> Option<u64> {
    let url = Url::parse(address).ok();
    let path = url.as_ref().map_or(address, Url::path);
    path.trim_end_matches('/').rsplit('/').next()?.parse().ok()
}

/// The characters that are not escaped in a path segment (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Escapes a username for a path.
pub(crate) fn segment(username: &str) -> Result<String, Error> {
    if matches!(username, "" | "." | "..") {
        return Err(Error::invalid_input("username", "it is not a username"));
    }
    Ok(utf8_percent_encode(username, SEGMENT).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;

    #[test]
    fn number_at_end_parses_paths_and_urls() {
        for (address, number) in [
            ("/api/public/project/2/", Some(2)),
            ("http://oh.test/api/public/project/12/?x=3", Some(12)),
            ("/api/public/project/2.json", None),
            ("", None),
        ] {
            assert_eq!(number_at_end(address), number, "{address}");
        }
    }

    fn file(id: u32, project: u32, user: &str) -> String {
        format!(
            r#"{{"id":{id},"download_url":"","user":{{"username":{user}}},
                "source_project":"http://oh.test/api/public/project/{project}/"}}"#
        )
    }

    async fn listed(filter: FileFilter, files: &[String]) -> (Vec<u64>, String) {
        let mock = MockTransport::new();
        mock.respond(200, format!(r#"{{"results":[{}]}}"#, files.join(",")));
        let mut list = mock.client().public().files_matching(&filter);
        let mut ids = Vec::new();
        while let Some(file) = list.try_next().await.unwrap() {
            ids.push(file.id.get());
        }
        let uri = mock.requests()[0].uri().clone();
        (ids, uri.path_and_query().unwrap().to_string())
    }

    #[tokio::test]
    async fn file_filter_excludes_other_and_hidden_owners() {
        let files = [
            file(1, 2, "\"alice\""),
            file(2, 1, "\"alice\""),
            file(3, 2, "\"bob\""),
            file(4, 2, "null"),
            r#"{"id":5,"download_url":""}"#.to_owned(),
        ];
        let alice = FileFilter::new().username("alice").source_project(2);
        let (ids, path) = listed(alice.clone(), &files).await;
        assert_eq!(
            ids,
            [1, 5],
            "a record without owner is from the member's own list"
        );
        assert_eq!(
            path,
            "/api/public/member/alice/datafiles/?source_project_id=2"
        );

        let (ids, path) = listed(alice.data_type(1).include_children(), &files).await;
        assert_eq!(ids, [1]);
        assert_eq!(
            path,
            "/api/public/datatype/1/datafiles/?include_children=true&source_project_id=2"
        );
        let (_, path) = listed(FileFilter::new().include_children(), &files).await;
        assert_eq!(path, "/api/public/datafiles/", "children need a data type");
    }
}
