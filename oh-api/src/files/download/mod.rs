//! Downloads of a file: to memory, a writer, a stream or a path.
//!
//! A file's URL redirects to the object store. Neither server receives a token. If the store sends a
//! strong `ETag`, an interrupted transfer continues where it stopped, and a download to a path even
//! in a later call; otherwise the transfer starts over. The size is always checked, the MD5 if it is
//! known.

mod name;
mod private;
mod to_path;
mod transfer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, stream};
use md5::{Digest, Md5};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::files::hashing::md5_hex;
use crate::files::progress::{Progress, ProgressCallback};
use crate::members::member::MemberClient;
use crate::members::public::PublicClient;
use crate::rest::client::Client;
use crate::types::data_file::DataFile;
use crate::{Error, SecretUrl};
use transfer::Transfer;

pub use name::safe_file_name;

/// A download that has not started.
///
/// ```no_run
/// # async fn example(
/// #     member: oh_api::MemberClient,
/// #     file: oh_api::DataFile,
/// # ) -> Result<(), oh_api::Error> {
/// let downloaded = member
///     .download(&file)
///     .max_size(1 << 30)
///     .on_progress(|p| println!("{} of {:?} bytes", p.done, p.total))
///     .into_dir("downloads")
///     .await?;
/// println!("{}", downloaded.path.display());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a download starts when one of its async methods is called"]
pub struct Download {
    client: Client,
    url: SecretUrl,
    name: String,
    md5: Option<String>,
    max_size: u64,
    existing: Existing,
    progress: ProgressCallback,
}

/// What happens if the target of a download already exists.
#[derive(Clone, Copy, Debug)]
enum Existing {
    Replace,
    SkipSameSize,
    SkipSameMd5,
}

/// A downloaded file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Downloaded {
    /// Its path.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the file already existed and the download was skipped.
    pub already_present: bool,
}

impl MemberClient {
    /// Creates a download of one of the member's files, whose URL expires an hour after it was
    /// listed.
    pub fn download(&self, file: &DataFile) -> Download {
        Download::of(&self.server, file)
    }
}

impl Client {
    /// Creates a download from a `download_url`, which expires an hour after the file was listed.
    /// [`Download::into_dir`] saves the file under `name`.
    pub fn download(&self, url: impl Into<SecretUrl>, name: impl Into<String>) -> Download {
        Download::new(self, url.into(), name.into(), None)
    }
}

impl PublicClient {
    /// Creates a download of a public file, whose URL expires an hour after it was listed.
    pub fn download(&self, file: &DataFile) -> Download {
        Download::of(self.server(), file)
    }
}

impl Download {
    fn of(client: &Client, file: &DataFile) -> Self {
        let (url, name) = (file.download_url.clone(), file.basename.clone());
        Self::new(client, url, name, file.md5())
    }

    fn new(client: &Client, url: SecretUrl, name: String, md5: Option<String>) -> Self {
        Self {
            client: client.clone(),
            url,
            name,
            md5,
            max_size: u64::MAX,
            existing: Existing::Replace,
            progress: ProgressCallback::default(),
        }
    }

    /// Fails with [`Error::TooLarge`] if the file has more bytes; before the transfer if the store
    /// states the size.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Disables the MD5 check. The MD5 in a file's metadata is what its uploader declared.
    pub fn ignore_md5(mut self) -> Self {
        self.md5 = None;
        self
    }

    /// Skips the download if the target path already has a file of the same size.
    pub fn skip_existing(mut self) -> Self {
        self.existing = Existing::SkipSameSize;
        self
    }

    /// Skips the download if the target path already has a file of the same size and, if it is
    /// known, the same MD5.
    pub fn skip_verified(mut self) -> Self {
        self.existing = Existing::SkipSameMd5;
        self
    }

    /// Calls `callback` after each chunk. The callback must return quickly.
    pub fn on_progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = ProgressCallback::new(callback);
        self
    }

    /// Downloads to memory. Set a [`max_size`](Self::max_size).
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] if the URL is older than an hour; [`Error::Mismatch`] if size or MD5
    /// differ; [`Error::UnexpectedResponse`] for anything but the complete, uncompressed file;
    /// [`Error::TooLarge`]; or a connection error.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let mut all = Vec::new();
        self.to_writer(&mut all).await?;
        Ok(all.into())
    }

    /// Downloads to a writer, flushes it and returns the number of bytes. Bytes written before an
    /// error remain written.
    ///
    /// # Errors
    ///
    /// As for [`bytes`](Self::bytes), and [`Error::Io`] if the writer fails.
    pub async fn to_writer<W: AsyncWrite + Unpin>(self, writer: &mut W) -> Result<u64, Error> {
        let mut checked = self.checked().await?;
        while let Some(chunk) = checked.next().await? {
            writer.write_all(&chunk).await?;
        }
        writer.flush().await?;
        Ok(checked.transfer.position())
    }

    /// Starts the download and returns a stream of chunks. The file is complete and correct only if
    /// the stream ends without an error.
    ///
    /// # Errors
    ///
    /// As for [`bytes`](Self::bytes), if the error occurs before the first chunk.
    pub async fn stream(self) -> Result<DownloadStream, Error> {
        let checked = self.checked().await?;
        let size = checked.transfer.total();
        let chunks = stream::try_unfold(checked, async |mut checked| {
            let chunk = checked.next().await?;
            Ok(chunk.map(|chunk| (chunk, checked)))
        });
        Ok(DownloadStream {
            size,
            chunks: Box::pin(chunks),
        })
    }

    /// Downloads to `path` and replaces an existing file.
    ///
    /// The target is replaced when the file is complete and checked. Until then the bytes are in a
    /// hidden `.oh-part` file beside it, which a later call continues if the store sends a strong
    /// ETag. On Unix only the owner can read the file.
    ///
    /// A file with another MD5 than its uploader declared is saved beside the target with the
    /// ending `.oh-mismatch`, and [`Error::Mismatch`] contains that path.
    /// [`ignore_md5`](Self::ignore_md5) accepts such a file.
    ///
    /// # Errors
    ///
    /// As for [`bytes`](Self::bytes), and [`Error::Io`] if the file cannot be written.
    pub async fn to_path(self, path: impl AsRef<Path>) -> Result<Downloaded, Error> {
        to_path::download(self, path.as_ref()).await
    }

    /// Downloads into an existing directory, under the file's name as [`safe_file_name`] returns it.
    /// No name can place the file outside of the directory.
    ///
    /// # Errors
    ///
    /// As for [`to_path`](Self::to_path).
    pub async fn into_dir(self, directory: impl AsRef<Path>) -> Result<Downloaded, Error> {
        let path = directory.as_ref().join(safe_file_name(&self.name));
        to_path::download(self, &path).await
    }

    async fn checked(self) -> Result<CheckedTransfer, Error> {
        let transfer = self.open().await?;
        let md5 = self.md5.map(|expected| (Md5::new(), expected));
        Ok(CheckedTransfer { transfer, md5 })
    }

    async fn open(&self) -> Result<Transfer, Error> {
        Transfer::open(
            &self.client,
            &self.url,
            self.max_size,
            self.progress.clone(),
        )
        .await
    }
}

/// A download as a [`Stream`] of chunks.
#[must_use = "streams do nothing unless polled"]
pub struct DownloadStream {
    size: Option<u64>,
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
}

impl DownloadStream {
    /// Returns the file's size in bytes, if the store states it.
    pub fn size(&self) -> Option<u64> {
        self.size
    }
}

impl Stream for DownloadStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for DownloadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadStream")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A transfer whose MD5 is checked at the end.
struct CheckedTransfer {
    transfer: Transfer,
    md5: Option<(Md5, String)>,
}

impl CheckedTransfer {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self.transfer.chunk().await?;
        match (&chunk, &mut self.md5) {
            (Some(chunk), Some((md5, _))) => md5.update(chunk),
            (None, md5) => {
                if let Some((md5, expected)) = md5.take() {
                    check_md5(md5, expected)?;
                }
            }
            (Some(_), None) => {}
        }
        Ok(chunk)
    }
}

fn check_md5(md5: Md5, expected: String) -> Result<(), Error> {
    let actual = md5_hex(md5);
    if actual == expected {
        return Ok(());
    }
    Err(Error::Mismatch {
        what: "md5",
        expected,
        actual,
        saved_as: None,
    })
}

#[cfg(test)]
mod tests;
