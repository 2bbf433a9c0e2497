//! Directories up: what is replaced, deleted, kept, and said of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use oh_sandbox::Sandbox;
use serde_json::json;

use crate::support::{ALICE, BOB, by_master, code, oh, out, plant, said, sandbox};

const OTHER_MD5: &str = "0cc175b9c0f1b6a831c399e269772662";

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(place.files()).unwrap();
        plant(&place.files(), files);
        place
    }

    fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    fn csv(&self) -> PathBuf {
        self.dir.path().join("metadata.csv")
    }

    /// Says of each file that its description is its name.
    fn described(&self, names: &[&str]) -> &Self {
        let rows = names.iter().map(|name| format!("{name},x,{name}\n"));
        let rows: String = rows.collect();
        std::fs::write(self.csv(), format!("filename,tags,description\n{rows}")).unwrap();
        self
    }

    fn upload(&self, sandbox: &Sandbox, args: &[&str]) -> Output {
        let (files, csv) = (self.files(), self.csv());
        let mut all = vec!["upload", "-m", ALICE, "-d", path(&files)];
        all.extend(["--metadata-csv", path(&csv)]);
        all.extend(args);
        by_master(sandbox, &all)
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn there(sandbox: &Sandbox) -> BTreeMap<String, Vec<String>> {
    let mut there = BTreeMap::<String, Vec<String>>::new();
    for file in sandbox.files(ALICE) {
        let content = sandbox.file_content(file.id).unwrap();
        let content = String::from_utf8(content).unwrap();
        there.entry(file.basename).or_default().push(content);
    }
    there
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    there(sandbox).into_keys().collect()
}

#[test]
fn sync_knows_a_directory_that_it_downloaded() {
    let sandbox = sandbox();
    let names = [".hidden", "-dash", "~home", "A.txt", "a.txt", "plain", "d:"];
    for name in names {
        sandbox.add_file(ALICE, name, name.as_bytes(), json!({}));
    }
    let before: Vec<_> = sandbox.files(ALICE).iter().map(|f| f.id).collect();
    let place = Place::new(&[]);
    let files = place.files();
    let download = [
        "download",
        "--project-data",
        "-m",
        ALICE,
        "-d",
        path(&files),
    ];
    out(&by_master(&sandbox, &download));
    let csv = place.csv();
    let draft = ["metadata", "draft", "-d", path(&files), "-o", path(&csv)];
    out(&by_master(&sandbox, &draft));
    // The files' MD5s are not known at Open Humans, so they are sent once, and stay after that.
    let first = place.upload(&sandbox, &["--sync"]);
    out(&first);
    assert!(
        said(&first).contains("7 files uploaded"),
        "{}",
        said(&first)
    );
    let after: Vec<_> = sandbox.files(ALICE).into_iter().collect();
    assert_eq!(after.len(), names.len());
    assert!(after.iter().all(|file| !before.contains(&file.id)));
    let again = place.upload(&sandbox, &["--sync"]);
    out(&again);
    assert!(
        said(&again).contains("0 files uploaded; 7 there already\n"),
        "{}",
        said(&again)
    );
    let ids = |files: &[oh_sandbox::FileInfo]| files.iter().map(|f| f.id).collect::<Vec<_>>();
    assert_eq!(ids(&sandbox.files(ALICE)), ids(&after));
    let there = there(&sandbox);
    // A case that only their owners' disks tell apart: the id stays in the name.
    for name in [".hidden", "-dash", "~home", "A.txt", "plain", "d:"] {
        assert_eq!(there[name], [name], "{there:?}");
    }
}

#[test]
fn sync_asks_before_it_deletes_much() {
    let sandbox = sandbox();
    for name in ["a", "b", "c", "d"] {
        sandbox.add_file(ALICE, name, name.as_bytes(), json!({}));
    }
    sandbox.add_file(ALICE, ".hidden", b"h", json!({}));
    sandbox.add_shared_file(ALICE, "shared", b"s", json!({}));
    let all = [".hidden", "a", "b", "c", "d", "shared"];
    let empty = Place::new(&[]);
    empty.described(&[]);
    let refused = empty.upload(&sandbox, &["--sync"]);
    assert_eq!(code(&refused), 2, "{}", said(&refused));
    for wanted in ["    a (", "    d (", "4 of 5 files", "--yes"] {
        assert!(said(&refused).contains(wanted), "{}", said(&refused));
    }
    let dry = empty.upload(&sandbox, &["--sync", "--dry-run"]);
    assert_eq!(out(&dry), "delete\ta\ndelete\tb\ndelete\tc\ndelete\td\n");
    assert_eq!(names(&sandbox), all);

    // One of five is not much.
    let place = Place::new(&[("a", "a"), ("b", "b"), ("c", "c")]);
    place.described(&["a", "b", "c"]);
    let synced = place.upload(&sandbox, &["--sync"]);
    out(&synced);
    assert!(said(&synced).contains("    d ("), "{}", said(&synced));
    assert_eq!(names(&sandbox), [".hidden", "a", "b", "c", "shared"]);
    out(&empty.upload(&sandbox, &["--sync", "--yes"]));
    assert_eq!(names(&sandbox), [".hidden", "shared"]);
}

#[test]
fn sync_asks_before_it_takes_all_of_one_member() {
    let sandbox = sandbox();
    sandbox.add_file(BOB, "only", b"o", json!({}));
    let names: Vec<String> = (0..9).map(|i| i.to_string()).collect();
    let place = Place::new(&[]);
    let mut csv = format!("project_member_id,filename,tags\n{BOB},None,NA\n");
    for name in &names {
        sandbox.add_file(ALICE, name, name.as_bytes(), json!({}));
        plant(&place.files(), &[(&format!("{ALICE}/{name}"), name)]);
        csv.push_str(&format!("{ALICE},{name},\n"));
    }
    std::fs::create_dir(place.files().join(BOB)).unwrap();
    std::fs::write(place.csv(), csv).unwrap();
    let (files, csv) = (place.files(), place.csv());
    let upload = [
        "upload",
        "-d",
        path(&files),
        "--metadata-csv",
        path(&csv),
        "--sync",
    ];
    let refused = by_master(&sandbox, &upload);
    assert_eq!(code(&refused), 2);
    let question = "1 of 10 files, all of one member's";
    assert!(said(&refused).contains(question), "{}", said(&refused));
    assert_eq!(sandbox.files(BOB).len(), 1);
    out(&by_master(&sandbox, &[&upload[..], &["--yes"]].concat()));
    assert_eq!(sandbox.files(BOB).len(), 0);
    assert_eq!(sandbox.files(ALICE).len(), 9);
}

#[test]
fn nothing_is_deleted_where_an_upload_failed() {
    let sandbox = sandbox();
    for name in ["a", "old", "b", "c", "d"] {
        sandbox.add_file(ALICE, name, name.as_bytes(), json!({}));
    }
    let place = Place::new(&[("a", "new"), ("b", "b"), ("c", "c"), ("d", "d")]);
    let csv = format!("filename,tags,md5\na,,{OTHER_MD5}\nb,,\nc,,\nd,,\n");
    std::fs::write(place.csv(), csv).unwrap();
    let failed = place.upload(&sandbox, &["--sync"]);
    assert_eq!(code(&failed), 1, "{}", said(&failed));
    assert!(said(&failed).contains("1 not deleted"), "{}", said(&failed));
    assert!(
        said(&failed).contains("oh: a: the md5"),
        "{}",
        said(&failed)
    );
    assert_eq!(there(&sandbox)["a"], ["a"]);
    assert!(names(&sandbox).contains(&"old".to_owned()));
    out(&place.upload(&sandbox, &["--sync", "--ignore-md5"]));
    assert_eq!(there(&sandbox)["a"], ["new"]);
    assert!(!names(&sandbox).contains(&"old".to_owned()));
}

#[test]
fn a_name_with_outer_blanks_is_one_file_however_often_it_goes_up() {
    let sandbox = sandbox();
    let place = Place::new(&[(" a b.txt ", "a")]);
    place.described(&["\" a b.txt \""]);
    for _ in 0..2 {
        out(&place.upload(&sandbox, &[]));
    }
    assert_eq!(there(&sandbox)["a b.txt"], ["a"]);
    assert_eq!(sandbox.files(ALICE).len(), 1);
}

#[test]
fn changed_metadata_are_said_not_to_be_sent_and_sent_when_asked() {
    let sandbox = sandbox();
    let place = Place::new(&[("a", "a")]);
    out(&place.described(&["a"]).upload(&sandbox, &[]));
    let csv = "filename,tags,description\na,x,Another\n";
    std::fs::write(place.csv(), csv).unwrap();
    let kept = place.upload(&sandbox, &[]);
    out(&kept);
    for wanted in ["described otherwise", "--update-metadata"] {
        assert!(said(&kept).contains(wanted), "{}", said(&kept));
    }
    assert_eq!(sandbox.files(ALICE)[0].metadata["description"], "a");
    out(&place.upload(&sandbox, &["--update-metadata"]));
    let files = sandbox.files(ALICE);
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].metadata["description"], "Another");
    let again = place.upload(&sandbox, &["--update-metadata"]);
    out(&again);
    assert!(said(&again).contains("1 there already"), "{}", said(&again));
}

#[test]
fn the_newest_of_one_name_is_what_a_file_is_compared_with() {
    let sandbox = sandbox();
    let md5 = |text: &str| json!({ "md5": text });
    // Older and equal, newer and another.
    sandbox.add_file(ALICE, "a", b"a", md5("0cc175b9c0f1b6a831c399e269772661"));
    sandbox.add_file(ALICE, "a", b"b", md5("92eb5ffee6ae2fec3ad71c777531578f"));
    let place = Place::new(&[("a", "a")]);
    out(&place.described(&["a"]).upload(&sandbox, &[]));
    assert_eq!(there(&sandbox)["a"], ["a"]);
}

#[test]
fn what_does_not_fit_says_what_to_do() {
    let sandbox = sandbox();
    let several = format!("{BOB}/b");
    let one = Place::new(&[("a", "a")]);
    let many = Place::new(&[(&several, "b")]);
    let list = "project_member_id,data_source,file_basename,file_upload_date\n";
    std::fs::write(one.csv(), list).unwrap();
    let wrong = one.upload(&sandbox, &[]);
    assert_eq!(code(&wrong), 6);
    for wanted in ["metadata.csv", "oh metadata draft"] {
        assert!(said(&wrong).contains(wanted), "{}", said(&wrong));
    }
    let rows = format!("project_member_id,filename,tags\n{BOB},b,\n");
    std::fs::write(many.csv(), rows).unwrap();
    let wrong = many.upload(&sandbox, &[]);
    assert_eq!(code(&wrong), 6);
    assert!(
        said(&wrong).contains("leave the member out"),
        "{}",
        said(&wrong)
    );
    one.described(&["a"]);
    let (files, csv) = (one.files(), one.csv());
    let upload = ["upload", "-d", path(&files), "--metadata-csv", path(&csv)];
    let wrong = by_master(&sandbox, &upload);
    assert_eq!(code(&wrong), 6);
    assert!(
        said(&wrong).contains("say whose they are"),
        "{}",
        said(&wrong)
    );
}

#[test]
fn a_draft_of_one_file_is_said_to_describe_one() {
    let sandbox = sandbox();
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    let csv = dir.path().join("sp.csv");
    let (folder, csv) = (files.to_str().unwrap(), csv.to_str().unwrap());
    plant(&files, &[("a.csv", "a")]);
    let draft = || oh(&sandbox, &["metadata", "draft", "-d", folder, "-o", csv]).output();
    let one = said(&draft().unwrap());
    assert!(one.contains("sp.csv describes 1 file: "), "{one}");
    plant(&files, &[("b.csv", "b")]);
    let two = said(&draft().unwrap());
    assert!(two.contains("sp.csv describes 2 files: "), "{two}");
}
