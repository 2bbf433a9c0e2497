//! Files down: which are fetched again, which are taken as they are, and where they go.

use std::path::Path;
use std::process::Stdio;

use oh_sandbox::{Endpoint, Fault};
use serde_json::{Value, json};

use crate::support::{ALICE, BOB, by_master, code, oh, out, said, sandbox};

const MD5_OF_A: &str = "0cc175b9c0f1b6a831c399e269772661";

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_stale_file_of_equal_size_is_found_when_asked() {
    let sandbox = sandbox();
    sandbox.add_shared_file(ALICE, "a", b"a", json!({ "md5": MD5_OF_A }));
    sandbox.add_shared_file(ALICE, "b", b"b", json!({}));
    let dir = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let args = ["download", "-m", ALICE, "-d", dir.path().to_str().unwrap()];
        out(&by_master(&sandbox, &[&args[..], more].concat()));
    };
    run(&[]);
    let folder = dir.path().join("direct-sharing-1");
    for name in ["a", "b"] {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    run(&[]);
    assert_eq!(read(folder.join("a")), "x");
    run(&["--verify"]);
    assert_eq!(
        (read(folder.join("a")), read(folder.join("b"))),
        ("a".into(), "x".into())
    );
    run(&["--force"]);
    assert_eq!(read(folder.join("b")), "b");
    let target = dir.path().to_str().unwrap();
    let both = ["--verify", "--ignore-md5"];
    let args = [&["download", "-m", ALICE, "-d", target][..], &both].concat();
    let refused = by_master(&sandbox, &args);
    assert_eq!(code(&refused), 2, "what is read would count for nothing");
}

#[test]
fn a_file_with_a_wrong_md5_is_kept_aside_and_taken_when_told() {
    let sandbox = sandbox();
    let id = sandbox
        .add_shared_file(ALICE, "a", b"b", json!({ "md5": MD5_OF_A }))
        .unwrap()
        .to_string();
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().to_str().unwrap();
    let download = [
        "download",
        "-s",
        "direct-sharing-1",
        "-m",
        ALICE,
        "-d",
        target,
    ];
    let failed = by_master(&sandbox, &download);
    assert_eq!(code(&failed), 1);
    for wanted in ["oh: a: ", "a.oh-mismatch", "--ignore-md5"] {
        assert!(said(&failed).contains(wanted), "{}", said(&failed));
    }
    assert_eq!(read(dir.path().join("a.oh-mismatch")), "b");
    assert!(!dir.path().join("a").exists());
    out(&by_master(
        &sandbox,
        &[&download[..], &["--ignore-md5"]].concat(),
    ));
    assert_eq!(read(dir.path().join("a")), "b");
    let single = ["download-file", "-m", ALICE, "-i", &id, "-o", "-"];
    let failed = by_master(&sandbox, &single);
    assert_eq!(code(&failed), 12);
    assert!(
        said(&failed).contains("what was written is not"),
        "{}",
        said(&failed)
    );
    let taken = by_master(&sandbox, &[&single[..], &["--ignore-md5"]].concat());
    assert_eq!(out(&taken), "b");
}

#[test]
fn one_file_by_id_by_name_or_to_standard_output() {
    let sandbox = sandbox();
    sandbox.add_file(ALICE, "-rf", b"older", json!({}));
    sandbox.add_file(ALICE, "-rf", b"newer", json!({}));
    let shared = sandbox.add_shared_file(ALICE, "-rf", b"shared", json!({}));
    let id = shared.unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let token = sandbox.issue_tokens(ALICE).access_token;
        oh(&sandbox, &["download-file"])
            .args(more)
            .env("OPENHUMANS_ACCESS_TOKEN", token)
            .current_dir(dir.path())
            .output()
            .unwrap()
    };
    assert_eq!(
        out(&run(&[
            "--name",
            "-rf",
            "-s",
            "direct-sharing-2",
            "-o",
            "-"
        ])),
        "newer"
    );
    let done = run(&["-i", &id]);
    assert_eq!(out(&done), "");
    assert_eq!(read(dir.path().join("_-rf")), "shared");
    assert!(said(&done).contains("_-rf"), "{}", said(&done));
    out(&run(&["-i", &id, "-o", "named"]));
    assert_eq!(read(dir.path().join("named")), "shared");
    let missing = run(&["--name", "nothing"]);
    assert_eq!(code(&missing), 7);
    assert!(said(&missing).contains("oh files"), "{}", said(&missing));
    assert_eq!(code(&run(&["-i", &id, "--max-size", "2", "-o", "-"])), 8);

    let public = oh(&sandbox, &["public", "download-file", &id, "-o", "-"]).output();
    assert_eq!(out(&public.unwrap()), "shared");
}

#[test]
fn a_download_that_finds_nothing_says_what_there_is() {
    let sandbox = sandbox();
    sandbox.add_file(ALICE, "own", b"o", json!({}));
    let dir = tempfile::tempdir().unwrap();
    let download = ["download", "-d", dir.path().to_str().unwrap()];
    let nothing = by_master(&sandbox, &download);
    out(&nothing);
    assert!(
        said(&nothing).contains("--project-data"),
        "{}",
        said(&nothing)
    );
    let found = by_master(&sandbox, &[&download[..], &["--project-data"]].concat());
    out(&found);
    assert!(
        said(&found).contains("1 file downloaded"),
        "{}",
        said(&found)
    );
    assert!(!said(&found).contains("oh: "), "{}", said(&found));
    let source = by_master(
        &sandbox,
        &[&download[..], &["-s", "direct-sharing-1"]].concat(),
    );
    assert!(said(&source).contains("oh files"), "{}", said(&source));
}

#[test]
fn public_files_come_several_at_a_time_and_from_one_source() {
    let sandbox = sandbox();
    for name in ["a", "b", "c"] {
        sandbox.add_shared_file(ALICE, name, name.as_bytes(), json!({}));
    }
    sandbox.add_file(BOB, "d", b"d", json!({}));
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().to_str().unwrap();
    // Three hang at once: one at a time would hang at the first.
    sandbox.fault_next(Endpoint::ObjectGet, 3, Fault::Hang);
    let download = [
        "public",
        "download",
        "-d",
        target,
        "-j",
        "3",
        "-s",
        "direct-sharing-1",
    ];
    let child = oh(&sandbox, &download)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(sandbox.wait_for_hanging(3));
    sandbox.release();
    let done = child.wait_with_output().unwrap();
    let printed = out(&done);
    assert_eq!(printed.lines().count(), 3, "{printed}");
    for line in printed.lines() {
        let path = Path::new(line);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.ends_with(&format!("-{}", read(path))), "{name}");
    }
    let left = dir.path().join("expired");
    sandbox.advance(std::time::Duration::from_secs(7_200));
    let fresh = [
        "public",
        "download",
        "-d",
        left.to_str().unwrap(),
        "--username",
        "bob",
    ];
    let printed = out(&oh(&sandbox, &fresh).output().unwrap());
    assert!(printed.contains("expired"), "{printed}");
}

#[test]
fn public_objects_one_by_one_and_as_they_were_sent() {
    let sandbox = sandbox();
    let id = sandbox
        .add_file(ALICE, "p", b"p", json!({ "description": "P" }))
        .unwrap();
    let run = |args: &[&str]| out(&oh(&sandbox, args).output().unwrap());
    let value = |args: &[&str]| -> Value { serde_json::from_str(&run(args)).unwrap() };
    assert_eq!(value(&["public", "project", "2"])["id"], 2);
    assert_eq!(value(&["public", "member", "alice"])["username"], "alice");
    let types = run(&["public", "data-types"]);
    let number = types.split('\t').next().unwrap();
    assert!(value(&["public", "data-type", number])["name"].is_string());
    let id = id.to_string();
    assert_eq!(
        value(&["public", "file", &id])["metadata"]["description"],
        "P"
    );
    let raw = value(&["public", "file", &id, "--raw"]);
    assert!(raw["download_url"].is_string(), "{raw}");
    sandbox.add_shared_file(ALICE, "q", b"q", json!({}));
    sandbox.add_file(BOB, "r", b"r", json!({}));
    let listed = |more: &[&str]| {
        let lines = run(&[&["public", "files", "-u", "alice"][..], more].concat());
        let names = lines
            .lines()
            .map(|line| line.rsplit('\t').next().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(listed(&["-s", "direct-sharing-2"]), ["p"]);
    assert_eq!(listed(&["--project", "1"]), ["q"]);
    let odd = oh(&sandbox, &["public", "files", "-u", "alice", "-s", "odd"]).output();
    assert_eq!(code(&odd.unwrap()), 2);
    let by_source = run(&["public", "members-by-source", "-s", "direct-sharing-2"]);
    assert!(
        by_source.contains("direct-sharing-2\talice\n"),
        "{by_source}"
    );
    let by_member = run(&["public", "sources-by-member", "-u", "alice"]);
    assert!(
        by_member.contains("alice\tdirect-sharing-2\n"),
        "{by_member}"
    );
    assert!(run(&["public", "projects", "-u", "alice"]).contains("2\t"));
    assert!(run(&["public", "members", "--project", "2"]).contains("alice\t"));
    let missing = oh(&sandbox, &["public", "project", "99999"]).output();
    assert_eq!(code(&missing.unwrap()), 7);
    // The token in a member's record is left out, the rest is as it was sent.
    let members = out(&by_master(&sandbox, &["members", "--raw"]));
    let first: Value = serde_json::from_str(members.lines().next().unwrap()).unwrap();
    assert!(first["exchange_member"].is_string(), "{first}");
    let whoami = out(&by_master(&sandbox, &["whoami", "-m", ALICE, "--raw"]));
    assert!(whoami.contains("\"next\""), "{whoami}");
    assert!(out(&by_master(&sandbox, &["project", "--raw"])).contains("id_label"));
    let files = out(&by_master(&sandbox, &["files", "-m", ALICE, "--raw"]));
    assert!(files.contains("download_url"), "{files}");
}

#[test]
fn the_list_of_all_metadata_asks_no_more_than_it_must() {
    let sandbox = sandbox();
    let members = sandbox.populate(498);
    for member in &members {
        sandbox.add_shared_file(member, "a", b"a", json!({}));
    }
    // One has more than the list of members brings along, one more than a page.
    for (member, files) in [(&members[0], 11), (&members[1], 101)] {
        for i in 0..files {
            sandbox.add_shared_file(member, &format!("{i}"), b"a", json!({}));
        }
    }
    sandbox.reset_stats();
    let list = by_master(&sandbox, &["metadata", "list"]);
    let list = out(&list);
    // The header, two members without files, and the files.
    assert_eq!(list.lines().count(), 1 + 2 + 498 + 11 + 101);
    let asked: u64 = sandbox.stats().requests.values().sum();
    // Five pages of a hundred members, a page for one member, two for the other: what the Python
    // package asks for, too.
    assert_eq!(asked, 8);
}
