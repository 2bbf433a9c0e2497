//! `oh import-django` from a database with the table that django-open-humans 0.2.0 makes. Whole
//! databases that were made by that package are moved over in `tests/python`.

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

/// As Django 5.2 writes it into SQLite, but for the foreign key.
const TABLE: &str = r#"CREATE TABLE "openhumans_openhumansmember" ("oh_id" varchar(16) NOT NULL PRIMARY KEY,
    "access_token" varchar(256) NOT NULL, "refresh_token" varchar(256) NOT NULL,
    "token_expires" datetime NOT NULL, "public" bool NOT NULL, "user_id" integer NOT NULL UNIQUE,
    "oh_deauth" bool NOT NULL)"#;

/// The Django app's database, and where the new app's is to be.
struct Move {
    django: SqlitePool,
    from: PathBuf,
    to: PathBuf,
    _folder: TempDir,
}

impl Move {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("django.sqlite");
        let options = SqliteConnectOptions::new()
            .filename(&from)
            .create_if_missing(true);
        let django = SqlitePool::connect_with(options).await.unwrap();
        sqlx::query(TABLE).execute(&django).await.unwrap();
        Self {
            django,
            from,
            to: folder.path().join("app.sqlite"),
            _folder: folder,
        }
    }

    /// Keeps a member as the package does, with the time as Django writes it.
    async fn keep(&self, id: &str, access: &str, refresh: &str, expires: &str, has_left: bool) {
        let insert = "INSERT OR REPLACE INTO openhumans_openhumansmember \
                      VALUES (?, ?, ?, ?, 0, abs(random()), ?)";
        let insert = sqlx::query(insert).bind(id).bind(access).bind(refresh);
        let insert = insert.bind(expires).bind(has_left);
        insert.execute(&self.django).await.unwrap();
    }

    fn run(&self, args: &[&str], keys: &str) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_oh"))
            .env_clear()
            .env("OPENHUMANS_CLIENT_SECRET", CLIENT_SECRET)
            .env("OPENHUMANS_STORE_KEYS", keys)
            .args([
                "import-django",
                "--from",
                text(&self.from),
                "--to",
                text(&self.to),
            ])
            .args(args)
            .output()
            .unwrap();
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(said).unwrap(),
        )
    }

    /// The new application's store, with the key that is derived from the client secret.
    async fn store(&self) -> EncryptedStore<SqliteStore> {
        let settings = Settings::builder("id", CLIENT_SECRET, "https://app.example").build();
        let store = SqliteStore::connect(&self.to).await.unwrap();
        EncryptedStore::new(store, settings.unwrap().store_keys())
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn id(text: &str) -> ProjectMemberId {
    text.parse().unwrap()
}

/// A time as Django writes it into SQLite.
fn django(at: Timestamp) -> String {
    at.to_string().trim_end_matches('Z').replace('T', " ")
}

/// Lines of the summary: how many were imported, given newer tokens, kept, had left, left since.
fn summary(said: &str) -> [u64; 5] {
    let mut lines = said
        .lines()
        .filter(|line| !line.ends_with("looked at") && !line.starts_with("oh: "));
    let count = |line: Option<&str>| line.unwrap().split(' ').next().unwrap().parse().unwrap();
    [(); 5].map(|()| count(lines.by_ref().find(|line| !line.starts_with("member "))))
}

async fn tokens(store: &impl TokenStore, member: &str) -> Option<(String, Timestamp)> {
    let tokens = store.load(&id(member)).await.unwrap()?.tokens?;
    Some((tokens.access_token.expose().to_owned(), tokens.expires_at))
}

#[tokio::test(flavor = "multi_thread")]
async fn import_django_encrypts_tokens_and_members_next_call_works() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    for keys in ["", KEYS] {
        let over = Move::begin().await;
        let now = Timestamp::now();
        for (member, expires) in [
            (ALICE, now + Duration::from_secs(36_000)),
            (BOB, now - Duration::from_secs(3_600)),
        ] {
            let issued = sandbox.issue_tokens(member);
            let (access, refresh) = (&issued.access_token, &issued.refresh_token);
            over.keep(member, access, refresh, &django(expires), false)
                .await;
        }
        sandbox.expire_tokens(BOB);
        over.keep(CAROL, "dead", "dead", &django(now), true).await;

        let (code, said) = over.run(&[], keys);
        assert_eq!((code, summary(&said)), (0, [2, 0, 0, 1, 0]), "{said}");
        let key = if keys.is_empty() { "cs-" } else { "2026" };
        assert!(
            said.contains(&format!("encrypted with the key {key}")),
            "{said}"
        );

        let store = over.store().await.inner().clone();
        let kept = tokens(&store, ALICE).await.unwrap().0;
        assert!(kept.starts_with(&format!("ohs1.{key}")), "{kept}");
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
            let who = openhumans
                .member_client(&id(member))
                .project_member_id()
                .await;
            assert_eq!(who.unwrap(), id(member));
        }
        assert_eq!(
            sandbox.token_requests() - before,
            1,
            "bob's was refreshed, alice's was not"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_run_again_and_newer_tokens_win_on_either_side() {
    let over = Move::begin().await;
    let noon: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
    let hour = Duration::from_secs(3_600);
    for member in [ALICE, BOB, CAROL] {
        over.keep(member, "a1", "r1", &django(noon), false).await;
    }
    assert_eq!(summary(&over.run(&[], "").1), [3, 0, 0, 0, 0]);
    let store = over.store().await;
    let first = store.load(&id(ALICE)).await.unwrap().unwrap();
    assert_eq!(first.tokens.as_ref().unwrap().expires_at, noon);
    assert_eq!(
        first.authorized_at,
        noon - Duration::from_secs(36_000),
        "when it was issued"
    );
    assert_eq!(summary(&over.run(&[], "").1), [0, 0, 3, 0, 0]);
    let again = store.load(&id(ALICE)).await.unwrap().unwrap();
    assert_eq!(again.version, first.version, "nothing was written");

    // Alice's were refreshed by the old app, Bob's by the new one, and Carol has left the new one.
    over.keep(ALICE, "a2", "r2", &django(noon + hour), false)
        .await;
    let mut bob = store.load(&id(BOB)).await.unwrap().unwrap();
    let version = bob.version;
    bob.tokens = Some(Tokens::new("a3", "r3", noon + hour));
    bob.version = Version::fresh();
    assert_eq!(
        store.put(&bob, Some(version)).await.unwrap(),
        PutOutcome::Stored
    );
    let carol = store.load(&id(CAROL)).await.unwrap().unwrap();
    let left = carol.deauthorized(noon);
    assert_eq!(
        store.put(&left, Some(carol.version)).await.unwrap(),
        PutOutcome::Stored
    );

    assert_eq!(summary(&over.run(&[], "").1), [0, 1, 1, 0, 1]);
    assert_eq!(
        tokens(&store, ALICE).await.unwrap(),
        ("a2".to_owned(), noon + hour)
    );
    assert_eq!(
        tokens(&store, BOB).await.unwrap(),
        ("a3".to_owned(), noon + hour)
    );
    assert_eq!(tokens(&store, CAROL).await, None, "she stays away");
    // Sessions that have begun here go on.
    let alice = store.load(&id(ALICE)).await.unwrap().unwrap();
    assert_eq!(alice.epoch, first.epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_the_same_and_changes_nothing() {
    let over = Move::begin().await;
    let noon: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
    over.keep(ALICE, "a1", "r1", &django(noon), false).await;
    let (code, said) = over.run(&["--dry-run"], KEYS);
    assert_eq!((code, summary(&said)), (0, [1, 0, 0, 0, 0]), "{said}");
    assert!(said.contains("1 would be imported"), "{said}");
    assert!(!over.to.exists(), "a database was made");

    let store = over.store().await;
    over.run(&["--dry-run"], "");
    assert!(store.load(&id(ALICE)).await.unwrap().is_none());
    over.run(&[], "");
    over.keep(
        ALICE,
        "a2",
        "r2",
        &django(noon + Duration::from_secs(1)),
        false,
    )
    .await;
    let (_, said) = over.run(&["--dry-run"], "");
    assert_eq!(summary(&said), [0, 1, 0, 0, 0], "{said}");
    assert_eq!(tokens(&store, ALICE).await.unwrap().0, "a1");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_brought_over_is_named_and_keeps_nobody_else_back() {
    let over = Move::begin().await;
    let noon: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
    over.keep("not an id", "topsecret", "r", &django(noon), false)
        .await;
    over.keep(ALICE, "topsecret", "", &django(noon), false)
        .await;
    over.keep(BOB, "topsecret", "r", "whenever", false).await;
    over.keep(CAROL, "a", "r", &django(noon), false).await;
    // Someone whose tokens are being refreshed by the new app.
    over.keep("00000001", "a", "r", &django(noon), false).await;
    let mut busy = MemberRecord::authorized(
        id("00000001"),
        Tokens::new("b", "s", noon - Duration::from_secs(1)),
        noon,
    );
    busy.refresh = Some(RefreshLease::new("someone", noon));
    let store = over.store().await;
    assert_eq!(store.put(&busy, None).await.unwrap(), PutOutcome::Stored);

    let (code, said) = over.run(&[], "");
    assert_eq!((code, summary(&said)), (1, [1, 0, 0, 0, 0]), "{said}");
    for line in [
        "member not an id: ",
        "member 01026778: there are no tokens",
        "member 00169953: when the token expires cannot be read",
        "member 00000001: its tokens are being refreshed",
        "oh: 4 failed",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("topsecret"), "{said}");
    assert_eq!(tokens(&store, CAROL).await.unwrap().0, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_come_over_page_by_page() {
    let over = Move::begin().await;
    let noon: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
    let mut tx = over.django.begin().await.unwrap();
    for number in 0..1_234 {
        let insert = "INSERT INTO openhumans_openhumansmember VALUES (?, 'a', 'r', ?, 0, ?, 0)";
        let insert = sqlx::query(insert)
            .bind(format!("{number:08}"))
            .bind(django(noon));
        insert.bind(number).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let (code, said) = over.run(&[], "");
    assert_eq!((code, summary(&said)), (0, [1_234, 0, 0, 0, 0]), "{said}");
    let last = over.store().await.load(&id("00001233")).await.unwrap();
    assert!(last.unwrap().is_authorized());
}

#[test]
fn a_database_that_is_none_of_django_open_humans_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("other.sqlite");
    std::fs::write(&from, "").unwrap();
    let run = |from: &Path| {
        let to = folder.path().join("app.sqlite");
        let output = Command::new(env!("CARGO_BIN_EXE_oh"))
            .env_clear()
            .args(["import-django", "--from", text(from), "--to", text(&to)])
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run(&from);
    assert!(
        said.contains("django-open-humans 0.2 could not be read"),
        "{said}"
    );
    let said = run(Path::new("/nonexistent/django.sqlite"));
    assert!(
        said.contains("/nonexistent/django.sqlite cannot be used"),
        "{said}"
    );
}
