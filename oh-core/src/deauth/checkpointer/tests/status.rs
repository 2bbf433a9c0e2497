//! The state of signing in the dashboard and in the log.

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

/// A ledger of two lines, although the archive has a checkpoint over four.
async fn forked(key: &SigningKey, archive: &MemoryArchive) -> Setting {
    let before = setting_with(0..2).await;
    sign(&archiving(&before, key, archive)).await.unwrap();
    setting_with(0..1).await
}

async fn run_briefly(setting: &Setting, key: &SigningKey, archive: &MemoryArchive) {
    let task = archiving(setting, key, archive).spawn(MINUTE);
    tokio::time::sleep(SECOND).await;
    task.stop().await;
}

#[tokio::test(start_paused = true)]
async fn forked_ledger_is_read_again_after_ten_intervals() {
    let (key, archive) = (key(NAME), MemoryArchive::default());
    let setting = forked(&key, &archive).await;
    let task = archiving(&setting, &key, &archive).spawn(MINUTE);
    for (seconds, reads) in [(1, 1), (598, 0), (2, 1), (598, 0)] {
        tokio::time::sleep(seconds * SECOND).await;
        assert_eq!(setting.inbox.ledger_reads().len(), reads);
    }
    task.stop().await;
}

#[tokio::test(start_paused = true)]
async fn problem_is_shown_until_it_is_resolved() {
    let (key_1, archive) = (key(NAME), MemoryArchive::default());
    let setting = forked(&key_1, &archive).await;
    let mut problems = Vec::new();
    // While the archive is down, nothing is known about the ledger.
    for down in [true, false, true] {
        archive.set_down(down);
        run_briefly(&setting, &key_1, &archive).await;
        problems.push(status(&setting).await.problem);
    }
    assert_eq!(problems[0], None);
    let text = problems[1].as_deref().unwrap();
    assert!(text.contains(NAME) && text.contains("4 lines"), "{text}");
    assert_eq!(problems[2], problems[1]);

    archive.set_down(false);
    run_briefly(&setting, &key(NEW_NAME), &archive).await;
    let status = status(&setting).await;
    assert_eq!((status.problem, status.size), (None, 2));
}

#[tokio::test]
async fn checkpoint_is_logged_once() {
    let setting = setting_with(0..1).await;
    let checkpointer = checkpointer(&setting, &[&key(NAME)]);
    // tracing caches whether anyone listens when a log statement first runs, in any test.
    sign(&checkpointer).await.unwrap();
    let log = CheckpointLog::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut notes = Vec::new();
    for number in 1..3 {
        report(&setting, number..number + 1).await;
        let signed = checkpointer.sign_checkpoint().await.unwrap();
        notes.push(signed.checkpoint.unwrap().note().to_owned());
        // There are no new lines the second time.
        assert_eq!(sign(&checkpointer).await.unwrap(), 0);
        assert_eq!(*log.0.lock().unwrap(), notes);
    }
}

/// Collects the checkpoints in the log.
#[derive(Clone, Default)]
struct CheckpointLog(Arc<StdMutex<Vec<String>>>);

impl Visit for &CheckpointLog {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "checkpoint" {
            self.0.lock().unwrap().push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for CheckpointLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut { self });
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
