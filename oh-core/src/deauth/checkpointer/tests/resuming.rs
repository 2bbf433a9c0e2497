//! Where a signing pass resumes, and which checkpoints it compares the ledger with.

use super::*;
use crate::deauth::test_support::event;
use crate::deauth::{DeauthEvent, EventId};
use crate::ledger::Frontier;

#[tokio::test]
async fn pass_reads_only_new_lines() {
    let (key, archive) = (key(NAME), MemoryArchive::default());
    let setting = setting_with(0..3).await;
    sign(&archiving(&setting, &key, &archive)).await.unwrap();
    report(&setting, 3..4).await;
    sign(&checkpointer(&setting, &[&key])).await.unwrap();
    let _ = setting.inbox.ledger_reads();
    // The archive does not exist, is behind the last checkpoint, and has the last checkpoint.
    for (number, archived) in [(4, None), (5, Some(6)), (6, Some(12))] {
        assert!(archived.is_none() || archive.sizes().last().copied() == archived);
        report(&setting, number..number + 1).await;
        let process = match archived {
            Some(_) => archiving(&setting, &key, &archive),
            None => checkpointer(&setting, &[&key]),
        };
        assert_eq!(sign(&process).await.unwrap(), 2);
        let last_signed = 2 * i64::try_from(number).unwrap() - 1;
        assert_eq!(setting.inbox.ledger_reads(), [Some(last_signed)]);
    }
}

#[tokio::test]
async fn pass_reads_no_line_again_if_archive_is_ahead_of_inbox() {
    let (key, archive) = (key(NAME), MemoryArchive::default());
    let before = setting_with(0..3).await;
    sign(&checkpointer(&before, &[&key])).await.unwrap();
    let first = last_stored(&before).await;
    report(&before, 3..4).await;
    sign(&archiving(&before, &key, &archive)).await.unwrap();
    assert_eq!(archive.sizes(), [8]);
    // The backup has all lines, but only the first checkpoint.
    let restored = setting_with(0..4).await;
    store(&restored, &first).await;
    let signed = sign(&archiving(&restored, &key, &archive)).await;
    assert_eq!(signed.unwrap(), 2);
    assert_eq!(restored.inbox.ledger_reads(), [Some(5)]);
}

#[tokio::test]
async fn empty_checkpoint_in_archive_contradicts_no_ledger() {
    let (key, archive) = (key(NAME), MemoryArchive::default());
    let empty = Checkpoint::of(NAME, &Frontier::new()).sign(std::slice::from_ref(&key));
    archive.store(&empty).await.unwrap();
    let setting = setting_with(0..1).await;
    sign(&checkpointer(&setting, &[&key])).await.unwrap();
    report(&setting, 1..2).await;
    let _ = setting.inbox.ledger_reads();
    let signed = sign(&archiving(&setting, &key, &archive)).await;
    assert_eq!(signed.unwrap(), 2);
    assert_eq!(setting.inbox.ledger_reads(), [Some(1)]);
}

/// A process without the archive has signed lines in the restored ledger.
#[tokio::test]
async fn archive_reveals_restored_ledger_that_was_signed_since() {
    let (key, archive) = (key(NAME), MemoryArchive::default());
    let before = setting_with(0..4).await;
    sign(&archiving(&before, &key, &archive)).await.unwrap();
    // The last ledger has a checkpoint over as many, but other lines.
    for (batches, sign_each, consistent) in [
        ([0..4, 10..12], false, true),
        ([1..5, 10..12], false, false),
        ([1..5, 5..7], true, false),
    ] {
        let after = Setting::new();
        for numbers in batches {
            report(&after, numbers).await;
            if sign_each {
                sign(&checkpointer(&after, &[&key])).await.unwrap();
            }
        }
        sign(&checkpointer(&after, &[&key])).await.unwrap();
        let signed = sign(&archiving(&after, &key, &archive)).await;
        match consistent {
            true => assert!(signed.is_ok()),
            false => assert!(is_forked(&signed, NAME, 8)),
        }
        archive.truncate(1);
    }
}

#[tokio::test]
async fn stored_tree_that_was_changed_is_not_used() {
    let key = key(NAME);
    let setting = setting_with(0..3).await;
    sign(&checkpointer(&setting, &[&key])).await.unwrap();
    let mut stored = last_stored(&setting).await;
    // The last one has the right number of nodes.
    for tree in ["", "AAAA", &STANDARD.encode([0; 64])] {
        stored.tree = tree.to_owned();
        let same_lines = setting_with(0..4).await;
        store(&same_lines, &stored).await;
        let signed = sign(&checkpointer(&same_lines, &[&key])).await;
        assert_eq!(signed.unwrap(), 2);
        let verified = verify(&same_lines, &[&key]).await.unwrap();
        assert_eq!(verified.signed_lines, 8);

        let other_lines = setting_with(1..5).await;
        store(&other_lines, &stored).await;
        let signed = sign(&checkpointer(&other_lines, &[&key])).await;
        assert!(is_forked(&signed, NAME, 6));
    }
}

#[tokio::test]
async fn process_remembers_its_last_checkpoint() {
    // The archive of the second process has a larger checkpoint of another ledger.
    for (name, archive_has_another) in [(NAME, false), (NEW_NAME, true)] {
        let archive = MemoryArchive::default();
        if archive_has_another {
            let before = setting_with(0..5).await;
            sign(&archiving(&before, &key(NAME), &archive))
                .await
                .unwrap();
        }
        let setting = Setting::new();
        let process = archiving(&setting, &key(name), &archive);
        for number in 0..2 {
            report(&setting, number..number + 1).await;
            assert_eq!(sign(&process).await.unwrap(), 2);
        }
        // The backup has the first lines of the ledger, and others since.
        let backup = setting_with(0..1).await;
        report(&backup, 5..7).await;
        setting.inbox.restore(&backup.inbox);
        assert!(is_forked(&sign(&process).await, name, 4));
    }
}

#[tokio::test]
async fn pass_signs_limited_number_of_lines() {
    let setting = Setting::new();
    for number in 0..50_003 {
        // Each adds one line.
        let event = DeauthEvent {
            id: EventId::new(format!("{number:032x}")),
            ..event(7)
        };
        let _ = setting.inbox.accept(&event).await.unwrap();
    }
    let checkpointer = checkpointer(&setting, &[&key(NAME)]);
    for (lines, more) in [(50_000, true), (3, false)] {
        let signed = checkpointer.sign_checkpoint().await.unwrap();
        assert_eq!((signed.lines, signed.more), (lines, more));
    }
}
