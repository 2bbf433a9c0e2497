//! Uploads of directories: replaced, deleted and skipped files, and the reports.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;

use oh_sandbox::Sandbox;
use serde_json::json;

use crate::support::*;

const OTHER_MD5: &str = "0cc175b9c0f1b6a831c399e269772662";

/// A directory of files with its metadata CSV.
struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new(files: &[(&str, &str)]) -> Self {
        let workspace = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(workspace.files()).unwrap();
        write_files(&workspace.files(), files);
        workspace
    }

    fn files(&self) -> PathBuf {
        self.0.path().join("files")
    }

    fn csv(&self) -> PathBuf {
        self.0.path().join("metadata.csv")
    }

    /// Writes a CSV in which the description of each file is its name.
    fn describe(&self, names: &[&str]) -> &Self {
        let rows = names.iter().map(|name| format!("{name},x,{name}\n"));
        let rows: String = rows.collect();
        self.write_csv(format!("filename,tags,description\n{rows}"));
        self
    }

    fn write_csv(&self, csv: impl AsRef<[u8]>) {
        std::fs::write(self.csv(), csv).unwrap();
    }

    /// Uploads for all members.
    fn upload_all(&self, sandbox: &Sandbox, options: &str) -> Output {
        let (files, csv) = (self.files(), self.csv());
        let (files, csv) = (text(&files), text(&csv));
        let args = format!("upload -d {files} --metadata-csv {csv} {options}");
        run_master(sandbox, &args)
    }

    /// Uploads for Alice.
    fn upload(&self, sandbox: &Sandbox, options: &str) -> Output {
        self.upload_all(sandbox, &format!("-m {ALICE} {options}"))
    }

    fn draft(&self, sandbox: &Sandbox, options: &str) -> Output {
        let (files, csv) = (self.files(), self.csv());
        let (files, csv) = (text(&files), text(&csv));
        run(
            sandbox,
            &format!("metadata draft -d {files} -o {csv} {options}"),
        )
    }

    fn review(&self, sandbox: &Sandbox) -> Output {
        let (files, csv) = (self.files(), self.csv());
        let (files, csv) = (text(&files), text(&csv));
        run(sandbox, &format!("metadata review -d {files} {csv}"))
    }
}

/// Returns the contents of Alice's files, by name.
fn contents(sandbox: &Sandbox) -> BTreeMap<String, Vec<String>> {
    let mut contents = BTreeMap::<String, Vec<String>>::new();
    for file in sandbox.files(ALICE) {
        let content = String::from_utf8(sandbox.file_content(file.id).unwrap()).unwrap();
        contents.entry(file.basename).or_default().push(content);
    }
    contents
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    contents(sandbox).into_keys().collect()
}

fn ids(sandbox: &Sandbox) -> Vec<u64> {
    sandbox.files(ALICE).iter().map(|file| file.id).collect()
}

#[test]
fn sync_recognizes_files_that_download_renamed() {
    let sandbox = sandbox();
    let all = [".hidden", "-dash", "~home", "A.txt", "a.txt", "plain", "d:"];
    for name in all {
        sandbox.add_file(ALICE, name, name.as_bytes(), json!({}));
    }
    let before = ids(&sandbox);
    let workspace = Workspace::new(&[]);
    let files = workspace.files();
    let download = format!("download --project-data -m {ALICE} -d {}", text(&files));
    stdout(&run_master(&sandbox, &download));
    stdout(&workspace.draft(&sandbox, ""));
    // The MD5s are not known at Open Humans, so the files are uploaded once.
    let first = workspace.upload(&sandbox, "--sync");
    assert_fails(&first, 0, &["7 files uploaded"]);
    let after = ids(&sandbox);
    assert_eq!(after.len(), all.len());
    assert!(after.iter().all(|id| !before.contains(id)));
    let second = workspace.upload(&sandbox, "--sync");
    assert_fails(&second, 0, &["0 files uploaded; 7 already present\n"]);
    assert_eq!(ids(&sandbox), after);
    let contents = contents(&sandbox);
    // "a.txt" keeps its id in the name, because some file systems ignore case.
    for name in all.into_iter().filter(|name| *name != "a.txt") {
        assert_eq!(contents[name], [name], "{contents:?}");
    }
}

#[test]
fn sync_asks_before_many_deletions() {
    let sandbox = sandbox();
    for name in ["a", "b", "c", "d"] {
        sandbox.add_file(ALICE, name, name.as_bytes(), json!({}));
    }
    sandbox.add_file(ALICE, ".hidden", b"h", json!({}));
    sandbox.add_shared_file(ALICE, "shared", b"s", json!({}));
    let empty = Workspace::new(&[]);
    empty.describe(&[]);
    let refused = empty.upload(&sandbox, "--sync");
    assert_fails(
        &refused,
        14,
        &["    a (", "    d (", "4 of 5 files", "--yes"],
    );
    let dry_run = empty.upload(&sandbox, "--sync --dry-run");
    assert_eq!(
        stdout(&dry_run),
        "delete\ta\ndelete\tb\ndelete\tc\ndelete\td\n"
    );
    let all = [".hidden", "a", "b", "c", "d", "shared"];
    assert_eq!(names(&sandbox), all);

    // One of five files does not require confirmation.
    let workspace = Workspace::new(&[("a", "a"), ("b", "b"), ("c", "c")]);
    workspace.describe(&["a", "b", "c"]);
    let synced = workspace.upload(&sandbox, "--sync");
    assert_fails(&synced, 0, &["    d ("]);
    assert_eq!(names(&sandbox), [".hidden", "a", "b", "c", "shared"]);
    stdout(&empty.upload(&sandbox, "--sync --yes"));
    assert_eq!(names(&sandbox), [".hidden", "shared"]);
}

#[test]
fn sync_asks_before_deleting_all_files_of_a_member() {
    let sandbox = sandbox();
    sandbox.add_file(BOB, "only", b"o", json!({}));
    let workspace = Workspace::new(&[]);
    let mut csv = format!("project_member_id,filename,tags\n{BOB},None,NA\n");
    for name in ('0'..='8').map(String::from) {
        sandbox.add_file(ALICE, &name, name.as_bytes(), json!({}));
        write_files(&workspace.files(), &[(&format!("{ALICE}/{name}"), &name)]);
        csv.push_str(&format!("{ALICE},{name},\n"));
    }
    std::fs::create_dir(workspace.files().join(BOB)).unwrap();
    workspace.write_csv(csv);
    let refused = workspace.upload_all(&sandbox, "--sync");
    let question = "1 of 10 files at Open Humans, including all files of one member";
    assert_fails(&refused, 14, &[question]);
    assert_eq!(sandbox.files(BOB).len(), 1);
    stdout(&workspace.upload_all(&sandbox, "--sync --yes"));
    assert_eq!(sandbox.files(BOB).len(), 0);
    assert_eq!(sandbox.files(ALICE).len(), 9);
}

#[test]
fn sync_deletes_nothing_after_failed_upload() {
    let sandbox = sandbox();
    for name in ["a", "old", "b", "c", "d"] {
        sandbox.add_file(ALICE, name, name.as_bytes(), json!({}));
    }
    let workspace = Workspace::new(&[("a", "new"), ("b", "b"), ("c", "c"), ("d", "d")]);
    workspace.write_csv(format!(
        "filename,tags,md5\na,,{OTHER_MD5}\nb,,\nc,,\nd,,\n"
    ));
    let failed = workspace.upload(&sandbox, "--sync");
    assert_fails(&failed, 1, &["1 not deleted", "oh: a: the md5"]);
    assert_eq!(contents(&sandbox)["a"], ["a"]);
    assert!(names(&sandbox).contains(&"old".to_owned()));
    stdout(&workspace.upload(&sandbox, "--sync --ignore-md5"));
    assert_eq!(contents(&sandbox)["a"], ["new"]);
    assert!(!names(&sandbox).contains(&"old".to_owned()));
}

#[test]
fn repeated_upload_of_name_with_outer_spaces_is_one_file() {
    let sandbox = sandbox();
    let workspace = Workspace::new(&[(" a b.txt ", "a")]);
    workspace.describe(&["\" a b.txt \""]);
    for _ in 0..2 {
        stdout(&workspace.upload(&sandbox, ""));
    }
    assert_eq!(contents(&sandbox)["a b.txt"], ["a"]);
    assert_eq!(sandbox.files(ALICE).len(), 1);
}

#[test]
fn changed_metadata_is_reported_and_uploaded_on_request() {
    let sandbox = sandbox();
    let workspace = Workspace::new(&[("a", "a")]);
    stdout(&workspace.describe(&["a"]).upload(&sandbox, ""));
    workspace.write_csv("filename,tags,description\na,x,Another\n");
    let unchanged = workspace.upload(&sandbox, "");
    assert_fails(&unchanged, 0, &["with other metadata", "--update-metadata"]);
    assert_eq!(sandbox.files(ALICE)[0].metadata["description"], "a");
    stdout(&workspace.upload(&sandbox, "--update-metadata"));
    let files = sandbox.files(ALICE);
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].metadata["description"], "Another");
    let again = workspace.upload(&sandbox, "--update-metadata");
    assert_fails(&again, 0, &["1 already present"]);
}

#[test]
fn upload_compares_with_newest_file_of_the_name() {
    let sandbox = sandbox();
    let md5 = |text: &str| json!({ "md5": text });
    // The older file is the same, the newer one differs.
    sandbox.add_file(ALICE, "a", b"a", md5("0cc175b9c0f1b6a831c399e269772661"));
    sandbox.add_file(ALICE, "a", b"b", md5("92eb5ffee6ae2fec3ad71c777531578f"));
    let workspace = Workspace::new(&[("a", "a")]);
    stdout(&workspace.describe(&["a"]).upload(&sandbox, ""));
    assert_eq!(contents(&sandbox)["a"], ["a"]);
}

#[test]
fn mismatch_of_csv_and_directory_names_solution() {
    let sandbox = sandbox();
    let one = Workspace::new(&[("a", "a")]);
    one.write_csv("project_member_id,data_source,file_basename,file_upload_date\n");
    let list = one.upload(&sandbox, "");
    assert_fails(&list, 6, &["metadata.csv", "oh metadata draft"]);
    let many = Workspace::new(&[(&format!("{BOB}/b"), "b")]);
    many.write_csv(format!("project_member_id,filename,tags\n{BOB},b,\n"));
    assert_eq!(exit_code(&many.upload(&sandbox, "")), 6);
    one.describe(&["a"]);
    assert_eq!(exit_code(&one.upload_all(&sandbox, "")), 6);
}

#[test]
fn draft_does_not_overwrite_descriptions() {
    let sandbox = sandbox();
    let workspace = Workspace::new(&[("a.csv", "a")]);
    let first = workspace.draft(&sandbox, "");
    assert_fails(&first, 0, &["metadata.csv describes 1 file: "]);
    workspace.describe(&["a.csv"]);
    let described = std::fs::read(workspace.csv()).unwrap();
    write_files(&workspace.files(), &[("b.csv", "b")]);
    assert_fails(
        &workspace.draft(&sandbox, ""),
        6,
        &["metadata.csv", "--overwrite"],
    );
    assert_eq!(std::fs::read(workspace.csv()).unwrap(), described);
    let second = workspace.draft(&sandbox, "--overwrite");
    assert_fails(&second, 0, &["metadata.csv describes 2 files: "]);
    assert_fails(
        &workspace.review(&sandbox),
        0,
        &["no differences in 2 files"],
    );
}

#[test]
fn draft_rejects_names_that_review_would_reject() {
    let sandbox = sandbox();
    for name in ["a\u{1b}b", "a\\b"] {
        let workspace = Workspace::new(&[(name, "a")]);
        let draft = workspace.draft(&sandbox, "");
        assert_fails(&draft, 6, &["b: "]);
        assert!(!workspace.csv().exists(), "{name:?}");
    }
}

#[test]
fn csv_of_spreadsheet_is_read() {
    let sandbox = sandbox();
    let workspace = Workspace::new(&[("größe.csv", "a")]);
    let csv = "filename,tags,description\r\ngröße.csv,x,Größe\r\n";
    let tabs = csv.replace(',', "\t");
    let utf16 = tabs.encode_utf16().flat_map(u16::to_le_bytes);
    for (format, bytes) in [
        ("byte order mark", format!("\u{feff}{csv}").into_bytes()),
        (
            "UTF-16 with tabs",
            [0xff, 0xfe].into_iter().chain(utf16).collect(),
        ),
        ("semicolons", csv.replace(',', ";").into_bytes()),
        ("empty rows", format!("{csv},,\r\n\r\n,,\r\n").into_bytes()),
        ("empty column", csv.replace("\r\n", ",\r\n").into_bytes()),
    ] {
        workspace.write_csv(bytes);
        let review = workspace.review(&sandbox);
        assert_eq!(exit_code(&review), 0, "{format}: {}", stderr(&review));
        stdout(&workspace.upload(&sandbox, "--update-metadata"));
        let metadata = &sandbox.files(ALICE)[0].metadata;
        assert_eq!(metadata["description"], "Größe", "{format}");
        assert_eq!(metadata.get(""), None, "{format}");
    }
    for (bytes, message) in [
        (
            &b"filename,tags\ngr\xf6\xdfe.csv,x\n"[..],
            "save it as UTF-8",
        ),
        (
            b"filename,tags,unit,unit\na,x,1,2\n",
            "two columns are named \"unit\"",
        ),
        (b"filename,tags,\na,x,y\n", "column 3 has no name"),
    ] {
        workspace.write_csv(bytes);
        assert_fails(&workspace.review(&sandbox), 6, &["metadata.csv", message]);
    }
}

#[test]
fn names_are_compared_in_unicode_normal_form() {
    let sandbox = sandbox();
    let (composed, decomposed) = ("caf\u{e9}.txt", "cafe\u{301}.txt");
    let workspace = Workspace::new(&[(decomposed, "a")]);
    workspace.describe(&[composed]);
    assert_fails(&workspace.review(&sandbox), 0, &[]);
    stdout(&workspace.upload(&sandbox, ""));
    assert_eq!(names(&sandbox), [decomposed]);
    let other = Workspace::new(&[(composed, "a")]);
    other.write_csv(format!(
        "filename,tags,description\n{decomposed},x,{composed}\n"
    ));
    let again = other.upload(&sandbox, "--sync");
    assert_fails(&again, 0, &["0 files uploaded; 1 already present\n"]);
    write_files(&workspace.files(), &[(composed, "b")]);
    let collision = workspace.upload(&sandbox, "");
    assert_fails(&collision, 6, &["caf", "Unicode"]);
}

#[test]
fn unexpected_directory_names_expected_structure() {
    let sandbox = sandbox();
    for files in [
        &[("nights.csv", "a"), ("2024/a.csv", "a")][..],
        &[("2024/a.csv", "a")],
        &[("01026778/2024/a.csv", "a")],
    ] {
        let workspace = Workspace::new(files);
        let draft = workspace.draft(&sandbox, "");
        let expected = "expected either the files of one member without subdirectories, or one \
                        subdirectory per member, named by project member id";
        assert_fails(&draft, 6, &["2024", expected]);
    }
}

#[test]
fn dry_run_matches_the_run() {
    let sandbox = sandbox();
    for name in ["old", "same"] {
        let metadata = json!({ "md5": "0cc175b9c0f1b6a831c399e269772661", "description": "x" });
        sandbox.add_file(ALICE, name, b"a", metadata);
    }
    let workspace = Workspace::new(&[("new", "new"), ("same", "a"), ("stale", "b")]);
    workspace.write_csv(format!(
        "filename,tags,description,md5\nnew,,,\nsame,,after,\nstale,,,{OTHER_MD5}\n"
    ));
    let dry_run = workspace.upload(&sandbox, "--sync --yes --dry-run");
    assert_eq!(String::from_utf8_lossy(&dry_run.stdout), "upload\tnew\n");
    let messages = [
        "would upload 1 file, delete 0 files",
        "1 already present with other metadata",
        "1 not deleted",
        "oh: stale: the md5",
    ];
    assert_fails(&dry_run, 1, &messages);
    let run = workspace.upload(&sandbox, "--sync --yes");
    let messages = [
        "1 file uploaded",
        "1 already present with other metadata",
        "1 not deleted",
        "oh: stale: the md5",
    ];
    assert_fails(&run, 1, &messages);
    assert_eq!(names(&sandbox), ["new", "old", "same"]);
}
