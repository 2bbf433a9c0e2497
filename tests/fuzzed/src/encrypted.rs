//! Tokens as a store holds them, where someone else can write into the store.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oh_core::store::{
    EncryptedStore, Keyring, MemberRecord, MemoryStore, PutOutcome, TokenStore, Tokens,
};
use oh_core::{ProjectMemberId, Timestamp};

use crate::input::Input;
use crate::seal::seal;
use crate::{assert_fit_to_show, run, told};

const KEY: &str = "tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";
const ACCESS: &str = "the access token";
const REFRESH: &str = "the refresh token";

/// Any text as a sealed token, any change of a right one, any text as the keys: what does not open
/// is an error, nothing else is taken for a token, and no error shows a key.
pub fn sealed_record(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => planted(&String::from_utf8_lossy(input.rest())),
        1 => changed(input.rest()),
        2 => sealed(input.rest()),
        _ => keys(&String::from_utf8_lossy(input.rest())),
    }
}

/// A text that someone has put into the store.
fn planted(text: &str) {
    let store = EncryptedStore::new(MemoryStore::new(), keyring());
    put(store.inner(), text, text);
    let error = run(store.load(&alice())).expect_err("nobody else can seal");
    assert_fit_to_show(&told(&error), 400);
    let page = run(store.page(None, 10)).expect("others are not kept out");
    assert!(page.is_empty());
    // While moving over, what is not sealed is read as it is.
    let store = EncryptedStore::new(MemoryStore::new(), keyring()).allow_plaintext();
    put(store.inner(), text, text);
    if let Ok(Some(record)) = run(store.load(&alice())) {
        assert_eq!(record.tokens.expect("tokens").access_token.expose(), text);
    }
}

/// A right one, with some of its bytes changed.
fn changed(changes: &[u8]) {
    let store = EncryptedStore::new(MemoryStore::new(), keyring());
    put(&store, ACCESS, REFRESH);
    let kept = load(store.inner()).expect("it was put");
    let before = kept.tokens.clone().expect("tokens");
    let mut texts = [before.access_token.expose(), before.refresh_token.expose()]
        .map(|text| text.as_bytes().to_vec());
    for change in changes.chunks_exact(3) {
        let text = &mut texts[usize::from(change[0]) % 2];
        let at = usize::from(change[1]) % text.len();
        text[at] ^= change[2] & 0x7f;
    }
    let [access, refresh] = texts.map(|text| String::from_utf8(text).expect("ASCII stays ASCII"));
    let same = access == before.access_token.expose() && refresh == before.refresh_token.expose();
    let mut next = kept.clone();
    next.tokens = Some(Tokens::new(access, refresh, before.expires_at));
    next.version = oh_core::store::Version::fresh();
    let put = run(store.inner().put(&next, Some(kept.version)));
    assert_eq!(put.expect("memory"), PutOutcome::Stored);
    match run(store.load(&alice())) {
        Ok(record) => {
            assert!(same, "a changed token opens");
            let tokens = record.and_then(|record| record.tokens).expect("tokens");
            assert_eq!(tokens.access_token.expose(), ACCESS);
            assert_eq!(tokens.refresh_token.expose(), REFRESH);
        }
        Err(error) => {
            assert!(!same, "a token that nobody changed does not open");
            assert_fit_to_show(&told(&error), 400);
        }
    }
}

/// Something else under the right key: whatever it is, it comes back letter for letter or not.
fn sealed(content: &[u8]) {
    let key = STANDARD.decode(KEY).expect("base64");
    let key: [u8; 32] = key.try_into().expect("32 bytes");
    let seal = |field: &str| {
        let place = format!("ohs1./2026/{field}/{}", alice());
        format!("ohs1.2026.{}", seal(&key, &place, content))
    };
    let store = EncryptedStore::new(MemoryStore::new(), keyring());
    put(store.inner(), &seal("access token"), &seal("refresh token"));
    match (run(store.load(&alice())), std::str::from_utf8(content)) {
        (Ok(record), Ok(text)) => {
            let tokens = record.and_then(|record| record.tokens).expect("tokens");
            assert_eq!(tokens.access_token.expose(), text);
        }
        (Err(error), Err(_)) => assert_fit_to_show(&told(&error), 400),
        (record, text) => panic!("{record:?} of {text:?}"),
    }
}

fn keys(text: &str) {
    if let Err(error) = Keyring::parse(text) {
        let shown = told(&error);
        assert_fit_to_show(&shown, 400);
        // Whatever is long enough to be a key.
        for word in text.split([',', ':', ' ']).filter(|word| word.len() > 20) {
            assert!(!shown.contains(word), "{shown}");
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
