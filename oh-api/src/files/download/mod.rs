//! Downloading a file: to memory, a writer, a stream or a path.
//!
//! A file's address redirects to the object store; neither gets a token. Where the store names
//! the file's state (a strong `ETag`), a transfer that breaks off is resumed where it was, and a
//! download to a path even by a later call. Size is checked always, MD5 where it is known.

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

use crate::files::hashing;
use crate::files::progress::{Progress, ProgressCallback};
use crate::members::member::MemberClient;
use crate::members::public::PublicClient;
use crate::rest::client::Client;
use crate::types::data_file::DataFile;
use crate::{Error, SecretUrl};
use transfer::Transfer;

pub use name::safe_file_name;

/// A download that has not begun.
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
#[must_use = "nothing is downloaded before one of its last methods is called"]
pub struct Download {
    server: Client,
    url: SecretUrl,
    name: String,
    md5: Option<String>,
    max_size: u64,
    existing: Existing,
    progress: ProgressCallback,
}

/// What happens where a download's target is there already.
#[derive(Clone, Copy, Debug)]
enum Existing {
    Replace,
    KeepSameSize,
    KeepSame,
}

/// A file that is here.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Downloaded {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it was here before and was left alone.
    pub already_present: bool,
}

impl MemberClient {
    /// A file of this member's. Its address works for an hour after it was listed.
    pub fn download(&self, file: &DataFile) -> Download {
        Download::new(&self.server, file)
    }
}

impl Client {
    /// What is at a `download_url`, such as one that was kept from a list: works for an hour after
    /// the file was listed. The name is the one [`Download::into_dir`] gives it.
    pub fn download(&self, url: impl Into<SecretUrl>, name: impl Into<String>) -> Download {
        Download::at(self, url.into(), name.into(), None)
    }
}

impl PublicClient {
    /// A public file. Its address works for an hour after it was listed.
    pub fn download(&self, file: &DataFile) -> Download {
        Download::new(self.server(), file)
    }
}

impl Download {
    pub(crate) fn new(server: &Client, file: &DataFile) -> Self {
        let (url, name) = (file.download_url.clone(), file.basename.clone());
        Self::at(server, url, name, file.md5())
    }

    fn at(server: &Client, url: SecretUrl, name: String, md5: Option<String>) -> Self {
        Self {
            server: server.clone(),
            url,
            name,
            md5,
            max_size: u64::MAX,
            existing: Existing::Replace,
            progress: ProgressCallback::default(),
        }
    }

    /// Refuses files of more bytes with [`Error::TooLarge`], before they are fetched where the
    /// store says their size.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Does not check the MD5. The one in a file's metadata is what its uploader said.
    pub fn ignore_md5(mut self) -> Self {
        self.md5 = None;
        self
    }

    /// Leaves a file alone that is here and has the size of the one at Open Humans. For downloads
    /// to a path.
    pub fn skip_existing(mut self) -> Self {
        self.existing = Existing::KeepSameSize;
        self
    }

    /// As [`skip_existing`](Self::skip_existing), and reads the file that is here: where the MD5 is
    /// known it must have that, too.
    pub fn skip_verified(mut self) -> Self {
        self.existing = Existing::KeepSame;
        self
    }

    /// Calls back as bytes arrive. The callback must be quick.
    pub fn on_progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = ProgressCallback::new(callback);
        self
    }

    /// Into memory. Set a [`max_size`](Self::max_size).
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] when the address is more than an hour old; [`Error::Mismatch`] when
    /// size or MD5 are not what they should be; [`Error::TooLarge`]; or what the connection ends in.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let mut all = Vec::new();
        self.to_writer(&mut all).await?;
        Ok(all.into())
    }

    /// To a writer, which is flushed. Gives the number of bytes. What is written before an error
    /// stays written.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`Error::Io`] when the writer fails.
    pub async fn to_writer<W: AsyncWrite + Unpin>(self, writer: &mut W) -> Result<u64, Error> {
        let mut checked = self.checked().await?;
        while let Some(chunk) = checked.next().await? {
            writer.write_all(&chunk).await?;
        }
        writer.flush().await?;
        Ok(checked.fetching.position())
    }

    /// As a stream of chunks. The last item is an error where size or MD5 are wrong: only a stream
    /// that ends without one has given the file.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), as far as they show before the first chunk.
    pub async fn stream(self) -> Result<DownloadStream, Error> {
        let checked = self.checked().await?;
        let size = checked.fetching.total();
        let chunks = stream::try_unfold(checked, async |mut checked| {
            let chunk = checked.next().await?;
            Ok(chunk.map(|chunk| (chunk, checked)))
        });
        Ok(DownloadStream {
            size,
            chunks: Box::pin(chunks),
        })
    }

    /// To this path, replacing what is there. The file appears under its name only when it is
    /// whole and checked; until then it is a hidden `.oh-part` file beside it, which a later call
    /// resumes where the store names the file's state. On Unix only its owner may read it.
    ///
    /// A file whose MD5 is not the one its uploader gave is not put under its name: it is kept
    /// beside it with the ending `.oh-mismatch`, and [`Error::Mismatch`] says where. Either may be
    /// the wrong one; [`ignore_md5`](Self::ignore_md5) takes the file as it is.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes), and [`Error::Io`] when the file cannot be written.
    pub async fn to_path(self, path: impl AsRef<Path>) -> Result<Downloaded, Error> {
        to_path::download(self, path.as_ref()).await
    }

    /// Into this directory, which must exist, under the file's own name as
    /// [`safe_file_name`] makes it: whatever the name, the file is in the directory.
    ///
    /// # Errors
    ///
    /// As [`to_path`](Self::to_path).
    pub async fn into_dir(self, directory: impl AsRef<Path>) -> Result<Downloaded, Error> {
        let path = directory.as_ref().join(safe_file_name(&self.name));
        to_path::download(self, &path).await
    }

    async fn checked(self) -> Result<Checked, Error> {
        let fetching = self.fetch().await?;
        let md5 = self.md5.map(|expected| (Md5::new(), expected));
        Ok(Checked { fetching, md5 })
    }

    async fn fetch(&self) -> Result<Transfer, Error> {
        Transfer::open(
            &self.server,
            &self.url,
            self.max_size,
            self.progress.clone(),
        )
        .await
    }
}

/// A file as it arrives: a [`Stream`] of chunks.
#[must_use = "streams do nothing unless polled"]
pub struct DownloadStream {
    size: Option<u64>,
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
}

impl DownloadStream {
    /// How many bytes there will be, where the store says it.
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

/// What arrives, with its MD5 checked at the end.
struct Checked {
    fetching: Transfer,
    md5: Option<(Md5, String)>,
}

impl Checked {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self.fetching.chunk().await?;
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
    let actual = hashing::shown(md5);
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
