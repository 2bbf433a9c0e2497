//! Checks of the environment.

use oh_core::Settings;
use oh_core::settings::{Warning, store_keys_from_env, unknown_variables};
use oh_core::store::Keyring;

use super::report::Report;
use crate::error::with_sources;

/// Reads the settings; `None` if they are not valid.
pub(super) fn read(report: &mut Report, oh_base_url: &str, mount_path: &str) -> Option<Settings> {
    let check = "settings";
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    if let Some(warning) = unknown_variables(names) {
        report.warning("environment", warning.to_string());
    }
    let settings = Settings::from_lookup(|name| std::env::var(name).ok()).and_then(|builder| {
        builder
            .oh_base_url(oh_base_url)
            .mount_path(mount_path)
            .build()
    });
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            report.error(check, with_sources(&error));
            return None;
        }
    };
    let warnings = settings.warnings();
    for warning in &warnings {
        match warning {
            // A proxy may rewrite the path, and the webhook has its own check.
            Warning::RedirectPath { .. } | Warning::NoWebhookSecret => {
                report.warning(check, warning.to_string());
            }
            _ => report.error(check, warning.to_string()),
        }
    }
    if warnings.is_empty() {
        report.ok(
            check,
            format!(
                "complete. Register the redirect URI exactly as {} at Open Humans",
                settings.redirect_uri()
            ),
        );
    }
    Some(settings)
}

/// Checks the keys, and returns the keys that encrypt tokens.
pub(super) fn keys(report: &mut Report, settings: Option<&Settings>) -> Option<Keyring> {
    signing_keys(report, settings);
    match is_set("OPENHUMANS_LEDGER_KEY") {
        true => report.ok("ledger key", "set, independent of the client secret"),
        false => report.warning(
            "ledger key",
            "OPENHUMANS_LEDGER_KEY is not set, so the key is derived from the client secret: after \
             a change of the client secret, the ledger's lines about a member cannot be found. Set \
             it before the first member leaves (openssl rand -base64 32), and never change it",
        ),
    }
    report.ok(
        "cookie key",
        match is_set("OPENHUMANS_COOKIE_KEY") {
            true => "set",
            false => {
                "derived from the client secret: a change of the client secret interrupts only \
                 logins in progress"
            }
        },
    );
    let check = "store keys";
    match store_keys_from_env() {
        Ok(keys) => {
            let ids: Vec<_> = keys.ids().collect();
            let mut message = format!("{} encrypts tokens, {} decrypt", ids[0], ids.join(", "));
            if !is_set("OPENHUMANS_STORE_KEYS") {
                message += ". The keys are derived from the client secret: when you replace it, set \
                            OPENHUMANS_PREVIOUS_CLIENT_SECRET";
            }
            report.ok(check, message);
            Some(keys)
        }
        Err(error) => {
            report.error(check, with_sources(&error));
            None
        }
    }
}

/// Checks the keys that sign checkpoints of the ledger.
fn signing_keys(report: &mut Report, settings: Option<&Settings>) {
    let check = "ledger";
    let variable = "OPENHUMANS_LEDGER_SIGNING_KEY";
    match settings.map(Settings::ledger_signing_keys) {
        None if is_set(variable) => report.skipped(check, "requires valid settings"),
        None | Some([]) => report.warning(
            check,
            format!(
                "its checkpoints are not signed, unless the app has its key from elsewhere, so \
                 changes to the ledger cannot be detected: set {variable} to a key from `oh ledger \
                 keygen`"
            ),
        ),
        Some(keys) => {
            let keys = keys.iter().map(|key| key.verifying_key().to_string());
            let keys = keys.collect::<Vec<_>>().join(" or ");
            report.ok(
                check,
                format!(
                    "{variable} signs its checkpoints; verify them with `oh ledger verify --key \
                     {keys}`"
                ),
            );
        }
    }
}

/// Whether the app reads a value from this variable or from the file that `<name>_FILE` names.
fn is_set(name: &str) -> bool {
    [name.to_owned(), format!("{name}_FILE")]
        .iter()
        .any(|name| std::env::var(name).is_ok_and(|value| !value.trim().is_empty()))
}
