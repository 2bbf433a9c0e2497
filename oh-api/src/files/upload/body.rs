//! Request bodies of a known length that are read ahead of the connection.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use md5::{Digest, Md5};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use crate::files::hashing::{md5_hex, read_full};
use crate::files::progress::TransferMeter;
use crate::transport::{Body, BoxError};

/// How many bytes are read at a time.
pub(super) const CHUNK_SIZE: usize = 256 << 10;
/// How many chunks may wait to be sent.
const QUEUED_CHUNKS: usize = 4;

/// The error of the local file or reader behind a body, which explains why the request failed.
#[derive(Clone, Default)]
pub(super) struct LocalError(Arc<Mutex<Option<io::Error>>>);

impl LocalError {
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: io::Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

pub(super) fn wrong_length(expected: u64, actual: u64) -> io::Error {
    let reason = format!("the source has {actual} bytes instead of the declared {expected}");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

pub(super) fn in_memory(bytes: Bytes, meter: &Arc<TransferMeter>) -> (Body, LocalError) {
    let length = bytes.len() as u64;
    let body = MeteredBody {
        chunks: Chunks::Memory(bytes),
        left: length,
        local_error: LocalError::default(),
        meter: Arc::clone(meter),
    };
    (Body::wrap(body), LocalError::default())
}

/// Sends the first `length` bytes of a file, which a separate thread reads. Fails before the last
/// chunk if their MD5 is not `md5`: then the file has changed since it was hashed.
pub(super) fn from_file(
    path: PathBuf,
    length: u64,
    md5: Option<String>,
    meter: &Arc<TransferMeter>,
) -> (Body, LocalError) {
    let (sender, body, local_error) = channel(length, meter);
    let thread_error = local_error.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read_file(&path, length, md5, &sender) {
            thread_error.set(error);
        }
    });
    (body, local_error)
}

fn read_file(
    path: &PathBuf,
    length: u64,
    md5: Option<String>,
    sender: &mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let mut expected = md5.map(|md5| (Md5::new(), md5));
    let mut buffer = BytesMut::new();
    let mut left = length;
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(CHUNK_SIZE).min(CHUNK_SIZE);
        // BytesMut reuses the memory of chunks that were sent.
        buffer.resize(size, 0);
        let filled = read_full(&mut file, &mut buffer)?;
        if filled < size {
            return Err(wrong_length(length, length - left + filled as u64));
        }
        left -= size as u64;
        if let Some((hasher, _)) = &mut expected {
            hasher.update(&buffer);
        }
        if let Some((hasher, md5)) = expected.take_if(|_| left == 0)
            && md5_hex(hasher) != md5
        {
            let reason = "the file changed while it was uploaded";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        if sender.blocking_send(buffer.split().freeze()).is_err() {
            // The request was dropped.
            return Ok(());
        }
    }
    Ok(())
}

/// Sends the bytes of a reader, which must be exactly `length` bytes.
pub(super) fn from_reader(
    mut reader: Pin<Box<dyn AsyncRead + Send>>,
    length: u64,
    meter: &Arc<TransferMeter>,
) -> (Body, LocalError) {
    let (sender, body, local_error) = channel(length, meter);
    let task_error = local_error.clone();
    tokio::spawn(async move {
        if let Err(error) = pump(&mut reader, length, &sender).await {
            task_error.set(error);
        }
    });
    (body, local_error)
}

async fn pump(
    reader: &mut Pin<Box<dyn AsyncRead + Send>>,
    length: u64,
    sender: &mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let mut done = 0;
    loop {
        // The last chunk is held back until the reader has ended, so that a reader that is too long
        // does not result in a stored file.
        if done < length
            && !buffer.is_empty()
            && sender.send(buffer.split().freeze()).await.is_err()
        {
            return Ok(());
        }
        buffer.reserve(CHUNK_SIZE);
        let read = tokio::select! {
            read = reader.read_buf(&mut buffer) => read?,
            () = sender.closed() => return Ok(()),
        };
        done += read as u64;
        if done > length || read == 0 && done < length {
            return Err(wrong_length(length, done));
        }
        if read == 0 {
            // Fails only if the request was dropped.
            let _ = sender.send(buffer.freeze()).await;
            return Ok(());
        }
    }
}

fn channel(length: u64, meter: &Arc<TransferMeter>) -> (mpsc::Sender<Bytes>, Body, LocalError) {
    let (sender, chunks) = mpsc::channel(QUEUED_CHUNKS);
    let local_error = LocalError::default();
    let body = MeteredBody {
        chunks: Chunks::Channel(chunks),
        left: length,
        local_error: local_error.clone(),
        meter: Arc::clone(meter),
    };
    (sender, Body::wrap(body), local_error)
}

enum Chunks {
    Memory(Bytes),
    Channel(mpsc::Receiver<Bytes>),
}

/// A body that knows its length and counts the bytes that are sent.
struct MeteredBody {
    chunks: Chunks,
    left: u64,
    local_error: LocalError,
    meter: Arc<TransferMeter>,
}

impl http_body::Body for MeteredBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let chunk = match &mut self.chunks {
            Chunks::Memory(bytes) if bytes.is_empty() => None,
            Chunks::Memory(bytes) => Some(bytes.split_to(bytes.len().min(CHUNK_SIZE))),
            Chunks::Channel(chunks) => ready!(chunks.poll_recv(cx)),
        };
        Poll::Ready(match chunk {
            Some(chunk) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                self.meter.add(chunk.len());
                Some(Ok(Frame::data(chunk)))
            }
            None if self.left > 0 => {
                let error = self.local_error.take();
                let error = error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                let message: BoxError = error.to_string().into();
                self.local_error.set(error);
                Some(Err(message))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && matches!(self.chunks, Chunks::Memory(_))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
