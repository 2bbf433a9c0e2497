//! The database: whether it can be opened, is up to date, and holds what can be used.

use std::collections::BTreeMap;

use oh_core::deauth::{DeauthInbox, InboxStats};
use oh_core::store::{Keyring, MemberRecord, StoreError, TokenStore};
use oh_sqlx::{PgStore, SchemaError, SqliteStore};

use super::report::Report;
use crate::commands::database::{self, Place};
use crate::counted::counted;
use crate::failure::sentence;

/// Records read at a time.
const PAGE: usize = 500;

/// Looks at a database, and changes nothing in it.
pub(super) async fn examine(report: &mut Report, database: &str, keys: Option<&Keyring>) {
    match Place::parse(database) {
        Place::Sqlite(path) => {
            let pool = match database::sqlite(&path).await {
                Ok(pool) => pool,
                Err(error) => {
                    let place = path.display();
                    let why = sentence(&error);
                    return report.wrong("database", format!("{place} cannot be opened: {why}"));
                }
            };
            let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode");
            if let Ok(mode) = mode.fetch_one(&pool).await
                && mode != "wal"
            {
                report.warn(
                    "database",
                    format!(
                        "its journal is in mode {mode}: readers and writers wait for each other. \
                         PRAGMA journal_mode = WAL sets it right, once for all"
                    ),
                );
            }
            let store = SqliteStore::new(pool);
            let schema = store.check_schema().await;
            look_into(report, &store, schema, keys).await;
        }
        Place::Postgres(url) => match database::postgres(&url).await {
            Ok(pool) => {
                let store = PgStore::new(pool);
                let schema = store.check_schema().await;
                look_into(report, &store, schema, keys).await;
            }
            Err(error) => {
                let why = sentence(&error);
                report.wrong("database", format!("PostgreSQL is not reached: {why}"));
            }
        },
    }
}

async fn look_into<S: TokenStore + DeauthInbox>(
    report: &mut Report,
    store: &S,
    schema: Result<(), SchemaError>,
    keys: Option<&Keyring>,
) {
    match schema {
        Ok(()) => report.fine("database", "it opens, and its tables are up to date"),
        Err(SchemaError::Older { found: 0, .. }) => {
            return report.warn(
                "database",
                "it opens, and the tables of oh-sqlx are not there yet: `connect` and `migrate` make \
                 them when the app starts. A store of the app's own is not looked into",
            );
        }
        Err(error) => return report.wrong("database", sentence(&error)),
    }
    match store.stats().await {
        Ok(stats) => departures(report, &stats),
        Err(error) => report.wrong("departures", sentence(&error)),
    }
    match count(store).await {
        Ok(found) => tokens(report, &found, keys),
        Err(error) => report.wrong("tokens", sentence(&error)),
    }
}

fn departures(report: &mut Report, stats: &InboxStats) {
    let about = "departures";
    if stats.dead_letters > 0 {
        report.wrong(
            about,
            format!(
                "{} of members who left could not be acted on, and wait for someone to look: the \
                 desk shows why, and puts them back",
                stats.dead_letters
            ),
        );
    }
    if stats.quarantined > 0 {
        report.warn(
            about,
            format!("{} are held until someone releases them", stats.quarantined),
        );
    }
    match stats.oldest_pending {
        Some(oldest) => report.fine(
            about,
            format!(
                "{} to be acted on, the oldest since {oldest}",
                stats.pending
            ),
        ),
        None => report.fine(about, "none to be acted on"),
    }
}

/// How members' tokens are kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kept {
    in_the_clear: u64,
    /// By the id of the key they are sealed with.
    sealed: BTreeMap<String, u64>,
}

impl Kept {
    fn add(&mut self, record: &MemberRecord) {
        let Some(tokens) = &record.tokens else { return };
        // `EncryptedStore` says what a sealed token looks like: ohs1.<key id>.<ciphertext>
        let sealed = tokens.refresh_token.expose().strip_prefix("ohs1.");
        match sealed.and_then(|sealed| sealed.split_once('.')) {
            Some((id, _)) => *self.sealed.entry(id.to_owned()).or_default() += 1,
            None => self.in_the_clear += 1,
        }
    }
}

async fn count(store: &impl TokenStore) -> Result<Kept, StoreError> {
    let mut kept = Kept::default();
    let mut after = None;
    loop {
        let page = store.page(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(kept);
        };
        after = Some(last.member.clone());
        for record in &page {
            kept.add(record);
        }
    }
}

fn tokens(report: &mut Report, kept: &Kept, keys: Option<&Keyring>) {
    let about = "tokens";
    let all = kept.in_the_clear + kept.sealed.values().sum::<u64>();
    if all == 0 {
        return report.fine(
            about,
            "no member has any in the tables of oh-sqlx; a store of the app's own is not looked into",
        );
    }
    let of_everyone = match all {
        1 => "those of the one member".to_owned(),
        all => format!("those of all {all} members"),
    };
    let ids: Vec<&str> = keys.map(|keys| keys.ids().collect()).unwrap_or_default();
    if keys.is_some() && kept.in_the_clear > 0 {
        report.wrong(
            about,
            format!(
                "those of {} of {all} are not sealed, and a EncryptedStore refuses them: let it \
                 allow_plaintext(), run reencrypt_all(), and take that off again",
                counted(kept.in_the_clear, "member")
            ),
        );
    }
    let mut old = Vec::new();
    for (id, members) in &kept.sealed {
        match ids.iter().position(|known| known == id) {
            None => report.wrong(
                about,
                format!(
                    "those of {} are sealed with the key {id}, which is not in \
                     OPENHUMANS_STORE_KEYS: put it back, or they have to log in again",
                    counted(members, "member")
                ),
            ),
            Some(0) => {}
            Some(_) => old.push(format!("{members} with {id}")),
        }
    }
    if !old.is_empty() {
        return report.warn(
            about,
            format!(
                "some are still sealed with older keys ({}): run reencrypt_all() before these are taken \
                 off OPENHUMANS_STORE_KEYS",
                old.join(", ")
            ),
        );
    }
    match ids.first() {
        None if kept.sealed.is_empty() => {
            report.warn(about, format!("{of_everyone} are kept in the clear"));
        }
        Some(first) if kept.sealed.get(*first) == Some(&all) => {
            let more = match ids.len() {
                1 => "",
                _ => "; older keys may be taken off",
            };
            report.fine(
                about,
                format!("{of_everyone} are sealed with the key {first}{more}"),
            );
        }
        // What is wrong has been said.
        _ => {}
    }
}
