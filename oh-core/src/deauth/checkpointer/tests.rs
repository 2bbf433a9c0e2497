mod resuming;
mod status;

use std::ops::Range;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use tokio::sync::Notify;

use super::*;
use crate::deauth::inbox::{CheckpointOutcome, CheckpointQuery, DeauthInbox, StoredCheckpoint};
use crate::deauth::test_support::{MINUTE, SECOND, Setting, at, member};
use crate::deauth::{CheckpointStatus, Completion, Ledger, read_checkpoint_status};
use crate::ledger::{LineProof, SignedCheckpoint, Verified, Verifier, VerifyError, VerifyingKey};

const NAME: &str = "app.example/erasure";
const NEW_NAME: &str = "app.example/erasure-2";

fn key(name: &str) -> SigningKey {
    SigningKey::generate(name).unwrap()
}

fn verifying(keys: &[&SigningKey]) -> Vec<VerifyingKey> {
    keys.iter().map(|key| key.verifying_key().clone()).collect()
}

fn checkpointer(setting: &Setting, keys: &[&SigningKey]) -> Checkpointer {
    let keys = keys.iter().map(|key| (*key).clone()).collect();
    Checkpointer::new(setting.deauthorizer.clone(), keys, None)
}

fn archiving(setting: &Setting, key: &SigningKey, archive: &MemoryArchive) -> Checkpointer {
    let archive = Arc::new(archive.clone());
    Checkpointer::new(
        setting.deauthorizer.clone(),
        vec![key.clone()],
        Some(archive),
    )
}

/// Performs one signing pass and returns the number of new lines.
async fn sign(checkpointer: &Checkpointer) -> Result<u64, SigningError> {
    checkpointer
        .sign_checkpoint()
        .await
        .map(|report| report.lines)
}

fn is_forked(signed: &Result<u64, SigningError>, name: &str, lines: u64) -> bool {
    matches!(signed, Err(SigningError::Forked { origin, size }) if origin == name && *size == lines)
}

async fn export(setting: &Setting) -> Vec<u8> {
    let lines = Ledger::new(&setting.deauthorizer).export_lines();
    let lines: Vec<_> = lines.try_collect().await.unwrap();
    lines.join(&b'\n')
}

async fn verify(setting: &Setting, keys: &[&SigningKey]) -> Result<Verified, VerifyError> {
    let as_of = setting.clock.now().as_micros();
    Verifier::new(verifying(keys), as_of).read(export(setting).await.as_slice())
}

/// Reports webhooks. Each adds two lines.
async fn report(setting: &Setting, numbers: Range<usize>) {
    for number in numbers {
        let _ = setting.report_webhook(number, at(50)).await;
    }
}

async fn setting_with(numbers: Range<usize>) -> Setting {
    let setting = Setting::new();
    report(&setting, numbers).await;
    setting
}

async fn status(setting: &Setting) -> CheckpointStatus {
    read_checkpoint_status(&setting.deauthorizer).await.unwrap()
}

async fn last_stored(setting: &Setting) -> StoredCheckpoint {
    let last = setting.inbox.checkpoints(&CheckpointQuery::last()).await;
    last.unwrap().remove(0)
}

async fn store(setting: &Setting, checkpoint: &StoredCheckpoint) {
    let stored = setting.inbox.store_checkpoint(checkpoint).await;
    assert_eq!(stored.unwrap(), CheckpointOutcome::Stored);
}

/// An archive in memory that can fail.
#[derive(Clone, Default)]
struct MemoryArchive {
    down: Arc<AtomicBool>,
    checkpoints: Arc<StdMutex<Vec<SignedCheckpoint>>>,
}

impl MemoryArchive {
    fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), BoxError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err("the archive is down".into()),
            false => Ok(()),
        }
    }

    fn sizes(&self) -> Vec<u64> {
        let checkpoints = self.checkpoints.lock().unwrap();
        checkpoints.iter().map(|c| c.checkpoint().size).collect()
    }

    fn truncate(&self, len: usize) {
        self.checkpoints.lock().unwrap().truncate(len);
    }
}

#[async_trait]
impl CheckpointArchive for MemoryArchive {
    async fn store(&self, checkpoint: &SignedCheckpoint) -> Result<(), BoxError> {
        self.check()?;
        self.checkpoints.lock().unwrap().push(checkpoint.clone());
        Ok(())
    }

    async fn last(&self) -> Result<Option<String>, BoxError> {
        self.check()?;
        let checkpoints = self.checkpoints.lock().unwrap();
        Ok(checkpoints.last().map(|last| last.note().to_owned()))
    }
}

#[tokio::test]
async fn checkpoints_cover_old_and_new_lines_and_prove_lines_of_a_member() {
    let setting = setting_with(0..2_500).await;
    let key = key(NAME);
    let first = checkpointer(&setting, &[&key]);
    let signed = first.sign_checkpoint().await.unwrap();
    assert_eq!((signed.lines, signed.more), (5_000, false));
    assert_eq!(sign(&first).await.unwrap(), 0);
    report(&setting, 2_500..2_503).await;
    let other_process = checkpointer(&setting, &[&key]);
    assert_eq!(sign(&other_process).await.unwrap(), 6);
    report(&setting, 2_503..2_504).await;

    let verified = verify(&setting, &[&key]).await.unwrap();
    assert_eq!((verified.lines, verified.signed_lines), (5_008, 5_006));
    assert_eq!(verified.checkpoints, 2);
    assert_eq!(verified.attention.len(), 2_504);
    let status = status(&setting).await;
    assert_eq!(
        (status.size, status.at, status.problem),
        (5_006, Some(at(100)), None)
    );
    let last = verified.last_checkpoint.unwrap();
    assert_eq!(status.checkpoint.as_deref(), Some(last.note()));

    let pseudonym = setting.deauthorizer.pseudonymizer().pseudonym(&member(7));
    let export = export(&setting).await;
    let proofs = LineProof::find(export.as_slice(), &last, |line| {
        line.member == pseudonym.as_str()
    });
    let proofs = proofs.unwrap();
    assert_eq!(proofs.len(), 2);
    for proof in proofs {
        assert!(proof.verify(&verifying(&[&key])).is_ok());
    }
}

#[tokio::test]
async fn erasure_changes_no_signed_line() {
    let setting = setting_with(0..3).await;
    let key = key(NAME);
    let checkpointer = checkpointer(&setting, &[&key]);
    sign(&checkpointer).await.unwrap();
    for leased in setting.lease(10).await {
        setting
            .complete(&leased, Completion::Done { note: None })
            .await;
    }
    sign(&checkpointer).await.unwrap();
    let verified = verify(&setting, &[&key]).await.unwrap();
    assert_eq!((verified.signed_lines, verified.attention.len()), (12, 0));
}

#[tokio::test]
async fn archive_receives_last_checkpoint_after_it_recovers() {
    let setting = Setting::new();
    let archive = MemoryArchive::default();
    let checkpointer = archiving(&setting, &key(NAME), &archive);
    let empty = checkpointer.sign_checkpoint().await.unwrap();
    assert_eq!(empty.checkpoint, None);
    for (number, down) in [(0, false), (1, true), (2, true)] {
        report(&setting, number..number + 1).await;
        archive.set_down(down);
        sign(&checkpointer).await.unwrap();
    }
    assert_eq!(archive.sizes(), [2]);
    archive.set_down(false);
    for _ in 0..2 {
        assert_eq!(sign(&checkpointer).await.unwrap(), 0);
    }
    assert_eq!(archive.sizes(), [2, 6]);
}

#[tokio::test]
async fn restored_ledger_that_contradicts_archive_is_not_signed() {
    let (old_key, new_key) = (key(NAME), key(NEW_NAME));
    let archive = MemoryArchive::default();
    let before = setting_with(0..5).await;
    sign(&archiving(&before, &old_key, &archive)).await.unwrap();
    assert_eq!(archive.sizes(), [10]);

    // The backup has the first three events. Then come no, fewer or other events.
    for later in [3..3, 3..4, 6..20] {
        let restored = setting_with(0..3).await;
        report(&restored, later).await;
        let signed = sign(&archiving(&restored, &old_key, &archive)).await;
        assert!(is_forked(&signed, NAME, 10));
        assert!(status(&restored).await.checkpoint.is_none());
        // Under a new name it is another ledger.
        let signed = sign(&archiving(&restored, &new_key, &archive)).await;
        assert!(signed.is_ok());
        archive.truncate(1);
    }

    // This backup has all lines of the checkpoint.
    let restored = setting_with(0..9).await;
    let signed = sign(&archiving(&restored, &old_key, &archive)).await;
    assert_eq!(signed.unwrap(), 18);
}

#[tokio::test]
async fn signing_key_can_be_replaced() {
    let setting = setting_with(0..2).await;
    let (old, new, third) = (key(NAME), key(NAME), key(NAME));
    sign(&checkpointer(&setting, &[&old])).await.unwrap();
    report(&setting, 2..3).await;
    sign(&checkpointer(&setting, &[&new, &old])).await.unwrap();
    let verified = verify(&setting, &[&old]).await.unwrap();
    assert_eq!(verified.signed_lines, 6);
    report(&setting, 3..4).await;
    // Without an overlap the lines are read again.
    sign(&checkpointer(&setting, &[&third])).await.unwrap();
    assert!(verify(&setting, &[&old, &new]).await.is_err());
    let verified = verify(&setting, &[&old, &new, &third]).await.unwrap();
    let uses: Vec<_> = verified.keys.iter().map(|k| (k.first, k.last)).collect();
    assert_eq!(uses, [(4, 6), (6, 6), (8, 8)]);
}

#[tokio::test(start_paused = true)]
async fn task_signs_every_interval_and_when_it_is_stopped() {
    let setting = setting_with(0..1).await;
    let key = key(NAME);
    let task = checkpointer(&setting, &[&key]).spawn(MINUTE);
    let size = async || status(&setting).await.size;
    tokio::time::sleep(SECOND).await;
    assert_eq!(size().await, 2);
    report(&setting, 1..2).await;
    tokio::time::sleep(58 * SECOND).await;
    assert_eq!(size().await, 2);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(size().await, 4);
    // A panic of the inbox delays the next checkpoint.
    report(&setting, 2..3).await;
    setting.inbox.set_panics(true);
    tokio::time::sleep(MINUTE).await;
    setting.inbox.set_panics(false);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(size().await, 6);
    report(&setting, 3..4).await;
    task.stop().await;
    assert_eq!(size().await, 8);
    assert_eq!(verify(&setting, &[&key]).await.unwrap().checkpoints, 4);
}

#[tokio::test(start_paused = true)]
async fn task_waits_while_another_process_signs() {
    let setting = setting_with(0..1).await;
    let other = JobLock::new(&setting.deauthorizer, JOB, 300 * SECOND);
    assert!(other.acquire().await.unwrap().is_some());
    let task = checkpointer(&setting, &[&key(NAME)]).spawn(MINUTE);
    tokio::time::sleep(150 * SECOND).await;
    assert_eq!(status(&setting).await.size, 0);
    setting.clock.advance(301 * SECOND);
    tokio::time::sleep(61 * SECOND).await;
    assert_eq!(status(&setting).await.size, 2);
    task.stop().await;
}

/// An archive that waits.
#[derive(Clone, Default)]
struct SlowArchive {
    called: Arc<Notify>,
    finish: Arc<Notify>,
}

#[async_trait]
impl CheckpointArchive for SlowArchive {
    async fn store(&self, _: &SignedCheckpoint) -> Result<(), BoxError> {
        self.called.notify_one();
        self.finish.notified().await;
        Ok(())
    }
}

#[tokio::test]
async fn lock_is_held_while_archive_stores_checkpoint() {
    let setting = setting_with(0..1).await;
    let archive = SlowArchive::default();
    let task = Checkpointer::new(
        setting.deauthorizer.clone(),
        vec![key(NAME)],
        Some(Arc::new(archive.clone())),
    )
    .spawn(MINUTE);
    archive.called.notified().await;
    let other = JobLock::new(&setting.deauthorizer, JOB, MINUTE);
    assert_eq!(other.acquire().await.unwrap(), None);
    archive.finish.notify_one();
    task.stop().await;
}

#[tokio::test]
async fn function_implements_archive() {
    let setting = setting_with(0..1).await;
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let archive = move |checkpoint: SignedCheckpoint| {
        let sender = sender.clone();
        async move { Ok::<(), BoxError>(sender.send(checkpoint)?) }
    };
    let checkpointer = Checkpointer::new(
        setting.deauthorizer.clone(),
        vec![key(NAME)],
        Some(Arc::new(archive)),
    );
    let signed = checkpointer.sign_checkpoint().await.unwrap();
    assert!(signed.checkpoint.is_some());
    assert_eq!(receiver.try_recv().ok(), signed.checkpoint);
}
