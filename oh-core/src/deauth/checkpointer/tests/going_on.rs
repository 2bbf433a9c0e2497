//! From where sealing goes on, and what it holds the ledger against.

use super::*;
use crate::deauth::test_support::member;
use crate::deauth::{DeauthEvent, DeauthInbox, Discovery, ErasureRequest, EventId, Pseudonym};
use crate::ledger::Frontier;

fn is_forked(sealed: Result<Sealed, SigningError>, name: &str, lines: u64) -> bool {
    matches!(sealed, Err(SigningError::Forked { origin, size }) if origin == name && size == lines)
}

#[tokio::test]
async fn a_new_process_reads_only_what_was_not_sealed_yet() {
    let (setting, key, shelf) = (Setting::new(), key(NAME), Shelf::default());
    let start = || Checkpointer::new(setting.deauthorizer.clone(), key.clone());
    reports(&setting, 0..3).await;
    let _ = start()
        .archive(shelf.clone())
        .sign_checkpoint()
        .await
        .unwrap();
    reports(&setting, 3..4).await;
    let _ = start().sign_checkpoint().await.unwrap();
    let _ = setting.inbox.readings();
    // Told of nothing; of a checkpoint before the last; of the last.
    for (number, archived) in [(4, None), (5, Some(6)), (6, Some(12))] {
        assert!(archived.is_none() || shelf.sizes().last().copied() == archived);
        reports(&setting, number..number + 1).await;
        let process = match archived {
            Some(_) => start().archive(shelf.clone()),
            None => start(),
        };
        assert_eq!(process.sign_checkpoint().await.unwrap().lines, 2);
        let last_sealed = 2 * i64::try_from(number).unwrap() - 1;
        assert_eq!(setting.inbox.readings(), [Some(last_sealed)]);
    }
}

#[tokio::test]
async fn an_archive_that_is_ahead_of_the_last_checkpoint_has_no_line_read_again() {
    let (before, key, shelf) = (Setting::new(), key(NAME), Shelf::default());
    let start = |setting: &Setting| Checkpointer::new(setting.deauthorizer.clone(), key.clone());
    reports(&before, 0..3).await;
    let _ = start(&before).sign_checkpoint().await.unwrap();
    let kept = last_kept(&before).await;
    reports(&before, 3..4).await;
    let _ = start(&before)
        .archive(shelf.clone())
        .sign_checkpoint()
        .await
        .unwrap();
    assert_eq!(shelf.sizes(), [8]);
    // Of these checkpoints a backup has the first only.
    let restored = Setting::new();
    reports(&restored, 0..4).await;
    keep(&restored, &kept).await;
    let sealed = start(&restored)
        .archive(shelf)
        .sign_checkpoint()
        .await
        .unwrap();
    assert_eq!(sealed.lines, 2);
    assert_eq!(restored.inbox.readings(), [Some(5)]);
}

#[tokio::test]
async fn an_archive_that_knows_the_empty_ledger_agrees_with_every_other() {
    let (setting, key, shelf) = (Setting::new(), key(NAME), Shelf::default());
    let empty = Checkpoint::of(NAME, &Frontier::new()).sign(std::slice::from_ref(&key));
    shelf.keep(&empty).await.unwrap();
    let start = || Checkpointer::new(setting.deauthorizer.clone(), key.clone());
    reports(&setting, 0..1).await;
    let _ = start().sign_checkpoint().await.unwrap();
    reports(&setting, 1..2).await;
    let _ = setting.inbox.readings();
    assert_eq!(
        start()
            .archive(shelf)
            .sign_checkpoint()
            .await
            .unwrap()
            .lines,
        2
    );
    assert_eq!(setting.inbox.readings(), [Some(1)]);
}

#[tokio::test]
async fn a_checkpoint_over_as_many_other_lines_is_not_the_one_that_was_given_away() {
    let (key, shelf) = (key(NAME), Shelf::default());
    let start = |setting: &Setting| Checkpointer::new(setting.deauthorizer.clone(), key.clone());
    let before = Setting::new();
    reports(&before, 0..2).await;
    let _ = start(&before)
        .archive(shelf.clone())
        .sign_checkpoint()
        .await
        .unwrap();
    let after = Setting::new();
    for numbers in [1..3, 3..5] {
        reports(&after, numbers).await;
        let _ = start(&after).sign_checkpoint().await.unwrap();
    }
    let sealed = start(&after).archive(shelf).sign_checkpoint().await;
    assert!(is_forked(sealed, NAME, 4));
}

#[tokio::test]
async fn a_process_remembers_what_it_sealed_last() {
    let setting = Setting::new();
    let process = Checkpointer::new(setting.deauthorizer.clone(), key(NAME));
    for number in 0..2 {
        reports(&setting, number..number + 1).await;
        let _ = process.sign_checkpoint().await.unwrap();
    }
    // Has the lines that were sealed first, and others since.
    let backup = Setting::new();
    reports(&backup, 0..1).await;
    reports(&backup, 5..7).await;
    setting.inbox.restore(&backup.inbox);
    assert!(is_forked(process.sign_checkpoint().await, NAME, 4));
}

#[tokio::test]
async fn a_process_remembers_what_it_sealed_though_the_archive_has_more_of_another_name() {
    const NEW: &str = "app.example/erasure-2";
    let (before, shelf) = (Setting::new(), Shelf::default());
    reports(&before, 0..5).await;
    let first = Checkpointer::new(before.deauthorizer.clone(), key(NAME));
    let _ = first
        .archive(shelf.clone())
        .sign_checkpoint()
        .await
        .unwrap();
    assert_eq!(shelf.sizes(), [10]);

    let setting = Setting::new();
    reports(&setting, 0..1).await;
    let process = Checkpointer::new(setting.deauthorizer.clone(), key(NEW)).archive(shelf);
    assert_eq!(process.sign_checkpoint().await.unwrap().lines, 2);
    let backup = Setting::new();
    reports(&backup, 5..7).await;
    setting.inbox.restore(&backup.inbox);
    assert!(is_forked(process.sign_checkpoint().await, NEW, 2));
}

#[tokio::test]
async fn a_round_adds_fifty_thousand_lines_and_the_next_goes_on() {
    let setting = Setting::new();
    for number in 0..50_003 {
        // Each leaves one line.
        let event = DeauthEvent {
            id: EventId::new(format!("{number:032x}")),
            member: member(7),
            pseudonym: Pseudonym::new("7".repeat(32)),
            erasure: ErasureRequest::Requested,
            discovery: Discovery::Webhook,
            left_at: at(50),
            received_at: at(50),
        };
        let _ = setting.inbox.accept(&event).await.unwrap();
    }
    let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key(NAME));
    let sealed = checkpointer.sign_checkpoint().await.unwrap();
    assert_eq!((sealed.lines, sealed.more), (50_000, true));
    let sealed = checkpointer.sign_checkpoint().await.unwrap();
    assert_eq!((sealed.lines, sealed.more), (3, false));
}

#[tokio::test]
async fn a_function_is_an_archive_that_cannot_say_what_it_was_given() {
    let setting = Setting::new();
    reports(&setting, 0..1).await;
    let (post, mut posted) = tokio::sync::mpsc::unbounded_channel();
    let archive = move |checkpoint: SignedCheckpoint| {
        let post = post.clone();
        async move { Ok::<(), BoxError>(post.send(checkpoint)?) }
    };
    let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key(NAME)).archive(archive);
    let sealed = checkpointer.sign_checkpoint().await.unwrap();
    assert!(sealed.checkpoint.is_some());
    assert_eq!(posted.try_recv().ok(), sealed.checkpoint);
}

#[tokio::test]
async fn a_shared_archive_is_given_checkpoints_and_asked_for_the_last() {
    let (key, shelf) = (key(NAME), Shelf::default());
    let seal = async |numbers: std::ops::Range<usize>| {
        let setting = Setting::new();
        reports(&setting, numbers).await;
        let shared: Arc<dyn CheckpointArchive> = Arc::new(shelf.clone());
        let checkpointer = Checkpointer::new(setting.deauthorizer.clone(), key.clone());
        checkpointer.archive(shared).sign_checkpoint().await
    };
    assert_eq!(seal(0..2).await.unwrap().lines, 4);
    assert_eq!(shelf.sizes(), [4]);
    assert!(is_forked(seal(0..1).await, NAME, 4));
}
