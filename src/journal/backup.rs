//! `seshun backup`: a second folder with all of a log, also while a server writes to it.
//!
//! It holds every record that was acknowledged before the call, whatever the server does
//! meanwhile. The backup first shares the folder's lock, so that nothing is removed; what
//! was removed before is covered by a checkpoint, which with all that replaces it is older
//! than the backup. Then it takes one state of the log (see `snapshot`), whose newest segment
//! is at least the one that the last of those records lies in. Segments below that change no
//! more, but that their unused ends may be cut off, so they are linked; a roll, a cleaning, a
//! checkpoint or a mark that comes later only adds to segments that are not looked at. The
//! newest one is copied: a server that starts over the backup may cut it, and the first
//! server still writes to it. The marker is written last, so half a backup is none.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::disk::{is_empty, sync_parent};
use super::folder::{Folder, FolderError, MARKER_NAME, MARKER_TEXT};
use super::snapshot::Snapshot;
use super::units::SegmentNumber;
use crate::types::ByteCount;

/// There is no backup, and the destination is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The journal's folder cannot be read.
    #[error(transparent)]
    Origin(#[from] FolderError),
    /// The destination has something in it.
    #[error(
        "{0} is not empty: name a new folder or an empty one; what an interrupted backup has left may go"
    )]
    NotEmpty(PathBuf),
    /// The destination cannot be written.
    #[error("{path} cannot be written: {source}")]
    Destination {
        /// The folder or a file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A backup that was made, and is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// Segments that share their bytes with the journal's folder.
    pub linked: usize,
    /// Segments that have their own.
    pub copied: usize,
    /// What all of them hold together.
    pub bytes: ByteCount,
    /// Why some were copied that could have been linked, as the system says it.
    pub no_link: Option<String>,
}

impl fmt::Display for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, linked, copied, bytes, no_link } = self;
        if let Some(reason) = no_link {
            writeln!(
                f,
                "{} cannot share segments with the journal, so they are copied: {reason}",
                path.display()
            )?;
        }
        let segments = linked + copied;
        writeln!(
            f,
            "backup in {}: segments {segments} (linked {linked}, copied {copied}), {bytes}",
            path.display()
        )
    }
}

/// Makes a backup of the journal's folder at `from` in the folder `to`, which is new or empty.
pub fn backup(from: &Path, to: &Path) -> Result<Backup, BackupError> {
    let folder = Folder::open(from)?;
    let mut made = Destination::make(to, from)?;
    let hold = folder.hold_unlinking()?;
    let Snapshot { sealed, newest, .. } = Snapshot::take(&folder, &hold)?;
    for segment in sealed {
        made.take(&folder, segment.number)?;
    }
    if let Some(newest) = newest {
        made.write(&newest.number.file_name(), &newest.bytes)?;
        made.backup.copied += 1;
        made.backup.bytes += ByteCount::of_len(newest.bytes.len());
    }
    drop(hold);
    made.finish()
}

/// A destination that is being filled. Dropped before it is finished, it takes away again
/// what it has made.
struct Destination {
    backup: Backup,
    /// Whose the journal is: `uid` and `gid`.
    owner: (u32, u32),
    /// What the folder was like; none where there was none.
    mode_before: Option<Permissions>,
    files: Vec<PathBuf>,
    is_finished: bool,
}

impl Destination {
    fn make(path: &Path, from: &Path) -> Result<Self, BackupError> {
        let failed = |source| BackupError::Destination { path: path.to_owned(), source };
        let origin = fs::metadata(from).map_err(|error| FolderError::new(from, error))?;
        let mode_before = match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !is_empty(path).map_err(failed)? {
                    return Err(BackupError::NotEmpty(path.to_owned()));
                }
                Some(fs::metadata(path).map_err(failed)?.permissions())
            }
            Err(error) => return Err(failed(error)),
        };
        let (linked, copied, bytes, no_link) = (0, 0, ByteCount::ZERO, None);
        let made = Self {
            backup: Backup { path: path.to_owned(), linked, copied, bytes, no_link },
            owner: (origin.uid(), origin.gid()),
            mode_before,
            files: Vec::new(),
            is_finished: false,
        };
        if made.mode_before.is_none() {
            made.give_away(&File::open(path).map_err(failed)?);
        }
        Ok(made)
    }

    /// Links a segment, or copies it where that cannot be.
    fn take(&mut self, folder: &Folder, number: SegmentNumber) -> Result<(), BackupError> {
        let (origin, path) = (folder.path_of(number), self.backup.path.join(number.file_name()));
        let (file, is_linked) = match fs::hard_link(&origin, &path) {
            Ok(()) => {
                self.files.push(path.clone());
                (File::open(&path).map_err(|source| failed(&path, source))?, true)
            }
            // Only what was never used goes under a hold.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                self.backup.no_link.get_or_insert_with(|| error.to_string());
                let mut from = folder.open_segment(number)?;
                let mut file = self.create(&path)?;
                io::copy(&mut from, &mut file).map_err(|source| failed(&path, source))?;
                (file, false)
            }
        };
        // What was linked may have been written a moment ago, too.
        file.sync_all().map_err(|source| failed(&path, source))?;
        let len = file.metadata().map_err(|source| failed(&path, source))?.len();
        self.backup.linked += usize::from(is_linked);
        self.backup.copied += usize::from(!is_linked);
        self.backup.bytes += ByteCount::new(len);
        Ok(())
    }

    /// Writes a file of its own.
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let path = self.backup.path.join(name);
        let mut file = self.create(&path)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| failed(&path, source))
    }

    fn create(&mut self, path: &Path) -> Result<File, BackupError> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|source| failed(path, source))?;
        self.files.push(path.to_owned());
        self.give_away(&file);
        Ok(file)
    }

    /// Gives what root has made to whom the journal belongs; a server that runs as somebody
    /// else must be able to start over it. Others cannot, and need not.
    fn give_away(&self, file: &File) {
        let _ = fchown(file, Some(self.owner.0), Some(self.owner.1));
    }

    /// Makes all of it durable; the marker, which makes it a journal's folder, comes last.
    fn finish(mut self) -> Result<Backup, BackupError> {
        let path = self.backup.path.clone();
        let sync = || File::open(&path).and_then(|folder| folder.sync_all());
        fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(|source| failed(&path, source))?;
        sync().map_err(|source| failed(&path, source))?;
        self.write(MARKER_NAME, MARKER_TEXT)?;
        sync().and_then(|()| sync_parent(&path)).map_err(|source| failed(&path, source))?;
        self.is_finished = true;
        Ok(self.backup.clone())
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        // What cannot be taken away stays without its marker, and is taken for nothing. The
        // marker is the last that was made and the first that goes.
        for file in self.files.iter().rev() {
            let _ = fs::remove_file(file);
        }
        let _ = match self.mode_before.take() {
            None => fs::remove_dir(&self.backup.path),
            Some(mode) => fs::set_permissions(&self.backup.path, mode),
        };
    }
}

fn failed(path: &Path, source: io::Error) -> BackupError {
    BackupError::Destination { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
