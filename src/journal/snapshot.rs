//! One state of a log in a folder that a server may be writing to.
//!
//! The log is written in order: no segment is begun before the one below has its last record,
//! and no byte of a segment is written before those in front of it. So the newest segment is
//! read from behind to find out how far it is filled, and then from its beginning to there:
//! all of that was written by the time that its last byte was seen, and a reader that is
//! overtaken by the writer sees no hole where none is. A hole that is there is damage, and
//! what lies behind it is kept. What was begun later than this look is left out of it.
//!
//! The folder is listed again after the newest segment was chosen: a list that is made while
//! segments come may lack one that is older than the newest it has. Nothing goes meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::folder::{Folder, FolderError, UnlinkHold};
use super::layout::ALIGN;
use super::scan::{Found, Scan, filled_len};
use super::segment::{HeaderError, SEGMENT_HEADER_LEN, SegmentHeader};
use super::storage::SegmentFile;
use super::units::SegmentNumber;

/// How much is looked at for zeros at a time, in bytes.
const BLOCK_LEN: usize = 1024 * 1024;

/// What belongs together.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Segments that nobody writes to any more, by number. An unbegun one among them was made too
    /// late to be used, and may be removed at any time.
    pub(super) sealed: Vec<SegmentFile>,
    /// The newest that was used.
    pub(super) newest: Option<Newest>,
    /// How many above it were made for later.
    pub(super) spares: usize,
}

/// The newest segment, as far as it is written.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) number: SegmentNumber,
    /// The bytes of its file, from the beginning to the end of its last whole record.
    pub(super) bytes: Vec<u8>,
}

impl Snapshot {
    /// Looks at the folder, from which nothing is removed for as long as the hold lives.
    pub(super) fn take(folder: &Folder, _hold: &UnlinkHold) -> Result<Self, FolderError> {
        let mut newest = None;
        for segment in folder.list()?.into_iter().rev() {
            newest = read_newest(folder, segment.number)?;
            if newest.is_some() {
                break;
            }
        }
        let mut segments = folder.list()?;
        let spares = match &newest {
            Some(newest) => {
                let above = segments.partition_point(|segment| segment.number <= newest.number);
                let spares = segments.len() - above;
                segments.retain(|segment| segment.number < newest.number);
                spares
            }
            None => segments.drain(..).len(),
        };
        Ok(Self { sealed: segments, newest, spares })
    }
}

/// The segment as far as it is written; nothing if nobody has begun it.
fn read_newest(folder: &Folder, number: SegmentNumber) -> Result<Option<Newest>, FolderError> {
    let file = match folder.open_segment(number) {
        Ok(file) => file,
        // Only what was never used goes under a hold: its room could not be had.
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = read_filled(&file).map_err(|error| FolderError::new(&folder.path_of(number), error))?;
    Ok(whole_records(bytes, number).map(|bytes| Newest { number, bytes }))
}

/// The bytes of a file up to the last one that is not 0. A record ends within the same word.
fn read_filled(file: &File) -> io::Result<Vec<u8>> {
    let filled = filled_end(file)?.next_multiple_of(ALIGN as u64);
    let mut bytes = vec![0; filled as usize];
    let read = read_at(file, 0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Behind the last byte that is not 0, from the end backwards.
fn filled_end(file: &File) -> io::Result<u64> {
    let mut block = vec![0; BLOCK_LEN];
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(BLOCK_LEN as u64);
        let read = read_at(file, start, &mut block[..(end - start) as usize])?;
        let filled = filled_len(&block[..read]);
        if filled > 0 {
            return Ok(start + filled as u64);
        }
        end = start;
    }
    Ok(0)
}

/// Reads until `into` is full or the file ends, which a failed write cuts shorter.
fn read_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Cuts off what is behind the last whole record: it was never acknowledged. Nothing where
/// not even a header is whole, for it may be being written.
fn whole_records(mut bytes: Vec<u8>, number: SegmentNumber) -> Option<Vec<u8>> {
    let header = match SegmentHeader::decode(&bytes, number) {
        Ok(header) => header,
        Err(HeaderError::Blank | HeaderError::Prepared | HeaderError::Damaged)
            if bytes.len() <= SEGMENT_HEADER_LEN =>
        {
            return None;
        }
        // Damage, which is for others to judge.
        Err(_) => return Some(bytes),
    };
    // The last bytes of a header are zeros.
    bytes.resize(bytes.len().max(SEGMENT_HEADER_LEN), 0);
    let end_of = |found| match found {
        Found::Record { at, record } => Some(at.as_usize() + record.entry.record_len()),
        Found::Bad(_) => None,
    };
    let end = Scan::new(&bytes, &header).filter_map(end_of).last();
    bytes.truncate(end.unwrap_or(SEGMENT_HEADER_LEN));
    Some(bytes)
}

#[cfg(test)]
mod tests;
