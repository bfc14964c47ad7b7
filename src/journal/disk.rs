//! The journal's folder on a real file system.
//!
//! A marker file says that the folder is a journal's, and is locked for as long as the
//! process lives; a folder with anything else in it and no marker is refused, so that no
//! slip in a path fills or empties somebody's home. The folder is 0700, its files are 0600.
//! No segment is removed while a backup shares the folder's lock. Calls block: they belong
//! on the journal's own threads.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, IoSlice, Read, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::fs::{Advice, FallocateFlags, FlockOperation, StatVfs, fadvise, flock};
use rustix::io::Errno;

use super::folder::{MARKER_NAME, MARKER_TEXT, list_segments};
use super::storage::{SegmentFile, Storage, StorageError, segment_len_for};
use super::units::SegmentNumber;
use crate::types::ByteCount;

/// What a fresh file system may hold by itself.
const LOST_AND_FOUND: &str = "lost+found";
/// The most slices that one `pwritev` takes (`IOV_MAX`).
const SLICES_MAX: usize = 1024;
/// How much of a segment's page cache is given back at a time before it is removed, and how long the
/// CPU is left to others in between: 64 MiB at once would keep it from them for 11 ms. So they take
/// 85 ms, and one removal behind the other gives back 750 MiB a second.
const FORGOTTEN_LEN: u64 = 512 * 1024;
const FORGET_PAUSE: Duration = Duration::from_micros(500);
/// How often the marker's lock is tried, and how long it is left alone in between: somebody
/// who only looks whether it is locked has it for a moment.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The folder cannot be a journal's. The process ends before it listens.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has locked it.
    #[error("{0} is in use by another process: two on one journal would ruin it")]
    InUse(PathBuf),
    /// It has files and no marker.
    #[error("{0} is not empty and no journal's folder: name an empty or a new one")]
    NotOurs(PathBuf),
    /// Its marker is of another format.
    #[error("{0} was written by another version of seshun, whose format this one does not know")]
    OtherFormat(PathBuf),
    /// The system refused something.
    #[error("the journal's folder {path} cannot be opened: {source}")]
    Failed {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// An open, locked folder. Clones share the lock, which goes with the last of them.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Locked>);

#[derive(Debug)]
struct Locked {
    path: PathBuf,
    /// The open folder, for what is asked of the folder itself. Locked for the moment of an
    /// unlink.
    directory: File,
    /// Locked for as long as it is open.
    _marker: File,
}

impl Disk {
    /// Opens the folder at `path` and locks it; makes it first where it is missing.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Failed { path: path.to_owned(), source };
        make_folder(path).map_err(failed)?;
        let directory = File::open(path).map_err(failed)?;
        let marker_path = path.join(MARKER_NAME);
        let is_new = !marker_path.try_exists().map_err(failed)?;
        if is_new && !is_empty(path).map_err(failed)? {
            return Err(OpenError::NotOurs(path.to_owned()));
        }
        let mut marker = private().create(true).open(&marker_path).map_err(failed)?;
        match lock(&marker) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(OpenError::InUse(path.to_owned())),
            Err(error) => return Err(failed(error.into())),
        }
        if !has_known_text(&mut marker).map_err(failed)? {
            return Err(OpenError::OtherFormat(path.to_owned()));
        }
        if is_new {
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(failed)?;
        }
        directory.sync_all().map_err(failed)?;
        Ok(Self(Arc::new(Locked { path: path.to_owned(), directory, _marker: marker })))
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn path_of(&self, number: SegmentNumber) -> PathBuf {
        self.0.path.join(number.file_name())
    }

    /// Keeps backups out until [`Disk::let_backups_in`], unless one is there.
    fn keep_backups_out(&self) -> Result<(), StorageError> {
        match flock(&self.0.directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(Errno::WOULDBLOCK) => Err(StorageError::Held),
            Err(error) => Err(failed("removal of a segment", error)),
        }
    }

    /// They wait until then, or until the open folder goes.
    fn let_backups_in(&self) {
        let _ = flock(&self.0.directory, FlockOperation::Unlock);
    }

    fn statistics(&self) -> Result<StatVfs, StorageError> {
        rustix::fs::fstatvfs(&self.0.directory).map_err(|errno| failed("look at the file system", errno))
    }
}

fn failed(operation: &'static str, error: impl Into<io::Error>) -> StorageError {
    StorageError::new(operation, error.into())
}

/// Options for files that nobody else may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Makes the folder and those above it, and makes sure that it will be found again.
fn make_folder(path: &Path) -> io::Result<()> {
    let mut made = Vec::new();
    for folder in path.ancestors().filter(|folder| *folder != Path::new("")) {
        if folder.try_exists()? {
            break;
        }
        made.push(folder);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    made.into_iter().try_for_each(sync_parent)
}

/// Makes sure that what was made at `path` will be found again.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if parent != Path::new("") => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Locks the marker for this process.
fn lock(marker: &File) -> Result<(), Errno> {
    let attempt = || flock(marker, FlockOperation::NonBlockingLockExclusive);
    for _ in 1..LOCK_TRIES {
        match attempt() {
            Err(Errno::WOULDBLOCK) => thread::sleep(LOCK_PAUSE),
            outcome => return outcome,
        }
    }
    attempt()
}

/// Whether there is nothing in the folder, or only what a fresh file system has.
pub(super) fn is_empty(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if entry?.file_name() != LOST_AND_FOUND {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the marker says what it should. An empty one, whose maker was killed, is finished.
fn has_known_text(marker: &mut File) -> io::Result<bool> {
    let mut text = Vec::new();
    marker.take(MARKER_TEXT.len() as u64 + 1).read_to_end(&mut text)?;
    if text.is_empty() {
        marker.write_all(MARKER_TEXT)?;
        marker.sync_all()?;
        return Ok(true);
    }
    Ok(text == MARKER_TEXT)
}

/// Takes room for `len` bytes. A file system that cannot promise room gets a hole instead:
/// there a full disk shows itself in the write.
fn preallocate(file: &File, len: ByteCount) -> io::Result<()> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len.as_u64()) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return file.set_len(len.as_u64()),
            Err(error) => return Err(error.into()),
        }
    }
}

impl Storage for Disk {
    type File = Arc<File>;

    fn list(&self) -> Result<Vec<SegmentFile>, StorageError> {
        list_segments(&self.0.path).map_err(|error| failed("list of segments", error))
    }

    fn create(&self, number: SegmentNumber, len: ByteCount) -> Result<Self::File, StorageError> {
        let path = self.path_of(number);
        let file = private().create_new(true).open(&path).map_err(|error| failed("new segment", error))?;
        if let Err(error) = preallocate(&file, len) {
            // Without its room it is no segment; one that stays is removed at the next start.
            let _ = fs::remove_file(&path);
            return Err(failed("new segment", error));
        }
        Ok(Arc::new(file))
    }

    fn open(&self, number: SegmentNumber) -> Result<Self::File, StorageError> {
        private().open(self.path_of(number)).map(Arc::new).map_err(|error| failed("open of a segment", error))
    }

    fn extend(&self, file: &Self::File, len: ByteCount) -> Result<(), StorageError> {
        preallocate(file, len).map_err(|error| failed("longer segment", error))
    }

    fn write_at(&self, file: &Self::File, offset: u64, parts: &[IoSlice<'_>]) -> Result<(), StorageError> {
        let mut at = offset;
        for parts in parts.chunks(SLICES_MAX) {
            let mut parts = parts.to_vec();
            let mut parts = parts.as_mut_slice();
            IoSlice::advance_slices(&mut parts, 0);
            while !parts.is_empty() {
                match rustix::io::pwritev(file, parts, at) {
                    Ok(0) => return Err(failed("write", io::ErrorKind::WriteZero)),
                    Ok(count) => {
                        at += count as u64;
                        IoSlice::advance_slices(&mut parts, count);
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(failed("write", error)),
                }
            }
        }
        Ok(())
    }

    fn read_at(&self, file: &Self::File, offset: u64, into: &mut [u8]) -> Result<usize, StorageError> {
        let mut filled = 0;
        while filled < into.len() {
            match file.read_at(&mut into[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", error)),
            }
        }
        Ok(filled)
    }

    fn truncate(&self, file: &Self::File, len: ByteCount) -> Result<(), StorageError> {
        file.set_len(len.as_u64()).map_err(|error| failed("truncation", error))
    }

    fn sync(&self, file: &Self::File) -> Result<(), StorageError> {
        file.sync_data().map_err(|error| failed("sync", error))
    }

    fn sync_directory(&self) -> Result<(), StorageError> {
        self.0.directory.sync_all().map_err(|error| failed("sync of its folder", error))
    }

    fn unlink(&self, number: SegmentNumber) -> Result<(), StorageError> {
        self.keep_backups_out()?;
        let removed = fs::remove_file(self.path_of(number));
        self.let_backups_in();
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("removal of a segment", error))
            }
            _ => Ok(()),
        }
    }

    fn unlink_slowly(&self, number: SegmentNumber) -> Result<(), StorageError> {
        // A backup that is there costs one system call. One that comes meanwhile is not kept waiting.
        self.keep_backups_out()?;
        self.let_backups_in();
        forget(&self.path_of(number));
        self.unlink(number)
    }

    fn free(&self) -> Result<ByteCount, StorageError> {
        let statistics = self.statistics()?;
        Ok(ByteCount::new(statistics.f_bavail.saturating_mul(statistics.f_frsize)))
    }

    fn segment_len(&self) -> Result<ByteCount, StorageError> {
        let statistics = self.statistics()?;
        Ok(segment_len_for(ByteCount::new(statistics.f_blocks.saturating_mul(statistics.f_frsize))))
    }
}

/// Gives back what the page cache has of a file, a piece at a time. Nobody reads it any more: what
/// fails here goes with the file, all at once.
fn forget(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    let len = file.metadata().map_or(0, |metadata| metadata.len());
    for offset in (0..len).step_by(FORGOTTEN_LEN as usize) {
        if fadvise(&file, offset, NonZeroU64::new(FORGOTTEN_LEN), Advice::DontNeed).is_err() {
            return;
        }
        thread::sleep(FORGET_PAUSE);
    }
}

#[cfg(test)]
mod tests;
