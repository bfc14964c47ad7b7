//! Where the journal of a test lies: a folder on the ordinary disk, a small file system, or one
//! whose disk promises more than it has.
//!
//! On a small one segments are short, so the log is cleaned again and again, and the disk
//! can be filled. On a thin one writes go well and syncs do not, once what lies below is full.
//! Both take the right to mount; where it is missing, that is said aloud. What is mounted is
//! unmounted in any case: by a shell of its own where the tests are killed.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A segment is this part of a small file system.
const SEGMENTS_PER_DISK: u64 = 16;
/// What the disk of a thin file system has, and what it says it has.
const THIN_MIB: u32 = 16;
const THIN_PROMISED_BYTES: u64 = 64 * 1024 * 1024;

/// Unmounts `$1/journal` and `$1/below` when its standard input, held by the tests, ends.
const WATCHDOG: &str = r#"
read -r _
umount -l "$1/journal" 2>/dev/null
umount -l "$1/below" 2>/dev/null
rm -rf "$1"
"#;

/// A folder for a journal, which is removed in the end.
pub struct Volume {
    dir: TempDir,
    /// Of the whole file system, where it is a small one.
    mib: Option<u32>,
    /// What waits for the end of the tests, where something is mounted.
    watchdog: Option<Child>,
}

impl Volume {
    /// On the ordinary disk.
    pub fn plain() -> Self {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder takes another");
        Self { dir, mib: None, watchdog: None }
    }

    /// A file system of its own of so many MiB, in memory. None where it cannot be had.
    pub fn small(mib: u32) -> Option<Self> {
        let mut volume = Self::watched();
        let mounted = volume.mount_memory("journal", mib);
        volume.mib = Some(mib);
        or_said_aloud(volume, mounted)
    }

    /// A file system on a disk that has less room than it promises. None where it cannot be had.
    pub fn thin() -> Option<Self> {
        let volume = Self::watched();
        let mounted = volume.mount_memory("below", THIN_MIB).and_then(|()| {
            let disk = volume.disk();
            let file = File::create(&disk).and_then(|file| file.set_len(THIN_PROMISED_BYTES));
            file.map_err(|why| why.to_string())?;
            run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk))?;
            fs::create_dir(volume.path()).map_err(|why| why.to_string())?;
            volume.mount_disk()
        });
        or_said_aloud(volume, mounted)
    }

    /// The folder.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    /// How long the journal's segments are, in bytes, where they are short.
    pub fn segment_bytes(&self) -> Option<u64> {
        self.mib.map(|mib| u64::from(mib) * 1024 * 1024 / SEGMENTS_PER_DISK)
    }

    /// The disk of a thin file system has no block left for what was never written.
    pub fn exhaust(&self) {
        fill(&self.dir.path().join("below/filler"));
    }

    /// The disk of a thin file system has room again, and shows what it has: what was not
    /// written is forgotten.
    pub fn recover(&self) {
        fs::remove_file(self.dir.path().join("below/filler")).expect("it was exhausted");
        run(Command::new("umount").arg(self.path())).expect("nobody uses it any more");
        self.mount_disk().expect("it was mounted before");
    }

    /// A folder with a shell that waits for the end of the tests.
    fn watched() -> Self {
        let mut volume = Self::plain();
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG, "sh"]).arg(volume.dir.path()).stdin(Stdio::piped());
        let watchdog = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell starts");
        volume.watchdog = Some(watchdog);
        volume
    }

    fn mount_memory(&self, name: &str, mib: u32) -> Result<(), String> {
        let path = self.dir.path().join(name);
        fs::create_dir(&path).map_err(|why| why.to_string())?;
        let options = format!("size={mib}m,mode=0700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "seshun-test"]).arg(path))
    }

    fn mount_disk(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.disk()).arg(self.path()))
    }

    fn disk(&self) -> PathBuf {
        self.dir.path().join("below/disk")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let Some(mut watchdog) = self.watchdog.take() else { return };
        for name in ["journal", "below"].map(|name| self.dir.path().join(name)) {
            // Not all of them is mounted; what is still in use goes with its last user.
            if run(Command::new("umount").arg(&name)).is_err() {
                let _ = run(Command::new("umount").arg("-l").arg(&name));
            }
        }
        let _ = watchdog.kill();
        let _ = watchdog.wait();
    }
}

fn or_said_aloud(volume: Volume, mounted: Result<(), String>) -> Option<Volume> {
    let why = mounted.err();
    why.iter().for_each(|why| say(&format!("SKIPPED: no file system can be mounted here: {why}")));
    why.is_none().then_some(volume)
}

/// Takes all that is left of a file system, to the last block.
pub fn fill(path: &Path) {
    let mut file = File::create(path).expect("there is room for a file's name");
    for len in [1 << 20, 4_096, 512, 1] {
        let piece = vec![1; len];
        while matches!(file.write(&piece), Ok(count) if count > 0) {}
    }
    let why = file.write(&[1]).expect_err("the file system is full");
    assert_eq!(why.kind(), std::io::ErrorKind::StorageFull);
}

/// Runs a command; what it said where it failed.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|why| why.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Says something whether or not the test fails.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
