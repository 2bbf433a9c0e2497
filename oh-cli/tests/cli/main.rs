//! The program as a script uses it: output, exit codes, and no secrets in either.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]

mod behavior;
mod downloads;
mod ledger;
mod login;
mod support;
mod tokens;
mod uploads;

use std::process::Stdio;

use oh_sandbox::{Endpoint, Fault};
use serde_json::{Value, json};

use support::*;

#[test]
fn authorize_url_exchange_and_refresh_yield_tokens() {
    let sandbox = sandbox();
    let client = |args: &str| {
        let mut command = oh_client(&sandbox, args);
        command.env("OPENHUMANS_REDIRECT_URI", REDIRECT_URI);
        command
    };
    let authorization = json(&client("authorize-url").output().unwrap());
    let url = authorization["url"].as_str().unwrap();
    let redirect = block_on(sandbox.authorize(ALICE, url)).unwrap();
    let mut query = redirect.query_pairs();
    let code = query.find(|(key, _)| key == "code").unwrap().1;
    let verifier = authorization["verifier"].as_str().unwrap();
    let mut exchange = client("exchange");
    exchange.args(["--code", &code, "--verifier", verifier]);
    let tokens = json(&exchange.output().unwrap());
    assert_fails(&exchange.output().unwrap(), 6, &["a code works once"]);

    let access_token = tokens["access_token"].as_str().unwrap();
    let mut whoami = oh(&sandbox, "whoami");
    whoami.env("OPENHUMANS_ACCESS_TOKEN", access_token);
    let member = json(&whoami.output().unwrap());
    assert_eq!(member["project_member_id"], ALICE);

    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new.json"));
    std::fs::write(&old, tokens["refresh_token"].as_str().unwrap()).unwrap();
    let args = format!(
        "refresh --refresh-token-file {} --out {}",
        text(&old),
        text(&new)
    );
    assert_eq!(stdout(&client(&args).output().unwrap()), "");
    let new: Value = serde_json::from_str(&std::fs::read_to_string(new).unwrap()).unwrap();
    assert_ne!(new["access_token"], tokens["access_token"]);
}

#[test]
fn members_are_printed_as_columns_or_json() {
    let sandbox = sandbox();
    let columns = stdout(&run_master(&sandbox, "members"));
    assert!(
        columns.contains(&format!("{ALICE}\talice\t0\n")),
        "{columns}"
    );
    let lines = stdout(&run_master(&sandbox, "members --json"));
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(first["project_member_id"].is_string());
    let project = json(&run_master(&sandbox, "project"));
    assert_eq!(project["id_label"], "direct-sharing-2");
}

#[test]
fn listings_support_limit_and_offset() {
    let sandbox = sandbox();
    sandbox.populate(148);
    let all = stdout(&run_master(&sandbox, "members"));
    let all: Vec<&str> = all.lines().collect();
    assert_eq!(all.len(), 150);
    for (limit, offset) in [(0, 0), (1, 0), (3, 2), (120, 20), (9, 145), (5, 150)] {
        let args = format!("members --limit {limit} --offset {offset}");
        let page = stdout(&run_master(&sandbox, &args));
        let expected: Vec<_> = all.iter().skip(offset).take(limit).copied().collect();
        assert_eq!(page.lines().collect::<Vec<_>>(), expected, "{args}");
    }
}

#[test]
fn file_is_uploaded_listed_downloaded_and_deleted() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), &[("steps.csv", "1,2\n")]);
    let file = dir.path().join("steps.csv");
    let upload = format!(
        "upload-file {} --member {ALICE} --tag steps --description Steps",
        text(&file)
    );
    let uploaded = json(&run_master(&sandbox, &upload));
    assert_eq!(uploaded["size"], 4);
    let id = &uploaded["id"];
    let files = stdout(&run_master(&sandbox, &format!("files --member {ALICE}")));
    assert_eq!(files, format!("{id}\tdirect-sharing-2\tsteps.csv\n"));
    let record = json(&run_master(&sandbox, &format!("files -m {ALICE} --json")));
    assert_eq!(record["metadata"]["tags"], json!(["steps"]));
    assert!(record.get("datatypes").is_some(), "{record}");

    sandbox.add_shared_file(BOB, "shared.txt", b"s", json!({}));
    let target = dir.path().join("down");
    let download = format!("download -d {}", text(&target));
    stdout(&run_master(&sandbox, &download));
    let shared = target.join(BOB).join("direct-sharing-1/shared.txt");
    assert_eq!(std::fs::read(shared).unwrap(), b"s");
    stdout(&run_master(&sandbox, &format!("{download} --project-data")));
    let own = target.join(ALICE).join("steps.csv");
    assert_eq!(std::fs::read(own).unwrap(), b"1,2\n");

    let delete = format!("delete --member {ALICE} --file-id {id}");
    assert_eq!(stdout(&run_master(&sandbox, &delete)), format!("{id}\n"));
    assert_fails(&run_master(&sandbox, &delete), 7, &["oh files"]);
}

#[test]
fn direct_upload_is_completed_after_the_file_was_sent() {
    let sandbox = sandbox();
    let begin = format!("direct-upload begin steps.csv -m {ALICE} --tag steps");
    let started = json(&run_master(&sandbox, &begin));
    let id = &started["id"];
    let complete = format!("direct-upload complete {id} -m {ALICE}");
    assert_fails(&run_master(&sandbox, &complete), 6, &["not present"]);
    let url = started["url"].as_str().unwrap().strip_prefix("http://");
    let (host, path) = url.unwrap().split_once('/').unwrap();
    let put = format!(
        "PUT /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 4\r\n\r\n1,2\n"
    );
    let response = login::exchange(host, &put);
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(!sandbox.files(ALICE)[0].complete);
    assert_eq!(json(&run_master(&sandbox, &complete))["size"], 4);
    assert_eq!(sandbox.files(ALICE)[0].metadata["tags"], json!(["steps"]));
}

#[test]
fn directory_is_drafted_reviewed_and_uploaded() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    let alice = format!("{ALICE}/a.csv");
    write_files(&files, &[(&alice, "a"), (&format!("{BOB}/b.json"), "b")]);
    let csv = dir.path().join("metadata.csv");
    let (files, csv) = (text(&files), text(&csv));
    stdout(&run_master(
        &sandbox,
        &format!("metadata draft -d {files} -o {csv}"),
    ));
    let review = format!("metadata review -d {files} {csv}");
    stdout(&run_master(&sandbox, &review));
    let upload = format!("upload -d {files} --metadata-csv {csv} --sync");
    stdout(&run_master(&sandbox, &upload));
    assert_eq!(sandbox.files(ALICE)[0].metadata["tags"], json!(["csv"]));
    assert_eq!(sandbox.files(BOB)[0].basename, "b.json");
    let list = stdout(&run_master(&sandbox, "metadata list"));
    assert_eq!(list.lines().count(), 3);

    write_files(&dir.path().join("files"), &[(&alice, "changed")]);
    let review = run_master(&sandbox, &review);
    assert_fails(&review, 6, &["differs", "1 place"]);
    assert!(String::from_utf8_lossy(&review.stdout).contains("MD5"));
}

#[test]
fn messages_are_sent_and_members_removed() {
    let sandbox = sandbox();
    stdout(&run_master(&sandbox, "message hello --all -s hi --yes"));
    stdout(&run_master(&sandbox, &format!("message hello -m {ALICE}")));
    let receivers: Vec<_> = sandbox.messages().into_iter().map(|m| m.to.len()).collect();
    assert_eq!(receivers, [2, 1]);
    let remove = format!("remove -m {ALICE} --member 00000000 --yes");
    assert_eq!(
        stdout(&run_master(&sandbox, &remove)),
        format!("{ALICE}\tremoved\n00000000\tnot a member\n")
    );
    assert!(!sandbox.is_joined(ALICE));
    stdout(&run_master(&sandbox, &format!("remove -m {BOB} --yes")));
    let nobody = run_master(&sandbox, "message hello --all --yes");
    stdout(&nobody);
    assert_prints(&nobody, &["no members: no message was sent"]);
    assert_eq!(sandbox.messages().len(), 2);
}

#[test]
fn commands_for_member_who_left_warn_or_fail() {
    let sandbox = sandbox();
    sandbox.add_file(ALICE, "a", b"a", json!({}));
    stdout(&run_master(&sandbox, &format!("remove -m {ALICE} --yes")));
    let dir = tempfile::tempdir().unwrap();
    let download = format!("download --project-data -d {}", text(dir.path()));
    for command in ["whoami", "files", "download-file -b a -o -", &download] {
        for (member, has_left) in [(ALICE, true), (BOB, false)] {
            let output = run_master(&sandbox, &format!("{command} -m {member}"));
            let warns = stderr(&output).contains("has left the project");
            assert_eq!(warns, has_left, "{command}: {}", stderr(&output));
        }
    }
    let file = dir.path().join("a");
    for command in [
        "message x",
        "delete --all -y",
        &format!("upload-file {}", text(&file)),
    ] {
        let output = run_master(&sandbox, &format!("{command} -m {ALICE}"));
        assert_fails(&output, 5, &[]);
    }
}

#[test]
fn access_log_lists_downloads() {
    let sandbox = sandbox();
    let id = sandbox.add_file(ALICE, "a.txt", b"a", json!({})).unwrap();
    let token = sandbox.issue_tokens(ALICE).access_token;
    let run = |args: &str| {
        let mut command = oh(&sandbox, args);
        let output = command.env("OPENHUMANS_ACCESS_TOKEN", &token).output();
        stdout(&output.unwrap())
    };
    run(&format!("download-file -i {id} -o -"));
    let log = run("access-log");
    assert!(log.ends_with("\ta.txt\n"), "{log}");
    let record: Value = serde_json::from_str(&run("access-log --json")).unwrap();
    assert_eq!(record["file"]["id"], id);
    assert_eq!(run("access-log --end 2020-01-01T00:00:00Z"), "");
    assert_eq!(run("access-log -i 999"), "");
    run("access-log --object-store");
}

#[test]
fn public_data_requires_no_token() {
    let sandbox = sandbox();
    sandbox.add_file(ALICE, "..\\p.txt", b"p", json!({}));
    let run = |args: &str| stdout(&run(&sandbox, args));
    for (args, expected) in [
        ("projects", "2\t"),
        ("members", "alice\t"),
        ("members --name ali", "alice\t"),
        ("data-types", "\t"),
        ("files --username alice", "p.txt"),
    ] {
        let printed = run(&format!("public {args}"));
        assert!(printed.contains(expected), "{args}: {printed}");
    }
    assert_eq!(run("public members --name zzz"), "");
    let project: Value = serde_json::from_str(&run("public project 2")).unwrap();
    let mut named = oh(&sandbox, "public projects --name");
    let named = named
        .arg(project["name"].as_str().unwrap())
        .output()
        .unwrap();
    assert!(stdout(&named).contains("2\t"));
    run("public data-types --project 2");
    let dir = tempfile::tempdir().unwrap();
    run(&format!("public download -d {}", text(dir.path())));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn exit_codes_match_documentation() {
    let sandbox = sandbox();
    let with_token = |token: &str| {
        let mut command = oh(&sandbox, "whoami");
        exit_code(
            &command
                .env("OPENHUMANS_ACCESS_TOKEN", token)
                .output()
                .unwrap(),
        )
    };
    let master = |args: &str| run_master(&sandbox, args);
    assert_eq!(exit_code(&run(&sandbox, "whoami")), 2);
    assert_eq!(exit_code(&run(&sandbox, "nonsense")), 2);
    assert_eq!(with_token("bogus"), 3);
    let tokens = sandbox.issue_tokens(ALICE);
    sandbox.expire_tokens(ALICE);
    assert_eq!(with_token(&tokens.access_token), 4);
    assert_eq!(exit_code(&master("whoami -m 00000000")), 5);
    let empty = run_master_with(&sandbox, "message --all", &[" "]);
    assert_eq!(exit_code(&empty), 6);
    let limited = Fault::RateLimited {
        retry_after: Some(600),
    };
    sandbox.fault_next(Endpoint::Project, 1, limited);
    assert_fails(&master("project"), 9, &["600 seconds"]);
    sandbox.fault_next(Endpoint::Message, 1, Fault::Html500);
    assert_eq!(exit_code(&master("message x --all --yes")), 10);
    let unreachable = format!("--base-url http://127.0.0.1:9 message x -m {ALICE}");
    assert_eq!(exit_code(&master(&unreachable)), 11);
    sandbox.fault_next(Endpoint::Project, 1, Fault::TruncatedJson);
    assert_eq!(exit_code(&master("project")), 12);
    let missing = format!("upload-file /nonexistent/file -m {ALICE}");
    assert_eq!(exit_code(&master(&missing)), 13);
    assert_eq!(exit_code(&master("message x --all")), 14);

    sandbox.add_shared_file(ALICE, "a", b"a", json!({}));
    sandbox.fault_next(Endpoint::ObjectGet, 1, Fault::page(404));
    let dir = tempfile::tempdir().unwrap();
    let download = format!("download -d {}", text(dir.path()));
    assert_eq!(exit_code(&master(&download)), 1);
}

#[test]
fn closed_stdout_ends_command_silently() {
    let sandbox = sandbox();
    sandbox.populate(2_000);
    let mut members = oh(&sandbox, "members");
    members
        .env("OPENHUMANS_MASTER_TOKEN", sandbox.master_token())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = members.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_fails(&output, 0, &[]);
    assert_eq!(stderr(&output), "");
}

#[test]
fn help_documents_exit_codes_and_commands() {
    let sandbox = sandbox();
    let help = stdout(&run(&sandbox, "--help"));
    for text in ["Exit codes:", "OPENHUMANS_MASTER_TOKEN", "Example:"] {
        assert!(help.contains(text), "{text}");
    }
    let refresh = stdout(&run(&sandbox, "help refresh"));
    assert!(refresh.contains("Invalidates the old tokens"), "{refresh}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&run(&sandbox, &format!("completions {shell}")));
        assert!(script.contains("download-file"), "{shell}");
    }
    let page = stdout(&run(&sandbox, "man"));
    assert!(page.starts_with(".ie") || page.contains(".TH"), "{page}");
    let dir = tempfile::tempdir().unwrap();
    stdout(&run(&sandbox, &format!("man -d {}", text(dir.path()))));
    for page in ["oh.1", "oh-upload.1", "oh-public-download.1"] {
        assert!(dir.path().join(page).is_file(), "{page}");
    }
    for guide in ["help migrate", "migrate"] {
        let guide = stdout(&run(&sandbox, guide));
        for text in ["ohproj-upload-metadata", "| `--project_member_ids` |"] {
            assert!(guide.contains(text), "{guide}");
        }
    }
}
