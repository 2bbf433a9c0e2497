//! The actions of a member, from the first login to the erasure.

use std::path::Path;

use crate::browser::Scripts;
use crate::page::Page;
use crate::{ALICE, BOB};

const NIGHTS: &str = "night,hours\n2026-11-24,8\n";

/// Logs in, manages files, cancels a login, disconnects with erasure, and checks the dashboard.
pub(crate) async fn story(page: &Page, downloads: &Path, scripts: Scripts) {
    first_login(page).await;
    files(page, downloads, scripts).await;
    refuse_and_try_again(page).await;
    leave_with_erasure(page).await;
    check_the_dashboard(page).await;
}

/// Opens a member page without a session.
async fn first_login(page: &Page) {
    page.goto("/openhumans/files").await;
    page.choose(ALICE, "#allow").await;
    page.wait_for_path("/openhumans/files").await;
    let files = page.text_of("#files").await;
    assert!(
        files.contains("summary.json"),
        "there is something to see: {files}"
    );
    assert!(files.contains("from another source"), "{files}");

    // An old session cookie must not prevent the next login.
    page.goto("/openhumans").await;
    assert_eq!(page.text_of("#username").await, "alice");
    page.click("#logout").await;
    page.click("#login").await;
    page.wait_for("#username").await;
}

async fn files(page: &Page, downloads: &Path, scripts: Scripts) {
    let folder = tempfile::tempdir().unwrap();
    // Large enough to be sent in many parts, and to go to the object store.
    let content = NIGHTS.repeat(150_000);
    let mine = folder.path().join("<b>nights & days.csv");
    std::fs::write(&mine, &content).unwrap();

    // An error is shown by the script on the page, or on a separate page.
    let empty = folder.path().join("empty.csv");
    std::fs::write(&empty, "").unwrap();
    page.goto("/openhumans/files").await;
    page.put_file("#file", &empty).await;
    page.click("#upload button").await;
    page.wait_for_text("The file is empty.").await;

    page.goto("/openhumans/files").await;
    page.fill("#description", "My <i>nights</i>").await;
    page.fill("#tags", "sleep, <b>").await;
    page.put_file("#file", &mine).await;
    page.click("#upload button").await;
    page.wait_for_text("The file was uploaded.").await;
    let name = "<b>nights & days.csv";
    page.wait_for_text(name).await;
    let row = page.text_of("#files tbody tr:first-child").await;
    assert!(
        row.contains("My <i>nights</i>") && row.contains("CSV"),
        "{scripts:?}: {row}"
    );

    page.click("#files tbody tr:first-child a.edit").await;
    page.fill("#description", "Better said").await;
    page.click("#confirm").await;
    page.wait_for_text("Your changes were saved.").await;
    page.wait_for_text("Better said").await;

    page.click("#files tbody tr:first-child a.download").await;
    page.wait_until("the file is there", async || {
        let found = std::fs::read_dir(downloads).unwrap().flatten();
        found
            .into_iter()
            .any(|entry| std::fs::read(entry.path()).is_ok_and(|read| read == content.as_bytes()))
    })
    .await;

    page.goto("/openhumans/files").await;
    page.click("#files tbody tr:first-child a.delete").await;
    page.wait_for_text("This cannot be undone.").await;
    page.click("#confirm").await;
    page.wait_for_text("The file was deleted.").await;
    assert!(!page.text().await.contains(name));

    page.click("#delete-all").await;
    page.click("#confirm").await;
    page.wait_for_text("All files from this app were deleted.")
        .await;
    let files = page.text_of("#files").await;
    assert!(
        files.contains("steps.csv") && !files.contains("summary.json"),
        "{files}"
    );
}

/// Open Humans does not ask again while a token is valid, so the member leaves there first.
async fn refuse_and_try_again(page: &Page) {
    page.leave("#leave-01026778").await;
    page.goto("/openhumans/files").await;
    page.choose(ALICE, "#refuse").await;
    page.wait_for_text("You are not logged in").await;
    page.wait_for_text("Back to Night log").await;
    page.click("#login").await;
    page.choose(ALICE, "#allow").await;
    page.wait_for_path("/openhumans/files").await;
}

async fn leave_with_erasure(page: &Page) {
    page.goto("/openhumans").await;
    page.click("#disconnect").await;
    // No choice is preselected, so the browser does not submit the form.
    page.click("#confirm").await;
    page.wait_for("#erase").await;
    page.click("#erase").await;
    page.click("#confirm").await;
    page.wait_for_text("your data here is being deleted").await;
    page.wait_for("#login").await;
}

async fn check_the_dashboard(page: &Page) {
    page.goto("/openhumans/staff").await;
    page.wait_for_text("This page is for the staff of Night log.")
        .await;
    page.goto("/openhumans/login?next=/openhumans/staff").await;
    page.choose(BOB, "#allow").await;
    page.wait_for_path("/openhumans/staff").await;
    page.wait_until("both departures are done", async || {
        page.goto("/openhumans/staff").await;
        // The last departure has two events: the webhook, and the disconnection with erasure.
        page.text_of("#count-done").await == "3"
    })
    .await;
    page.wait_for_text("Nothing needs your attention.").await;
    page.goto("/openhumans/staff/events?list=done").await;
    let events = page.text_of("#events").await;
    assert!(events.contains("requested"), "{events}");
    page.click("#events tbody tr:first-child a").await;
    page.wait_for_text("Tokens destroyed").await;
    page.goto("/openhumans/staff/member").await;
    page.fill("#who", ALICE).await;
    page.click("form button").await;
    page.wait_for("#pseudonym").await;
    page.wait_for_text("History").await;
    let history = page.text().await;
    assert!(
        !history.contains(ALICE),
        "the dashboard shows the id: {history}"
    );
}
