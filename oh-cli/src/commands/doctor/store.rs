//! Checks of the database: whether it opens, is up to date and can be decrypted.

use std::collections::BTreeMap;

use oh_core::deauth::{DeauthInbox, InboxStats};
use oh_core::store::{Keyring, MemberRecord, StoreError, TokenStore};
use oh_sqlx::{PgStore, SchemaError, SqliteStore};

use super::report::Report;
use crate::commands::database::{Database, Pool};
use crate::error::with_sources;
use crate::text::count;

/// Records per query.
const PAGE_SIZE: usize = 500;

/// Checks a database without changing it.
pub(super) async fn check(report: &mut Report, database: &str, keys: Option<&Keyring>) {
    let database = Database::parse(database);
    match database.open().await {
        Err(error) => report.error(
            "database",
            format!("could not open {database}: {}", with_sources(&error)),
        ),
        Ok(Pool::Sqlite(pool)) => {
            let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode");
            if let Ok(mode) = mode.fetch_one(&pool).await
                && mode != "wal"
            {
                report.warning(
                    "database",
                    format!(
                        "its journal mode is {mode}, in which readers and writers block each other: \
                         run PRAGMA journal_mode = WAL once"
                    ),
                );
            }
            let store = SqliteStore::new(pool);
            let schema = store.check_schema().await;
            contents(report, &store, schema, keys).await;
        }
        Ok(Pool::Postgres(pool)) => {
            let store = PgStore::new(pool);
            let schema = store.check_schema().await;
            contents(report, &store, schema, keys).await;
        }
    }
}

async fn contents<S: TokenStore + DeauthInbox>(
    report: &mut Report,
    store: &S,
    schema: Result<(), SchemaError>,
    keys: Option<&Keyring>,
) {
    match schema {
        Ok(()) => report.ok("database", "it opens, and its tables are up to date"),
        Err(SchemaError::Older { found: 0, .. }) => {
            return report.warning(
                "database",
                "it opens, but has no tables of oh-sqlx yet: `connect` and `migrate` create them \
                 when the app starts. Other stores are not checked",
            );
        }
        Err(error) => return report.error("database", with_sources(&error)),
    }
    match store.stats().await {
        Ok(stats) => events(report, &stats),
        Err(error) => report.error("deauthorizations", with_sources(&error)),
    }
    match count_tokens(store).await {
        Ok(counts) => tokens(report, &counts, keys),
        Err(error) => report.error("tokens", with_sources(&error)),
    }
}

fn events(report: &mut Report, stats: &InboxStats) {
    let check = "deauthorizations";
    if stats.dead_letters > 0 {
        report.error(
            check,
            format!(
                "{} failed: the erasure dashboard shows the reasons and requeues them",
                stats.dead_letters
            ),
        );
    }
    if stats.quarantined > 0 {
        report.warning(
            check,
            format!(
                "{} quarantined until an operator releases them",
                stats.quarantined
            ),
        );
    }
    report.ok(
        check,
        match stats.oldest_pending {
            Some(oldest) => format!("{} pending, the oldest since {oldest}", stats.pending),
            None => "none pending".to_owned(),
        },
    );
}

/// The number of members for each form of stored tokens.
#[derive(Debug, Default, PartialEq, Eq)]
struct TokenCounts {
    unencrypted: u64,
    /// By the id of the encryption key.
    encrypted: BTreeMap<String, u64>,
}

impl TokenCounts {
    fn add(&mut self, record: &MemberRecord) {
        let Some(tokens) = &record.tokens else { return };
        // The format of `EncryptedStore` is ohs1.<key id>.<ciphertext>.
        let encrypted = tokens.refresh_token.expose().strip_prefix("ohs1.");
        match encrypted.and_then(|encrypted| encrypted.split_once('.')) {
            Some((id, _)) => *self.encrypted.entry(id.to_owned()).or_default() += 1,
            None => self.unencrypted += 1,
        }
    }
}

async fn count_tokens(store: &impl TokenStore) -> Result<TokenCounts, StoreError> {
    let mut counts = TokenCounts::default();
    let mut after = None;
    loop {
        let page = store.page(after.as_ref(), PAGE_SIZE).await?;
        let Some(last) = page.last() else {
            return Ok(counts);
        };
        after = Some(last.member.clone());
        page.iter().for_each(|record| counts.add(record));
    }
}

fn tokens(report: &mut Report, counts: &TokenCounts, keys: Option<&Keyring>) {
    let check = "tokens";
    let total = counts.unencrypted + counts.encrypted.values().sum::<u64>();
    if total == 0 {
        return report.ok(
            check,
            "none in the tables of oh-sqlx. Other stores are not checked",
        );
    }
    let ids: Vec<&str> = keys.map(|keys| keys.ids().collect()).unwrap_or_default();
    if keys.is_some() && counts.unencrypted > 0 {
        report.error(
            check,
            format!(
                "unencrypted for {} of {total}, which EncryptedStore rejects: set \
                 allow_plaintext(), run reencrypt_all(), and unset it again",
                count(counts.unencrypted, "member")
            ),
        );
    }
    let mut outdated = Vec::new();
    for (id, members) in &counts.encrypted {
        match ids.iter().position(|known| known == id) {
            None => report.error(
                check,
                format!(
                    "encrypted for {} with key {id}, which OPENHUMANS_STORE_KEYS does not contain: \
                     add it, or these members must log in again",
                    count(*members, "member")
                ),
            ),
            Some(0) => {}
            Some(_) => outdated.push(format!("{members} with {id}")),
        }
    }
    if !outdated.is_empty() {
        return report.warning(
            check,
            format!(
                "some are encrypted with older keys ({}): run reencrypt_all() before you remove \
                 these keys from OPENHUMANS_STORE_KEYS",
                outdated.join(", ")
            ),
        );
    }
    let members = count(total, "member");
    match ids.first() {
        None if counts.encrypted.is_empty() => {
            report.warning(check, format!("unencrypted for {members}"));
        }
        Some(first) if counts.encrypted.get(*first) == Some(&total) => {
            let older = match ids.len() {
                1 => "",
                _ => ". You can remove the older keys",
            };
            report.ok(
                check,
                format!("encrypted for {members} with key {first}{older}"),
            );
        }
        // Reported above.
        _ => {}
    }
}
