//! Damaged segments are kept aside, before a start truncates or removes anything.
//!
//! A copy goes into the folder's own `damaged`, under the segment's name and the number of
//! this start; no older copy is ever overwritten, and none is made of what is there already.
//! Where the disk has no room for a copy and for the log to go on, the segment gets a second
//! name there instead: that saves it from being removed, not from being truncated.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::replay::Replay;
use super::storage::Storage;
use super::units::SegmentNumber;
use crate::types::{BootEpoch, ByteCount};

/// The folder in the journal's folder that copies go to.
const DAMAGED_NAME: &str = "damaged";
/// A copy that is being made. One of a start that was cut short is made anew.
const UNFINISHED_NAME: &str = "unfinished-copy";
/// What the log needs of the disk to start, in segments: its first and its reserve.
const START_SEGMENTS: u64 = 3;
/// How much is compared at a time, in bytes.
const COMPARED_LEN: usize = 1024 * 1024;

/// A damaged segment cannot be kept aside. The start ends, and the folder is as it was.
#[derive(Debug, thiserror::Error)]
#[error(
    "damaged segment {segment} cannot be kept aside as {path}: {source}; copy the whole folder elsewhere, then \
     make this possible or remove the damaged segment"
)]
pub struct AsideError {
    segment: SegmentNumber,
    path: PathBuf,
    source: io::Error,
}

/// How a damaged segment is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsideKind {
    /// A copy was made.
    Copied,
    /// It got a second name, for lack of room.
    Linked,
    /// An earlier start has kept it, and it has not changed.
    Known,
}

/// A damaged segment that is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aside {
    /// Which.
    pub segment: SegmentNumber,
    /// Where.
    pub path: PathBuf,
    /// How.
    pub kind: AsideKind,
}

impl fmt::Display for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, path) = (self.segment.file_name(), self.path.display());
        match self.kind {
            AsideKind::Copied => write!(f, "{file} is damaged: a copy of it is kept as {path}"),
            AsideKind::Known => write!(f, "{file} is damaged: an earlier start has kept it as {path}"),
            AsideKind::Linked => write!(
                f,
                "{file} is damaged: the disk has no room for a copy, so {path} is a second name of it"
            ),
        }
    }
}

impl Replay {
    /// Keeps every damaged segment aside, and says so in the log.
    pub fn keep_aside(&self) -> Result<Vec<Aside>, AsideError> {
        let (disk, recovery) = (self.disk(), self.recovery());
        let keep = |segment: &SegmentNumber| {
            let aside = keep_one(disk, *segment, recovery.next_epoch())?;
            log::warn!("{aside}");
            Ok(aside)
        };
        recovery.damaged_segments().iter().map(keep).collect()
    }
}

fn keep_one(disk: &Disk, segment: SegmentNumber, epoch: BootEpoch) -> Result<Aside, AsideError> {
    let folder = disk.path().join(DAMAGED_NAME);
    let origin = disk.path().join(segment.file_name());
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| AsideError { segment, path, source }
    };
    make_folder(disk.path(), &folder).map_err(failed(&folder))?;
    if let Some(path) = known_copy(&origin, &folder, segment).map_err(failed(&folder))? {
        return Ok(Aside { segment, path, kind: AsideKind::Known });
    }
    let path = free_name(&folder, segment, epoch).map_err(failed(&folder))?;
    let kind = keep_as(disk, &origin, &path).map_err(failed(&path))?;
    File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed(&folder))?;
    Ok(Aside { segment, path, kind })
}

fn make_folder(journal: &Path, folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => File::open(journal)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// A file that holds what the damaged segment holds. A server that is started again and again
/// over the same damage must not fill the disk with copies of it.
fn known_copy(origin: &Path, folder: &Path, segment: SegmentNumber) -> io::Result<Option<PathBuf>> {
    let prefix = format!("{}.", segment.file_name());
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_copy = entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix));
        if is_copy && is_same(origin, &entry.path())? {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Whether two files hold the same bytes.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (first, second) = (one.metadata()?, other.metadata()?);
    if (first.dev(), first.ino()) == (second.dev(), second.ino()) {
        return Ok(true);
    }
    if first.len() != second.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        for (file, bytes) in [(&mut one, &mut left), (&mut other, &mut right)] {
            bytes.clear();
            file.take(COMPARED_LEN as u64).read_to_end(bytes)?;
        }
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}

/// A name that no file has: the segment's with this start's number.
fn free_name(folder: &Path, segment: SegmentNumber, epoch: BootEpoch) -> io::Result<PathBuf> {
    let name = format!("{}.{}", segment.file_name(), epoch.as_u32());
    let mut path = folder.join(&name);
    let mut again = 1_u32;
    // A start that did not use its number up has kept something else under it.
    while path.try_exists()? {
        again = again.saturating_add(1);
        path = folder.join(format!("{name}-{again}"));
    }
    Ok(path)
}

/// Copies the segment, or links it where a copy would take room that the log needs.
fn keep_as(disk: &Disk, origin: &Path, path: &Path) -> io::Result<AsideKind> {
    let needed = fs::metadata(origin)?.len().saturating_add(start_len(disk)?.as_u64());
    let free = disk.free().map_err(io::Error::other)?;
    let copied =
        if free.as_u64() < needed { Err(io::ErrorKind::StorageFull.into()) } else { copy(origin, path) };
    match copied {
        Ok(()) => Ok(AsideKind::Copied),
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            fs::hard_link(origin, path).map(|()| AsideKind::Linked)
        }
        Err(error) => Err(error),
    }
}

fn start_len(disk: &Disk) -> io::Result<ByteCount> {
    let segment_len = disk.segment_len().map_err(io::Error::other)?;
    Ok(ByteCount::new(segment_len.as_u64().saturating_mul(START_SEGMENTS)))
}

/// Copies under another name first: what has its own is whole and durable.
fn copy(origin: &Path, path: &Path) -> io::Result<()> {
    let unfinished = path.with_file_name(UNFINISHED_NAME);
    let write = || {
        let mut options = OpenOptions::new();
        let mut copy = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        io::copy(&mut File::open(origin)?, &mut copy)?;
        copy.sync_all()?;
        fs::rename(&unfinished, path)
    };
    let outcome = write();
    if outcome.is_err() {
        // What is left of it takes room that somebody needs; the next attempt does not mind it.
        let _ = fs::remove_file(&unfinished);
    }
    outcome
}

#[cfg(test)]
mod tests;
