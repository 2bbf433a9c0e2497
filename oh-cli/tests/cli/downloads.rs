//! Downloads: which files are fetched again, which are accepted, and where they are stored.

use std::path::Path;
use std::process::Stdio;

use oh_sandbox::{Endpoint, Fault};
use serde_json::{Value, json};

use crate::support::*;

const MD5_OF_A: &str = "0cc175b9c0f1b6a831c399e269772661";

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn verify_and_force_replace_stale_file_of_same_size() {
    let sandbox = sandbox();
    sandbox.add_shared_file(ALICE, "a", b"a", json!({ "md5": MD5_OF_A }));
    sandbox.add_shared_file(ALICE, "b", b"b", json!({}));
    let dir = tempfile::tempdir().unwrap();
    let download = format!("download -m {ALICE} -d {}", text(dir.path()));
    let run = |options: &str| run_master(&sandbox, &format!("{download} {options}"));
    stdout(&run(""));
    let (a, b) = (
        dir.path().join("direct-sharing-1/a"),
        dir.path().join("direct-sharing-1/b"),
    );
    std::fs::write(&a, "x").unwrap();
    std::fs::write(&b, "x").unwrap();
    // The MD5 of the second file is unknown.
    for (options, expected) in [
        ("", ("x", "x")),
        ("--verify", ("a", "x")),
        ("--force", ("a", "b")),
    ] {
        stdout(&run(options));
        assert_eq!((&*read(&a), &*read(&b)), expected, "{options}");
    }
    assert_eq!(exit_code(&run("--verify --ignore-md5")), 2);
}

#[test]
fn file_with_wrong_md5_is_stored_under_another_name_unless_ignored() {
    let sandbox = sandbox();
    let id = sandbox.add_shared_file(ALICE, "a", b"b", json!({ "md5": MD5_OF_A }));
    let id = id.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let download = format!(
        "download -s direct-sharing-1 -m {ALICE} -d {}",
        text(dir.path())
    );
    let failed = run_master(&sandbox, &download);
    assert_fails(&failed, 1, &["oh: a: ", "a.oh-mismatch", "--ignore-md5"]);
    assert_eq!(read(dir.path().join("a.oh-mismatch")), "b");
    assert!(!dir.path().join("a").exists());
    stdout(&run_master(&sandbox, &format!("{download} --ignore-md5")));
    assert_eq!(read(dir.path().join("a")), "b");
    let single = format!("download-file -m {ALICE} -i {id} -o -");
    let failed = run_master(&sandbox, &single);
    assert_fails(&failed, 12, &["--ignore-md5"]);
    let accepted = run_master(&sandbox, &format!("{single} --ignore-md5"));
    assert_eq!(stdout(&accepted), "b");
}

#[test]
fn file_is_selected_by_id_or_name() {
    let sandbox = sandbox();
    sandbox.add_file(ALICE, "-rf", b"older", json!({}));
    sandbox.add_file(ALICE, "-rf", b"newer", json!({}));
    let id = sandbox.add_shared_file(ALICE, "-rf", b"shared", json!({}));
    let id = id.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &str| {
        let token = sandbox.issue_tokens(ALICE).access_token;
        let mut command = oh(&sandbox, &format!("download-file {args}"));
        command
            .env("OPENHUMANS_ACCESS_TOKEN", token)
            .current_dir(dir.path());
        command.output().unwrap()
    };
    let newest = run("--name -rf -s direct-sharing-2 -o -");
    assert_eq!(stdout(&newest), "newer");
    let by_id = run(&format!("-i {id}"));
    assert_eq!(stdout(&by_id), "");
    assert_prints(&by_id, &["_-rf"]);
    assert_eq!(read(dir.path().join("_-rf")), "shared");
    stdout(&run(&format!("-i {id} -o named")));
    assert_eq!(read(dir.path().join("named")), "shared");
    assert_fails(&run("--name nothing"), 7, &["oh files"]);
    assert_eq!(exit_code(&run(&format!("-i {id} --max-size 2 -o -"))), 8);
    let public = format!("public download-file {id} -o -");
    assert_eq!(stdout(&super::run(&sandbox, &public)), "shared");
}

#[test]
fn download_without_matches_explains_selection() {
    let sandbox = sandbox();
    sandbox.add_file(ALICE, "own", b"o", json!({}));
    let dir = tempfile::tempdir().unwrap();
    for (options, message) in [
        (
            "",
            "oh: members share no files with the project. Download 1 other file",
        ),
        ("-s direct-sharing-1", "`oh files` lists them"),
        ("--project-data", "1 file downloaded"),
    ] {
        let args = format!("download -d {} {options}", text(dir.path()));
        let output = run_master(&sandbox, &args);
        stdout(&output);
        assert_prints(&output, &[message]);
        let explains = stderr(&output).contains("oh: ");
        assert_eq!(explains, options != "--project-data");
    }
}

#[test]
fn public_files_are_downloaded_concurrently_from_one_source() {
    let sandbox = sandbox();
    for name in ["a", "b", "c"] {
        sandbox.add_shared_file(ALICE, name, name.as_bytes(), json!({}));
    }
    sandbox.add_file(BOB, "d", b"d", json!({}));
    let dir = tempfile::tempdir().unwrap();
    // Without concurrency, only one request would hang.
    sandbox.fault_next(Endpoint::ObjectGet, 3, Fault::Hang);
    let target = text(dir.path());
    let download = format!("public download -d {target} -j 3 -s direct-sharing-1");
    let child = oh(&sandbox, &download)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    block_on(sandbox.wait_for_hanging(3));
    sandbox.release();
    let printed = stdout(&child.wait_with_output().unwrap());
    assert_eq!(printed.lines().count(), 3, "{printed}");
    for path in printed.lines() {
        assert!(path.ends_with(&format!("-{}", read(path))), "{path}");
    }
    sandbox.advance(std::time::Duration::from_secs(7_200));
    let target = dir.path().join("expired");
    let download = format!("public download -d {} --username bob", text(&target));
    let printed = stdout(&run(&sandbox, &download));
    assert!(printed.contains("expired"), "{printed}");
}

#[test]
fn public_records_are_printed_as_json_columns_or_raw() {
    let sandbox = sandbox();
    let description = json!({ "description": "P" });
    let id = sandbox.add_file(ALICE, "p", b"p", description).unwrap();
    sandbox.add_shared_file(ALICE, "q", b"q", json!({}));
    sandbox.add_file(BOB, "r", b"r", json!({}));
    let run = |args: &str| super::run(&sandbox, &format!("public {args}"));
    assert_eq!(json(&run("project 2"))["id"], 2);
    assert_eq!(json(&run("member alice"))["username"], "alice");
    let data_types = stdout(&run("data-types"));
    let number = data_types.split('\t').next().unwrap();
    let data_type = json(&run(&format!("data-type {number}")));
    assert!(data_type["name"].is_string());
    let file = json(&run(&format!("file {id}")));
    assert_eq!(file["metadata"]["description"], "P");
    let raw = json(&run(&format!("file {id} --raw")));
    assert!(raw["download_url"].is_string(), "{raw}");
    for (filter, name) in [("-s direct-sharing-2", "p"), ("--project 1", "q")] {
        let files = stdout(&run(&format!("files -u alice {filter}")));
        assert!(files.ends_with(&format!("\t{name}\n")), "{files}");
        assert_eq!(files.lines().count(), 1, "{files}");
    }
    for (args, line) in [
        (
            "members-by-source -s direct-sharing-2",
            "direct-sharing-2\talice\n",
        ),
        ("sources-by-member -u alice", "alice\tdirect-sharing-2\n"),
        ("projects -u alice", "2\t"),
        ("members --project 2", "alice\t"),
    ] {
        let printed = stdout(&run(args));
        assert!(printed.contains(line), "{args}: {printed}");
    }
    assert_eq!(exit_code(&run("files -u alice -s odd")), 2);
    assert_eq!(exit_code(&run("project 99999")), 7);
    for (args, field) in [
        ("members --raw".to_owned(), "exchange_member"),
        (format!("whoami -m {ALICE} --raw"), "\"next\""),
        ("project --raw".to_owned(), "id_label"),
        (format!("files -m {ALICE} --raw"), "download_url"),
    ] {
        let printed = stdout(&run_master(&sandbox, &args));
        let first = printed.lines().next().unwrap();
        assert!(serde_json::from_str::<Value>(first).is_ok(), "{first}");
        assert!(first.contains(field), "{args}: {first}");
    }
}

#[test]
fn metadata_list_sends_as_few_requests_as_possible() {
    let sandbox = sandbox();
    let members = sandbox.populate(498);
    for member in &members {
        sandbox.add_shared_file(member, "a", b"a", json!({}));
    }
    // One member has more files than the member list contains, one has more than a page.
    for (member, files) in [(&members[0], 11), (&members[1], 101)] {
        for i in 0..files {
            sandbox.add_shared_file(member, &format!("{i}"), b"a", json!({}));
        }
    }
    sandbox.reset_stats();
    let list = stdout(&run_master(&sandbox, "metadata list"));
    // The header, two members without files, and the files.
    assert_eq!(list.lines().count(), 1 + 2 + 498 + 11 + 101);
    let requests: u64 = sandbox.stats().requests.values().sum();
    // Five pages of members, one page for one member and two for the other, as the Python package
    // requests.
    assert_eq!(requests, 8);
}
