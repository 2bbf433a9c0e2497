//! Blocking work on files, above all MD5 computation.
//!
//! A blocking task cannot be aborted, and a runtime waits for it at shutdown. Long work therefore
//! checks a flag that is set when its caller was dropped.

use std::io::{self, Read};
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use md5::{Digest, Md5};

use crate::Error;

/// How many bytes are read at a time.
const CHUNK_SIZE: usize = 512 << 10;

/// How many chunks are read ahead of the computation.
const QUEUED_CHUNKS: usize = 4;

/// Tells blocking work whether its caller was dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err(io::Error::other("the operation was cancelled")),
        }
    }
}

/// Cancels the work when it is dropped.
struct CancelOnDrop(Cancellation);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on a thread for blocking tasks.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce(&Cancellation) -> Result<T, E> + Send + 'static,
) -> Result<T, Error>
where
    T: Send + 'static,
    E: Into<Error> + Send + 'static,
{
    let cancellation = Cancellation::default();
    let _guard = CancelOnDrop(cancellation.clone());
    match tokio::task::spawn_blocking(move || work(&cancellation)).await {
        Ok(done) => done.map_err(Into::into),
        Err(panicked) => Err(Error::from(io::Error::other(panicked))),
    }
}

/// Computes the MD5 of the remaining bytes of `reader`.
///
/// Long input is read by a second thread while the MD5 is computed.
pub(crate) fn md5_of(mut reader: impl Read + Send, cancellation: &Cancellation) -> io::Result<Md5> {
    cancellation.check()?;
    let mut md5 = Md5::new();
    let mut first = vec![0; CHUNK_SIZE];
    let read = read_full(&mut reader, &mut first)?;
    md5.update(&first[..read]);
    if read < CHUNK_SIZE {
        return Ok(md5);
    }
    let (filled, to_hash) = mpsc::sync_channel(QUEUED_CHUNKS);
    let (hashed, to_fill) = mpsc::sync_channel(QUEUED_CHUNKS);
    for buffer in iter::once(first).chain(iter::repeat_n(vec![0; CHUNK_SIZE], QUEUED_CHUNKS - 1)) {
        // The channel has capacity for all buffers.
        let _ = hashed.try_send(buffer);
    }
    thread::scope(move |scope| {
        thread::Builder::new().spawn_scoped(scope, move || {
            for mut buffer in to_fill {
                let read = read_full(&mut reader, &mut buffer);
                let more = read.as_ref().is_ok_and(|read| *read == CHUNK_SIZE);
                let sent = filled.send(read.map(|read| (buffer, read)));
                if sent.is_err() || !more {
                    return;
                }
            }
        })?;
        for buffer in to_hash {
            cancellation.check()?;
            let (buffer, read) = buffer?;
            md5.update(&buffer[..read]);
            // The reader has ended after the last chunk.
            let _ = hashed.send(buffer);
        }
        Ok(md5)
    })
}

/// Reads until the buffer is full or the input ends.
pub(crate) fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Returns an MD5 as hexadecimal digits.
pub(crate) fn md5_hex(md5: Md5) -> String {
    hex::encode(md5.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader without end that reports each read.
    struct Endless(mpsc::Sender<()>);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // The test stops listening after the first read.
            let _ = self.0.send(());
            Ok(buffer.len())
        }
    }

    #[tokio::test]
    async fn md5_of_stops_after_cancellation() {
        let (reading, is_read) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let work = tokio::spawn(blocking(move |cancellation| {
            let result = md5_of(Endless(reading), cancellation).map(md5_hex);
            ending.send(result.is_err()).unwrap();
            result
        }));
        let (is_read, ended) = tokio::task::spawn_blocking(move || {
            is_read.recv().unwrap();
            (is_read, ended)
        })
        .await
        .unwrap();
        work.abort();
        let failed = tokio::task::spawn_blocking(move || ended.recv().unwrap());
        assert!(failed.await.unwrap());
        drop(is_read);
    }

    #[test]
    fn md5_of_matches_reference_at_chunk_boundaries() {
        let cancellation = Cancellation::default();
        let md5 = md5_of(&b"a"[..], &cancellation).unwrap();
        assert_eq!(md5_hex(md5), "0cc175b9c0f1b6a831c399e269772661");
        for length in [
            0,
            1,
            CHUNK_SIZE - 1,
            CHUNK_SIZE,
            CHUNK_SIZE + 1,
            3 * CHUNK_SIZE,
            9 * CHUNK_SIZE + 7,
        ] {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let md5 = md5_of(bytes.as_slice(), &cancellation).unwrap();
            assert_eq!(md5_hex(md5), hex::encode(Md5::digest(&bytes)), "{length}");
        }
    }

    /// A reader that fails after a number of bytes and is interrupted before each piece.
    struct FailingReader(usize, bool);

    impl Read for FailingReader {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let read = buffer.len().min(self.0).min(1000);
            self.0 -= read;
            match read {
                0 => Err(io::Error::other("the disk broke")),
                _ => Ok(read),
            }
        }
    }

    #[test]
    fn md5_of_returns_read_error_at_any_position() {
        let cancellation = Cancellation::default();
        for length in [0, CHUNK_SIZE, 7 * CHUNK_SIZE + 1] {
            let error = md5_of(FailingReader(length, false), &cancellation).unwrap_err();
            assert_eq!(error.to_string(), "the disk broke");
        }
    }
}
