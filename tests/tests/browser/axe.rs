//! Runs axe-core, which tests pages for accessibility.
//!
//! Install the script with `npm install --no-save --prefix target/axe axe-core@4`, or set `AXE_CORE` to
//! its path. Without it the check is skipped with a message, except in CI, where it fails.

use std::path::PathBuf;

use serde_json::Value;

use crate::page::Page;

/// Returns the script, if it is installed.
pub(crate) fn script() -> Option<String> {
    let usual = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/axe/node_modules/axe-core/axe.min.js"
    );
    let path = std::env::var_os("AXE_CORE").map_or_else(|| PathBuf::from(usual), PathBuf::from);
    match std::fs::read_to_string(&path) {
        Ok(script) => Some(script),
        Err(error) => {
            let path = path.display();
            assert!(
                std::env::var_os("CI").is_none(),
                "no axe-core at {path}: {error}"
            );
            eprintln!("SKIPPED: no axe-core at {path}, so accessibility was not checked: {error}");
            None
        }
    }
}

/// Returns a description of the violations on the page; empty if there are none.
pub(crate) async fn findings(page: &Page, script: &str) -> Vec<String> {
    let run = format!(
        "{script}; const done = arguments[0]; \
         axe.run().then(found => done(found.violations), error => done([{{id: String(error), nodes: []}}]));"
    );
    let found = page.driver.execute_async(run, Vec::new()).await.unwrap();
    let found: Vec<Value> = found.convert().unwrap();
    let words = |violation: &Value| {
        let nodes = violation["nodes"].as_array().cloned().unwrap_or_default();
        let where_: Vec<String> = nodes.iter().map(|node| node["html"].to_string()).collect();
        format!(
            "{}: {} at {}",
            violation["id"],
            violation["help"],
            where_.join(", ")
        )
    };
    found.iter().map(words).collect()
}
