//! Tokens: none is lost, and the right source takes precedence.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use oh_sandbox::{Endpoint, Fault, Sandbox};
use serde_json::Value;

use crate::support::*;

fn refresh(sandbox: &Sandbox, token: &str, args: &str) -> Command {
    let mut command = oh_client(sandbox, &format!("refresh {args}"));
    command.env("OPENHUMANS_REFRESH_TOKEN", token);
    command
}

fn refresh_to(sandbox: &Sandbox, token: &str, path: &Path) -> Command {
    refresh(sandbox, token, &format!("--out {}", text(path)))
}

/// Returns the tokens in a text.
fn tokens(text: &str) -> Value {
    let line = text.lines().find(|line| line.starts_with('{'));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no tokens in {text:?}"))).unwrap()
}

/// Asserts that the refresh token is valid by using it.
#[track_caller]
fn assert_valid(sandbox: &Sandbox, tokens: &Value) {
    let token = tokens["refresh_token"].as_str().unwrap();
    stdout(&refresh(sandbox, token, "").output().unwrap());
}

/// Returns the tokens in the only file of a directory.
fn only_file(dir: &Path) -> Value {
    let entries = std::fs::read_dir(dir).unwrap();
    let files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    tokens(&std::fs::read_to_string(&files[0]).unwrap())
}

#[test]
fn unusable_output_fails_before_tokens_are_requested() {
    let sandbox = sandbox();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing/tokens.json");
    for (target, code) in [(missing.as_path(), 13), (dir.path(), 2)] {
        let failed = refresh_to(&sandbox, &old, target).output().unwrap();
        assert_fails(&failed, code, &[text(target)]);
    }
    let exchange = format!("exchange --code some --out {}", text(&missing));
    let mut exchange = oh_client(&sandbox, &exchange);
    exchange.env("OPENHUMANS_REDIRECT_URI", REDIRECT_URI);
    assert_eq!(exit_code(&exchange.output().unwrap()), 13);
    assert_eq!(sandbox.token_requests(), 0);
    stdout(&refresh(&sandbox, &old, "").output().unwrap());
}

/// Runs a command in a shell after a setup command.
#[cfg(unix)]
fn run_in_shell(command: &Command, setup: &str) -> Output {
    let mut shell = Command::new("sh");
    shell
        .env_clear()
        .args(["-c", &format!("{setup} exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell.output().unwrap()
}

#[cfg(unix)]
#[test]
fn tokens_are_printed_when_file_cannot_be_written() {
    let sandbox = sandbox();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("tokens.json");
    // A file size limit of 0 has the effect of a full disk.
    let command = refresh_to(&sandbox, &old, &target);
    let printed = run_in_shell(&command, "trap '' XFSZ; ulimit -f 0;");
    assert_fails(&printed, 13, &["tokens.json"]);
    assert!(!target.exists());
    assert_valid(&sandbox, &tokens(&String::from_utf8_lossy(&printed.stdout)));
}

#[test]
fn tokens_are_written_to_file_when_stdout_is_closed_by_reader() {
    let sandbox = sandbox();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    let dir = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = refresh(&sandbox, &old, "")
        .current_dir(dir.path())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_fails(&output, 13, &["oh-tokens-"]);
    let tokens = only_file(dir.path());
    let token = tokens["refresh_token"].as_str().unwrap();
    assert!(!stderr(&output).contains(token));
    assert_valid(&sandbox, &tokens);
}

#[cfg(unix)]
#[test]
fn discarded_stdout_fails_before_tokens_are_requested() {
    let sandbox = sandbox();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    for redirection in [">&-", ">/dev/null"] {
        let command = refresh(&sandbox, &old, "");
        let failed = run_in_shell(&command, &format!("exec {redirection};"));
        assert_fails(&failed, 2, &["--out"]);
    }
    assert_eq!(sandbox.token_requests(), 0);
    let dir = tempfile::tempdir().unwrap();
    let command = refresh_to(&sandbox, &old, &dir.path().join("tokens.json"));
    assert_eq!(exit_code(&run_in_shell(&command, "exec >&-;")), 0);
    assert_valid(&sandbox, &only_file(dir.path()));
}

#[cfg(unix)]
#[test]
fn interrupted_refresh_stores_tokens_that_arrive_later() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let sandbox = sandbox();
        let old = sandbox.issue_tokens(ALICE).refresh_token;
        let dir = tempfile::tempdir().unwrap();
        sandbox.fault_next(Endpoint::Token, 1, Fault::HangAfter);
        let mut child = refresh_to(&sandbox, &old, &dir.path().join("tokens.json"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        block_on(sandbox.wait_for_hanging(1));
        kill(&child, signal);
        // The program says that it waits before the response arrives.
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
        assert!(line.contains("waiting for the requested tokens"), "{line}");
        sandbox.release();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_valid(&sandbox, &only_file(dir.path()));
    }
}

#[test]
fn commands_read_token_file_that_out_wrote() {
    let sandbox = sandbox();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens.json");
    let file = text(&path);
    let written = refresh_to(&sandbox, &old, &path).output().unwrap();
    assert_prints(&written, &[file]);
    let whoami = format!("whoami --token-file {file}");
    assert!(stdout(&run(&sandbox, &whoami)).contains(ALICE));
    for _ in 0..2 {
        let args = format!("--refresh-token-file {file} --out {file}");
        stdout(&refresh(&sandbox, "", &args).output().unwrap());
    }
    std::fs::write(file, r#"{"token": 1}"#).unwrap();
    assert_fails(&run(&sandbox, &whoami), 2, &["access_token"]);
}

#[test]
fn options_take_precedence_over_environment() {
    let sandbox = sandbox();
    let token = sandbox.issue_tokens(ALICE).access_token;
    let master = sandbox.master_token();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let file = text(&file);
    for (args, environment) in [
        (
            format!("whoami --token-file {file}"),
            [("ACCESS_TOKEN", "bogus"), ("MASTER_TOKEN", master)],
        ),
        (
            format!("whoami --token {token}"),
            [("ACCESS_TOKEN", "bogus"), ("MASTER_TOKEN", master)],
        ),
        (
            format!("members -T {master}"),
            [
                ("ACCESS_TOKEN", "bogus"),
                ("MASTER_TOKEN_FILE", "/nonexistent"),
            ],
        ),
        (
            format!("project -T {master}"),
            [("ACCESS_TOKEN", "bogus"), ("MASTER_TOKEN", "bogus")],
        ),
    ] {
        let mut command = oh(&sandbox, &args);
        for (name, value) in environment {
            command.env(format!("OPENHUMANS_{name}"), value);
        }
        stdout(&command.output().unwrap());
    }
    let mut both = oh(&sandbox, "whoami");
    both.env("OPENHUMANS_ACCESS_TOKEN", "a")
        .env("OPENHUMANS_ACCESS_TOKEN_FILE", "b");
    assert_fails(&both.output().unwrap(), 2, &["unset one"]);
}

#[test]
fn revoked_token_is_inactive() {
    let sandbox = sandbox();
    let issued = sandbox.issue_tokens(ALICE);
    let introspect = |secret: &str| {
        oh_client(&sandbox, "introspect")
            .env("OPENHUMANS_CLIENT_SECRET", secret)
            .env("OPENHUMANS_ACCESS_TOKEN", &issued.access_token)
            .output()
            .unwrap()
    };
    let is_active = || json(&introspect(sandbox.client_secret()))["active"] == true;
    assert!(is_active());
    let wrong_secret = introspect("wrong");
    assert_fails(&wrong_secret, 3, &["client id"]);
    let mut revoke = oh_client(&sandbox, "revoke");
    revoke.env("OPENHUMANS_REFRESH_TOKEN", &issued.refresh_token);
    stdout(&revoke.output().unwrap());
    assert!(!is_active());
    let refreshed = refresh(&sandbox, &issued.refresh_token, "").output();
    assert_fails(&refreshed.unwrap(), 6, &["oh login"]);
    assert!(sandbox.is_joined(ALICE));
}

#[test]
fn token_file_supplies_refresh_token() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alice.json");
    let file = text(&path);
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    stdout(&refresh_to(&sandbox, &old, &path).output().unwrap());
    let whoami = || run(&sandbox, &format!("whoami --token-file {file}"));
    // The file takes precedence over the environment.
    let bob = sandbox.issue_tokens(BOB).refresh_token;
    for environment in ["", &bob] {
        let args = format!("--token-file {file} --out {file}");
        stdout(&refresh(&sandbox, environment, &args).output().unwrap());
        assert!(stdout(&whoami()).contains(ALICE));
    }
    // The specific option takes precedence over both.
    let other = dir.path().join("bob");
    std::fs::write(&other, &bob).unwrap();
    let args = format!("--token-file {file} --refresh-token-file {}", text(&other));
    stdout(&refresh(&sandbox, "", &args).output().unwrap());
    let revoke = |file: &str| oh_client(&sandbox, &format!("revoke --token-file {file}"));
    stdout(&revoke(file).output().unwrap());
    assert_eq!(exit_code(&whoami()), 3);

    // A file with only the access token falls back to the environment.
    let access = dir.path().join("access");
    std::fs::write(&access, "opaque\n").unwrap();
    let access = text(&access);
    let missing = revoke(access).output().unwrap();
    assert_fails(
        &missing,
        2,
        &["no refresh token", "--refresh-token-file", access],
    );
    assert!(!stderr(&missing).contains("opaque"));
    let bob = sandbox.issue_tokens(BOB).refresh_token;
    let mut from_environment = revoke(access);
    from_environment.env("OPENHUMANS_REFRESH_TOKEN", &bob);
    stdout(&from_environment.output().unwrap());
    let nonexistent = revoke("/nonexistent/tokens").output().unwrap();
    assert_eq!(exit_code(&nonexistent), 13);
}
