//! The example apps in a real browser: Chromium, driven over WebDriver.
//!
//! The app is on `localhost` and the sandbox on `127.0.0.1`: two sites, as in real life. Cookies
//! are left at the session libraries' defaults, so the session cookie is `SameSite=Strict` where
//! that is the default. Each app is started with the command the README gives.
//!
//! Needs `chromium` and `chromedriver`. Without them the tests say that they are skipped, and in
//! CI they fail.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::Stdio;
use std::time::Duration;

use futures_util::FutureExt;
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const ALICE: &str = "01026778";
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn axum_app() {
    whole_story("axum-app").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actix_app() {
    whole_story("actix-app").await;
}

/// Logs in, out and in again, refuses once, and leaves with erasure.
async fn whole_story(package: &str) {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let app = App::start(package).await;
    let driver = &browser.driver;
    // The browser is closed also when a step fails, so the outcome waits.
    let story = story(driver.clone(), app.home.clone(), app.sandbox.clone());
    let told = AssertUnwindSafe(story).catch_unwind().await;
    if told.is_err() {
        let page = driver.source().await.unwrap_or_default();
        eprintln!("{package} at {:?}:\n{page}", driver.current_url().await);
    }
    browser.stop().await;
    if let Err(panic) = told {
        resume_unwind(panic);
    }
}

async fn story(driver: WebDriver, home: String, sandbox: String) {
    let page = Page {
        driver,
        home,
        sandbox,
    };

    // A page that needs a member, asked for by someone without any session.
    page.goto("/files").await;
    page.choose("#allow").await;
    page.wait_for_path("/files").await;

    page.goto("/").await;
    page.wait_for("#whoami").await;
    page.click("#logout").await;
    page.wait_for("#login").await;

    // The session cookie from before is there now: it must not be in the way.
    page.click("#login").await;
    page.wait_for("#whoami").await;
    page.click("#logout").await;
    page.wait_for("#login").await;

    // Open Humans does not ask again while a token lives; so leave, then refuse.
    page.leave("#leave-01026778").await;
    page.goto("/").await;
    page.click("#login").await;
    page.choose("#refuse").await;
    page.wait_for_text("You were not logged in").await;
    page.goto("/").await;
    page.wait_for("#login").await;

    page.click("#login").await;
    page.choose("#allow").await;
    page.wait_for("#whoami").await;

    // Leaving at Open Humans ends the session here, and the erasure is carried out.
    page.leave("#leave-erase-01026778").await;
    page.goto("/").await;
    page.wait_for("#login").await;
    page.wait_until("both departures are done", async || {
        page.goto("/ledger").await;
        page.text().await.contains("2 done")
    })
    .await;
    let ledger = page.text().await;
    assert!(
        !ledger.contains(ALICE),
        "the ledger names the member: {ledger}"
    );
}

struct Page {
    driver: WebDriver,
    home: String,
    sandbox: String,
}

impl Page {
    async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.home);
        self.driver.goto(url).await.unwrap();
    }

    async fn wait_for(&self, selector: &str) -> WebElement {
        let query = self.driver.query(By::Css(selector));
        let found = query
            .wait(PATIENCE, Duration::from_millis(50))
            .first()
            .await;
        found.unwrap_or_else(|e| panic!("{selector} did not appear: {e}"))
    }

    async fn click(&self, selector: &str) {
        self.wait_for(selector).await.click().await.unwrap();
    }

    /// On the sandbox's authorize page: as Alice, press this button.
    async fn choose(&self, button: &str) {
        self.click(&format!("#member-{ALICE}")).await;
        self.click(button).await;
    }

    async fn leave(&self, button: &str) {
        let connections = format!("{}/member/me/connections/", self.sandbox);
        self.driver.goto(connections).await.unwrap();
        self.click(button).await;
        self.wait_until("the member has left", async || {
            let still_there = self.driver.find_all(By::Css(button)).await;
            still_there.is_ok_and(|buttons| buttons.is_empty())
        })
        .await;
    }

    async fn text(&self) -> String {
        match self.driver.find(By::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    async fn wait_for_text(&self, wanted: &str) {
        self.wait_until(wanted, async || self.text().await.contains(wanted))
            .await;
    }

    async fn wait_for_path(&self, path: &str) {
        let wanted = format!("{}{path}", self.home);
        self.wait_until(&wanted, async || {
            let url = self.driver.current_url().await;
            url.is_ok_and(|url| url.as_str() == wanted)
        })
        .await;
    }

    /// Looks again and again: WebDriver has no way to be told.
    async fn wait_until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let look = async { while !holds().await {} };
        if tokio::time::timeout(PATIENCE, look).await.is_err() {
            panic!("waited in vain for {what:?}");
        }
    }
}

struct App {
    home: String,
    sandbox: String,
    _process: Child,
}

impl App {
    /// Starts an example on free ports, and waits until it says where it is.
    async fn start(package: &str) -> Self {
        let (port, sandbox_port) = (free_port(), free_port());
        let mut process = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "-p", package])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .env("PORT", port.to_string())
            .env("SANDBOX_PORT", sandbox_port.to_string())
            .env_remove("OPENHUMANS_CLIENT_ID")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let home = format!("http://localhost:{port}");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(&home) {
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                let sandbox = format!("http://127.0.0.1:{sandbox_port}");
                return Self {
                    home,
                    sandbox,
                    _process: process,
                };
            }
        }
        panic!("{package} ended without saying where it is");
    }
}

struct Browser {
    driver: WebDriver,
    process: Child,
}

impl Browser {
    async fn start() -> Option<Self> {
        let port = free_port();
        let spawned = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut process) = spawned else {
            assert!(
                std::env::var_os("CI").is_none(),
                "chromedriver is not installed"
            );
            eprintln!("SKIPPED: chromedriver is not installed, so no browser was tried");
            return None;
        };
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("started successfully") {
                break;
            }
        }
        let mut chrome = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
        ] {
            chrome.add_arg(argument).unwrap();
        }
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), chrome)
            .await
            .unwrap();
        Some(Self { driver, process })
    }

    async fn stop(mut self) {
        let _ = self.driver.quit().await;
        let _ = self.process.kill().await;
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
