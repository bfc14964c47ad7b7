//! The feed of a start: every segment that recovery keeps, read once, for all cores.
//!
//! Each core loads its own sessions, and they are spread over all segments; so one thread
//! reads the segments in their order and hands each to every consumer, so that only one or two
//! segments are in memory at a time. The slowest consumer sets the pace. An
//! error reaches all of them, and none takes an early end for the end.

use std::io;
use std::mem::take;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::folder::{Folder, FolderError};
use super::replay::{ReplayPhase, ReplayProgress, read_whole};
use super::storage::SegmentFile;
use super::units::SegmentNumber;

/// Segments that wait for one consumer: none. One that lay in the lane of a consumer that goes away
/// would never come back, and it may be the only one.
const LANE_MAX: usize = 0;
/// One that is being read, and one that the consumers are at.
const BUFFERS_MAX: usize = 2;

/// No more segments come. The start ends, and the folder is as it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FeedError {
    /// A segment cannot be read.
    #[error("the journal cannot be read back: {0}")]
    Read(Arc<FolderError>),
    /// The system gives no thread.
    #[error("no thread to read the journal with: {0}")]
    Thread(Arc<io::Error>),
    /// The thread that reads has ended before its work.
    #[error("the thread that reads the journal has ended too early")]
    Ended,
}

/// A segment's bytes, shared by all consumers. Each has one at a time.
#[derive(Debug)]
pub struct FedSegment {
    number: SegmentNumber,
    bytes: Arc<Buffer>,
}

impl FedSegment {
    /// Its number.
    pub fn number(&self) -> SegmentNumber {
        self.number
    }

    /// The bytes of its file, from the beginning.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes.bytes
    }
}

/// Memory for one segment. Goes back to the reader when the last consumer is done with it, so
/// that no page of it is touched for the first time again.
#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    back: Sender<Vec<u8>>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Where the reader is gone it is freed.
        let _ = self.back.try_send(take(&mut self.bytes));
    }
}

type Fed = Result<(SegmentNumber, Arc<Buffer>), FeedError>;
type Lane = Sender<Fed>;

/// One consumer's end of the feed: the segments in the order of the log. To be gone through
/// to its end, by a thread of its own, or dropped. Each segment is to be dropped before the next
/// one is asked for: its memory may be what that is read into.
#[derive(Debug)]
pub struct SegmentFeed {
    lane: Receiver<Fed>,
    /// How many have not come yet; 0 after an error.
    left: usize,
}

impl Iterator for SegmentFeed {
    type Item = Result<FedSegment, FeedError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let fed = self.lane.recv().unwrap_or(Err(FeedError::Ended));
        if fed.is_err() {
            self.left = 0;
        }
        Some(fed.map(|(number, bytes)| FedSegment { number, bytes }))
    }
}

/// Starts to read `segments` for so many consumers, with no more than that many in memory at a time.
pub(super) fn start_feed(
    folder: &Folder,
    segments: Vec<SegmentFile>,
    (consumers, segments_in_memory_max): (usize, usize),
    progress: &Arc<ReplayProgress>,
) -> Result<Vec<SegmentFeed>, FeedError> {
    let (lanes, feeds): (Vec<Lane>, Vec<SegmentFeed>) = (0..consumers)
        .map(|_| {
            let (lane_in, lane) = bounded(LANE_MAX);
            (lane_in, SegmentFeed { lane, left: segments.len() })
        })
        .unzip();
    progress.begin(ReplayPhase::Load, &segments);
    let buffers = segments_in_memory_max.clamp(1, BUFFERS_MAX);
    let reader = Reader { folder: folder.clone(), segments, lanes, buffers, progress: Arc::clone(progress) };
    thread::Builder::new()
        .name("journal-replay".to_owned())
        .spawn(move || reader.run())
        .map_err(|error| FeedError::Thread(Arc::new(error)))?;
    Ok(feeds)
}

/// The thread that reads.
struct Reader {
    folder: Folder,
    segments: Vec<SegmentFile>,
    /// Of the consumers that are still there.
    lanes: Vec<Lane>,
    /// How many segments may be in memory.
    buffers: usize,
    progress: Arc<ReplayProgress>,
}

impl Reader {
    fn run(mut self) {
        let (back, free) = bounded(self.buffers);
        (0..self.buffers).for_each(|_| drop(back.try_send(Vec::new())));
        for segment in take(&mut self.segments) {
            // Waits for the slowest consumer. All buffers come back, for `back` is not closed here.
            let Ok(mut bytes) = free.recv() else { return };
            let outcome = read_whole(&self.folder, segment, &mut bytes);
            let is_error = outcome.is_err();
            let fed = match outcome {
                Ok(()) => {
                    let bytes = Arc::new(Buffer { bytes, back: back.clone() });
                    Ok((segment.number, bytes))
                }
                Err(error) => Err(FeedError::Read(Arc::new(error))),
            };
            // Whoever has gone away needs nothing more.
            self.lanes.retain(|lane| lane.send(fed.clone()).is_ok());
            if is_error || self.lanes.is_empty() {
                return;
            }
            self.progress.finish(segment);
        }
    }
}

#[cfg(test)]
mod tests;
