//! Webhooks as Open Humans sends them, one after the other, and how long each took.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use oh_core::Timestamp;
use sha1::Sha1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::victim::Victim;

/// Open Humans gives up after about 30 s.
const PATIENCE: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(crate) struct Genuine {
    /// How long each took, in order of length.
    pub(crate) times: Vec<Duration>,
    /// Why some got another answer than 204, or none.
    pub(crate) unanswered: Vec<String>,
}

impl Genuine {
    /// Sends until then. None waits for the one before.
    pub(crate) async fn send(victim: &Victim, until: Instant) -> Self {
        let mut ticks = tokio::time::interval(EVERY);
        let mut sending = JoinSet::new();
        let mut number = 10_000_000;
        while Instant::now() < until {
            ticks.tick().await;
            number += 1;
            let request = request(number, &victim.sandbox.webhook_secret());
            let address = victim.address;
            sending.spawn(async move {
                let began = Instant::now();
                let answer = tokio::time::timeout(PATIENCE, answer(address, &request)).await;
                (began.elapsed(), answer)
            });
        }
        let mut all = Self::default();
        while let Some(sent) = sending.join_next().await {
            let (time, answer) = sent.expect("sending does not panic");
            all.times.push(time);
            match answer {
                Ok(Ok(line)) if line.contains(" 204") => {}
                Ok(Ok(line)) => all.unanswered.push(line),
                Ok(Err(error)) => all.unanswered.push(error.to_string()),
                Err(_) => all.unanswered.push("no answer in 30 s".into()),
            }
        }
        all.times.sort();
        all
    }

    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let last = self.times.len().saturating_sub(1);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "there are some hundreds"
        )]
        let at = (last as f64 * share).ceil() as usize;
        self.times.get(at).copied().unwrap_or_default()
    }
}

fn request(member: u32, secret: &str) -> Vec<u8> {
    let at = Timestamp::now();
    let body = format!(
        "{{\"project_member_id\": \"{member}\", \"erasure_requested\": true, \"timestamp\": \"{at}\"}}"
    );
    let mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    let signature = mac.chain_update(&body).finalize().into_bytes();
    format!(
        "POST /openhumans/deauth HTTP/1.1\r\nHost: localhost:8000\r\nConnection: close\r\n\
         Content-Type: application/json\r\nX-OpenHumans-Webhooks-Signature: sha1={}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        hex::encode(signature),
        body.len(),
    )
    .into_bytes()
}

/// The first line of the answer.
async fn answer(address: SocketAddr, request: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while !answer.ends_with(b"\r\n") && !answer.contains(&b'\n') {
        match stream.read(&mut part).await? {
            0 => break,
            read => answer.extend_from_slice(&part[..read]),
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    Ok(text.lines().next().unwrap_or("nothing").to_owned())
}
