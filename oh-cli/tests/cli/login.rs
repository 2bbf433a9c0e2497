//! A whole authorization by `oh login`, with somebody who walks the pages.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use oh_sandbox::Sandbox;
use serde_json::Value;

use crate::support::{ALICE, BOB, code, oh, out, said};

struct Login {
    sandbox: Sandbox,
    redirect_uri: String,
}

impl Login {
    /// A project whose redirect URI leads to a port that was free a moment ago.
    fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let redirect_uri = format!("http://{}/done", free.local_addr().unwrap());
        let sandbox = Sandbox::builder()
            .redirect_uri(&redirect_uri)
            .member(ALICE, Some("alice"))
            .member(BOB, Some("bob"))
            .start_blocking()
            .unwrap();
        Self {
            sandbox,
            redirect_uri,
        }
    }

    /// Starts it, and gives the address it shows.
    fn start(&self, args: &[&str]) -> (Child, BufReader<std::process::ChildStderr>, String) {
        let mut child = oh(&self.sandbox, &["login", "--no-browser"])
            .args(["--client-id", self.sandbox.client_id()])
            .args(["--redirect-uri", &self.redirect_uri])
            .args(args)
            .env("OPENHUMANS_CLIENT_SECRET", self.sandbox.client_secret())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut address = String::new();
        while !address.trim_start().starts_with("http") {
            address.clear();
            assert_ne!(said.read_line(&mut address).unwrap(), 0, "no address");
        }
        let address = address.trim().to_owned();
        (child, said, address)
    }

    /// Where the browser is sent back to.
    fn decided(&self, address: &str, allow: bool) -> String {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let back = runtime.block_on(async {
            match allow {
                true => self.sandbox.authorize(ALICE, address).await,
                false => self.sandbox.refuse(address).await,
            }
        });
        back.unwrap().to_string()
    }
}

/// Gets a page as a browser would, and gives its status and text.
fn visit(address: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let rest = address.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[test]
fn a_member_who_comes_back_leaves_tokens() {
    let login = Login::new();
    let (child, mut rest, address) = login.start(&["--force-approval", "--scope", "read write"]);
    for asked in [
        "approval_prompt=force",
        "scope=read+write",
        "code_challenge=",
    ] {
        assert!(address.contains(asked), "{address}");
    }
    // What is not the member coming back is answered, and waited past.
    let base = login.redirect_uri.trim_end_matches("done").to_owned();
    assert_eq!(visit(&format!("{base}favicon.ico")).0, 404);
    let stranger = format!("{}?code=x&state=other", login.redirect_uri);
    let (status, page) = visit(&stranger);
    assert_eq!(status, 400);
    assert!(page.contains("another authorization"), "{page}");
    let back = login.decided(&address, true);
    let (status, page) = visit(&back);
    assert_eq!(status, 200);
    assert!(page.contains("You can close this page"), "{page}");
    let output = child.wait_with_output().unwrap();
    let tokens: Value = serde_json::from_str(&out(&output)).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut rest, &mut said).unwrap();
    assert!(
        said.contains(&format!("member {ALICE} has authorized")),
        "{said}"
    );
    let who = oh(&login.sandbox, &["whoami"])
        .env(
            "OPENHUMANS_ACCESS_TOKEN",
            tokens["access_token"].as_str().unwrap(),
        )
        .output()
        .unwrap();
    assert!(out(&who).contains(ALICE));
}

#[test]
fn a_member_who_refuses_leaves_none() {
    let login = Login::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("tokens.json");
    let (child, _rest, address) = login.start(&["--out", target.to_str().unwrap()]);
    let (status, page) = visit(&login.decided(&address, false));
    assert_eq!(status, 200);
    assert!(page.contains("Nothing was authorized"), "{page}");
    assert_eq!(code(&child.wait_with_output().unwrap()), 5);
    assert!(!target.exists());
    assert_eq!(login.sandbox.token_requests(), 0);
}

#[test]
fn what_cannot_come_back_here_is_said_before_anything_is_asked() {
    let login = Login::new();
    let run = |redirect_uri: &str| {
        oh(&login.sandbox, &["login", "--no-browser"])
            .args(["--client-id", login.sandbox.client_id()])
            .args(["--redirect-uri", redirect_uri])
            .env("OPENHUMANS_CLIENT_SECRET", "s")
            .output()
            .unwrap()
    };
    let far = run("https://example.org/done");
    assert_eq!(code(&far), 2);
    assert!(said(&far).contains("oh authorize-url"), "{}", said(&far));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = run(&format!("http://{}/done", taken.local_addr().unwrap()));
    assert_eq!(code(&taken), 2);
    assert!(
        said(&taken).contains("another program listens"),
        "{}",
        said(&taken)
    );
}
