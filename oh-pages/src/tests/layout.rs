use super::{Surroundings, assert_contains};
use crate::pages::{FilesPage, HomePage, LogoutPage};

fn files(page: usize, pages: usize) -> String {
    let view = FilesPage {
        files: Vec::new(),
        total: 0,
        own: 0,
        page,
        pages,
    };
    Surroundings::new().html(view)
}

const PREVIOUS: &str = "rel=\"prev\"";
const NEXT: &str = "rel=\"next\"";

#[test]
fn navigation_links_member_pages_and_marks_the_current_one() {
    let page = files(1, 1);
    assert_contains(
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
    let page = Surroundings::new().html(home);
    assert_contains(
        &page,
        &["<a href=\"/openhumans\" aria-current=\"page\">Your connection</a>"],
    );
    let logout_url = "/openhumans/logout".into();
    let page = Surroundings::new().html(LogoutPage { logout_url });
    assert!(!page.contains("<nav"), "{page}");
}

#[test]
fn pager_is_absent_for_a_single_page() {
    let page = files(1, 1);
    for part in ["Page 1 of", PREVIOUS, NEXT] {
        assert!(!page.contains(part), "{page}");
    }
}

#[test]
fn pager_links_to_the_previous_and_the_next_page() {
    let page = files(1, 2);
    assert_contains(
        &page,
        &["Page 1 of 2", NEXT, "\"/openhumans/files?page=2\""],
    );
    assert!(!page.contains(PREVIOUS), "{page}");
    let page = files(2, 3);
    assert_contains(
        &page,
        &["?page=1\"", PREVIOUS, "Page 2 of 3", NEXT, "?page=3\""],
    );
    let page = files(3, 3);
    assert_contains(&page, &["Page 3 of 3", PREVIOUS, "?page=2\""]);
    assert!(!page.contains(NEXT), "{page}");
}
