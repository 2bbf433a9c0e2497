mod going_on;
mod saying;

use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::test_support::{Setting, at};
use super::*;
use crate::deauth::{CheckpointOutcome, Ledger, StoredCheckpoint};
use crate::ledger::{LineProof, SignedCheckpoint, Verified, Verifier, VerifyError, VerifyingKey};

const NAME: &str = "app.example/erasure";

fn key(name: &str) -> SigningKey {
    SigningKey::generate(name).unwrap()
}

fn verifying(keys: &[&SigningKey]) -> Vec<VerifyingKey> {
    keys.iter().map(|key| key.verifying_key().clone()).collect()
}

async fn export(setting: &Setting) -> Vec<u8> {
    let mut out = Vec::new();
    let ledger = Ledger::new(&setting.deauthorizer);
    ledger.export(&mut out).await.unwrap();
    out
}

async fn verify(setting: &Setting, keys: &[&SigningKey]) -> Result<Verified, VerifyError> {
    let as_of = setting.clock.now().as_micros();
    Verifier::new(verifying(keys), as_of).read(export(setting).await.as_slice())
}

/// Each leaves two lines.
async fn reports(setting: &Setting, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let _ = setting.report_webhook(number, at(50)).await;
    }
}

async fn last_kept(setting: &Setting) -> StoredCheckpoint {
    let inbox = setting.deauthorizer.inbox();
    let mut last = inbox.checkpoints(&CheckpointQuery::last()).await.unwrap();
    last.remove(0)
}

async fn keep(setting: &Setting, kept: &StoredCheckpoint) {
    let fate = setting.deauthorizer.inbox().store_checkpoint(kept).await;
    assert_eq!(fate.unwrap(), CheckpointOutcome::Stored);
}

/// Keeps what it is given, and can be away.
#[derive(Clone, Default)]
struct Shelf(Arc<ShelfInner>);

#[derive(Default)]
struct ShelfInner {
    away: AtomicBool,
    kept: StdMutex<Vec<SignedCheckpoint>>,
}

impl Shelf {
    fn set_away(&self, away: bool) {
        self.0.away.store(away, Ordering::SeqCst);
    }

    fn here(&self) -> Result<(), BoxError> {
        match self.0.away.load(Ordering::SeqCst) {
            true => Err("the archive is away".into()),
            false => Ok(()),
        }
    }

    fn sizes(&self) -> Vec<u64> {
        let kept = self.0.kept.lock().unwrap();
        kept.iter().map(|kept| kept.checkpoint().size).collect()
    }
}

#[async_trait]
impl CheckpointArchive for Shelf {
    async fn keep(&self, checkpoint: &SignedCheckpoint) -> Result<(), BoxError> {
        self.here()?;
        self.0.kept.lock().unwrap().push(checkpoint.clone());
        Ok(())
    }

    async fn last(&self) -> Result<Option<String>, BoxError> {
        self.here()?;
        let kept = self.0.kept.lock().unwrap();
        Ok(kept.last().map(|kept| kept.note().to_owned()))
    }
}

#[tokio::test]
async fn what_was_written_before_there_was_a_key_is_sealed_and_so_is_what_comes_after() {
    let setting = Setting::new();
    reports(&setting, 0..2_500).await;
    let key = key(NAME);
    let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key.clone());
    let sealed = checkpointer.sign_checkpoint().await.unwrap();
    assert_eq!((sealed.lines, sealed.more), (5_000, false));
    // Nothing new: nothing to do.
    assert_eq!(checkpointer.sign_checkpoint().await.unwrap().lines, 0);
    reports(&setting, 2_500..2_503).await;
    // Another process goes on.
    let other = Checkpointer::new(setting.deauthorizer.clone(), key.clone());
    assert_eq!(other.sign_checkpoint().await.unwrap().lines, 6);
    reports(&setting, 2_503..2_504).await;

    let verified = verify(&setting, &[&key]).await.unwrap();
    assert_eq!((verified.lines, verified.signed_lines), (5_008, 5_006));
    assert_eq!(verified.checkpoints, 2);
    assert_eq!(verified.attention.len(), 2_504);
    let state = setting.deauthorizer.checkpoint_status().await.unwrap();
    assert_eq!(
        (state.size, state.at, state.trouble),
        (5_006, Some(at(100)), None)
    );
    assert_eq!(
        state.checkpoint.as_deref(),
        verified
            .last_checkpoint
            .as_ref()
            .map(SignedCheckpoint::note)
    );

    // And the lines of one member are proved.
    let member = setting
        .deauthorizer
        .names()
        .pseudonym(&super::super::test_support::member(7));
    let export = export(&setting).await;
    let proofs = LineProof::find(
        export.as_slice(),
        &verified.last_checkpoint.unwrap(),
        |line| line.member == member.as_str(),
    );
    let proofs = proofs.unwrap();
    assert_eq!(proofs.len(), 2);
    for proof in proofs {
        assert!(proof.verify(&verifying(&[&key])).is_ok());
    }
}

#[tokio::test]
async fn erasing_changes_no_line_that_was_sealed() {
    let setting = Setting::new();
    reports(&setting, 0..3).await;
    let key = key(NAME);
    let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key.clone());
    let _ = checkpointer.sign_checkpoint().await.unwrap();
    let inbox = setting.deauthorizer.inbox();
    let done = crate::deauth::Completion::Done { note: None };
    for leased in inbox.lease(at(101), at(161), 10).await.unwrap() {
        let held = inbox.complete(&leased.lease, &done, at(102)).await.unwrap();
        assert_eq!(held, crate::deauth::LeaseOutcome::Applied);
    }
    let _ = checkpointer.sign_checkpoint().await.unwrap();
    let verified = verify(&setting, &[&key]).await.unwrap();
    assert_eq!((verified.signed_lines, verified.attention.len()), (12, 0));
}

#[tokio::test]
async fn an_archive_gets_each_checkpoint_and_those_it_missed() {
    let setting = Setting::new();
    let shelf = Shelf::default();
    let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key(NAME));
    let checkpointer = checkpointer.archive(shelf.clone());
    assert_eq!(
        checkpointer.sign_checkpoint().await.unwrap().checkpoint,
        None
    );
    for (number, away) in [(0, false), (1, true), (2, true)] {
        reports(&setting, number..number + 1).await;
        shelf.set_away(away);
        let _ = checkpointer.sign_checkpoint().await.unwrap();
    }
    assert_eq!(shelf.sizes(), [2]);
    shelf.set_away(false);
    // There is nothing new, and still it gets what it missed.
    assert_eq!(checkpointer.sign_checkpoint().await.unwrap().lines, 0);
    assert_eq!(checkpointer.sign_checkpoint().await.unwrap().lines, 0);
    assert_eq!(shelf.sizes(), [2, 6]);
}

#[tokio::test]
async fn a_ledger_that_is_not_the_one_that_was_given_away_is_not_sealed() {
    let key_1 = key(NAME);
    let shelf = Shelf::default();
    let before = Setting::new();
    reports(&before, 0..5).await;
    let seal = async |setting: &Setting, key: &SigningKey| {
        let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key.clone());
        checkpointer.archive(shelf.clone()).sign_checkpoint().await
    };
    let _ = seal(&before, &key_1).await.unwrap();
    assert_eq!(shelf.sizes(), [10]);

    // A backup from before that, with nothing since; with fewer lines since; with other lines.
    for (old, new) in [(0..3, 3..3), (0..3, 3..4), (0..3, 6..20)] {
        let restored = Setting::new();
        reports(&restored, old).await;
        reports(&restored, new).await;
        match seal(&restored, &key_1).await.unwrap_err() {
            SigningError::Forked { size, origin } => assert_eq!((size, &*origin), (10, NAME)),
            other => panic!("{other}"),
        }
        assert!(setting_is_unsealed(&restored).await);
        // Under a new name it is another ledger's.
        let _ = seal(&restored, &key("app.example/erasure-2"))
            .await
            .unwrap();
        shelf.0.kept.lock().unwrap().truncate(1);
    }

    // A backup that lost nothing that was given away.
    let restored = Setting::new();
    reports(&restored, 0..9).await;
    assert_eq!(seal(&restored, &key_1).await.unwrap().lines, 18);
}

async fn setting_is_unsealed(setting: &Setting) -> bool {
    let state = setting.deauthorizer.checkpoint_status().await.unwrap();
    state.checkpoint.is_none()
}

#[tokio::test]
async fn a_database_restored_under_a_running_process_is_noticed_though_it_has_grown_since() {
    // The process remembers a checkpoint that the inbox does not have, but has gone beyond.
    let (key, shelf) = (key(NAME), Shelf::default());
    let before = Setting::new();
    reports(&before, 0..4).await;
    let first = Checkpointer::new(before.deauthorizer.clone(), key.clone()).archive(shelf.clone());
    let _ = first.sign_checkpoint().await.unwrap();
    for (numbers, fits) in [(0..4, true), (1..5, false)] {
        let after = Setting::new();
        reports(&after, numbers).await;
        reports(&after, 10..12).await;
        // Sealed by someone who was not told of what was given away.
        let careless = Checkpointer::new(after.deauthorizer.clone(), key.clone());
        let _ = careless.sign_checkpoint().await.unwrap();
        let careful = Checkpointer::new(after.deauthorizer.clone(), key.clone());
        let sealed = careful.archive(shelf.clone()).sign_checkpoint().await;
        assert_eq!(sealed.is_ok(), fits);
        shelf.0.kept.lock().unwrap().truncate(1);
    }
}

#[tokio::test]
async fn one_key_can_follow_another() {
    let setting = Setting::new();
    let (old, new) = (key(NAME), key(NAME));
    reports(&setting, 0..2).await;
    let deauthorizer = || setting.deauthorizer.clone();
    let _ = Checkpointer::new(deauthorizer(), old.clone())
        .sign_checkpoint()
        .await
        .unwrap();
    reports(&setting, 2..3).await;
    let both = Checkpointer::new(deauthorizer(), new.clone()).also_sign_with(old.clone());
    let _ = both.sign_checkpoint().await.unwrap();
    assert_eq!(verify(&setting, &[&old]).await.unwrap().signed_lines, 6);
    reports(&setting, 3..4).await;
    // At once, too: what a key that is not known has signed is read again.
    let third = key(NAME);
    let _ = Checkpointer::new(deauthorizer(), third.clone())
        .sign_checkpoint()
        .await
        .unwrap();
    assert!(verify(&setting, &[&old, &new]).await.is_err());
    let verified = verify(&setting, &[&old, &new, &third]).await.unwrap();
    let uses: Vec<_> = verified.keys.iter().map(|k| (k.first, k.last)).collect();
    assert_eq!(uses, [(4, 6), (6, 6), (8, 8)]);
}

#[tokio::test]
async fn a_kept_tree_that_was_changed_is_not_gone_on_from() {
    let setting = Setting::new();
    reports(&setting, 0..3).await;
    let key = key(NAME);
    let sealed = Checkpointer::new(setting.deauthorizer.clone(), key.clone())
        .sign_checkpoint()
        .await;
    let _ = sealed.unwrap();
    let mut kept = last_kept(&setting).await;
    // The last has as many nodes as there should be.
    for tree in ["", "AAAA", &STANDARD.encode([0; 64])] {
        let other = Setting::new();
        reports(&other, 0..4).await;
        kept.tree = tree.to_owned();
        keep(&other, &kept).await;
        // The lines are those that were sealed: they are read again, and it goes on.
        let again = Checkpointer::new(other.deauthorizer.clone(), key.clone());
        assert_eq!(again.sign_checkpoint().await.unwrap().lines, 2);
        assert_eq!(verify(&other, &[&key]).await.unwrap().signed_lines, 8);

        let forged = Setting::new();
        reports(&forged, 1..5).await;
        keep(&forged, &kept).await;
        let again = Checkpointer::new(forged.deauthorizer.clone(), key.clone());
        assert!(matches!(
            again.sign_checkpoint().await,
            Err(SigningError::Forked { size: 6, .. })
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn it_seals_in_the_background_and_once_more_at_the_end() {
    let setting = Setting::new();
    let key = key(NAME);
    let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key.clone());
    reports(&setting, 0..1).await;
    let running = checkpointer.interval(Duration::from_secs(60)).spawn();
    let size = async || setting.deauthorizer.checkpoint_status().await.unwrap().size;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(size().await, 2);
    reports(&setting, 1..2).await;
    tokio::time::sleep(Duration::from_secs(58)).await;
    assert_eq!(size().await, 2);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(size().await, 4);
    // What cannot be done now is done later, whatever went wrong.
    reports(&setting, 2..3).await;
    setting.inbox.set_panics(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    setting.inbox.set_panics(false);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(size().await, 6);
    reports(&setting, 3..4).await;
    running.stop().await;
    assert_eq!(size().await, 8);
    assert_eq!(verify(&setting, &[&key]).await.unwrap().checkpoints, 4);
}

#[tokio::test(start_paused = true)]
async fn one_process_seals_at_a_time() {
    let setting = Setting::new();
    reports(&setting, 0..1).await;
    let inbox = setting.deauthorizer.inbox();
    let (now, until) = (at(100), at(400));
    let lock = inbox
        .acquire_lock(JOB, "another", now, until)
        .await
        .unwrap();
    assert!(lock.is_some());
    let running = Checkpointer::new(setting.deauthorizer.clone(), key(NAME)).spawn();
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert!(setting_is_unsealed(&setting).await);
    setting.clock.advance(Duration::from_secs(301));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(!setting_is_unsealed(&setting).await);
    running.stop().await;
}

/// Takes as long as it is told to.
struct Slow {
    asked: Arc<tokio::sync::Notify>,
    goes_on: Arc<tokio::sync::Notify>,
}

#[async_trait]
impl CheckpointArchive for Slow {
    async fn keep(&self, _: &SignedCheckpoint) -> Result<(), BoxError> {
        self.asked.notify_one();
        self.goes_on.notified().await;
        Ok(())
    }

    async fn last(&self) -> Result<Option<String>, BoxError> {
        Ok(None)
    }
}

#[tokio::test]
async fn the_lock_is_held_while_it_seals() {
    let setting = Setting::new();
    reports(&setting, 0..1).await;
    let (asked, goes_on) = Default::default();
    let slow = Slow { asked, goes_on };
    let (asked, goes_on) = (slow.asked.clone(), slow.goes_on.clone());
    let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key(NAME)).archive(slow);
    let running = checkpointer.spawn();
    asked.notified().await;
    let inbox = setting.deauthorizer.inbox();
    let lock = inbox.acquire_lock(JOB, "another", at(101), at(400)).await;
    assert_eq!(lock.unwrap(), None);
    goes_on.notify_one();
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn trouble_is_shown_until_it_is_over() {
    let (key_1, shelf) = (key(NAME), Shelf::default());
    let before = Setting::new();
    reports(&before, 0..2).await;
    let first = Checkpointer::new(before.deauthorizer.clone(), key_1.clone());
    let _ = first
        .archive(shelf.clone())
        .sign_checkpoint()
        .await
        .unwrap();
    let restored = Setting::new();
    reports(&restored, 0..1).await;
    let trouble = async || {
        restored
            .deauthorizer
            .checkpoint_status()
            .await
            .unwrap()
            .trouble
    };
    let run = async |key: SigningKey| {
        let checkpointer = Checkpointer::new(restored.deauthorizer.clone(), key);
        let running = checkpointer.archive(shelf.clone()).spawn();
        tokio::time::sleep(Duration::from_secs(1)).await;
        running.stop().await;
    };
    run(key_1).await;
    let said = trouble().await.unwrap();
    assert!(said.contains(NAME) && said.contains("4 lines"), "{said}");
    run(key("app.example/erasure-2")).await;
    assert_eq!(trouble().await, None);
    assert!(!setting_is_unsealed(&restored).await);
}
