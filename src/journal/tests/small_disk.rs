//! A real file system of a few MiB, where root may mount one: full disks as the kernel has them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A mounted tmpfs. Dropping it unmounts it.
pub struct SmallDisk {
    place: TempDir,
}

impl SmallDisk {
    /// A file system of so many KiB; nothing, and a word about it, where none may be mounted.
    pub fn mount(kib: u64) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let options = format!("size={kib}k");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "seshun-test"])
            .arg(place.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { place });
        }
        let _ = writeln!(io::stderr(), "skipped: no file system may be mounted here");
        None
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Takes all that is left, to the last block.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        for len in [64 * 1024, 4096, 1] {
            while filler.write_all(&vec![1; len]).is_ok() {}
        }
    }

    /// Gives back what was taken.
    pub fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    /// From now on nothing can be written to it.
    pub fn forbid_writing(&self) {
        let status = Command::new("mount").args(["-o", "remount,ro"]).arg(self.place.path()).status();
        assert!(status.unwrap().success());
    }

    fn filler(&self) -> PathBuf {
        self.place.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, in case that something on it is open in a test that has failed.
        let _ = Command::new("umount").arg("--lazy").arg(self.place.path()).status();
    }
}
