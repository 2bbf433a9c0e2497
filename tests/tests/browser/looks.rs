//! Every page, wide and narrow, light and dark: axe finds nothing, and nothing sticks out.
//!
//! With `SCREENSHOTS` naming a folder, pictures of all are put there to be looked at.

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
async fn every_page_is_for_everyone_and_fits_every_window() {
    let Some(script) = axe::script() else { return };
    with_browser("axum-app", Scripts::On, async |page, _| {
        let mut all = Vec::new();
        let mut look = async |name: &str| all.extend(looked_at(page, name, &script).await);

        page.goto("/").await;
        look("app").await;
        page.goto("/openhumans").await;
        look("welcome").await;
        page.click("#login").await;
        page.choose(ALICE, "#refuse").await;
        page.wait_for_text("You were not logged in").await;
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
        look("problem").await;
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
        page.wait_until("the departure is done", async || {
            page.goto("/openhumans/staff").await;
            page.text_of("#count-done").await == "2"
        })
        .await;
        look("desk").await;
        for shelf in ["all", "pending", "overdue", "dead_letter", "done", "stale"] {
            page.goto(&format!("/openhumans/staff/events?state={shelf}"))
                .await;
            look(&format!("events-{shelf}")).await;
        }
        page.goto("/openhumans/staff/events").await;
        page.click("#events tbody a").await;
        page.wait_for("#lines").await;
        look("event").await;
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

/// What is wrong with the page as it stands, in each of its looks.
async fn looked_at(page: &Page, name: &str, script: &str) -> Vec<String> {
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
