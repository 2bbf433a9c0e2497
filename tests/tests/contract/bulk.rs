//! Bulk uploads and downloads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use oh_core::ProjectMemberId;
use oh_core::api::bulk::{BulkDownload, BulkEvent, BulkUpload, Manifest, Mode};
use oh_sandbox::{Endpoint, Fault, Sandbox};
use serde_json::json;

use crate::server::{ALICE, BOB, in_sandbox};

fn id(text: &str) -> ProjectMemberId {
    text.parse().unwrap()
}

/// The contents of all files below a directory, by path.
fn tree(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn write_files(dir: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

fn populate(sandbox: &Sandbox) {
    sandbox.join(BOB);
    for member in [ALICE, BOB] {
        for i in 0..12 {
            let name = format!("{i}.txt");
            sandbox.add_shared_file(member, &name, format!("{member} {i}").as_bytes(), json!({}));
        }
        sandbox.add_file(member, "own.txt", b"older", json!({}));
        sandbox.add_file(member, "own.txt", b"newer", json!({}));
        sandbox.add_file(member, "..\\..\\out.txt", b"out of here", json!({}));
    }
}

#[tokio::test]
async fn download_all_saves_shared_or_own_files() {
    in_sandbox(async |server, sandbox| {
        populate(sandbox);
        let dir = tempfile::tempdir().unwrap();
        let events = Arc::new(Mutex::new((0, 0)));
        let what = BulkDownload::shared().on_event({
            let events = Arc::clone(&events);
            move |event| {
                let mut events = events.lock().unwrap();
                match event {
                    BulkEvent::Transferred(bytes) => events.0 += bytes,
                    BulkEvent::File { .. } => events.1 += 1,
                    _ => {}
                }
            }
        });
        let report = server
            .project
            .download_all(dir.path(), &what)
            .await
            .unwrap();
        assert_eq!(
            (report.done, report.unchanged, report.failed.len()),
            (24, 0, 0)
        );
        assert_eq!(*events.lock().unwrap(), (report.bytes, 24));
        let found = tree(dir.path());
        let source = "direct-sharing-1";
        assert_eq!(
            found[&format!("{BOB}/{source}/11.txt")],
            format!("{BOB} 11")
        );

        let again = server
            .project
            .download_all(dir.path(), &what)
            .await
            .unwrap();
        assert_eq!((again.done, again.unchanged), (0, 24));

        let dir = tempfile::tempdir().unwrap();
        let own = BulkDownload::own().only_members([id(ALICE)]);
        let report = server.project.download_all(dir.path(), &own).await.unwrap();
        assert_eq!((report.done, report.failed.len()), (2, 0));
        let found = tree(dir.path());
        assert_eq!(found[&format!("{ALICE}/own.txt")], "newer");
        assert!(
            found.keys().all(|name| name.starts_with(ALICE)),
            "{found:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn download_all_applies_filters_and_names() {
    in_sandbox(async |server, sandbox| {
        populate(sandbox);
        let dir = tempfile::tempdir().unwrap();
        let one = BulkDownload::shared()
            .source("direct-sharing-1")
            .max_size(10);
        let report = server.member.download_all(dir.path(), &one).await.unwrap();
        // The limit excludes the contents "01026778 10" and "01026778 11".
        assert_eq!((report.done, report.too_large), (10, 2));
        assert_eq!(tree(dir.path())["9.txt"], format!("{ALICE} 9"));

        let dir = tempfile::tempdir().unwrap();
        let all = BulkDownload::own().ids_in_names();
        let report = server.member.download_all(dir.path(), &all).await.unwrap();
        assert_eq!(report.done, 3);
        let none = BulkDownload::shared().source("direct-sharing-99");
        let report = server.member.download_all(dir.path(), &none).await.unwrap();
        assert_eq!(report.done, 0);
        let without = BulkDownload::shared().except_members([id(ALICE), id(BOB)]);
        let report = server
            .project
            .download_all(dir.path(), &without)
            .await
            .unwrap();
        assert_eq!(report.done, 0);
    })
    .await;
}

#[tokio::test]
async fn download_all_reports_failed_file_and_continues() {
    in_sandbox(async |server, sandbox| {
        populate(sandbox);
        let dir = tempfile::tempdir().unwrap();
        sandbox.fault_next(Endpoint::ObjectGet, 1, Fault::page(404));
        let what = BulkDownload::shared();
        let report = server.member.download_all(dir.path(), &what).await.unwrap();
        assert_eq!((report.done, report.failed.len()), (11, 1));
        assert!(matches!(report.failed[0].error, oh_core::Error::NotFound));
    })
    .await;
}

fn remote(sandbox: &Sandbox, member: &str) -> BTreeMap<String, String> {
    let files = sandbox.files(member).into_iter().map(|file| {
        let content = sandbox.file_content(file.id).unwrap();
        (file.basename, String::from_utf8(content).unwrap())
    });
    files.collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let one = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
    pairs.iter().map(one).collect()
}

#[tokio::test]
async fn upload_dir_applies_each_mode() {
    for (mode, counts, left) in [
        (
            Mode::Default,
            (2, 0, 0),
            [("a.txt", "new"), ("b c.txt", "b"), ("old.txt", "old")],
        ),
        (
            Mode::Safe,
            (1, 1, 0),
            [("a.txt", "old"), ("b c.txt", "b"), ("old.txt", "old")],
        ),
        (
            Mode::Sync,
            (2, 0, 1),
            [("a.txt", "new"), ("b c.txt", "b"), ("shared", "s")],
        ),
    ] {
        in_sandbox(async |server, sandbox| {
            sandbox.add_file(ALICE, "a.txt", b"old", json!({}));
            sandbox.add_file(ALICE, "old.txt", b"old", json!({}));
            sandbox.add_shared_file(ALICE, "shared", b"s", json!({}));
            let dir = tempfile::tempdir().unwrap();
            write_files(dir.path(), &[("a.txt", "new"), ("b c.txt", "b")]);
            let csv = "filename,tags,description\na.txt,\"x, y\",A\nb c.txt,,B\n";
            let manifest = Manifest::read(csv.as_bytes()).unwrap();
            let how = BulkUpload::new(mode);
            let report = server.member.upload_dir(dir.path(), &manifest, &how).await;
            let report = report.unwrap();
            assert!(report.failed.is_empty(), "{report:?}");
            assert_eq!(
                (report.done, report.unchanged, report.deleted),
                counts,
                "{mode:?}"
            );
            let mut expected = pairs(&left);
            expected.insert("shared".into(), "s".into());
            assert_eq!(remote(sandbox, ALICE), expected, "{mode:?}");

            // A second upload changes nothing, because the MD5s are equal.
            let report = server.member.upload_dir(dir.path(), &manifest, &how).await;
            let report = report.unwrap();
            assert_eq!((report.done, report.unchanged, report.deleted), (0, 2, 0));
        })
        .await;
    }
}

#[tokio::test]
async fn upload_dir_assigns_folders_to_members() {
    in_sandbox(async |server, sandbox| {
        sandbox.join(BOB);
        let dir = tempfile::tempdir().unwrap();
        let a = format!("{ALICE}/a.csv");
        let b = format!("{BOB}/b.json");
        let nobody = "00000000/c.txt";
        write_files(dir.path(), &[(&a, "a"), (&b, "b"), (nobody, "c")]);
        let manifest = Manifest::draft(dir.path(), u64::MAX, |_| {}).await.unwrap();
        let mode = BulkUpload::default();
        let report = server
            .project
            .upload_dir(dir.path(), &manifest, &mode)
            .await;
        let report = report.unwrap();
        assert_eq!((report.done, report.failed.len()), (2, 1));
        assert_eq!(report.failed[0].member, Some(id("00000000")));
        assert_eq!(remote(sandbox, ALICE), pairs(&[("a.csv", "a")]));
        assert_eq!(sandbox.files(BOB)[0].metadata["tags"], json!(["json"]));
    })
    .await;
}

#[tokio::test]
async fn file_list_is_csv() {
    in_sandbox(async |server, sandbox| {
        sandbox.join(BOB);
        sandbox.add_shared_file(ALICE, "a,b.txt", b"1", json!({}));
        let mut csv = Vec::new();
        assert_eq!(server.project.write_file_list(&mut csv).await.unwrap(), 1);
        let csv = String::from_utf8(csv).unwrap();
        let mut lines: Vec<_> = csv.lines().collect();
        assert_eq!(
            lines.remove(0),
            "project_member_id,data_source,file_basename,file_upload_date"
        );
        lines.sort_unstable();
        assert_eq!(lines[0], format!("{BOB},NA,None,NA"));
        assert!(
            lines[1].starts_with(&format!("{ALICE},direct-sharing-1,\"a,b.txt\",20")),
            "{csv}"
        );
    })
    .await;
}

#[tokio::test]
async fn snapshot_is_downloaded_without_new_lists() {
    in_sandbox(async |server, sandbox| {
        populate(sandbox);
        sandbox.reset_stats();
        let snapshot = server.project.snapshot().await.unwrap();
        let files: usize = snapshot
            .members
            .iter()
            .map(|member| member.data.len())
            .sum();
        assert_eq!((snapshot.members.len(), files), (2, 30));
        // One page of members, and one request for each member with more files than it contains.
        let count = |endpoint: Endpoint| sandbox.count(endpoint);
        assert_eq!(
            (count(Endpoint::Members), count(Endpoint::ExchangeMember)),
            (1, 2)
        );

        // A member who joins later is not in the snapshot.
        for id in sandbox.populate(1) {
            sandbox.add_file(&id, "late.txt", b"late", json!({}));
        }
        let dir = tempfile::tempdir().unwrap();
        for (what, done) in [(BulkDownload::shared(), 24), (BulkDownload::own(), 4)] {
            let project = &server.project;
            let report = project
                .download_snapshot(&snapshot, dir.path(), &what)
                .await;
            let report = report.unwrap();
            assert_eq!((report.done, report.failed.len()), (done, 0));
        }
        assert!(
            tree(dir.path())
                .keys()
                .all(|name| !name.contains("late.txt"))
        );
        assert_eq!(
            (count(Endpoint::Members), count(Endpoint::ExchangeMember)),
            (1, 2)
        );

        // The files' URLs expire.
        sandbox.advance(std::time::Duration::from_secs(3_700));
        let again = BulkDownload::own().only_members([id(ALICE)]);
        let dir = tempfile::tempdir().unwrap();
        let report = server
            .project
            .download_snapshot(&snapshot, dir.path(), &again)
            .await;
        assert_eq!(report.unwrap().done, 2);
    })
    .await;
}
