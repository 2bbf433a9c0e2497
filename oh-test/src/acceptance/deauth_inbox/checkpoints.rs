//! The stable order of the ledger, and checkpoints.

use super::*;

/// A reader that continues after the last line it saw, while others write, sees every line in the final
/// order.
pub(super) async fn ledger_lines_never_appear_before_listed_ones(inbox: Inbox) {
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let inbox = inbox.clone();
            tokio::spawn(async move {
                for number in 0..25 {
                    let number = 25 * writer + number;
                    accept(&inbox, &event(number, number, number)).await;
                }
            })
        })
        .collect();
    let mut seen: Vec<LedgerLine> = Vec::new();
    loop {
        // Checked before the last read, which then sees all lines.
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let after = seen.last().map(|line| line.seq);
        let page = LedgerQuery::first(1_000).after(after);
        seen.extend(inbox.ledger(&page).await.expect("the inbox responds"));
        if done {
            break;
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("the writer finishes");
    }
    assert_eq!(seen, lines(&inbox).await, "a line was missed or moved");
    let received = seen.iter().filter(|line| line.step == Step::Received);
    assert_eq!(received.count(), 100);
}

/// The first checkpoint of a size is stored and never changes. Another one is known if it has the same
/// root, and a fork otherwise.
pub(super) async fn store_checkpoint_stores_each_size_once(inbox: Inbox) {
    let store = async |checkpoint: &StoredCheckpoint| {
        let outcome = inbox.store_checkpoint(checkpoint).await;
        outcome.expect("the inbox responds")
    };
    let list = async |query: CheckpointQuery| {
        let listed = inbox.checkpoints(&query).await;
        listed.expect("the inbox responds")
    };
    let every = CheckpointQuery::first(10);
    assert!(
        list(every).await.is_empty(),
        "an empty inbox has no checkpoint"
    );
    let (one, two, three) = (
        checkpoint(3, "r3"),
        checkpoint(7, "r7"),
        checkpoint(10, "r10"),
    );
    assert_eq!(store(&one).await, CheckpointOutcome::Stored);
    assert_eq!(store(&three).await, CheckpointOutcome::Stored);
    assert_eq!(store(&two).await, CheckpointOutcome::Stored);
    assert_eq!(store(&two).await, CheckpointOutcome::Known);
    let mut same_root = checkpoint(7, "r7");
    same_root.note = "signed again".into();
    assert_eq!(store(&same_root).await, CheckpointOutcome::Known);
    assert_eq!(
        store(&checkpoint(7, "other")).await,
        CheckpointOutcome::Forked
    );

    let all = [one, two, three];
    assert_eq!(
        list(every).await,
        all,
        "a checkpoint was changed or is out of order"
    );
    assert_eq!(list(every.after(3)).await, all[1..]);
    assert_eq!(list(every.after(9)).await, all[2..]);
    assert_eq!(list(CheckpointQuery::first(2)).await, all[..2]);
    assert_eq!(list(CheckpointQuery::last()).await, all[2..]);
    let backwards = list(every.newest_first().after(10)).await;
    assert_eq!(backwards, [all[1].clone(), all[0].clone()]);
}
