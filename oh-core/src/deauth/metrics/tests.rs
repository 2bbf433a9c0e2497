use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};

use crate::deauth::test_support::{DAY, MINUTE, SECOND, Setting, at, member};
use crate::deauth::{
    Departure, ErasureRequest, Membership, MembershipStatus, Reconciler, ReconcilerSettings,
    WorkerSettings,
};
use crate::store::MemberRecord;
use crate::{Error, ProjectMemberId};

/// Records metrics by name and labels.
#[derive(Default)]
struct Metrics(Mutex<BTreeMap<String, Arc<Number>>>);

#[derive(Default)]
struct Number(AtomicU64);

impl CounterFn for Number {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::SeqCst);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }
}

impl GaugeFn for Number {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::SeqCst);
    }
}

impl Metrics {
    fn number(&self, key: &Key) -> Arc<Number> {
        let labels = key.labels().map(|label| format!(" {label:?}"));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        let mut metrics = self.0.lock().expect("no test panics");
        metrics.entry(name).or_default().clone()
    }

    fn count(&self, name: &str) -> u64 {
        let metrics = self.0.lock().expect("no test panics");
        let of_name = metrics.iter().filter(|(key, _)| key.starts_with(name));
        of_name.map(|(_, n)| n.0.load(Ordering::SeqCst)).sum()
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.count(name))
    }
}

impl Recorder for Metrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn events_and_attempts_are_counted_without_member_ids() {
    let metrics = Metrics::default();
    let _guard = metrics::set_default_local_recorder(&metrics);
    let setting = Setting::new();
    setting.authorize(3, at(60)).await;
    for number in [1, 2, 3, 1] {
        let _ = setting.report_webhook(number, at(50)).await;
    }
    super::count_by("openhumans_deauth_rejected_total", "reason", "missing");
    let handler = |departure: Departure| async move {
        match departure.event.member.as_str() {
            "00000001" => Ok(()),
            _ => Err("fails".into()),
        }
    };
    let settings = WorkerSettings {
        max_attempts: 1,
        ..WorkerSettings::default()
    };
    setting.worker(handler, settings).run_until_idle().await;

    for (name, count) in [
        ("openhumans_deauth_received_total", 3),
        ("openhumans_deauth_duplicates_total", 1),
        ("openhumans_deauth_rejected_total", 1),
        ("openhumans_deauth_failed_total", 1),
        ("openhumans_deauth_done_total", 1),
        ("openhumans_deauth_dead_letters_total", 1),
        ("openhumans_deauth_stale_total", 1),
    ] {
        assert_eq!(metrics.count(name), count, "{name}");
    }
    let names: Vec<_> = metrics.0.lock().unwrap().keys().cloned().collect();
    assert!(!names.concat().contains("0000000"), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn slow_quarantined_late_and_abandoned_events_are_counted() {
    let metrics = Metrics::default();
    let _guard = metrics::set_default_local_recorder(&metrics);
    let setting = Setting::new();
    // Counted after ten minutes and after twenty.
    let slow = |_: Departure| async {
        tokio::time::sleep(25 * MINUTE).await;
        Ok(())
    };
    let _ = setting.report_webhook(1, at(50)).await;
    setting.run_worker(slow).await;

    let _ = setting.report_webhook(2, at(-4 * 24 * 3_600)).await;
    for (number, recovers) in [(3, true), (4, false)] {
        setting.inbox.set_down(true);
        let member = member(number);
        let reported = setting.deauthorizer.report_webhook(
            Duration::from_millis(1),
            &member,
            ErasureRequest::Requested,
            at(50),
        );
        assert!(reported.await.is_err());
        setting.inbox.set_down(!recovers);
        setting.deauthorizer.flush_pending_accepts(SECOND).await;
    }
    for (name, count) in [
        ("openhumans_deauth_slow_total", 2),
        ("openhumans_deauth_quarantined_total", 1),
        ("openhumans_deauth_accepted_late_total", 1),
        ("openhumans_deauth_abandoned_total", 1),
    ] {
        assert_eq!(metrics.count(name), count, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn worker_updates_gauges() {
    let metrics = Metrics::default();
    let _guard = metrics::set_default_local_recorder(&metrics);
    let setting = Setting::new();
    for number in [1, 2] {
        let _ = setting.report_webhook(number, at(50)).await;
    }
    let handler = |_: Departure| std::future::pending();
    let _worker = setting.worker(handler, WorkerSettings::default()).spawn();
    for age in [60.0, 90.0] {
        setting.clock.set(at(100) + Duration::from_secs_f64(age));
        tokio::time::sleep(16 * SECOND).await;
        let oldest = metrics.gauge("openhumans_deauth_oldest_pending_seconds");
        assert!((oldest - age).abs() < 1e-6, "{oldest}");
        let pending = metrics.gauge("openhumans_deauth_pending");
        assert!((pending - 2.0).abs() < 1e-6, "{pending}");
    }
}

/// Knows the first member.
struct FirstMember;

#[async_trait]
impl Membership for FirstMember {
    async fn status(&self, asked: &ProjectMemberId) -> Result<MembershipStatus, Error> {
        Ok(match *asked == member(1) {
            true => MembershipStatus::Authorized,
            false => MembershipStatus::Unknown,
        })
    }

    async fn status_unrefreshed(&self, _: &MemberRecord) -> Result<MembershipStatus, Error> {
        Ok(MembershipStatus::Unknown)
    }

    async fn list(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error> {
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn reconciled_members_are_counted_by_status() {
    let metrics = Metrics::default();
    let _guard = metrics::set_default_local_recorder(&metrics);
    let setting = Setting::new();
    for number in 1..=3 {
        setting.authorize(number, at(0)).await;
    }
    setting.clock.advance(DAY);
    let reconciler = Reconciler::new(
        setting.deauthorizer.clone(),
        Arc::new(FirstMember),
        ReconcilerSettings::default(),
    );
    reconciler.run_pass().await.unwrap();
    let counts: Vec<_> = metrics
        .0
        .lock()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.starts_with("openhumans_deauth_reconciled_total"))
        .map(|(name, n)| (name.contains("authorized"), n.0.load(Ordering::SeqCst)))
        .collect();
    assert_eq!(counts, [(true, 1), (false, 2)]);
}
