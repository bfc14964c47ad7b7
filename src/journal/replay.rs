//! Reads a folder for recovery: opens and locks it, surveys all segments, has them judged.
//!
//! What a start does with it, in this order: [`Replay::open`]; [`Replay::refuse_damage`] where
//! `journal.strict` says so; [`Replay::feed`] and a plan for each shard; [`Replay::keep_aside`];
//! then the log starts. Up to there nothing in the folder has changed but that copies of
//! damaged segments were made, so a start that ends at any point can be made again.
//!
//! Segments are read whole, each once a pass, on as many threads as the caller says; an error
//! names its file and ends all of it.

use std::fmt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::disk::{Disk, OpenError};
use super::feed::{FeedError, SegmentFeed, start_feed};
use super::folder::{Folder, FolderError};
use super::plan::ShardEvents;
use super::recover::{RecoverError, Recovery, Report, Terms};
use super::storage::SegmentFile;
use super::survey::{Survey, survey};
use crate::types::{SessionId, ShardCount, ShardId};

/// How many places a refusal names; `seshun verify` tells all of them.
const PLACES_MAX: usize = 5;

/// The folder cannot be recovered from. The start ends, and the folder is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be opened or locked.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A segment cannot be read.
    #[error("the journal cannot be read back: {0}")]
    Read(#[from] FolderError),
    /// What was read cannot be used.
    #[error("the journal in {path} cannot be recovered: {source}")]
    Recover {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: RecoverError,
    },
    /// Records that were kept are lost, and the operator wants no start then.
    #[error(transparent)]
    Damaged(#[from] DamageError),
}

/// What `journal.strict` says of a damaged log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DamageError {
    path: PathBuf,
    /// Records that are lost.
    missing: u64,
    /// Whether sessions may come back in an older version.
    is_unnamed: bool,
    /// Where, in words; at most [`PLACES_MAX`].
    places: Vec<String>,
    /// How many more places there are.
    more: usize,
}

impl std::error::Error for DamageError {}

impl fmt::Display for DamageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, missing, is_unnamed, places, more } = self;
        let path = path.display();
        let records = if *missing == 1 { "record" } else { "records" };
        write!(f, "the journal in {path} has lost {missing} {records} that had been kept")?;
        if *is_unnamed {
            f.write_str(", and not all of them are known, so sessions may come back in an older version")?;
        }
        for (index, place) in places.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            f.write_str(place)?;
        }
        if *more > 0 {
            write!(f, "; and {more} more")?;
        }
        write!(
            f,
            ". `seshun verify {path}` tells all of it. Restore a backup, or start without these records by \
             `journal.strict: false`"
        )
    }
}

/// How sessions are filed while segments are surveyed.
#[derive(Clone, Copy)]
pub struct Filing<'f> {
    /// How many shards there are today.
    pub shards: ShardCount,
    /// Which of them owns a session.
    pub owner_of: &'f (dyn Fn(SessionId) -> ShardId + Sync),
}

/// What a recovery is told by its caller.
#[derive(Clone, Copy)]
pub struct ReplayTerms<'t> {
    /// How sessions are filed.
    pub filing: Filing<'t>,
    /// What the judge is told.
    pub terms: Terms,
    /// How many threads read, at least one. Each has room for one segment.
    pub threads: usize,
}

/// What segments are read for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplayPhase {
    /// To find out what the log holds.
    Survey,
    /// To load the sessions.
    Load,
}

/// How far reading is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplayStep {
    /// What for.
    pub phase: ReplayPhase,
    /// `0 <= segments_done <= segments`
    pub segments_done: u64,
    /// How many segments there are to be read.
    pub segments: u64,
    /// `0 <= bytes_done <= bytes`
    pub bytes_done: u64,
    /// How many bytes there are to be read.
    pub bytes: u64,
}

/// How far reading is, to be asked by another thread at any time.
#[derive(Default, Debug)]
pub struct ReplayProgress {
    is_loading: AtomicBool,
    segments_done: AtomicU64,
    segments: AtomicU64,
    bytes_done: AtomicU64,
    bytes: AtomicU64,
}

// Relaxed throughout: the numbers guard nothing, they are for people.
impl ReplayProgress {
    /// Nothing is read yet, and nobody knows of how much.
    pub fn new() -> Self {
        Self::default()
    }

    /// How far it is.
    pub fn step(&self) -> ReplayStep {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let (segments, bytes) = (load(&self.segments), load(&self.bytes));
        let is_loading = self.is_loading.load(Ordering::Relaxed);
        ReplayStep {
            phase: if is_loading { ReplayPhase::Load } else { ReplayPhase::Survey },
            // Where a phase begins between two of these the next look is right again.
            segments_done: load(&self.segments_done).min(segments),
            segments,
            bytes_done: load(&self.bytes_done).min(bytes),
            bytes,
        }
    }

    pub(super) fn begin(&self, phase: ReplayPhase, segments: &[SegmentFile]) {
        self.segments_done.store(0, Ordering::Relaxed);
        self.bytes_done.store(0, Ordering::Relaxed);
        self.segments.store(segments.len() as u64, Ordering::Relaxed);
        let bytes = segments.iter().map(|segment| segment.len.as_u64()).sum();
        self.bytes.store(bytes, Ordering::Relaxed);
        self.is_loading.store(phase == ReplayPhase::Load, Ordering::Relaxed);
    }

    pub(super) fn finish(&self, segment: SegmentFile) {
        self.segments_done.fetch_add(1, Ordering::Relaxed);
        self.bytes_done.fetch_add(segment.len.as_u64(), Ordering::Relaxed);
    }
}

/// An open, locked folder and what recovery makes of it.
#[derive(Debug)]
pub struct Replay {
    disk: Disk,
    folder: Folder,
    recovery: Recovery,
    /// All that were there, by number.
    segments: Vec<SegmentFile>,
}

impl Replay {
    /// Opens and locks the folder at `path`, which is made where it is missing, and judges
    /// what it holds.
    pub fn open(
        path: &Path,
        terms: &ReplayTerms<'_>,
        progress: &ReplayProgress,
    ) -> Result<Self, ReplayError> {
        let disk = Disk::open(path)?;
        let folder = Folder::open(path)?;
        let segments = folder.list()?;
        progress.begin(ReplayPhase::Survey, &segments);
        let survey = |segment, buffer: &mut Vec<u8>| {
            if folder.is_blank(segment)? {
                buffer.clear();
            } else {
                read_whole(&folder, segment, buffer)?;
            }
            progress.finish(segment);
            Ok(survey_one(segment, buffer, terms.filing))
        };
        let surveys = on_threads(&segments, terms.threads, survey)?;
        let recovery = Recovery::judge(surveys, terms.terms)
            .map_err(|source| ReplayError::Recover { path: path.to_owned(), source })?;
        Ok(Self { disk, folder, recovery, segments })
    }

    /// The folder, for the log.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The verdict, with a plan for each shard.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Takes out, for each of `shards`, what its plan is made of.
    pub fn take_events(&mut self, shards: ShardCount) -> Vec<ShardEvents> {
        self.recovery.take_events(shards)
    }

    /// The segments that hold what is to be restored, oldest first: what the log starts from.
    pub fn kept_segments(&self) -> Vec<SegmentFile> {
        let listed = |number| {
            let place = self.segments.binary_search_by_key(&number, |segment| segment.number).ok()?;
            self.segments.get(place).copied()
        };
        let kept: Vec<SegmentFile> = self.recovery.segments().filter_map(listed).collect();
        debug_assert_eq!(kept.len(), self.recovery.segments().count(), "only what was listed was surveyed");
        kept
    }

    /// An error where anything that had been kept is lost: for `journal.strict`.
    pub fn refuse_damage(&self) -> Result<(), ReplayError> {
        let report = self.recovery.report();
        if report.is_damaged() {
            return Err(DamageError::new(self.folder.path(), report).into());
        }
        Ok(())
    }

    /// Begins to read the segments that are to be restored, once and in order, for so many
    /// consumers, each on a thread of its own, with no more than `segments_in_memory_max` at a time.
    pub fn feed(
        &self,
        consumers: ShardCount,
        segments_in_memory_max: usize,
        progress: &Arc<ReplayProgress>,
    ) -> Result<Vec<SegmentFeed>, FeedError> {
        let (consumers, segments) = (usize::from(consumers.get()), self.kept_segments());
        start_feed(&self.folder, segments, (consumers, segments_in_memory_max), progress)
    }
}

impl DamageError {
    /// What this report says of the journal at `path`.
    pub fn new(path: &Path, report: &Report) -> Self {
        let damage: Vec<String> = report.damage().map(ToString::to_string).collect();
        Self {
            path: path.to_owned(),
            missing: report.missing,
            is_unnamed: report.unnamed > 0,
            more: damage.len().saturating_sub(PLACES_MAX),
            places: damage.into_iter().take(PLACES_MAX).collect(),
        }
    }
}

/// Reads a segment that nobody else may change.
pub(super) fn read_whole(
    folder: &Folder,
    segment: SegmentFile,
    buffer: &mut Vec<u8>,
) -> Result<(), FolderError> {
    folder.read(segment, buffer)?;
    let (listed, found) = (segment.len.as_u64(), buffer.len() as u64);
    if found < listed {
        return Err(FolderError::Short { path: folder.path_of(segment.number), listed, found });
    }
    Ok(())
}

pub(super) fn survey_one(segment: SegmentFile, bytes: &[u8], filing: Filing<'_>) -> Survey {
    survey(segment.number, bytes, filing.shards, filing.owner_of)
}

/// Calls `each` for all segments, in any order, on so many threads with a buffer each. The
/// first error is returned, and keeps the rest from being begun.
pub(super) fn on_threads<T: Send>(
    segments: &[SegmentFile],
    threads: usize,
    each: impl Fn(SegmentFile, &mut Vec<u8>) -> Result<T, FolderError> + Sync,
) -> Result<Vec<T>, FolderError> {
    let next = AtomicUsize::new(0);
    let take = || {
        let (mut buffer, mut done) = (Vec::new(), Vec::new());
        while let Some(segment) = segments.get(next.fetch_add(1, Ordering::Relaxed)) {
            match each(*segment, &mut buffer) {
                Ok(outcome) => done.push(outcome),
                Err(error) => {
                    next.store(segments.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    };
    let threads = threads.clamp(1, segments.len().max(1));
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let mut all = Vec::with_capacity(segments.len());
    for outcome in outcomes {
        all.extend(outcome?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
