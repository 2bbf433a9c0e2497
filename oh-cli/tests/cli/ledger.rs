//! A ledger is checked, reported on and proved from, offline.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oh_ledger::{Checkpoint, Frontier, SigningKey, checkpoint_record};
use serde_json::Value;

use super::support::{code, out, said};

const AS_OF: &str = "2026-12-15T00:00:00Z";

/// A folder with an export of two requests, one of which was never done, and its keys.
struct Ledger {
    folder: tempfile::TempDir,
    key: String,
}

fn oh(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oh"));
    command.env_clear().args(args).output().unwrap()
}

fn lines() -> Vec<String> {
    [
        ("one", "m1", "2026-11-01T12:00:00Z", "received"),
        ("two", "m2", "2026-11-02T12:00:00Z", "received"),
        ("one", "m1", "2026-11-03T12:00:00Z", "done"),
        ("two", "m2", "2026-11-04T12:00:00Z", "dead_lettered"),
    ]
    .iter()
    .enumerate()
    .map(|(seq, (event, member, at, step))| {
        format!(
            "{{\"seq\":{seq},\"event\":\"{event}\",\"member\":\"{member}\",\"at\":\"{at}\",\
             \"step\":\"{step}\",\"attempt\":1}}"
        )
    })
    .collect()
}

impl Ledger {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("signing.key");
        let made = oh(&[
            "ledger",
            "keygen",
            "app.example/erasure",
            "--out",
            secret.to_str().unwrap(),
        ]);
        let made: Value = serde_json::from_str(&out(&made)).unwrap();
        let key = made["verifying_key"].as_str().unwrap().to_owned();
        assert!(made.get("signing_key").is_none());
        let signing: SigningKey = std::fs::read_to_string(&secret).unwrap().parse().unwrap();
        let mut tree = Frontier::new();
        let mut text = String::new();
        for (count, line) in (1..).zip(lines()) {
            tree.push(line.as_bytes());
            text += &format!("{line}\n");
            if count % 2 == 0 {
                let sealed =
                    Checkpoint::of(signing.name(), &tree).sign(std::slice::from_ref(&signing));
                text += &format!("{}\n", checkpoint_record(sealed.note()));
            }
        }
        std::fs::write(folder.path().join("ledger.jsonl"), text).unwrap();
        Self { folder, key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, command: &str, more: &[&str]) -> Output {
        let export = self.path("ledger.jsonl");
        let common = [
            "ledger",
            command,
            export.to_str().unwrap(),
            "--key",
            &self.key,
        ];
        oh(&[&common[..], &["--as-of", AS_OF], more].concat())
    }

    fn alter(&self, how: impl Fn(String) -> String) {
        let path = self.path("ledger.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let altered = how(text.clone());
        assert_ne!(altered, text);
        std::fs::write(path, altered).unwrap();
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_ledger_that_holds_is_said_to_and_what_is_overdue_is_listed() {
    let ledger = Ledger::new();
    let answer = out(&ledger.run("verify", &[]));
    assert!(
        answer.starts_with("the ledger is intact: lines 1 to 4 of 4"),
        "{answer}"
    );
    let last = answer.lines().last().unwrap();
    assert_eq!(
        last,
        "not recorded\toverdue\tdead letter\t\t2026-11-02T12:00:00Z\ttwo\tm2\t"
    );
    let answer: Value = serde_json::from_str(&out(&ledger.run("verify", &["--json"]))).unwrap();
    assert_eq!(answer["signed_lines"], 4);
    assert_eq!(
        (&answer["in_time"], &answer["overdue"]),
        (&1.into(), &1.into())
    );
    assert_eq!(answer["attention"][0]["event"], "two");
    // The key may be in a file.
    let key = ledger.path("key.txt");
    std::fs::write(&key, format!("\n{}\n", ledger.key)).unwrap();
    let export = ledger.path("ledger.jsonl");
    let args = [
        "ledger",
        "verify",
        export.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    assert!(oh(&args).status.success());
}

#[test]
fn what_was_done_to_a_ledger_is_found_out() {
    type Way = (&'static str, fn(String) -> String);
    let ways: [Way; 4] = [
        ("were changed, removed or inserted", |text| {
            text.replace("\"m1\"", "\"m9\"")
        }),
        ("were removed", |text| {
            text.lines()
                .skip(1)
                .fold(String::new(), |t, l| t + l + "\n")
        }),
        ("were inserted", |text| {
            lines()[0].replace(":0,", ":-1,") + "\n" + &text
        }),
        ("not valid", |text| text.replace("\\n4\\n", "\\n3\\n")),
    ];
    for (expected, way) in ways {
        let ledger = Ledger::new();
        ledger.alter(way);
        let found = ledger.run("verify", &[]);
        assert_eq!(code(&found), 12, "{expected}");
        let said = said(&found).replace("at least one was changed", "at least one were changed");
        assert!(said.contains(expected), "{said}");
        // Nothing is made of a ledger that does not hold.
        let report = ledger.path("report.csv");
        let refused = ledger.run("report", &["--csv", report.to_str().unwrap()]);
        assert_eq!((code(&refused), report.exists()), (12, false));
    }
}

#[test]
fn a_checkpoint_kept_elsewhere_shows_that_the_end_was_cut_off() {
    let ledger = Ledger::new();
    let whole = text(&ledger.path("ledger.jsonl"));
    let kept = ledger.path("kept.jsonl");
    std::fs::write(&kept, whole.lines().last().unwrap()).unwrap();
    let kept = ["--checkpoint", kept.to_str().unwrap()];
    assert!(ledger.run("verify", &kept).status.success());
    ledger.alter(|text| {
        text.lines()
            .take(3)
            .fold(String::new(), |t, l| t + l + "\n")
    });
    assert!(ledger.run("verify", &[]).status.success());
    let found = ledger.run("verify", &kept);
    assert_eq!(code(&found), 12);
    assert!(said(&found).contains("cut off"), "{}", said(&found));
}

#[test]
fn the_report_is_a_page_and_a_table() {
    let ledger = Ledger::new();
    let (page, table) = (ledger.path("report.html"), ledger.path("report.csv"));
    let files = [
        "--html",
        page.to_str().unwrap(),
        "--csv",
        table.to_str().unwrap(),
    ];
    assert!(ledger.run("report", &files).status.success());
    assert!(text(&page).contains("1 overdue"));
    assert_eq!(text(&table).lines().count(), 3);
    assert_eq!(code(&ledger.run("report", &[])), 2);
}

#[test]
fn a_members_lines_are_proved_one_by_one() {
    let ledger = Ledger::new();
    let folder = ledger.path("proofs");
    let args = ["--member", "m1", "--directory", folder.to_str().unwrap()];
    let written = out(&ledger.run("prove", &args));
    let files: Vec<&str> = written.lines().collect();
    assert_eq!(files.len(), 2);
    let check = |files: &[&str]| {
        let command = [&["ledger", "check", "--key", &ledger.key][..], files].concat();
        oh(&command)
    };
    let proved = out(&check(&files));
    assert_eq!(proved, format!("{}\n{}\n", lines()[0], lines()[2]));
    let altered = text(Path::new(files[0])).replace("index 0", "index 1");
    std::fs::write(files[0], altered).unwrap();
    assert_eq!(code(&check(&files[..1])), 12);
    // A proof that was mailed is one still.
    let mailed = text(Path::new(files[1])).replace('\n', "\r\n") + "\r\n";
    std::fs::write(files[1], mailed).unwrap();
    assert_eq!(out(&check(&files[1..])), format!("{}\n", lines()[2]));
}

#[test]
fn whoever_looks_for_a_member_by_id_is_told_how_members_are_named() {
    let ledger = Ledger::new();
    let folder = ledger.path("proofs");
    let prove = |flag: &str, value: &str| {
        let args = [flag, value, "--directory", folder.to_str().unwrap()];
        let nothing = ledger.run("prove", &args);
        assert_eq!((code(&nothing), folder.exists()), (7, false));
        said(&nothing)
    };
    let by_id = prove("--member", "01026778");
    for wanted in ["01026778", "pseudonym", "32 hexadecimal digits", "desk"] {
        assert!(by_id.contains(wanted), "{by_id}");
    }
    assert!(!by_id.contains("covers the last"), "{by_id}");
    let by_event = prove("--event", "three");
    assert!(by_event.contains("the event three"), "{by_event}");
    ledger.alter(|text| text + &lines()[3].replace(":3,", ":4,").replace("two", "three") + "\n");
    let too_new = prove("--event", "three");
    assert!(
        too_new.contains("no checkpoint covers the last line yet"),
        "{too_new}"
    );
}

#[test]
fn a_checkpoint_is_read_as_it_was_mailed_or_logged() {
    let ledger = Ledger::new();
    let whole = text(&ledger.path("ledger.jsonl"));
    let note = oh_ledger::notes_in(whole.lines().last().unwrap()).remove(0);
    let kept = ledger.path("kept.txt");
    for held in [
        note.clone(),
        note.trim_end().to_owned(),
        note.replace('\n', "\r\n"),
        format!("{note}\n\n"),
        format!("2026-11-04T12:00:00Z  INFO the ledger was sealed lines=4 checkpoint={note:?}\n"),
        format!("{note:?}"),
    ] {
        std::fs::write(&kept, &held).unwrap();
        let args = ["--checkpoint", kept.to_str().unwrap(), "--json"];
        let answer: Value = serde_json::from_str(&out(&ledger.run("verify", &args))).unwrap();
        assert_eq!(answer["trusted_checkpoints"], 1, "{held:?}");
    }
    // None of that takes anything from the signature.
    for held in [note.replace("\n4\n", "\n5\n"), format!("{note}-- \nmailed")] {
        for held in [
            held.clone(),
            format!("checkpoint={held:?}"),
            held.replace('\n', "\r\n"),
        ] {
            std::fs::write(&kept, &held).unwrap();
            let args = ["--checkpoint", kept.to_str().unwrap()];
            assert_eq!(code(&ledger.run("verify", &args)), 12, "{held:?}");
        }
    }
}

#[test]
fn one_thing_is_not_counted_as_several() {
    let ledger = Ledger::new();
    ledger.alter(|text| {
        let kept = text.lines().filter(|line| !line.contains("\\n2\\n"));
        let kept = kept.filter(|line| !line.is_empty());
        kept.fold(String::new(), |text, line| text + line + "\n")
            + &lines()[3].replace(":3,", ":4,")
            + "\n"
    });
    let answer = out(&ledger.run("verify", &[]));
    assert!(answer.contains("(1 checkpoint, 0 trusted"), "{answer}");
    assert!(
        answer.contains("\nno checkpoint covers the last line yet\n"),
        "{answer}"
    );
}

#[test]
fn the_verifying_key_goes_to_a_file_that_key_reads() {
    let ledger = Ledger::new();
    let make = |args: &[&str]| oh(&[&["ledger", "keygen", "app.example/erasure"], args].concat());
    let (signing, verifying) = (ledger.path("new.key"), ledger.path("verifying.key"));
    let (signing, verifying) = (signing.to_str().unwrap(), verifying.to_str().unwrap());
    let printed = out(&make(&["--out", signing, "--verifying-out", verifying]));
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let key: SigningKey = text(Path::new(signing)).parse().unwrap();
    assert_eq!(
        text(Path::new(verifying)),
        format!("{}\n", key.verifying_key())
    );
    assert_eq!(
        printed,
        serde_json::json!({ "verifying_key": key.verifying_key().to_string() })
    );
    // Without the other both are printed, as ever.
    let alone = ledger.path("alone.key");
    let printed = out(&make(&["--verifying-out", alone.to_str().unwrap()]));
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert!(printed["signing_key"].is_string());
    assert_eq!(printed["verifying_key"], text(&alone).trim_end());

    // What is there stays, and nothing is made of the other.
    let before = (text(Path::new(signing)), text(Path::new(verifying)));
    let other = ledger.path("other.key");
    let fresh = other.to_str().unwrap();
    for args in [
        ["--out", fresh, "--verifying-out", verifying],
        ["--out", signing, "--verifying-out", fresh],
        ["--out", fresh, "--verifying-out", fresh],
        ["--out", fresh, "--verifying-out", "/nonexistent/key"],
    ] {
        let refused = make(&args);
        assert_eq!((code(&refused), other.exists()), (13, false), "{args:?}");
        if args[3] != "/nonexistent/key" {
            assert!(
                said(&refused).contains("not there yet"),
                "{}",
                said(&refused)
            );
        }
    }
    assert_eq!(
        (text(Path::new(signing)), text(Path::new(verifying))),
        before
    );
}

#[test]
fn a_key_may_be_the_json_that_keygen_printed_and_never_the_signing_key() {
    let ledger = Ledger::new();
    let export = ledger.path("ledger.jsonl");
    let file = ledger.path("key.json");
    let verify = |content: &str| {
        std::fs::write(&file, content).unwrap();
        let key = file.to_str().unwrap();
        oh(&["ledger", "verify", export.to_str().unwrap(), "--key", key])
    };
    let secret = text(&ledger.path("signing.key"));
    let secret = secret.trim_end();
    let key = &ledger.key;
    let printed = serde_json::json!({ "signing_key": secret, "verifying_key": key });
    let other = out(&oh(&["ledger", "keygen", "app.example/erasure"]));
    for content in [
        format!("{{\"verifying_key\":\"{key}\"}}\n"),
        format!("{printed}\r\n"),
        format!("\u{feff}{other}{printed:#}"),
    ] {
        assert!(verify(&content).status.success(), "{content}");
    }
    for (content, wanted) in [
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
        let refused = verify(content);
        assert_eq!(code(&refused), 6, "{content}");
        let said = said(&refused);
        assert!(said.contains(wanted) && said.contains("key.json"), "{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
    }
}

#[test]
fn keys_are_made_once_and_kept_to_oneself() {
    let made = out(&oh(&["ledger", "keygen", "app.example/erasure"]));
    let made: Value = serde_json::from_str(&made).unwrap();
    let key: SigningKey = made["signing_key"].as_str().unwrap().parse().unwrap();
    assert_eq!(made["verifying_key"], key.verifying_key().to_string());
    assert_eq!(code(&oh(&["ledger", "keygen", "two words"])), 6);
    let ledger = Ledger::new();
    let secret = ledger.path("signing.key");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&secret).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = [
        "ledger",
        "keygen",
        "a.example/b",
        "--out",
        secret.to_str().unwrap(),
    ];
    assert_eq!(code(&oh(&again)), 13);
    let strange = ["ledger", "verify", "x", "--key", "no-such-key"];
    assert_eq!(code(&oh(&strange)), 2);
}
