//! What a shard keeps in the journal of its sessions, and what an answer must wait for.
//!
//! A GET is no disk write: a record carries the deadline with some slack, and a touch is
//! logged only when the deadline in memory comes near to what the log has. So a session
//! never ends earlier than any answer has promised, and after a crash at most the slack later.
//! What was told as gone stays gone: that is logged before it is told.
//!
//! ```text
//!   deadline ≤ logged deadline, always     touch logged ▼       ▼ logged deadline
//!   ──────┬──────────────────────────┬──────────────────┬───────┬────▶ journal time
//!         now                        deadline           ◀ slack/2 ▶
//! ```

use crate::journal::{
    CoreJournal, Entry, JournalClock, JournalMillis, Need, NoRoom, RECORD_LEN_MIN, SegmentNumber, Sequence,
    SessionImage, Wait, session_record_len,
};
use crate::store::{SessionView, Stamp};
use crate::types::{ByteCount, Deadline, Millis, SessionId, Ttl};

use super::Refusal;
use super::deletions::Deletions;

/// The slack is this part of the TTL, …
const SLACK_PARTS: u64 = 16;
/// … but at least this, so that even the shortest sessions are not logged at each touch, …
const SLACK_MIN: Millis = Millis::from_secs(3);
/// … and at most this, so that a crash never adds more to a session's life.
const SLACK_MAX: Millis = Millis::from_secs(60 * 60);

/// The length of a record without a body.
pub(super) const PLAIN_RECORD: ByteCount = ByteCount::of_len(RECORD_LEN_MIN);

/// What the log has of a session, as it is noted with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Logged {
    /// Its newest whole record lies in this segment or above.
    pub(super) segment: SegmentNumber,
    /// The deadline of its newest record, rounded down to the second: rather too early, which
    /// only means that a touch is logged earlier.
    deadline_secs: u32,
    /// The lower half of its newest record's sequence, copies left out.
    sequence_low: u32,
}

impl Logged {
    /// What was noted; none where nothing was.
    pub(super) fn of(stamp: Stamp) -> Option<Self> {
        let Stamp([segment, deadline_secs, sequence_low]) = stamp;
        Some(Self { segment: SegmentNumber::new(segment)?, deadline_secs, sequence_low })
    }

    /// A record in this segment or above, with this deadline. Sequence 0 for one of an earlier
    /// start, which has long been synced.
    pub(super) fn new(segment: SegmentNumber, deadline: JournalMillis, sequence: Sequence) -> Self {
        let seconds = deadline.as_u64() / 1000;
        Self {
            segment,
            deadline_secs: u32::try_from(seconds).unwrap_or(u32::MAX),
            sequence_low: sequence.as_u64() as u32,
        }
    }

    /// To be noted.
    pub(super) fn stamp(self) -> Stamp {
        Stamp([self.segment.as_u32(), self.deadline_secs, self.sequence_low])
    }

    fn deadline(self) -> JournalMillis {
        JournalMillis::new(u64::from(self.deadline_secs) * 1000)
    }

    /// The newest record's sequence, given the shard's newest. After 2³² further records it is
    /// a later one, of which the same is true if it is true of that.
    fn sequence(self, last: Sequence) -> Sequence {
        let behind = (last.as_u64() as u32).wrapping_sub(self.sequence_low);
        Sequence::new(last.as_u64().saturating_sub(u64::from(behind)))
    }
}

/// What comes of a touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Covered {
    /// The deadline that may be promised.
    pub(super) deadline: Deadline,
    /// What is to be noted with the session, if the touch was logged.
    pub(super) stamp: Option<Stamp>,
    /// What must come before it is promised.
    pub(super) wait: Wait,
}

/// Totals since the start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct KeeperCounters {
    /// Touches that were logged.
    pub touches: u64,
    /// Sessions that were logged again in cleaning.
    pub copies: u64,
    /// Changes refused because the disk is full.
    pub refused_disk: u64,
    /// Changes refused because too much waits for the disk.
    pub refused_backlog: u64,
}

/// A shard's side of the journal.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) journal: CoreJournal,
    pub(super) clock: JournalClock,
    /// The TTL of sessions without their own.
    session_ttl: Ttl,
    /// The newest session that was due: whoever is told that one is missing waits for this, …
    expired: Wait,
    /// … and for the deletion of that session, which takes a sync.
    deletions: Deletions,
    /// The end is near: deadlines are logged as they are.
    is_ending: bool,
    pub(super) counters: KeeperCounters,
}

impl Keeper {
    pub(super) fn new(journal: CoreJournal, clock: JournalClock, session_ttl: Ttl) -> Self {
        Self {
            journal,
            clock,
            session_ttl,
            expired: Wait::NONE,
            deletions: Deletions::default(),
            is_ending: false,
            counters: KeeperCounters::default(),
        }
    }

    /// Reserves room for a record before anything changes.
    pub(super) fn reserve(&mut self, need: Need, len: ByteCount) -> Result<(), Refusal> {
        self.journal.reserve(need, len).map_err(|reason| match reason {
            NoRoom::Disk => {
                self.counters.refused_disk += u64::from(need != Need::Copy);
                Refusal::DiskFull
            }
            NoRoom::Backlog => {
                self.counters.refused_backlog += u64::from(need != Need::Copy);
                Refusal::Behind
            }
            NoRoom::Failed => Refusal::Unkept,
        })
    }

    /// Reserves room for a whole session's record.
    pub(super) fn reserve_session(&mut self, content_type: &[u8], data: &[u8]) -> Result<(), Refusal> {
        let len = session_record_len(content_type.len(), data.len());
        self.reserve(Need::Ordinary, ByteCount::of_len(len))
    }

    /// Logs a session that was made.
    pub(super) fn created(&mut self, view: &SessionView<'_>) -> (Stamp, Wait) {
        let (logged, wait) = self.log_whole(view, self.with_slack(view), Entry::Create);
        (logged.stamp(), wait)
    }

    /// Logs a session whose data was changed.
    pub(super) fn updated(&mut self, view: &SessionView<'_>) -> (Stamp, Wait) {
        let (logged, wait) = self.log_whole(view, self.with_slack(view), Entry::Update);
        (logged.stamp(), wait)
    }

    /// Logs a session again, so that its older records are needed no more. The deadline stays as
    /// the log has it: after a crash the one in memory has slack in it already, and slack upon
    /// slack would let a session outlive its time as often as it is copied between crashes.
    pub(super) fn copied(&mut self, view: &SessionView<'_>, logged: Logged) -> Stamp {
        self.counters.copies += 1;
        let deadline = logged.deadline().max(self.clock.time_of(view.deadline));
        let (copy, _) = self.log_whole(view, deadline, Entry::Update);
        // Whoever is shown the session need not wait for the copy: its older record is there until
        // all copies are synced, and says the same.
        Logged { sequence_low: logged.sequence_low, ..copy }.stamp()
    }

    /// Logs that a client has removed a session.
    pub(super) fn deleted(&mut self, id: SessionId) -> Wait {
        let wait = self.log(Entry::Delete(id)).1;
        let journal = &self.journal;
        self.deletions.note(id, wait, |wait| journal.missing(wait).is_none());
        wait
    }

    /// Logs that a session is gone because it was due.
    pub(super) fn expired(&mut self, id: SessionId) {
        let wait = self.log(Entry::Expire(id)).1;
        self.expired = self.expired.and(wait);
    }

    /// What must come before anybody is told that this session is missing.
    pub(super) fn missing(&self, id: SessionId) -> Wait {
        self.journal.missing(self.expired.and(self.deletions.wait_of(id)))
    }

    /// What must come before anybody is shown this session as it is: its newest record.
    pub(super) fn shown(&self, view: &SessionView<'_>) -> Wait {
        Logged::of(view.stamp).map_or(Wait::NONE, |logged| self.in_flight(logged))
    }

    /// Makes sure that the log covers a touch which moves the session's deadline to `wanted`.
    /// Where it has no room for that, the touch moves it only as far as the log covers.
    pub(super) fn cover(&mut self, view: &SessionView<'_>, wanted: Deadline) -> Covered {
        let Some(logged) = Logged::of(view.stamp) else {
            debug_assert!(false, "a kept session has a record");
            return Covered { deadline: wanted, stamp: None, wait: Wait::NONE };
        };
        let (time, slack) = (self.clock.time_of(wanted), self.slack(view));
        let wait = self.in_flight(logged);
        if time.after(Millis::new(slack.as_u64() / 2)) <= logged.deadline() {
            return Covered { deadline: wanted, stamp: None, wait };
        }
        let is_covered = time <= logged.deadline();
        if self.reserve(Need::Reserve, PLAIN_RECORD).is_err() {
            let covered = self.clock.deadline_at(logged.deadline());
            let deadline = if is_covered { wanted } else { covered.max(view.deadline) };
            return Covered { deadline, stamp: None, wait };
        }
        self.counters.touches += 1;
        let (stamp, touched) = self.log_touch(view, logged, time.after(slack));
        let wait = if is_covered && wait.is_none() { Wait::NONE } else { touched };
        Covered { deadline: wanted, stamp: Some(stamp), wait }
    }

    /// An orderly end begins: from now on deadlines are logged as they are.
    pub(super) fn begin_end(&mut self) {
        self.is_ending = true;
    }

    /// Logs the session's deadline as it is, without slack: before an orderly end.
    pub(super) fn log_exact(&mut self, view: &SessionView<'_>) -> Option<Stamp> {
        debug_assert!(self.is_ending, "what is logged later would undo it");
        let logged = Logged::of(view.stamp)?;
        Some(self.log_touch(view, logged, self.clock.time_of(view.deadline)).0)
    }

    /// Logs an entry that is not about a session. Room was reserved.
    pub(super) fn log(&mut self, entry: Entry<'_>) -> (Sequence, Wait) {
        let level = self.journal.level_of(&entry);
        let sequence = self.journal.log(entry);
        (sequence, Wait::until(level, sequence))
    }

    fn log_touch(
        &mut self,
        view: &SessionView<'_>,
        logged: Logged,
        deadline: JournalMillis,
    ) -> (Stamp, Wait) {
        let touch = Entry::Touch { id: view.id, version: view.version, deadline };
        let (sequence, wait) = self.log(touch);
        (Logged::new(logged.segment, deadline, sequence).stamp(), wait)
    }

    fn log_whole<'v>(
        &mut self,
        view: &SessionView<'v>,
        deadline: JournalMillis,
        entry: fn(SessionImage<'v>) -> Entry<'v>,
    ) -> (Logged, Wait) {
        // Before the record goes: it lies in this segment or above.
        let segment = self.journal.progress().segment();
        let (sequence, wait) = self.log(entry(SessionImage {
            id: view.id,
            bucket: view.bucket,
            version: view.version,
            deadline,
            own_ttl: view.own_ttl,
            content_type: view.content_type,
            blob: view.data,
        }));
        (Logged::new(segment, deadline, sequence), wait)
    }

    /// The session's newest record, as long as it has not come to its level.
    fn in_flight(&self, logged: Logged) -> Wait {
        let level = self.journal.level_of_sessions();
        self.journal.missing(Wait::until(level, logged.sequence(self.journal.last())))
    }

    fn with_slack(&self, view: &SessionView<'_>) -> JournalMillis {
        self.clock.time_of(view.deadline).after(self.slack(view))
    }

    fn slack(&self, view: &SessionView<'_>) -> Millis {
        match self.is_ending {
            true => Millis::ZERO,
            false => slack_of(view.own_ttl.unwrap_or(self.session_ttl)),
        }
    }
}

/// How much later than its deadline a session is logged as due.
pub(super) fn slack_of(ttl: Ttl) -> Millis {
    Millis::new(ttl.as_millis().as_u64() / SLACK_PARTS).clamp(SLACK_MIN, SLACK_MAX)
}

/// What live sessions take in the log if each is written once, by the bytes of their data and
/// Content-Types; a few bytes a session too much, for padding.
pub(super) fn live_bytes(content: ByteCount, sessions: usize) -> ByteCount {
    ByteCount::new(content.as_u64() + (session_record_len(0, 1) * sessions) as u64)
}

const _: () = assert!(SLACK_MIN.as_u64() <= SLACK_MAX.as_u64());
