//! What a value must be to be of use.

use oh_api::check_base_url;
use url::Url;

use crate::ClientSecret;
use crate::environment::SettingsError;
use crate::ledger::{KeyError, SigningKey};

pub(super) const EXPECTED_CLIENT_ID: &str =
    "the OAuth2 client id from the project's page at Open Humans";
pub(super) const EXPECTED_CLIENT_SECRET: &str =
    "the OAuth2 client secret, as Open Humans showed it when the project was made";
pub(super) const EXPECTED_APP_BASE_URL: &str =
    "the app's public address, such as https://app.example";
pub(super) const EXPECTED_OH_BASE_URL: &str =
    "the address of Open Humans, such as https://www.openhumans.org";
pub(super) const EXPECTED_REDIRECT_URI: &str = "the redirect URL registered with the project";

/// Signing keys, separated by commas, all of one name.
pub(super) fn signing_keys(text: &str) -> Result<Vec<SigningKey>, SettingsError> {
    let invalid = |why: String| SettingsError::Invalid {
        name: "OPENHUMANS_LEDGER_SIGNING_KEY",
        why,
        expected: "what `oh ledger keygen` printed, which begins with PRIVATE+KEY+",
    };
    let keys: Vec<SigningKey> = text
        .split(',')
        .map(|key| {
            key.parse()
                .map_err(|error: KeyError| invalid(error.to_string()))
        })
        .collect::<Result<_, _>>()?;
    if keys.iter().any(|key| key.name() != keys[0].name()) {
        return Err(invalid(
            "the keys have several names, and a ledger has one".into(),
        ));
    }
    Ok(keys)
}

pub(super) fn check_client_secret(secret: &ClientSecret) -> Result<(), SettingsError> {
    let name = "OPENHUMANS_CLIENT_SECRET";
    let text = secret.expose();
    if text.trim().is_empty() {
        return Err(SettingsError::Missing {
            name,
            expected: EXPECTED_CLIENT_SECRET,
        });
    }
    if secret.is_stored_hash() {
        return Err(SettingsError::Invalid {
            name,
            why: "it is a password hash: Open Humans' project page shows the stored hash of the \
                  secret, which never works as the secret"
                .into(),
            expected: EXPECTED_CLIENT_SECRET,
        });
    }
    Ok(())
}

/// An address without credentials, query and fragment.
pub(super) fn base_url(
    name: &'static str,
    text: &str,
    expected: &'static str,
) -> Result<Url, SettingsError> {
    let url = https_or_loopback(name, text, expected)?;
    if url.query().is_some() {
        let why = "it has a query".into();
        return Err(SettingsError::Invalid {
            name,
            why,
            expected,
        });
    }
    Ok(url)
}

pub(super) fn https_or_loopback(
    name: &'static str,
    text: &str,
    expected: &'static str,
) -> Result<Url, SettingsError> {
    check_base_url(text).map_err(|error| SettingsError::Invalid {
        name,
        why: error.to_string(),
        expected,
    })
}

pub(super) fn mount_path(text: &str) -> Result<String, SettingsError> {
    let path = text.trim_end_matches('/');
    let ok = path.starts_with('/')
        && !path.contains("//")
        && path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b))
        && path.split('/').all(|part| part != "." && part != "..");
    if ok {
        Ok(path.to_owned())
    } else {
        Err(SettingsError::Invalid {
            name: "the mount path",
            why: "it is not a plain path".into(),
            expected: "a path such as /openhumans",
        })
    }
}

/// A path of the app as it is, or a whole address as it goes into a header.
pub(super) fn redirect_target(text: &str) -> Option<String> {
    if crate::login::ReturnPath::parse(text).is_ok() {
        return Some(text.to_owned());
    }
    let url = Url::parse(text).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.into())
}
