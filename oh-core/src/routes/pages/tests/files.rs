use super::{Visit, has};
use crate::pages::view::{DeleteAllPage, FileEntry, FilesPage, Page};

fn file(id: u64, own: bool) -> FileEntry {
    FileEntry {
        id,
        name: format!("{id}.csv"),
        size: Some(1_234),
        kind: Some("CSV".into()),
        description: "A night's sleep".into(),
        tags: vec!["sleep".into()],
        created: Some("2026-11-24T12:33:59Z".parse().unwrap()),
        own,
    }
}

fn list(files: Vec<FileEntry>) -> Page {
    Page::Files(FilesPage {
        total: files.len(),
        own: files.iter().filter(|file| file.own).count(),
        files,
        page: 1,
        pages: 1,
    })
}

#[test]
fn the_list_says_how_many_files_there_are_and_what_is_known_of_each() {
    let visit = Visit::to("/openhumans/files");
    let page = visit.html(&list(vec![file(7, true)]));
    has(
        &page,
        &[
            "<h2>1 file</h2>",
            "7.csv",
            "1.2 kB",
            "2026-11-24 12:33 UTC",
            "href=\"/openhumans/files/7/download\"",
            "href=\"/openhumans/files/7/edit\"",
            "href=\"/openhumans/files/delete-all\"",
        ],
    );
    let page = visit.html(&list(vec![file(7, false), file(8, false)]));
    has(
        &page,
        &["<h2>2 files</h2>", "from another source, shared with Sleep"],
    );
    assert!(
        !page.contains("/edit\"") && !page.contains("/delete"),
        "{page}"
    );
    let page = visit.html(&list(Vec::new()));
    has(&page, &["<h2>0 files</h2>", "There are no files yet."]);
}

#[test]
fn below_the_list_a_file_can_be_added() {
    let page = Visit::to("/openhumans/files").html(&list(Vec::new()));
    has(
        &page,
        &[
            "action=\"/openhumans/files/upload\" enctype=\"multipart/form-data\"",
            "data-done=\"/openhumans/files?done=uploaded\"",
            "type=\"file\" name=\"file\" required",
        ],
    );
    let size = page.find("name=\"size\"").unwrap();
    assert!(size < page.find("name=\"file\"").unwrap(), "{page}");
}

#[test]
fn whoever_deletes_a_file_is_asked_first() {
    let visit = Visit::to("/openhumans/files/7/delete");
    let page = visit.html(&Page::Delete(file(7, true)));
    has(
        &page,
        &[
            "<h1>Delete 7.csv?</h1>",
            "It is deleted from your Open Humans account. This cannot be undone.",
            "<form method=\"post\" action=\"/openhumans/files/7/delete\">",
            "id=\"confirm\">Delete</button>",
            "href=\"/openhumans/files\">Cancel</a>",
        ],
    );
}

#[test]
fn whoever_deletes_all_files_is_told_how_many() {
    let visit = Visit::to("/openhumans/files/delete-all");
    let page = visit.html(&Page::DeleteAll(DeleteAllPage { count: 12 }));
    has(
        &page,
        &[
            "<h1>Delete all files of Sleep?</h1>",
            "12 files that Sleep has put into your Open Humans account are deleted.",
            "<form method=\"post\" action=\"/openhumans/files/delete-all\">",
            "id=\"confirm\">Delete all</button>",
        ],
    );
}
