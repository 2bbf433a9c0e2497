//! The sources of an upload's bytes.
//!
//! Preparing a source determines its length and, if requested, its MD5. Small sources are read into
//! memory; large ones stay in their file or are copied to a temporary file.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::body::{self, CHUNK_SIZE, LocalError};
use crate::Error;
use crate::files::hashing::{blocking, md5_hex, md5_of};
use crate::files::progress::TransferMeter;
use crate::transport::Body;

type Reader = Pin<Box<dyn AsyncRead + Send>>;

pub(super) enum Source {
    Path(PathBuf),
    Bytes(Bytes),
    /// A reader and its length, if the caller declared one.
    Reader(Reader, Option<u64>),
}

/// A source whose length is known.
pub(super) enum PreparedSource {
    Bytes(Bytes),
    /// A file of the caller. Its MD5 is compared while it is sent, because it can change.
    File {
        path: PathBuf,
        length: u64,
        md5: Option<String>,
    },
    Temporary(NamedTempFile, u64),
    /// A reader, which can be sent only once.
    Reader(Option<Reader>, u64),
}

impl Source {
    pub(super) fn reader(reader: impl AsyncRead + Send + 'static, length: Option<u64>) -> Self {
        Self::Reader(Box::pin(reader), length)
    }

    /// Prepares the source and returns its MD5 if requested. Sources of up to `in_memory` bytes are
    /// read into memory.
    pub(super) async fn prepare(
        self,
        with_md5: bool,
        in_memory: u64,
    ) -> Result<(PreparedSource, Option<String>), Error> {
        match self {
            Self::Bytes(bytes) => Ok(prepare_bytes(bytes, with_md5)),
            Self::Path(path) => {
                let prepared = prepare_file(&path, with_md5, in_memory).await;
                prepared.map_err(|error| error.at(path))
            }
            Self::Reader(reader, Some(length)) if length > in_memory && !with_md5 => {
                Ok((PreparedSource::Reader(Some(reader), length), None))
            }
            Self::Reader(reader, length) => {
                let (prepared, md5) = read_to_end(reader, with_md5, in_memory).await?;
                match length {
                    Some(length) if length != prepared.len() => {
                        Err(Error::from(body::wrong_length(length, prepared.len())))
                    }
                    _ => Ok((prepared, md5)),
                }
            }
        }
    }
}

impl PreparedSource {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } | Self::Temporary(_, length) | Self::Reader(_, length) => {
                *length
            }
        }
    }

    pub(super) fn can_be_read_again(&self) -> bool {
        !matches!(self, Self::Reader(..))
    }

    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File { path, .. } => Some(path.clone()),
            _ => None,
        }
    }

    /// Returns a request body, and where an error of the source will be stored.
    pub(super) fn open(&mut self, meter: &Arc<TransferMeter>) -> Result<(Body, LocalError), Error> {
        Ok(match self {
            Self::Bytes(bytes) => body::in_memory(bytes.clone(), meter),
            Self::File { path, length, md5 } => {
                body::from_file(path.clone(), *length, md5.clone(), meter)
            }
            Self::Temporary(file, length) => {
                body::from_file(file.path().to_owned(), *length, None, meter)
            }
            Self::Reader(reader, length) => {
                let reader = reader.take();
                let reader =
                    reader.ok_or_else(|| io::Error::other("the reader was already read"))?;
                body::from_reader(reader, *length, meter)
            }
        })
    }
}

fn prepare_bytes(bytes: Bytes, with_md5: bool) -> (PreparedSource, Option<String>) {
    let md5 = with_md5.then(|| hex::encode(Md5::digest(&bytes)));
    (PreparedSource::Bytes(bytes), md5)
}

async fn prepare_file(
    path: &Path,
    with_md5: bool,
    in_memory: u64,
) -> Result<(PreparedSource, Option<String>), Error> {
    let path = path.to_owned();
    blocking(move |cancellation| {
        let length = regular_file_length(&path)?;
        if length <= in_memory {
            return Ok(prepare_bytes(std::fs::read(&path)?.into(), with_md5));
        }
        let mut md5 = None;
        if with_md5 {
            tracing::debug!(path = %path.display(), "computing the MD5");
            let file = std::fs::File::open(&path)?.take(length);
            md5 = Some(md5_hex(md5_of(file, cancellation)?));
        }
        let file = PreparedSource::File {
            path,
            length,
            md5: md5.clone(),
        };
        Ok::<_, io::Error>((file, md5))
    })
    .await
}

/// Reads everything: into memory up to a limit, otherwise into a temporary file.
async fn read_to_end(
    mut reader: Reader,
    with_md5: bool,
    in_memory: u64,
) -> Result<(PreparedSource, Option<String>), Error> {
    let mut start = Vec::new();
    (&mut reader)
        .take(in_memory + 1)
        .read_to_end(&mut start)
        .await?;
    if start.len() as u64 <= in_memory {
        return Ok(prepare_bytes(start.into(), with_md5));
    }
    let file = blocking(|_| NamedTempFile::new()).await?;
    let mut out = tokio::fs::File::from_std(file.reopen()?);
    let mut md5 = with_md5.then(Md5::new);
    let mut length = 0;
    let mut buffer = start;
    loop {
        if let Some(md5) = &mut md5 {
            md5.update(&buffer);
        }
        out.write_all(&buffer).await?;
        length += buffer.len() as u64;
        buffer.resize(CHUNK_SIZE, 0);
        let read = reader.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        buffer.truncate(read);
    }
    out.flush().await?;
    Ok((PreparedSource::Temporary(file, length), md5.map(md5_hex)))
}

fn regular_file_length(path: &Path) -> io::Result<u64> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() {
        Ok(metadata.len())
    } else {
        let kind = io::ErrorKind::InvalidInput;
        Err(io::Error::new(kind, "not a regular file"))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Self::Reader(_, length) => f.debug_tuple("Reader").field(length).finish(),
        }
    }
}
