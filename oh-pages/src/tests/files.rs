use super::{Surroundings, assert_contains};
use crate::pages::{DeleteAllPage, DeletePage, FileEntry, FilesPage};

fn file(id: u64, own: bool) -> FileEntry {
    FileEntry {
        id,
        name: format!("{id}.csv"),
        kind: Some("CSV".into()),
        description: "A night's sleep".into(),
        tags: vec!["sleep".into()],
        created: Some("2026-11-24T12:33:59Z".parse().unwrap()),
        own,
    }
}

fn list(files: Vec<FileEntry>) -> FilesPage {
    FilesPage {
        total: files.len(),
        own: files.iter().filter(|file| file.own).count(),
        files,
        page: 1,
        pages: 1,
    }
}

#[test]
fn files_page_shows_the_count_and_each_file() {
    let surroundings = Surroundings::new();
    let page = surroundings.html(list(vec![file(7, true)]));
    assert_contains(
        &page,
        &[
            "<h2>1 file</h2>",
            "7.csv",
            "2026-11-24 12:33 UTC",
            "href=\"/openhumans/files/7/download\"",
            "href=\"/openhumans/files/7/edit\"",
            "href=\"/openhumans/files/delete-all\"",
        ],
    );
    let page = surroundings.html(list(vec![file(7, false), file(8, false)]));
    assert_contains(
        &page,
        &["<h2>2 files</h2>", "from another source, shared with Sleep"],
    );
    assert!(
        !page.contains("/edit\"") && !page.contains("/delete"),
        "{page}"
    );
    let page = surroundings.html(list(Vec::new()));
    assert_contains(&page, &["<h2>0 files</h2>", "There are no files yet."]);
}

#[test]
fn files_page_has_an_upload_form_with_size_before_file() {
    let page = Surroundings::new().html(list(Vec::new()));
    assert_contains(
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
fn delete_page_asks_for_confirmation() {
    let surroundings = Surroundings::new();
    let page = surroundings.html(DeletePage {
        file: file(7, true),
    });
    assert_contains(
        &page,
        &[
            "<h1>Delete 7.csv?</h1>",
            "The file is deleted from your Open Humans account. This cannot be undone.",
            "<form method=\"post\" action=\"/openhumans/files/7/delete\">",
            "id=\"confirm\">Delete</button>",
            "href=\"/openhumans/files\">Cancel</a>",
        ],
    );
}

#[test]
fn delete_all_page_states_the_number_of_files() {
    let surroundings = Surroundings::new();
    let page = surroundings.html(DeleteAllPage { count: 12 });
    assert_contains(
        &page,
        &[
            "<h1>Delete all files from Sleep?</h1>",
            "12 files that Sleep stored in your Open Humans account are deleted.",
            "<form method=\"post\" action=\"/openhumans/files/delete-all\">",
            "id=\"confirm\">Delete all</button>",
        ],
    );
}
