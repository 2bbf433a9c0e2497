//! The program, the sandbox, and what they say.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use oh_sandbox::Sandbox;

pub(crate) const ALICE: &str = "01026778";
pub(crate) const BOB: &str = "00169953";
pub(crate) const REDIRECT_URI: &str = "http://localhost:8000/openhumans/complete";

pub(crate) fn sandbox() -> Sandbox {
    let sandbox = Sandbox::builder()
        .redirect_uri(REDIRECT_URI)
        .member(ALICE, Some("alice"))
        .member(BOB, Some("bob"))
        .start_blocking()
        .unwrap();
    sandbox.join(ALICE);
    sandbox.join(BOB);
    sandbox
}

/// The tool with nothing in its environment but the server.
pub(crate) fn oh(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oh"));
    command
        .env_clear()
        .env("OPENHUMANS_OH_BASE_URL", sandbox.url().as_str())
        .args(args)
        .stdin(Stdio::null());
    command
}

pub(crate) fn by_master(sandbox: &Sandbox, args: &[&str]) -> Output {
    let token = sandbox.master_token();
    let mut command = oh(sandbox, args);
    let output = command
        .env("OPENHUMANS_MASTER_TOKEN", token)
        .output()
        .unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains(token), "the token was printed: {said}");
    output
}

pub(crate) fn out(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn plant(dir: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// What was said on standard error.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
