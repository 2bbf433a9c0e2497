//! Downloads to a path, which either complete or leave the target unchanged.
//!
//! Bytes are written to a part file beside the target. The name of the part file is derived from the
//! target's name and the file's ETag, so a part file is only continued with bytes of the same
//! version. A separate thread writes the file and computes the MD5.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use md5::{Digest, Md5};
use sha2::Sha256;
use tokio::sync::mpsc;

use super::private::new_file;
use super::transfer::Transfer;
use super::{Download, Downloaded, Existing, check_md5};
use crate::files::hashing::{Cancellation, blocking, md5_hex, md5_of};
use crate::{Error, random};

/// How many chunks may wait to be written.
const QUEUED_CHUNKS: usize = 8;

/// How many bytes are written at a time. On a virtual machine with Linux 6.18 and ext4, 4 GiB took
/// 1.0 to 1.4 s in pieces of 64 KiB, and 2.6 to 3.3 s in pieces of 256 KiB.
const WRITE_SIZE: usize = 64 << 10;

pub(super) async fn download(download: Download, path: &Path) -> Result<Downloaded, Error> {
    let downloaded = download_to(download, path).await;
    downloaded.map_err(|error| error.at(path))
}

async fn download_to(download: Download, path: &Path) -> Result<Downloaded, Error> {
    let mut transfer = download.open().await?;
    let existing = tokio::fs::metadata(path).await;
    if let (Ok(existing), Some(total)) = (existing, transfer.total())
        && existing.is_file()
        && existing.len() == total
        && skips(&download, path).await?
    {
        return Ok(Downloaded {
            path: path.to_owned(),
            size: total,
            already_present: true,
        });
    }
    let with_md5 = download.md5.is_some();
    let resumable = part_path(path, &transfer);
    let target = path.to_owned();
    let part = blocking(move |cancellation| Part::open(&target, resumable, with_md5, cancellation))
        .await?;
    let part = continue_part(&mut transfer, part, with_md5).await?;
    let size = write_to_part(&mut transfer, part, path, download.md5).await?;
    Ok(Downloaded {
        path: path.to_owned(),
        size,
        already_present: false,
    })
}

/// Whether an existing file of the right size makes the download unnecessary.
async fn skips(download: &Download, path: &Path) -> Result<bool, Error> {
    let md5 = match (download.existing, &download.md5) {
        (Existing::Replace, _) => return Ok(false),
        (Existing::SkipSameSize, _) | (Existing::SkipSameMd5, None) => return Ok(true),
        (Existing::SkipSameMd5, Some(md5)) => md5,
    };
    let path = path.to_owned();
    let actual = blocking(move |cancellation| md5_of(File::open(path)?, cancellation)).await?;
    Ok(md5_hex(actual) == *md5)
}

/// Continues an earlier part, or truncates it.
async fn continue_part(
    transfer: &mut Transfer,
    mut part: Part,
    with_md5: bool,
) -> Result<Part, Error> {
    if part.length == 0 {
        return Ok(part);
    }
    let is_shorter = transfer.total().is_some_and(|total| part.length < total);
    if is_shorter && transfer.skip_to(part.length).await? {
        tracing::debug!(position = part.length, "continuing an earlier download");
        return Ok(part);
    }
    blocking(move |_| {
        part.file.set_len(0)?;
        part.file.seek(SeekFrom::Start(0))?;
        part.length = 0;
        part.md5 = with_md5.then(Md5::new);
        Ok::<_, io::Error>(part)
    })
    .await
}

async fn write_to_part(
    transfer: &mut Transfer,
    part: Part,
    path: &Path,
    md5: Option<String>,
) -> Result<u64, Error> {
    let (chunks, received) = mpsc::channel(QUEUED_CHUNKS);
    let target = path.to_owned();
    let writer = tokio::task::spawn_blocking(move || write(part, received, md5, &target));
    let fetched = fetch_all(transfer, chunks).await;
    let written = writer.await.map_err(|e| Error::from(io::Error::other(e)))?;
    // If the writer failed first, its error is the cause.
    written?;
    fetched?;
    Ok(transfer.position())
}

/// A message to the writer. The end is explicit, so that a cancelled download is not taken for a
/// complete one.
enum Piece {
    Chunk(Bytes),
    End,
}

async fn fetch_all(transfer: &mut Transfer, chunks: mpsc::Sender<Piece>) -> Result<(), Error> {
    while let Some(chunk) = transfer.chunk().await? {
        if chunks.send(Piece::Chunk(chunk)).await.is_err() {
            return Ok(());
        }
    }
    // A writer that has ended reports its own error.
    let _ = chunks.send(Piece::End).await;
    Ok(())
}

fn write(
    mut part: Part,
    mut pieces: mpsc::Receiver<Piece>,
    expected: Option<String>,
    target: &Path,
) -> Result<(), Error> {
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Chunk(chunk) => {
                for piece in chunk.chunks(WRITE_SIZE) {
                    part.file.write_all(piece)?;
                }
                if let Some(md5) = &mut part.md5 {
                    md5.update(&chunk);
                }
            }
            Piece::End => {
                let checked = match (part.md5.take(), expected) {
                    (Some(md5), Some(expected)) => check_md5(md5, expected),
                    _ => Ok(()),
                };
                if let Err(error) = checked {
                    return Err(save_mismatch(&mut part, target, error)?);
                }
                std::fs::rename(&part.path, target)?;
                part.path = PathBuf::new();
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Saves a file with an unexpected MD5 beside its target, and adds the path to the error.
fn save_mismatch(part: &mut Part, target: &Path, mut error: Error) -> Result<Error, Error> {
    let path = mismatch_path(target);
    part.resumable = false;
    std::fs::rename(&part.path, &path)?;
    part.path = PathBuf::new();
    if let Error::Mismatch { saved_as, .. } = &mut error {
        *saved_as = Some(path);
    }
    Ok(error)
}

/// The target's name with the ending `.oh-mismatch`; shortened if the result would be too long for
/// a file name.
fn mismatch_path(target: &Path) -> PathBuf {
    const ENDING: &str = ".oh-mismatch";
    let name = target.file_name().unwrap_or_default();
    if name.len() + ENDING.len() <= 255 {
        let mut name = name.to_owned();
        name.push(ENDING);
        return target.with_file_name(name);
    }
    let name = name.to_string_lossy();
    let start: String = name.chars().take(50).collect();
    target.with_file_name(format!("{start}{ENDING}"))
}

/// A part file. Removed on drop unless a later call can continue it.
struct Part {
    file: File,
    path: PathBuf,
    length: u64,
    md5: Option<Md5>,
    resumable: bool,
}

impl Part {
    /// Opens the part file to continue, or a temporary one if there is none or another process uses
    /// it.
    fn open(
        target: &Path,
        resumable: Option<PathBuf>,
        with_md5: bool,
        cancellation: &Cancellation,
    ) -> io::Result<Self> {
        let continued = match &resumable {
            Some(path) => open_locked(path)?,
            None => None,
        };
        let (mut file, path, resumable) = match (continued, resumable) {
            (Some(file), Some(path)) => (file, path, true),
            _ => {
                let path = hidden(target, &random::hex());
                (new_file().open(&path)?, path, false)
            }
        };
        let length = file.metadata()?.len();
        let md5 = match with_md5 {
            true => Some(md5_of(&mut file, cancellation)?),
            false => None,
        };
        file.seek(SeekFrom::Start(length))?;
        Ok(Self {
            file,
            path,
            length,
            md5,
            resumable,
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.resumable && !self.path.as_os_str().is_empty() {
            // A part file that cannot be removed is harmless.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens a new or existing regular file, unless another process has locked it.
fn open_locked(path: &Path) -> io::Result<Option<File>> {
    let file = match new_file().open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !std::fs::symlink_metadata(path)?.is_file() {
                return Ok(None);
            }
            OpenOptions::new().read(true).write(true).open(path)?
        }
        Err(error) => return Err(error),
    };
    Ok(file.try_lock().is_ok().then_some(file))
}

/// The path of the part file for this version of the file.
fn part_path(target: &Path, transfer: &Transfer) -> Option<PathBuf> {
    let mut version = Sha256::new();
    version.update(transfer.etag()?);
    version.update(transfer.total()?.to_be_bytes());
    version.update(target.file_name()?.as_encoded_bytes());
    Some(hidden(target, &hex::encode(&version.finalize()[..8])))
}

fn hidden(target: &Path, tag: &str) -> PathBuf {
    target.with_file_name(format!(".{tag}.oh-part"))
}
