use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};

use crate::deauth::test_support::{Setting, at, member};
use crate::deauth::{Departure, Membership, MembershipStatus, Reconciler, Worker};
use crate::{DeletionPolicy, Error, ProjectMemberId};

/// Keeps what it is told, by name and labels.
#[derive(Default)]
struct Told(Mutex<BTreeMap<String, Arc<Number>>>);

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

impl Told {
    fn number(&self, key: &Key) -> Arc<Number> {
        let labels = key.labels().map(|label| format!(" {label:?}"));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        let mut told = self.0.lock().expect("nobody panics");
        told.entry(name).or_default().clone()
    }

    fn count(&self, name: &str) -> u64 {
        let told = self.0.lock().expect("nobody panics");
        let of_name = told.iter().filter(|(key, _)| key.starts_with(name));
        of_name.map(|(_, n)| n.0.load(Ordering::SeqCst)).sum()
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.count(name))
    }
}

impl Recorder for Told {
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
async fn what_happens_is_counted_and_names_nobody() {
    let told = Told::default();
    let _here = metrics::set_default_local_recorder(&told);
    let setting = Setting::new();
    setting.authorize(3, at(60)).await;
    for number in 1..=3 {
        let _ = setting.report_webhook(number, at(50)).await;
    }
    let _ = setting.report_webhook(1, at(50)).await;
    super::rejected("missing");
    let only_the_first = |departure: Departure| async move {
        match departure.event.member.as_str() {
            "00000001" => Ok(()),
            _ => Err("no".into()),
        }
    };
    let policy = DeletionPolicy::default();
    let worker = Worker::new(
        setting.deauthorizer.clone(),
        Arc::new(only_the_first),
        policy,
    )
    .max_attempts(1)
    .spawn();
    worker.drain().await;

    for (name, count) in [
        ("openhumans_deauth_received_total", 3),
        ("openhumans_deauth_duplicates_total", 1),
        ("openhumans_deauth_rejected_total", 1),
        ("openhumans_deauth_failed_total", 1),
        ("openhumans_deauth_done_total", 1),
        ("openhumans_deauth_dead_letters_total", 1),
        ("openhumans_deauth_stale_total", 1),
    ] {
        assert_eq!(told.count(name), count, "{name}");
    }
    let names: Vec<_> = told.0.lock().unwrap().keys().cloned().collect();
    assert!(!names.concat().contains("0000000"), "{names:?}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_takes_long_waits_or_is_given_up_is_counted() {
    let told = Told::default();
    let _here = metrics::set_default_local_recorder(&told);
    let setting = Setting::new();
    // Its two warnings come after ten minutes and after twenty.
    let slow = |_: Departure| async {
        tokio::time::sleep(Duration::from_secs(25 * 60)).await;
        Ok(())
    };
    let policy = DeletionPolicy::default();
    let worker = Worker::new(setting.deauthorizer.clone(), Arc::new(slow), policy).spawn();
    let _ = setting.report_webhook(1, at(50)).await;
    worker.drain().await;
    worker.stop().await;

    let _ = setting.report_webhook(2, at(-4 * 24 * 3_600)).await;
    let late = async |number| {
        setting.inbox.set_down(true);
        let patience = Duration::from_millis(1);
        let who = member(number);
        let told = setting.deauthorizer.report_webhook_within(
            patience,
            &who,
            crate::deauth::ErasureRequest::Requested,
            at(50),
        );
        assert!(told.await.is_err());
    };
    late(3).await;
    setting.inbox.set_down(false);
    setting.deauthorizer.finish(Duration::from_secs(1)).await;
    late(4).await;
    setting.deauthorizer.finish(Duration::from_secs(1)).await;
    for (name, count) in [
        ("openhumans_deauth_slow_total", 2),
        ("openhumans_deauth_quarantined_total", 1),
        ("openhumans_deauth_accepted_late_total", 1),
        ("openhumans_deauth_abandoned_total", 1),
    ] {
        assert_eq!(told.count(name), count, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_tells_how_many_events_wait_and_for_how_long() {
    let told = Told::default();
    let _here = metrics::set_default_local_recorder(&told);
    let setting = Setting::new();
    for number in [1, 2] {
        let _ = setting.report_webhook(number, at(50)).await;
    }
    let worker = setting
        .worker(|_: Departure| std::future::pending())
        .spawn();
    for age in [60.0, 90.0] {
        setting.clock.set(at(100) + Duration::from_secs_f64(age));
        tokio::time::sleep(Duration::from_secs(16)).await;
        let waits = told.gauge("openhumans_deauth_oldest_pending_seconds");
        assert!((waits - age).abs() < 1e-6, "{waits}");
        let pending = told.gauge("openhumans_deauth_pending");
        assert!((pending - 2.0).abs() < 1e-6, "{pending}");
    }
    drop(worker);
}

/// Open Humans knows the first member, and says nothing certain of others.
struct KnowsTheFirst;

#[async_trait]
impl Membership for KnowsTheFirst {
    async fn status(&self, asked: &ProjectMemberId) -> Result<MembershipStatus, Error> {
        Ok(match *asked == member(1) {
            true => MembershipStatus::Authorized,
            false => MembershipStatus::Unsure,
        })
    }

    async fn listed(&self) -> Result<Option<HashSet<ProjectMemberId>>, Error> {
        Ok(None)
    }
}

#[tokio::test]
async fn members_asked_about_are_counted_by_what_was_answered() {
    let told = Told::default();
    let _here = metrics::set_default_local_recorder(&told);
    let setting = Setting::new();
    for number in 1..=3 {
        setting.authorize(number, at(0)).await;
    }
    setting.clock.advance(Duration::from_secs(24 * 3_600));
    let membership = Arc::new(KnowsTheFirst);
    let reconciler = Reconciler::new(setting.deauthorizer.clone(), membership);
    let reconciler = reconciler.min_delay(Duration::ZERO);
    reconciler.round().await.unwrap();
    let asked = told.0.lock().unwrap().clone();
    let counts: Vec<_> = asked
        .iter()
        .filter(|(name, _)| name.starts_with("openhumans_deauth_reconciled_total"))
        .map(|(name, n)| (name.contains("authorized"), n.0.load(Ordering::SeqCst)))
        .collect();
    assert_eq!(counts, [(true, 1), (false, 2)]);
}
