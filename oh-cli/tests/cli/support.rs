//! The program, the sandbox, and the program's output.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use oh_sandbox::Sandbox;
use serde_json::Value;

pub(crate) const ALICE: &str = "01026778";
pub(crate) const BOB: &str = "00169953";
pub(crate) const REDIRECT_URI: &str = "http://localhost:8000/openhumans/complete";

/// Starts a sandbox in which Alice and Bob have joined the project.
pub(crate) fn sandbox() -> Sandbox {
    let sandbox = Sandbox::builder()
        .redirect_uri(REDIRECT_URI)
        .member(ALICE, Some("alice"))
        .member(BOB, Some("bob"))
        .access_logs(true)
        .start_blocking()
        .unwrap();
    sandbox.join(ALICE);
    sandbox.join(BOB);
    sandbox
}

/// The program with arguments that contain no spaces, and with the sandbox's URL as its environment.
pub(crate) fn oh(sandbox: &Sandbox, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oh"));
    command
        .env_clear()
        .env("OPENHUMANS_OH_BASE_URL", sandbox.url().as_str())
        .args(args.split(' ').filter(|arg| !arg.is_empty()))
        .stdin(Stdio::null());
    command
}

/// The program with the client id and secret of the sandbox.
pub(crate) fn oh_client(sandbox: &Sandbox, args: &str) -> Command {
    let mut command = oh(sandbox, args);
    command
        .env("OPENHUMANS_CLIENT_ID", sandbox.client_id())
        .env("OPENHUMANS_CLIENT_SECRET", sandbox.client_secret());
    command
}

/// Runs the program.
pub(crate) fn run(sandbox: &Sandbox, args: &str) -> Output {
    oh(sandbox, args).output().unwrap()
}

/// Runs the program with the master token, which it must not print.
pub(crate) fn run_master(sandbox: &Sandbox, args: &str) -> Output {
    run_master_with(sandbox, args, &[])
}

/// Adds arguments that may contain spaces.
pub(crate) fn run_master_with(sandbox: &Sandbox, args: &str, more: &[&str]) -> Output {
    let token = sandbox.master_token();
    let mut command = oh(sandbox, args);
    command.args(more).env("OPENHUMANS_MASTER_TOKEN", token);
    let output = command.output().unwrap();
    let printed = String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap();
    assert!(!printed.contains(token), "the token was printed: {printed}");
    output
}

/// Returns the standard output of a program that must have succeeded.
#[track_caller]
pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
pub(crate) fn json(output: &Output) -> Value {
    let text = stdout(output);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn exit_code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Asserts that the program failed with this exit code and printed these texts on standard error.
#[track_caller]
pub(crate) fn assert_fails(output: &Output, code: i32, texts: &[&str]) {
    assert_eq!(exit_code(output), code, "{}", stderr(output));
    assert_prints(output, texts);
}

/// Asserts that the program printed these texts on standard error.
#[track_caller]
pub(crate) fn assert_prints(output: &Output, texts: &[&str]) {
    let printed = stderr(output);
    for text in texts {
        assert!(printed.contains(text), "{text:?} is missing: {printed}");
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn write_files(dir: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

pub(crate) fn kill(child: &Child, signal: &str) {
    let pid = child.id().to_string();
    let kill = Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(kill.success());
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}
