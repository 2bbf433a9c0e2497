//! `oh import-django`: imports members from a django-open-humans app into a database of oh-sqlx.
//!
//! Each row of `openhumans_openhumansmember` becomes one record. Each record is written only if the
//! stored one has not changed since it was compared, so the import can be interrupted and repeated,
//! and the new app can run meanwhile.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use oh_core::settings::store_keys_from_env;
use oh_core::store::{
    EncryptedStore, MemberRecord, MemoryStore, PutOutcome, StoreError, TokenStore, Tokens, Version,
};
use oh_core::{ProjectMemberId, Timestamp};
use oh_sqlx::{PgStore, SchemaError, SqliteStore};

use super::database::{Database, Pool};
use crate::args::ImportDjango;
use crate::error::{CliError, with_sources};
use crate::output;
use crate::text::count;

/// Rows per query.
const PAGE_SIZE: i64 = 500;

/// Concurrent writes. Stores commit concurrent writes together.
const CONCURRENCY: usize = 32;

/// The lifetime of an access token. django-open-humans stores when a token expires, not when it was
/// issued.
const TOKEN_LIFETIME: Duration = Duration::from_secs(36_000);

pub(crate) async fn run(args: ImportDjango) -> Result<(), CliError> {
    let source = Database::parse(&args.from);
    let pool = source.open().await.map_err(|e| unusable(&source, &e))?;
    let store = open_store(&Database::parse(&args.to), args.dry_run).await?;
    let keys = store_keys_from_env().map_err(|error| CliError::Usage(error.to_string()))?;
    let key = keys.ids().next().unwrap_or_default().to_owned();
    let store = EncryptedStore::new(store, keys);
    let mut summary = Summary::default();
    let mut after = String::new();
    loop {
        let rows = read_page(&pool, &after).await?;
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.id);
        let results = stream::iter(rows).map(|row| import(&store, row, args.dry_run));
        let mut results = results.buffer_unordered(CONCURRENCY);
        while let Some((id, outcome)) = results.next().await {
            summary.add(&id, outcome);
        }
        output::status(format!("read {}", count(summary.read, "member")));
    }
    summary.print(args.dry_run, &key)
}

/// Opens the store to import into. A dry run creates no tables and treats a missing store as empty.
async fn open_store(database: &Database, dry_run: bool) -> Result<Arc<dyn TokenStore>, CliError> {
    if !dry_run {
        let store: Result<Arc<dyn TokenStore>, SchemaError> = match database {
            Database::Sqlite(path) => SqliteStore::connect(path).await.map(|s| Arc::new(s) as _),
            Database::Postgres(url) => PgStore::connect(url).await.map(|s| Arc::new(s) as _),
        };
        return store.map_err(|error| unusable(database, &error));
    }
    if matches!(database, Database::Sqlite(path) if !path.exists()) {
        return Ok(Arc::new(MemoryStore::new()));
    }
    let pool = database.open().await.map_err(|e| unusable(database, &e))?;
    let (store, schema): (Arc<dyn TokenStore>, _) = match pool {
        Pool::Sqlite(pool) => {
            let store = SqliteStore::new(pool);
            let schema = store.check_schema().await;
            (Arc::new(store), schema)
        }
        Pool::Postgres(pool) => {
            let store = PgStore::new(pool);
            let schema = store.check_schema().await;
            (Arc::new(store), schema)
        }
    };
    match schema {
        Ok(()) => Ok(store),
        Err(SchemaError::Older { found: 0, .. }) => Ok(Arc::new(MemoryStore::new())),
        Err(error) => Err(unusable(database, &error)),
    }
}

fn unusable(database: &Database, error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::Invalid(format!(
        "could not open {database}: {}",
        with_sources(error)
    ))
}

/// A member as django-open-humans stores it.
#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    access_token: String,
    refresh_token: String,
    /// Microseconds since 1970, with the precision of a second.
    expires: Option<i64>,
    has_left: i64,
}

/// Reads the members whose ids follow `after`, in the order of their ids.
async fn read_page(pool: &Pool, after: &str) -> Result<Vec<Row>, CliError> {
    let rows = match pool {
        Pool::Sqlite(pool) => {
            let query = sqlx::query_as(
                "SELECT oh_id AS id, access_token, refresh_token, \
                 CAST(strftime('%s', token_expires) AS INTEGER) * 1000000 AS expires, \
                 CAST(oh_deauth AS INTEGER) AS has_left \
                 FROM openhumans_openhumansmember WHERE oh_id > ? ORDER BY oh_id LIMIT ?",
            );
            query.bind(after).bind(PAGE_SIZE).fetch_all(pool).await
        }
        Pool::Postgres(pool) => {
            let query = sqlx::query_as(
                "SELECT oh_id AS id, access_token, refresh_token, \
                 CAST(extract(epoch FROM token_expires) * 1000000 AS BIGINT) AS expires, \
                 CAST(CAST(oh_deauth AS INTEGER) AS BIGINT) AS has_left \
                 FROM openhumans_openhumansmember WHERE oh_id > $1 ORDER BY oh_id LIMIT $2",
            );
            query.bind(after).bind(PAGE_SIZE).fetch_all(pool).await
        }
    };
    rows.map_err(|error| {
        CliError::Invalid(format!(
            "could not read the members of django-open-humans 0.2 from the --from database: {}",
            with_sources(&error)
        ))
    })
}

/// The result of importing one member.
enum Outcome {
    Imported,
    /// The stored tokens were older and have been replaced.
    Updated,
    /// The stored tokens are the same or newer.
    Unchanged,
    /// The member had left the project according to the Django app.
    HadLeft,
    /// The member has left the project according to the new app.
    LeftNewApp,
    Failed(String),
}

async fn import(store: &dyn TokenStore, row: Row, dry_run: bool) -> (String, Outcome) {
    let outcome = match to_record(&row) {
        Err(reason) => Outcome::Failed(reason),
        Ok(None) => Outcome::HadLeft,
        Ok(Some(record)) => write(store, record, dry_run)
            .await
            .unwrap_or_else(|error| Outcome::Failed(with_sources(&error))),
    };
    (row.id, outcome)
}

/// Converts a row to a record; `None` if the member has left.
fn to_record(row: &Row) -> Result<Option<MemberRecord>, String> {
    if row.has_left != 0 {
        return Ok(None);
    }
    let member: ProjectMemberId = row.id.parse().map_err(|error| format!("{error}"))?;
    if row.access_token.is_empty() || row.refresh_token.is_empty() {
        return Err("the row contains no tokens".to_owned());
    }
    let expires = row.expires.ok_or("the expiry time is not valid")?;
    let expires_at = Timestamp::from_micros(expires);
    let tokens = Tokens::new(
        row.access_token.as_str(),
        row.refresh_token.as_str(),
        expires_at,
    );
    // The member was authorized when the tokens were issued. Only later departures apply.
    let issued_at = expires_at - TOKEN_LIFETIME;
    Ok(Some(MemberRecord::authorized(member, tokens, issued_at)))
}

async fn write(
    store: &dyn TokenStore,
    imported: MemberRecord,
    dry_run: bool,
) -> Result<Outcome, StoreError> {
    loop {
        let stored = store.load(&imported.member).await?;
        let (next, expected, outcome) = match stored {
            None => (imported.clone(), None, Outcome::Imported),
            Some(stored) => match updated(&stored, &imported) {
                Ok(next) => (next, Some(stored.version), Outcome::Updated),
                Err(outcome) => return Ok(outcome),
            },
        };
        if dry_run || store.put(&next, expected).await? == PutOutcome::Stored {
            return Ok(outcome);
        }
        // The new app has changed the record meanwhile: compare again.
    }
}

/// Returns the stored record with the imported tokens, if these are newer.
fn updated(stored: &MemberRecord, imported: &MemberRecord) -> Result<MemberRecord, Outcome> {
    let (Some(current), Some(tokens)) = (&stored.tokens, &imported.tokens) else {
        return Err(Outcome::LeftNewApp);
    };
    if current.expires_at >= tokens.expires_at {
        return Err(Outcome::Unchanged);
    }
    if stored.refresh.is_some() {
        let reason = "the new app is refreshing the tokens: stop it, or run the import again";
        return Err(Outcome::Failed(reason.to_owned()));
    }
    let mut next = stored.clone();
    next.tokens = Some(tokens.clone());
    next.authorized_at = stored.authorized_at.max(imported.authorized_at);
    next.confirmed_at = stored.confirmed_at.max(imported.confirmed_at);
    next.refresh_unanswered = false;
    next.version = Version::fresh();
    Ok(next)
}

/// The number of members for each outcome.
#[derive(Default)]
struct Summary {
    read: u64,
    imported: u64,
    updated: u64,
    unchanged: u64,
    had_left: u64,
    left_new_app: u64,
    failed: usize,
}

impl Summary {
    fn add(&mut self, id: &str, outcome: Outcome) {
        self.read += 1;
        match outcome {
            Outcome::Imported => self.imported += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::HadLeft => self.had_left += 1,
            Outcome::LeftNewApp => self.left_new_app += 1,
            Outcome::Failed(reason) => {
                self.failed += 1;
                output::warning(crate::text::one_line(&format!("oh: member {id}: {reason}")));
            }
        }
    }

    fn print(&self, dry_run: bool, key: &str) -> Result<(), CliError> {
        let verb = if dry_run { "would be " } else { "" };
        for line in [
            format!("{} {verb}imported, encrypted with key {key}", self.imported),
            format!("{} {verb}updated with newer tokens", self.updated),
            format!(
                "{} unchanged, with the same or newer tokens",
                self.unchanged
            ),
            format!("{} skipped: left the project before", self.had_left),
            format!("{} skipped: left the new app", self.left_new_app),
        ] {
            output::line(line)?;
        }
        match self.failed {
            0 => Ok(()),
            failed => Err(CliError::Partial(failed)),
        }
    }
}
