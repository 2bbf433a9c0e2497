//! Accessibility and layout of every page, in wide and narrow windows, light and dark.
//!
//! Set `SCREENSHOTS` to a folder to store screenshots there.

use std::path::PathBuf;

use crate::browser::Scripts;
use crate::page::Page;
use crate::{ALICE, BOB, axe, with_browser};

const LOOKS: [(&str, u32, &str); 4] = [
    ("wide-light", 1200, "light"),
    ("wide-dark", 1200, "dark"),
    ("narrow-light", 390, "light"),
    ("narrow-dark", 390, "dark"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_and_fits_every_window() {
    let Some(script) = axe::script() else { return };
    with_browser("axum-app", Scripts::On, async |page, _| {
        let mut all = Vec::new();
        let mut look = async |name: &str| all.extend(problems(page, name, &script).await);

        page.goto("/").await;
        look("app").await;
        page.goto("/openhumans").await;
        look("welcome").await;
        page.click("#login").await;
        page.choose(ALICE, "#refuse").await;
        page.wait_for_text("You are not logged in").await;
        look("refused").await;
        page.goto("/openhumans/complete").await;
        look("incomplete").await;
        page.goto("/openhumans/login?next=/openhumans/files").await;
        page.choose(ALICE, "#allow").await;
        page.wait_for("#files").await;
        look("files").await;
        let edit = page.wait_for("#files a.edit").await.attr("href").await;
        let edit = edit.unwrap().unwrap();
        page.goto(&edit).await;
        look("edit").await;
        page.goto(&edit.replace("/edit", "/delete")).await;
        look("delete").await;
        page.goto("/openhumans/files/7777777/delete").await;
        look("error").await;
        page.goto("/openhumans/files?done=deleted").await;
        look("notice").await;
        page.goto("/openhumans/files/delete-all").await;
        look("delete-all").await;
        page.goto("/openhumans").await;
        look("member").await;
        page.goto("/openhumans/disconnect").await;
        look("disconnect").await;
        page.goto("/openhumans/staff").await;
        look("staff-only").await;

        page.goto("/openhumans/disconnect").await;
        page.click("#erase").await;
        page.click("#confirm").await;
        page.wait_for("#notice").await;
        look("left").await;
        page.goto("/openhumans/login?next=/openhumans/staff").await;
        page.choose(BOB, "#allow").await;
        page.wait_for_path("/openhumans/staff").await;
        page.wait_until("the departure is done", async || {
            page.goto("/openhumans/staff").await;
            page.text_of("#count-done").await == "2"
        })
        .await;
        look("dashboard").await;
        for list in [
            "all",
            "pending",
            "quarantined",
            "overdue",
            "dead_letter",
            "done",
            "stale",
        ] {
            page.goto(&format!("/openhumans/staff/events?list={list}"))
                .await;
            look(&format!("events-{list}")).await;
        }
        page.goto("/openhumans/staff/events").await;
        page.click("#events tbody a").await;
        page.wait_for("#lines").await;
        look("event").await;
        page.goto("/openhumans/staff/release-all").await;
        look("release-all").await;
        page.goto("/openhumans/staff/member").await;
        look("find-member").await;
        page.goto(&format!("/openhumans/staff/member?who={ALICE}"))
            .await;
        page.wait_for("#lines").await;
        look("member-history").await;

        assert!(all.is_empty(), "{}", all.join("\n"));
    })
    .await;
}

/// Returns the problems of the current page in each look.
async fn problems(page: &Page, name: &str, script: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (look, width, scheme) in LOOKS {
        page.look(width, scheme).await;
        if let Some(folder) = std::env::var_os("SCREENSHOTS") {
            let file = PathBuf::from(folder).join(format!("{name}-{look}.png"));
            page.picture(&file).await;
        }
        let found = axe::findings(page, script).await;
        wrong.extend(found.iter().map(|found| format!("{name}, {look}: {found}")));
        let measure = "return document.documentElement.scrollWidth";
        let measured = page.driver.execute(measure, Vec::new()).await.unwrap();
        let measured: u32 = measured.convert().unwrap();
        if measured > width {
            wrong.push(format!("{name}, {look}: {measured} pixels wide in {width}"));
        }
    }
    wrong
}

/// Makes an erasure fail, and requeues it on the dashboard.
#[tokio::test(flavor = "multi_thread")]
async fn dashboard_explains_a_dead_letter_and_requeues_it() {
    let script = axe::script();
    with_browser("gdpr-erasure", Scripts::On, async |page, _| {
        let log_in = async |member: &str| {
            // Open Humans does not ask logged-in members, so its cookies are deleted.
            page.driver.goto(&page.sandbox).await.unwrap();
            page.driver.delete_all_cookies().await.unwrap();
            page.goto("/openhumans/login?next=/").await;
            page.choose(member, "#allow").await;
            page.wait_for_path("/").await;
        };
        log_in(BOB).await;
        page.click("#break").await;
        page.wait_for("#repair").await;
        page.click("#logout").await;
        page.wait_for("#login").await;
        log_in(ALICE).await;
        page.fill("input[name=entry]", "Slept well").await;
        page.click("form[action='/diary'] button").await;
        page.wait_for_text("Slept well").await;
        page.click("#disconnect").await;
        page.click("#erase").await;
        page.click("#confirm").await;
        page.wait_for("#notice").await;

        log_in(BOB).await;
        page.wait_until("the event is a dead letter", async || {
            page.goto("/openhumans/staff").await;
            let pending = page.text_of("#count-pending").await;
            pending == "0" && page.text_of("#count-dead_letter").await == "1"
        })
        .await;
        page.wait_for_text("Needs attention").await;
        if let Some(script) = &script {
            assert!(problems(page, "dashboard-alarm", script).await.is_empty());
        }
        page.goto("/openhumans/staff/events?list=dead_letter").await;
        page.wait_for_text("Read the last error").await;
        if let Some(script) = &script {
            assert!(problems(page, "events-alarm", script).await.is_empty());
        }
        page.click("#events tbody a").await;
        page.wait_for_text("Handler failed").await;
        if let Some(script) = &script {
            assert!(problems(page, "event-alarm", script).await.is_empty());
        }
        let event = page.driver.current_url().await.unwrap();

        page.goto("/").await;
        page.click("#repair").await;
        page.wait_for("#break").await;
        page.driver.goto(event.as_str()).await.unwrap();
        page.click("#requeue").await;
        page.wait_for_text("The event is in the queue again.").await;
        page.wait_until("the erasure is done", async || {
            page.driver.goto(event.as_str()).await.unwrap();
            page.text_of("#state").await == "Done"
        })
        .await;
        page.goto("/").await;
        page.wait_for_text("0 entries of 0 members").await;
    })
    .await;
}

/// Tests the check with an image that has no alternative text and is too wide.
#[tokio::test(flavor = "multi_thread")]
async fn page_check_reports_inaccessible_and_wide_pages() {
    let Some(script) = axe::script() else { return };
    with_browser("axum-app", Scripts::On, async |page, _| {
        page.goto("/openhumans").await;
        page.wait_for("#login").await;
        let spoil = "const wide = document.createElement('img'); \
                     wide.src = '/static/logo.svg'; wide.width = 3000; \
                     document.querySelector('main').append(wide);";
        page.driver.execute(spoil, Vec::new()).await.unwrap();
        let wrong = problems(page, "spoilt", &script).await;
        assert!(
            wrong.iter().any(|wrong| wrong.contains("image-alt")),
            "{wrong:?}"
        );
        assert!(
            wrong.iter().any(|wrong| wrong.contains("pixels wide")),
            "{wrong:?}"
        );
    })
    .await;
}
