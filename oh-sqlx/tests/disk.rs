//! What a disk can do to an SQLite file, and what an app can do to the store's threads and pool.

#![allow(clippy::unwrap_used, reason = "a test may, and so may its helpers")]
#![allow(clippy::print_stderr, reason = "a skipped test must be seen")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use common::SqliteFile;
use oh_core::deauth::{
    Accepted, DeauthEvent, DeauthInbox, Discovery, ErasureRequest, EventId, EventQuery, Pseudonym,
};
use oh_core::store::{MemberRecord, PutOutcome, TokenStore, Tokens};
use oh_core::{ProjectMemberId, Timestamp};
use oh_sqlx::SqliteStore;
use sqlx::sqlite::SqlitePoolOptions;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + seconds * 1_000_000)
}

fn id(number: usize) -> ProjectMemberId {
    format!("{number:08}").parse().unwrap()
}

fn event(number: usize) -> DeauthEvent {
    DeauthEvent {
        id: EventId::new(format!("{number:032x}")),
        member: id(number),
        pseudonym: Pseudonym::new(format!("{number:032x}")),
        erasure: ErasureRequest::Requested,
        discovery: Discovery::Webhook,
        left_at: at(50),
        received_at: at(100),
    }
}

async fn count(store: &SqliteStore) -> usize {
    let query = EventQuery::first(usize::MAX);
    store.events(&query).await.unwrap().len()
}

/// A file system of its own, in memory and small.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where nothing may be mounted; then it has been said, unless it must be possible.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap().keep();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(&dir)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "a tmpfs cannot be mounted, and in CI nothing is skipped"
        );
        eprintln!("SKIPPED: a tmpfs cannot be mounted here (it takes root)");
        None
    }

    fn path(&self) -> PathBuf {
        self.0.join("openhumans.sqlite")
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves so many bytes free.
    fn fill(&self, leave: usize) {
        let mut file = fs::File::create(self.filler()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(leave as u64)).unwrap();
    }

    /// Possible once nobody has a file open any more, of which nobody is told.
    async fn remount(&self, how: &str) {
        for _ in 0..200 {
            let done = Command::new("mount")
                .args(["-o", &format!("remount,{how}")])
                .arg(&self.0)
                .stderr(std::process::Stdio::null())
                .status();
            if done.unwrap().success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the disk stays busy");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_room_is_all_it_takes_to_go_on() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let store = SqliteStore::connect(disk.path()).await.unwrap();
    let _ = store.accept(&event(0)).await.unwrap();
    disk.fill(64 << 10);
    let mut kept = 1;
    while let Ok(accepted) = store.accept(&event(kept)).await {
        assert!(matches!(accepted, Accepted::New(_)));
        kept += 1;
        assert!(kept < 10_000, "the disk never was full");
    }
    // Still full: each is refused, none is lost without a word.
    for number in 20_000..20_020 {
        if store.accept(&event(number)).await.is_ok() {
            kept += 1;
        }
    }
    fs::remove_file(disk.filler()).unwrap();
    for number in 30_000..30_050 {
        let accepted = store.accept(&event(number)).await.unwrap();
        assert!(matches!(accepted, Accepted::New(_)));
        kept += 1;
    }
    assert_eq!(count(&store).await, kept);
    drop(store);
    let again = SqliteStore::connect(disk.path()).await.unwrap();
    assert_eq!(
        count(&again).await,
        kept,
        "what was accepted is on the disk"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_read_only_for_a_while_refuses_for_a_while() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let store = SqliteStore::connect(disk.path()).await.unwrap();
    let _ = store.accept(&event(0)).await.unwrap();
    store.pool().close().await;
    drop(store);
    disk.remount("ro").await;
    assert!(SqliteStore::connect(disk.path()).await.is_err());
    disk.remount("rw").await;
    let store = SqliteStore::connect(disk.path()).await.unwrap();
    let _ = store.accept(&event(1)).await.unwrap();
    assert_eq!(count(&store).await, 2);
}

/// A process that accepts events when told to. One of its own: strace stops every thread of a
/// process, and whatever it forks.
struct Accepting {
    process: Child,
    told: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// Names the SQLite file to the process, which is this program again.
const FILE: &str = "OH_SQLX_BROKEN_DISK";

impl Accepting {
    fn start(path: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "accepting", "--nocapture"])
            .env(FILE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            process,
            told,
            answers,
        }
    }

    /// Whether the event of this number was accepted.
    fn accept(&mut self, number: usize) -> bool {
        writeln!(self.told, "{number}").unwrap();
        let mut answers = self.answers.by_ref().map(Result::unwrap);
        let answer = answers.find_map(|line| match line.as_str() {
            "accepted" => Some(true),
            "refused" => Some(false),
            _ => None,
        });
        answer.expect("the process is there")
    }

    fn end(mut self) {
        drop(self.told);
        assert!(self.process.wait().unwrap().success());
    }
}

/// Not a test of its own: the other process of the one below.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "it answers there")]
async fn accepting() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let store = SqliteStore::connect(path).await.unwrap();
    for line in std::io::stdin().lines() {
        let number = line.unwrap().parse().unwrap();
        match store.accept(&event(number)).await {
            Ok(_) => println!("accepted"),
            Err(_) => println!("refused"),
        }
    }
}

/// A disk that breaks: strace has system calls upon some files fail with EIO.
struct BrokenDisk(Child);

impl BrokenDisk {
    /// `None` where there is no strace, or it may not; then it has been said, unless it must be
    /// possible.
    fn failing(calls: &str, files: [&Path; 2], process: &Child) -> Option<Self> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-e", &format!("inject={calls}:error=EIO")]);
        for file in files {
            strace.arg("-P").arg(file);
        }
        let started = strace
            .args(["-p", &process.id().to_string()])
            .stderr(Stdio::piped())
            .spawn();
        // It says so once it has every thread.
        let attached = started.ok().and_then(|mut child| {
            let mut lines = BufReader::new(child.stderr.take()?).lines();
            let said = |line: &std::io::Result<String>| {
                line.as_ref().is_ok_and(|line| line.contains("attached"))
            };
            lines.find(said)?.ok()?;
            std::thread::spawn(move || lines.for_each(drop));
            Some(Self(child))
        });
        if attached.is_none() {
            assert!(
                std::env::var_os("CI").is_none(),
                "strace cannot attach, and in CI nothing is skipped"
            );
            eprintln!("SKIPPED: a broken disk takes strace, and the right to use it");
        }
        attached
    }

    fn mend(mut self) {
        // Told so, it lets go of every thread.
        let told = Command::new("kill")
            .args(["-INT", &self.0.id().to_string()])
            .status();
        assert!(told.unwrap().success());
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_with_errors_refuses_and_goes_on_once_it_is_mended() {
    for calls in ["pwrite64", "fsync,fdatasync", "pread64"] {
        let file = SqliteFile::new();
        drop(file.open().await);
        let mut process = Accepting::start(&file.path());
        let mut kept: Vec<usize> = (0..5).filter(|number| process.accept(*number)).collect();
        assert_eq!(kept.len(), 5);
        let wal = PathBuf::from(format!("{}-wal", file.path().display()));
        let files = [&*file.path(), &*wal];
        let Some(broken) = BrokenDisk::failing(calls, files, &process.process) else {
            return;
        };
        kept.extend((10..20).filter(|number| process.accept(*number)));
        broken.mend();
        // What is read may be in memory already.
        assert!(kept.len() == 5 || calls == "pread64", "{calls}: {kept:?}");
        let before = kept.len();
        kept.extend((30..40).filter(|number| process.accept(*number)));
        assert_eq!(kept.len(), before + 10, "{calls}: not mended");
        process.end();
        let store = file.open().await;
        let found = store.events(&EventQuery::first(usize::MAX)).await.unwrap();
        for number in kept {
            let id = event(number).id;
            assert!(
                found.iter().any(|event| event.id == id),
                "{calls}: one is lost"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_into_a_file_that_was_deleted_or_replaced() {
    let file = SqliteFile::new();
    let store = file.open().await;
    let _ = store.accept(&event(0)).await.unwrap();
    let aside = file.path().with_extension("aside");
    fs::hard_link(file.path(), &aside).unwrap();
    let wal = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));

    fs::remove_file(file.path()).unwrap();
    for number in 1..4 {
        let error = store.accept(&event(number)).await.unwrap_err();
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(why.contains("deleted or replaced"), "{why}");
    }
    assert!(
        !file.path().exists(),
        "and no empty one is made in its place"
    );

    // Another file under the name is not it either.
    fs::write(file.path(), b"").unwrap();
    assert!(store.accept(&event(4)).await.is_err());

    // Put back, it is.
    fs::rename(&aside, file.path()).unwrap();
    let _ = fs::remove_file(wal(&aside));
    let _ = store.accept(&event(5)).await.unwrap();
}

#[test]
fn a_handler_that_blocks_its_thread_keeps_nobody_from_writing() {
    let file = SqliteFile::new();
    let (opened, store) = mpsc::channel();
    let (written, wait) = mpsc::channel();
    let path = file.path();
    let blocked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let store = SqliteStore::connect(path).await.unwrap();
            let _ = store.accept(&event(1)).await.unwrap();
            opened.send(store).unwrap();
            // A handler that is not asynchronous.
            wait.recv_timeout(Duration::from_secs(60)).is_ok()
        })
    });
    let store = store.recv().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let accepted = runtime.block_on(async { store.accept(&event(2)).await });
    assert!(matches!(accepted, Ok(Accepted::New(_))), "{accepted:?}");
    written.send(()).unwrap();
    assert!(blocked.join().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_hold_all_connections_keep_nobody_from_writing() {
    let file = SqliteFile::new();
    drop(file.open().await);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect(&format!("sqlite://{}", file.path().display()))
        .await
        .unwrap();
    let store = SqliteStore::new(pool.clone());
    let mut held = pool.begin().await.unwrap();
    let _: i64 = sqlx::query_scalar("SELECT count(*) FROM oh_events")
        .fetch_one(&mut *held)
        .await
        .unwrap();
    let accepted = store.accept(&event(1)).await.unwrap();
    assert!(matches!(accepted, Accepted::New(_)));
    let record = MemberRecord::authorized(id(2), Tokens::new("a", "r", at(1)), at(0));
    assert_eq!(store.put(&record, None).await.unwrap(), PutOutcome::Stored);
    held.rollback().await.unwrap();
    assert_eq!(count(&store).await, 1);
}
