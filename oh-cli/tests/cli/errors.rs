//! What is said when something is wrong, and what is asked before something is done.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oh_sandbox::{Endpoint, Fault};
use serde_json::json;

use crate::support::{ALICE, BOB, by_master, code, oh, out, plant, said, sandbox};

#[test]
fn an_error_names_its_file_and_says_what_to_do() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list.txt");
    std::fs::write(&list, format!("{ALICE}\n169953\n")).unwrap();
    let (list, target) = (list.to_str().unwrap(), dir.path().join("new"));
    let target = target.to_str().unwrap();
    for (args, exit, wanted) in [
        (
            &["download", "-d", target, "--memberlist", list][..],
            6,
            "list.txt, line 2: 169953: it has not 8 digits; leading zeros belong to it: 00169953?",
        ),
        (
            &["download", "-d", target, "--memberlist", "/nonexistent/l"],
            13,
            "/nonexistent/l failed: No such file",
        ),
        (&["whoami", "-m", "1026778"], 2, "01026778?"),
        (&["remove", "1026778", "--yes"], 2, "01026778?"),
        (
            &["members", "--base-url", "openhumans.org"],
            2,
            "--base-url",
        ),
        (
            &["members", "--base-url", "http://openhumans.org"],
            2,
            "plain http",
        ),
        (
            &["metadata", "review", "-d", target, "/nonexistent/csv"],
            13,
            "/nonexistent/csv failed: No such file",
        ),
        (
            &["metadata", "draft", "-d", "/nonexistent/dir"],
            13,
            "/nonexistent/dir failed: No such file",
        ),
        (
            &["metadata", "list", "-o", "/nonexistent/out"],
            13,
            "/nonexistent/out failed: No such file",
        ),
        (
            &["members", "--master-token-file", "/nonexistent/token"],
            13,
            "/nonexistent/token failed: No such file",
        ),
    ] {
        let failed = by_master(&sandbox, args);
        assert_eq!(code(&failed), exit, "{args:?}: {}", said(&failed));
        assert!(
            said(&failed).contains(wanted),
            "{args:?}: {}",
            said(&failed)
        );
    }
    let unreachable = oh(&sandbox, &["--base-url", "http://127.0.0.1:9", "whoami"])
        .env("OPENHUMANS_ACCESS_TOKEN", "t")
        .env("RUST_LOG", "oh_api=debug")
        .output()
        .unwrap();
    assert!(
        said(&unreachable).contains("Connection refused"),
        "{}",
        said(&unreachable)
    );
}

#[test]
fn bulk_errors_name_the_file_and_the_cause() {
    let sandbox = sandbox();
    sandbox.add_shared_file(ALICE, "a", b"a", json!({}));
    let dir = tempfile::tempdir().unwrap();
    // Something is in the way of the member's folder.
    plant(dir.path(), &[(ALICE, "not a folder")]);
    let failed = by_master(&sandbox, &["download", "-d", dir.path().to_str().unwrap()]);
    assert_eq!(code(&failed), 1);
    let why = said(&failed);
    let folder = dir.path().join(ALICE);
    for wanted in [
        format!("oh: {ALICE}/a: "),
        folder.display().to_string(),
        "(os error".to_owned(),
    ] {
        assert!(why.contains(&wanted), "{why}");
    }
}

#[test]
fn nothing_that_cannot_be_undone_is_done_unasked() {
    let sandbox = sandbox();
    sandbox.add_file(ALICE, "a", b"a", json!({}));
    for (args, question) in [
        (&["message", "hello", "--all"][..], "all 2 members"),
        (&["remove", ALICE, BOB], "Remove 2 members"),
        (&["delete", "--all", "-m", ALICE], "Delete the one file of"),
    ] {
        let refused = by_master(&sandbox, args);
        assert_eq!(code(&refused), 2, "{args:?}");
        for wanted in [question, "--yes", "--dry-run"] {
            assert!(said(&refused).contains(wanted), "{}", said(&refused));
        }
        out(&by_master(&sandbox, &[args, &["--dry-run"]].concat()));
    }
    out(&by_master(
        &sandbox,
        &["message", "x", "-m", ALICE, "--dry-run"],
    ));
    assert!(sandbox.messages().is_empty());
    assert!(sandbox.is_joined(ALICE) && sandbox.is_joined(BOB));
    assert_eq!(sandbox.files(ALICE).len(), 1);
    let sent = by_master(&sandbox, &["message", "hello", "--all", "--yes"]);
    out(&sent);
    assert!(said(&sent).contains("all 2 members"), "{}", said(&sent));
    out(&by_master(
        &sandbox,
        &["delete", "--all", "-m", ALICE, "-y"],
    ));
    assert_eq!(sandbox.files(ALICE).len(), 0);
}

#[test]
fn a_message_that_would_not_arrive_is_refused() {
    let sandbox = sandbox();
    let to_all = |text: &str, more: &[&str]| {
        let args = ["message", text, "--all", "--yes"];
        by_master(&sandbox, &[&args[..], more].concat())
    };
    for bad in ["Hello {{ name }}", "{% if x %}"] {
        let refused = to_all(bad, &[]);
        assert_eq!(code(&refused), 6);
        assert!(said(&refused).contains("template"), "{}", said(&refused));
    }
    assert!(sandbox.messages().is_empty());
    out(&to_all("Hello {{ PROJECT_MEMBER_ID }}", &[]));
    out(&to_all("{% now 'Y' %}", &["--template"]));
    assert_eq!(sandbox.messages().len(), 2);
}

#[test]
fn a_word_more_tells_each_file_and_another_each_request() {
    let sandbox = sandbox();
    sandbox.add_shared_file(ALICE, "shared.txt", b"s", json!({}));
    let dir = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let args = ["download", "-d", dir.path().to_str().unwrap(), "--force"];
        let done = by_master(&sandbox, &[&args[..], more].concat());
        out(&done);
        said(&done)
    };
    assert!(!run(&[]).contains("shared.txt"));
    let files = run(&["-v"]);
    assert!(files.contains("shared.txt"), "{files}");
    assert!(!files.contains("members"), "{files}");
    let requests = run(&["-vv"]);
    assert!(requests.contains("call=\"members\""), "{requests}");
    assert_eq!(run(&["-q"]), "");
}

/// Starts a command that reads a file for longer than any test waits, sends it a signal as soon as
/// it says so, and gives its exit code.
#[cfg(unix)]
fn interrupted_while_hashing(args: &[&str], signal: &str) -> Option<i32> {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    // Has no blocks, and takes minutes to read all the same.
    let big = std::fs::File::create(files.join("big.bin")).unwrap();
    big.set_len(256 << 30).unwrap();
    let token = sandbox.issue_tokens(ALICE).access_token;
    let mut child = oh(&sandbox, args)
        .arg("-vv")
        .current_dir(dir.path())
        .env("OPENHUMANS_ACCESS_TOKEN", token)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let reading = lines.find(|line| line.as_ref().unwrap().contains("reading it for its MD5"));
    reading.unwrap().unwrap();
    let begun = Instant::now();
    let pid = child.id().to_string();
    let kill = Command::new("kill").args([signal, &pid]).status();
    assert!(kill.unwrap().success());
    let ended = child.wait().unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it read to the end"
    );
    assert_eq!(sandbox.files(ALICE), []);
    ended.code()
}

#[cfg(unix)]
#[test]
fn an_interrupt_while_hashing_is_immediate() {
    let upload = ["upload-file", "files/big.bin"];
    assert_eq!(interrupted_while_hashing(&upload, "-INT"), Some(130));
    let draft = ["metadata", "draft", "-d", "files"];
    assert_eq!(interrupted_while_hashing(&draft, "-TERM"), Some(143));
}

#[cfg(unix)]
#[test]
fn a_terminated_upload_is_tidied_up() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("big.bin");
    std::fs::write(&file, vec![0; 3 << 20]).unwrap();
    sandbox.fault_next(Endpoint::ObjectPut, 1, Fault::Hang);
    let mut upload = oh(
        &sandbox,
        &["upload-file", file.to_str().unwrap(), "-m", ALICE],
    );
    upload.env("OPENHUMANS_MASTER_TOKEN", sandbox.master_token());
    let mut child = upload.stderr(Stdio::null()).spawn().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(sandbox.wait_for(Endpoint::ObjectPut, 1));
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(sandbox.files(ALICE), []);
}

#[cfg(unix)]
#[test]
fn an_interrupt_does_not_wait_for_standard_input() {
    let sandbox = sandbox();
    let token = sandbox.issue_tokens(ALICE).access_token;
    let mut child = oh(&sandbox, &["upload-file", "-", "--name", "a", "-vv"])
        .env("OPENHUMANS_ACCESS_TOKEN", token)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Stays open, and says nothing.
    let _input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let reading = lines.find(|line| line.as_ref().unwrap().contains("reading standard input"));
    reading.unwrap().unwrap();
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn shells_and_manuals_know_every_command() {
    let sandbox = sandbox();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = out(&oh(&sandbox, &["completions", shell]).output().unwrap());
        assert!(script.contains("download-file"), "{shell}");
    }
    let page = out(&oh(&sandbox, &["man"]).output().unwrap());
    assert!(page.starts_with(".ie") || page.contains(".TH"), "{page}");
    let dir = tempfile::tempdir().unwrap();
    let written = ["man", "-d", dir.path().to_str().unwrap()];
    out(&oh(&sandbox, &written).output().unwrap());
    for page in ["oh.1", "oh-upload.1", "oh-public-download.1"] {
        assert!(dir.path().join(page).is_file(), "{page}");
    }
    let help = out(&oh(&sandbox, &["help", "migrate"]).output().unwrap());
    for wanted in [
        "ohproj-upload-metadata",
        "ohpub-download",
        "--project_member_ids",
    ] {
        assert!(help.contains(wanted), "{help}");
    }
    assert!(help.contains("ohproj-message  is  oh message"), "{help}");
}
