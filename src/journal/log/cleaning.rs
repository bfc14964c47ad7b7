//! Cleaning: old segments are emptied by logging again what still lives in them.
//!
//! The log only says from which segment on it will be needed ([`Log::cut`]); the shards log
//! again what lives below and report when they have. Once all of that is synced a
//! checkpoint says so in the log, and once that is synced the segments below are condemned.
//! One cut at a time.

use super::parts::PartKind;
use super::*;

/// What is cleaned at a time, as a part of the log; one segment at least. Each time all sessions
/// are looked at: what is less costs more of that, and what is more makes the log longer.
const CUT_PART: u64 = 32;
/// How long none is looked for where there was none, unless a segment comes or goes or finds no
/// room: that asks the file system for its room each time.
const CUT_PAUSE: Millis = Millis::new(100);

/// How far a cleaning has come.
#[derive(Debug)]
pub(super) enum Cleaning {
    Idle,
    /// The shards log again what lives below this segment.
    Copying {
        below: SegmentNumber,
        /// By shard: the sequence of its last copy.
        reported: Box<[Option<Sequence>]>,
    },
    /// The checkpoint is on its way; where it ends once it is written.
    Checkpoint {
        below: SegmentNumber,
        at: Option<Position>,
    },
}

impl Cleaning {
    /// Notes that `shard` has copied everything, if that is what was asked.
    pub fn copied(&mut self, shard: ShardId, last: Sequence, up_to: SegmentNumber) {
        if let Self::Copying { below, reported } = self
            && *below == up_to
        {
            reported[shard.index()] = Some(last);
        }
    }

    pub fn checkpoint_at(&mut self, up_to: SegmentNumber, position: Position) {
        if let Self::Checkpoint { below, at } = self
            && *below == up_to
        {
            *at = Some(position);
        }
    }

    /// The checkpoint will be written again.
    pub fn forget_checkpoint(&mut self) {
        if let Self::Checkpoint { at, .. } = self {
            *at = None;
        }
    }
}

impl<S: Storage> Log<S> {
    /// The segment below which the shards should log again what lives there.
    pub fn cut(&self) -> Option<SegmentNumber> {
        match self.cleaning {
            Cleaning::Copying { below, .. } => Some(below),
            _ => None,
        }
    }

    /// What live sessions and the registry would take if each were written once, and the
    /// registry's part of it.
    pub fn set_live(&mut self, live: ByteCount, registry: ByteCount) {
        debug_assert!(registry <= live, "a part of it");
        self.live_bytes = live.as_u64();
        self.registry_bytes = registry.as_u64();
    }

    pub(super) fn consider_cleaning(&mut self, now: Now) {
        match &self.cleaning {
            Cleaning::Idle => {
                if self.content() <= self.len_max() {
                    self.cleaned_from = 0;
                }
                if self.content() > self.len_max() || self.has_damage() {
                    self.begin_cut(now.moment);
                }
            }
            Cleaning::Copying { below, reported } => {
                let is_synced =
                    |(last, synced): (&Option<Sequence>, &Sequence)| last.is_some_and(|last| last <= *synced);
                if reported.iter().zip(&self.synced).all(is_synced) {
                    let below = *below;
                    self.cleaning = Cleaning::Checkpoint { below, at: None };
                    // The marks of time that there are may all lie below: then nobody could tell
                    // the sessions' deadlines any more.
                    self.mark_time(now);
                    self.queue_mark(Entry::Checkpoint(below), PartKind::Checkpoint(below));
                    self.place_or_mend(now.moment);
                }
            }
            Cleaning::Checkpoint { below, at } => {
                if at.is_some_and(|at| at <= self.synced_at) {
                    let below = *below;
                    self.condemn(below);
                    self.cleanings += 1;
                    self.cleaning = Cleaning::Idle;
                }
            }
        }
    }

    /// Begins to clean if there is a cut; where there is none it is not looked for again at each step.
    fn begin_cut(&mut self, now: Moment) {
        if self.no_cut_until.is_some_and(|until| now < until) {
            return;
        }
        let Some(below) = self.choose_cut() else {
            self.no_cut_until = Some(now.after(CUT_PAUSE));
            return;
        };
        let reported = vec![None; self.written.len()].into();
        self.cleaning = Cleaning::Copying { below, reported };
        if self.cleaned_from == 0 {
            self.cleaned_from = self.content();
        }
    }

    /// Whether a segment is left that was there when damage was found.
    pub fn has_damage(&self) -> bool {
        let oldest = self.older.front().map(|segment| segment.number);
        self.damaged_below.zip(oldest).is_some_and(|(below, oldest)| oldest < below)
    }

    /// Whether what is logged beside the copies would soon make the log longer than it should be. A
    /// log that is too long because much has gone at once is no reason to hurry: it only shrinks.
    pub fn is_cut_urgent(&self) -> bool {
        let is_copying = matches!(self.cleaning, Cleaning::Copying { .. });
        let calm = self.len_max().max(self.cleaned_from);
        is_copying && self.content() > calm + self.live_bytes / 20
    }

    /// How much the log may hold before it is cleaned, in bytes. Less where the disk has no more
    /// to give.
    ///
    /// All segments that hold records should take no more than `2 × live + 3 segments`. One of the
    /// three is what the current segment has not used yet. At worst everything that is old lives:
    /// then `live` bytes are copied before anything is given back, and an eighth of that is
    /// logged meanwhile; what was copied of one cut is there twice until the next. With
    /// `live / 20` before it is urgent that is `1.93 × live + 1 1/4 segments`. The rest is for what is
    /// logged while a walk finds nothing to copy and while copies and checkpoint are synced, and for
    /// the registry: a disk that syncs too slowly, or a registry that is no small part of what
    /// lives, takes more.
    pub(super) fn len_max(&self) -> u64 {
        let live = self.live_bytes;
        let copies = if self.is_short { live / 2 } else { live / 10 * 7 };
        live + copies + self.segment_len / 4 * 3
    }

    /// The bytes of all segments up to the log's end.
    pub(super) fn content(&self) -> u64 {
        self.older.iter().map(|segment| segment.len.as_u64()).sum::<u64>() + self.current.end
    }

    /// The segment before which a part of the log lies, and one segment at least; no
    /// more where there might be no room for all that could live in it. None while the reserve
    /// does not hold even one segment's copies and more is about to come, nor where the registry,
    /// which is copied whole each time, would take what the cut gives; damage goes all the same.
    fn choose_cut(&self) -> Option<SegmentNumber> {
        let part = (self.content() / CUT_PART).max(2 * self.registry_bytes);
        let room = self.room_to_copy().saturating_sub(self.registry_bytes);
        let is_tight = self.older.front().is_some_and(|first| first.len.as_u64() > room);
        let is_growing = !self.is_short || !self.condemned.is_empty();
        if is_tight && is_growing {
            return None;
        }
        let mut before = 0;
        for (index, segment) in self.older.iter().enumerate() {
            before += segment.len.as_u64();
            let next = self.older.get(index + 1);
            let is_last = next.is_none_or(|next| before + next.len.as_u64() > room);
            if before >= part || is_last {
                let cut = next.map_or(self.current.number, |next| next.number);
                let is_worth_it = before > self.registry_bytes || self.has_damage() && before <= room;
                return is_worth_it.then_some(cut);
            }
        }
        None
    }

    /// What copies will find room for, whoever else writes meanwhile, in bytes. A cut that needs
    /// more might never come to its end: what it has copied takes room, and gives none back.
    fn room_to_copy(&self) -> u64 {
        let room_of = |spare: &Segment<S::File>| spare.len.saturating_sub(place::SEGMENT_OVERHEAD);
        let reserve: u64 = self.spares.iter().rev().take(RESERVE_SEGMENTS).map(room_of).sum();
        let others: u64 = self.spares.iter().rev().skip(RESERVE_SEGMENTS).map(room_of).sum();
        let free = if self.is_short { None } else { self.storage.free().ok() };
        // Copies are as fast as what comes in beside them: half of what both may use is theirs.
        let shared = (self.current.rest() + others + free.map_or(0, ByteCount::as_u64)) / 2;
        (reserve + shared).saturating_sub(self.room_for_removals())
    }

    fn condemn(&mut self, below: SegmentNumber) {
        while let Some(segment) = self.older.pop_front_if(|segment| segment.number < below) {
            self.condemned.push_back(segment.number);
        }
        debug_assert!(self.current.number >= below, "the log itself is never condemned");
    }
}
