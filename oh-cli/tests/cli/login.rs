//! `oh login` with a simulated browser.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Stdio};

use oh_sandbox::Sandbox;
use serde_json::Value;

use crate::support::*;

struct Login {
    sandbox: Sandbox,
    redirect_uri: String,
}

impl Login {
    /// Creates a project whose redirect URI is an unused port of this machine.
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let redirect_uri = format!("http://{}/done", listener.local_addr().unwrap());
        let sandbox = Sandbox::builder()
            .redirect_uri(&redirect_uri)
            .member(ALICE, Some("alice"))
            .start_blocking()
            .unwrap();
        Self {
            sandbox,
            redirect_uri,
        }
    }

    /// Starts the program, and returns the URL that it prints.
    fn start(&self, args: &[&str]) -> (Child, BufReader<ChildStderr>, String) {
        let mut child = oh_client(&self.sandbox, "login --no-browser --quiet")
            .args(args)
            .env("OPENHUMANS_REDIRECT_URI", &self.redirect_uri)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut url = String::new();
        while !url.trim_start().starts_with("http") {
            url.clear();
            assert_ne!(stderr.read_line(&mut url).unwrap(), 0, "no URL");
        }
        (child, stderr, url.trim().to_owned())
    }

    /// Decides at the authorization page, and returns the URL that it redirects to.
    fn decide(&self, url: &str, allow: bool) -> String {
        let redirect = block_on(async {
            match allow {
                true => self.sandbox.authorize(ALICE, url).await,
                false => self.sandbox.refuse(url).await,
            }
        });
        redirect.unwrap().to_string()
    }
}

/// Sends a request, and returns the response.
pub(crate) fn exchange(host: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Requests a URL, and returns the status and the response.
fn request(method: &str, url: &str) -> (u16, String) {
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let response = exchange(
        host,
        &format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    );
    let status = response.split(' ').nth(1).unwrap().parse().unwrap();
    (status, response)
}

#[test]
fn login_prints_tokens_after_redirect() {
    let login = Login::new();
    let (child, mut stderr, url) = login.start(&["--force-approval", "--scope", "read write"]);
    for parameter in [
        "approval_prompt=force",
        "scope=read+write",
        "code_challenge=",
    ] {
        assert!(url.contains(parameter), "{url}");
    }
    let base = login.redirect_uri.trim_end_matches("done");
    assert_eq!(request("GET", &format!("{base}favicon.ico")).0, 404);
    let other = format!("{}?code=x&state=other", login.redirect_uri);
    let (status, page) = request("GET", &other);
    assert_eq!(status, 400);
    assert!(page.contains("another authorization"), "{page}");
    let redirect = login.decide(&url, true);
    // A link scanner does not use up the code.
    assert_eq!(request("HEAD", &redirect).0, 405);
    let (status, page) = request("GET", &redirect);
    assert_eq!(status, 200);
    assert!(page.contains("You can close this page"), "{page}");
    let tokens = json(&child.wait_with_output().unwrap());
    let mut printed = String::new();
    stderr.read_to_string(&mut printed).unwrap();
    assert_eq!(printed.trim(), "", "--quiet");
    let mut whoami = oh(&login.sandbox, "whoami");
    let token = tokens["access_token"].as_str().unwrap();
    let whoami = whoami
        .env("OPENHUMANS_ACCESS_TOKEN", token)
        .output()
        .unwrap();
    assert_eq!(json(&whoami)["project_member_id"], Value::from(ALICE));
}

#[test]
fn login_fails_when_member_declines() {
    let login = Login::new();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("tokens.json");
    let (child, _stderr, url) = login.start(&["--out", text(&target)]);
    let (status, page) = request("GET", &login.decide(&url, false));
    assert_eq!(status, 200);
    assert!(page.contains("Nothing was authorized"), "{page}");
    assert_eq!(exit_code(&child.wait_with_output().unwrap()), 5);
    assert!(!target.exists());
    assert_eq!(login.sandbox.token_requests(), 0);
}

#[test]
fn unusable_redirect_uri_fails_before_authorization() {
    let login = Login::new();
    let run = |redirect_uri: &str| {
        let args = format!("login --no-browser --redirect-uri {redirect_uri}");
        oh_client(&login.sandbox, &args).output().unwrap()
    };
    let remote = run("https://example.org/done");
    assert_fails(&remote, 2, &["oh authorize-url"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = run(&format!("http://{}/done", listener.local_addr().unwrap()));
    assert_fails(&in_use, 2, &["another program listens"]);
}
