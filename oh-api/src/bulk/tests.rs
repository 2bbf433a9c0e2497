//! Bulk operations with a mock transport. The contract suite tests them with the sandbox.

use super::*;
use crate::test_support::MockTransport;
use crate::{FileMetadata, Progress};

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    dir
}

#[tokio::test]
async fn manifest_draft_round_trips_through_csv() {
    for files in [
        &[("a.csv", "1"), ("b.json.gz", "2"), (".hidden", "3")][..],
        &[("01026778/a.vcf.bz2", "1"), ("00169953/b.txt", "2")],
    ] {
        let dir = tree(files);
        let draft = Manifest::draft(dir.path(), 100, |_| {}).await.unwrap();
        let mut csv = Vec::new();
        draft.write(&mut csv).unwrap();
        let parsed = Manifest::read(csv.as_slice()).unwrap();
        assert_eq!(parsed, draft);
        assert!(parsed.review(dir.path(), |_| {}).await.unwrap().is_empty());
    }
    let dir = tree(&[("a.csv", "1"), ("big", "12345")]);
    let draft = Manifest::draft(dir.path(), 2, |_| {}).await.unwrap();
    let mut csv = Vec::new();
    draft.write(&mut csv).unwrap();
    let text = String::from_utf8(csv).unwrap();
    assert!(
        text.starts_with(
            "filename,tags,description,md5,creation_date\n\
             a.csv,csv,,c4ca4238a0b923820dcc509a6f75849b,20"
        ),
        "{text}"
    );
    assert!(!text.contains("big"), "{text}");
}

#[tokio::test]
async fn manifest_draft_and_review_report_progress() {
    let dir = tree(&[("a.csv", "123"), ("b.csv", "12345"), ("big", "12345678")]);
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let record = || {
        let seen = seen.clone();
        move |progress: Progress| seen.lock().unwrap().push((progress.done, progress.total))
    };
    let draft = Manifest::draft(dir.path(), 5, record()).await;
    assert_eq!(*seen.lock().unwrap(), [(3, Some(8)), (8, Some(8))]);
    seen.lock().unwrap().clear();
    let review = draft.unwrap().review(dir.path(), record()).await;
    assert_eq!(
        review.unwrap().len(),
        1,
        "one file is missing in the manifest"
    );
    assert_eq!(*seen.lock().unwrap(), [(3, Some(8)), (8, Some(8))]);
}

#[test]
fn manifest_reads_csv_of_python_package() {
    let csv = "project_member_id,filename,tags,description,md5,creation_date\r\n\
               01026778,a.csv,\"csv, survey\",Some text,c4ca4238a0b923820dcc509a6f75849b,\
               2020-01-02T03:04:05.123456+00:00\r\n\
               00169953,None,NA,NA,NA,NA\r\n";
    let manifest = Manifest::read(csv.as_bytes()).unwrap();
    let id = "01026778".parse().unwrap();
    let expected = FileMetadata::new("Some text")
        .tags(["csv", "survey"])
        .md5("c4ca4238a0b923820dcc509a6f75849b")
        .creation_date("2020-01-02T03:04:05.123456+00:00");
    assert_eq!(manifest.get(Some(&id), "a.csv"), Some(&expected));
    assert_eq!(manifest.members().len(), 2);
}

#[test]
fn manifest_error_names_row_and_problem() {
    for (csv, reason) in [
        ("", "it is empty"),
        ("name,tags\n", "it must start with"),
        (
            "project_member_id,data_source,file_basename,file_upload_date\n",
            "it is a list of files at Open Humans",
        ),
        ("filename|tags\na|b\n", "it must start with"),
        ("filename,tags,a,a\n", "two columns are named \"a\""),
        ("filename,tags,\na,b,c\n", "row 2: column 3 has no name"),
        (
            "project_member_id,filename,tags\n1026778,a,b\n",
            "row 2: 1026778 does not have 8 digits",
        ),
        ("filename,tags\na,b\na ,b\n", "row 3: a is a duplicate"),
        ("filename,description\n", "no column tags"),
        ("filename,tags\na,b,c\n", "row 2"),
        ("filename,tags\na,b\na,b\n", "row 3: a is a duplicate"),
        ("filename,tags\n../a,b\n", "row 2"),
        ("filename,tags,md5\na,b,c\n", "row 2"),
        ("project_member_id,filename,tags\n12a,a,b\n", "row 2"),
        (
            "filename,tags,creation_date\na,b,\nb,,2020-13-01\n",
            "row 3",
        ),
    ] {
        let error = Manifest::read(csv.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason), "{csv:?}: {error}");
    }
}

#[tokio::test]
async fn upload_dir_rejects_manifest_that_differs_from_directory() {
    let mock = MockTransport::new();
    let member = mock.client().member("t");
    let manifest = Manifest::read("filename,tags\na,\nb,\n".as_bytes()).unwrap();
    for files in [&[("a", "1")][..], &[("a", "1"), ("b", "2"), ("c", "3")]] {
        let dir = tree(files);
        assert_eq!(manifest.review(dir.path(), |_| {}).await.unwrap().len(), 1);
        let error = member
            .upload_dir(dir.path(), &manifest, &BulkUpload::default())
            .await;
        assert!(matches!(error, Err(Error::InvalidInput { .. })));
    }
    assert!(mock.requests().is_empty());
}

#[tokio::test]
async fn download_all_fails_if_member_list_fails() {
    let mock = MockTransport::new();
    mock.respond(401, r#"{"detail":"Expired token."}"#);
    let dir = tempfile::tempdir().unwrap();
    let error = mock
        .client()
        .project("m")
        .download_all(dir.path(), &BulkDownload::shared())
        .await;
    assert!(matches!(error, Err(Error::Expired)));
}

#[test]
fn manifest_csv_escapes_formulas() {
    let mut manifest = Manifest::default();
    let metadata = FileMetadata::new("=1+1").tags(["@a"]).field("note", "-2");
    manifest.insert(None, "=cmd.csv", metadata).unwrap();
    let mut csv = Vec::new();
    manifest.write(&mut csv).unwrap();
    let rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(csv.as_slice());
    for row in rows.into_records() {
        for cell in &row.unwrap() {
            assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
        }
    }
    assert_eq!(Manifest::read(csv.as_slice()).unwrap(), manifest);
}
