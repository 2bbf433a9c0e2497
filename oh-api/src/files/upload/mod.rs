//! Uploads of files of any size.
//!
//! A small file is sent in one request. A large one is sent to the object store: Open Humans returns
//! a URL, the file is sent there, and Open Humans is asked to complete the upload and returns the
//! size of the stored file. Memory use stays small, and an upload that fails is deleted.

mod body;
mod direct;
mod if_absent;
mod multipart;
mod pending;
mod source;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use tokio::io::AsyncRead;
use url::Url;

use crate::Error;
use crate::files::delete::check_name;
use crate::files::metadata::FileMetadata;
use crate::files::object_store;
use crate::files::progress::{Progress, ProgressCallback, TransferMeter};
use crate::members::member::MemberClient;
use crate::rest::call::{Call, Payload, Repeat};
use crate::types::data_file::DataFileId;
use pending::PendingUpload;
use source::{PreparedSource, Source};

pub use direct::{DirectUpload, StartedUpload};
pub use if_absent::{MatchBy, UploadOutcome};

/// The longest simple upload. Open Humans answers 500 to requests of more than 2,621,440 bytes.
const MAX_SIMPLE: u64 = 2_621_440 - 1_024;

/// Which of the two upload endpoints of the API is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UploadMethod {
    /// Simple where possible; direct for files that are large or empty, or whose name the simple
    /// endpoint would change.
    #[default]
    Auto,
    /// One request to Open Humans, up to 2.6 MB. Open Humans replaces blanks in the file's name by
    /// `_` and removes other special characters.
    Simple,
    /// A request to the object store.
    Direct,
}

/// A file to upload.
///
/// ```no_run
/// use oh_api::{FileMetadata, Upload};
///
/// # async fn example(member: oh_api::MemberClient) -> Result<(), oh_api::Error> {
/// let upload = Upload::path("survey.csv")
///     .metadata(FileMetadata::new("Diet survey").tags(["survey", "csv"]))
///     .with_md5()
///     .on_progress(|p| println!("{} of {:?} bytes", p.done, p.total));
/// let uploaded = member.upload(upload).await?;
/// println!("file {} has {} bytes", uploaded.id, uploaded.size);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an upload starts when it is passed to MemberClient::upload"]
pub struct Upload {
    name: Option<String>,
    metadata: FileMetadata,
    data_types: Option<Vec<String>>,
    with_md5: bool,
    method: UploadMethod,
    source: Source,
    progress: ProgressCallback,
}

/// An uploaded file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Uploaded {
    /// Its id.
    pub id: DataFileId,
    /// Its size in bytes; for a direct upload as reported by the object store.
    pub size: u64,
    /// Its MD5, if it was computed.
    pub md5: Option<String>,
}

impl Upload {
    /// Uploads the file at `path` under its own name.
    pub fn path(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let name = path.file_name().map(|name| name.to_string_lossy().into());
        Self::new(name, Source::Path(path.to_owned()))
    }

    /// Uploads `bytes` under the name `name`.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self::new(Some(name.into()), Source::Bytes(bytes.into()))
    }

    /// Uploads the bytes of a reader. Open Humans needs the length first, so a large file is copied
    /// to a temporary file before it is sent.
    pub fn reader(name: impl Into<String>, reader: impl AsyncRead + Send + 'static) -> Self {
        Self::new(Some(name.into()), Source::reader(reader, None))
    }

    /// Uploads the bytes of a reader that ends after `length` bytes. They are streamed without a
    /// temporary file, unless the MD5 is requested, which must be known before.
    pub fn sized_reader(
        name: impl Into<String>,
        reader: impl AsyncRead + Send + 'static,
        length: u64,
    ) -> Self {
        Self::new(Some(name.into()), Source::reader(reader, Some(length)))
    }

    fn new(name: Option<String>, source: Source) -> Self {
        Self {
            name,
            metadata: FileMetadata::default(),
            data_types: None,
            with_md5: false,
            method: UploadMethod::default(),
            source,
            progress: ProgressCallback::default(),
        }
    }

    /// Sets the name of the file at Open Humans.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the metadata. The default is an empty description without tags.
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

    /// Computes the MD5 and adds it to the metadata.
    ///
    /// If the metadata already contains an MD5, it is always compared before anything is sent: a
    /// file with a wrong MD5 could not be downloaded again.
    pub fn with_md5(mut self) -> Self {
        self.with_md5 = true;
        self
    }

    /// Sets the upload method.
    pub fn via(mut self, method: UploadMethod) -> Self {
        self.method = method;
        self
    }

    /// Calls `callback` as bytes are sent. The callback must return quickly.
    pub fn on_progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = ProgressCallback::new(callback);
        self
    }

    /// Validates the upload and prepares its source.
    async fn prepare(self, with_md5: bool) -> Result<PreparedUpload, Error> {
        // Open Humans trims names.
        let name = self.name.unwrap_or_default().trim().to_owned();
        check_name(&name)?;
        self.metadata.check()?;
        let declared = self.metadata.declared_md5();
        let with_md5 = with_md5 || self.with_md5 || declared.is_some();
        let (source, md5) = self.source.prepare(with_md5, MAX_SIMPLE).await?;
        let metadata = match (&md5, declared) {
            (Some(actual), Some(expected)) if *actual != expected => {
                return Err(Error::Mismatch {
                    what: "md5",
                    expected,
                    actual: actual.clone(),
                    saved_as: None,
                });
            }
            (Some(md5), None) => self.metadata.md5(md5),
            _ => self.metadata,
        };
        let fields = FormFields {
            name,
            metadata: metadata.to_json()?,
            data_types: direct::data_types_json(self.data_types),
        };
        Ok(PreparedUpload {
            fields,
            source,
            md5,
            method: self.method,
            progress: self.progress,
        })
    }
}

/// A validated upload.
struct PreparedUpload {
    fields: FormFields,
    source: PreparedSource,
    md5: Option<String>,
    method: UploadMethod,
    progress: ProgressCallback,
}

/// The form fields that are sent with a file.
struct FormFields {
    name: String,
    metadata: String,
    data_types: Option<String>,
}

#[derive(Deserialize)]
struct Created {
    id: DataFileId,
}

impl MemberClient {
    /// Uploads a file. Existing files of the same name remain: files are identified by their ids.
    ///
    /// Dropping the future cancels the upload. If a direct upload fails or is cancelled, the
    /// incomplete file is deleted, after a drop in the background. A file that changes while it is
    /// sent is not stored if its MD5 is known.
    ///
    /// A simple upload is not repeated if the server may have processed it: after
    /// [`Error::Timeout`], [`Error::Network`] or [`Error::Server`] the file may exist.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a name or metadata that Open Humans cannot store;
    /// [`Error::Io`] if the source fails, has another length than declared or changes;
    /// [`Error::Mismatch`] if the file's MD5 differs from its metadata, or the stored size from
    /// the sent one; [`Error::ObjectStore`] if the object store rejects the file;
    /// [`Error::Deauthorized`] if the member has left.
    pub async fn upload(&self, upload: Upload) -> Result<Uploaded, Error> {
        let prepared = upload.prepare(false).await?;
        self.send(prepared).await
    }

    async fn send(&self, upload: PreparedUpload) -> Result<Uploaded, Error> {
        let (size, md5) = (upload.source.len(), upload.md5.clone());
        let simple = match upload.method {
            UploadMethod::Direct => false,
            UploadMethod::Simple => true,
            UploadMethod::Auto => size > 0 && simple_upload_keeps_name(&upload.fields.name),
        };
        let form = match (&upload.source, simple) {
            (PreparedSource::Bytes(bytes), true) => {
                let form = multipart::form(&upload.fields, self.on_behalf_of.as_ref(), bytes);
                Some(form).filter(|form| form.bytes.len() as u64 <= MAX_SIMPLE)
            }
            _ => None,
        };
        let id = match (form, upload.method) {
            (Some(form), _) => self.upload_simple(form, size, &upload.progress).await?,
            (None, UploadMethod::Simple) => {
                return Err(Error::TooLarge {
                    what: format!("{size} bytes for a simple upload, with a limit of 2.6 MB"),
                });
            }
            (None, _) => self.upload_direct(upload).await?,
        };
        Ok(Uploaded { id, size, md5 })
    }

    async fn upload_simple(
        &self,
        form: multipart::Form,
        size: u64,
        progress: &ProgressCallback,
    ) -> Result<DataFileId, Error> {
        let path = "/api/direct-sharing/project/files/upload/";
        let mut call = Call::post("files/upload", path, Repeat::IfUnprocessed);
        call.payload = Some(Payload {
            content_type: form.content_type,
            bytes: form.bytes,
        });
        progress.report(0, Some(size));
        let created: Created = self.ask(&call).await?.json()?;
        progress.report(size, Some(size));
        Ok(created.id)
    }

    async fn upload_direct(&self, upload: PreparedUpload) -> Result<DataFileId, Error> {
        let expected = upload.source.len();
        let started = self.begin_direct(&upload.fields).await?;
        let id = started.id;
        let pending = PendingUpload::new(self.clone(), started);
        let sent = async {
            self.put(&pending, upload.source, &upload.progress).await?;
            match self.complete_upload(id).await? {
                Some(actual) if actual != expected => Err(Error::Mismatch {
                    what: "size",
                    expected: expected.to_string(),
                    actual: actual.to_string(),
                    saved_as: None,
                }),
                _ => Ok(()),
            }
        };
        match sent.await {
            Ok(()) => {
                pending.finish();
                Ok(id)
            }
            Err(error) => {
                pending.discard().await;
                Err(error)
            }
        }
    }

    /// Sends a file to its URL. Retries and follows one redirect if the source can be read again.
    async fn put(
        &self,
        upload: &PendingUpload,
        source: PreparedSource,
        progress: &ProgressCallback,
    ) -> Result<(), Error> {
        let url = object_store::checked(&self.server, upload.url())?;
        let repeatable = source.can_be_read_again();
        let source = Mutex::new(source);
        let again = |error: &Error| repeatable && error.is_retryable();
        let work = || async {
            let redirect = self.put_once(&url, &source, progress).await?;
            let Some(next) = redirect else {
                return Ok(());
            };
            let status = http::StatusCode::TEMPORARY_REDIRECT;
            if !repeatable {
                let excerpt = "the object store redirects, and the reader cannot be read again";
                return Err(Error::unexpected(status, excerpt));
            }
            match self.put_once(&next, &source, progress).await? {
                None => Ok(()),
                Some(_) => Err(Error::unexpected(status, "too many redirects")),
            }
        };
        self.server.retry_policy().run(again, work).await
    }

    /// Sends the file once. Returns the target of a redirect that repeats the request.
    async fn put_once(
        &self,
        url: &Url,
        source: &Mutex<PreparedSource>,
        progress: &ProgressCallback,
    ) -> Result<Option<Url>, Error> {
        let (meter, path, opened) = {
            let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
            let meter = TransferMeter::new(source.len(), progress.clone());
            let opened = source.open(&meter);
            (meter, source.path(), opened)
        };
        let (body, local_error) = opened?;
        let request = object_store::request(http::Method::PUT, url, body)?;
        let send = async {
            let response = self.server.transport().send(request).await?;
            if response.status().is_success() {
                return Ok(None);
            }
            match object_store::redirect_target(&self.server, url, &response) {
                Some(next) => next.map(Some),
                None => Err(object_store::failed(&self.server, response).await),
            }
        };
        let sent = meter.with_idle_timeout(self.server.idle_timeout(), send);
        let sent = sent.await;
        // A local error is the cause of the failed request.
        let Some(error) = local_error.take().map(Error::from) else {
            return sent;
        };
        Err(match path {
            Some(path) => error.at(path),
            None => error,
        })
    }
}

/// Whether the simple endpoint stores a name unchanged.
fn simple_upload_keeps_name(name: &str) -> bool {
    name.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests;
