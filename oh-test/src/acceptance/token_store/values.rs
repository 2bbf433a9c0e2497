//! Unusual ids, usernames and tokens.

use std::sync::Arc;

use super::{Subject, assert_stored, at, create, id, list, load, put, record, remove};
use oh_core::store::{MemberRecord, PutOutcome, TokenStore, Tokens};

/// Ids are text: `1` and `01` are two members, ordered as text.
pub async fn member_ids_keep_leading_zeros(subject: impl Subject) {
    let store = subject.open().await;
    let ids = [
        "0",
        "0000000000000001",
        "00000001",
        "01",
        "1",
        "10",
        "2",
        "9999999999999999",
    ];
    for member in ids.iter().rev() {
        create(&store, &record(member)).await;
    }
    for member in ids {
        assert_stored_tokens(&store, member).await;
    }
    let listed: Vec<String> = list(&store, 3)
        .await
        .iter()
        .map(|r| r.member.to_string())
        .collect();
    assert_eq!(listed, ids, "ids are ordered as text");
    let one = load(&store, &id("1")).await.expect("the record exists");
    assert_eq!(
        remove(&store, &one.member, one.version).await,
        PutOutcome::Stored
    );
    assert_stored_tokens(&store, "01").await;
    assert_stored_tokens(&store, "00000001").await;
}

async fn assert_stored_tokens(store: &Arc<dyn TokenStore>, member: &str) {
    let found = load(store, &id(member)).await.expect("the record exists");
    let access = found.tokens.expect("the record has tokens").access_token;
    assert_eq!(
        access.expose(),
        format!("access-{member}"),
        "the tokens of {member}"
    );
}

/// A username is not trimmed, case-folded, normalized or interpreted.
pub async fn usernames_keep_any_text(subject: impl Subject) {
    let store = subject.open().await;
    let names = [
        "",
        " spaces, before and after ",
        "Ünïcödé",
        "e\u{301} is not \u{e9}",
        "名前",
        "مستخدم",
        "👩🏽‍🔬",
        "line\nbreak\ttab\r",
        "'; DROP TABLE oh_members; --",
        "\"quoted\" \\ {json} %s $1 ?",
        "\u{feff}\u{202e}\u{10ffff}",
        "null",
    ];
    for (n, name) in names.iter().enumerate() {
        let record = MemberRecord {
            username: Some((*name).into()),
            ..record(&format!("{n:08}"))
        };
        create(&store, &record).await;
        assert_stored(&store, &record).await;
    }
    assert_eq!(list(&store, 5).await.len(), names.len());
}

/// Stores 100 KB each of access token, refresh token and username.
pub async fn long_values_are_stored_completely(subject: impl Subject) {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=";
    let store = subject.open().await;
    let long = |seed: usize| -> String {
        (0..100 * 1024)
            .map(|n| char::from(LETTERS[(n * seed) % LETTERS.len()]))
            .collect()
    };
    let huge = MemberRecord {
        username: Some(long(7)),
        tokens: Some(Tokens::new(long(11), long(13), at(1))),
        ..record("40000001")
    };
    create(&store, &huge).await;
    assert_stored(&store, &huge).await;
    let small = MemberRecord {
        username: None,
        ..record("40000001")
    };
    assert_eq!(
        put(&store, &small, Some(huge.version)).await,
        PutOutcome::Stored
    );
    assert_stored(&store, &small).await;
}
