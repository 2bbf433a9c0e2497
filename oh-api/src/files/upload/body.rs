//! Request bodies of a known length, read a chunk ahead of what is sent.

use std::io::{self, Read};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

use crate::files::progress::TransferMeter;
use crate::transport::{Body, BoxError};

/// How much is read at a time.
pub(super) const CHUNK_SIZE: usize = 256 << 10;
/// How many chunks may wait to be sent.
const QUEUED_CHUNKS: usize = 4;

/// What went wrong on this side while a body was sent.
#[derive(Clone, Default)]
pub(super) struct LocalError(Arc<Mutex<Option<io::Error>>>);

impl LocalError {
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(|p| p.into_inner()).take()
    }

    fn set(&self, error: io::Error) {
        *self.0.lock().unwrap_or_else(|p| p.into_inner()) = Some(error);
    }
}

pub(super) fn wrong_length(promised: u64, found: u64) -> io::Error {
    let reason = format!("the source has {found} bytes where {promised} were promised");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

pub(super) fn in_memory(bytes: Bytes, meter: &Arc<TransferMeter>) -> (Body, LocalError) {
    let length = bytes.len() as u64;
    let body = Metered {
        chunks: Chunks::Memory(bytes),
        left: length,
        local_error: LocalError::default(),
        meter: Arc::clone(meter),
    };
    (Body::wrap(body), LocalError::default())
}

/// The first `length` bytes of a file, read on a thread of its own.
pub(super) fn from_file(
    path: PathBuf,
    length: u64,
    meter: &Arc<TransferMeter>,
) -> (Body, LocalError) {
    let (sender, body, local_error) = channel(length, meter);
    let thread_trouble = local_error.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read_file(&path, length, &sender) {
            thread_trouble.set(error);
        }
    });
    (body, local_error)
}

fn read_file(path: &PathBuf, length: u64, sender: &mpsc::Sender<Bytes>) -> io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let mut buffer = BytesMut::new();
    let mut left = length;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(CHUNK_SIZE).min(CHUNK_SIZE);
        // Buffers come back to be used again once what was in them is sent.
        buffer.resize(want, 0);
        let mut filled = 0;
        while filled < want {
            match file.read(&mut buffer[filled..]) {
                Ok(0) => return Err(wrong_length(length, length - left + filled as u64)),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        left -= want as u64;
        if sender.blocking_send(buffer.split().freeze()).is_err() {
            // Nobody wants it any more.
            return Ok(());
        }
    }
    Ok(())
}

/// What a reader gives, which must be `length` bytes.
pub(super) fn from_reader(
    mut reader: Pin<Box<dyn AsyncRead + Send>>,
    length: u64,
    meter: &Arc<TransferMeter>,
) -> (Body, LocalError) {
    let (sender, body, local_error) = channel(length, meter);
    let task_trouble = local_error.clone();
    tokio::spawn(async move {
        if let Err(error) = pump(&mut reader, length, &sender).await {
            task_trouble.set(error);
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
        // The last byte leaves only once nothing follows it: a reader that is too long must not
        // end in a file that looks whole.
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
            // Whether anyone still wants it makes no difference any more.
            let _ = sender.send(buffer.freeze()).await;
            return Ok(());
        }
    }
}

fn channel(length: u64, meter: &Arc<TransferMeter>) -> (mpsc::Sender<Bytes>, Body, LocalError) {
    let (sender, chunks) = mpsc::channel(QUEUED_CHUNKS);
    let local_error = LocalError::default();
    let body = Metered {
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

/// A body that knows its length and counts what leaves.
struct Metered {
    chunks: Chunks,
    left: u64,
    local_error: LocalError,
    meter: Arc<TransferMeter>,
}

impl http_body::Body for Metered {
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
                self.meter.moved(chunk.len());
                Some(Ok(Frame::data(chunk)))
            }
            None if self.left > 0 => {
                let error = self.local_error.take();
                let error = error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                let told: BoxError = error.to_string().into();
                self.local_error.set(error);
                Some(Err(told))
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
