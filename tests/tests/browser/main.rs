//! The example apps in a real browser: Chromium, driven over WebDriver.
//!
//! The app runs on `localhost` and the sandbox on `127.0.0.1`, which are two sites, as in production.
//! Sessions use the defaults of their libraries, so some cookies are `SameSite=Strict`. Each app is
//! started with the command from its README.
//!
//! The tests need `chromium` and `chromedriver`. Without them they are skipped with a message, except
//! in CI, where they fail.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod app;
mod axe;
mod browser;
mod looks;
mod page;
mod story;

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt;

use app::App;
use browser::{Browser, Scripts};
use page::Page;

const ALICE: &str = "01026778";
const BOB: &str = "00169953";

#[tokio::test(flavor = "multi_thread")]
async fn axum_app_supports_the_story_with_scripts() {
    run_story("axum-app", Scripts::On).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn axum_app_supports_the_story_without_scripts() {
    run_story("axum-app", Scripts::Off).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actix_app_supports_the_story_with_scripts() {
    run_story("actix-app", Scripts::On).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actix_app_supports_the_story_without_scripts() {
    run_story("actix-app", Scripts::Off).await;
}

async fn run_story(package: &str, scripts: Scripts) {
    with_browser(package, scripts, async |page, downloads| {
        story::story(page, downloads, scripts).await;
    })
    .await;
}

/// Runs `play` with a browser and an app, and closes the browser even if a step fails.
async fn with_browser(
    package: &str,
    scripts: Scripts,
    play: impl AsyncFn(&Page, &std::path::Path),
) {
    let Some(browser) = Browser::start(scripts).await else {
        return;
    };
    let app = App::start(package).await;
    let page = Page {
        driver: browser.driver.clone(),
        home: app.home.clone(),
        sandbox: app.sandbox.clone(),
    };
    let playing = play(&page, browser.downloads.path());
    let played = AssertUnwindSafe(playing).catch_unwind().await;
    if played.is_err() {
        let source = page.driver.source().await.unwrap_or_default();
        eprintln!(
            "{package} at {:?}:\n{source}",
            page.driver.current_url().await
        );
    }
    browser.stop().await;
    if let Err(panic) = played {
        resume_unwind(panic);
    }
}
