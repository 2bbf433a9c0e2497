use super::{Visit, has};
use crate::pages::view::{FilesPage, HomePage, LogoutPage, Page};

fn files(page: usize, pages: usize) -> String {
    let view = FilesPage {
        files: Vec::new(),
        total: 0,
        own: 0,
        page,
        pages,
    };
    Visit::to("/openhumans/files").html(&Page::Files(view))
}

const PREVIOUS: &str = "rel=\"prev\"";
const NEXT: &str = "rel=\"next\"";

#[test]
fn a_member_finds_the_way_to_both_pages_and_sees_which_one_this_is() {
    let page = files(1, 1);
    has(
        &page,
        &[
            "<nav class=\"nav\" aria-label=\"Pages\">",
            "<a href=\"/openhumans\">Your connection</a>",
            "<a href=\"/openhumans/files\" aria-current=\"page\">Your files</a>",
        ],
    );
    let home = HomePage {
        connected: true,
        ..HomePage::default()
    };
    let page = Visit::to("/openhumans").html(&Page::Home(home));
    has(
        &page,
        &["<a href=\"/openhumans\" aria-current=\"page\">Your connection</a>"],
    );
    let logout_url = "/openhumans/logout".into();
    let page = Visit::to("/openhumans/logout").html(&Page::Logout(LogoutPage { logout_url }));
    assert!(!page.contains("<nav"), "{page}");
}

#[test]
fn all_files_on_one_page_need_no_way_to_another() {
    let page = files(1, 1);
    for part in ["Page 1 of", PREVIOUS, NEXT] {
        assert!(!page.contains(part), "{page}");
    }
}

#[test]
fn the_first_page_leads_on_and_the_last_one_back() {
    let page = files(1, 2);
    has(
        &page,
        &["Page 1 of 2", NEXT, "\"/openhumans/files?page=2\""],
    );
    assert!(!page.contains(PREVIOUS), "{page}");
    let page = files(2, 3);
    has(
        &page,
        &["?page=1\"", PREVIOUS, "Page 2 of 3", NEXT, "?page=3\""],
    );
    let page = files(3, 3);
    has(&page, &["Page 3 of 3", PREVIOUS, "?page=2\""]);
    assert!(!page.contains(NEXT), "{page}");
}
