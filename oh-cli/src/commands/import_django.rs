//! `oh import-django`: from the database of a django-open-humans app into one of oh-sqlx.
//!
//! A member is one row there (`openhumans_openhumansmember`) and one record here. Each is read,
//! compared and written by itself, conditionally on what was compared, so that it makes no
//! difference where it is interrupted, how often it is run, and whether the new app is running.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use oh_core::store::{
    EncryptedStore, Keyring, MemberRecord, MemoryStore, PutOutcome, StoreError, TokenStore, Tokens,
    Version,
};
use oh_core::{ProjectMemberId, Timestamp};
use oh_sqlx::{PgStore, SchemaError, SqliteStore};
use sqlx::{PgPool, SqlitePool};

use super::database::{self, Place};
use crate::args::ImportDjango;
use crate::counted::counted;
use crate::failure::{Failure, sentence};
use crate::output;

/// Rows read at a time.
const PAGE: i64 = 500;

/// Members written at a time: a store commits together what comes together.
const AT_ONCE: usize = 32;

/// How long an access token of Open Humans lives. The package keeps when it expires; when it was
/// issued follows.
const LIFETIME: Duration = Duration::from_secs(36_000);

pub(crate) async fn run(args: ImportDjango) -> Result<(), Failure> {
    let from = Source::open(&Place::parse(&args.from)).await?;
    let to = destination(&Place::parse(&args.to), args.dry_run).await?;
    let keys = Keyring::from_env().map_err(|error| Failure::Usage(error.to_string()))?;
    let how = format!(
        "encrypted with the key {}",
        keys.ids().next().unwrap_or_default()
    );
    let to = EncryptedStore::new(to, keys);
    let mut done = Tally::default();
    let mut after = String::new();
    loop {
        let rows = from.page(&after).await?;
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.id);
        let outcomes = stream::iter(rows).map(|row| bring(&to, row, args.dry_run));
        let mut outcomes = outcomes.buffer_unordered(AT_ONCE);
        while let Some((id, outcome)) = outcomes.next().await {
            done.add(&id, outcome);
        }
        output::say(format!("{} looked at", counted(done.seen, "member")));
    }
    done.end(args.dry_run, &how)
}

/// Where members go. For a dry run nothing is made, and what is not there holds nobody.
async fn destination(place: &Place, dry_run: bool) -> Result<Arc<dyn TokenStore>, Failure> {
    let nobody = || Arc::new(MemoryStore::new());
    match place {
        Place::Sqlite(path) if dry_run && !path.exists() => Ok(nobody()),
        Place::Sqlite(path) if dry_run => {
            let pool = database::sqlite(path)
                .await
                .map_err(|e| cannot(place, &e))?;
            let store = SqliteStore::new(pool);
            match store.check_schema().await {
                Ok(()) => Ok(Arc::new(store)),
                Err(SchemaError::Older { found: 0, .. }) => Ok(nobody()),
                Err(error) => Err(cannot(place, &error)),
            }
        }
        Place::Postgres(url) if dry_run => {
            let pool = database::postgres(url)
                .await
                .map_err(|e| cannot(place, &e))?;
            let store = PgStore::new(pool);
            match store.check_schema().await {
                Ok(()) => Ok(Arc::new(store)),
                Err(SchemaError::Older { found: 0, .. }) => Ok(nobody()),
                Err(error) => Err(cannot(place, &error)),
            }
        }
        Place::Sqlite(path) => match SqliteStore::connect(path).await {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(cannot(place, &error)),
        },
        Place::Postgres(url) => match PgStore::connect(url).await {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(cannot(place, &error)),
        },
    }
}

fn cannot(place: &Place, error: &(dyn std::error::Error + 'static)) -> Failure {
    let place = match place {
        Place::Sqlite(path) => path.display().to_string(),
        // The address may hold a password.
        Place::Postgres(_) => "the PostgreSQL database".to_owned(),
    };
    let why = sentence(error);
    Failure::Wrong(format!("{place} cannot be used: {why}"))
}

/// The Django app's database.
enum Source {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A member, as the package keeps one.
#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    access_token: String,
    refresh_token: String,
    /// In microseconds since 1970; the package keeps whole seconds.
    expires: Option<i64>,
    has_left: i64,
}

impl Source {
    async fn open(place: &Place) -> Result<Self, Failure> {
        let opened = match place {
            Place::Sqlite(path) => database::sqlite(path).await.map(Self::Sqlite),
            Place::Postgres(url) => database::postgres(url).await.map(Self::Postgres),
        };
        opened.map_err(|error| cannot(place, &error))
    }

    /// The members after one, in the order of their ids.
    async fn page(&self, after: &str) -> Result<Vec<Row>, Failure> {
        let read = match self {
            Self::Sqlite(pool) => {
                let query = sqlx::query_as(
                    "SELECT oh_id AS id, access_token, refresh_token, \
                     CAST(strftime('%s', token_expires) AS INTEGER) * 1000000 AS expires, \
                     CAST(oh_deauth AS INTEGER) AS has_left \
                     FROM openhumans_openhumansmember WHERE oh_id > ? ORDER BY oh_id LIMIT ?",
                );
                query.bind(after).bind(PAGE).fetch_all(pool).await
            }
            Self::Postgres(pool) => {
                let query = sqlx::query_as(
                    "SELECT oh_id AS id, access_token, refresh_token, \
                     CAST(extract(epoch FROM token_expires) * 1000000 AS BIGINT) AS expires, \
                     CAST(CAST(oh_deauth AS INTEGER) AS BIGINT) AS has_left \
                     FROM openhumans_openhumansmember WHERE oh_id > $1 ORDER BY oh_id LIMIT $2",
                );
                query.bind(after).bind(PAGE).fetch_all(pool).await
            }
        };
        read.map_err(|error| {
            let why = sentence(&error);
            Failure::Wrong(format!(
                "the members of django-open-humans 0.2 could not be read there: {why}"
            ))
        })
    }
}

/// What became of a member.
enum Outcome {
    /// Was not known here.
    Imported,
    /// Was known with an older pair of tokens, which has been replaced.
    Renewed,
    /// Is here already, with these tokens or newer ones.
    Kept,
    /// Had left the project before.
    HadLeft,
    /// Has left since, as is known here, and is not brought back.
    LeftHere,
    /// Could not be brought over.
    Failed(String),
}

/// Brings one member over.
async fn bring(to: &dyn TokenStore, row: Row, dry_run: bool) -> (String, Outcome) {
    let outcome = match record(&row) {
        Err(why) => Outcome::Failed(why),
        Ok(None) => Outcome::HadLeft,
        Ok(Some(record)) => write(to, record, dry_run)
            .await
            .unwrap_or_else(|error| Outcome::Failed(sentence(&error))),
    };
    (row.id, outcome)
}

/// The record of a member, or `None` of one who has left.
fn record(row: &Row) -> Result<Option<MemberRecord>, String> {
    if row.has_left != 0 {
        return Ok(None);
    }
    let member: ProjectMemberId = row.id.parse().map_err(|error| format!("{error}"))?;
    if row.access_token.is_empty() || row.refresh_token.is_empty() {
        return Err("there are no tokens".to_owned());
    }
    let expires = row.expires.ok_or("when the token expires cannot be read")?;
    let expires_at = Timestamp::from_micros(expires);
    let tokens = Tokens::new(
        row.access_token.as_str(),
        row.refresh_token.as_str(),
        expires_at,
    );
    // Whoever was given this pair was a member then. Later departures count, earlier do not.
    let issued_at = expires_at - LIFETIME;
    Ok(Some(MemberRecord::authorized(member, tokens, issued_at)))
}

async fn write(
    to: &dyn TokenStore,
    theirs: MemberRecord,
    dry_run: bool,
) -> Result<Outcome, StoreError> {
    loop {
        let stored = to.load(&theirs.member).await?;
        let (next, expected, outcome) = match stored {
            None => (theirs.clone(), None, Outcome::Imported),
            Some(ours) => match renewed(&ours, &theirs) {
                Ok(next) => (next, Some(ours.version), Outcome::Renewed),
                Err(outcome) => return Ok(outcome),
            },
        };
        if dry_run || to.put(&next, expected).await? == PutOutcome::Stored {
            return Ok(outcome);
        }
        // The new app has written meanwhile: look again.
    }
}

/// Our record with their tokens, if these are newer.
fn renewed(ours: &MemberRecord, theirs: &MemberRecord) -> Result<MemberRecord, Outcome> {
    let (Some(mine), Some(new)) = (&ours.tokens, &theirs.tokens) else {
        return Err(Outcome::LeftHere);
    };
    if mine.expires_at >= new.expires_at {
        return Err(Outcome::Kept);
    }
    if ours.refresh.is_some() {
        let why = "its tokens are being refreshed right now: stop the new app, or try again";
        return Err(Outcome::Failed(why.to_owned()));
    }
    let mut next = ours.clone();
    next.tokens = Some(new.clone());
    next.authorized_at = ours.authorized_at.max(theirs.authorized_at);
    next.confirmed_at = ours.confirmed_at.max(theirs.confirmed_at);
    next.refresh_unanswered = false;
    next.version = Version::fresh();
    Ok(next)
}

/// How many came to what.
#[derive(Default)]
struct Tally {
    seen: u64,
    imported: u64,
    renewed: u64,
    kept: u64,
    had_left: u64,
    left_here: u64,
    failed: usize,
}

impl Tally {
    fn add(&mut self, id: &str, outcome: Outcome) {
        self.seen += 1;
        match outcome {
            Outcome::Imported => self.imported += 1,
            Outcome::Renewed => self.renewed += 1,
            Outcome::Kept => self.kept += 1,
            Outcome::HadLeft => self.had_left += 1,
            Outcome::LeftHere => self.left_here += 1,
            Outcome::Failed(why) => {
                self.failed += 1;
                output::note(output::plain(&format!("member {id}: {why}")));
            }
        }
    }

    fn end(&self, dry_run: bool, how: &str) -> Result<(), Failure> {
        let verb = if dry_run { "would be " } else { "" };
        output::line(format!("{} {verb}imported, {how}", self.imported))?;
        output::line(format!("{} {verb}given newer tokens", self.renewed))?;
        output::line(format!(
            "{} are here already, with these tokens or newer ones",
            self.kept
        ))?;
        output::line(format!("{} had left the project", self.had_left))?;
        output::line(format!("{} have left since, and stay away", self.left_here))?;
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::Partly(failed)),
        }
    }
}
