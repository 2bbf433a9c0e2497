//! What a sealed store keeps from whom.

use std::sync::Arc;

use super::*;
use crate::store::MemoryStore;
use crate::{AccessToken, Timestamp};

const OLD: &str = "old:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";
const NEW: &str = "new:P_7ioYd1Xv0J3jEZ4tYv-1nB0qk5cJmJdT2xTn3yQ_I";

type Inner = Arc<MemoryStore>;

fn sealed(inner: &Inner, keys: &str) -> EncryptedStore<Inner> {
    EncryptedStore::new(Arc::clone(inner), Keyring::parse(keys).unwrap())
}

fn record(member: &str) -> MemberRecord {
    MemberRecord {
        tokens: Some(Tokens::new(
            format!("plain-access-{member}"),
            format!("plain-refresh-{member}"),
            Timestamp::from_micros(7),
        )),
        ..MemberRecord::tombstone(member.parse().unwrap(), Timestamp::from_micros(1))
    }
}

async fn keep(store: &impl TokenStore, record: &MemberRecord) {
    assert_eq!(store.put(record, None).await.unwrap(), PutOutcome::Stored);
}

async fn access(store: &impl TokenStore, member: &str) -> String {
    let record = store.load(&member.parse().unwrap()).await.unwrap().unwrap();
    record.tokens.unwrap().access_token.expose().to_owned()
}

/// Why the member's record does not open.
async fn refusal(store: &impl TokenStore, member: &str) -> OpenError {
    match store.load(&member.parse().unwrap()).await {
        Err(StoreError::Unreadable(why)) => *why.downcast().unwrap(),
        other => panic!("wanted a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn the_store_inside_sees_no_token() {
    let inner = Inner::default();
    let store = sealed(&inner, NEW);
    keep(&store, &record("01")).await;
    let inside = access(&inner, "01").await;
    assert!(
        inside.starts_with("ohs1.new.") && !inside.contains("plain"),
        "{inside}"
    );
    assert_eq!(access(&store, "01").await, "plain-access-01");
    let page = store.page(None, 10).await.unwrap();
    let refresh = &page[0].tokens.as_ref().unwrap().refresh_token;
    assert_eq!(refresh.expose(), "plain-refresh-01");
    assert_eq!(format!("{store:?}"), "EncryptedStore(Keyring(new))");
}

#[tokio::test]
async fn the_same_token_never_looks_the_same() {
    let inner = Inner::default();
    let store = sealed(&inner, NEW);
    let first = record("01");
    keep(&store, &first).await;
    let before = access(&inner, "01").await;
    let again = MemberRecord {
        version: Version::fresh(),
        ..first.clone()
    };
    assert_eq!(
        store.put(&again, Some(first.version)).await.unwrap(),
        PutOutcome::Stored
    );
    assert_ne!(access(&inner, "01").await, before);
}

#[tokio::test]
async fn a_row_moved_to_another_member_does_not_open() {
    let inner = Inner::default();
    let store = sealed(&inner, NEW);
    keep(&store, &record("01")).await;
    let row = inner.load(&"01".parse().unwrap()).await.unwrap().unwrap();
    keep(
        &inner,
        &MemberRecord {
            member: "1".parse().unwrap(),
            ..row
        },
    )
    .await;
    assert_eq!(
        refusal(&store, "1").await,
        OpenError::Damaged {
            field: "access token"
        }
    );
    let page = store.page(None, 10).await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(page[0].member.as_str(), "01");
}

#[tokio::test]
async fn the_two_tokens_cannot_be_swapped() {
    let inner = Inner::default();
    let store = sealed(&inner, NEW);
    keep(&store, &record("01")).await;
    let mut row = inner.load(&"01".parse().unwrap()).await.unwrap().unwrap();
    let expected = row.version;
    let tokens = row.tokens.as_mut().unwrap();
    let access: AccessToken = tokens.refresh_token.expose().into();
    tokens.access_token = access;
    assert_eq!(
        inner.put(&row, Some(expected)).await.unwrap(),
        PutOutcome::Stored
    );
    assert_eq!(
        refusal(&store, "01").await,
        OpenError::Damaged {
            field: "access token"
        }
    );
}

#[tokio::test]
async fn any_change_is_noticed() {
    let inner = Inner::default();
    let store = sealed(&inner, &format!("{NEW},{OLD}"));
    keep(&store, &record("01")).await;
    let original = inner.load(&"01".parse().unwrap()).await.unwrap().unwrap();
    let text = original
        .tokens
        .as_ref()
        .unwrap()
        .access_token
        .expose()
        .to_owned();
    for n in "ohs1.new.".len()..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[n] = if changed[n] == b'A' { b'B' } else { b'A' };
        let mut row = original.clone();
        row.tokens.as_mut().unwrap().access_token = String::from_utf8(changed).unwrap().into();
        assert_eq!(
            inner.put(&row, Some(row.version)).await.unwrap(),
            PutOutcome::Stored
        );
        assert_eq!(
            refusal(&store, "01").await,
            OpenError::Damaged {
                field: "access token"
            },
            "{n}"
        );
    }
    // The other key's name on it.
    let mut row = original.clone();
    let renamed = text.replace("ohs1.new.", "ohs1.old.");
    row.tokens.as_mut().unwrap().access_token = renamed.into();
    assert_eq!(
        inner.put(&row, Some(row.version)).await.unwrap(),
        PutOutcome::Stored
    );
    assert_eq!(
        refusal(&store, "01").await,
        OpenError::Damaged {
            field: "access token"
        }
    );
}

#[tokio::test]
async fn a_missing_key_is_named() {
    let inner = Inner::default();
    keep(&sealed(&inner, OLD), &record("01")).await;
    let error = refusal(&sealed(&inner, NEW), "01").await;
    assert_eq!(
        error,
        OpenError::UnknownKey {
            field: "access token",
            id: "old".into()
        }
    );
}

#[tokio::test]
async fn what_cannot_be_the_id_of_a_key_is_not_shown() {
    let inner = Inner::default();
    for id in ["\u{1b}[2J", "a key that nobody has, and is long", ""] {
        let mut fake = record("01");
        fake.tokens.as_mut().unwrap().access_token = format!("ohs1.{id}.AAAA").into();
        keep(&inner, &fake).await;
        for store in [sealed(&inner, NEW), sealed(&inner, NEW).allow_plaintext()] {
            let damaged = OpenError::Damaged {
                field: "access token",
            };
            assert_eq!(refusal(&store, "01").await, damaged, "{id:?}");
        }
        let stored = inner.load(&"01".parse().unwrap()).await.unwrap().unwrap();
        let removed = inner.remove(&stored.member, stored.version).await.unwrap();
        assert_eq!(removed, PutOutcome::Stored);
    }
}

#[tokio::test]
async fn plain_text_is_read_only_when_allowed() {
    let inner = Inner::default();
    keep(&inner, &record("01")).await;
    let strict = sealed(&inner, NEW);
    assert_eq!(
        refusal(&strict, "01").await,
        OpenError::Plaintext {
            field: "access token"
        }
    );
    let moving = sealed(&inner, NEW).allow_plaintext();
    assert_eq!(access(&moving, "01").await, "plain-access-01");
    // A sealed one that does not open is not taken for plain text.
    let mut fake = record("02");
    fake.tokens.as_mut().unwrap().access_token = "ohs1.new.AAAA".into();
    keep(&inner, &fake).await;
    assert_eq!(
        refusal(&moving, "02").await,
        OpenError::Damaged {
            field: "access token"
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_while_the_app_runs() {
    let inner = Inner::default();
    let before = sealed(&inner, OLD);
    for n in 0..250 {
        keep(&before, &record(&format!("{n:04}"))).await;
    }
    keep(
        &before,
        &MemberRecord::tombstone("9999".parse().unwrap(), Timestamp::from_micros(1)),
    )
    .await;
    let both = sealed(&inner, &format!("{NEW},{OLD}"));
    // The app reads and writes meanwhile.
    let meanwhile = tokio::spawn(async move {
        for n in (0..250).step_by(10) {
            let member = format!("{n:04}").parse().unwrap();
            loop {
                let record = before.load(&member).await;
                // Once reencrypted, a process without the new key cannot read it any more.
                let Ok(Some(record)) = record else { break };
                let next = MemberRecord {
                    version: Version::fresh(),
                    ..record.clone()
                };
                if before.put(&next, Some(record.version)).await.unwrap() == PutOutcome::Stored {
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(both.reencrypt_all().await.unwrap().seen, 251);
    meanwhile.await.unwrap();
    both.reencrypt_all().await.unwrap();
    let again = both.reencrypt_all().await.unwrap();
    assert_eq!(
        again,
        ReencryptReport {
            seen: 251,
            ..ReencryptReport::default()
        }
    );
    let after = sealed(&inner, NEW);
    for n in 0..250 {
        assert_eq!(
            access(&after, &format!("{n:04}")).await,
            format!("plain-access-{n:04}")
        );
    }
}

#[tokio::test]
async fn a_lost_key_hides_its_own_records_from_a_walk_and_no_others() {
    let inner = Inner::default();
    for lost in ["01", "02", "03", "05"] {
        keep(&sealed(&inner, OLD), &record(lost)).await;
    }
    for kept in ["04", "06"] {
        keep(&sealed(&inner, NEW), &record(kept)).await;
    }
    let store = sealed(&inner, NEW);
    let mut walked: Vec<String> = Vec::new();
    let mut after = None;
    loop {
        let page = store.page(after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.member.clone());
        walked.extend(page.iter().map(|record| record.member.to_string()));
    }
    assert_eq!(walked, ["04", "06"]);
    let lost = store.load(&"01".parse().unwrap()).await;
    assert!(matches!(lost, Err(StoreError::Unreadable(_))));
}

#[tokio::test]
async fn resealing_moves_plain_text_over_and_names_what_it_cannot_read() {
    let inner = Inner::default();
    keep(&inner, &record("01")).await;
    keep(&sealed(&inner, OLD), &record("02")).await;
    let moving = sealed(&inner, NEW).allow_plaintext();
    let done = moving.reencrypt_all().await.unwrap();
    assert_eq!((done.seen, done.reencrypted), (2, 1));
    assert_eq!(done.unreadable, ["02".parse().unwrap()]);
    assert_eq!(access(&sealed(&inner, NEW), "01").await, "plain-access-01");
}
