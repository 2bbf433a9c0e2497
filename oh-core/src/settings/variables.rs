//! Which environment variables there are, and which one a misspelt one was to be.

use std::fmt;

/// The settings that [`Settings::from_env`](super::Settings::from_env) reads.
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
    "OPENHUMANS_PREVIOUS_CLIENT_SECRET",
    "OPENHUMANS_STORE_KEYS",
    "OPENHUMANS_COOKIE_KEY",
    "OPENHUMANS_LEDGER_KEY",
    "OPENHUMANS_LEDGER_SIGNING_KEY",
];

/// Variables that the program `oh` reads.
const OTHERS: [&str; 2] = ["OPENHUMANS_ACCESS_TOKEN", "OPENHUMANS_REFRESH_TOKEN"];

/// What all of ours begin with.
const PREFIX: &str = "OPENHUMANS_";

/// How alike two names must be for one to be a misspelling of the other, from 0 to 1.
const ALIKE: f64 = 0.8;

/// A variable that looks like one of ours, and that nothing reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The one that may have been meant.
    pub meant: Option<String>,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nothing reads the environment variable {}", self.name)?;
        match &self.meant {
            Some(meant) => write!(f, ": is {meant} meant?"),
            None => Ok(()),
        }
    }
}

/// Those of `names` that begin with `OPENHUMANS_` and that nothing here reads.
/// [`Settings::from_env`](super::Settings::from_env) logs the ones it finds.
///
/// ```
/// use oh_core::settings::unknown_variables;
///
/// let unknown = unknown_variables(["PATH", "OPENHUMANS_CLIENT_ID", "OPENHUMANS_WEBHOK_SECRET"]);
/// assert_eq!(
///     unknown[0].to_string(),
///     "nothing reads the environment variable OPENHUMANS_WEBHOK_SECRET: \
///      is OPENHUMANS_WEBHOOK_SECRET meant?",
/// );
/// assert_eq!(unknown.len(), 1);
/// ```
pub fn unknown_variables<I>(names: I) -> Vec<UnknownVariable>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let mut unknown: Vec<_> = names
        .into_iter()
        .filter(|name| name.as_ref().starts_with(PREFIX))
        .filter(|name| !is_known(name.as_ref()))
        .map(|name| UnknownVariable {
            name: name.as_ref().to_owned(),
            meant: meant(name.as_ref()),
        })
        .collect();
    unknown.sort_by(|a, b| a.name.cmp(&b.name));
    unknown
}

fn known() -> impl Iterator<Item = &'static str> {
    SETTINGS.into_iter().chain(OTHERS)
}

fn is_known(name: &str) -> bool {
    let name = name.strip_suffix("_FILE").unwrap_or(name);
    known().any(|known| known == name)
}

fn meant(name: &str) -> Option<String> {
    let (stem, file) = match name.strip_suffix("_FILE") {
        Some(stem) => (stem, "_FILE"),
        None => (name, ""),
    };
    // What all have in common says nothing.
    let own = |name: &str| name.trim_start_matches(PREFIX).to_ascii_uppercase();
    known()
        .map(|known| {
            (
                known,
                strsim::normalized_damerau_levenshtein(&own(known), &own(stem)),
            )
        })
        .filter(|(_, alike)| *alike >= ALIKE)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(known, _)| format!("{known}{file}"))
}

/// Logs what nothing reads of this process's environment.
pub(super) fn warn_of_unknown() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for unknown in unknown_variables(names) {
        tracing::warn!("{unknown}");
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::super::Settings;
    use super::*;

    #[test]
    fn the_list_is_what_is_read() {
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
    fn a_misspelt_variable_is_found_and_the_right_one_named() {
        for (wrong, right) in [
            ("OPENHUMANS_CLIENTID", Some("OPENHUMANS_CLIENT_ID")),
            ("OPENHUMANS_MASTER_TOKEN_FLIE", None),
            (
                "OPENHUMANS_MASTERTOKEN_FILE",
                Some("OPENHUMANS_MASTER_TOKEN_FILE"),
            ),
            ("OPENHUMANS_REDIRECT_URL", Some("OPENHUMANS_REDIRECT_URI")),
            ("OPENHUMANS_client_id", Some("OPENHUMANS_CLIENT_ID")),
            ("OPENHUMANS_PROJECT_COLOUR", None),
        ] {
            let unknown = unknown_variables([wrong]);
            assert_eq!(unknown.len(), 1, "{wrong}");
            assert_eq!(unknown[0].meant.as_deref(), right, "{wrong}");
        }
    }

    #[test]
    fn what_is_read_or_is_no_business_of_ours_is_left_alone() {
        let fine = known().map(str::to_owned);
        let files = known().map(|name| format!("{name}_FILE"));
        let others = ["PATH".to_owned(), "OPENHUMANSX".to_owned()];
        assert_eq!(unknown_variables(fine.chain(files).chain(others)), []);
    }
}
