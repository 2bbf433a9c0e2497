//! Whether the time a webhook's refusal takes tells where its signature goes wrong.
//!
//! ```sh
//! cargo run --release -p oh-tests --bin timing
//! ```
//!
//! Signatures with a wrong first byte are verified beside signatures with a wrong last byte
//! only, in random order, and the two lots of times are compared by Welch's t-test, as dudect does
//! ("dude, is my code constant time?", Reparaz and others, 2017): the slowest are left out at several
//! places, and the largest |t| counts. Above 10 the times differ for certain; below, there is nothing to see. So
//! that nobody takes a blunt instrument for an answer, the same is done to a comparison that stops at
//! the first wrong byte, and there it must be seen. The last line is JSON; fails when either is not as
//! it must be.

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
    /// How many signatures of each kind are verified.
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

/// What `verify` must not be.
#[inline(never)]
fn stops_early(found: &[u8; 20], wanted: &[u8; 20]) -> bool {
    for (found, wanted) in found.iter().zip(wanted) {
        if black_box(found) != black_box(wanted) {
            return false;
        }
    }
    true
}

/// The largest t between the times of the two kinds, over several places to cut the slowest off.
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

/// Mean, variance and number.
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
