//! Receives the content of an object.
//!
//! A short queue connects the connection and a thread that writes, which bounds the memory.

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

/// Up to this size the ETag is the MD5 of the content, as for S3 objects that were uploaded in one
/// part. For larger objects it is random, as for multipart uploads.
const MAX_HASHED_SIZE: u64 = 16 << 20;

/// The capacity of the queue.
const QUEUED_FRAMES: usize = 16;

/// Writes content from memory.
pub(crate) fn write(path: PathBuf, bytes: &[u8], now: OffsetDateTime) -> io::Result<Content> {
    let mut sink = Sink::create(path, now)?;
    sink.take(bytes)?;
    Ok(sink.finish())
}

/// Writes the body of a request. Stores nothing if the body is shorter than its `Content-Length`.
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
        // Dropping the content deletes the file.
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
    async fn receive_discards_body_shorter_than_content_length() {
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
