//! Access logs: who downloaded a member's files.
//!
//! Open Humans shows the logs to a single project that an administrator configured and responds to
//! others with [`Error::Forbidden`](crate::Error::Forbidden). It logs only members for whom logging
//! is enabled.
//!
//! Source: `data_import/views.py`, `filters.py` and `serializers.py` of Open Humans' server
//! (<https://github.com/OpenHumans/open-humans>). No responses were recorded.

use serde::Deserialize;

use crate::members::member::MemberClient;
use crate::rest::call::Call;
use crate::rest::list::List;
use crate::types::data_file::{DataFileId, Metadata, datatypes};
use crate::types::record::{Raw, deserialize_with_raw, lenient};
use crate::{SecretUrl, Timestamp};

/// A filter for an access log. The default matches all accesses.
///
/// The newest server widens a filter with equal start and end to 24 hours, so the limits are also
/// checked by this library.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct AccessLogFilter {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    file: Option<DataFileId>,
}

impl AccessLogFilter {
    /// Creates a filter that matches all accesses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only matches accesses at this time or later.
    pub fn start(mut self, at: Timestamp) -> Self {
        self.start = Some(at);
        self
    }

    /// Only matches accesses at this time or earlier.
    pub fn end(mut self, at: Timestamp) -> Self {
        self.end = Some(at);
        self
    }

    /// Only matches accesses to this file.
    pub fn file(mut self, file: DataFileId) -> Self {
        self.file = Some(file);
        self
    }

    fn call(self, name: &'static str, path: &str) -> Call {
        let mut call = Call::page(name, path);
        if let Some(at) = self.start {
            call = call.query("start_date", at.to_string());
        }
        if let Some(at) = self.end {
            call = call.query("end_date", at.to_string());
        }
        if let Some(file) = self.file {
            call = call.query("datafile_id", file.to_string());
        }
        call
    }

    /// Whether an access at this time matches. A time that the server did not state does.
    fn matches(&self, at: Option<Timestamp>) -> bool {
        at.is_none_or(|at| {
            self.start.is_none_or(|start| at >= start) && self.end.is_none_or(|end| at <= end)
        })
    }
}

/// A request to Open Humans for a file, which redirects to the object store.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct FileAccess {
    /// When the file was requested.
    #[serde(default, deserialize_with = "lenient")]
    pub date: Option<Timestamp>,
    /// The client's address.
    #[serde(default, deserialize_with = "lenient")]
    pub ip_address: Option<String>,
    /// The number of the account that was logged in, if any.
    #[serde(default, deserialize_with = "lenient")]
    pub user: Option<u64>,
    /// The file at that time.
    #[serde(default, deserialize_with = "lenient")]
    pub datafile: Option<AccessedFile>,
    /// The key in the URL.
    #[serde(default, deserialize_with = "lenient")]
    pub key: Option<AccessKey>,
    /// The URL at the object store to which the server redirected.
    #[serde(default, deserialize_with = "lenient")]
    pub aws_url: Option<SecretUrl>,
    #[serde(skip)]
    raw: Raw,
}

/// A request to the object store for a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct StoreAccess {
    /// When the file was requested.
    #[serde(default, deserialize_with = "lenient")]
    pub time: Option<Timestamp>,
    /// The client's address.
    #[serde(default, deserialize_with = "lenient")]
    pub remote_ip: Option<String>,
    /// The store's id of the request.
    #[serde(default, deserialize_with = "lenient")]
    pub request_id: Option<String>,
    /// The file at that time.
    #[serde(default, deserialize_with = "lenient")]
    pub datafile: Option<AccessedFile>,
    /// The store's name of the operation, such as `REST.GET.OBJECT`.
    #[serde(default, deserialize_with = "lenient")]
    pub operation: Option<String>,
    /// The path of the file at the store.
    #[serde(default, deserialize_with = "lenient")]
    pub bucket_key: Option<String>,
    /// The request line. It can contain a signature that works without a token.
    #[serde(default, deserialize_with = "lenient")]
    pub request_uri: Option<SecretUrl>,
    /// The status code of the response.
    #[serde(default, deserialize_with = "lenient")]
    pub status: Option<u16>,
    /// The number of bytes sent.
    #[serde(default, deserialize_with = "lenient")]
    pub bytes_sent: Option<u64>,
    /// The size of the file in bytes.
    #[serde(default, deserialize_with = "lenient")]
    pub object_size: Option<u64>,
    /// How long the request took, in milliseconds.
    #[serde(default, deserialize_with = "lenient")]
    pub total_time: Option<u64>,
    /// How long the store took before the first byte, in milliseconds.
    #[serde(default, deserialize_with = "lenient")]
    pub turn_around_time: Option<u64>,
    /// The `Referer` header.
    #[serde(default, deserialize_with = "lenient")]
    pub referrer: Option<String>,
    /// The `User-Agent` header.
    #[serde(default, deserialize_with = "lenient")]
    pub user_agent: Option<String>,
    /// The TLS cipher suite.
    #[serde(default, deserialize_with = "lenient")]
    pub cipher_suite: Option<String>,
    /// The `Host` header.
    #[serde(default, deserialize_with = "lenient")]
    pub host_header: Option<String>,
    #[serde(skip)]
    raw: Raw,
}

deserialize_with_raw!(FileAccess, StoreAccess);

/// A file in an access log.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct AccessedFile {
    /// The file's id.
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<DataFileId>,
    /// The file's name.
    #[serde(default, deserialize_with = "lenient")]
    pub basename: Option<String>,
    /// When the file was uploaded.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// The URLs of the file's data types.
    #[serde(default, deserialize_with = "datatypes")]
    pub datatypes: Option<Vec<String>>,
    /// The URL to download the file.
    #[serde(default, deserialize_with = "lenient")]
    pub download_url: Option<SecretUrl>,
    /// The file's metadata.
    #[serde(default, deserialize_with = "lenient")]
    pub metadata: Option<Metadata>,
    /// The file's source, such as `direct-sharing-2`.
    #[serde(default, deserialize_with = "lenient")]
    pub source: Option<String>,
    /// The URL of the project that uploaded the file.
    #[serde(default, deserialize_with = "lenient")]
    pub source_project: Option<String>,
    /// The number of the account that owns the file.
    #[serde(default, deserialize_with = "lenient")]
    pub user_id: Option<u64>,
}

/// The key in a file's URL. The key itself and the token that requested it are only in the record's
/// `raw` text.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct AccessKey {
    /// When the key was created.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// The id of the file that the key opens.
    #[serde(default, deserialize_with = "lenient")]
    pub datafile_id: Option<DataFileId>,
    /// The number of the project that requested the key, if any.
    #[serde(default, deserialize_with = "lenient")]
    pub project_id: Option<u64>,
    /// The address that requested the key.
    #[serde(default, deserialize_with = "lenient")]
    pub key_creation_ip_address: Option<String>,
}

impl MemberClient {
    /// Lists the requests to Open Humans for this member's files. Needs the member's own token and a
    /// project that may see the logs.
    ///
    /// ```no_run
    /// use oh_api::AccessLogFilter;
    ///
    /// # async fn example(member: oh_api::MemberClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let since = AccessLogFilter::new().start("2026-11-01T00:00:00Z".parse()?);
    /// let mut accesses = member.file_accesses(since);
    /// while let Some(access) = accesses.try_next().await? {
    ///     let file = access.datafile.and_then(|file| file.basename);
    ///     println!("{:?} {file:?} from {:?}", access.date, access.ip_address);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn file_accesses(&self, filter: AccessLogFilter) -> List<FileAccess> {
        let path = "/data-management/newdatafileaccesslog/";
        let list = List::new(&self.server, &self.auth, filter.call("file accesses", path));
        list.only(move |access: &FileAccess| filter.matches(access.date))
    }

    /// Lists the requests to the object store for this member's files, as far as Open Humans has
    /// imported the store's logs. Needs a project that may see the logs.
    pub fn store_accesses(&self, filter: AccessLogFilter) -> List<StoreAccess> {
        let path = "/data-management/awsdatafileaccesslog/";
        let list = List::new(
            &self.server,
            &self.auth,
            filter.call("store accesses", path),
        );
        list.only(move |access: &StoreAccess| filter.matches(access.time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::test_support::MockTransport;

    #[tokio::test]
    async fn file_access_debug_hides_secrets() {
        let mock = MockTransport::new();
        mock.respond(
            200,
            r#"{"count":1,"next":null,"previous":null,"results":[{
                "date":"2026-11-22T16:31:27.299665Z","ip_address":"('127.0.0.1', False)","user":null,
                "datafile":{"id":7,"basename":"a.txt","created":"2026-11-22T16:08:31.833883+00:00",
                    "download_url":"http://oh.test/?key=thekey","source":"direct-sharing-2","user_id":1},
                "key":{"created":"2026-11-22T16:31:00+00:00","key":"thekey","datafile_id":7,
                    "key_creation_ip_address":"127.0.0.1","access_token":"thetoken","project_id":2},
                "aws_url":"https://s3.test/a.txt?Signature=thesignature"}]}"#,
        );
        let which = AccessLogFilter::new()
            .start("2026-11-22T16:00:00Z".parse().unwrap())
            .end("2026-11-23T00:00:00Z".parse().unwrap())
            .file(DataFileId::new(7));
        let mut list = mock.client().member("t").file_accesses(which);
        let access = list.try_next().await.unwrap().unwrap();
        let file = access.datafile.as_ref().unwrap();
        assert_eq!(file.id, Some(DataFileId::new(7)));
        assert_eq!(
            file.created.unwrap().to_string(),
            "2026-11-22T16:08:31.833883Z"
        );
        assert_eq!(access.key.as_ref().unwrap().project_id, Some(2));
        let shown = format!("{access:?}");
        for secret in ["thekey", "thetoken", "thesignature"] {
            assert!(!shown.contains(secret), "{shown}");
            assert!(access.raw().contains(secret));
        }
        let request = mock.requests().remove(0);
        assert_eq!(
            request.uri().path(),
            "/data-management/newdatafileaccesslog/"
        );
        assert_eq!(
            request.uri().query(),
            Some(
                "start_date=2026-11-22T16%3A00%3A00Z&end_date=2026-11-23T00%3A00%3A00Z&datafile_id=7"
            )
        );
    }

    #[tokio::test]
    async fn access_log_returns_forbidden_for_other_project() {
        let mock = MockTransport::new();
        let detail = r#"{"detail":"You do not have permission to perform this action."}"#;
        mock.respond(403, detail);
        let mut list = mock
            .client()
            .member("t")
            .store_accesses(AccessLogFilter::new());
        let error = list.try_next().await.unwrap_err();
        assert!(matches!(error, Error::Forbidden { .. }), "{error}");
    }

    #[tokio::test]
    async fn access_log_filter_is_exact_where_server_widens_it() {
        let mock = MockTransport::new();
        let page = r#"{"results":[{"time":"2026-11-22T16:00:00Z","request_id":"R1","total_time":7},
            {"time":"2026-11-22T17:00:00Z","datafile":{"datatypes":["/2/"],"metadata":{"tags":["a"]}}}]}"#;
        mock.respond(200, page);
        let at = "2026-11-22T17:00:00Z".parse().unwrap();
        let filter = AccessLogFilter::new().start(at).end(at);
        let mut list = mock.client().member("t").store_accesses(filter);
        let access = list.try_next().await.unwrap().unwrap();
        assert_eq!(access.time, Some(at));
        let file = access.datafile.unwrap();
        assert_eq!(file.datatypes.unwrap(), ["/2/"]);
        assert_eq!(file.metadata.unwrap().tags, ["a"]);
        assert!(list.try_next().await.unwrap().is_none());
    }
}
