//! `oh import-django` with the table that django-open-humans 0.2.0 creates. `tests/python` imports
//! databases that the package itself created.

// Helpers of tests may unwrap as tests do.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "database")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use oh_core::store::{
    EncryptedStore, MemberRecord, PutOutcome, RefreshLease, TokenStore, Tokens, Version,
};
use oh_core::{OpenHumans, ProjectMemberId, Settings, Timestamp};
use oh_sandbox::Sandbox;
use oh_sandbox::defaults::CLIENT_SECRET;
use oh_sqlx::SqliteStore;
use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

const ALICE: &str = "01026778";
const BOB: &str = "00169953";
const CAROL: &str = "15546131";
const KEYS: &str = "2026:tLZ4OThwsQVVCEPB5z8QsFBR8nzVXZ4k6Kv1EIUcyZo=";
const HOUR: Duration = Duration::from_secs(3_600);

/// The table that Django 5.2 creates in SQLite, without the foreign key.
const TABLE: &str = r#"CREATE TABLE "openhumans_openhumansmember" ("oh_id" varchar(16) NOT NULL PRIMARY KEY,
    "access_token" varchar(256) NOT NULL, "refresh_token" varchar(256) NOT NULL,
    "token_expires" datetime NOT NULL, "public" bool NOT NULL, "user_id" integer NOT NULL UNIQUE,
    "oh_deauth" bool NOT NULL)"#;

/// The databases of the Django app and of the new app.
struct Import {
    django: SqlitePool,
    from: PathBuf,
    to: PathBuf,
    _dir: TempDir,
}

impl Import {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("django.sqlite");
        let options = SqliteConnectOptions::new()
            .filename(&from)
            .create_if_missing(true);
        let django = SqlitePool::connect_with(options).await.unwrap();
        sqlx::query(TABLE).execute(&django).await.unwrap();
        Self {
            django,
            from,
            to: dir.path().join("app.sqlite"),
            _dir: dir,
        }
    }

    async fn insert(&self, id: &str, tokens: (&str, &str), expires: &str, has_left: bool) {
        let insert = "INSERT OR REPLACE INTO openhumans_openhumansmember \
                      VALUES (?, ?, ?, ?, 0, abs(random()), ?)";
        let insert = sqlx::query(insert).bind(id).bind(tokens.0).bind(tokens.1);
        let insert = insert.bind(expires).bind(has_left);
        insert.execute(&self.django).await.unwrap();
    }

    async fn insert_member(&self, id: &str, tokens: (&str, &str), expires: Timestamp) {
        self.insert(id, tokens, &django_time(expires), false).await;
    }

    /// Runs the import, and returns its exit code and output.
    fn run(&self, options: &[&str], keys: &str) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_oh"))
            .env_clear()
            .env("OPENHUMANS_CLIENT_SECRET", CLIENT_SECRET)
            .env("OPENHUMANS_STORE_KEYS", keys)
            .args(["import-django", "--quiet", "--from", text(&self.from)])
            .args(["--to", text(&self.to)])
            .args(options)
            .output()
            .unwrap();
        let printed = [&output.stdout[..], &output.stderr[..]].concat();
        let printed = String::from_utf8(printed).unwrap();
        (output.status.code().unwrap(), printed)
    }

    /// Runs the import, and returns the numbers of its summary: imported, updated, unchanged, left
    /// before, left the new app.
    #[track_caller]
    fn summary(&self, options: &[&str]) -> [u64; 5] {
        let (code, printed) = self.run(options, "");
        assert_eq!(code, 0, "{printed}");
        numbers(&printed)
    }

    /// Opens the new app's store, with the key that is derived from the client secret.
    async fn store(&self) -> EncryptedStore<SqliteStore> {
        let settings = Settings::builder("id", CLIENT_SECRET, "https://app.example").build();
        let store = SqliteStore::connect(&self.to).await.unwrap();
        EncryptedStore::new(store, settings.unwrap().store_keys())
    }
}

fn numbers(printed: &str) -> [u64; 5] {
    let mut numbers = printed
        .lines()
        .filter_map(|line| line.split(' ').next().unwrap().parse().ok());
    [(); 5].map(|()| numbers.next().unwrap_or_else(|| panic!("{printed}")))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn id(text: &str) -> ProjectMemberId {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    "2026-11-27T12:00:00Z".parse().unwrap()
}

/// Formats a time as Django stores it in SQLite.
fn django_time(at: Timestamp) -> String {
    at.to_string().trim_end_matches('Z').replace('T', " ")
}

async fn load(store: &impl TokenStore, member: &str) -> MemberRecord {
    store.load(&id(member)).await.unwrap().unwrap()
}

async fn access_token(store: &impl TokenStore, member: &str) -> Option<String> {
    let tokens = load(store, member).await.tokens?;
    Some(tokens.access_token.expose().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_members_can_call_the_api() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    for keys in ["", KEYS] {
        let import = Import::new().await;
        let now = Timestamp::now();
        for (member, expires) in [(ALICE, now + 10 * HOUR), (BOB, now - HOUR)] {
            let issued = sandbox.issue_tokens(member);
            let tokens = (&*issued.access_token, &*issued.refresh_token);
            import.insert_member(member, tokens, expires).await;
        }
        sandbox.expire_tokens(BOB);
        let left = ("invalid", "invalid");
        import.insert(CAROL, left, &django_time(now), true).await;

        let (code, printed) = import.run(&[], keys);
        assert_eq!((code, numbers(&printed)), (0, [2, 0, 0, 1, 0]), "{printed}");
        let key = if keys.is_empty() { "cs-" } else { "2026" };
        assert!(
            printed.contains(&format!("encrypted with key {key}")),
            "{printed}"
        );
        let store = import.store().await.inner().clone();
        let token = access_token(&store, ALICE).await.unwrap();
        assert!(token.starts_with(&format!("ohs1.{key}")), "{token}");
        assert!(store.load(&id(CAROL)).await.unwrap().is_none());
        let settings = Settings::builder(
            sandbox.client_id(),
            sandbox.client_secret(),
            "https://app.example",
        )
        .oh_base_url(sandbox.url().as_str());
        let settings = match keys {
            "" => settings,
            keys => settings.store_keys(keys),
        };
        let openhumans = OpenHumans::builder(settings.build().unwrap()).token_store(store);
        let openhumans = openhumans.build().unwrap();
        let before = sandbox.token_requests();
        for member in [ALICE, BOB] {
            let client = openhumans.member_client(&id(member));
            assert_eq!(client.project_member_id().await.unwrap(), id(member));
        }
        // Only the token that had expired was refreshed.
        assert_eq!(sandbox.token_requests() - before, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_import_retains_newer_tokens_of_either_app() {
    let import = Import::new().await;
    for member in [ALICE, BOB, CAROL] {
        import.insert_member(member, ("a1", "r1"), noon()).await;
    }
    assert_eq!(import.summary(&[]), [3, 0, 0, 0, 0]);
    let store = import.store().await;
    let first = load(&store, ALICE).await;
    assert_eq!(first.tokens.as_ref().unwrap().expires_at, noon());
    // The time when the tokens were issued.
    assert_eq!(first.authorized_at, noon() - 10 * HOUR);
    assert_eq!(import.summary(&[]), [0, 0, 3, 0, 0]);
    assert_eq!(load(&store, ALICE).await.version, first.version);

    // The Django app refreshes Alice's tokens and the new app Bob's; Carol leaves the new app.
    import
        .insert_member(ALICE, ("a2", "r2"), noon() + HOUR)
        .await;
    let mut bob = load(&store, BOB).await;
    let version = bob.version;
    bob.tokens = Some(Tokens::new("a3", "r3", noon() + HOUR));
    bob.version = Version::fresh();
    let put = store.put(&bob, Some(version)).await.unwrap();
    assert_eq!(put, PutOutcome::Stored);
    let carol = load(&store, CAROL).await;
    let left = carol.deauthorized(noon());
    let put = store.put(&left, Some(carol.version)).await.unwrap();
    assert_eq!(put, PutOutcome::Stored);

    assert_eq!(import.summary(&[]), [0, 1, 1, 0, 1]);
    for (member, token) in [(ALICE, Some("a2")), (BOB, Some("a3")), (CAROL, None)] {
        assert_eq!(
            access_token(&store, member).await.as_deref(),
            token,
            "{member}"
        );
    }
    // The update does not end sessions.
    assert_eq!(load(&store, ALICE).await.epoch, first.epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_changes_nothing() {
    let import = Import::new().await;
    import.insert_member(ALICE, ("a1", "r1"), noon()).await;
    let (code, printed) = import.run(&["--dry-run"], KEYS);
    assert_eq!((code, numbers(&printed)), (0, [1, 0, 0, 0, 0]), "{printed}");
    assert!(printed.contains("1 would be imported"), "{printed}");
    assert!(!import.to.exists(), "a database was created");

    let store = import.store().await;
    import.summary(&["--dry-run"]);
    assert!(store.load(&id(ALICE)).await.unwrap().is_none());
    import.summary(&[]);
    let later = noon() + Duration::from_secs(1);
    import.insert_member(ALICE, ("a2", "r2"), later).await;
    assert_eq!(import.summary(&["--dry-run"]), [0, 1, 0, 0, 0]);
    assert_eq!(access_token(&store, ALICE).await.unwrap(), "a1");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_rows_are_reported_and_others_imported() {
    let import = Import::new().await;
    let secret = ("topsecret", "r");
    import.insert_member("not an id", secret, noon()).await;
    import.insert_member(ALICE, ("topsecret", ""), noon()).await;
    import.insert(BOB, secret, "sometime", false).await;
    import.insert_member(CAROL, ("a", "r"), noon()).await;
    // The new app is refreshing the tokens of this member.
    let refreshing = "00000001";
    import.insert_member(refreshing, ("a", "r"), noon()).await;
    let older = noon() - Duration::from_secs(1);
    let tokens = Tokens::new("b", "s", older);
    let mut record = MemberRecord::authorized(id(refreshing), tokens, noon());
    record.refresh = Some(RefreshLease::new("someone", noon()));
    let store = import.store().await;
    assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);

    let (code, printed) = import.run(&[], "");
    assert_eq!((code, numbers(&printed)), (1, [1, 0, 0, 0, 0]), "{printed}");
    for line in [
        "member not an id: ",
        "member 01026778: the row contains no tokens",
        "member 00169953: the expiry time is not valid",
        "member 00000001: the new app is refreshing the tokens",
        "oh: 4 failed",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(!printed.contains("topsecret"), "{printed}");
    assert_eq!(access_token(&store, CAROL).await.unwrap(), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_members_than_a_page_are_imported() {
    let import = Import::new().await;
    let mut tx = import.django.begin().await.unwrap();
    for number in 0..1_234 {
        let insert = "INSERT INTO openhumans_openhumansmember VALUES (?, 'a', 'r', ?, 0, ?, 0)";
        let insert = sqlx::query(insert).bind(format!("{number:08}"));
        let insert = insert.bind(django_time(noon())).bind(number);
        insert.execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(import.summary(&[]), [1_234, 0, 0, 0, 0]);
    let last = load(&import.store().await, "00001233").await;
    assert!(last.is_authorized());
}

#[test]
fn other_source_database_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("other.sqlite");
    std::fs::write(&empty, "").unwrap();
    let to = dir.path().join("app.sqlite");
    for (from, message) in [
        (
            text(&empty),
            "could not read the members of django-open-humans 0.2",
        ),
        (
            "/nonexistent/django.sqlite",
            "could not open /nonexistent/django.sqlite",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_oh"))
            .env_clear()
            .env("OPENHUMANS_CLIENT_SECRET", CLIENT_SECRET)
            .args(["import-django", "--from", from, "--to", text(&to)])
            .output()
            .unwrap();
        assert!(!output.status.success());
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(printed.contains(message), "{printed}");
    }
}
