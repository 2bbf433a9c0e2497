//! What the sealing of the ledger rests on: an order that stays, and checkpoints that stay.

use super::*;

/// Whoever reads the ledger while others write, and goes on from the last number seen, sees in the
/// end every line, in the order in which all are listed then.
pub async fn no_line_appears_before_one_that_was_listed(inbox: Arc<dyn DeauthInbox>) {
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
        // Looked at before the last reading, which so sees everything.
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let after = seen.last().map(|line| line.seq);
        let page = LedgerQuery::first(1_000).after(after);
        seen.extend(inbox.ledger(&page).await.expect("the inbox answers"));
        if done {
            break;
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("the writer ends");
    }
    assert_eq!(seen, lines(&inbox).await, "lines were missed, or moved");
    let received = seen.iter().filter(|line| line.step == Step::Received);
    assert_eq!(received.count(), 100);
}

/// A checkpoint stays as it was kept; another of its size is known if its root is the same.
pub async fn checkpoints_are_kept_once_and_listed(inbox: Arc<dyn DeauthInbox>) {
    let long = "t".repeat(4_096);
    let checkpoint = |size: u64, root: &str| {
        let last_seq = i64::try_from(10 * size).expect("a small number");
        StoredCheckpoint::new(
            size,
            last_seq,
            root,
            at(last_seq),
            "a\n\nnote: \u{2014}",
            &*long,
        )
    };
    let keep = async |kept: &StoredCheckpoint| {
        let fate = inbox.store_checkpoint(kept).await;
        fate.expect("the inbox answers")
    };
    let list = async |query: CheckpointQuery| {
        let listed = inbox.checkpoints(&query).await;
        listed.expect("the inbox answers")
    };
    let every = CheckpointQuery::first(10);
    assert!(
        list(every).await.is_empty(),
        "an empty inbox holds a checkpoint"
    );
    let (one, two, three) = (
        checkpoint(3, "r3"),
        checkpoint(7, "r7"),
        checkpoint(10, "r10"),
    );
    assert_eq!(keep(&one).await, CheckpointOutcome::Stored);
    assert_eq!(keep(&three).await, CheckpointOutcome::Stored);
    assert_eq!(keep(&two).await, CheckpointOutcome::Stored);
    assert_eq!(keep(&two).await, CheckpointOutcome::Known);
    let mut same_root = checkpoint(7, "r7");
    same_root.note = "signed again".into();
    assert_eq!(keep(&same_root).await, CheckpointOutcome::Known);
    assert_eq!(
        keep(&checkpoint(7, "other")).await,
        CheckpointOutcome::Forked
    );

    let all = [one, two, three];
    assert_eq!(
        list(every).await,
        all,
        "a checkpoint was changed, or is out of order"
    );
    assert_eq!(list(every.after(3)).await, all[1..]);
    assert_eq!(list(every.after(9)).await, all[2..]);
    assert_eq!(list(CheckpointQuery::first(2)).await, all[..2]);
    assert_eq!(list(CheckpointQuery::last()).await, all[2..]);
    let backwards = list(every.newest_first().after(10)).await;
    assert_eq!(backwards, [all[1].clone(), all[0].clone()]);
}
