//! Actions of a person on a page, and what the page shows.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;
use thirtyfour::prelude::*;

/// The time limit for an expected change of the page.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The window of a browser, with the URLs of application and sandbox.
pub(crate) struct Page {
    pub(crate) driver: WebDriver,
    pub(crate) home: String,
    pub(crate) sandbox: String,
}

impl Page {
    pub(crate) async fn goto(&self, path: &str) {
        let url = format!("{}{path}", self.home);
        self.driver.goto(url).await.unwrap();
    }

    pub(crate) async fn wait_for(&self, selector: &str) -> WebElement {
        let query = self.driver.query(By::Css(selector));
        let found = query.wait(TIMEOUT, Duration::from_millis(50)).first().await;
        found.unwrap_or_else(|e| panic!("{selector} did not appear: {e}"))
    }

    pub(crate) async fn click(&self, selector: &str) {
        self.wait_for(selector).await.click().await.unwrap();
    }

    /// Selects a member on the sandbox's authorize page and presses a button.
    pub(crate) async fn choose(&self, member: &str, button: &str) {
        self.click(&format!("#member-{member}")).await;
        self.click(button).await;
    }

    pub(crate) async fn leave(&self, button: &str) {
        let connections = format!("{}/member/me/connections/", self.sandbox);
        self.driver.goto(connections).await.unwrap();
        self.click(button).await;
        self.wait_until("the member has left", async || {
            let still_there = self.driver.find_all(By::Css(button)).await;
            still_there.is_ok_and(|buttons| buttons.is_empty())
        })
        .await;
    }

    pub(crate) async fn text(&self) -> String {
        match self.driver.find(By::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    pub(crate) async fn wait_for_text(&self, expected: &str) {
        self.wait_until(expected, async || self.text().await.contains(expected))
            .await;
    }

    pub(crate) async fn wait_for_path(&self, path: &str) {
        let expected = format!("{}{path}", self.home);
        self.wait_until(&expected, async || {
            let url = self.driver.current_url().await;
            url.is_ok_and(|url| url.as_str() == expected)
        })
        .await;
    }

    /// Polls, because WebDriver has no events.
    pub(crate) async fn wait_until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let look = async { while !holds().await {} };
        if tokio::time::timeout(TIMEOUT, look).await.is_err() {
            panic!("waited in vain for {what:?}");
        }
    }

    /// Replaces the text of a field.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.wait_for(selector).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Selects a file in a form.
    pub(crate) async fn put_file(&self, selector: &str, path: &Path) {
        let field = self.wait_for(selector).await;
        field.send_keys(path.to_str().unwrap()).await.unwrap();
    }

    pub(crate) async fn text_of(&self, selector: &str) -> String {
        self.wait_for(selector).await.text().await.unwrap()
    }

    /// Loads a page again with these window settings.
    pub(crate) async fn look(&self, width: u32, scheme: &str) {
        let tools = self.driver.cdp();
        let metrics = json!({
            "width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        let scheme = json!({
            "features": [{ "name": "prefers-color-scheme", "value": scheme }],
        });
        for (command, parameters) in [
            ("Emulation.setDeviceMetricsOverride", metrics),
            ("Emulation.setEmulatedMedia", scheme),
        ] {
            let done = tools.send_raw(command, parameters).await;
            done.unwrap();
        }
    }

    /// Returns a screenshot of the whole page as PNG.
    pub(crate) async fn picture(&self, to: &Path) {
        let tools = self.driver.cdp();
        let whole = json!({ "captureBeyondViewport": true });
        let taken = tools.send_raw("Page.captureScreenshot", whole);
        let taken = taken.await.unwrap();
        let png = BASE64.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::write(to, png).unwrap();
    }
}
