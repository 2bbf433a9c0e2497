//! The tool as a script uses it: output, exit codes, and nothing secret in either.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod downloads;
mod errors;
mod ledger;
mod login;
mod support;
mod tokens;
mod uploads;

#[cfg(unix)]
use std::process::Command;
use std::process::Stdio;

use oh_sandbox::{Endpoint, Fault};
use serde_json::{Value, json};

use support::{ALICE, BOB, REDIRECT_URI, by_master, code, oh, out, plant, sandbox};

#[test]
fn from_the_authorization_address_to_new_tokens() {
    let sandbox = sandbox();
    let client = [
        "--client-id",
        sandbox.client_id(),
        "--redirect-uri",
        REDIRECT_URI,
    ];
    let output = oh(&sandbox, &["authorize-url"])
        .args(client)
        .output()
        .unwrap();
    let address: Value = serde_json::from_str(&out(&output)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = address["url"].as_str().unwrap();
    let back = runtime.block_on(sandbox.authorize(ALICE, url)).unwrap();
    let code = back.query_pairs().find(|(key, _)| key == "code").unwrap().1;

    let verifier = address["verifier"].as_str().unwrap();
    let mut exchange = oh(
        &sandbox,
        &["exchange", "--code", &code, "--verifier", verifier],
    );
    exchange
        .args(client)
        .env("OPENHUMANS_CLIENT_SECRET", sandbox.client_secret());
    let tokens: Value = serde_json::from_str(&out(&exchange.output().unwrap())).unwrap();
    let again = exchange.output().unwrap();
    assert_eq!(self::code(&again), 6);

    let whoami = oh(&sandbox, &["whoami"])
        .env(
            "OPENHUMANS_ACCESS_TOKEN",
            tokens["access_token"].as_str().unwrap(),
        )
        .output()
        .unwrap();
    let who: Value = serde_json::from_str(&out(&whoami)).unwrap();
    assert_eq!(who["project_member_id"], ALICE);

    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old");
    std::fs::write(&old, tokens["refresh_token"].as_str().unwrap()).unwrap();
    let new = dir.path().join("new.json");
    let refreshed = oh(&sandbox, &["refresh", "--client-id", sandbox.client_id()])
        .env("OPENHUMANS_CLIENT_SECRET", sandbox.client_secret())
        .args(["--refresh-token-file", old.to_str().unwrap()])
        .args(["--out", new.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(out(&refreshed), "");
    let new: Value = serde_json::from_str(&std::fs::read_to_string(new).unwrap()).unwrap();
    assert_ne!(new["access_token"], tokens["access_token"]);
}

#[test]
fn members_come_as_columns_or_as_json() {
    let sandbox = sandbox();
    let columns = out(&by_master(&sandbox, &["members"]));
    assert!(
        columns.contains(&format!("{ALICE}\talice\t0\n")),
        "{columns}"
    );
    let lines = out(&by_master(&sandbox, &["members", "--json"]));
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(first["project_member_id"].is_string());
    let project: Value = serde_json::from_str(&out(&by_master(&sandbox, &["project"]))).unwrap();
    assert_eq!(project["id_label"], "direct-sharing-2");
}

#[test]
fn one_file_goes_up_and_all_come_down() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    plant(dir.path(), &[("steps.csv", "1,2\n")]);
    let file = dir.path().join("steps.csv");
    let upload = [
        "upload-file",
        file.to_str().unwrap(),
        "--member",
        ALICE,
        "--tag",
        "steps",
        "--description",
        "Steps",
    ];
    let uploaded: Value = serde_json::from_str(&out(&by_master(&sandbox, &upload))).unwrap();
    assert_eq!(uploaded["size"], 4);
    let listed = out(&by_master(&sandbox, &["files", "--member", ALICE]));
    assert_eq!(
        listed,
        format!("{}\tdirect-sharing-2\tsteps.csv\n", uploaded["id"])
    );

    sandbox.add_shared_file(BOB, "shared.txt", b"s", json!({}));
    let target = dir.path().join("down");
    let download = ["download", "-d", target.to_str().unwrap()];
    out(&by_master(&sandbox, &download));
    let shared = target.join(BOB).join("direct-sharing-1/shared.txt");
    assert_eq!(std::fs::read(shared).unwrap(), b"s");
    out(&by_master(
        &sandbox,
        &[&download[..], &["--project-data"]].concat(),
    ));
    assert_eq!(
        std::fs::read(target.join(ALICE).join("steps.csv")).unwrap(),
        b"1,2\n"
    );

    let id = uploaded["id"].to_string();
    let delete = ["delete", "--member", ALICE, "--file-id", &id];
    assert_eq!(out(&by_master(&sandbox, &delete)), format!("{id}\n"));
    assert_eq!(code(&by_master(&sandbox, &delete)), 7);
}

#[test]
fn a_directory_goes_up_with_its_metadata() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    let alice = format!("{ALICE}/a.csv");
    plant(&files, &[(&alice, "a"), (&format!("{BOB}/b.json"), "b")]);
    let (files, csv) = (files.to_str().unwrap(), dir.path().join("metadata.csv"));
    let csv = csv.to_str().unwrap();
    out(&by_master(
        &sandbox,
        &["metadata", "draft", "-d", files, "-o", csv],
    ));
    out(&by_master(
        &sandbox,
        &["metadata", "review", "-d", files, csv],
    ));
    let upload = ["upload", "-d", files, "--metadata-csv", csv, "--sync"];
    out(&by_master(&sandbox, &upload));
    assert_eq!(sandbox.files(ALICE)[0].metadata["tags"], json!(["csv"]));
    assert_eq!(sandbox.files(BOB)[0].basename, "b.json");
    let list = out(&by_master(&sandbox, &["metadata", "list"]));
    assert_eq!(list.lines().count(), 3);

    std::fs::write(dir.path().join("files").join(alice), "changed").unwrap();
    let review = by_master(&sandbox, &["metadata", "review", "-d", files, csv]);
    assert_eq!(code(&review), 6);
    assert!(String::from_utf8_lossy(&review.stdout).contains("MD5"));
}

#[test]
fn messages_and_removal() {
    let sandbox = sandbox();
    out(&by_master(
        &sandbox,
        &["message", "hello", "--all", "-s", "hi", "--yes"],
    ));
    out(&by_master(&sandbox, &["message", "hello", "-m", ALICE]));
    let sent: Vec<_> = sandbox.messages().into_iter().map(|m| m.to.len()).collect();
    assert_eq!(sent, [2, 1]);
    let removed = out(&by_master(
        &sandbox,
        &["remove", ALICE, "00000000", "--yes"],
    ));
    assert_eq!(
        removed,
        format!("{ALICE}\tremoved\n00000000\tnot a member\n")
    );
    assert!(!sandbox.is_joined(ALICE));
}

#[test]
fn public_data_wants_no_token() {
    let sandbox = sandbox();
    sandbox.add_file(ALICE, "..\\p.txt", b"p", json!({}));
    let run = |args: &[&str]| out(&oh(&sandbox, args).output().unwrap());
    assert!(run(&["public", "projects"]).contains("2\t"));
    assert!(run(&["public", "members"]).contains("alice\t"));
    assert!(run(&["public", "data-types"]).contains('\t'));
    assert!(run(&["public", "files", "--username", "alice"]).contains("p.txt"));
    let dir = tempfile::tempdir().unwrap();
    run(&["public", "download", "-d", dir.path().to_str().unwrap()]);
    let entries = std::fs::read_dir(dir.path()).unwrap();
    let names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let sandbox = sandbox();
    let with = |token: &str, args: &[&str]| {
        let mut command = oh(&sandbox, args);
        command
            .env("OPENHUMANS_ACCESS_TOKEN", token)
            .output()
            .unwrap()
    };
    assert_eq!(code(&oh(&sandbox, &["whoami"]).output().unwrap()), 2);
    assert_eq!(code(&oh(&sandbox, &["nonsense"]).output().unwrap()), 2);
    assert_eq!(code(&with("bogus", &["whoami"])), 3);
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.expire_tokens(ALICE);
    assert_eq!(code(&with(&tokens.access_token, &["whoami"])), 4);
    let nobody = by_master(&sandbox, &["whoami", "-m", "00000000"]);
    assert_eq!(code(&nobody), 5);
    let empty = by_master(&sandbox, &["message", " ", "--all"]);
    assert_eq!(code(&empty), 6);
    let limited = Fault::RateLimited {
        retry_after: Some(600),
    };
    sandbox.fault_next(Endpoint::Project, 1, limited);
    let limited = by_master(&sandbox, &["project"]);
    assert_eq!(code(&limited), 9);
    assert!(String::from_utf8_lossy(&limited.stderr).contains("600 seconds"));
    sandbox.fault_next(Endpoint::Message, 1, Fault::Html500);
    assert_eq!(
        code(&by_master(&sandbox, &["message", "x", "--all", "--yes"])),
        10
    );
    let nowhere = [
        "--base-url",
        "http://127.0.0.1:9",
        "message",
        "x",
        "-m",
        ALICE,
    ];
    assert_eq!(code(&by_master(&sandbox, &nowhere)), 11);
    sandbox.fault_next(Endpoint::Project, 1, Fault::TruncatedJson);
    assert_eq!(code(&by_master(&sandbox, &["project"])), 12);
    let missing = ["upload-file", "/nonexistent/file", "-m", ALICE];
    assert_eq!(code(&by_master(&sandbox, &missing)), 13);

    sandbox.add_shared_file(ALICE, "a", b"a", json!({}));
    sandbox.fault_next(Endpoint::ObjectGet, 1, Fault::page(404));
    let dir = tempfile::tempdir().unwrap();
    let partly = ["download", "-d", dir.path().to_str().unwrap()];
    assert_eq!(code(&by_master(&sandbox, &partly)), 1);
}

#[test]
fn a_closed_output_is_no_panic() {
    let sandbox = sandbox();
    sandbox.populate(2_000);
    let mut members = oh(&sandbox, &["members"]);
    members
        .env("OPENHUMANS_MASTER_TOKEN", sandbox.master_token())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = members.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[cfg(unix)]
#[test]
fn an_interrupted_upload_is_tidied_up() {
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
    let kill = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(sandbox.files(ALICE), []);
}

#[test]
fn help_teaches() {
    let sandbox = sandbox();
    let help = out(&oh(&sandbox, &["--help"]).output().unwrap());
    for wanted in [
        "Exit codes:",
        "OPENHUMANS_MASTER_TOKEN",
        "Example:",
        "download",
    ] {
        assert!(help.contains(wanted), "{wanted}");
    }
    let long = out(&oh(&sandbox, &["help", "refresh"]).output().unwrap());
    assert!(long.contains("dead at once"), "{long}");
}
