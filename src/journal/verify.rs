//! `seshun verify`: what a start would find in a folder, without changing anything in it.
//!
//! The folder of a server that runs is judged too, as of now, up to the last whole record.
//! Unlinks are held off meanwhile by a lock, which is no change. What is told are
//! numbers and places in the log: no key, no id, no name of a bucket, no data.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use ahash::AHashSet;

use super::folder::{Folder, FolderError};
use super::plan::Tally;
use super::recover::{Notice, RecoverError, Recovery, Report, Terms};
use super::replay::{Filing, on_threads, survey_one};
use super::segment::FORMAT;
use super::snapshot::Snapshot;
use super::storage::SegmentFile;
use super::survey::Survey;
use crate::types::{ByteCount, Millis, ShardCount, ShardId, Ttl, UnixMillis};

/// The longest time that a server is believed to have been down, as where nothing else is
/// configured: 7 days.
const DOWNTIME_MAX: Millis = Millis::from_secs(7 * 24 * 60 * 60);
/// The most threads that read, each of which has room for one segment.
const THREADS_MAX: usize = 4;
/// Whose a session is does not matter here.
const FILING: Filing<'static> = Filing { shards: ShardCount::ONE, owner_of: &|_| ShardId::FIRST };

/// Why a folder could not be judged.
#[derive(Debug, thiserror::Error)]
enum VerifyError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Recover(#[from] RecoverError),
}

/// What was found: printed, one line each thing, the last one a verdict.
#[derive(Debug)]
pub struct Verification {
    path: PathBuf,
    outcome: Result<Findings, VerifyError>,
}

#[derive(Debug)]
struct Findings {
    is_in_use: bool,
    segments: usize,
    bytes: ByteCount,
    spares: usize,
    needless: usize,
    epochs: usize,
    /// Of the newest start; none where there was none.
    newest_epoch: Option<u32>,
    sessions: Tally,
    buckets_with_key: usize,
    buckets_without_key: usize,
    report: Report,
}

/// What was read of a folder.
struct Look {
    surveys: Vec<Survey>,
    bytes: ByteCount,
    spares: usize,
}

/// Judges the journal's folder at `path` as a start at `wall_now` would.
pub fn verify(path: &Path, wall_now: UnixMillis) -> Verification {
    Verification { path: path.to_owned(), outcome: judge(path, wall_now) }
}

impl Verification {
    /// Whether it is a journal and nothing that had been kept is lost.
    pub fn is_sound(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|findings| !findings.report.is_damaged())
    }
}

fn judge(path: &Path, wall_now: UnixMillis) -> Result<Findings, VerifyError> {
    let folder = Folder::open(path)?;
    let mut is_in_use = folder.is_in_use()?;
    let mut look = if is_in_use { look_beside_server(&folder) } else { look_at_rest(&folder) };
    // A server that has started since may have changed what was being read.
    if !is_in_use && folder.is_in_use()? {
        is_in_use = true;
        look = look_beside_server(&folder);
    }
    let Look { surveys, bytes, spares } = look?;
    let is_blank = |survey: &&Survey| survey.is_unused();
    let blank: AHashSet<_> = surveys.iter().filter(is_blank).map(Survey::number).collect();
    let (segments, epochs) = (surveys.len() - blank.len(), epochs_of(&surveys));
    let terms = Terms { wall_now, session_ttl: Ttl::MAX, downtime_max: DOWNTIME_MAX };
    let recovery = Recovery::judge(surveys, terms)?;
    let buckets = &recovery.registry().buckets;
    let buckets_with_key = buckets.iter().filter(|bucket| bucket.key.is_some()).count();
    Ok(Findings {
        is_in_use,
        segments,
        bytes,
        spares: spares + blank.len(),
        needless: recovery.unlink().iter().filter(|number| !blank.contains(number)).count(),
        newest_epoch: epochs.iter().copied().max(),
        epochs: epochs.len(),
        sessions: recovery.plan(ShardId::FIRST).tally(),
        buckets_with_key,
        buckets_without_key: buckets.len() - buckets_with_key,
        report: recovery.report().clone(),
    })
}

/// All segments, of a folder that nobody writes to.
fn look_at_rest(folder: &Folder) -> Result<Look, FolderError> {
    let segments = folder.list()?;
    let bytes = segments.iter().map(|segment| segment.len).sum();
    Ok(Look { surveys: survey_all(folder, &segments)?, bytes, spares: 0 })
}

/// What belongs together in the folder of a server that runs.
fn look_beside_server(folder: &Folder) -> Result<Look, FolderError> {
    let hold = folder.hold_unlinking()?;
    let Snapshot { sealed, newest, spares } = Snapshot::take(folder, &hold)?;
    let mut surveys = survey_all(folder, &sealed)?;
    drop(hold);
    let mut bytes: ByteCount = sealed.iter().map(|segment| segment.len).sum();
    if let Some(newest) = newest {
        let len = ByteCount::of_len(newest.bytes.len());
        bytes += len;
        surveys.push(survey_one(SegmentFile { number: newest.number, len }, &newest.bytes, FILING));
    }
    Ok(Look { surveys, bytes, spares })
}

fn survey_all(folder: &Folder, segments: &[SegmentFile]) -> Result<Vec<Survey>, FolderError> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(THREADS_MAX);
    let surveys =
        on_threads(segments, threads, |segment, buffer| match folder.read_written(segment, buffer) {
            Ok(()) => Ok(Some(survey_one(segment, buffer, FILING))),
            // Under a hold only what was never used goes; at rest nothing does.
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        });
    Ok(surveys?.into_iter().flatten().collect())
}

/// The starts that the segments tell of.
fn epochs_of(surveys: &[Survey]) -> AHashSet<u32> {
    let headers = surveys.iter().filter_map(|survey| survey.header.ok()).map(|header| header.epoch.as_u32());
    let records = surveys.iter().flat_map(|survey| survey.runs.keys()).map(|(epoch, _)| *epoch);
    headers.chain(records).collect()
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "folder: {}", self.path.display())?;
        match &self.outcome {
            Ok(findings) => findings.fmt(f),
            Err(error) => writeln!(f, "verdict: not readable: {error}"),
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_in_use { "in use by a server, judged as of now" } else { "not in use" };
        let (report, sessions) = (&self.report, &self.sessions);
        writeln!(f, "state: {state}")?;
        writeln!(f, "format: {FORMAT}")?;
        writeln!(f, "segments: {}", self.segments)?;
        writeln!(f, "spare_segments: {}", self.spares)?;
        writeln!(f, "needless_segments: {}", self.needless)?;
        writeln!(f, "bytes: {}", self.bytes.as_u64())?;
        writeln!(f, "records: {}", report.records)?;
        writeln!(f, "epochs: {}", self.epochs)?;
        writeln!(f, "newest_epoch: {}", self.newest_epoch.unwrap_or_default())?;
        writeln!(f, "sessions_live: {}", sessions.live)?;
        writeln!(f, "sessions_due: {}", sessions.due)?;
        writeln!(f, "sessions_lost: {}", sessions.lost)?;
        writeln!(f, "sessions_orphaned: {}", sessions.orphaned)?;
        writeln!(f, "buckets_with_key: {}", self.buckets_with_key)?;
        writeln!(f, "buckets_without_key: {}", self.buckets_without_key)?;
        writeln!(f, "torn_bytes: {}", report.torn_bytes.as_u64())?;
        writeln!(f, "damaged_places: {}", report.damaged)?;
        writeln!(f, "unnamed_places: {}", report.unnamed)?;
        writeln!(f, "missing_records: {}", report.missing)?;
        for notice in &report.notices {
            let kind = if notice.is_damage() { "damage" } else { "note" };
            let is_normal = matches!(notice, Notice::Torn(_));
            let comment = if is_normal { ", as after any power cut" } else { "" };
            writeln!(f, "{kind}: {notice}{comment}")?;
        }
        if report.is_damaged() {
            writeln!(f, "verdict: damaged: lost records that had been kept: {}", report.missing)
        } else {
            writeln!(f, "verdict: sound")
        }
    }
}

#[cfg(test)]
mod tests;
