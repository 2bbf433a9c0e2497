//! Tokens: none is lost, and each comes from where it was said to.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use oh_sandbox::{Endpoint, Fault, Sandbox};
use serde_json::Value;

use crate::support::{ALICE, BOB, code, oh, out, said, sandbox};

fn refresh(sandbox: &Sandbox, token: &str, args: &[&str]) -> Command {
    let mut command = oh(sandbox, &["refresh", "--client-id", sandbox.client_id()]);
    command
        .args(args)
        .env("OPENHUMANS_CLIENT_SECRET", sandbox.client_secret())
        .env("OPENHUMANS_REFRESH_TOKEN", token);
    command
}

fn pair(text: &str) -> Value {
    let line = text.lines().find(|line| line.starts_with('{'));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no pair in {text:?}"))).unwrap()
}

/// That the pair lives: its refresh token is good for another.
fn lives(sandbox: &Sandbox, pair: &Value) {
    let token = pair["refresh_token"].as_str().unwrap();
    out(&refresh(sandbox, token, &[]).output().unwrap());
}

fn only_file(dir: &Path) -> Value {
    let files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    pair(&std::fs::read_to_string(&files[0]).unwrap())
}

#[test]
fn where_the_file_cannot_be_made_the_old_pair_lives_on() {
    let sandbox = sandbox();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing/tokens.json");
    for (target, exit) in [(missing.as_path(), 13), (dir.path(), 2)] {
        let failed = refresh(&sandbox, &old, &["--out", target.to_str().unwrap()])
            .output()
            .unwrap();
        assert_eq!(code(&failed), exit, "{}", said(&failed));
        assert!(said(&failed).contains(target.to_str().unwrap()));
    }
    let exchange = [
        "exchange",
        "--client-id",
        sandbox.client_id(),
        "--redirect-uri",
        crate::support::REDIRECT_URI,
        "--code",
        "some",
        "--out",
        missing.to_str().unwrap(),
    ];
    let failed = oh(&sandbox, &exchange)
        .env("OPENHUMANS_CLIENT_SECRET", sandbox.client_secret())
        .output()
        .unwrap();
    assert_eq!(code(&failed), 13);
    assert_eq!(sandbox.token_requests(), 0);
    out(&refresh(&sandbox, &old, &[]).output().unwrap());
}

#[cfg(unix)]
#[test]
fn where_the_file_cannot_be_written_the_pair_is_shown() {
    let sandbox = sandbox();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("tokens.json");
    let command = refresh(&sandbox, &old, &["--out", target.to_str().unwrap()]);
    // No file may have a byte: as a full disk, which a test cannot make.
    let shown = limited(&command, "trap '' XFSZ; ulimit -f 0;");
    assert_eq!(code(&shown), 13, "{}", said(&shown));
    assert!(said(&shown).contains("tokens.json"), "{}", said(&shown));
    assert!(!target.exists());
    lives(&sandbox, &pair(&String::from_utf8_lossy(&shown.stdout)));
}

/// Runs a command below a shell that does something first.
#[cfg(unix)]
fn limited(command: &Command, first: &str) -> Output {
    let mut shell = Command::new("sh");
    shell
        .env_clear()
        .args(["-c", &format!("{first} exec \"$0\" \"$@\"")])
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

#[test]
fn where_nobody_reads_the_pair_is_kept_in_a_file() {
    let sandbox = sandbox();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    let dir = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let kept = refresh(&sandbox, &old, &[])
        .current_dir(dir.path())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(code(&kept), 13);
    let pair = only_file(dir.path());
    assert!(said(&kept).contains("oh-tokens-"), "{}", said(&kept));
    let token = pair["refresh_token"].as_str().unwrap();
    assert!(!said(&kept).contains(token));
    lives(&sandbox, &pair);
}

#[cfg(unix)]
#[test]
fn where_standard_output_is_closed_nothing_is_asked_for() {
    let sandbox = sandbox();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    for closed in [">&-", ">/dev/null"] {
        let command = refresh(&sandbox, &old, &[]);
        let failed = limited(&command, &format!("exec {closed};"));
        assert_eq!(code(&failed), 2, "{closed}: {}", said(&failed));
    }
    assert_eq!(sandbox.token_requests(), 0);
    // With a file to write to it does not matter.
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("tokens.json");
    let command = refresh(&sandbox, &old, &["--out", target.to_str().unwrap()]);
    assert_eq!(code(&limited(&command, "exec >&-;")), 0);
    lives(&sandbox, &only_file(dir.path()));
}

#[cfg(unix)]
#[test]
fn an_interrupted_refresh_keeps_what_comes_all_the_same() {
    for signal in [("-INT", 130), ("-TERM", 143)] {
        let sandbox = sandbox();
        let old = sandbox.issue_tokens(ALICE).refresh_token;
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("tokens.json");
        sandbox.fault_next(Endpoint::Token, 1, Fault::HangAfter);
        let mut child = refresh(&sandbox, &old, &["--out", target.to_str().unwrap()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(sandbox.wait_for_hanging(1));
        let pid = child.id().to_string();
        let kill = Command::new("kill").args([signal.0, &pid]).status();
        assert!(kill.unwrap().success());
        // It says that it waits before the answer may come.
        let mut heard = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut heard, &mut line).unwrap();
        assert!(line.contains("on their way"), "{line}");
        sandbox.release();
        assert_eq!(child.wait().unwrap().code(), Some(signal.1));
        lives(&sandbox, &only_file(dir.path()));
    }
}

#[test]
fn commands_read_what_out_writes() {
    let sandbox = sandbox();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens.json");
    let file = file.to_str().unwrap();
    let written = refresh(&sandbox, &old, &["--out", file]).output().unwrap();
    assert!(said(&written).contains(file), "{}", said(&written));
    let who = oh(&sandbox, &["whoami", "--token-file", file])
        .output()
        .unwrap();
    assert!(out(&who).contains(ALICE));
    // Round and round, in the same file.
    for _ in 0..2 {
        let again = refresh(&sandbox, "", &["--refresh-token-file", file, "--out", file]);
        let again = { again }.output().unwrap();
        out(&again);
    }
    std::fs::write(file, r#"{"token": 1}"#).unwrap();
    let wrong = oh(&sandbox, &["whoami", "--token-file", file])
        .output()
        .unwrap();
    assert_eq!(code(&wrong), 2);
    assert!(said(&wrong).contains("access_token"), "{}", said(&wrong));
}

#[test]
fn flags_win_over_the_environment() {
    let sandbox = sandbox();
    let token = sandbox.issue_tokens(ALICE).access_token;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let file = file.to_str().unwrap();
    for args in [["--token-file", file], ["--token", &token]] {
        let who = oh(&sandbox, &["whoami"])
            .args(args)
            .env("OPENHUMANS_ACCESS_TOKEN", "bogus")
            .env("OPENHUMANS_MASTER_TOKEN", sandbox.master_token())
            .output()
            .unwrap();
        assert!(out(&who).contains(ALICE));
    }
    let members = oh(&sandbox, &["members", "-T", sandbox.master_token()])
        .env("OPENHUMANS_MASTER_TOKEN_FILE", "/nonexistent")
        .env("OPENHUMANS_ACCESS_TOKEN", "bogus")
        .output()
        .unwrap();
    assert!(out(&members).contains(ALICE));
    let project = oh(&sandbox, &["project", "-T", sandbox.master_token()])
        .env("OPENHUMANS_ACCESS_TOKEN", "bogus")
        .output()
        .unwrap();
    out(&project);
    let both = oh(&sandbox, &["whoami"])
        .env("OPENHUMANS_ACCESS_TOKEN", "a")
        .env("OPENHUMANS_ACCESS_TOKEN_FILE", "b")
        .output()
        .unwrap();
    assert_eq!(code(&both), 2);
}

#[test]
fn a_token_is_revoked_and_looked_at() {
    let sandbox = sandbox();
    let tokens = sandbox.issue_tokens(ALICE);
    let look = || {
        let output = oh(
            &sandbox,
            &["introspect", "--client-id", sandbox.client_id()],
        )
        .env("OPENHUMANS_CLIENT_SECRET", sandbox.client_secret())
        .env("OPENHUMANS_ACCESS_TOKEN", &tokens.access_token)
        .output()
        .unwrap();
        pair(&out(&output))["active"].clone()
    };
    assert_eq!(look(), true);
    let revoked = oh(&sandbox, &["revoke", "--client-id", sandbox.client_id()])
        .env("OPENHUMANS_CLIENT_SECRET", sandbox.client_secret())
        .env("OPENHUMANS_REFRESH_TOKEN", &tokens.refresh_token)
        .output()
        .unwrap();
    out(&revoked);
    assert_eq!(look(), false);
    let again = refresh(&sandbox, &tokens.refresh_token, &[])
        .output()
        .unwrap();
    assert_eq!(code(&again), 6);
    assert!(said(&again).contains("oh login"), "{}", said(&again));
    assert!(sandbox.is_joined(ALICE));
}

#[test]
fn a_file_that_out_wrote_gives_the_refresh_token_as_token_file_too() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alice.json");
    let file = file.to_str().unwrap();
    let old = sandbox.issue_tokens(ALICE).refresh_token;
    out(&refresh(&sandbox, &old, &["--out", file]).output().unwrap());
    // The file that is named comes before the environment, the flag that is meant before both.
    let bob = sandbox.issue_tokens(BOB).refresh_token;
    let args = ["--token-file", file, "--out", file];
    let who = || oh(&sandbox, &["whoami", "--token-file", file]).output();
    for environment in ["", &bob] {
        out(&refresh(&sandbox, environment, &args).output().unwrap());
        assert!(out(&who().unwrap()).contains(ALICE));
    }
    let other = dir.path().join("bob");
    std::fs::write(&other, &bob).unwrap();
    let flag = ["--refresh-token-file", other.to_str().unwrap()];
    out(&refresh(&sandbox, "", &[&args[..2], &flag].concat())
        .output()
        .unwrap());
    let revoke = |file: &str| {
        let args = [
            "revoke",
            "--client-id",
            sandbox.client_id(),
            "--token-file",
            file,
        ];
        let mut command = oh(&sandbox, &args);
        command.env("OPENHUMANS_CLIENT_SECRET", sandbox.client_secret());
        command
    };
    out(&revoke(file).output().unwrap());
    assert_eq!(code(&who().unwrap()), 3);

    // A file of the access token alone has none, and the environment is asked as before.
    let access = dir.path().join("access");
    std::fs::write(&access, "opaque\n").unwrap();
    let access = access.to_str().unwrap();
    let none = revoke(access).output().unwrap();
    assert_eq!(code(&none), 2);
    for wanted in ["there is no refresh token", "--refresh-token-file", access] {
        assert!(said(&none).contains(wanted), "{}", said(&none));
    }
    assert!(!said(&none).contains("opaque"));
    let carol = sandbox.issue_tokens(BOB).refresh_token;
    let mut command = revoke(access);
    command.env("OPENHUMANS_REFRESH_TOKEN", &carol);
    out(&command.output().unwrap());
    assert_eq!(code(&revoke("/nonexistent/tokens").output().unwrap()), 13);
}
