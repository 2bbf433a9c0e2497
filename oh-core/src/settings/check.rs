//! Validation of single settings.

use oh_api::check_base_url;
use url::Url;

use super::SettingsError;
use crate::ClientSecret;
#[cfg(feature = "checkpoints")]
use crate::ledger::{KeyError, SigningKey};
use crate::return_path::ReturnPath;

pub(super) const EXPECTED_CLIENT_ID: &str =
    "the OAuth2 client id from the project's page at Open Humans";
pub(super) const EXPECTED_CLIENT_SECRET: &str =
    "the OAuth2 client secret that Open Humans showed when the project was created";
pub(super) const EXPECTED_APP_BASE_URL: &str =
    "the application's public URL, such as https://app.example";
const EXPECTED_KEY: &str = "at least 32 random characters";

/// Parses signing keys separated by commas. All must have the same name.
#[cfg(feature = "checkpoints")]
pub(super) fn signing_keys(text: &str) -> Result<Vec<SigningKey>, SettingsError> {
    let invalid = |reason: String| {
        SettingsError::invalid(
            "OPENHUMANS_LEDGER_SIGNING_KEY",
            reason,
            "the output of `oh ledger keygen`, which starts with PRIVATE+KEY+",
        )
    };
    let keys: Vec<SigningKey> = text
        .split(',')
        .map(|key| {
            key.parse()
                .map_err(|error: KeyError| invalid(error.to_string()))
        })
        .collect::<Result<_, _>>()?;
    if keys.iter().any(|key| key.name() != keys[0].name()) {
        return Err(invalid("the keys have different names".into()));
    }
    Ok(keys)
}

pub(super) fn client_secret(secret: &ClientSecret) -> Result<(), SettingsError> {
    let name = "OPENHUMANS_CLIENT_SECRET";
    if secret.expose().trim().is_empty() {
        let expected = EXPECTED_CLIENT_SECRET;
        return Err(SettingsError::Missing { name, expected });
    }
    if secret.is_stored_hash() {
        let reason = "it is a password hash: the project page of Open Humans shows the hash of \
                      the secret, which never works as the secret";
        return Err(SettingsError::invalid(name, reason, EXPECTED_CLIENT_SECRET));
    }
    Ok(())
}

pub(super) fn webhook_secret(secret: &str) -> Result<(), SettingsError> {
    if (16..=64).contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(SettingsError::invalid(
        "OPENHUMANS_WEBHOOK_SECRET",
        "a secret is empty, too short, too long or not printable ASCII",
        "16 to 64 printable ASCII characters, or several such secrets separated by commas",
    ))
}

pub(super) fn key(name: &'static str, key: &str) -> Result<(), SettingsError> {
    if key.len() >= 32 {
        return Ok(());
    }
    Err(SettingsError::invalid(
        name,
        "it is too short",
        EXPECTED_KEY,
    ))
}

/// Parses a URL that is https or on loopback, and has no credentials or fragment.
pub(super) fn https_or_loopback(
    name: &'static str,
    text: &str,
    expected: &'static str,
) -> Result<Url, SettingsError> {
    check_base_url(text).map_err(|error| SettingsError::invalid(name, error.to_string(), expected))
}

/// As [`https_or_loopback`], without a query.
pub(super) fn base_url(
    name: &'static str,
    text: &str,
    expected: &'static str,
) -> Result<Url, SettingsError> {
    let url = https_or_loopback(name, text, expected)?;
    if url.query().is_some() {
        return Err(SettingsError::invalid(name, "it has a query", expected));
    }
    Ok(url)
}

/// Checks a redirect target: a path of the application, or an http or https URL.
pub(super) fn redirect_url(name: &'static str, text: &str) -> Result<String, SettingsError> {
    if ReturnPath::parse(text).is_ok() {
        return Ok(text.to_owned());
    }
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url.into()),
        _ => Err(SettingsError::invalid(
            name,
            "it is neither a path nor an http URL",
            "a path of the application such as /home, or an absolute URL",
        )),
    }
}
