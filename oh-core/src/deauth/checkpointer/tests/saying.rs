//! What is said of the sealing: in the log, and at the desk.

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

/// A ledger of two lines, of which four were given away.
async fn forked(key: &SigningKey, shelf: &Shelf) -> Setting {
    let before = Setting::new();
    reports(&before, 0..2).await;
    let first = Checkpointer::new(before.deauthorizer.clone(), key.clone());
    let _ = first
        .archive(shelf.clone())
        .sign_checkpoint()
        .await
        .unwrap();
    let restored = Setting::new();
    reports(&restored, 0..1).await;
    restored
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_does_not_agree_is_read_again_after_ten_intervals() {
    let (key, shelf) = (key(NAME), Shelf::default());
    let setting = forked(&key, &shelf).await;
    let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key);
    let checkpointer = checkpointer.archive(shelf);
    let running = checkpointer.interval(Duration::from_secs(60)).spawn();
    for (seconds, readings) in [(1, 1), (598, 0), (2, 1), (598, 0)] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        assert_eq!(setting.inbox.readings().len(), readings);
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_is_away_says_nothing_of_the_ledger() {
    let (key, shelf) = (key(NAME), Shelf::default());
    let setting = forked(&key, &shelf).await;
    let mut troubles = Vec::new();
    for away in [true, false, true] {
        shelf.set_away(away);
        let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key.clone());
        let running = checkpointer.archive(shelf.clone()).spawn();
        tokio::time::sleep(Duration::from_secs(1)).await;
        running.stop().await;
        let state = setting.deauthorizer.checkpoint_status().await.unwrap();
        troubles.push(state.trouble);
    }
    assert_eq!(troubles[0], None);
    assert!(troubles[1].as_ref().is_some_and(|said| said.contains(NAME)));
    // What was found stays said.
    assert_eq!(troubles[2], troubles[1]);
}

#[tokio::test]
async fn each_checkpoint_is_in_the_log_once() {
    let setting = Setting::new();
    let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key(NAME));
    // What is logged here for the first time while another test runs may not reach who listens.
    reports(&setting, 0..1).await;
    let _ = checkpointer.sign_checkpoint().await.unwrap();
    let log = Log::default();
    let _here = tracing::subscriber::set_default(log.clone());
    let mut sealed = Vec::new();
    for number in 1..3 {
        reports(&setting, number..number + 1).await;
        let checkpoint = checkpointer
            .sign_checkpoint()
            .await
            .unwrap()
            .checkpoint
            .unwrap();
        sealed.push(checkpoint.note().to_owned());
        assert_eq!(log.checkpoints(), sealed);
        // Nothing new: nothing to say.
        assert_eq!(checkpointer.sign_checkpoint().await.unwrap().lines, 0);
        assert_eq!(log.checkpoints(), sealed);
    }
}

/// The checkpoints that are logged.
#[derive(Clone, Default)]
struct Log(Arc<StdMutex<Vec<String>>>);

impl Log {
    fn checkpoints(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Visit for &Log {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "checkpoint" {
            self.0.lock().unwrap().push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Log {
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
