//! The dashboard and alert rules in `docs/operations` match the metrics of the library.

use std::collections::BTreeSet;

const TABLE: &str = include_str!("../../oh-core/src/deauth/metrics/mod.rs");
const DASHBOARD: &str = include_str!("../../docs/operations/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../docs/operations/prometheus-alerts.yml");

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
