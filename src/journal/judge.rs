//! The walk over all surveys: which segments hang together, and where the log ends.
//!
//! From the newest segment back, each header tells which segment came before it and where
//! that one really ended; what is not in this chain was abandoned. Then from the oldest on,
//! each bad place is held against the newest synced position: before it, it is damage and is
//! stepped over; from it on, the log ends there.

use std::mem::take;

use super::recover::{Notice, Report};
use super::scan::BadSpan;
use super::segment::SEGMENT_HEADER_LEN;
use super::survey::{Event, Note, Survey};
use super::units::{LogOffset, Position, SegmentNumber};
use crate::types::{ByteCount, ShardId};

/// A segment that counts, up to `clip`.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) survey: Survey,
    /// What lies from here on does not count.
    pub(super) clip: LogOffset,
}

impl Kept {
    /// What happened to this shard's sessions and counts, in order.
    pub(super) fn events(&self, shard: ShardId) -> &[Event] {
        let events = self.survey.by_owner.get(shard.index()).map_or(&[][..], Vec::as_slice);
        &events[..events.partition_point(|event| event.at < self.clip)]
    }

    /// The same, taken out.
    pub(super) fn take_events(&mut self, shard: ShardId) -> Vec<Event> {
        let len = self.events(shard).len();
        let mut events = self.survey.by_owner.get_mut(shard.index()).map(take).unwrap_or_default();
        events.truncate(len);
        events
    }

    /// What else counts, in order.
    pub(super) fn notes(&self) -> impl DoubleEndedIterator<Item = &Note> {
        let len = self.survey.notes.partition_point(|(at, _)| *at < self.clip);
        self.survey.notes[..len].iter().map(|(_, note)| note)
    }

    /// How many good records count.
    pub(super) fn records(&self) -> u64 {
        let count_events = |events: &Vec<Event>| events.partition_point(|event| event.at < self.clip);
        let events: usize = self.survey.by_owner.iter().map(count_events).sum();
        let is_named = |span: &&BadSpan| span.start < self.clip && span.lost.is_some();
        let named = self.survey.bad.iter().filter(is_named).count();
        (events + self.notes().count()).saturating_sub(named) as u64
    }
}

/// A segment of the chain, and where its successor says that it ended.
struct Link {
    survey: Survey,
    told_end: Option<LogOffset>,
}

/// A walk under way.
#[derive(Default)]
pub(super) struct Judge {
    /// The newest synced position.
    pub(super) horizon: Option<Position>,
    /// The oldest segment that is needed.
    checkpoint: Option<SegmentNumber>,
    pub(super) kept: Vec<Kept>,
    pub(super) unlink: Vec<SegmentNumber>,
    /// Where the log ends, as far as it was walked.
    pub(super) end: Option<Position>,
    /// Whether the log ended before its segments did: the rest is not kept.
    is_over: bool,
    pub(super) is_torn: bool,
    pub(super) damaged: Vec<SegmentNumber>,
    pub(super) report: Report,
}

impl Judge {
    /// Judges all surveys, which come in any order.
    pub(super) fn over(mut surveys: Vec<Survey>) -> Self {
        surveys.sort_unstable_by_key(Survey::number);
        let notes = || surveys.iter().flat_map(|survey| &survey.notes).map(|(_, note)| note);
        // Both hold wherever they are found, behind a tear too: they speak of what was before.
        let horizon =
            notes().filter_map(|note| if let Note::Synced(upto, _) = note { Some(*upto) } else { None });
        let checkpoint =
            notes().filter_map(|note| if let Note::Checkpoint(to) = note { Some(*to) } else { None });
        let mut judge = Self { horizon: horizon.max(), checkpoint: checkpoint.max(), ..Self::default() };
        for link in judge.chain(surveys) {
            judge.walk(link);
        }
        judge.unlink.sort_unstable();
        judge
    }

    /// The segments that hang together up to the newest, in the order of the log.
    fn chain(&mut self, surveys: Vec<Survey>) -> Vec<Link> {
        let mut chain = Vec::with_capacity(surveys.len());
        let mut told: Option<Position> = None;
        for survey in surveys.into_iter().rev() {
            let number = survey.number;
            let is_below = self.checkpoint.is_some_and(|first| number < first);
            let is_abandoned = told.is_some_and(|told| number > told.segment);
            // What a segment says of the one before it was known when it was begun, and it was
            // synced before anything in it counted; what that one's own bytes show may be stale.
            let told_end = told.filter(|told| told.segment == number).map(|told| told.offset);
            let is_unused = survey.is_unused() && told_end.is_none();
            if is_below || is_abandoned || is_unused {
                self.unlink.push(number);
                continue;
            }
            told = survey.header.ok().and_then(|header| header.previous);
            chain.push(Link { survey, told_end });
        }
        chain.reverse();
        chain
    }

    fn walk(&mut self, link: Link) {
        if let Some(missing) = self.missing_before(&link).filter(|_| !self.is_over) {
            let begin = Position { segment: missing, offset: LogOffset::of_len(SEGMENT_HEADER_LEN) };
            // Only from the front are segments ever removed, so there a hole is never a tear.
            if self.kept.is_empty() || self.was_synced(begin) {
                self.report.notice(Notice::Missing(missing));
                (self.report.damaged, self.report.unnamed) =
                    (self.report.damaged + 1, self.report.unnamed + 1);
            } else {
                self.is_over = true;
                self.report.notice(Notice::Torn(self.end.unwrap_or(begin)));
            }
        }
        if link.survey.is_unreadable() {
            // Nothing is written behind a header before the prepared one is synced: damage, not a tear.
            self.damage(link.survey.number, Notice::Unreadable(link.survey.number), true);
        }
        if self.is_over {
            self.discard(&link.survey, LogOffset::default());
            self.unlink.push(link.survey.number);
        } else {
            self.keep(link);
        }
    }

    /// The segment that ought to lie before this one and does not.
    fn missing_before(&self, link: &Link) -> Option<SegmentNumber> {
        let previous = link.survey.header.ok()?.previous?.segment;
        let is_needed = self.checkpoint.is_none_or(|first| previous >= first);
        let is_there = self.kept.last().is_some_and(|kept| kept.survey.number >= previous);
        (is_needed && !is_there).then_some(previous)
    }

    fn keep(&mut self, link: Link) {
        let Link { survey, told_end } = link;
        let segment = survey.number;
        let limit = told_end.unwrap_or(survey.end);
        match self.cut(&survey, limit) {
            None => {
                self.end = Some(Position { segment, offset: limit });
                self.kept.push(Kept { survey, clip: limit });
            }
            Some(cut) => {
                self.is_over = true;
                self.report.notice(Notice::Torn(Position { segment, offset: cut }));
                self.discard(&survey, cut);
                // Without a header there is nothing to truncate to: the log ends one earlier.
                if cut.as_usize() < SEGMENT_HEADER_LEN {
                    return self.unlink.push(segment);
                }
                self.is_torn = true;
                self.end = Some(Position { segment, offset: cut });
                self.kept.push(Kept { survey, clip: cut });
            }
        }
        debug_assert!(self.kept.is_sorted_by_key(|kept| kept.survey.number), "the log is walked in order");
    }

    /// Where the log ends in this segment, if it does before `limit`. Counts the damage before.
    fn cut(&mut self, survey: &Survey, limit: LogOffset) -> Option<LogOffset> {
        if survey.is_unreadable() {
            return self.tear_within(survey.number, limit);
        }
        // Zeros where the successor says that records were: written, and never on the disk.
        let shortfall = BadSpan { start: survey.end, end: limit, lost: None, origin: None };
        let spans = survey.bad.iter().chain([&shortfall]).filter(|span| span.start < span.end.min(limit));
        for span in spans {
            let start = Position { segment: survey.number, offset: span.start };
            if !self.was_synced(start) {
                return Some(span.start);
            }
            self.damage(survey.number, Notice::Damaged(start), span.lost.is_none());
            if let Some(torn) = self.tear_within(survey.number, span.end.min(limit)) {
                return Some(torn);
            }
        }
        None
    }

    /// Counts a place of a segment that is damaged.
    fn damage(&mut self, segment: SegmentNumber, notice: Notice, is_unnamed: bool) {
        self.report.damaged += 1;
        self.report.unnamed += u64::from(is_unnamed);
        self.report.notice(notice);
        if self.damaged.last() != Some(&segment) {
            self.damaged.push(segment);
        }
    }

    /// Where the log is torn, if it is within a bad place of this segment that ends at `end`: a
    /// place over the horizon hides a bad record behind it too.
    fn tear_within(&self, segment: SegmentNumber, end: LogOffset) -> Option<LogOffset> {
        self.horizon
            .filter(|horizon| horizon.segment == segment && horizon.offset < end)
            .map(|torn| torn.offset)
    }

    fn was_synced(&self, at: Position) -> bool {
        self.horizon.is_some_and(|horizon| at < horizon)
    }

    /// Counts what a segment holds from `from` on as torn.
    fn discard(&mut self, survey: &Survey, from: LogOffset) {
        self.report.torn_bytes += ByteCount::new(survey.filled.as_u64().saturating_sub(from.as_u64()));
    }
}
