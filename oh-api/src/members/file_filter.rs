//! Which public files to list.

use url::Url;

use crate::rest::call::Call;
use crate::types::data_file::DataFile;

/// Which public files are wanted; all, unless something is set.
///
/// | | at the newest server | elsewhere |
/// |---|---|---|
/// | [`data_type`](Self::data_type) alone | by the address | by the address |
/// | [`include_children`](Self::include_children) | honoured | honoured |
/// | [`source_project`](Self::source_project), [`username`](Self::username) | ignored | honoured |
///
/// What a server ignores is left out here. A file whose record does not say what is asked for, as
/// older servers' do not, is taken to be one the server has chosen.
///
/// Source: "Public API" (`/api/public/`) for the filters; answers of the newest server for what it
/// ignores.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct FileFilter {
    data_type: Option<u64>,
    include_children: bool,
    source_project: Option<u64>,
    username: Option<String>,
}

impl FileFilter {
    /// All files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only files of this data type, by its number.
    pub fn data_type(mut self, id: u64) -> Self {
        self.data_type = Some(id);
        self
    }

    /// With a data type, also files of all the types below it.
    pub fn include_children(mut self) -> Self {
        self.include_children = true;
        self
    }

    /// Only files that this project has uploaded, by its number.
    pub fn source_project(mut self, id: u64) -> Self {
        self.source_project = Some(id);
        self
    }

    /// Only files of the member with this username.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    pub(crate) fn call(&self) -> Call {
        let mut call = match self.data_type {
            Some(id) => Call::page(
                "public data type's files",
                format!("/api/public/datatype/{id}/datafiles/"),
            ),
            None => Call::page("public files", "/api/public/datafiles/"),
        };
        if self.data_type.is_some() && self.include_children {
            call = call.query("include_children", "true");
        }
        if let Some(id) = self.source_project {
            call = call.query("source_project_id", id.to_string());
        }
        if let Some(username) = &self.username {
            call = call.query("username", username);
        }
        call
    }

    pub(crate) fn wants(&self, file: &DataFile) -> bool {
        let project = file.source_project.as_deref().and_then(number_at_end);
        let user = file.user.as_ref().and_then(|user| user.username.as_ref());
        let fits = |wanted: Option<u64>, found: Option<u64>| {
            wanted.is_none_or(|wanted| found.is_none_or(|found| found == wanted))
        };
        fits(self.source_project, project)
            && self
                .username
                .as_ref()
                .is_none_or(|wanted| user.is_none_or(|user| user == wanted))
    }
}

/// The number that an address or a path of the API ends with, as in `/api/public/project/2/`.
pub(crate) fn number_at_end(address: &str) -> Option<u64> {
    let url = Url::parse(address).ok();
    let path = url.as_ref().map_or(address, Url::path);
    path.trim_end_matches('/').rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;

    #[test]
    fn a_number_is_read_from_paths_and_addresses() {
        for (address, number) in [
            ("/api/public/project/2/", Some(2)),
            ("http://oh.test/api/public/project/12/?x=3", Some(12)),
            ("/api/public/project/2.json", None),
            ("", None),
        ] {
            assert_eq!(number_at_end(address), number, "{address}");
        }
    }

    #[tokio::test]
    async fn a_filter_that_is_ignored_holds_all_the_same() {
        let mock = MockTransport::new();
        let file = |id: u32, project: u32, user: &str| {
            format!(
                r#"{{"id":{id},"download_url":"","user":{{"username":"{user}"}},
                    "source_project":"http://oh.test/api/public/project/{project}/"}}"#
            )
        };
        let files = [
            file(1, 2, "alice"),
            file(2, 1, "alice"),
            file(3, 2, "bob"),
            // An older server says less.
            r#"{"id":4,"download_url":""}"#.to_owned(),
        ];
        let page = format!(r#"{{"count":4,"results":[{}]}}"#, files.join(","));
        mock.respond(200, page);
        let wanted = FileFilter::new()
            .data_type(1)
            .include_children()
            .source_project(2)
            .username("alice");
        let mut list = mock.client().public().files_matching(&wanted);
        let mut found = Vec::new();
        while let Some(file) = list.try_next().await.unwrap() {
            found.push(file.id.get());
        }
        assert_eq!(found, [1, 4]);
        assert_eq!(
            mock.requests()[0].uri().path_and_query().unwrap().as_str(),
            "/api/public/datatype/1/datafiles/?include_children=true&source_project_id=2&username=alice"
        );
    }

    #[tokio::test]
    async fn without_a_data_type_it_has_no_children() {
        let mock = MockTransport::new();
        mock.respond(200, r#"{"count":0,"results":[]}"#);
        let all = FileFilter::new().include_children();
        let none = mock.client().public().files_matching(&all).try_next().await;
        assert!(none.unwrap().is_none());
        assert_eq!(mock.requests()[0].uri().query(), None);
    }
}
