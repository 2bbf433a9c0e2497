//! Connections that can be reset.
//!
//! A network failure is a reset, not an orderly close. Each connection has a handle, which request
//! handlers use to make the next read or write fail and send an RST.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A handle that resets one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResetHandle(Arc<ConnectionState>);

#[derive(Debug, Default)]
struct ConnectionState {
    reset_requested: AtomicBool,
    /// The number of bytes written.
    written: AtomicU64,
    wrote: Notify,
}

impl ResetHandle {
    pub(crate) fn reset(&self) {
        self.0.reset_requested.store(true, Ordering::Release);
    }

    /// Returns the number of bytes written.
    pub(crate) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Acquire)
    }

    /// Waits until this number of bytes has been written.
    pub(crate) async fn wait_until_written(&self, bytes: u64) {
        loop {
            let mut wrote = pin!(self.0.wrote.notified());
            wrote.as_mut().enable();
            if self.written() >= bytes {
                return;
            }
            wrote.await;
        }
    }

    fn reset_requested(&self) -> bool {
        self.0.reset_requested.load(Ordering::Acquire)
    }
}

/// A listener whose connections have a [`ResetHandle`].
#[derive(Debug)]
pub(crate) struct ResettableListener(pub(crate) TcpListener);

impl Listener for ResettableListener {
    type Io = ResettableConnection;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (ResettableConnection, Self::Addr) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        // Avoids waiting for delayed acknowledgements.
        let _ = stream.set_nodelay(true);
        (
            ResettableConnection {
                stream,
                reset: ResetHandle::default(),
            },
            peer,
        )
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, ResettableListener>> for ResetHandle {
    fn connect_info(stream: IncomingStream<'_, ResettableListener>) -> Self {
        stream.io().reset.clone()
    }
}

/// A connection with its handle.
#[derive(Debug)]
pub(crate) struct ResettableConnection {
    stream: TcpStream,
    reset: ResetHandle,
}

impl ResettableConnection {
    fn check(&self) -> io::Result<()> {
        if self.reset.reset_requested() {
            // With zero linger, dropping the socket sends an RST.
            let _ = self.stream.set_zero_linger();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = result {
            self.reset
                .0
                .written
                .fetch_add(bytes as u64, Ordering::AcqRel);
            self.reset.0.wrote.notify_waiters();
        }
        result
    }
}

impl AsyncRead for ResettableConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ResettableConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
