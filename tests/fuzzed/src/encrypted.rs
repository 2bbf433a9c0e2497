//! Encrypted tokens in a store that an attacker can write to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oh_core::store::{
    EncryptedStore, Keyring, MemberRecord, MemoryStore, PutOutcome, TokenStore, Tokens,
};
use oh_core::{ProjectMemberId, Timestamp};

use crate::encryption::encrypt;
use crate::input::Input;
use crate::{assert_printable, message, run};

const KEY: &str = "tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";
const ACCESS: &str = "the access token";
const REFRESH: &str = "the refresh token";

/// Any text as an encrypted token, any change of a valid one, any text as the keys: a text that
/// does not decrypt is an error and never a token, and no error shows a key.
pub fn encrypted_record(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => planted(&String::from_utf8_lossy(input.rest())),
        1 => changed(input.rest()),
        2 => valid(input.rest()),
        _ => keys(&String::from_utf8_lossy(input.rest())),
    }
}

/// An attacker has written a text into the store.
fn planted(text: &str) {
    let store = EncryptedStore::new(MemoryStore::new(), keyring());
    put(store.inner(), text, text);
    let error = run(store.load(&alice())).expect_err("only the key encrypts");
    assert_printable(&message(&error), 400);
    let page = run(store.page(None, 10)).expect("other members are not affected");
    assert!(page.is_empty());
    // During a migration, tokens in plain text are accepted.
    let store = EncryptedStore::new(MemoryStore::new(), keyring()).allow_plaintext();
    put(store.inner(), text, text);
    if let Ok(Some(record)) = run(store.load(&alice())) {
        assert_eq!(record.tokens.expect("tokens").access_token.expose(), text);
    }
}

/// An attacker has changed bytes of a valid token.
fn changed(changes: &[u8]) {
    let store = EncryptedStore::new(MemoryStore::new(), keyring());
    put(&store, ACCESS, REFRESH);
    let stored = load(store.inner()).expect("the record was stored");
    let before = stored.tokens.clone().expect("tokens");
    let mut texts = [before.access_token.expose(), before.refresh_token.expose()]
        .map(|text| text.as_bytes().to_vec());
    for change in changes.chunks_exact(3) {
        let text = &mut texts[usize::from(change[0]) % 2];
        let at = usize::from(change[1]) % text.len();
        text[at] ^= change[2] & 0x7f;
    }
    let [access, refresh] = texts.map(|text| String::from_utf8(text).expect("ASCII stays ASCII"));
    let same = access == before.access_token.expose() && refresh == before.refresh_token.expose();
    let mut next = stored.clone();
    next.tokens = Some(Tokens::new(access, refresh, before.expires_at));
    next.version = oh_core::store::Version::fresh();
    let put = run(store.inner().put(&next, Some(stored.version)));
    assert_eq!(put.expect("memory"), PutOutcome::Stored);
    match run(store.load(&alice())) {
        Ok(record) => {
            assert!(same, "a changed token decrypts");
            let tokens = record.and_then(|record| record.tokens).expect("tokens");
            assert_eq!(tokens.access_token.expose(), ACCESS);
            assert_eq!(tokens.refresh_token.expose(), REFRESH);
        }
        Err(error) => {
            assert!(!same, "an unchanged token does not decrypt");
            assert_printable(&message(&error), 400);
        }
    }
}

/// Any content under the valid key is returned unchanged, or is an error if it is not text.
fn valid(content: &[u8]) {
    let key = STANDARD.decode(KEY).expect("base64");
    let key: [u8; 32] = key.try_into().expect("32 bytes");
    let encrypted = |field: &str| {
        let context = format!("ohs1./2026/{field}/{}", alice());
        format!("ohs1.2026.{}", encrypt(&key, &context, content))
    };
    let store = EncryptedStore::new(MemoryStore::new(), keyring());
    put(
        store.inner(),
        &encrypted("access token"),
        &encrypted("refresh token"),
    );
    match (run(store.load(&alice())), std::str::from_utf8(content)) {
        (Ok(record), Ok(text)) => {
            let tokens = record.and_then(|record| record.tokens).expect("tokens");
            assert_eq!(tokens.access_token.expose(), text);
        }
        (Err(error), Err(_)) => assert_printable(&message(&error), 400),
        (record, text) => panic!("{record:?} of {text:?}"),
    }
}

fn keys(text: &str) {
    if let Err(error) = Keyring::parse(text) {
        let text_of_error = message(&error);
        assert_printable(&text_of_error, 400);
        // Words that are long enough to be a key.
        for word in text.split([',', ':', ' ']).filter(|word| word.len() > 20) {
            assert!(!text_of_error.contains(word), "{text_of_error}");
        }
    }
}

fn keyring() -> Keyring {
    Keyring::parse(&format!("2026:{KEY}")).expect("keys")
}

fn alice() -> ProjectMemberId {
    "01026778".parse().expect("an id")
}

fn put(store: &dyn TokenStore, access: &str, refresh: &str) {
    let tokens = Tokens::new(access, refresh, Timestamp::UNIX_EPOCH);
    let record = MemberRecord::authorized(alice(), tokens, Timestamp::UNIX_EPOCH);
    assert_eq!(
        run(store.put(&record, None)).expect("memory"),
        PutOutcome::Stored
    );
}

fn load(store: &dyn TokenStore) -> Option<MemberRecord> {
    run(store.load(&alice())).expect("memory")
}
