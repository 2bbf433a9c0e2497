//! Reading through all records in pages.

use std::collections::BTreeMap;

use super::{Subject, assert_stored, id, make, next, page, put, record, remove, walk};
use crate::store::PutOutcome;

/// Pages of any size hold all records once, in the order of their ids.
pub async fn pages_hold_all_in_order(subject: impl Subject) {
    let store = subject.open().await;
    // Written in an order that is not the ids'.
    for n in 0..57_u32 {
        make(&store, &record(&format!("{:08}", (n * 23) % 57))).await;
    }
    for limit in [1, 7, 56, 57, 58, 1_000] {
        let walked = walk(&store, limit).await;
        let ids: Vec<String> = walked.iter().map(|r| r.member.to_string()).collect();
        let wanted: Vec<String> = (0..57).map(|n| format!("{n:08}")).collect();
        assert_eq!(ids, wanted, "in pages of {limit}");
    }
    assert!(page(&store, None, 0).await.is_empty(), "a page of none");
    let between = page(&store, Some(&id("000000105")), 1).await;
    assert_eq!(
        between[0].member,
        id("00000011"),
        "after an id that is not there"
    );
    assert_stored(&store, &between[0]).await;
}

/// While others come and go, a walk meets each record that stays exactly once.
pub async fn a_walk_meets_each_record_once(subject: impl Subject) {
    let store = subject.open().await;
    for n in (0..60).step_by(2) {
        make(&store, &record(&format!("{n:08}"))).await;
    }
    let busy = subject.open().await;
    let coming_and_going = async {
        for n in (1..60).step_by(2).rev() {
            let visitor = record(&format!("{n:08}"));
            make(&busy, &visitor).await;
            let changed = next(&visitor);
            assert_eq!(
                put(&busy, &changed, Some(visitor.version)).await,
                PutOutcome::Stored
            );
            if n % 4 == 1 {
                assert_eq!(
                    remove(&busy, &changed.member, changed.version).await,
                    PutOutcome::Stored
                );
            }
        }
    };
    let walking = async {
        let mut walks = Vec::new();
        for _ in 0..4 {
            walks.push(walk(&store, 3).await);
        }
        walks
    };
    let ((), walks) = tokio::join!(coming_and_going, walking);
    for walked in walks {
        let mut met = BTreeMap::new();
        for found in &walked {
            *met.entry(found.member.to_string()).or_insert(0) += 1;
        }
        assert!(met.values().all(|times| *times == 1), "met twice: {met:?}");
        for n in (0..60).step_by(2) {
            assert!(met.contains_key(&format!("{n:08}")), "never met: {n:08}");
        }
    }
}
