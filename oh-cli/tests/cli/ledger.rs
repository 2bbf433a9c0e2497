//! Ledgers are verified, reported on and proved offline.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oh_ledger::{Checkpoint, Frontier, SigningKey, checkpoint_record};
use serde_json::json;

use super::support::{assert_fails, exit_code, json, stderr, stdout, text};

const AS_OF: &str = "2026-12-15T00:00:00Z";

/// A directory with an export of two requests, one of which failed, and its keys.
struct Ledger {
    dir: tempfile::TempDir,
    key: String,
}

fn oh(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oh"));
    command
        .env_clear()
        .arg("ledger")
        .args(args)
        .output()
        .unwrap()
}

fn keygen(args: &[&str]) -> Output {
    oh(&[&["keygen", "app.example/erasure"], args].concat())
}

fn lines() -> Vec<String> {
    let steps = [
        ("one", "m1", "2026-11-01T12:00:00Z", "received"),
        ("two", "m2", "2026-11-02T12:00:00Z", "received"),
        ("one", "m1", "2026-11-03T12:00:00Z", "done"),
        ("two", "m2", "2026-11-04T12:00:00Z", "dead_lettered"),
    ];
    let line = |(seq, (event, member, at, step)): (usize, &(&str, &str, &str, &str))| {
        format!(
            "{{\"seq\":{seq},\"event\":\"{event}\",\"member\":\"{member}\",\"at\":\"{at}\",\
             \"step\":\"{step}\",\"attempt\":1}}"
        )
    };
    steps.iter().enumerate().map(line).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Joins lines, and ends each with a line break.
fn join<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

impl Ledger {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("signing.key");
        let keys = json(&keygen(&["--out", text(&secret)]));
        assert!(keys.get("signing_key").is_none());
        let signing: SigningKey = read(&secret).parse().unwrap();
        let mut tree = Frontier::new();
        let mut export = String::new();
        for (count, line) in (1..).zip(lines()) {
            tree.push(line.as_bytes());
            export += &format!("{line}\n");
            if count % 2 == 0 {
                let checkpoint = Checkpoint::of(signing.name(), &tree);
                let signed = checkpoint.sign(std::slice::from_ref(&signing));
                export += &format!("{}\n", checkpoint_record(signed.note()));
            }
        }
        std::fs::write(dir.path().join("ledger.jsonl"), export).unwrap();
        let key = keys["verifying_key"].as_str().unwrap().to_owned();
        Self { dir, key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn export(&self) -> String {
        read(self.path("ledger.jsonl"))
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn run_with_key(&self, key: &str, command: &str, args: &[&str]) -> Output {
        let export = self.path("ledger.jsonl");
        let common = [command, text(&export), "--key", key, "--as-of", AS_OF];
        oh(&[&common[..], args].concat())
    }

    fn run(&self, command: &str, args: &[&str]) -> Output {
        self.run_with_key(&self.key, command, args)
    }

    fn change(&self, change: impl Fn(String) -> String) {
        let export = self.export();
        let changed = change(export.clone());
        assert_ne!(changed, export);
        self.write("ledger.jsonl", &changed);
    }
}

#[test]
fn verify_reports_intact_ledger_and_overdue_requests() {
    let ledger = Ledger::new();
    let printed = stdout(&ledger.run("verify", &[]));
    let range = "the ledger is intact: lines 1 to 4 of 4 match the signed checkpoints";
    assert!(printed.starts_with(range), "{printed}");
    assert_eq!(
        printed.lines().last().unwrap(),
        "not recorded\toverdue\tdead letter\t\t2026-11-02T12:00:00Z\ttwo\tm2\t"
    );
    let result = json(&ledger.run("verify", &["--json"]));
    for (field, value) in [("signed_lines", 4), ("in_time", 1), ("overdue", 1)] {
        assert_eq!(result[field], value, "{result}");
    }
    assert_eq!(result["attention"][0]["event"], "two");
}

#[test]
fn changed_ledger_fails_verification_and_yields_no_report() {
    type Change = (&'static str, fn(String) -> String);
    let changes: [Change; 4] = [
        ("were changed, removed or inserted", |export| {
            export.replace("\"m1\"", "\"m9\"")
        }),
        ("were removed", |export| join(export.lines().skip(1))),
        ("were inserted", |export| {
            lines()[0].replace(":0,", ":-1,") + "\n" + &export
        }),
        ("not valid", |export| export.replace("\\n4\\n", "\\n3\\n")),
    ];
    for (message, change) in changes {
        let ledger = Ledger::new();
        ledger.change(change);
        let failed = ledger.run("verify", &[]);
        assert_eq!(exit_code(&failed), 12, "{message}");
        let printed = stderr(&failed);
        let printed = printed.replace("at least one was changed", "at least one were changed");
        assert!(printed.contains(message), "{printed}");
        let report = ledger.path("report.csv");
        let failed = ledger.run("report", &["--csv", text(&report)]);
        assert_eq!((exit_code(&failed), report.exists()), (12, false));
    }
}

#[test]
fn trusted_checkpoint_reveals_removed_end() {
    let ledger = Ledger::new();
    let trusted = ledger.write("trusted.jsonl", ledger.export().lines().last().unwrap());
    let trusted = ["--checkpoint", text(&trusted)];
    stdout(&ledger.run("verify", &trusted));
    ledger.change(|export| join(export.lines().take(3)));
    stdout(&ledger.run("verify", &[]));
    assert_fails(&ledger.run("verify", &trusted), 12, &["cut off"]);
}

#[test]
fn report_writes_html_and_csv_and_prints_verified_range() {
    let ledger = Ledger::new();
    let (html, csv) = (ledger.path("report.html"), ledger.path("report.csv"));
    let files = ["--html", text(&html), "--csv", text(&csv)];
    let printed = stdout(&ledger.run("report", &files));
    let verified = stdout(&ledger.run("verify", &[]));
    assert_eq!(printed.lines().next(), verified.lines().next());
    for path in [&html, &csv] {
        assert!(
            printed.contains(&format!("wrote {}\n", text(path))),
            "{printed}"
        );
    }
    assert!(read(&html).contains("1 overdue"));
    assert_eq!(read(&csv).lines().count(), 3);
    assert_eq!(exit_code(&ledger.run("report", &[])), 2);
}

#[test]
fn proofs_of_a_members_lines_are_checked() {
    let ledger = Ledger::new();
    let dir = ledger.path("proofs");
    let args = ["--member", "m1", "--directory", text(&dir)];
    let printed = stdout(&ledger.run("prove", &args));
    let files: Vec<&str> = printed.lines().collect();
    assert_eq!(files.len(), 2);
    let check = |files: &[&str]| oh(&[&["check", "--key", &ledger.key], files].concat());
    let all = lines();
    assert_eq!(stdout(&check(&files)), join([&*all[0], &all[2]]));
    let changed = read(files[0]).replace("index 0", "index 1");
    std::fs::write(files[0], changed).unwrap();
    assert_eq!(exit_code(&check(&files[..1])), 12);
    // Mail programs change line endings.
    let mailed = read(files[1]).replace('\n', "\r\n") + "\r\n";
    std::fs::write(files[1], mailed).unwrap();
    assert_eq!(stdout(&check(&files[1..])), join([&*all[2]]));
}

#[test]
fn prove_explains_pseudonyms_when_no_line_matches() {
    let ledger = Ledger::new();
    let dir = ledger.path("proofs");
    let prove = |option: &str, value: &str| {
        let failed = ledger.run("prove", &[option, value, "--directory", text(&dir)]);
        assert_eq!((exit_code(&failed), dir.exists()), (7, false));
        stderr(&failed)
    };
    let by_id = prove("--member", "01026778");
    for text in [
        "01026778",
        "pseudonym",
        "32 hexadecimal digits",
        "dashboard",
    ] {
        assert!(by_id.contains(text), "{by_id}");
    }
    assert!(!by_id.contains("covers the last"), "{by_id}");
    assert!(prove("--event", "three").contains("the event three"));
    ledger
        .change(|export| export + &lines()[3].replace(":3,", ":4,").replace("two", "three") + "\n");
    let uncovered = prove("--event", "three");
    assert!(
        uncovered.contains("covers the last line yet"),
        "{uncovered}"
    );
}

#[test]
fn trusted_checkpoint_is_read_as_mailed_or_logged() {
    let ledger = Ledger::new();
    let note = oh_ledger::notes_in(ledger.export().lines().last().unwrap()).remove(0);
    let path = ledger.path("trusted.txt");
    let verify = |content: &str| {
        std::fs::write(&path, content).unwrap();
        ledger.run("verify", &["--checkpoint", text(&path), "--json"])
    };
    for content in [
        note.clone(),
        note.trim_end().to_owned(),
        note.replace('\n', "\r\n"),
        format!("{note}\n\n"),
        format!("2026-11-04T12:00:00Z  INFO signed a checkpoint lines=4 checkpoint={note:?}\n"),
        format!("{note:?}"),
    ] {
        let result = json(&verify(&content));
        assert_eq!(result["trusted_checkpoints"], 1, "{content:?}");
    }
    for changed in [note.replace("\n4\n", "\n5\n"), format!("{note}-- \nmailed")] {
        for content in [
            changed.clone(),
            format!("checkpoint={changed:?}"),
            changed.replace('\n', "\r\n"),
        ] {
            assert_eq!(exit_code(&verify(&content)), 12, "{content:?}");
        }
    }
}

#[test]
fn verify_uses_singular_for_one() {
    let ledger = Ledger::new();
    ledger.change(|export| {
        let one_checkpoint = export.lines().filter(|line| !line.contains("\\n2\\n"));
        join(one_checkpoint) + &lines()[3].replace(":3,", ":4,") + "\n"
    });
    let printed = stdout(&ledger.run("verify", &[]));
    for text in [
        "(1 checkpoint, 0 trusted",
        "no checkpoint covers the last line yet\n",
    ] {
        assert!(printed.contains(text), "{printed}");
    }
}

#[test]
fn keygen_writes_new_files_only() {
    let ledger = Ledger::new();
    let (signing, verifying) = (ledger.path("new.key"), ledger.path("verifying.key"));
    let (signing, verifying) = (text(&signing), text(&verifying));
    let printed = json(&keygen(&["--out", signing, "--verifying-out", verifying]));
    let key: SigningKey = read(signing).parse().unwrap();
    let expected = key.verifying_key().to_string();
    assert_eq!(read(verifying), format!("{expected}\n"));
    assert_eq!(printed, json!({ "verifying_key": expected }));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(signing).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // The signing key is printed unless it is written to a file.
    let alone = ledger.path("alone.key");
    let printed = json(&keygen(&["--verifying-out", text(&alone)]));
    let key: SigningKey = printed["signing_key"].as_str().unwrap().parse().unwrap();
    assert_eq!(printed["verifying_key"], key.verifying_key().to_string());
    assert_eq!(printed["verifying_key"], read(&alone).trim_end());

    // An error leaves no file of the pair and does not change an existing one.
    let before = (read(signing), read(verifying));
    let other = ledger.path("other.key");
    let new = text(&other);
    for args in [
        ["--out", new, "--verifying-out", verifying],
        ["--out", signing, "--verifying-out", new],
        ["--out", new, "--verifying-out", new],
        ["--out", new, "--verifying-out", "/nonexistent/key"],
    ] {
        let failed = keygen(&args);
        assert_eq!(
            (exit_code(&failed), other.exists()),
            (13, false),
            "{args:?}"
        );
        if args[3] != "/nonexistent/key" {
            assert_fails(&failed, 13, &["not overwritten"]);
        }
    }
    assert_eq!((read(signing), read(verifying)), before);
    assert_eq!(exit_code(&oh(&["keygen", "two words"])), 6);
}

#[test]
fn key_option_accepts_verifying_keys_only() {
    let ledger = Ledger::new();
    let verify = |content: &str| {
        let file = ledger.write("key.json", content);
        ledger.run_with_key(text(&file), "verify", &[])
    };
    let secret = read(ledger.path("signing.key"));
    let secret = secret.trim_end();
    let key = &ledger.key;
    let printed = json!({ "signing_key": secret, "verifying_key": key });
    let other = stdout(&keygen(&[]));
    for content in [
        format!("\n{key}\n"),
        format!("{{\"verifying_key\":\"{key}\"}}\n"),
        format!("{printed}\r\n"),
        format!("\u{feff}{other}{printed:#}"),
    ] {
        stdout(&verify(&content));
    }
    for (content, message) in [
        (secret, "the signing key, which is secret"),
        (
            &format!("{{\"signing_key\":\"{secret}\"}}"),
            "verifying_key",
        ),
        (&format!("{{\"signing_key\":\"{secret}"), "verifying_key"),
        (
            &format!("{{\"verifying_key\":\"{secret}\"}}"),
            "the signing key",
        ),
        ("{\"verifying_key\":\"none\"}", "not a verifying key"),
        ("\n", "no key"),
    ] {
        let failed = verify(content);
        assert_fails(&failed, 6, &[message, "key.json"]);
        assert!(!stderr(&failed).contains("PRIVATE"), "{content}");
    }
    assert_eq!(
        exit_code(&ledger.run_with_key("no-such-key", "verify", &[])),
        2
    );
}
