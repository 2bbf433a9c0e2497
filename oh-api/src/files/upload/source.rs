//! Where an upload's bytes come from, made ready to be sent.
//!
//! Ready means: the length is known, and the MD5 where it is cancellation. What is small is in memory;
//! what is large stays in its file, or goes to a temporary one.

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
use crate::files::hashing::{self, blocking};
use crate::files::progress::TransferMeter;
use crate::transport::Body;

type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// What the app gave.
pub(super) enum Source {
    Path(PathBuf),
    Bytes(Bytes),
    Reader(Reader, Option<u64>),
}

/// What can be sent.
pub(super) enum Prepared {
    Bytes(Bytes),
    File(OnDisk, u64),
    /// Once only.
    Reader(Option<Reader>, u64),
}

pub(super) enum OnDisk {
    Own(PathBuf),
    Temporary(NamedTempFile),
}

impl Source {
    pub(super) fn reader(reader: impl AsyncRead + Send + 'static, length: Option<u64>) -> Self {
        Self::Reader(Box::pin(reader), length)
    }

    /// Makes it ready, keeping up to `in_memory` bytes in memory.
    pub(super) async fn prepare(
        self,
        wants_md5: bool,
        in_memory: u64,
    ) -> Result<(Prepared, Option<String>), Error> {
        let path = match &self {
            Self::Path(path) => Some(path.clone()),
            _ => None,
        };
        let prepared = self.prepare_any(wants_md5, in_memory).await;
        prepared.map_err(|error| match path {
            Some(path) => error.at(path),
            None => error,
        })
    }

    async fn prepare_any(
        self,
        wants_md5: bool,
        in_memory: u64,
    ) -> Result<(Prepared, Option<String>), Error> {
        match self {
            Self::Bytes(bytes) => Ok(in_memory_with_md5(bytes, wants_md5)),
            Self::Path(path) => {
                let length = blocking({
                    let path = path.clone();
                    move |_| regular_file_length(&path)
                })
                .await?;
                if length <= in_memory {
                    let bytes = tokio::fs::read(&path).await?;
                    return Ok(in_memory_with_md5(bytes.into(), wants_md5));
                }
                let md5 = match wants_md5 {
                    true => {
                        tracing::debug!(path = %path.display(), "reading it for its MD5");
                        let path = path.clone();
                        let md5 = blocking(move |cancellation| {
                            let file = std::fs::File::open(&path)?.take(length);
                            hashing::md5_of(file, cancellation)
                        });
                        Some(hashing::shown(md5.await?))
                    }
                    false => None,
                };
                Ok((Prepared::File(OnDisk::Own(path), length), md5))
            }
            Self::Reader(reader, Some(length)) if length > in_memory && !wants_md5 => {
                Ok((Prepared::Reader(Some(reader), length), None))
            }
            Self::Reader(reader, length) => {
                let (prepared, md5) = keep(reader, wants_md5, in_memory).await?;
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

impl Prepared {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) | Self::Reader(_, length) => *length,
        }
    }

    pub(super) fn can_be_read_again(&self) -> bool {
        !matches!(self, Self::Reader(..))
    }

    /// A body of the whole, and where local_error on this side will show.
    pub(super) fn open(&mut self, meter: &Arc<TransferMeter>) -> Result<(Body, LocalError), Error> {
        let length = self.len();
        Ok(match self {
            Self::Bytes(bytes) => body::in_memory(bytes.clone(), meter),
            Self::File(on_disk, _) => body::from_file(on_disk.path().to_owned(), length, meter),
            Self::Reader(reader, _) => {
                let reader = reader.take().ok_or_else(|| {
                    Error::from(io::Error::other("the reader has been read already"))
                })?;
                body::from_reader(reader, length, meter)
            }
        })
    }
}

impl OnDisk {
    fn path(&self) -> &Path {
        match self {
            Self::Own(path) => path,
            Self::Temporary(file) => file.path(),
        }
    }
}

fn in_memory_with_md5(bytes: Bytes, wants_md5: bool) -> (Prepared, Option<String>) {
    let md5 = wants_md5.then(|| hex::encode(Md5::digest(&bytes)));
    (Prepared::Bytes(bytes), md5)
}

/// Reads everything: into memory while it fits, else into a temporary file.
async fn keep(
    mut reader: Reader,
    wants_md5: bool,
    in_memory: u64,
) -> Result<(Prepared, Option<String>), Error> {
    let mut start = Vec::new();
    (&mut reader)
        .take(in_memory + 1)
        .read_to_end(&mut start)
        .await?;
    if start.len() as u64 <= in_memory {
        return Ok(in_memory_with_md5(start.into(), wants_md5));
    }
    let file = blocking(|_| NamedTempFile::new()).await?;
    let mut out = tokio::fs::File::from_std(file.reopen()?);
    let mut md5 = wants_md5.then(Md5::new);
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
    let md5 = md5.map(|md5| hex::encode(md5.finalize()));
    Ok((Prepared::File(OnDisk::Temporary(file), length), md5))
}

fn regular_file_length(path: &Path) -> io::Result<u64> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() {
        Ok(metadata.len())
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
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
