//! The dashboard and alert rules in `docs/operations` match the metrics of the library.

#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../../oh-core/src/deauth/metrics/mod.rs");
const DASHBOARD: &str = include_str!("../../docs/operations/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../docs/operations/prometheus-alerts.yml");

const GUIDE: &str = include_str!("../../docs/operations/README.md");

/// Returns the metric names in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
        .filter(|word| word.starts_with("openhumans_"))
        .collect()
}

#[test]
fn dashboard_shows_exactly_the_existing_metrics() {
    let _: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert_eq!(metrics(DASHBOARD), metrics(TABLE));
}

#[test]
fn alert_rules_use_existing_metrics() {
    let alerts = metrics(ALERTS);
    assert!(alerts.len() > 5);
    let unknown: Vec<_> = alerts.difference(&metrics(TABLE)).copied().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn alert_rules_have_severity_summary_and_description() {
    let alerts = ALERTS.matches("- alert: ").count();
    for part in ["expr: ", "severity: ", "summary: ", "description: "] {
        assert_eq!(ALERTS.matches(part).count(), alerts, "{part}");
    }
}

#[test]
fn guide_quotes_existing_log_messages() {
    let mut source = String::new();
    read_source(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../oh-core/src"),
        &mut source,
    );
    let (_, tables) = GUIDE.split_once("## Log messages").unwrap();
    let cells = tables.lines().filter_map(|line| line.split('|').nth(1));
    let messages: Vec<&str> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(messages.len() > 20, "{messages:?}");
    let missing: Vec<_> = messages.iter().filter(|m| !source.contains(**m)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Appends all source files below `folder`, with joined string continuations.
fn read_source(folder: &Path, source: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_source(&path, source);
            continue;
        }
        for line in fs::read_to_string(path).unwrap().lines() {
            match line.trim().strip_suffix('\\') {
                Some(start) => source.push_str(start),
                None => {
                    source.push_str(line.trim());
                    source.push('\n');
                }
            }
        }
    }
}
