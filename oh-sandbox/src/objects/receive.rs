//! Taking in an object's content, at the speed of the disk.
//!
//! The network side hands frames over a short queue to a thread that does nothing but write, so
//! neither waits for the other, and memory stays at what the queue holds.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use md5::{Digest, Md5};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::content::Content;

/// Up to this size an object's tag is the MD5 of its content, as S3 has it for what was put in
/// one piece. Beyond, it says nothing about the content, as for what was put in parts.
const MAX_HASHED_SIZE: u64 = 16 << 20;

/// Frames on their way to the disk.
const QUEUED_FRAMES: usize = 16;

/// Writes what is already in memory.
pub(crate) fn write(path: PathBuf, bytes: &[u8], now: OffsetDateTime) -> io::Result<Content> {
    let mut sink = Sink::create(path, now)?;
    sink.take(bytes)?;
    Ok(sink.finish())
}

/// Writes what a request brings. If less comes than was announced, nothing is kept.
pub(crate) async fn receive(
    path: PathBuf,
    body: Body,
    announced: u64,
    now: OffsetDateTime,
) -> io::Result<Content> {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(QUEUED_FRAMES);
    let writing = tokio::task::spawn_blocking(move || {
        let mut sink = Sink::create(path, now)?;
        while let Some(frame) = receiver.blocking_recv() {
            sink.take(&frame)?;
        }
        Ok::<_, io::Error>(sink.finish())
    });
    let mut frames = body.into_data_stream();
    while let Some(Ok(frame)) = frames.next().await {
        if sender.send(frame).await.is_err() {
            break;
        }
    }
    drop(sender);
    let content = writing.await.map_err(io::Error::other)??;
    if content.size != announced {
        // Dropping the content removes its file.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(content)
}

struct Sink {
    file: File,
    content: Content,
    hash: Option<Md5>,
}

impl Sink {
    fn create(path: PathBuf, modified: OffsetDateTime) -> io::Result<Self> {
        let file = File::create_new(&path)?;
        let content = Content {
            path,
            size: 0,
            etag: String::new(),
            modified,
        };
        Ok(Self {
            file,
            content,
            hash: Some(Md5::new()),
        })
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.content.size += bytes.len() as u64;
        if self.content.size > MAX_HASHED_SIZE {
            self.hash = None;
        }
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        Ok(())
    }

    fn finish(mut self) -> Content {
        self.content.etag = match self.hash {
            Some(hash) => format!("\"{}\"", hex::encode(hash.finalize())),
            None => format!("\"{}-2\"", hex::encode(crate::secret::random::<16>())),
        };
        self.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_short_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let now = OffsetDateTime::UNIX_EPOCH;
        assert!(
            receive(path.clone(), Body::from("abc"), 4, now)
                .await
                .is_err()
        );
        assert!(!path.exists());
        let content = receive(path.clone(), Body::from("abc"), 3, now)
            .await
            .unwrap();
        assert_eq!(content.etag, "\"900150983cd24fb0d6963f7d28e17f72\"");
        drop(content);
        assert!(!path.exists());
    }
}
