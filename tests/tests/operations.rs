//! The files under `docs/operations` speak of the metrics there are, and of no others.

use std::collections::BTreeSet;

const TABLE: &str = include_str!("../../oh-core/src/deauth/metrics/mod.rs");
const DASHBOARD: &str = include_str!("../../docs/operations/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../docs/operations/prometheus-alerts.yml");

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
        .filter(|word| word.starts_with("openhumans_"))
        .collect()
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let _: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert_eq!(metrics(DASHBOARD), metrics(TABLE));
}

#[test]
fn alerts_are_about_metrics_there_are() {
    let alerts = metrics(ALERTS);
    assert!(alerts.len() > 5);
    let unknown: Vec<_> = alerts.difference(&metrics(TABLE)).copied().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_alert_says_what_to_do() {
    let alerts = ALERTS.matches("- alert: ").count();
    for part in ["expr: ", "severity: ", "summary: ", "description: "] {
        assert_eq!(ALERTS.matches(part).count(), alerts, "{part}");
    }
}
