//! The memory use of responses. Each case runs in a separate process, whose peak resident memory Linux
//! reports (`VmHWM` in `/proc/self/status`).
#![cfg(target_os = "linux")]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may"
)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http_body::Frame;
use oh_api::Client;
use oh_api::transport::{Body, Transport, TransportError};

const MIB: usize = 1 << 20;

/// A response of repeated pieces that is generated while it is read.
type Pieces = Vec<(&'static str, usize)>;

struct GeneratedBody(VecDeque<(&'static str, usize)>);

impl http_body::Body for GeneratedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some((piece, times)) = self.0.pop_front() else {
            return Poll::Ready(None);
        };
        let now = times.min(16 * 1024 / piece.len() + 1);
        if times > now {
            self.0.push_front((piece, times - now));
        }
        Poll::Ready(Some(Ok(Frame::data(piece.repeat(now).into()))))
    }
}

struct PreparedResponses(Mutex<VecDeque<Pieces>>);

#[async_trait]
impl Transport for PreparedResponses {
    async fn send(&self, _: http::Request<Body>) -> Result<http::Response<Body>, TransportError> {
        let pieces = self
            .0
            .lock()
            .unwrap()
            .pop_front()
            .expect("no response was prepared");
        Ok(http::Response::new(Body::wrap(GeneratedBody(
            pieces.into(),
        ))))
    }
}

const FILE: &str =
    r#"{"id":7,"basename":"a","download_url":"https://h/","metadata":{"tags":[],"description":"","#;

/// A page of `files` files, each with `items` numbers in its metadata.
fn page(files: usize, items: usize, next: &'static str) -> Pieces {
    let mut pieces = vec![
        (r#"{"count":60,"project_member_id":"01026778","next":"#, 1),
        (next, 1),
        (r#","data":["#, 1),
    ];
    for file in 0..files {
        if file > 0 {
            pieces.push((",", 1));
        }
        pieces.extend([(FILE, 1), (r#""x":[0"#, 1), (",0", items), ("]}}", 1)]);
    }
    pieces.push(("]}", 1));
    pieces
}

fn length(pieces: &Pieces) -> usize {
    pieces
        .iter()
        .map(|(piece, times)| piece.len() * times)
        .sum()
}

fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// Returns the responses of a case.
fn responses(case: &str) -> Vec<Pieces> {
    match case {
        "metadata" | "one page" => vec![page(12, MIB, "null")],
        "list" => vec![
            page(12, MIB, r#""/?offset=12""#),
            page(12, MIB, r#""/?offset=24""#),
            page(12, MIB, r#""/?offset=36""#),
            page(12, MIB, "null"),
        ],
        "many" => vec![vec![
            (r#"{"next":null,"data":["#, 1),
            (r#"{"id":1,"download_url":""},"#, 1_200_000),
            (r#"{"id":1,"download_url":""}]}"#, 1),
        ]],
        "members" => vec![vec![
            (
                r#"{"next":null,"results":[{"project_member_id":"01026778","data":["#,
                1,
            ),
            (r#"{"id":1,"download_url":""},"#, 1_200_000),
            (r#"{"id":1,"download_url":""}]}]}"#, 1),
        ]],
        "sources" => vec![vec![
            (
                r#"{"next":null,"results":[{"project_member_id":"01026778","sources_shared":["#,
                1,
            ),
            (r#""","#, 10 * MIB),
            (r#"""]}]}"#, 1),
        ]],
        "ids" => vec![vec![
            (
                r#"{"next":null,"results":[{"project_member_id":"01026778","data":["#,
                1,
            ),
            (r#"{"id":1,"download_url":""},"#, 1_200_000),
            (r#"{"id":1,"download_url":""}]}]}"#, 1),
        ]],
        "count" => vec![vec![
            (r#"{"next":null,"results":[],"count":[0"#, 1),
            (",0", 15 * MIB),
            ("]}", 1),
        ]],
        "single" => vec![vec![
            (r#"{"id":1,"other":[0"#, 1),
            (",0", 15 * MIB),
            ("]}", 1),
        ]],
        _ => panic!("{case} is no case"),
    }
}

/// Makes the calls of a case, and returns whether they succeeded.
async fn call(case: &str, client: &Client) -> bool {
    let (member, project) = (client.member("t"), client.project("m"));
    match case {
        "one page" => member.exchange_member().await.is_ok(),
        "metadata" | "list" | "many" => {
            let mut files = member.files();
            let mut count = 0;
            loop {
                match files.try_next().await {
                    Ok(Some(file)) => {
                        assert!(file.md5().is_none() && file.description().is_empty());
                        count += 1;
                    }
                    Ok(None) => break count > 0,
                    Err(_) => break false,
                }
            }
        }
        "members" | "sources" | "count" => project.members().try_next().await.is_ok(),
        "ids" => project.member_ids().try_next().await.is_ok(),
        "single" => project.project().await.is_ok(),
        _ => panic!("{case} is no case"),
    }
}

/// Runs one case in the process that [`cost`] starts. Passes immediately as a normal test.
#[test]
fn child() {
    let Ok(case) = std::env::var("OH_MEMORY_CASE") else {
        return;
    };
    let responses = responses(&case);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let transport = Arc::new(PreparedResponses(Mutex::new(responses.into())));
    let client = Client::with_transport("https://oh.example", transport).unwrap();
    let before = peak();
    let succeeded = runtime.block_on(call(&case, &client));
    println!("\ncost={} succeeded={succeeded}", peak() - before);
}

/// Returns the peak memory of a case in bytes, and whether its calls succeeded.
fn cost(case: &str) -> (usize, bool) {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("OH_MEMORY_CASE", case)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = out.lines().find_map(|l| l.strip_prefix("cost="));
    let (cost, succeeded) = line.and_then(|l| l.split_once(" succeeded=")).expect(&out);
    (cost.parse().unwrap(), succeeded == "true")
}

#[test]
fn response_uses_less_than_four_times_its_length() {
    for (case, succeeded) in [
        ("one page", true),
        ("metadata", true),
        ("many", false),
        ("members", false),
        ("sources", false),
        ("ids", true),
        ("count", true),
    ] {
        let length = length(&responses(case)[0]);
        let cost = cost(case);
        println!("{case}: {} bytes cost {}", length, cost.0);
        assert!(length > 20 * MIB, "{case} is too small to tell");
        assert!(
            cost.0 < 4 * length,
            "{case}: {} bytes cost {}",
            length,
            cost.0
        );
        assert_eq!(cost.1, succeeded, "{case}");
    }
}

#[test]
fn list_uses_memory_of_one_page() {
    let one = cost("metadata").0;
    let four = cost("list").0;
    println!("one page: {one} bytes, four pages: {four}");
    assert!(four < one + one / 4, "one page: {one} bytes, four: {four}");
}

#[test]
fn single_resource_response_is_limited_to_two_mebibytes() {
    let (cost, succeeded) = cost("single");
    assert!(!succeeded);
    assert!(cost < 8 * MIB, "{cost}");
}
