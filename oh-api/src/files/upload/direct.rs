//! A direct upload in its parts, for a file that someone else puts there, such as a browser.

use serde::Deserialize;

use crate::files::calls::check_name;
use crate::files::metadata::FileMetadata;
use crate::members::member::MemberClient;
use crate::rest::call::{Call, Repeat};
use crate::types::data_file::DataFileId;
use crate::types::record::lenient;
use crate::{Error, SecretUrl};

/// A file that is to be put at the object store by someone else.
///
/// ```
/// use oh_api::{DirectUpload, FileMetadata};
///
/// let upload = DirectUpload::new("steps.csv")
///     .metadata(FileMetadata::new("Steps in 2020").tags(["steps", "csv"]));
/// # let _ = upload;
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is begun until it is given to MemberClient::begin_upload"]
pub struct DirectUpload {
    name: String,
    metadata: FileMetadata,
    data_types: Vec<String>,
}

impl DirectUpload {
    /// A file of this name, without tags and with an empty description.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            metadata: FileMetadata::default(),
            data_types: Vec::new(),
        }
    }

    /// What to say of the file.
    pub fn metadata(mut self, metadata: FileMetadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The data types of the file, by name or number. The project must be registered for them.
    pub fn data_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.data_types.extend(types.into_iter().map(Into::into));
        self
    }
}

/// An upload that has begun: a place for a file that nobody sees before it is completed.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct StartedUpload {
    /// The file's id.
    pub id: DataFileId,
    /// Where to PUT it within six hours. Whoever has this address can put anything there.
    ///
    /// The request carries a `Content-Length` and no `Content-Type`, which the signature does not
    /// cover; no `Authorization`; and it is not chunked. In a browser: `fetch(url, {method: "PUT",
    /// body: new Blob([file])})`, where the blob is without a type.
    pub url: SecretUrl,
}

#[derive(Deserialize)]
struct Completed {
    #[serde(default, deserialize_with = "lenient")]
    size: Option<u64>,
}

impl MemberClient {
    /// Begins a direct upload: the answer says where the file is to be put. Then comes
    /// [`complete_upload`](Self::complete_upload), or [`discard_upload`](Self::discard_upload).
    ///
    /// [`upload`](Self::upload) does all of it for a file that is here.
    ///
    /// ```no_run
    /// use oh_api::{DirectUpload, StartedUpload};
    ///
    /// # async fn example(member: oh_api::MemberClient) -> Result<(), oh_api::Error> {
    /// let started: StartedUpload = member.begin_upload(DirectUpload::new("steps.csv")).await?;
    /// // Give `started.url` to the member's own browser, keep `started.id` on this side, and when
    /// // the browser has put the file there:
    /// let size = member.complete_upload(started.id).await?;
    /// println!("{size:?} bytes");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a name or metadata Open Humans would refuse, or choke on;
    /// [`Error::Deauthorized`] when the member has left.
    pub async fn begin_upload(&self, upload: DirectUpload) -> Result<StartedUpload, Error> {
        let name = upload.name.trim();
        check_name(name)?;
        let metadata = upload.metadata.to_json()?;
        let data_types = data_types_json(&upload.data_types);
        self.begin_direct(name, &metadata, data_types.as_deref())
            .await
    }

    /// Says that a file is at its address; from now on it is listed. Gives its size in bytes, where
    /// Open Humans says it.
    ///
    /// Open Humans does not check whose file it is: complete only what this project began for this
    /// member, and never an id that came from a browser.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] saying `file not present` while nothing is there; [`Error::Server`]
    /// for an id that no upload has; [`Error::Deauthorized`] when the member has left.
    pub async fn complete_upload(&self, id: DataFileId) -> Result<Option<u64>, Error> {
        let id = id.to_string();
        let mut fields = vec![("file_id", id.as_str())];
        if let Some(member) = &self.on_behalf_of {
            fields.push(("project_member_id", member.as_str()));
        }
        let path = "/api/direct-sharing/project/files/upload/complete/";
        let call = Call::post("files/upload/complete", path, Repeat::Safe).form(&fields)?;
        let completed: Completed = self.ask(&call).await?.json()?;
        Ok(completed.size)
    }

    /// Asks for an address to put a file at.
    pub(super) async fn begin_direct(
        &self,
        name: &str,
        metadata: &str,
        data_types: Option<&str>,
    ) -> Result<StartedUpload, Error> {
        let mut fields = vec![("filename", name), ("metadata", metadata)];
        if let Some(member) = &self.on_behalf_of {
            fields.push(("project_member_id", member.as_str()));
        }
        if let Some(data_types) = data_types {
            fields.push(("datatypes", data_types));
        }
        let path = "/api/direct-sharing/project/files/upload/direct/";
        let call = Call::post("files/upload/direct", path, Repeat::IfUnprocessed).form(&fields)?;
        self.ask(&call).await?.json()
    }
}

/// As the API wants data types, if there are any: one string of JSON.
pub(super) fn data_types_json(types: &[String]) -> Option<String> {
    match types {
        [] => None,
        types => Some(serde_json::Value::from(types.to_vec()).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;

    #[tokio::test]
    async fn begins_and_completes_for_whoever_the_token_is() {
        let mock = MockTransport::new();
        let begun = r#"{"id":7,"url":"https://s3.example/a?Signature=s"}"#;
        let id = "00000001".parse().unwrap();
        let by_master = mock.client().project("m").member(&id);
        for member in [mock.client().member("t"), by_master] {
            mock.respond(201, begun)
                .respond(200, r#"{"status":"ok","size":3}"#)
                // Older servers said this of a file they could not measure.
                .respond(200, r#"{"status":"ok","size":""}"#);
            let upload = DirectUpload::new(" a.txt ").data_types(["2"]);
            let started = member.begin_upload(upload).await.unwrap();
            assert_eq!(started.id, DataFileId::new(7));
            assert!(!format!("{started:?}").contains("Signature"));
            assert_eq!(member.complete_upload(started.id).await.unwrap(), Some(3));
            assert_eq!(member.complete_upload(started.id).await.unwrap(), None);
        }
        let requests: Vec<_> = mock.requests().into_iter().map(|r| r.into_body()).collect();
        let metadata = "metadata=%7B%22description%22%3A%22%22%2C%22tags%22%3A%5B%5D%7D";
        let direct = format!("filename=a.txt&{metadata}");
        let types = "datatypes=%5B%222%22%5D";
        assert_eq!(requests[0], format!("{direct}&{types}"));
        assert_eq!(requests[1], "file_id=7");
        assert_eq!(
            requests[3],
            format!("{direct}&project_member_id=00000001&{types}")
        );
        assert_eq!(requests[4], "file_id=7&project_member_id=00000001");
    }

    #[tokio::test]
    async fn nothing_is_asked_for_what_would_be_refused() {
        let mock = MockTransport::new();
        let member = mock.client().member("t");
        let bad = FileMetadata::new("d").creation_date("yesterday");
        for upload in [
            DirectUpload::new("a/b"),
            DirectUpload::new("a").metadata(bad),
        ] {
            let error = member.begin_upload(upload).await.unwrap_err();
            assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
        }
        assert!(mock.requests().is_empty());
    }
}
