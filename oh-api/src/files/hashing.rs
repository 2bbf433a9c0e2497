//! Work on files that blocks, on a thread of its own: above all their MD5.
//!
//! Such a thread cannot be ended from outside, and a program that is told to end waits for it. So
//! it is told when nobody waits for it any more, and long work looks.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use md5::{Digest, Md5};

use crate::Error;

/// How much is read at a time.
const CHUNK: usize = 256 << 10;

/// Whether somebody still waits for what is being done.
#[derive(Clone, Debug)]
pub(crate) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    fn check(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(io::Error::other("nobody waits for this any more")),
        }
    }
}

/// Says that nobody waits any more when it is dropped.
struct Waiting(Wanted);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// Runs `work` where it may block.
pub(crate) async fn blocking<T, E>(
    work: impl FnOnce(&Wanted) -> Result<T, E> + Send + 'static,
) -> Result<T, Error>
where
    T: Send + 'static,
    E: Into<Error> + Send + 'static,
{
    let wanted = Wanted(Arc::new(AtomicBool::new(true)));
    let _waiting = Waiting(wanted.clone());
    match tokio::task::spawn_blocking(move || work(&wanted)).await {
        Ok(done) => done.map_err(Into::into),
        Err(stopped) => Err(Error::from(io::Error::other(stopped))),
    }
}

/// The MD5 of all that is left to read. Fails once nobody waits for it.
pub(crate) fn md5_of(mut from: impl Read, wanted: &Wanted) -> io::Result<Md5> {
    let mut md5 = Md5::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        wanted.check()?;
        match from.read(&mut buffer) {
            Ok(0) => return Ok(md5),
            Ok(read) => md5.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// An MD5 as people write it.
pub(crate) fn shown(md5: Md5) -> String {
    hex::encode(md5.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

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
        let work = tokio::spawn(blocking(move |wanted| {
            let result = md5_of(Endless(reading), wanted).map(shown);
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
        let wanted = Wanted(Arc::new(AtomicBool::new(true)));
        let md5 = md5_of(&b"a"[..], &wanted).unwrap();
        assert_eq!(shown(md5), "0cc175b9c0f1b6a831c399e269772661");
    }
}
