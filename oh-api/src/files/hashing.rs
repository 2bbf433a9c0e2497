//! Work on files that blocks, on a thread of its own: above all their MD5.
//!
//! Such a thread cannot be ended from outside, and a program that is told to end waits for it. So
//! it is told when nobody waits for it any more, and long work looks.

use std::io::{self, Read};
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use md5::{Digest, Md5};

use crate::Error;

/// How much is read at a time.
const CHUNK_SIZE: usize = 512 << 10;

/// How many such pieces are read before they are needed.
const QUEUED_CHUNKS: usize = 4;

/// Whether somebody still waits for what is being done.
#[derive(Clone, Debug)]
pub(crate) struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(io::Error::other("nobody waits for this any more")),
        }
    }
}

/// Says that nobody waits any more when it is dropped.
struct Waiting(Cancellation);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// Runs `work` where it may block.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce(&Cancellation) -> Result<T, E> + Send + 'static,
) -> Result<T, Error>
where
    T: Send + 'static,
    E: Into<Error> + Send + 'static,
{
    let cancellation = Cancellation(Arc::new(AtomicBool::new(true)));
    let _waiting = Waiting(cancellation.clone());
    match tokio::task::spawn_blocking(move || work(&cancellation)).await {
        Ok(done) => done.map_err(Into::into),
        Err(stopped) => Err(Error::from(io::Error::other(stopped))),
    }
}

/// The MD5 of all that is left to read. Fails once nobody waits for it.
///
/// What is long is read by a thread of its own while the MD5 of what was read is computed.
pub(crate) fn md5_of(mut from: impl Read + Send, cancellation: &Cancellation) -> io::Result<Md5> {
    cancellation.check()?;
    let mut md5 = Md5::new();
    let mut first = vec![0; CHUNK_SIZE];
    let read = fill(&mut from, &mut first)?;
    md5.update(&first[..read]);
    if read < CHUNK_SIZE {
        return Ok(md5);
    }
    let (filled, to_hash) = mpsc::sync_channel(QUEUED_CHUNKS);
    let (hashed, to_fill) = mpsc::sync_channel(QUEUED_CHUNKS);
    for buffer in iter::once(first).chain(iter::repeat_n(vec![0; CHUNK_SIZE], QUEUED_CHUNKS - 1)) {
        // There is room for all of them.
        let _ = hashed.try_send(buffer);
    }
    thread::scope(move |scope| {
        thread::Builder::new().spawn_scoped(scope, move || {
            for mut buffer in to_fill {
                let read = fill(&mut from, &mut buffer);
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
            // Nothing is left to read when nobody takes it.
            let _ = hashed.send(buffer);
        }
        Ok(md5)
    })
}

/// Reads until the buffer is full or nothing is left.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// An MD5 as people write it.
pub(crate) fn shown(md5: Md5) -> String {
    hex::encode(md5.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has no end, and says when it is read.
    struct Endless(mpsc::Sender<()>);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // Whoever listened may have heard enough.
            let _ = self.0.send(());
            Ok(buffer.len())
        }
    }

    #[tokio::test]
    async fn ends_soon_after_nobody_waits_any_more() {
        let (reading, is_read) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let work = tokio::spawn(blocking(move |cancellation| {
            let result = md5_of(Endless(reading), cancellation).map(shown);
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
    fn is_the_md5() {
        let cancellation = Cancellation(Arc::new(AtomicBool::new(true)));
        let md5 = md5_of(&b"a"[..], &cancellation).unwrap();
        assert_eq!(shown(md5), "0cc175b9c0f1b6a831c399e269772661");
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
            assert_eq!(shown(md5), hex::encode(Md5::digest(&bytes)), "{length}");
        }
    }

    /// Ends in an error after so many bytes, and is interrupted before each piece.
    struct Breaks(usize, bool);

    impl Read for Breaks {
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
    fn what_cannot_be_read_has_none() {
        let cancellation = Cancellation(Arc::new(AtomicBool::new(true)));
        for length in [0, CHUNK_SIZE, 7 * CHUNK_SIZE + 1] {
            let error = md5_of(Breaks(length, false), &cancellation).unwrap_err();
            assert_eq!(error.to_string(), "the disk broke");
        }
    }
}
