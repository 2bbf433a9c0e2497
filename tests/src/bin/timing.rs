//! Tests that the time to reject a webhook does not depend on the position of the first wrong byte of
//! its signature.
//!
//! ```sh
//! cargo run --release -p oh-tests --bin timing
//! ```
//!
//! Verifies signatures with a wrong first byte and signatures with a wrong last byte in random order, and
//! compares the two sets of times with Welch's t-test, as dudect does ("dude, is my code constant
//! time?", Reparaz et al., 2017): the slowest measurements are cropped at several percentiles, and the
//! largest |t| counts. A value above 10 means that the times differ. As a control, the same test must
//! detect a comparison that stops at the first wrong byte. The last line is JSON; the exit code is 0 if
//! both results are as expected.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use oh_core::WebhookSecret;
use oh_core::webhook::{SIGNATURE_HEADER, verify};
use serde_json::json;
use sha1::Sha1;

const SECRET: &str = "abcdefghijklmnop";
const BODY: &[u8] = br#"{"project_member_id": "12345678", "erasure_requested": true, "timestamp": "2020-06-30T20:00:00.000000+00:00"}"#;
const CERTAIN: f64 = 10.0;

#[derive(Parser)]
struct Args {
    /// The number of signatures of each kind.
    #[arg(long, default_value_t = 300_000)]
    samples: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let right = right();
    let mut first = right;
    first[0] ^= 0x55;
    let mut last = right;
    last[19] ^= 0x55;
    let secrets = [WebhookSecret::new(SECRET)];
    let headers = [first, last].map(|signature| {
        let mut headers = HeaderMap::new();
        let text = format!("sha1={}", hex::encode(signature));
        headers.insert(SIGNATURE_HEADER, text.parse().expect("hex fits a header"));
        headers
    });

    let ours = compare(args.samples, |kind| {
        black_box(verify(&secrets, black_box(&headers[kind]), BODY).is_ok());
    });
    let signatures = [first, last];
    let stops = compare(args.samples, |kind| {
        black_box(stops_early(black_box(&signatures[kind]), black_box(&right)));
    });
    let line = json!({
        "samples_each": args.samples,
        "verify_t": ours,
        "stops_early_t": stops,
        "certain_above": CERTAIN,
    });
    println!("{line}");
    if stops.abs() < CERTAIN {
        println!(
            "the control comparison, which stops early, was not detected: no conclusion is possible"
        );
        return ExitCode::FAILURE;
    }
    if ours.abs() > CERTAIN {
        println!("the time depends on the position of the first wrong byte");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn right() -> [u8; 20] {
    let mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes any key");
    mac.chain_update(BODY).finalize().into_bytes().into()
}

/// The control: a comparison that stops at the first wrong byte.
#[inline(never)]
fn stops_early(found: &[u8; 20], expected: &[u8; 20]) -> bool {
    for (found, expected) in found.iter().zip(expected) {
        if black_box(found) != black_box(expected) {
            return false;
        }
    }
    true
}

/// Returns the largest |t| between the times of the two kinds, over several crop percentiles.
fn compare(samples: usize, work: impl Fn(usize)) -> f64 {
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    while times.iter().any(|times| times.len() < samples) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let kind = usize::from(random >> 63 == 1);
        let began = Instant::now();
        work(kind);
        #[expect(clippy::cast_precision_loss, reason = "a few hundred nanoseconds")]
        let took = began.elapsed().as_nanos() as f64;
        times[kind].push(took);
    }
    let mut all: Vec<f64> = times.concat();
    all.sort_by(f64::total_cmp);
    let cuts = [0.5, 0.75, 0.9, 0.95, 0.99].map(|share| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a list"
        )]
        let at = (all.len() as f64 * share) as usize;
        all[at]
    });
    let t = cuts.map(|cut| {
        let [a, b] = [0, 1].map(|kind: usize| moments(times[kind].iter().filter(|t| **t <= cut)));
        (a.0 - b.0) / (a.1 / a.2 + b.1 / b.2).sqrt()
    });
    t.into_iter()
        .max_by(|a, b| a.abs().total_cmp(&b.abs()))
        .unwrap_or_default()
}

/// Returns mean, variance and count.
fn moments<'a>(times: impl Iterator<Item = &'a f64>) -> (f64, f64, f64) {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for time in times {
        count += 1.0;
        let off = time - mean;
        mean += off / count;
        squares += off * (time - mean);
    }
    (mean, squares / (count - 1.0_f64).max(1.0), count)
}
