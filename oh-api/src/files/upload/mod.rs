//! Uploading a file, whatever its size.
//!
//! Small files go in one request. Larger ones go to the object store: Open Humans gives an
//! address, the file is put there, Open Humans is told and says the size it found. Either way
//! memory stays small, and a file that could not be finished is not left behind.

mod body;
mod direct;
mod if_absent;
mod multipart;
mod pending;
mod source;

use std::path::Path;

use bytes::Bytes;
use tokio::io::AsyncRead;

use crate::Error;
use crate::files::calls::{Created, check_name};
use crate::files::metadata::FileMetadata;
use crate::files::object_store;
use crate::files::progress::{Progress, ProgressCallback, TransferMeter};
use crate::members::member::MemberClient;
use crate::rest::call::{Call, Payload, Repeat};
use crate::types::data_file::DataFileId;
use pending::PendingUpload;
use source::{Prepared, Source};

pub use direct::{DirectUpload, StartedUpload};
pub use if_absent::{MatchBy, UploadOutcome};

/// Open Humans answers 500 to a longer request than 2,621,440 bytes; this leaves a little room.
const MAX_SIMPLE: u64 = 2_621_440 - 1_024;

/// Which of the API's two ways an upload takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UploadMethod {
    /// The one that fits: direct for what is large, empty, or has a name the simple way changes.
    #[default]
    Auto,
    /// One request to Open Humans, up to 2.6 MB. Open Humans changes the file's name: blanks
    /// become `_`, other signs are dropped.
    Simple,
    /// Through the object store.
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
#[must_use = "nothing is uploaded until it is given to MemberClient::upload"]
pub struct Upload {
    name: Option<String>,
    metadata: FileMetadata,
    data_types: Vec<String>,
    md5: bool,
    via: UploadMethod,
    source: Source,
    progress: ProgressCallback,
}

/// A file that Open Humans has.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Uploaded {
    /// Its id.
    pub id: DataFileId,
    /// Its size in bytes; for a direct upload as the object store has it.
    pub size: u64,
    /// Its MD5, if it was computed on the way.
    pub md5: Option<String>,
}

impl Upload {
    /// The file at `path`, under its own name.
    pub fn path(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let name = path.file_name().map(|name| name.to_string_lossy().into());
        Self::new(name, Source::Path(path.to_owned()))
    }

    /// These bytes, under this name.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self::new(Some(name.into()), Source::Bytes(bytes.into()))
    }

    /// What `reader` gives. Open Humans wants to know the length first, so what does not fit in
    /// one request is kept in a temporary file before it is sent.
    pub fn reader(name: impl Into<String>, reader: impl AsyncRead + Send + 'static) -> Self {
        Self::new(Some(name.into()), Source::reader(reader, None))
    }

    /// What `reader` gives, which is `length` bytes. It is streamed without a temporary file,
    /// unless its MD5 is wanted: that has to be known before. The reader must end after them.
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
            data_types: Vec::new(),
            md5: false,
            via: UploadMethod::default(),
            source,
            progress: ProgressCallback::default(),
        }
    }

    /// Another name than the file's own.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What to say of the file. No tags and an empty description unless set.
    pub fn metadata(mut self, metadata: FileMetadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// The data types of the file, by name or number. The project must be registered for them.
    pub fn data_types<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.data_types.extend(types.into_iter().map(Into::into));
        self
    }

    /// Computes the MD5 and adds it to the metadata. Where the metadata has one already it is
    /// computed in any case, and [`Error::Mismatch`] before anything is sent if it is another: a
    /// file with a wrong MD5 could not be downloaded again.
    pub fn with_md5(mut self) -> Self {
        self.md5 = true;
        self
    }

    /// Which way to take, if not the one that fits.
    pub fn via(mut self, via: UploadMethod) -> Self {
        self.via = via;
        self
    }

    /// Calls back as bytes leave. The callback must be quick.
    pub fn on_progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = ProgressCallback::new(callback);
        self
    }
}

impl MemberClient {
    /// Uploads a file. One of the same name stays beside it: files are told apart by their ids.
    ///
    /// Dropping the future cancels the upload. What a direct upload has begun at Open Humans by
    /// then, or by the time it fails, is deleted again, in the background after a drop.
    ///
    /// A simple upload is not repeated where it may have arrived: after [`Error::Timeout`],
    /// [`Error::Network`] or [`Error::Server`] the file may be there.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a name or metadata Open Humans would refuse, or choke on;
    /// [`Error::Io`] when the source fails or is not as long as it was said to be;
    /// [`Error::Mismatch`] when the file has another MD5 than its metadata say, or Open Humans has
    /// found another size than was sent;
    /// [`Error::ObjectStore`] when the object store refuses; [`Error::Deauthorized`] when the
    /// member has left.
    pub async fn upload(&self, upload: Upload) -> Result<Uploaded, Error> {
        let ready = upload.ready(false).await?;
        self.send(ready).await
    }

    async fn send(&self, upload: Ready) -> Result<Uploaded, Error> {
        let Ready {
            outgoing,
            prepared,
            md5,
            via,
        } = upload;
        let simple = match via {
            UploadMethod::Direct => false,
            UploadMethod::Simple => true,
            UploadMethod::Auto => prepared.len() > 0 && simple_upload_keeps_name(&outgoing.name),
        };
        let form = match (&prepared, simple) {
            (Prepared::Bytes(bytes), true) => {
                let form = multipart::form(&outgoing, self.on_behalf_of.as_ref(), bytes);
                Some(form).filter(|form| form.bytes.len() as u64 <= MAX_SIMPLE)
            }
            _ => None,
        };
        let size = prepared.len();
        let (id, size) = match (form, via) {
            (Some(form), _) => (
                self.upload_simple(form, size, &outgoing.progress).await?,
                size,
            ),
            (None, UploadMethod::Simple) => {
                return Err(Error::TooLarge {
                    what: format!("{size} bytes for a simple upload, which takes 2.6 MB"),
                });
            }
            (None, _) => self.upload_direct(&outgoing, prepared).await?,
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
        call.payload = Payload::Bytes {
            content_type: form.content_type,
            bytes: form.bytes,
        };
        progress.report(0, Some(size));
        let created: Created = self.ask(&call).await?.json()?;
        progress.report(size, Some(size));
        Ok(created.id)
    }

    async fn upload_direct(
        &self,
        outgoing: &Outgoing,
        prepared: Prepared,
    ) -> Result<(DataFileId, u64), Error> {
        let sent = prepared.len();
        let begun = self
            .begin_direct(
                &outgoing.name,
                &outgoing.metadata,
                outgoing.data_types.as_deref(),
            )
            .await?;
        let id = begun.id;
        let unfinished = PendingUpload::new(self.clone(), begun);
        let done = async {
            self.put(&unfinished, prepared, &outgoing.progress).await?;
            let found = self.complete_upload(id).await?;
            match found {
                Some(found) if found != sent => Err(Error::Mismatch {
                    what: "size",
                    expected: sent.to_string(),
                    actual: found.to_string(),
                    saved_as: None,
                }),
                _ => Ok((id, sent)),
            }
        };
        match done.await {
            Ok(done) => {
                unfinished.finish();
                Ok(done)
            }
            Err(error) => {
                unfinished.clean_up().await;
                Err(error)
            }
        }
    }

    /// Puts the file at its address; again, if that fails and the source can be read again.
    async fn put(
        &self,
        to: &PendingUpload,
        prepared: Prepared,
        progress: &ProgressCallback,
    ) -> Result<(), Error> {
        let url = object_store::checked(&self.server, to.url())?;
        let repeatable = prepared.can_be_read_again();
        let prepared = std::sync::Mutex::new(prepared);
        let again = |error: &Error| repeatable && error.is_retryable();
        let work = || async {
            let (meter, opened) = {
                let mut prepared = prepared.lock().unwrap_or_else(|p| p.into_inner());
                let meter = TransferMeter::new(prepared.len(), progress.clone());
                let opened = prepared.open(&meter);
                (meter, opened)
            };
            let (body, local_error) = opened?;
            let request = object_store::request(http::Method::PUT, &url, body)?;
            let send = async {
                let response = self.server.transport().send(request).await?;
                match response.status().is_success() {
                    true => Ok(()),
                    false => Err(object_store::failed(&self.server, response).await),
                }
            };
            let sent = meter.while_moving(self.server.idle_timeout(), send).await;
            // Our own side's local_error explains the connection's.
            match local_error.take() {
                Some(error) => Err(Error::from(error)),
                None => sent,
            }
        };
        self.server.retry_policy().run(again, work).await
    }
}

/// An upload that was checked, and whose bytes can be sent.
struct Ready {
    outgoing: Outgoing,
    prepared: Prepared,
    md5: Option<String>,
    via: UploadMethod,
}

impl Upload {
    /// Checks it and makes its bytes ready; with their MD5 where `with_md5` says so, too.
    async fn ready(self, with_md5: bool) -> Result<Ready, Error> {
        // Open Humans drops outer blanks of a name.
        let name = self.name.unwrap_or_default().trim().to_owned();
        check_name(&name)?;
        self.metadata.check()?;
        let said = self.metadata.given_md5();
        let wants_md5 = with_md5 || self.md5 || said.is_some();
        let (prepared, md5) = self.source.prepare(wants_md5, MAX_SIMPLE).await?;
        let metadata = match (&md5, said) {
            (Some(found), Some(expected)) if *found != expected => {
                return Err(Error::Mismatch {
                    what: "md5",
                    expected,
                    actual: found.clone(),
                    saved_as: None,
                });
            }
            (Some(md5), None) => self.metadata.md5(md5),
            _ => self.metadata,
        };
        let outgoing = Outgoing {
            name,
            metadata: metadata.to_json()?,
            data_types: direct::data_types_json(&self.data_types),
            progress: self.progress,
        };
        Ok(Ready {
            outgoing,
            prepared,
            md5,
            via: self.via,
        })
    }
}

/// What is sent with the file.
struct Outgoing {
    name: String,
    metadata: String,
    data_types: Option<String>,
    progress: ProgressCallback,
}

/// Whether the simple way leaves a name as it is.
fn simple_upload_keeps_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    name.bytes().all(plain)
}

#[cfg(test)]
mod tests;
