//! Listing records page by page.

use std::collections::BTreeMap;

use super::{Subject, assert_stored, create, id, list, next, page, put, record, remove};
use oh_core::store::PutOutcome;

/// Pages of any size list all records once, in the order of their ids.
pub async fn pages_list_all_records_in_order(subject: impl Subject) {
    let store = subject.open().await;
    // Not in the order of the ids.
    for n in 0..57_u32 {
        create(&store, &record(&format!("{:08}", (n * 23) % 57))).await;
    }
    for limit in [1, 7, 56, 57, 58, 1_000] {
        let listed = list(&store, limit).await;
        let ids: Vec<String> = listed.iter().map(|r| r.member.to_string()).collect();
        let expected: Vec<String> = (0..57).map(|n| format!("{n:08}")).collect();
        assert_eq!(ids, expected, "in pages of {limit}");
    }
    assert!(page(&store, None, 0).await.is_empty(), "a limit of zero");
    let between = page(&store, Some(&id("000000105")), 1).await;
    assert_eq!(
        between[0].member,
        id("00000011"),
        "after an id without a record"
    );
    assert_stored(&store, &between[0]).await;
}

/// While other records are created and removed, each remaining record is listed exactly once.
pub async fn pages_list_each_record_once_during_changes(subject: impl Subject) {
    let store = subject.open().await;
    for n in (0..60).step_by(2) {
        create(&store, &record(&format!("{n:08}"))).await;
    }
    let writer = subject.open().await;
    let changes = async {
        for n in (1..60).step_by(2).rev() {
            let temporary = record(&format!("{n:08}"));
            create(&writer, &temporary).await;
            let changed = next(&temporary);
            assert_eq!(
                put(&writer, &changed, Some(temporary.version)).await,
                PutOutcome::Stored
            );
            if n % 4 == 1 {
                assert_eq!(
                    remove(&writer, &changed.member, changed.version).await,
                    PutOutcome::Stored
                );
            }
        }
    };
    let listing = async {
        let mut listings = Vec::new();
        for _ in 0..4 {
            listings.push(list(&store, 3).await);
        }
        listings
    };
    let ((), listings) = tokio::join!(changes, listing);
    for listed in listings {
        let mut counts = BTreeMap::new();
        for found in &listed {
            *counts.entry(found.member.to_string()).or_insert(0) += 1;
        }
        assert!(
            counts.values().all(|times| *times == 1),
            "listed twice: {counts:?}"
        );
        for n in (0..60).step_by(2) {
            assert!(
                counts.contains_key(&format!("{n:08}")),
                "not listed: {n:08}"
            );
        }
    }
}
