//! What goes wrong besides the kills: a database that crashes, a disk that fills, clocks that lie.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use oh_core::{Clock, Timestamp};
use oh_tests::cluster::Cluster;
use tokio::time::sleep;

use crate::Result;
use crate::cast::random;

/// What can be broken, and mended again.
pub(crate) enum Fragile {
    /// A PostgreSQL of this program's own.
    Server(Cluster),
    /// A small file system in memory.
    Disk(SmallDisk),
}

impl Fragile {
    /// Breaks it, and mends it a little later.
    pub(crate) async fn break_for_a_while(&self) -> Result {
        match self {
            Self::Server(cluster) => {
                tokio::task::block_in_place(|| cluster.crash())?;
                sleep(Duration::from_millis(random(1_000))).await;
                tokio::task::block_in_place(|| cluster.resume())?;
            }
            Self::Disk(disk) => {
                tokio::task::block_in_place(|| disk.fill())?;
                sleep(Duration::from_millis(200 + random(1_000))).await;
                disk.free()?;
            }
        }
        Ok(())
    }
}

/// A file system of its own, in memory and small. Mounting takes root.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// With room for what is written between so many kills.
    pub(crate) fn mount(kills: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?.keep();
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={}m", 64 + kills / 8),
                "tmpfs",
            ])
            .arg(&folder)
            .status()?;
        match mounted.success() {
            true => Ok(Self(folder)),
            false => Err("faults of the disk need a tmpfs, and that cannot be mounted".into()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn fill(&self) -> Result {
        let mut file = std::fs::File::create(self.0.join("filler"))?;
        // Ends when the disk is full.
        while file.write_all(&[0; 4_096]).is_ok() {}
        Ok(())
    }

    fn free(&self) -> Result {
        Ok(std::fs::remove_file(self.0.join("filler"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// By how many seconds the clock of a new process is wrong: mostly not.
pub(crate) fn wrong_by() -> i64 {
    match random(20) {
        0 => 20 * 365 * 86_400,
        1 => 3_600,
        2 => 30,
        3 => -30,
        4 => -3_600,
        _ => 0,
    }
}

/// A clock that goes, wrong by so many seconds, and is stepped once in a while by up to two.
pub(crate) fn clock(wrong_by: i64) -> Clock {
    if wrong_by == 0 {
        return Clock::system();
    }
    let told = move |step: i64| {
        let micros = Timestamp::now().as_micros();
        Timestamp::from_micros(micros + wrong_by * 1_000_000 + step)
    };
    let clock = Clock::manual(told(0));
    let hands = clock.clone();
    tokio::spawn(async move {
        let mut step = 0;
        loop {
            if random(100) == 0 {
                step = i64::try_from(random(4_000_000)).unwrap_or(0) - 2_000_000;
            }
            hands.set(told(step));
            sleep(Duration::from_millis(5)).await;
        }
    });
    clock
}
