//! HTTP/1.1 as bytes on a socket, for tests that send requests that no client library would send.
//!
//! Each request has its own connection and is sent byte for byte. A response is read up to its declared
//! length, so a response before the end of the request body is visible.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long to wait for a response.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

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
    /// With a `Content-Length`.
    Sized(Vec<u8>),
    /// Chunked, without a `Content-Length`.
    Chunked(Vec<Vec<u8>>),
    /// A `Content-Length` without the body.
    Announced(u64),
}

impl Request {
    /// Creates a request without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Body::None,
        }
    }

    /// Creates a GET request.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Creates a POST request.
    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// Adds a header. Existing headers of the same name remain.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Removes all headers of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Sets a body with its `Content-Length`.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Body::Sized(body.into());
        self
    }

    /// Sets a chunked body.
    #[must_use]
    pub fn chunks(mut self, chunks: &[&[u8]]) -> Self {
        self.body = Body::Chunked(chunks.iter().map(|chunk| chunk.to_vec()).collect());
        self
    }

    /// Sets a `Content-Length`, and sends no body.
    #[must_use]
    pub fn announce(mut self, length: u64) -> Self {
        self.body = Body::Announced(length);
        self
    }

    /// Returns the bytes to send to `host`.
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

    /// Returns the method.
    pub fn method(&self) -> &str {
        &self.method
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// The status code.
    pub status: u16,
    /// The headers in their order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without the chunk framing.
    pub body: Vec<u8>,
}

impl RawResponse {
    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns all values of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let has_name = move |(n, _): &&(String, String)| n == name;
        self.headers
            .iter()
            .filter(has_name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the target of a redirect.
    ///
    /// # Panics
    ///
    /// If the response has no `Location`.
    pub fn location(&self) -> &str {
        self.header("location")
            .unwrap_or_else(|| panic!("no redirect: {self:?}"))
    }
}

/// Sends one request and reads the response.
///
/// # Errors
///
/// If the connection fails or ends early, or after [`RESPONSE_TIMEOUT`].
pub async fn send(addr: SocketAddr, host: &str, request: &Request) -> io::Result<RawResponse> {
    let mut connection = Connection::open(addr).await?;
    connection.write(&request.to_bytes(host)).await?;
    connection.response(request.method()).await
}

/// A connection to which a test writes bytes.
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
    /// If the connection is refused.
    pub async fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// Writes bytes. A peer that has responded and closed the connection is no error, so that the test can
    /// read the response.
    ///
    /// # Errors
    ///
    /// If the write fails for another reason.
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

    /// Reads the response to a request of this method.
    ///
    /// # Errors
    ///
    /// If the connection ends early, or after [`RESPONSE_TIMEOUT`].
    pub async fn response(&mut self, method: &str) -> io::Result<RawResponse> {
        tokio::time::timeout(RESPONSE_TIMEOUT, self.read_response(method))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no response"))?
    }

    async fn read_response(&mut self, method: &str) -> io::Result<RawResponse> {
        loop {
            let head = self.until(b"\r\n\r\n").await?;
            let mut response = parse_head(&head)?;
            if (100..200).contains(&response.status) {
                continue;
            }
            let no_body = method == "HEAD" || matches!(response.status, 204 | 304);
            if no_body {
                return Ok(response);
            }
            if response.header("transfer-encoding") == Some("chunked") {
                loop {
                    let line = self.until(b"\r\n").await?;
                    let size = std::str::from_utf8(&line)
                        .ok()
                        .and_then(|line| usize::from_str_radix(line.trim(), 16).ok())
                        .ok_or_else(|| invalid("a chunk has no size"))?;
                    let chunk = self.exactly(size + 2).await?;
                    if size == 0 {
                        return Ok(response);
                    }
                    response.body.extend_from_slice(&chunk[..size]);
                }
            }
            match response.header("content-length").map(str::parse) {
                Some(Ok(length)) => response.body = self.exactly(length).await?,
                Some(Err(_)) => return Err(invalid("the content length is not a number")),
                None => {
                    self.stream.read_to_end(&mut self.read).await?;
                    response.body = std::mem::take(&mut self.read);
                }
            }
            return Ok(response);
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

fn parse_head(head: &[u8]) -> io::Result<RawResponse> {
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
    Ok(RawResponse {
        status,
        headers,
        body: Vec::new(),
    })
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
