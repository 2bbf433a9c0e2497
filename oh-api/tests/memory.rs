//! What answers cost in memory, measured from outside: each case runs in a process of its own,
//! whose highest resident memory Linux counts (`VmHWM` in `/proc/self/status`).
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

/// An answer made of pieces, each repeated, that never lies in memory whole.
type Pieces = Vec<(&'static str, usize)>;

struct Arriving(VecDeque<(&'static str, usize)>);

impl http_body::Body for Arriving {
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

struct Answers(Mutex<VecDeque<Pieces>>);

#[async_trait]
impl Transport for Answers {
    async fn send(&self, _: http::Request<Body>) -> Result<http::Response<Body>, TransportError> {
        let pieces = self.0.lock().unwrap().pop_front().expect("one more answer");
        Ok(http::Response::new(Body::wrap(Arriving(pieces.into()))))
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

/// The cases: what is requests, and the answers.
fn answers(case: &str) -> Vec<Pieces> {
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

/// Whether what was asked was answered.
async fn ask(case: &str, client: &Client) -> bool {
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

/// Not a test of its own: one case, in the process that [`costs`] starts.
#[test]
fn child() {
    let Ok(case) = std::env::var("OH_MEMORY_CASE") else {
        return;
    };
    let answers = answers(&case);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let transport = Arc::new(Answers(Mutex::new(answers.into())));
    let client = Client::with_transport("https://oh.example", transport).unwrap();
    let before = peak();
    let answered = runtime.block_on(ask(&case, &client));
    println!("\ncost={} answered={answered}", peak() - before);
}

/// How many bytes a case takes at its peak, and whether it was answered.
fn costs(case: &str) -> (usize, bool) {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env("OH_MEMORY_CASE", case)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = out.lines().find_map(|l| l.strip_prefix("cost="));
    let (cost, answered) = line.and_then(|l| l.split_once(" answered=")).expect(&out);
    (cost.parse().unwrap(), answered == "true")
}

#[test]
fn an_answer_costs_less_than_four_times_its_length() {
    for (case, answered) in [
        ("one page", true),
        ("metadata", true),
        ("many", false),
        ("members", false),
        ("sources", false),
        ("ids", true),
        ("count", true),
    ] {
        let length = length(&answers(case)[0]);
        let cost = costs(case);
        println!("{case}: {} bytes cost {}", length, cost.0);
        assert!(length > 20 * MIB, "{case} is too small to tell");
        assert!(
            cost.0 < 4 * length,
            "{case}: {} bytes cost {}",
            length,
            cost.0
        );
        assert_eq!(cost.1, answered, "{case}");
    }
}

#[test]
fn a_list_costs_no_more_than_its_longest_page() {
    let one = costs("metadata").0;
    let four = costs("list").0;
    println!("one page: {one} bytes, four pages: {four}");
    assert!(four < one + one / 4, "one page: {one} bytes, four: {four}");
}

#[test]
fn an_answer_about_one_thing_is_not_read_beyond_two_mebibytes() {
    let (cost, answered) = costs("single");
    assert!(!answered);
    assert!(cost < 8 * MIB, "{cost}");
}
