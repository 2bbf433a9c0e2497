//! Error messages, confirmations, logs, unsafe text and signals.

use std::io::{BufRead, BufReader};
use std::process::{ChildStderr, Stdio};
use std::time::{Duration, Instant};

use oh_sandbox::{Endpoint, Fault, Sandbox};
use serde_json::json;

use crate::support::*;

#[test]
fn error_names_file_and_solution() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.txt");
    std::fs::write(&list, format!("{ALICE}\n169953\n")).unwrap();
    let latin1 = dir.path().join("latin1.txt");
    std::fs::write(&latin1, b"Gr\xf6\xdfe").unwrap();
    let (list, latin1) = (text(&list), text(&latin1));
    let target = dir.path().join("new");
    let target = text(&target);
    for (args, code, message) in [
        (
            format!("download -d {target} --memberlist {list}"),
            6,
            "list.txt, line 2: 169953: a project member id has 8 or 16 digits, including leading \
             zeros: did you mean 00169953?",
        ),
        (
            format!("download -d {target} --memberlist {latin1}"),
            6,
            "latin1.txt is not UTF-8 or UTF-16 text: save it as UTF-8",
        ),
        (
            format!("download -d {target} --memberlist /nonexistent/l"),
            13,
            "/nonexistent/l",
        ),
        ("whoami -m 1026778".into(), 2, "01026778?"),
        ("remove -m 1026778 --yes".into(), 2, "01026778?"),
        ("members --base-url openhumans.org".into(), 2, "--base-url"),
        (
            "members --base-url http://openhumans.org".into(),
            2,
            "unencrypted",
        ),
        (
            format!("metadata review -d {target} /nonexistent/csv"),
            13,
            "/nonexistent/csv",
        ),
        (
            "metadata draft -d /nonexistent/dir".into(),
            13,
            "/nonexistent/dir",
        ),
        (
            "metadata list -o /nonexistent/out".into(),
            13,
            "/nonexistent/out",
        ),
        (
            "members --master-token-file /nonexistent/token".into(),
            13,
            "/nonexistent/token",
        ),
    ] {
        let output = run_master(&sandbox, &args);
        assert_fails(&output, code, &[message]);
        if code == 13 {
            assert_prints(&output, &["No such file"]);
        }
    }
    let mut unreachable = oh(&sandbox, "--base-url http://127.0.0.1:9 whoami");
    unreachable
        .env("OPENHUMANS_ACCESS_TOKEN", "t")
        .env("RUST_LOG", "oh_api=debug");
    let unreachable = unreachable.output().unwrap();
    assert_fails(&unreachable, 11, &["Connection refused"]);
}

#[test]
fn bulk_error_names_file_and_cause() {
    let sandbox = sandbox();
    sandbox.add_shared_file(ALICE, "a", b"a", json!({}));
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), &[(ALICE, "a file instead of a directory")]);
    let failed = run_master(&sandbox, &format!("download -d {}", text(dir.path())));
    let directory = dir.path().join(ALICE);
    let name = format!("oh: {ALICE}/a: ");
    assert_fails(&failed, 1, &[&name, text(&directory), "(os error"]);
}

#[test]
fn irreversible_actions_require_confirmation() {
    let sandbox = sandbox();
    sandbox.add_file(ALICE, "a", b"a", json!({}));
    for (args, question) in [
        (
            "message hello --all".to_owned(),
            "all members of the project (2)",
        ),
        (format!("remove -m {ALICE} -m {BOB}"), "Remove 2 members"),
        (format!("delete --all -m {ALICE}"), "(1 file)"),
    ] {
        let refused = run_master(&sandbox, &args);
        assert_fails(&refused, 14, &[question, "--yes", "--dry-run"]);
        stdout(&run_master(&sandbox, &format!("{args} --dry-run")));
    }
    stdout(&run_master(
        &sandbox,
        &format!("message x -m {ALICE} --dry-run"),
    ));
    assert!(sandbox.messages().is_empty());
    assert!(sandbox.is_joined(ALICE) && sandbox.is_joined(BOB));
    assert_eq!(sandbox.files(ALICE).len(), 1);
    stdout(&run_master(
        &sandbox,
        &format!("delete --all -m {ALICE} -y"),
    ));
    assert_eq!(sandbox.files(ALICE).len(), 0);
}

#[test]
fn message_with_template_syntax_is_rejected() {
    let sandbox = sandbox();
    let send = |text: &str, args: &str| {
        run_master_with(&sandbox, &format!("message --all --yes {args}"), &[text])
    };
    for text in ["Hello {{ name }}", "{% if x %}"] {
        assert_fails(&send(text, ""), 6, &["template"]);
    }
    assert!(sandbox.messages().is_empty());
    stdout(&send("Hello {{ PROJECT_MEMBER_ID }}", ""));
    stdout(&send("{% now 'Y' %}", "--template"));
    assert_eq!(sandbox.messages().len(), 2);
}

#[test]
fn verbose_logs_files_then_requests() {
    let sandbox = sandbox();
    sandbox.add_shared_file(ALICE, "shared.txt", b"s", json!({}));
    let dir = tempfile::tempdir().unwrap();
    let log = |options: &str| {
        let args = format!("download -d {} --force {options}", text(dir.path()));
        let output = run_master(&sandbox, &args);
        stdout(&output);
        stderr(&output)
    };
    assert!(!log("").contains("shared.txt"));
    let files = log("-v");
    assert!(
        files.contains("shared.txt") && !files.contains("members"),
        "{files}"
    );
    let requests = log("-vv");
    assert!(requests.contains("call=\"members\""), "{requests}");
    assert_eq!(log("-q"), "");
}

#[test]
fn unsafe_characters_are_not_printed() {
    let sandbox = sandbox();
    let name = "a\u{1b}[2J\u{9b}\u{202e}b\tc";
    sandbox.add_shared_file(ALICE, name, b"a", json!({ "description": name }));
    let dir = tempfile::tempdir().unwrap();
    sandbox.fault(Endpoint::ObjectGet, Fault::page(404));
    for (args, code) in [
        (format!("files -m {ALICE}"), 0),
        (format!("files -m {ALICE} --json"), 0),
        (format!("files -m {ALICE} --raw"), 0),
        ("metadata list".to_owned(), 0),
        (format!("download -v -d {}", text(dir.path())), 1),
    ] {
        let output = run_master(&sandbox, &args);
        assert_eq!(exit_code(&output), code, "{args}");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
        assert!(printed.contains("[2J"), "{args}: {printed}");
        let unsafe_char = printed.find(['\u{1b}', '\u{9b}', '\u{202e}']);
        assert_eq!(unsafe_char, None, "{args}: {printed:?}");
    }
    // JSON still contains the original name.
    let record = json(&run_master(&sandbox, &format!("files -m {ALICE} --json")));
    assert_eq!(record["basename"], name);
    let columns = stdout(&run_master(&sandbox, &format!("files -m {ALICE}")));
    assert_eq!(columns.matches('\t').count(), 2, "{columns:?}");
}

/// Starts a command, and waits until it logs `text`.
fn start(
    sandbox: &Sandbox,
    args: &str,
    text: &str,
) -> (std::process::Child, BufReader<ChildStderr>) {
    let token = sandbox.issue_tokens(ALICE).access_token;
    let mut child = oh(sandbox, args)
        .env("OPENHUMANS_ACCESS_TOKEN", token)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert_ne!(
            log.read_line(&mut line).unwrap(),
            0,
            "{text} was not logged"
        );
    }
    (child, log)
}

#[cfg(unix)]
#[test]
fn signal_interrupts_hashing_immediately() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    // A sparse file that takes minutes to read.
    let file = dir.path().join("big.bin");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(256 << 30)
        .unwrap();
    for (args, signal, code) in [
        (format!("upload-file {} -vv", text(&file)), "-INT", 130),
        (
            format!("metadata draft -d {} -vv", text(dir.path())),
            "-TERM",
            143,
        ),
    ] {
        let (mut child, _log) = start(&sandbox, &args, "MD5");
        let started = Instant::now();
        kill(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(code), "{args}");
        assert!(started.elapsed() < Duration::from_secs(20), "{args}");
        assert_eq!(sandbox.files(ALICE), []);
    }
}

#[cfg(unix)]
#[test]
fn signal_deletes_unfinished_upload() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let sandbox = sandbox();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("big.bin");
        std::fs::write(&file, vec![0; 3 << 20]).unwrap();
        sandbox.fault_next(Endpoint::ObjectPut, 1, Fault::Hang);
        let mut upload = oh(&sandbox, &format!("upload-file {} -m {ALICE}", text(&file)));
        upload.env("OPENHUMANS_MASTER_TOKEN", sandbox.master_token());
        let mut child = upload.stderr(Stdio::null()).spawn().unwrap();
        block_on(sandbox.wait_for(Endpoint::ObjectPut, 1));
        kill(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(sandbox.files(ALICE), []);
    }
}

#[cfg(unix)]
#[test]
fn signal_interrupts_reading_stdin() {
    let sandbox = sandbox();
    let args = "upload-file - --name a -vv";
    let (mut child, _log) = start(&sandbox, args, "reading standard input");
    let stdin = child.stdin.take();
    kill(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdin);
}
