//! What an encrypted store stores and accepts.

use super::*;
use crate::Timestamp;
use crate::store::MemoryStore;

const OLD: &str = "old:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";
const NEW: &str = "new:P_7ioYd1Xv0J3jEZ4tYv-1nB0qk5cJmJdT2xTn3yQ_I";

const DAMAGED: DecryptError = DecryptError::Damaged {
    field: ACCESS_TOKEN,
};

fn encrypted(inner: &MemoryStore, keys: &str) -> EncryptedStore<MemoryStore> {
    EncryptedStore::new(inner.clone(), Keyring::parse(keys).unwrap())
}

fn record(member: &str) -> MemberRecord {
    let tokens = Tokens::new(
        format!("plain-access-{member}"),
        format!("plain-refresh-{member}"),
        Timestamp::from_micros(7),
    );
    MemberRecord::authorized(member.parse().unwrap(), tokens, Timestamp::from_micros(1))
}

async fn put(store: &impl TokenStore, record: &MemberRecord) {
    assert_eq!(store.put(record, None).await.unwrap(), PutOutcome::Stored);
}

async fn load(store: &impl TokenStore, member: &str) -> MemberRecord {
    store.load(&member.parse().unwrap()).await.unwrap().unwrap()
}

async fn access_token(store: &impl TokenStore, member: &str) -> String {
    let tokens = load(store, member).await.tokens.unwrap();
    tokens.access_token.expose().to_owned()
}

async fn decrypt_error(store: &impl TokenStore, member: &str) -> DecryptError {
    match store.load(&member.parse().unwrap()).await {
        Err(StoreError::Unreadable(why)) => *why.downcast().unwrap(),
        other => panic!("expected an unreadable record, got {other:?}"),
    }
}

/// Stores `token` as the member's access token.
async fn replace_access_token(inner: &MemoryStore, member: &str, token: String) {
    let mut row = load(inner, member).await;
    row.tokens.as_mut().unwrap().access_token = token.into();
    let replaced = inner.put(&row, Some(row.version)).await.unwrap();
    assert_eq!(replaced, PutOutcome::Stored);
}

#[tokio::test]
async fn encrypted_store_hides_tokens_from_inner_store() {
    let inner = MemoryStore::new();
    let store = encrypted(&inner, NEW);
    put(&store, &record("01")).await;
    let stored = access_token(&inner, "01").await;
    assert!(stored.starts_with("ohs1.new."), "{stored}");
    assert!(!stored.contains("plain"), "{stored}");
    assert_eq!(access_token(&store, "01").await, "plain-access-01");
    let page = store.page(None, 10).await.unwrap();
    let refresh = &page[0].tokens.as_ref().unwrap().refresh_token;
    assert_eq!(refresh.expose(), "plain-refresh-01");
    assert_eq!(format!("{store:?}"), "EncryptedStore(Keyring(new))");
}

#[tokio::test]
async fn encrypted_store_never_repeats_ciphertext() {
    let inner = MemoryStore::new();
    let store = encrypted(&inner, NEW);
    put(&store, &record("01")).await;
    let before = access_token(&inner, "01").await;
    let same = load(&store, "01").await;
    let replaced = store.put(&same, Some(same.version)).await.unwrap();
    assert_eq!(replaced, PutOutcome::Stored);
    assert_ne!(access_token(&inner, "01").await, before);
}

#[tokio::test]
async fn encrypted_store_rejects_row_of_another_member() {
    let inner = MemoryStore::new();
    let store = encrypted(&inner, NEW);
    put(&store, &record("01")).await;
    let mut row = load(&inner, "01").await;
    row.member = "1".parse().unwrap();
    put(&inner, &row).await;
    assert_eq!(decrypt_error(&store, "1").await, DAMAGED);
    let page = store.page(None, 10).await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(page[0].member.as_str(), "01");
}

#[tokio::test]
async fn encrypted_store_rejects_modified_tokens() {
    let inner = MemoryStore::new();
    let store = encrypted(&inner, &format!("{NEW},{OLD}"));
    put(&store, &record("01")).await;
    let tokens = load(&inner, "01").await.tokens.unwrap();
    let text = tokens.access_token.expose();
    let mut modified = vec![
        // The refresh token in the place of the access token.
        tokens.refresh_token.expose().to_owned(),
        // The id of the other key.
        text.replace("ohs1.new.", "ohs1.old."),
        "ohs1.new.AAAA".to_owned(),
    ];
    for n in "ohs1.new.".len()..text.len() {
        let mut changed = text.to_owned().into_bytes();
        changed[n] = if changed[n] == b'A' { b'B' } else { b'A' };
        modified.push(String::from_utf8(changed).unwrap());
    }
    for token in modified {
        replace_access_token(&inner, "01", token.clone()).await;
        assert_eq!(decrypt_error(&store, "01").await, DAMAGED, "{token}");
        // Not even while plain text is accepted.
        let migrating = store.clone().allow_plaintext();
        assert_eq!(decrypt_error(&migrating, "01").await, DAMAGED, "{token}");
    }
}

#[tokio::test]
async fn encrypted_store_hides_malformed_key_ids() {
    let inner = MemoryStore::new();
    let store = encrypted(&inner, NEW);
    put(&store, &record("01")).await;
    for id in ["\u{1b}[2J", "a key id that nobody has, and too long", ""] {
        replace_access_token(&inner, "01", format!("ohs1.{id}.AAAA")).await;
        for store in [store.clone(), store.clone().allow_plaintext()] {
            assert_eq!(decrypt_error(&store, "01").await, DAMAGED, "{id:?}");
        }
    }
}

#[tokio::test]
async fn encrypted_store_accepts_plain_text_only_when_allowed() {
    let inner = MemoryStore::new();
    put(&inner, &record("01")).await;
    let strict = encrypted(&inner, NEW);
    let plaintext = DecryptError::Plaintext {
        field: ACCESS_TOKEN,
    };
    assert_eq!(decrypt_error(&strict, "01").await, plaintext);
    assert!(matches!(
        strict.check().await,
        Err(StoreError::Unreadable(_))
    ));
    let migrating = strict.allow_plaintext();
    assert_eq!(access_token(&migrating, "01").await, "plain-access-01");
}

#[tokio::test]
async fn encrypted_store_names_missing_key_and_changes_nothing() {
    let inner = MemoryStore::new();
    put(&encrypted(&inner, OLD), &record("01")).await;
    let stored = access_token(&inner, "01").await;
    let store = encrypted(&inner, NEW);
    let unknown_key = DecryptError::UnknownKey {
        field: ACCESS_TOKEN,
        id: "old".into(),
    };
    assert_eq!(decrypt_error(&store, "01").await, unknown_key);
    let checked = store.check().await.unwrap_err();
    let StoreError::Unreadable(source) = checked else {
        panic!("expected an unreadable record, got {checked:?}");
    };
    assert!(source.to_string().contains("the key old"), "{source}");
    assert_eq!(access_token(&inner, "01").await, stored);
    encrypted(&inner, &format!("{NEW},{OLD}"))
        .check()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_store_rotates_keys_while_records_change() {
    const MEMBERS: u32 = 250;
    let inner = MemoryStore::new();
    let before = encrypted(&inner, OLD);
    for n in 0..MEMBERS {
        put(&before, &record(&format!("{n:04}"))).await;
    }
    let tombstone = MemberRecord::tombstone("9999".parse().unwrap(), Timestamp::from_micros(1));
    put(&before, &tombstone).await;
    let both = encrypted(&inner, &format!("{NEW},{OLD}"));
    let writer = tokio::spawn(async move {
        for n in (0..MEMBERS).step_by(10) {
            let member = format!("{n:04}").parse().unwrap();
            loop {
                // A process without the new key cannot read reencrypted records.
                let Ok(Some(record)) = before.load(&member).await else {
                    break;
                };
                let mut next = record.clone();
                next.version = Version::fresh();
                let put = before.put(&next, Some(record.version)).await.unwrap();
                if put == PutOutcome::Stored {
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
    });
    let records = u64::from(MEMBERS) + 1;
    assert_eq!(both.reencrypt_all().await.unwrap().records, records);
    writer.await.unwrap();
    both.reencrypt_all().await.unwrap();
    let unchanged = ReencryptReport {
        records,
        ..ReencryptReport::default()
    };
    assert_eq!(both.reencrypt_all().await.unwrap(), unchanged);
    let after = encrypted(&inner, NEW);
    for n in 0..MEMBERS {
        let token = access_token(&after, &format!("{n:04}")).await;
        assert_eq!(token, format!("plain-access-{n:04}"));
    }
}

#[tokio::test]
async fn page_skips_only_records_without_key() {
    let inner = MemoryStore::new();
    for member in ["01", "02", "03", "05"] {
        put(&encrypted(&inner, OLD), &record(member)).await;
    }
    for member in ["04", "06"] {
        put(&encrypted(&inner, NEW), &record(member)).await;
    }
    let store = encrypted(&inner, NEW);
    let mut members: Vec<String> = Vec::new();
    let mut after = None;
    loop {
        let page = store.page(after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.member.clone());
        members.extend(page.iter().map(|record| record.member.to_string()));
    }
    assert_eq!(members, ["04", "06"]);
}

#[tokio::test]
async fn reencrypt_all_encrypts_plain_text_and_reports_unreadable_records() {
    let inner = MemoryStore::new();
    put(&inner, &record("01")).await;
    put(&encrypted(&inner, OLD), &record("02")).await;
    let migrating = encrypted(&inner, NEW).allow_plaintext();
    let report = migrating.reencrypt_all().await.unwrap();
    assert_eq!((report.records, report.reencrypted), (2, 1));
    assert_eq!(report.unreadable, ["02".parse().unwrap()]);
    let strict = encrypted(&inner, NEW);
    assert_eq!(access_token(&strict, "01").await, "plain-access-01");
}
