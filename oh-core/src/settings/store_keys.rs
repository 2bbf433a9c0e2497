//! The keys that encrypt stored tokens.

use zeroize::Zeroizing;

use super::SettingsError;
use super::variable::{read_variable, split_list};
use crate::ClientSecret;
use crate::store::Keyring;

const VARIABLE: &str = "OPENHUMANS_STORE_KEYS";
const EXPECTED: &str = "a comma-separated list of id:key, each key 32 random bytes in base64 \
                        (openssl rand -base64 32)";

/// Reads only the store keys from environment variables, for tools that need no other settings:
/// `OPENHUMANS_STORE_KEYS`, then the keys derived from `OPENHUMANS_CLIENT_SECRET` and
/// `OPENHUMANS_PREVIOUS_CLIENT_SECRET`.
///
/// # Errors
///
/// [`SettingsError`] if all are missing or a key is malformed.
pub fn store_keys_from_env() -> Result<Keyring, SettingsError> {
    from_lookup(|name| std::env::var(name).ok())
}

fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Keyring, SettingsError> {
    let configured = read_variable(&lookup, VARIABLE)?.map(Zeroizing::new);
    let secret = read_variable(&lookup, "OPENHUMANS_CLIENT_SECRET")?;
    let previous = read_variable(&lookup, "OPENHUMANS_PREVIOUS_CLIENT_SECRET")?;
    let previous = previous.iter().flat_map(|list| split_list(list));
    let secrets: Vec<ClientSecret> = secret
        .into_iter()
        .chain(previous)
        .map(ClientSecret::new)
        .collect();
    let keys = store_keys(configured.as_ref().map(|text| text.as_str()), &secrets)?;
    if keys.is_empty() {
        return Err(SettingsError::Missing {
            name: VARIABLE,
            expected: EXPECTED,
        });
    }
    Ok(keys)
}

/// Combines the configured keys with those derived from client secrets, in this order.
pub(super) fn store_keys<'a>(
    configured: Option<&str>,
    secrets: impl IntoIterator<Item = &'a ClientSecret>,
) -> Result<Keyring, SettingsError> {
    let configured = match configured {
        Some(text) => Keyring::parse(text)
            .map_err(|error| SettingsError::invalid(VARIABLE, error.to_string(), EXPECTED))?,
        None => Keyring::empty(),
    };
    Ok(secrets
        .into_iter()
        .fold(configured, Keyring::with_client_secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_keys_from_env_combines_configured_keys_and_client_secrets() {
        let read = |variables: &'static [(&'static str, &'static str)]| {
            from_lookup(move |name| {
                let variable = variables.iter().find(|(known, _)| *known == name);
                variable.map(|(_, value)| (*value).to_owned())
            })
        };
        let secrets = read(&[
            ("OPENHUMANS_CLIENT_SECRET", "one"),
            ("OPENHUMANS_PREVIOUS_CLIENT_SECRET", "two,three\\,four"),
        ]);
        assert_eq!(secrets.unwrap().ids().count(), 3);
        let both = read(&[
            (VARIABLE, "a:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo="),
            ("OPENHUMANS_CLIENT_SECRET", "one"),
        ]);
        let both = both.unwrap();
        assert_eq!(both.ids().next(), Some("a"));
        assert_eq!(both.ids().count(), 2);
        for variables in [&[] as &[_], &[(VARIABLE, "tLZ4")]] {
            let error = read(variables).unwrap_err();
            let message = format!("{error} {error:?}");
            assert!(message.contains(VARIABLE), "{message}");
            assert!(!message.contains("tLZ4"), "{message}");
        }
    }
}
