//! Tests of reading and validating settings.

use std::collections::HashMap;

use super::*;
#[cfg(feature = "checkpoints")]
use crate::ledger::SigningKey;

const VALID: [(&str, &str); 3] = [
    ("OPENHUMANS_CLIENT_ID", "id"),
    ("OPENHUMANS_CLIENT_SECRET", "secret"),
    ("OPENHUMANS_APP_BASE_URL", "https://app.example/"),
];

/// Reads the three required variables, replaced or completed by `variables`.
fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let map: HashMap<&str, &str> = VALID.iter().chain(variables).copied().collect();
    Settings::from_lookup(|name| map.get(name).map(|&value| value.to_owned()))?.build()
}

#[test]
fn settings_have_defaults_when_only_required_values_are_set() {
    let settings = read(&[]).unwrap();
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
    #[cfg(feature = "checkpoints")]
    assert!(settings.ledger_signing_keys().is_empty());
    assert_eq!(
        settings.session_max_age,
        Some(Duration::from_secs(2_592_000))
    );
}

#[test]
fn settings_error_names_variable_and_hides_value() {
    for (name, value) in [
        ("OPENHUMANS_CLIENT_ID", " "),
        ("OPENHUMANS_CLIENT_SECRET", "pbkdf2_sha256$260000$topsecret"),
        ("OPENHUMANS_APP_BASE_URL", "http://topsecret.example"),
        ("OPENHUMANS_APP_BASE_URL", "http://localhost.evil.example"),
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
        ("OPENHUMANS_SESSION_MAX_AGE", "topsecret"),
        ("OPENHUMANS_COOKIE_KEY", "topsecret"),
        ("OPENHUMANS_LEDGER_SIGNING_KEY", "topsecret"),
        (
            "OPENHUMANS_LEDGER_SIGNING_KEY",
            "PRIVATE+KEY+topsecret+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz",
        ),
        ("OPENHUMANS_MASTER_TOKEN_FILE", "/nonexistent/file"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(name.trim_end_matches("_FILE")), "{text}");
        assert!(!text.contains("topsecret"), "{text}");
    }
}

#[test]
fn settings_error_prints_one_sentence_as_debug() {
    for (name, value) in [
        ("OPENHUMANS_CLIENT_ID", ""),
        ("OPENHUMANS_APP_BASE_URL", "nowhere"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        assert_eq!(format!("{error:?}"), error.to_string());
        assert_eq!(format!("{error:#?}"), error.to_string());
    }
    let error = read(&[("OPENHUMANS_MASTER_TOKEN_FILE", "/nonexistent/file")]).unwrap_err();
    let text = format!("{:?}", Box::<dyn std::error::Error>::from(error));
    let message = "failed to read /nonexistent/file, the file in OPENHUMANS_MASTER_TOKEN_FILE: No";
    assert!(text.starts_with(message), "{text}");
}

#[test]
fn app_base_url_accepts_plain_http_on_loopback() {
    for url in [
        "http://localhost:8000",
        "http://127.0.0.2",
        "http://[::1]:1",
        "http://a.localhost",
    ] {
        assert!(read(&[("OPENHUMANS_APP_BASE_URL", url)]).is_ok(), "{url}");
    }
}

#[test]
fn variable_is_read_from_file_unless_set_twice() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "abcdefghijklmnop\n").unwrap();
    let from_file = (
        "OPENHUMANS_WEBHOOK_SECRET_FILE",
        file.path().to_str().unwrap(),
    );
    let settings = read(&[from_file]).unwrap();
    assert_eq!(settings.webhook_secrets()[0].expose(), "abcdefghijklmnop");
    let both = read(&[from_file, ("OPENHUMANS_WEBHOOK_SECRET", "abcdefghijklmnop")]);
    let name = "OPENHUMANS_WEBHOOK_SECRET";
    assert!(matches!(both, Err(SettingsError::Both { name: both }) if both == name));
}

#[test]
fn webhook_secret_is_a_list_with_escaped_commas() {
    for (text, expected) in [
        (
            "abcdefghijklmnop, ponmlkjihgfedcba",
            &["abcdefghijklmnop", "ponmlkjihgfedcba"][..],
        ),
        (r"abcdefgh\,ijklmnop", &["abcdefgh,ijklmnop"]),
        (
            r"\,abcdefghijklmnop\,, ponmlkjihgfedcba",
            &[",abcdefghijklmnop,", "ponmlkjihgfedcba"],
        ),
        (r"abcdefgh\\ijklmnop", &[r"abcdefgh\\ijklmnop"]),
        (r"abcdefghijklmnop\", &[r"abcdefghijklmnop\"]),
    ] {
        let settings = read(&[("OPENHUMANS_WEBHOOK_SECRET", text)]).unwrap();
        let secrets = settings.webhook_secrets().iter();
        let secrets: Vec<_> = secrets.map(WebhookSecret::expose).collect();
        assert_eq!(secrets, expected, "{text}");
    }
}

#[cfg(not(feature = "checkpoints"))]
#[test]
fn ledger_signing_key_is_rejected_without_feature() {
    let builder = Settings::builder("id", "secret", "https://app.example");
    let error = builder.ledger_signing_key("PRIVATE+KEY+").build();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("OPENHUMANS_LEDGER_SIGNING_KEY"), "{error}");
    assert!(error.contains("feature `checkpoints`"), "{error}");
}

#[cfg(feature = "checkpoints")]
#[test]
fn ledger_signing_key_is_a_list_of_keys_with_one_name() {
    let key = |name: &str| SigningKey::generate(name).unwrap();
    let build = |keys: [&SigningKey; 2]| {
        let texts = keys.map(|key| key.to_secret_text().to_string());
        Settings::builder("id", "secret", "https://app.example")
            .ledger_signing_key(texts.join(", "))
            .build()
    };
    let (old, new) = (key("app.example/erasure"), key("app.example/erasure"));
    let settings = build([&new, &old]).unwrap();
    let keys = settings.ledger_signing_keys().iter();
    let keys: Vec<_> = keys.map(|key| key.verifying_key().clone()).collect();
    let expected = [new.verifying_key().clone(), old.verifying_key().clone()];
    assert_eq!(keys, expected);
    assert!(!format!("{settings:?}").contains("PRIVATE"));
    let error = build([&new, &key("app.example/other")]).unwrap_err();
    assert!(error.to_string().contains("OPENHUMANS_LEDGER_SIGNING_KEY"));
}
