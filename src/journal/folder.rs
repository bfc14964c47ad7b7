//! A journal's folder for reading alone: for a start, `seshun verify` and `seshun backup`.
//!
//! Nothing is made or changed here, not even a time of access where the system lets us leave
//! it; so it works on a read-only mount, and beside a server that writes. What the two must
//! tell each other they tell by locks, which end with the process whatever ends it: a server
//! locks the marker for as long as it lives, and whoever wants no segment to be removed
//! shares a lock on the folder itself. It needs no file, so nobody can remove it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FlockOperation, OFlags, SeekFrom, flock, fstat, seek, statat};
use rustix::io::Errno;

use super::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use super::storage::SegmentFile;
use super::units::SegmentNumber;
use crate::types::ByteCount;

/// The name of the file that makes a folder a journal's.
pub const MARKER_NAME: &str = "seshun-journal";
/// What the marker says: the version of the format behind it.
pub const MARKER_TEXT: &[u8] = b"Seshun journal, format 2\n";

/// A journal's folder could not be read. Whoever wanted to read it ends; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It has no marker.
    #[error("{0} is no journal's folder: it has no file {MARKER_NAME}")]
    NotOurs(PathBuf),
    /// Its marker is of another format.
    #[error("{0} was written by another version of seshun, whose format this one does not know")]
    OtherFormat(PathBuf),
    /// A segment has lost a part since it was listed.
    #[error(
        "{path} has {found} of the {listed} bytes that it had a moment ago: keep other programs out of the folder"
    )]
    Short {
        /// The segment's file.
        path: PathBuf,
        /// Its length when it was listed, in bytes.
        listed: u64,
        /// Its length when it was read, in bytes.
        found: u64,
    },
    /// The system refused something.
    #[error("{path} cannot be read: {source}")]
    Failed {
        /// The folder or a file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderError {
    /// The error by which `path` could not be read.
    pub fn new(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Failed { path: path.to_owned(), source: source.into() }
    }

    /// Whether it says that a file is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Failed { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// A folder with a journal's marker. Holds no lock and no open file.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

/// While it lives no segment of the folder is removed. Goes with the process.
#[derive(Debug)]
pub struct UnlinkHold {
    /// The open folder; its lock is shared.
    _directory: File,
}

impl Folder {
    /// The journal's folder at `path`.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::new(path, source);
        open_quietly(path).map_err(failed)?;
        let mut text = Vec::new();
        match open_quietly(&path.join(MARKER_NAME)) {
            Ok(marker) => marker.take(MARKER_TEXT.len() as u64 + 1).read_to_end(&mut text).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FolderError::NotOurs(path.to_owned()));
            }
            Err(error) => return Err(failed(error)),
        };
        // An empty one is that of a server that was killed when it had just made it.
        if !text.is_empty() && text != MARKER_TEXT {
            return Err(FolderError::OtherFormat(path.to_owned()));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a segment of it is.
    pub fn path_of(&self, number: SegmentNumber) -> PathBuf {
        self.path.join(number.file_name())
    }

    /// Whether a server serves from it at this moment.
    pub fn is_in_use(&self) -> Result<bool, FolderError> {
        let path = self.path.join(MARKER_NAME);
        let failed = |source| FolderError::new(&path, source);
        let marker = open_quietly(&path).map_err(failed)?;
        match flock(&marker, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// From here on nothing is unlinked, until the hold is dropped. Waits for an unlink that
    /// is under way.
    pub fn hold_unlinking(&self) -> Result<UnlinkHold, FolderError> {
        let failed = |source| FolderError::new(&self.path, source);
        let directory = open_quietly(&self.path).map_err(failed)?;
        loop {
            match flock(&directory, FlockOperation::LockShared) {
                Ok(()) => return Ok(UnlinkHold { _directory: directory }),
                Err(Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
    }

    /// The segments that there are, by number.
    pub fn list(&self) -> Result<Vec<SegmentFile>, FolderError> {
        list_segments(&self.path).map_err(|error| FolderError::new(&self.path, error))
    }

    /// Opens a segment for reading.
    pub fn open_segment(&self, number: SegmentNumber) -> Result<File, FolderError> {
        let path = self.path_of(number);
        open_quietly(&path).map_err(|error| FolderError::new(&path, error))
    }

    /// Reads a segment into `into`, whose room is used again: as many bytes as were listed, or
    /// fewer where its file has become shorter since; none where [`Self::is_blank`].
    pub fn read_written(&self, segment: SegmentFile, into: &mut Vec<u8>) -> Result<(), FolderError> {
        if self.is_blank(segment)? {
            into.clear();
            return Ok(());
        }
        self.read(segment, into)
    }

    /// Whether a segment, as long as listed, was never begun, and the file system knows that
    /// nothing lies behind its header. To read such a one would fill the page cache with zeros: with
    /// the four that are kept ready, a quarter of the CPU time of a restart with a million sessions
    /// of 1 KiB.
    pub fn is_blank(&self, segment: SegmentFile) -> Result<bool, FolderError> {
        let file = self.open_segment(segment.number)?;
        let failed = |source: Errno| FolderError::new(&self.path_of(segment.number), source);
        let len = u64::try_from(fstat(&file).map_err(failed)?.st_size).unwrap_or_default();
        // Where the file system cannot tell, it says that there is data, or refuses to say. That it
        // overlooks data is not unheard of: the header, which says so once the segment is begun, is
        // looked at all the same.
        let records = SeekFrom::Data(SEGMENT_HEADER_LEN as u64);
        if len < segment.len.as_u64() || seek(&file, records) != Err(Errno::NXIO) {
            return Ok(false);
        }
        let mut header = [0; SEGMENT_HEADER_LEN];
        let read = file
            .read_at(&mut header, 0)
            .map_err(|error| FolderError::new(&self.path_of(segment.number), error))?;
        Ok(SegmentHeader::is_unbegun(&header[..read], segment.number))
    }

    /// As [`Self::read_written`], whatever the file system knows.
    pub fn read(&self, segment: SegmentFile, into: &mut Vec<u8>) -> Result<(), FolderError> {
        into.clear();
        into.reserve_exact(segment.len.as_usize());
        let file = self.open_segment(segment.number)?;
        let read = file.take(segment.len.as_u64()).read_to_end(into);
        read.map(drop).map_err(|error| FolderError::new(&self.path_of(segment.number), error))
    }
}

/// Opens for reading, and leaves the time of access as it is where that is allowed: to whom
/// the file belongs, and to root.
fn open_quietly(path: &Path) -> io::Result<File> {
    let quiet = OFlags::NOATIME.bits() as i32;
    match OpenOptions::new().read(true).custom_flags(quiet).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path),
        outcome => outcome,
    }
}

/// The segments in the folder at `path`, by number; other files are none of ours.
pub fn list_segments(path: &Path) -> io::Result<Vec<SegmentFile>> {
    let directory = open_quietly(path)?;
    let mut segments = Vec::new();
    // Not by another opening of it, which would count as an access.
    for entry in Dir::new(directory.try_clone()?)? {
        let entry = entry?;
        let number = entry.file_name().to_str().ok().and_then(SegmentNumber::parse_file_name);
        let Some(number) = number else { continue };
        match statat(&directory, entry.file_name(), AtFlags::empty()) {
            Ok(status) => {
                let len = ByteCount::new(u64::try_from(status.st_size).unwrap_or_default());
                segments.push(SegmentFile { number, len });
            }
            // Removed since: then it need not be listed either.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

#[cfg(test)]
mod tests;
