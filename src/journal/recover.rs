//! All segments together: where the log ends, what is damaged, what is to be restored.
//!
//! The log ends at the first bad record that was not synced yet: a power cut tears it there,
//! and what is restored is exactly what was written before. A bad record before the newest
//! synced position is damage: it is stepped over, counted and named. Segments below the newest
//! checkpoint are of no concern. Pure: surveys in, verdict out; nothing on disk has changed
//! until the caller does what [`Recovery::truncate`] and [`Recovery::unlink`] say.

use std::sync::Arc;

use ahash::AHashMap;

use super::buckets::{RestoredRegistry, fold_registry};
use super::judge::{Judge, Kept};
use super::plan::{Fold, Plan, PlanBasis, PlanTerms, ShardEvents};
use super::record::TimeMark;
use super::segment::HeaderError;
use super::survey::{Note, Survey};
use super::units::{JournalMillis, Position, SegmentNumber, Sequence};
use crate::types::{BootEpoch, ByteCount, Millis, ShardCount, ShardId, Ttl, UnixMillis};

/// What recovery is told by its caller.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The wall clock at boot.
    pub wall_now: UnixMillis,
    /// The TTL of sessions without their own.
    pub session_ttl: Ttl,
    /// The longest time that the process is believed to have been down.
    pub downtime_max: Millis,
}

/// Why nothing can be restored. The start ends and nothing on disk is touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecoverError {
    /// Another program's log.
    #[error(
        "segment {0} is of format {1}, which this program does not read: start the version that wrote it"
    )]
    Format(SegmentNumber, u32),
    /// 2²⁴ boots, or a folder that was tampered with.
    #[error("the log has used all boot epochs up: start with an empty folder")]
    EpochsUsedUp,
    /// As many segments as file names can tell apart.
    #[error("the log has used all segment numbers up: start with an empty folder")]
    SegmentsUsedUp,
}

/// Something that an operator should hear of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Notice {
    /// The log was cut off here; an ordinary power cut does that.
    #[error("the log was torn at {0}: what follows was never synced")]
    Torn(Position),
    /// Records that were synced are damaged.
    #[error("damaged records from {0} on")]
    Damaged(Position),
    /// A whole segment that was synced is not there.
    #[error("segment {0} is missing")]
    Missing(SegmentNumber),
    /// A segment has no good header, so nothing of it can be read. No power cut does that.
    #[error("segment {0} has no readable header: all that it held is lost")]
    Unreadable(SegmentNumber),
    /// A bucket whose newest record is damaged: no key opens it until another is made.
    #[error("the key of bucket number {0} is lost")]
    KeyLost(u32),
    /// The wall clock is behind the log's: time is taken to have stood still since.
    #[error("the wall clock went back by {0} ms while the server was down; no session expires for it")]
    ClockBack(u64),
    /// The wall clock is far ahead of the log's: only a part of it is believed.
    #[error("the wall clock went on by {0} ms while the server was down; not all of it is believed")]
    ClockAhead(u64),
}

impl Notice {
    /// Whether it tells of something that is lost although it had been kept.
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Missing(_) | Self::Unreadable(_) | Self::KeyLost(_))
    }
}

/// Notices that are kept; damage without end is counted, not listed.
const NOTICES_MAX: usize = 1_000;

/// What was found, in numbers.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// Good records that count.
    pub records: u64,
    /// Places before the synced position that hold no good record: a record each where it has
    /// a name, one or more where it has none.
    pub damaged: u64,
    /// Those of them without a name: sessions may be restored in an older version.
    pub unnamed: u64,
    /// Records that were synced and are lost, by the sequences; at least `damaged`.
    pub missing: u64,
    /// What was written behind the log's end.
    pub torn_bytes: ByteCount,
    /// What an operator should hear of, at most 1,000 of them.
    pub notices: Vec<Notice>,
}

impl Report {
    /// Whether anything that was synced is lost: where `journal.strict` refuses to start.
    pub fn is_damaged(&self) -> bool {
        self.damaged > 0 || self.missing > 0
    }

    /// What is lost, as far as it is listed.
    pub fn damage(&self) -> impl Iterator<Item = &Notice> {
        self.notices.iter().filter(|notice| notice.is_damage())
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(notice);
        }
    }
}

/// The verdict on a log.
#[derive(Debug)]
pub struct Recovery {
    /// In the order of the log.
    kept: Vec<Kept>,
    unlink: Vec<SegmentNumber>,
    /// Where the log ends; none where there is none.
    end: Option<Position>,
    synced: Option<Position>,
    is_torn: bool,
    damaged: Vec<SegmentNumber>,
    registry: RestoredRegistry,
    boot: JournalMillis,
    next_epoch: BootEpoch,
    next_segment: SegmentNumber,
    terms: Terms,
    report: Report,
}

impl Recovery {
    /// Judges the surveys of all segments of a folder, in any order.
    pub fn judge(surveys: Vec<Survey>, terms: Terms) -> Result<Self, RecoverError> {
        for survey in &surveys {
            if let Err(HeaderError::Format(format)) = survey.header {
                return Err(RecoverError::Format(survey.number, format));
            }
        }
        let next_epoch = next_epoch(&surveys).ok_or(RecoverError::EpochsUsedUp)?;
        let next_segment = next_segment(&surveys).ok_or(RecoverError::SegmentsUsedUp)?;
        let any_mark = surveys.iter().flat_map(|survey| &survey.notes).filter_map(|(_, note)| mark_of(note));
        let newest_mark = any_mark.max_by_key(|mark| mark.journal);
        let Judge { horizon, kept, unlink, end, is_torn, damaged, mut report, .. } = Judge::over(surveys);
        let synced = horizon.zip(end).map(|(horizon, end)| horizon.min(end));
        let registry = fold_registry(&kept, &mut report);
        let boot = boot_time(&kept, newest_mark, &terms, &mut report);
        report.missing = count_missing(&kept).max(report.damaged);
        report.records = kept.iter().map(Kept::records).sum();
        Ok(Self {
            kept,
            unlink,
            end,
            synced,
            is_torn,
            damaged,
            registry,
            boot,
            next_epoch,
            next_segment,
            terms,
            report,
        })
    }

    /// The sessions of one shard, as the surveys filed them; none once their events are taken out.
    pub fn plan(&self, shard: ShardId) -> Plan {
        let events = self.kept.iter().map(|kept| (kept.survey.number, kept.events(shard)));
        let mut fold = Fold::for_events(events.clone().map(|(_, events)| events.len()).sum());
        for (number, events) in events {
            events.iter().for_each(|event| fold.apply(number, event));
        }
        fold.finish(&self.plan_basis())
    }

    /// Takes out, for each of `shards`, what its plan is made of. That is as much as the log is long,
    /// and need not be there any more while sessions are loaded.
    pub fn take_events(&mut self, shards: ShardCount) -> Vec<ShardEvents> {
        let basis = Arc::new(self.plan_basis());
        let of_shard = |shard| {
            let segments = self.kept.iter_mut().map(|kept| (kept.survey.number, kept.take_events(shard)));
            ShardEvents::new(segments.collect(), Arc::clone(&basis))
        };
        shards.shards().map(of_shard).collect()
    }

    fn plan_basis(&self) -> PlanBasis {
        let buckets = self.registry.buckets.iter().map(|bucket| bucket.bucket).collect();
        PlanBasis { terms: PlanTerms { boot: self.boot, session_ttl: self.terms.session_ttl }, buckets }
    }

    /// The segments that hold what is to be restored, in the order of the log.
    pub fn segments(&self) -> impl Iterator<Item = SegmentNumber> {
        self.kept.iter().map(|kept| kept.survey.number)
    }

    /// The buckets and their keys.
    pub fn registry(&self) -> &RestoredRegistry {
        &self.registry
    }

    /// This boot's epoch. It is used up once a synced segment or record shows it.
    pub fn next_epoch(&self) -> BootEpoch {
        self.next_epoch
    }

    /// The number of the segment to begin; no file has it.
    pub fn next_segment(&self) -> SegmentNumber {
        self.next_segment
    }

    /// Where the log ends, for the header of the segment to begin; none where there is no log.
    pub fn end(&self) -> Option<Position> {
        self.end
    }

    /// The newest sync that the log tells of, at or before its end.
    pub fn synced(&self) -> Option<Position> {
        self.synced
    }

    /// The boot in journal time.
    pub fn boot_time(&self) -> JournalMillis {
        self.boot
    }

    /// The segment to truncate, and where: none unless the log is torn there.
    pub fn truncate(&self) -> Option<Position> {
        self.end.filter(|_| self.is_torn)
    }

    /// The segments to remove, oldest first: below the checkpoint, behind the log's end, unused.
    pub fn unlink(&self) -> &[SegmentNumber] {
        &self.unlink
    }

    /// The segments with damage, to be copied aside before anything changes.
    pub fn damaged_segments(&self) -> &[SegmentNumber] {
        &self.damaged
    }

    /// What was found, in numbers.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

/// The epoch after the newest that any header or record shows, torn ones included.
fn next_epoch(surveys: &[Survey]) -> Option<BootEpoch> {
    let newest = surveys.iter().filter_map(|survey| survey.epoch).max();
    // Each of these may be the first of a start that nothing else shows.
    let unreadable = surveys.iter().filter(|survey| survey.is_unreadable()).count();
    // Epoch 0 is for servers that keep nothing.
    let newest = newest.map_or(BootEpoch::FIRST.as_u32(), BootEpoch::as_u32);
    BootEpoch::new(newest.saturating_add(unreadable as u32 + 1))
}

fn next_segment(surveys: &[Survey]) -> Option<SegmentNumber> {
    match surveys.iter().map(Survey::number).max() {
        Some(newest) => newest.next(),
        None => Some(SegmentNumber::FIRST),
    }
}

/// The boot in journal time: the newest mark, and as long after it as the wall clock says,
/// within what is believed. A clock that was set while the process was down logs nobody out. A
/// checkpoint counts where it lies behind the log's end too, and its own mark may be torn: then the
/// newest of all marks holds, wherever it lies.
fn boot_time(
    kept: &[Kept],
    newest_mark: Option<TimeMark>,
    terms: &Terms,
    report: &mut Report,
) -> JournalMillis {
    let mark = kept.iter().rev().flat_map(|kept| kept.notes().rev()).find_map(mark_of);
    let Some(TimeMark { journal, wall }) = mark.or(newest_mark) else { return JournalMillis::default() };
    let (now, then) = (terms.wall_now.as_u64(), wall.as_u64());
    if now < then {
        report.notice(Notice::ClockBack(then - now));
        return journal;
    }
    let down = Millis::new(now - then);
    if down > terms.downtime_max {
        report.notice(Notice::ClockAhead(down.as_u64()));
    }
    journal.after(down.min(terms.downtime_max))
}

const fn mark_of(note: &Note) -> Option<TimeMark> {
    match *note {
        Note::Synced(_, mark) | Note::Time(mark) => Some(mark),
        _ => None,
    }
}

/// How many records the sequences of all shards and epochs lack, up to the log's end. What
/// was logged before the oldest segment is not missed.
fn count_missing(kept: &[Kept]) -> u64 {
    let mut last: AHashMap<(u32, ShardId), Sequence> = AHashMap::default();
    let mut missing = 0;
    for Kept { survey, clip } in kept {
        missing += survey.gaps.iter().take_while(|(at, _)| at < clip).map(|(_, count)| count).sum::<u64>();
        for (origin, run) in survey.runs.iter().filter(|(_, run)| run.first_at < *clip) {
            let last = last.entry(*origin).or_insert(run.last);
            missing += run.first.gap_since(*last);
            *last = run.last.max(*last);
        }
    }
    missing
}
