//! A download that ends as a whole file under its name, or not at all.
//!
//! Bytes are collected in a part file beside it. The part's name is made from the target's name
//! and the store's name for the file's state, so a part is only ever continued with bytes of the
//! same state. Writing, and the MD5, happen on a thread of their own.

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
use crate::files::hashing::{Cancellation, blocking, md5_of, shown};
use crate::{Error, random};

/// How many chunks may wait to be written.
const QUEUED_CHUNKS: usize = 8;

/// So many bytes are written at a time. On a virtual machine with Linux 6.18 and ext4, 4 GiB took
/// 1.0 to 1.4 s in pieces of 64 KiB, and 2.6 to 3.3 s in pieces of 256 KiB.
const WRITE_SIZE: usize = 64 << 10;

pub(super) async fn download(download: Download, path: &Path) -> Result<Downloaded, Error> {
    whole(download, path).await.map_err(|error| error.at(path))
}

async fn whole(download: Download, path: &Path) -> Result<Downloaded, Error> {
    let mut fetching = download.fetch().await?;
    let here = tokio::fs::metadata(path).await;
    if let (Ok(here), Some(total)) = (here, fetching.total())
        && here.is_file()
        && here.len() == total
        && is_kept(&download, path).await?
    {
        return Ok(Downloaded {
            path: path.to_owned(),
            size: total,
            already_present: true,
        });
    }
    let wants_md5 = download.md5.is_some();
    let resumable = part_path(path, &fetching);
    let target = path.to_owned();
    let part =
        blocking(move |cancellation| Part::open(&target, resumable, wants_md5, cancellation))
            .await?;
    let part = take_up(&mut fetching, part, wants_md5).await?;
    let size = transfer(&mut fetching, part, path, download.md5).await?;
    Ok(Downloaded {
        path: path.to_owned(),
        size,
        already_present: false,
    })
}

/// Whether a file of the right size that is here may stay.
async fn is_kept(download: &Download, path: &Path) -> Result<bool, Error> {
    let md5 = match (download.existing, &download.md5) {
        (Existing::Replace, _) => return Ok(false),
        (Existing::KeepSameSize, _) | (Existing::KeepSame, None) => return Ok(true),
        (Existing::KeepSame, Some(md5)) => md5,
    };
    let path = path.to_owned();
    let found = blocking(move |cancellation| md5_of(File::open(path)?, cancellation)).await?;
    Ok(shown(found) == *md5)
}

/// Continues where an earlier part ends, or begins anew.
async fn take_up(fetching: &mut Transfer, mut part: Part, wants_md5: bool) -> Result<Part, Error> {
    if part.length == 0 {
        return Ok(part);
    }
    let fits = fetching.total().is_some_and(|total| part.length < total);
    if fits && fetching.skip_to(part.length).await? {
        tracing::debug!(from = part.length, "an earlier download is taken up again");
        return Ok(part);
    }
    // Too long, or the store starts over: so do we, in the same place.
    blocking(move |_| {
        part.file.set_len(0)?;
        part.file.seek(SeekFrom::Start(0))?;
        part.length = 0;
        part.md5 = wants_md5.then(Md5::new);
        Ok::<_, io::Error>(part)
    })
    .await
}

async fn transfer(
    fetching: &mut Transfer,
    part: Part,
    path: &Path,
    md5: Option<String>,
) -> Result<u64, Error> {
    let (chunks, received) = mpsc::channel(QUEUED_CHUNKS);
    let target = path.to_owned();
    let writing = tokio::task::spawn_blocking(move || write(part, received, md5, &target));
    let fetched = fetch_all(fetching, chunks).await;
    let written = writing
        .await
        .map_err(|e| Error::from(io::Error::other(e)))?;
    match (fetched, written) {
        // The writer stopped first: its error is why.
        (_, Err(error)) => Err(error),
        (Err(error), Ok(_)) => Err(error),
        (Ok(()), Ok(())) => Ok(fetching.position()),
    }
}

/// What the writer is sent; the end is said, so that a fetch that was dropped is not taken for it.
enum Piece {
    Chunk(Bytes),
    End,
}

async fn fetch_all(fetching: &mut Transfer, chunks: mpsc::Sender<Piece>) -> Result<(), Error> {
    while let Some(chunk) = fetching.chunk().await? {
        if chunks.send(Piece::Chunk(chunk)).await.is_err() {
            return Ok(());
        }
    }
    // A writer that is gone has said why.
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
                    return Err(set_aside(&mut part, target, error)?);
                }
                std::fs::rename(&part.path, target)?;
                part.path = PathBuf::new();
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Keeps what has another MD5 than it should beside its target, and says so.
fn set_aside(part: &mut Part, target: &Path, mut error: Error) -> Result<Error, Error> {
    let aside = beside(target);
    // These bytes are not worth continuing with.
    part.keep = false;
    std::fs::rename(&part.path, &aside)?;
    part.path = PathBuf::new();
    if let Error::Mismatch { saved_as, .. } = &mut error {
        *saved_as = Some(aside);
    }
    Ok(error)
}

/// The target's name with the ending of what is kept aside; the beginning of it where both would
/// be too long for a name.
fn beside(target: &Path) -> PathBuf {
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

/// The file bytes are collected in. Removed when dropped, unless it can be continued later.
struct Part {
    file: File,
    path: PathBuf,
    length: u64,
    md5: Option<Md5>,
    keep: bool,
}

impl Part {
    /// Opens the part to continue, or one of its own where there is none to continue or another
    /// process has it.
    fn open(
        target: &Path,
        resumable: Option<PathBuf>,
        wants_md5: bool,
        cancellation: &Cancellation,
    ) -> io::Result<Self> {
        if let Some(path) = resumable
            && let Some(file) = open_locked(&path)?
        {
            return Self::new(file, path, true, wants_md5, cancellation);
        }
        let path = hidden(target, &random::hex());
        let file = new_file().open(&path)?;
        Self::new(file, path, false, wants_md5, cancellation)
    }

    fn new(
        mut file: File,
        path: PathBuf,
        keep: bool,
        wants_md5: bool,
        cancellation: &Cancellation,
    ) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut md5 = None;
        if wants_md5 {
            md5 = Some(md5_of(&mut file, cancellation)?);
        }
        file.seek(SeekFrom::Start(length))?;
        Ok(Self {
            file,
            path,
            length,
            md5,
            keep,
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.keep && !self.path.as_os_str().is_empty() {
            // Nothing better can be done about a part that cannot be removed.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A new file, or the regular file that is there, if no other process writes it.
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

/// Where a part of this state of the file is kept.
fn part_path(target: &Path, fetching: &Transfer) -> Option<PathBuf> {
    let mut state = Sha256::new();
    state.update(fetching.etag()?);
    state.update(fetching.total()?.to_be_bytes());
    state.update(target.file_name()?.as_encoded_bytes());
    Some(hidden(target, &hex::encode(&state.finalize()[..8])))
}

fn hidden(target: &Path, tag: &str) -> PathBuf {
    target.with_file_name(format!(".{tag}.oh-part"))
}
