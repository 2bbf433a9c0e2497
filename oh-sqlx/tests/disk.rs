//! Full, read-only and failing disks, deleted files, and applications that block threads or hold the
//! pool.

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

/// A small file system in memory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Returns `None` and prints a message where mounting is not permitted. In CI it panics instead.
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
            "a tmpfs cannot be mounted, and CI skips no tests"
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

    /// Fills the disk except for `free` bytes.
    fn fill(&self, free: usize) {
        let mut file = fs::File::create(self.filler()).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(free as u64)).unwrap();
    }

    /// Remounts the disk, which is possible once all files are closed.
    async fn remount(&self, option: &str) {
        for _ in 0..200 {
            let done = Command::new("mount")
                .args(["-o", &format!("remount,{option}")])
                .arg(&self.0)
                .stderr(std::process::Stdio::null())
                .status();
            if done.unwrap().success() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the disk is still busy");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_rejects_events_on_full_disk_and_recovers() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let store = SqliteStore::connect(disk.path()).await.unwrap();
    let _ = store.accept(&event(0)).await.unwrap();
    disk.fill(64 << 10);
    let mut stored = 1;
    while let Ok(accepted) = store.accept(&event(stored)).await {
        assert!(matches!(accepted, Accepted::New(_)));
        stored += 1;
        assert!(stored < 10_000, "the disk did not fill up");
    }
    // While the disk is full, an event is either stored or rejected.
    for number in 20_000..20_020 {
        if store.accept(&event(number)).await.is_ok() {
            stored += 1;
        }
    }
    fs::remove_file(disk.filler()).unwrap();
    for number in 30_000..30_050 {
        let accepted = store.accept(&event(number)).await.unwrap();
        assert!(matches!(accepted, Accepted::New(_)));
        stored += 1;
    }
    assert_eq!(count(&store).await, stored);
    drop(store);
    let again = SqliteStore::connect(disk.path()).await.unwrap();
    assert_eq!(count(&again).await, stored, "an accepted event is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_fails_on_read_only_disk_and_recovers() {
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

/// Another process that accepts events. strace stops all threads of a process and its children, so the
/// test itself cannot be traced.
struct AcceptingProcess {
    process: Child,
    requests: ChildStdin,
    responses: Lines<BufReader<ChildStdout>>,
}

/// The variable with the path of the file. The other process is this test program with the variable set.
const FILE: &str = "OH_SQLX_BROKEN_DISK";

impl AcceptingProcess {
    fn start(path: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "accepting_process", "--nocapture"])
            .env(FILE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = process.stdin.take().unwrap();
        let responses = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            process,
            requests,
            responses,
        }
    }

    /// Accepts an event, and returns whether it was stored.
    fn accept(&mut self, number: usize) -> bool {
        writeln!(self.requests, "{number}").unwrap();
        let mut responses = self.responses.by_ref().map(Result::unwrap);
        let response = responses.find_map(|line| match line.as_str() {
            "accepted" => Some(true),
            "refused" => Some(false),
            _ => None,
        });
        response.expect("the process responds")
    }

    fn end(mut self) {
        drop(self.requests);
        assert!(self.process.wait().unwrap().success());
    }
}

/// The other process of `store_rejects_events_on_failing_disk_and_recovers`.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the test reads the output")]
async fn accepting_process() {
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

/// A failing disk: strace makes system calls on the files fail with EIO.
struct BrokenDisk(Child);

impl BrokenDisk {
    /// Returns `None` and prints a message where strace is missing or not permitted. In CI it panics
    /// instead.
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
        // strace prints this once it has attached to all threads.
        let attached = started.ok().and_then(|mut child| {
            let mut lines = BufReader::new(child.stderr.take()?).lines();
            let is_attached = |line: &std::io::Result<String>| {
                line.as_ref().is_ok_and(|line| line.contains("attached"))
            };
            lines.find(is_attached)?.ok()?;
            std::thread::spawn(move || lines.for_each(drop));
            Some(Self(child))
        });
        if attached.is_none() {
            assert!(
                std::env::var_os("CI").is_none(),
                "strace cannot attach, and CI skips no tests"
            );
            eprintln!("SKIPPED: strace is missing or not permitted");
        }
        attached
    }

    fn repair(mut self) {
        // strace detaches from all threads.
        let interrupted = Command::new("kill")
            .args(["-INT", &self.0.id().to_string()])
            .status();
        assert!(interrupted.unwrap().success());
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_rejects_events_on_failing_disk_and_recovers() {
    for calls in ["pwrite64", "fsync,fdatasync", "pread64"] {
        let file = SqliteFile::new();
        drop(file.open().await);
        let mut process = AcceptingProcess::start(&file.path());
        let mut stored: Vec<usize> = (0..5).filter(|number| process.accept(*number)).collect();
        assert_eq!(stored.len(), 5);
        let wal = PathBuf::from(format!("{}-wal", file.path().display()));
        let files = [&*file.path(), &*wal];
        let Some(broken) = BrokenDisk::failing(calls, files, &process.process) else {
            return;
        };
        stored.extend((10..20).filter(|number| process.accept(*number)));
        broken.repair();
        // Reads may be served from memory.
        assert!(
            stored.len() == 5 || calls == "pread64",
            "{calls}: {stored:?}"
        );
        let before = stored.len();
        stored.extend((30..40).filter(|number| process.accept(*number)));
        assert_eq!(stored.len(), before + 10, "{calls}: not repaired");
        process.end();
        let store = file.open().await;
        let found = store.events(&EventQuery::first(usize::MAX)).await.unwrap();
        for number in stored {
            let id = event(number).id;
            assert!(
                found.iter().any(|event| event.id == id),
                "{calls}: an accepted event is lost"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_rejects_events_when_file_is_deleted_or_replaced() {
    let file = SqliteFile::new();
    let store = file.open().await;
    let _ = store.accept(&event(0)).await.unwrap();
    let aside = file.path().with_extension("aside");
    fs::hard_link(file.path(), &aside).unwrap();
    let wal = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));

    fs::remove_file(file.path()).unwrap();
    for number in 1..4 {
        let error = store.accept(&event(number)).await.unwrap_err();
        let message = std::error::Error::source(&error).unwrap().to_string();
        assert!(message.contains("deleted or replaced"), "{message}");
    }
    assert!(!file.path().exists(), "no empty file is created");

    // Another file with the same name is not the database.
    fs::write(file.path(), b"").unwrap();
    assert!(store.accept(&event(4)).await.is_err());

    // The original file is restored.
    fs::rename(&aside, file.path()).unwrap();
    let _ = fs::remove_file(wal(&aside));
    let _ = store.accept(&event(5)).await.unwrap();
}

#[test]
fn store_writes_while_handler_blocks_its_thread() {
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
            // A handler that blocks.
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
async fn store_writes_while_handlers_hold_all_connections() {
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
