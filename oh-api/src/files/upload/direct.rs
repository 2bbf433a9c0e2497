//! Direct uploads whose file is sent by someone else, such as the member's browser.

use serde::Deserialize;

use super::FormFields;
use crate::files::delete::check_name;
use crate::files::metadata::FileMetadata;
use crate::members::member::MemberClient;
use crate::rest::call::{Call, Repeat};
use crate::types::data_file::DataFileId;
use crate::types::record::lenient;
use crate::{Error, SecretUrl};

/// A file that someone else will send to the object store.
///
/// ```
/// use oh_api::{DirectUpload, FileMetadata};
///
/// let upload = DirectUpload::new("steps.csv")
///     .metadata(FileMetadata::new("Steps in 2020").tags(["steps", "csv"]));
/// # let _ = upload;
/// ```
#[derive(Clone, Debug)]
#[must_use = "an upload starts when it is passed to MemberClient::begin_upload"]
pub struct DirectUpload {
    name: String,
    metadata: FileMetadata,
    data_types: Option<Vec<String>>,
}

impl DirectUpload {
    /// Creates an upload with this file name, an empty description and no tags.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            metadata: FileMetadata::default(),
            data_types: None,
        }
    }

    /// Sets the metadata.
    pub fn metadata(mut self, metadata: FileMetadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Adds data types, by name or number. The project must be registered for them. An empty list
    /// is sent as such.
    pub fn data_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        let types = types.into_iter().map(Into::into);
        self.data_types.get_or_insert_default().extend(types);
        self
    }
}

/// A direct upload that was started. The file is not listed before it is completed.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct StartedUpload {
    /// The file's id.
    pub id: DataFileId,
    /// Where to send the file with PUT within six hours. Anyone with this URL can send any content.
    ///
    /// The request must have a `Content-Length`, and must not have a `Content-Type`, which the
    /// signature does not cover, an `Authorization` header or a chunked body. In a browser:
    /// `fetch(url, {method: "PUT", body: new Blob([file])})`, where the blob has no type.
    pub url: SecretUrl,
}

#[derive(Deserialize)]
struct Completed {
    #[serde(default, deserialize_with = "lenient")]
    size: Option<u64>,
}

impl MemberClient {
    /// Starts a direct upload and returns the URL for the file. Continue with
    /// [`complete_upload`](Self::complete_upload) or [`discard_upload`](Self::discard_upload).
    ///
    /// [`upload`](Self::upload) does all of this for a local file.
    ///
    /// ```no_run
    /// use oh_api::{DirectUpload, StartedUpload};
    ///
    /// # async fn example(member: oh_api::MemberClient) -> Result<(), oh_api::Error> {
    /// let started: StartedUpload = member.begin_upload(DirectUpload::new("steps.csv")).await?;
    /// // Send `started.url` to the member's browser and store `started.id`. After the browser has
    /// // sent the file:
    /// let size = member.complete_upload(started.id).await?;
    /// println!("{size:?} bytes");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a name or metadata that Open Humans cannot store;
    /// [`Error::Deauthorized`] if the member has left.
    pub async fn begin_upload(&self, upload: DirectUpload) -> Result<StartedUpload, Error> {
        let name = upload.name.trim().to_owned();
        check_name(&name)?;
        let fields = FormFields {
            name,
            metadata: upload.metadata.to_json()?,
            data_types: data_types_json(upload.data_types),
        };
        self.begin_direct(&fields).await
    }

    /// Completes a direct upload, so that the file is listed. Returns its size in bytes, if Open
    /// Humans states it.
    ///
    /// Open Humans does not check whose file it is: complete only ids that this project started for
    /// this member, and never an id that a browser sent.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] with `file not present` before the file was sent; [`Error::Server`]
    /// for an unknown id; [`Error::Deauthorized`] if the member has left.
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

    pub(super) async fn begin_direct(&self, form: &FormFields) -> Result<StartedUpload, Error> {
        let mut fields = vec![("filename", &*form.name), ("metadata", &*form.metadata)];
        if let Some(member) = &self.on_behalf_of {
            fields.push(("project_member_id", member.as_str()));
        }
        if let Some(data_types) = &form.data_types {
            fields.push(("datatypes", data_types));
        }
        let path = "/api/direct-sharing/project/files/upload/direct/";
        let call = Call::post("files/upload/direct", path, Repeat::IfUnprocessed).form(&fields)?;
        self.ask(&call).await?.json()
    }
}

/// Formats data types as the API expects them: a JSON list in one string.
pub(super) fn data_types_json(types: Option<Vec<String>>) -> Option<String> {
    types.map(|types| serde_json::Value::from(types).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::MockTransport;

    #[tokio::test]
    async fn direct_upload_names_member_only_with_master_token() {
        let mock = MockTransport::new();
        let begun = r#"{"id":7,"url":"https://s3.example/a?Signature=s"}"#;
        let id = "00000001".parse().unwrap();
        let by_master = mock.client().project("m").member(&id);
        for member in [mock.client().member("t"), by_master] {
            mock.respond(201, begun)
                .respond(200, r#"{"status":"ok","size":3}"#)
                // Older servers return an empty size if they cannot determine it.
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
    async fn begin_upload_rejects_invalid_input_before_sending() {
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
