//! The command line program: its output and its options.

#![allow(
    clippy::zombie_processes,
    reason = "each program is waited for when its guard is dropped"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use support::{answer, client};
use url::Url;

/// A running program, which is killed when it is dropped.
struct Program {
    child: Child,
    printed: Vec<String>,
    url: Url,
}

impl Program {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_oh-sandbox"))
            .args(["--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("stdout is captured"));
        let mut printed = Vec::new();
        for line in output.lines() {
            let line = line.expect("it prints text");
            let last = line.starts_with("Press Ctrl-C");
            printed.push(line);
            if last {
                break;
            }
        }
        let url = printed
            .iter()
            .find_map(|line| line.strip_prefix("OPENHUMANS_OH_BASE_URL="));
        let url = Url::parse(url.expect("it prints its URL")).expect("a URL");
        Self {
            child,
            printed,
            url,
        }
    }

    fn printed_line(&self, line: &str) -> bool {
        self.printed.iter().any(|printed| printed == line)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn program_prints_constant_credentials() {
    let program = Program::start(&[]);
    assert!(program.printed_line("OPENHUMANS_CLIENT_ID=sandbox-client-id"));
    assert!(program.printed_line("OPENHUMANS_CLIENT_SECRET=sandbox-client-secret"));
    assert!(program.printed_line("OPENHUMANS_MASTER_TOKEN=sandbox-master-token"));
    assert!(program.printed_line("OPENHUMANS_WEBHOOK_SECRET=sandbox-webhook-secret"));
    let (status, members) =
        answer(client().get(program.url.join("/sandbox/members").unwrap())).await;
    assert_eq!(
        (status, &members[0]["project_member_id"]),
        (200, &json!("01026778"))
    );
}

#[tokio::test]
async fn options_override_defaults() {
    let program = Program::start(&[
        "--client-id=c",
        "--client-secret=s",
        "--master-token=m",
        "--redirect-uri=http://app.test/a",
        "--redirect-uri=http://app.test/b",
        "--webhook-url=http://127.0.0.1:9/deauth",
        "--webhook-secret=abcdefghijklmnop",
        "--member=00000001:zoe",
        "--member=00000002",
        "--joined-members=3",
        "--server=newest",
    ]);
    let authorize = "/direct-sharing/projects/oauth2/authorize/?client_id=c&response_type=code\
                     &sandbox_member=00000002&sandbox_decision=allow&redirect_uri=http://app.test/b";
    let response = client()
        .get(program.url.join(authorize).unwrap())
        .send()
        .await
        .unwrap();
    let location = response.headers()["location"].to_str().unwrap();
    assert!(
        location.starts_with("http://app.test/b?code="),
        "{location}"
    );
    let members = "/api/direct-sharing/project/members/?access_token=m";
    assert_eq!(
        answer(client().get(program.url.join(members).unwrap()))
            .await
            .1["count"],
        4
    );
    let leave = "/sandbox/members/00000002/leave?erasure=false";
    let (status, body) = answer(client().post(program.url.join(leave).unwrap())).await;
    assert_eq!((status, &body["deliveries"]), (200, &json!([])));
}

#[tokio::test]
async fn program_rejects_non_loopback_address() {
    let output = Command::new(env!("CARGO_BIN_EXE_oh-sandbox"))
        .args(["--listen", "0.0.0.0:0"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a loopback address"));
}

#[tokio::test]
async fn admin_path_adds_file_of_other_project() {
    let program = Program::start(&[]);
    let at = |path: &str| program.url.join(path).unwrap();
    let (_, tokens) = answer(client().post(at("/sandbox/members/01026778/tokens"))).await;
    let add = "/sandbox/members/01026778/files?basename=genome.txt&content=ACGT&shared=true";
    assert_eq!(answer(client().post(at(add))).await.0, 201);
    let asked = client().get(at("/api/direct-sharing/project/exchange-member/"));
    let (_, member) = answer(asked.bearer_auth(tokens["access_token"].as_str().unwrap())).await;
    assert_eq!(member["data"][0]["source"], member["sources_shared"][0]);
}

#[tokio::test]
async fn options_select_kind_of_project() {
    let program = Program::start(&[
        "--unapproved",
        "--on-site",
        "--access-logs",
        "--expiring-master-token",
    ]);
    let at = |path: &str| program.url.join(path).unwrap();
    let project = async || {
        let asked = client().get(at("/api/direct-sharing/project/"));
        answer(asked.bearer_auth("sandbox-master-token")).await
    };
    let (_, record) = project().await;
    assert_eq!(
        (&record["approved"], &record["type"]),
        (&json!(false), &json!("on-site"))
    );
    let (_, tokens) = answer(client().post(at("/sandbox/members/01026778/tokens"))).await;
    let log = client().get(at("/data-management/newdatafileaccesslog/"));
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(answer(log.bearer_auth(token)).await.0, 200);
    let advance = client().post(at("/sandbox/clock?advance=86400"));
    assert_eq!(answer(advance).await.0, 200);
    assert_eq!(project().await.0, 401);
}
