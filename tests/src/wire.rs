//! HTTP/1.1 as bytes on a socket, for tests that send requests that no client library would send.
//!
//! Each request has its own connection and is sent byte for byte. A response is read up to its declared
//! length, so a response before the end of the request body is visible.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than any answer on loopback takes; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A request, to be written to a socket.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    None,
    /// Sent with its length.
    Sized(Vec<u8>),
    /// Sent in chunks, without a length.
    Chunked(Vec<Vec<u8>>),
    /// A length is announced, and then nothing is sent.
    Announced(u64),
}

impl Request {
    /// One without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Body::None,
        }
    }

    /// `GET`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST`.
    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// Adds a header; a second one of the same name stands beside the first.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Takes every header of this name away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// A body with its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Sized(body.into());
        self
    }

    /// A chunked body without a content length.
    #[must_use]
    pub fn chunks(mut self, chunks: &[&[u8]]) -> Self {
        self.body = Body::Chunked(chunks.iter().map(|chunk| chunk.to_vec()).collect());
        self
    }

    /// A body that is announced and never sent.
    #[must_use]
    pub fn announce(mut self, length: u64) -> Self {
        self.body = Body::Announced(length);
        self
    }

    /// The bytes, for the app at `host`.
    pub fn to_bytes(&self, host: &str) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let mut line = |name: &str, value: &[u8]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        line("host", host.as_bytes());
        line("connection", b"close");
        for (name, value) in &self.headers {
            line(name, value);
        }
        match &self.body {
            Body::None => {}
            Body::Sized(body) => line("content-length", body.len().to_string().as_bytes()),
            Body::Announced(length) => line("content-length", length.to_string().as_bytes()),
            Body::Chunked(_) => line("transfer-encoding", b"chunked"),
        }
        bytes.extend_from_slice(b"\r\n");
        match &self.body {
            Body::None | Body::Announced(_) => {}
            Body::Sized(body) => bytes.extend_from_slice(body),
            Body::Chunked(chunks) => {
                for chunk in chunks {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }

    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunks put together.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_that_name = move |(n, _): &&(String, String)| n == name;
        self.headers
            .iter()
            .filter(of_that_name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Where it leads; panics if it leads nowhere.
    pub fn location(&self) -> &str {
        self.header("location")
            .unwrap_or_else(|| panic!("no redirect: {self:?}"))
    }
}

/// Sends one request and reads the answer.
///
/// # Errors
///
/// When the connection fails, ends early, or nothing comes for [`PATIENCE`].
pub async fn send(addr: SocketAddr, host: &str, request: &Request) -> io::Result<Answer> {
    let mut connection = Connection::open(addr).await?;
    connection.write(&request.to_bytes(host)).await?;
    connection.answer(request.method()).await
}

/// A connection, to write to bit by bit.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens.
    pub async fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// Writes bytes. A peer that has answered and closed is no error here: the answer is read next.
    ///
    /// # Errors
    ///
    /// Never yet; the answer tells.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.write_all(bytes).await {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Reads one answer to a request of this method.
    ///
    /// # Errors
    ///
    /// When the connection ends early, or nothing comes for [`PATIENCE`].
    pub async fn answer(&mut self, method: &str) -> io::Result<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer(method))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer"))?
    }

    async fn read_answer(&mut self, method: &str) -> io::Result<Answer> {
        loop {
            let head = self.until(b"\r\n\r\n").await?;
            let mut answer = parse_head(&head)?;
            if (100..200).contains(&answer.status) {
                continue;
            }
            let no_body = method == "HEAD" || matches!(answer.status, 204 | 304);
            if no_body {
                return Ok(answer);
            }
            if answer.header("transfer-encoding") == Some("chunked") {
                loop {
                    let line = self.until(b"\r\n").await?;
                    let size = std::str::from_utf8(&line)
                        .ok()
                        .and_then(|line| usize::from_str_radix(line.trim(), 16).ok())
                        .ok_or_else(|| invalid("a chunk without a size"))?;
                    let chunk = self.exactly(size + 2).await?;
                    if size == 0 {
                        return Ok(answer);
                    }
                    answer.body.extend_from_slice(&chunk[..size]);
                }
            }
            match answer.header("content-length").map(str::parse) {
                Some(Ok(length)) => answer.body = self.exactly(length).await?,
                Some(Err(_)) => return Err(invalid("a length that is no number")),
                None => {
                    self.stream.read_to_end(&mut self.read).await?;
                    answer.body = std::mem::take(&mut self.read);
                }
            }
            return Ok(answer);
        }
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|w| w == end) {
                let rest = self.read.split_off(at + end.len());
                return Ok(std::mem::replace(&mut self.read, rest));
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < length {
            self.more().await?;
        }
        let rest = self.read.split_off(length);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn parse_head(head: &[u8]) -> io::Result<Answer> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_end().split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| invalid("no status line"))?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Answer {
        status,
        headers,
        body: Vec::new(),
    })
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
