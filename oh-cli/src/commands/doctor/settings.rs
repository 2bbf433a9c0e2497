//! The environment, and what of it does not fit together.

use oh_core::Settings;
use oh_core::settings::{Warning, unknown_variables};
use oh_core::store::Keyring;

use super::report::Report;
use crate::failure::sentence;

/// The settings, if they can be used.
pub(super) fn read(report: &mut Report, oh_base_url: &str, mount_path: &str) -> Option<Settings> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    if let Some(warning) = unknown_variables(names) {
        report.warn("environment", warning.to_string());
    }
    let builder = Settings::from_lookup(|name| std::env::var(name).ok());
    let settings = builder.and_then(|builder| {
        builder
            .oh_base_url(oh_base_url)
            .mount_path(mount_path)
            .build()
    });
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            report.wrong("settings", sentence(&error));
            return None;
        }
    };
    let warnings = settings.warnings();
    for warning in &warnings {
        match warning {
            // A proxy may lead from one path to the other.
            Warning::RedirectPath { .. } | Warning::NoWebhookSecret => {
                report.warn("settings", warning.to_string())
            }
            _ => report.wrong("settings", warning.to_string()),
        }
    }
    if warnings.is_empty() {
        let redirect_uri = settings.redirect_uri();
        report.fine(
            "settings",
            format!(
                "all there. At Open Humans the project has to have the redirect URI {redirect_uri}, \
                 letter for letter"
            ),
        );
    }
    Some(settings)
}

/// The keys that tokens are sealed with, and the others that an app may have.
pub(super) fn keys(report: &mut Report, settings: Option<&Settings>) -> Option<Keyring> {
    seal_of_the_ledger(report, settings);
    if is_set("OPENHUMANS_LEDGER_KEY") {
        report.fine(
            "ledger key",
            "it is set, and does not depend on the client secret",
        );
    } else {
        report.warn(
            "ledger key",
            "OPENHUMANS_LEDGER_KEY is not set, so it comes from the client secret: with another \
             client secret the ledger's entries about a member are no longer found. Set it before \
             the first member leaves (openssl rand -base64 32), and keep it as long as the ledger",
        );
    }
    if is_set("OPENHUMANS_COOKIE_KEY") {
        report.fine("cookie key", "it is set");
    } else {
        report.fine(
            "cookie key",
            "it comes from the client secret; a change of that breaks off logins under way, and \
             nothing else",
        );
    }
    match Keyring::from_env() {
        Ok(keys) => {
            let ids: Vec<_> = keys.ids().collect();
            let mut text = format!(
                "tokens are encrypted with the key {}; keys that decrypt: {}",
                ids[0],
                ids.join(", ")
            );
            if !is_set("OPENHUMANS_STORE_KEYS") {
                text += ". The keys are derived from the client secret: when you replace it, set \
                         OPENHUMANS_PREVIOUS_CLIENT_SECRET";
            }
            report.fine("store keys", text);
            Some(keys)
        }
        Err(error) => {
            report.wrong("store keys", sentence(&error));
            None
        }
    }
}

/// Whether the ledger is sealed, and what it is checked with.
fn seal_of_the_ledger(report: &mut Report, settings: Option<&Settings>) {
    let about = "ledger";
    let keys = settings.map(Settings::ledger_signing_keys);
    match keys {
        None if is_set("OPENHUMANS_LEDGER_SIGNING_KEY") => {
            report.skip(about, "the settings have to be right first");
        }
        None | Some([]) => report.warn(
            about,
            "not sealed, unless the app has its key from elsewhere: set \
             OPENHUMANS_LEDGER_SIGNING_KEY, which `oh ledger keygen` makes. Until then nobody can \
             tell whether its lines were changed",
        ),
        Some(keys) => {
            let keys: Vec<_> = keys
                .iter()
                .map(|key| key.verifying_key().to_string())
                .collect();
            report.fine(
                about,
                format!(
                    "OPENHUMANS_LEDGER_SIGNING_KEY seals it; `oh ledger verify` checks it with --key {}",
                    keys.join(" or ")
                ),
            );
        }
    }
}

/// Whether the app finds a value under this name, or a file that is to hold it.
fn is_set(name: &str) -> bool {
    [name.to_owned(), format!("{name}_FILE")]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|value| !value.trim().is_empty()))
}
