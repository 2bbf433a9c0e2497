//! Fault injection beside the kills: database crashes, full disks and wrong clocks.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use oh_core::{Clock, Timestamp};
use oh_tests::cluster::Cluster;
use tokio::time::sleep;

use crate::Result;
use crate::participants::random;

/// What can fail.
pub(crate) enum Fragile {
    /// A PostgreSQL cluster of this program.
    Server(Cluster),
    /// A small file system in memory.
    Disk(SmallDisk),
}

impl Fragile {
    /// Injects a fault, and ends it a little later.
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

/// A small file system in memory. Mounting it requires root.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// With enough space for the data of `kills` kills.
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
        // Until the disk is full.
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

/// The machine's clock, which is stepped during the run. All processes read it from a file.
pub(crate) struct MachineClock {
    // The offset in microseconds.
    file: PathBuf,
}

impl MachineClock {
    /// Creates a correct clock with its file in this folder.
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        let clock = Self {
            file: folder.join("clock"),
        };
        clock.step(Duration::ZERO, 0)?;
        Ok(clock)
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Steps the clock: every second step corrects it.
    pub(crate) fn lie_at_random(&self) -> Result {
        const HOUR: Duration = Duration::from_secs(3_600);
        const BIT: Duration = Duration::from_secs(30);
        match random(40) {
            0 => self.step(20 * 365 * 24 * HOUR, 1),
            1 => self.step(HOUR, 1),
            2 => self.step(HOUR, -1),
            3 => self.step(BIT, 1),
            4 => self.step(BIT, -1),
            5..=9 => self.step(Duration::ZERO, 0),
            _ => Ok(()),
        }
    }

    /// Sets the offset.
    pub(crate) fn step(&self, by: Duration, sign: i64) -> Result {
        let micros = i64::try_from(by.as_micros())?.saturating_mul(sign);
        let new = self.file.with_extension("new");
        std::fs::write(&new, micros.to_string())?;
        Ok(std::fs::rename(new, &self.file)?)
    }
}

/// The clock of a process, which follows the file.
pub(crate) fn clock(file: Option<&Path>) -> Result<Clock> {
    let Some(file) = file.map(Path::to_owned) else {
        return Ok(Clock::system());
    };
    let read = move || -> Result<Timestamp> {
        let wrong_by: i64 = std::fs::read_to_string(&file)?.parse()?;
        Ok(Timestamp::from_micros(
            Timestamp::now().as_micros() + wrong_by,
        ))
    };
    let clock = Clock::manual(read()?);
    let hands = clock.clone();
    // Not a task, because the runtime may be busy.
    std::thread::spawn(move || {
        while let Ok(now) = read() {
            hands.set(now);
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    Ok(clock)
}
