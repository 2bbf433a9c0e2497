//! Settings from environment variables and from the files that they name.

use std::time::Duration;

use super::check::{EXPECTED_APP_BASE_URL, EXPECTED_CLIENT_ID, EXPECTED_CLIENT_SECRET};
use super::variable::{read_variable, split_list};
use super::{Settings, SettingsBuilder, SettingsError, Warning};
use crate::{ClientSecret, KeyMaterial, MasterToken, WebhookSecret};

/// The prefix of all variables of this workspace.
const PREFIX: &str = "OPENHUMANS_";

/// The variables that [`Settings::from_env`] reads.
const SETTINGS: [&str; 19] = [
    "OPENHUMANS_CLIENT_ID",
    "OPENHUMANS_CLIENT_SECRET",
    "OPENHUMANS_APP_BASE_URL",
    "OPENHUMANS_OH_BASE_URL",
    "OPENHUMANS_REDIRECT_URI",
    "OPENHUMANS_WEBHOOK_SECRET",
    "OPENHUMANS_MASTER_TOKEN",
    "OPENHUMANS_LOGIN_REDIRECT_URL",
    "OPENHUMANS_LOGOUT_REDIRECT_URL",
    "OPENHUMANS_DEAUTH_ON_DELETE",
    "OPENHUMANS_DELETE_ON_ERASURE",
    "OPENHUMANS_DELETE_ON_DEAUTH",
    "OPENHUMANS_DELETE_ON_UNKNOWN",
    "OPENHUMANS_SESSION_MAX_AGE",
    "OPENHUMANS_STORE_KEYS",
    "OPENHUMANS_PREVIOUS_CLIENT_SECRET",
    "OPENHUMANS_COOKIE_KEY",
    "OPENHUMANS_LEDGER_KEY",
    "OPENHUMANS_LEDGER_SIGNING_KEY",
];

/// Variables that the program `oh` reads.
const OTHERS: [&str; 2] = ["OPENHUMANS_ACCESS_TOKEN", "OPENHUMANS_REFRESH_TOKEN"];

/// Returns a warning if `names` contains variables that start with `OPENHUMANS_` and are unknown.
/// [`Settings::from_env`] logs it.
///
/// ```
/// use oh_core::settings::unknown_variables;
///
/// let names = ["PATH", "OPENHUMANS_CLIENT_ID", "OPENHUMANS_WEBHOK_SECRET"];
/// let warning = unknown_variables(names).unwrap().to_string();
/// assert!(warning.starts_with("unknown environment variables: OPENHUMANS_WEBHOK_SECRET;"));
/// ```
pub fn unknown_variables<I>(names: I) -> Option<Warning>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let names = names.into_iter();
    let mut unknown: Vec<String> = names
        .filter(|name| name.as_ref().starts_with(PREFIX) && !is_known(name.as_ref()))
        .map(|name| name.as_ref().to_owned())
        .collect();
    unknown.sort();
    (!unknown.is_empty()).then(|| Warning::UnknownVariables {
        unknown,
        known: known().collect(),
    })
}

fn known() -> impl Iterator<Item = &'static str> {
    SETTINGS.into_iter().chain(OTHERS)
}

fn is_known(name: &str) -> bool {
    let name = name.strip_suffix("_FILE").unwrap_or(name);
    known().any(|known| known == name)
}

impl Settings {
    /// Reads the settings from environment variables; see the [table](crate::settings). Logs a
    /// warning if there are [unknown variables](unknown_variables).
    ///
    /// # Errors
    ///
    /// [`SettingsError`] if a variable is missing or invalid.
    pub fn from_env() -> Result<Self, SettingsError> {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        if let Some(warning) = unknown_variables(names) {
            tracing::warn!("{warning}");
        }
        Self::from_lookup(|name| std::env::var(name).ok())?.build()
    }

    /// Reads the settings from any source of named values, such as `std::env::var`, and returns a
    /// builder for changes in code.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] if a value is missing or not a boolean or number where one is expected.
    pub fn from_lookup(
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<SettingsBuilder, SettingsError> {
        let get = |name| read_variable(&lookup, name);
        let required = |name, expected| get(name)?.ok_or(SettingsError::Missing { name, expected });
        let mut builder = Self::builder(
            required("OPENHUMANS_CLIENT_ID", EXPECTED_CLIENT_ID)?,
            required("OPENHUMANS_CLIENT_SECRET", EXPECTED_CLIENT_SECRET)?,
            required("OPENHUMANS_APP_BASE_URL", EXPECTED_APP_BASE_URL)?,
        );
        if let Some(url) = get("OPENHUMANS_OH_BASE_URL")? {
            builder.oh_base_url = url;
        }
        builder.redirect_uri = get("OPENHUMANS_REDIRECT_URI")?;
        if let Some(list) = get("OPENHUMANS_WEBHOOK_SECRET")? {
            builder.webhook_secrets = split_list(&list).map(WebhookSecret::new).collect();
        }
        builder.master_token = get("OPENHUMANS_MASTER_TOKEN")?.map(MasterToken::new);
        builder.login_redirect_url = get("OPENHUMANS_LOGIN_REDIRECT_URL")?;
        builder.logout_redirect_url = get("OPENHUMANS_LOGOUT_REDIRECT_URL")?;
        let deletion = &mut builder.deletion;
        for (name, flag) in [
            ("OPENHUMANS_DEAUTH_ON_DELETE", &mut builder.deauth_on_delete),
            ("OPENHUMANS_DELETE_ON_ERASURE", &mut deletion.on_erasure),
            ("OPENHUMANS_DELETE_ON_DEAUTH", &mut deletion.on_deauth),
            ("OPENHUMANS_DELETE_ON_UNKNOWN", &mut deletion.on_unknown),
        ] {
            if let Some(text) = get(name)? {
                *flag = parse_bool(name, &text)?;
            }
        }
        let name = "OPENHUMANS_SESSION_MAX_AGE";
        if let Some(text) = get(name)? {
            let seconds = text.parse().map_err(|_| {
                SettingsError::invalid(name, "it is not an integer", "a number of seconds")
            })?;
            builder.session_max_age = Some(Duration::from_secs(seconds));
        }
        let key = |name| Ok::<_, SettingsError>(get(name)?.map(KeyMaterial::new));
        if let Some(list) = get("OPENHUMANS_PREVIOUS_CLIENT_SECRET")? {
            builder.previous_client_secrets = split_list(&list).map(ClientSecret::new).collect();
        }
        builder.store_keys = key("OPENHUMANS_STORE_KEYS")?;
        builder.cookie_key = key("OPENHUMANS_COOKIE_KEY")?;
        builder.ledger_key = key("OPENHUMANS_LEDGER_KEY")?;
        builder.ledger_signing_key = key("OPENHUMANS_LEDGER_SIGNING_KEY")?;
        Ok(builder)
    }
}

fn parse_bool(name: &'static str, text: &str) -> Result<bool, SettingsError> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(SettingsError::invalid(
            name,
            "it is not a boolean",
            "true or false",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn known_variables_are_those_that_from_lookup_reads() {
        let read = RefCell::new(BTreeSet::new());
        let settings = Settings::from_lookup(|name| {
            read.borrow_mut()
                .insert(name.trim_end_matches("_FILE").to_owned());
            name.ends_with(['D', 'T', 'L']).then(|| "true".to_owned())
        });
        assert!(settings.is_ok());
        let known: BTreeSet<_> = SETTINGS.map(str::to_owned).into();
        assert_eq!(read.into_inner(), known);
    }

    #[test]
    fn unknown_variables_are_listed_with_known_ones() {
        let names = [
            "OPENHUMANS_X_FILE",
            "PATH",
            "OPENHUMANS_CLIENTID",
            "OPENHUMANSX",
        ];
        let warning = unknown_variables(names).unwrap().to_string();
        for part in [
            ": OPENHUMANS_CLIENTID, OPENHUMANS_X_FILE;",
            "OPENHUMANS_CLIENT_ID,",
        ] {
            assert!(warning.contains(part), "{warning}");
        }
        let files = known().map(|name| format!("{name}_FILE"));
        assert_eq!(
            unknown_variables(files.chain(known().map(str::to_owned))),
            None
        );
    }
}
