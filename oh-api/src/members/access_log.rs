//! Who has fetched a member's files: the logs that members are shown of them.
//!
//! Written from the server's public source; nothing of it is recorded. Open Humans answers these
//! calls to one project alone, which an administrator names; every other is refused with
//! [`Error::Forbidden`](crate::Error::Forbidden). Accesses are logged only of members for whom that
//! is switched on.
//!
//! Source: `data_import/views.py`, `filters.py` and `serializers.py` of Open Humans' server
//! (<https://github.com/OpenHumans/open-humans>).

use serde::Deserialize;

use crate::members::member::MemberClient;
use crate::rest::call::Call;
use crate::rest::list::{self, List};
use crate::types::data_file::DataFileId;
use crate::types::record::{Raw, deserialize_with_raw, lenient};
use crate::{SecretUrl, Timestamp};

/// Which accesses are wanted; all, unless something is set.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct AccessLogFilter {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    file: Option<DataFileId>,
}

impl AccessLogFilter {
    /// All accesses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only at this moment or later.
    pub fn start(mut self, at: Timestamp) -> Self {
        self.start = Some(at);
        self
    }

    /// Only at this moment or earlier.
    pub fn end(mut self, at: Timestamp) -> Self {
        self.end = Some(at);
        self
    }

    /// Only to this file.
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
}

/// A file that was asked for at Open Humans, which then leads to the object store.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct FileAccess {
    /// When.
    #[serde(default, deserialize_with = "lenient")]
    pub date: Option<Timestamp>,
    /// From where.
    #[serde(default, deserialize_with = "lenient")]
    pub ip_address: Option<String>,
    /// The number of the account that was logged in, if one was.
    #[serde(default, deserialize_with = "lenient")]
    pub user: Option<u64>,
    /// The file, as it was then.
    #[serde(default, deserialize_with = "lenient")]
    pub datafile: Option<AccessedFile>,
    /// The key that opened it.
    #[serde(default, deserialize_with = "lenient")]
    pub key: Option<AccessKey>,
    /// Where the object store was told to give it from.
    #[serde(default, deserialize_with = "lenient")]
    pub aws_url: Option<SecretUrl>,
    #[serde(skip)]
    raw: Raw,
}

/// A file that was fetched from the object store.
#[derive(Clone, Debug, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct StoreAccess {
    /// When.
    #[serde(default, deserialize_with = "lenient")]
    pub time: Option<Timestamp>,
    /// From where.
    #[serde(default, deserialize_with = "lenient")]
    pub remote_ip: Option<String>,
    /// The file, as it was then.
    #[serde(default, deserialize_with = "lenient")]
    pub datafile: Option<AccessedFile>,
    /// What was done, in the store's words, such as `REST.GET.OBJECT`.
    #[serde(default, deserialize_with = "lenient")]
    pub operation: Option<String>,
    /// The status it was answered with.
    #[serde(default, deserialize_with = "lenient")]
    pub status: Option<u16>,
    /// How many bytes were sent.
    #[serde(default, deserialize_with = "lenient")]
    pub bytes_sent: Option<u64>,
    /// How many bytes the file has.
    #[serde(default, deserialize_with = "lenient")]
    pub object_size: Option<u64>,
    /// What the client called itself.
    #[serde(default, deserialize_with = "lenient")]
    pub user_agent: Option<String>,
    #[serde(skip)]
    raw: Raw,
}

deserialize_with_raw!(FileAccess, StoreAccess);

/// A file in an access log.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct AccessedFile {
    /// Its id.
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<DataFileId>,
    /// Its name.
    #[serde(default, deserialize_with = "lenient")]
    pub basename: Option<String>,
    /// When it was uploaded.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// Its source, such as `direct-sharing-2`.
    #[serde(default, deserialize_with = "lenient")]
    pub source: Option<String>,
    /// The number of the account it is in.
    #[serde(default, deserialize_with = "lenient")]
    pub user_id: Option<u64>,
}

/// The key in a file's address: who was given it. The key itself and the token it was asked for with
/// are in the record's `raw` alone.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct AccessKey {
    /// When it was made.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// The number of the project it was made for, if one requests.
    #[serde(default, deserialize_with = "lenient")]
    pub project_id: Option<u64>,
    /// From where it was asked for.
    #[serde(default, deserialize_with = "lenient")]
    pub key_creation_ip_address: Option<String>,
}

impl MemberClient {
    /// When this member's files were asked for at Open Humans. For the one project that may see the
    /// logs, and with the member's own token alone.
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
    pub fn file_accesses(&self, which: AccessLogFilter) -> List<FileAccess> {
        let path = "/data-management/newdatafileaccesslog/";
        let call = which.call("file accesses", path);
        list::results(&self.server, &self.auth, call)
    }

    /// When this member's files were fetched from the object store, as far as its own logs have been
    /// read by then. For the one project that may see the logs.
    pub fn store_accesses(&self, which: AccessLogFilter) -> List<StoreAccess> {
        let path = "/data-management/awsdatafileaccesslog/";
        let call = which.call("store accesses", path);
        list::results(&self.server, &self.auth, call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::test_support::MockTransport;

    #[tokio::test]
    async fn an_access_is_read_and_shows_no_key() {
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
        let requests = mock.requests().remove(0);
        assert_eq!(
            requests.uri().path(),
            "/data-management/newdatafileaccesslog/"
        );
        assert_eq!(
            requests.uri().query(),
            Some(
                "start_date=2026-11-22T16%3A00%3A00Z&end_date=2026-11-23T00%3A00%3A00Z&datafile_id=7"
            )
        );
    }

    #[tokio::test]
    async fn another_project_is_refused() {
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
}
