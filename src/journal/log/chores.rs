//! Jobs: what blocks for long and may run on another thread while the log goes on writing.
//!
//! A sync covers what was written when the job was made and nothing later, whenever it runs.
//! At most one sync and one other job are out at a time. A failed sync is never tried again
//! on the same records.

use super::parts::PartKind;
use super::place::{Segment, create_file};
use super::*;

/// How long a failed chore is left alone.
const CHORE_PAUSE: Millis = Millis::from_secs(1);
/// Spares that come before a removal: the reserve, and the next segment.
const PREPARED_IN_A_ROW_MAX: usize = RESERVE_SEGMENTS + 1;
/// How long an unlink is left alone that a backup puts off. Trying costs one system call.
const HELD_PAUSE: Millis = Millis::new(100);

/// What a sync makes durable.
#[derive(Clone, Debug)]
pub struct Covers {
    /// Everything below this.
    pub position: Position,
    /// Each shard's newest sequence below it.
    pub sequences: Box<[Sequence]>,
    placed_bytes: u64,
    /// How many files of [`Log::unsynced`] it took.
    files: usize,
}

/// Something that blocks.
#[derive(Debug)]
pub enum Job<File> {
    /// Sync these segments, oldest first.
    Sync {
        /// The segments.
        files: Vec<File>,
        /// What is durable then.
        covers: Covers,
    },
    /// Make a segment for later.
    Prepare {
        /// Its number.
        number: SegmentNumber,
        /// Its length.
        len: ByteCount,
    },
    /// Remove a segment that a synced checkpoint covers.
    Unlink {
        /// Its number.
        number: SegmentNumber,
        /// Somebody waits for its room: it goes at once, whoever else feels that.
        is_urgent: bool,
    },
}

/// What came of a job.
#[derive(Debug)]
pub enum JobResult<File> {
    /// A sync has ended.
    Synced(Result<Covers, StorageError>),
    /// A segment was made, of this number and length.
    Prepared(Result<(SegmentNumber, ByteCount, File), StorageError>),
    /// A segment was removed.
    Unlinked(Result<SegmentNumber, StorageError>),
}

/// What is done beside syncs, one at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Chore {
    /// A spare segment is to be made.
    Prepare,
    /// A segment is to be removed.
    Unlink(SegmentNumber),
}

impl<File: Clone> Job<File> {
    /// Whether it is a sync, for which somebody may be waiting.
    pub const fn is_sync(&self) -> bool {
        matches!(self, Self::Sync { .. })
    }

    /// Does it. Blocks.
    pub fn run<S: Storage<File = File>>(self, storage: &S) -> JobResult<File> {
        match self {
            Self::Sync { files, covers } => {
                JobResult::Synced(files.iter().try_for_each(|file| storage.sync(file)).map(|()| covers))
            }
            Self::Prepare { number, len } => {
                JobResult::Prepared(create_file(storage, number, len).map(|file| (number, len, file)))
            }
            Self::Unlink { number, is_urgent } => {
                let unlink = if is_urgent { S::unlink } else { S::unlink_slowly };
                JobResult::Unlinked(unlink(storage, number).map(|()| number))
            }
        }
    }
}

impl<S: Storage> Log<S> {
    /// The next job to be run, if one is due by now.
    pub fn poll_job(&mut self, now: Now) -> Option<Job<S::File>> {
        if self.is_poisoned() {
            return None;
        }
        if !self.is_sync_running && self.sync_due().is_some_and(|due| due <= now.moment) {
            return Some(self.sync_job());
        }
        let chore = self.due_chore(now.moment)?;
        self.chore_job(chore)
    }

    /// The next job of a start, to be run before anybody is served: spares are made, and where
    /// the disk has no room for one, what makes some is removed. All else that is to be removed
    /// waits for [`Log::poll_job`].
    pub fn poll_start_job(&mut self, now: Now) -> Option<Job<S::File>> {
        if self.is_poisoned() || !self.wants_spare() {
            return None;
        }
        let is_needed = |chore: &Chore| *chore == Chore::Prepare || self.is_short;
        let due = self.chores().filter(|(chore, due)| *due <= now.moment && is_needed(chore));
        let (chore, _) = due.min_by_key(|(_, due)| *due)?;
        self.chore_job(chore)
    }

    fn chore_job(&mut self, chore: Chore) -> Option<Job<S::File>> {
        self.prepared_in_a_row = match chore {
            Chore::Prepare if !self.condemned.is_empty() => self.prepared_in_a_row + 1,
            _ => 0,
        };
        let job = match chore {
            Chore::Prepare => {
                Job::Prepare { number: self.take_number().ok()?, len: ByteCount::new(self.segment_len) }
            }
            // A log that waits for room waits for nothing else.
            Chore::Unlink(number) => Job::Unlink { number, is_urgent: self.is_short || self.is_full() },
        };
        self.is_chore_running = true;
        Some(job)
    }

    /// Takes what came of a job.
    pub fn finish_job(&mut self, result: JobResult<S::File>, now: Now) {
        match result {
            JobResult::Synced(result) => {
                debug_assert!(self.is_sync_running);
                self.is_sync_running = false;
                let since = self.syncing_since.take();
                self.last_sync_end = now.moment;
                match result {
                    _ if self.is_poisoned() => {}
                    Ok(covers) => self.synced_up_to(&covers),
                    Err(error) => {
                        self.dirty_since = since.or(self.dirty_since);
                        self.sync_failed(&error, now.moment);
                    }
                }
            }
            JobResult::Prepared(Ok((number, len, file))) => {
                let salt = (self.draw_salt)();
                self.add_spare(Segment::new(number, file, len.as_u64(), salt));
                // Whoever had filled the disk has made room. Where there is no more, the next try says so.
                self.is_short = false;
                self.no_cut_until = None;
                self.spares_pause_until = now.moment;
            }
            JobResult::Prepared(Err(error)) => {
                self.chore_failed(&error);
                self.spares_pause_until = now.moment.after(CHORE_PAUSE);
            }
            JobResult::Unlinked(Ok(number)) => {
                self.is_chore_running = false;
                self.condemned.retain(|condemned| *condemned != number);
                self.unlinks_pause_until = now.moment;
                // There may be room for a spare now.
                self.is_short = false;
                self.no_cut_until = None;
                self.spares_pause_until = now.moment.min(self.spares_pause_until);
            }
            JobResult::Unlinked(Err(error)) => {
                self.chore_failed(&error);
                let pause = if matches!(error, StorageError::Held) { HELD_PAUSE } else { CHORE_PAUSE };
                self.unlinks_pause_until = now.moment.after(pause);
            }
        }
        self.consider_cleaning(now);
        if !self.is_poisoned() {
            self.place_or_mend(now.moment);
        }
    }

    /// When a sync should begin, if nothing more comes.
    pub(super) fn sync_due(&self) -> Option<Moment> {
        if self.kept.is_empty() {
            return None;
        }
        let asked = self.is_sync_wanted.then(|| self.last_sync_end.after(SYNC_GAP));
        let full = (self.kept_bytes >= BACKLOG_SYNC.as_u64()).then_some(self.last_sync_end);
        let delay = match self.policy {
            SyncPolicy::Always => Millis::ZERO,
            SyncPolicy::EverySecond => SYNC_DELAY_MAX,
        };
        let idle = self.dirty_since.map(|since| since.after(delay));
        [asked, full, idle].into_iter().flatten().min()
    }

    fn sync_job(&mut self) -> Job<S::File> {
        let mut files = self.unsynced.clone();
        let covers = Covers {
            position: self.current.position(),
            sequences: self.placed.clone(),
            placed_bytes: self.placed_bytes,
            files: files.len(),
        };
        files.push(self.current.file.clone());
        self.is_sync_running = true;
        self.is_sync_wanted = false;
        self.syncing_since = self.dirty_since.take();
        Job::Sync { files, covers }
    }

    /// Syncs what is written, on this thread: for a start, before which nothing runs.
    pub(super) fn sync_inline(&mut self, now: Now) -> Result<(), StorageError> {
        let job = self.sync_job();
        self.is_sync_running = false;
        self.syncing_since = None;
        self.last_sync_end = now.moment;
        if let JobResult::Synced(result) = job.run(&self.storage) {
            self.synced_up_to(&result?);
        }
        Ok(())
    }

    fn synced_up_to(&mut self, covers: &Covers) {
        debug_assert!(covers.position >= self.synced_at, "syncs end in the order they began");
        self.synced_at = covers.position;
        self.synced_bytes = covers.placed_bytes;
        self.unsynced.drain(..covers.files);
        self.is_mending = false;
        self.synced.copy_from_slice(&covers.sequences);
        while let Some(part) =
            self.kept.pop_front_if(|part| part.end.is_some_and(|end| end <= covers.position))
        {
            self.kept_bytes -= part.len();
            if part.kind != PartKind::SyncMark {
                self.unmarked_sync = Some(covers.position);
            }
        }
        debug_assert!(self.synced_bytes <= self.placed_bytes);
    }

    /// When something comes next that is no sync.
    pub(super) fn chore_due(&self) -> Option<Moment> {
        self.chores().map(|(_, due)| due).min()
    }

    /// What comes next of all that is no sync. A chore that has failed keeps no other one
    /// waiting: a full disk has no room for a spare until something is removed, and spares are
    /// made all the same while a backup lets nothing be removed.
    fn due_chore(&self, now: Moment) -> Option<Chore> {
        // A removal takes as long as a busy log takes for half a segment: the next one comes first.
        let is_pressing = self.is_ending() && self.prepared_in_a_row < PREPARED_IN_A_ROW_MAX;
        let is_first = |chore: Chore| is_pressing && chore == Chore::Prepare;
        // Whichever was done longer ago else, so that neither is never done. The first of two.
        let due = self.chores().filter(|(_, due)| *due <= now);
        due.min_by_key(|(chore, due)| (!is_first(*chore), *due)).map(|(chore, _)| chore)
    }

    /// What is to be done that is no sync, and not before when.
    fn chores(&self) -> impl Iterator<Item = (Chore, Moment)> + use<S> {
        let prepare = self.wants_spare().then_some((Chore::Prepare, self.spares_pause_until));
        let unlink = self.condemned.front().map(|number| (Chore::Unlink(*number), self.unlinks_pause_until));
        let is_idle = !self.is_chore_running;
        [prepare, unlink].into_iter().flatten().filter(move |_| is_idle)
    }

    /// The reserve must be whole, and the next segment there before this one is full.
    fn wants_spare(&self) -> bool {
        self.spares.len() < RESERVE_SEGMENTS + usize::from(self.is_ending())
    }

    fn is_ending(&self) -> bool {
        self.current.rest() < (self.segment_len / 2).max(self.record_len_max + place::SEGMENT_OVERHEAD)
    }

    fn add_spare(&mut self, spare: Segment<S::File>) {
        self.is_chore_running = false;
        if spare.number > self.current.number {
            debug_assert!(self.spares.back().is_none_or(|last| last.number < spare.number));
            self.spares.push_back(spare);
        } else {
            // The log could not wait for it and went on in a later one.
            self.condemned.push_back(spare.number);
        }
    }

    fn chore_failed(&mut self, error: &StorageError) {
        match error {
            StorageError::NoSpace => {
                self.is_short = true;
                self.no_cut_until = None;
            }
            StorageError::Held => {}
            StorageError::Failed { .. } => log::warn!("{error}; it is tried again"),
        }
        self.is_chore_running = false;
    }
}
