//! How settings are read, and what is refused.

use std::collections::HashMap;

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let map: HashMap<String, String> = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Settings::from_lookup(|name| map.get(name).cloned())?.build()
}

const GOOD: [(&str, &str); 3] = [
    ("OPENHUMANS_CLIENT_ID", "id"),
    ("OPENHUMANS_CLIENT_SECRET", "secret"),
    ("OPENHUMANS_APP_BASE_URL", "https://app.example/"),
];

fn with(extra: &[(&'static str, &'static str)]) -> Result<Settings, SettingsError> {
    let mut pairs = GOOD.to_vec();
    pairs.retain(|(name, _)| !extra.iter().any(|(other, _)| other == name));
    pairs.extend_from_slice(extra);
    read(&pairs)
}

#[test]
fn three_values_are_enough() {
    let settings = with(&[]).unwrap();
    assert_eq!(
        settings.redirect_uri().as_str(),
        "https://app.example/openhumans/complete"
    );
    assert_eq!(
        settings.oh_base_url().as_str(),
        "https://www.openhumans.org/"
    );
    assert!(settings.deauth_on_delete);
    assert_eq!(settings.deletion(), DeletionPolicy::default());
}

#[test]
fn an_error_names_the_setting_and_never_its_value() {
    for (name, bad) in [
        ("OPENHUMANS_CLIENT_ID", " "),
        ("OPENHUMANS_CLIENT_SECRET", "pbkdf2_sha256$260000$topsecret"),
        ("OPENHUMANS_APP_BASE_URL", "http://topsecret.example"),
        (
            "OPENHUMANS_APP_BASE_URL",
            "https://user:topsecret@app.example",
        ),
        ("OPENHUMANS_APP_BASE_URL", "topsecret"),
        ("OPENHUMANS_OH_BASE_URL", "ftp://topsecret.example"),
        ("OPENHUMANS_WEBHOOK_SECRET", "topsecret"),
        ("OPENHUMANS_WEBHOOK_SECRET", "abcdefghijklmnop,,"),
        ("OPENHUMANS_LOGIN_REDIRECT_URL", "javascript:topsecret()"),
        ("OPENHUMANS_DELETE_ON_DEAUTH", "topsecret"),
        ("OPENHUMANS_COOKIE_KEY", "topsecret"),
        ("OPENHUMANS_LEDGER_SIGNING_KEY", "topsecret"),
        (
            "OPENHUMANS_LEDGER_SIGNING_KEY",
            "PRIVATE+KEY+topsecret+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
        ),
        ("OPENHUMANS_MASTER_TOKEN_FILE", "/nonexistent/file"),
    ] {
        let error = with(&[(name, bad)]).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(name.trim_end_matches("_FILE")), "{text}");
        assert!(!text.contains("topsecret"), "{text}");
    }
}

#[test]
fn a_main_that_returns_an_error_says_a_sentence() {
    for (name, bad) in [
        ("OPENHUMANS_CLIENT_ID", ""),
        ("OPENHUMANS_APP_BASE_URL", "nowhere"),
    ] {
        let error = with(&[(name, bad)]).unwrap_err();
        assert_eq!(format!("{error:?}"), error.to_string());
        assert_eq!(format!("{error:#?}"), error.to_string());
    }
    let missing = with(&[("OPENHUMANS_MASTER_TOKEN_FILE", "/nonexistent/file")]).unwrap_err();
    let said = format!("{:?}", Box::<dyn std::error::Error>::from(missing));
    assert!(
        said.starts_with("OPENHUMANS_MASTER_TOKEN_FILE names /nonexistent/file, which cannot be"),
        "{said}"
    );
    assert!(said.contains("read: No such file"), "{said}");
}

#[test]
fn plain_http_is_for_loopback() {
    for url in [
        "http://localhost:8000",
        "http://127.0.0.2",
        "http://[::1]:1",
        "http://a.localhost",
    ] {
        assert!(
            with(&[(
                "OPENHUMANS_APP_BASE_URL",
                Box::leak(url.to_owned().into_boxed_str())
            )])
            .is_ok()
        );
    }
    assert!(with(&[("OPENHUMANS_APP_BASE_URL", "http://localhost.evil.example")]).is_err());
}

#[test]
fn secrets_may_come_from_a_file_but_not_from_two_places() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "abcdefghijklmnop\n").unwrap();
    let path: &'static str = Box::leak(file.path().to_str().unwrap().to_owned().into_boxed_str());
    let settings = with(&[("OPENHUMANS_WEBHOOK_SECRET_FILE", path)]).unwrap();
    assert_eq!(settings.webhook_secrets()[0].expose(), "abcdefghijklmnop");
    let both = with(&[
        ("OPENHUMANS_WEBHOOK_SECRET_FILE", path),
        ("OPENHUMANS_WEBHOOK_SECRET", "abcdefghijklmnop"),
    ]);
    assert!(matches!(
        both,
        Err(SettingsError::Both {
            name: "OPENHUMANS_WEBHOOK_SECRET"
        })
    ));
}

#[test]
fn several_webhook_secrets_while_rotating() {
    let settings = with(&[(
        "OPENHUMANS_WEBHOOK_SECRET",
        "abcdefghijklmnop, ponmlkjihgfedcba",
    )])
    .unwrap();
    assert_eq!(settings.webhook_secrets().len(), 2);
}

#[test]
fn a_webhook_secret_may_hold_a_comma() {
    for (text, secrets) in [
        (r"abcdefgh\,ijklmnop", &["abcdefgh,ijklmnop"][..]),
        (
            r"\,abcdefghijklmnop\,, ponmlkjihgfedcba",
            &[",abcdefghijklmnop,", "ponmlkjihgfedcba"],
        ),
        (r"abcdefgh\\ijklmnop", &[r"abcdefgh\\ijklmnop"]),
        (r"abcdefghijklmnop\", &[r"abcdefghijklmnop\"]),
    ] {
        let settings = with(&[("OPENHUMANS_WEBHOOK_SECRET", text)]).unwrap();
        let found = settings.webhook_secrets().iter();
        let found: Vec<_> = found.map(WebhookSecret::expose).collect();
        assert_eq!(found, secrets, "{text}");
    }
}

#[test]
fn signing_keys_of_one_ledger_can_follow_one_another() {
    use crate::ledger::SigningKey;
    let key = |name: &str| SigningKey::generate(name).unwrap();
    let list = |keys: [&SigningKey; 2]| {
        let texts = keys.map(|key| key.to_secret_text().to_string());
        Settings::builder("id", "secret", "https://app.example")
            .ledger_signing_key(texts.join(", "))
            .build()
    };
    let (old, new) = (key("app.example/erasure"), key("app.example/erasure"));
    let settings = list([&new, &old]).unwrap();
    let ids: Vec<_> = settings
        .ledger_signing_keys()
        .iter()
        .map(|key| key.verifying_key().clone())
        .collect();
    assert_eq!(
        ids,
        [new.verifying_key().clone(), old.verifying_key().clone()]
    );
    assert!(with(&[]).unwrap().ledger_signing_keys().is_empty());
    let printed = format!("{settings:?}");
    assert!(!printed.contains("PRIVATE"));
    let refused = list([&new, &key("app.example/other")]).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("OPENHUMANS_LEDGER_SIGNING_KEY")
    );
}
