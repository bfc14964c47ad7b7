//! Logging again what lives: all that lies in old segments of the log, so that they can go,
//! and each deadline as it is, before an orderly end.
//!
//! Both are walks over the shard's sessions, a bounded piece at a time, while operations go
//! on in between. What is logged meanwhile lies above the cut by itself; what is removed
//! needs no copy. Neither walk waits: where the journal has no room, the same place is tried
//! again in a later turn.

use crate::journal::{Need, SegmentNumber, session_record_len};
use crate::store::{Handle, Step, Walk};
use crate::types::{ByteCount, Moment};

use super::keeper::{Keeper, Logged, PLAIN_RECORD};
use super::{Pace, Refusal, Shard};

/// Sessions that one piece of a walk looks at, in a turn with operations for each of them, and
/// where it is urgent.
const PLACES_PER_TURN: usize = 4_096;
const PLACES_PER_OPERATION: usize = 64;
const PLACES_PER_URGENT_TURN: usize = 8 * PLACES_PER_TURN;
/// What one piece of copying logs at least, in bytes: it is short, since others wait for the threads
/// that write what it has logged. In a turn with operations, the part of it that each of them adds.
const COPIED_PER_TURN_MIN: usize = 16 * 1024;
const COPIED_PER_OPERATION: usize = 256;
/// And at most, also where it is urgent; unless the turn has logged more than that, for it never
/// logs less than the turn has.
const COPIED_PER_TURN_MAX: [u64; 2] = [1024 * 1024, 4 * 1024 * 1024];
/// How many times what the turn has logged, also where it is urgent.
const COPIES_PER_LOGGED: [u64; 2] = [2, 8];

/// How a walk stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walked {
    /// It has come to its end.
    Done,
    /// There is more to do, in the next turn.
    More,
    /// There is no room in the journal at present.
    NoRoom,
}

/// The copying of what lives below a cut.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Copying {
    /// The cut that is worked on, or was last.
    cut: Option<SegmentNumber>,
    walk: Walk,
    is_done: bool,
}

impl Shard {
    /// Logs again a piece of what lies in segments below `cut`; due sessions are left out.
    /// Where it is done everything that lives has been logged in that segment or above.
    pub fn copy_below(&mut self, cut: SegmentNumber, now: Moment, pace: Pace) -> Walked {
        if self.copying.cut != Some(cut) {
            self.copying = Copying { cut: Some(cut), ..Copying::default() };
        }
        if self.copying.is_done {
            return Walked::Done;
        }
        let Some(keeper) = &self.keeper else { return Walked::Done };
        let is_urgent = keeper.journal.progress().is_cut_urgent();
        // Where the log is long, others wait longer.
        let pace = if is_urgent { Pace::IDLE } else { pace };
        let least = COPIED_PER_OPERATION * pace.piece(COPIED_PER_TURN_MIN / COPIED_PER_OPERATION, 1);
        let mut bytes_left = piece_len(keeper.journal.logged_this_turn().as_u64(), least as u64, is_urgent);
        let mut places_left = match is_urgent {
            true => PLACES_PER_URGENT_TURN,
            false => PLACES_PER_OPERATION * pace.piece(PLACES_PER_TURN / PLACES_PER_OPERATION, 1),
        };
        loop {
            let before = self.copying.walk;
            match self.store.walk(&mut self.copying.walk, &mut places_left) {
                Step::End => {
                    self.copying.is_done = true;
                    return Walked::Done;
                }
                Step::Pause => return Walked::More,
                Step::At(handle) => match self.copy(handle, cut, now) {
                    Ok(bytes) if bytes.as_u64() >= bytes_left => return Walked::More,
                    Ok(bytes) => bytes_left -= bytes.as_u64(),
                    Err(_) => {
                        self.copying.walk = before;
                        return Walked::NoRoom;
                    }
                },
            }
        }
    }

    /// Logs the deadlines of a piece of all sessions as they are, without slack, so that after
    /// this end a session ends exactly when it was to end; those that are due end here. From the
    /// first piece on no record has slack, which would undo it.
    pub fn log_deadlines(&mut self, walk: &mut Walk, now: Moment) -> Walked {
        self.keeper.iter_mut().for_each(Keeper::begin_end);
        let mut places_left = PLACES_PER_TURN;
        loop {
            let before = *walk;
            match self.store.walk(walk, &mut places_left) {
                Step::End => return Walked::Done,
                Step::Pause => return Walked::More,
                Step::At(handle) => {
                    if self.log_deadline(handle, now).is_err() {
                        *walk = before;
                        return Walked::NoRoom;
                    }
                }
            }
        }
    }

    /// Logs one session again if it lies below `cut`. How much that took.
    fn copy(&mut self, handle: Handle, cut: SegmentNumber, now: Moment) -> Result<ByteCount, Refusal> {
        let view = self.store.view(handle);
        let old = Logged::of(view.stamp).filter(|logged| logged.segment < cut && !view.deadline.is_due(now));
        let Some((keeper, logged)) = self.keeper.as_mut().zip(old) else {
            return Ok(ByteCount::ZERO);
        };
        let len = ByteCount::of_len(session_record_len(view.content_type.len(), view.data.len()));
        keeper.reserve(Need::Copy, len)?;
        let stamp = keeper.copied(&view, logged);
        self.store.stamp(handle, stamp);
        Ok(len)
    }

    fn log_deadline(&mut self, handle: Handle, now: Moment) -> Result<(), Refusal> {
        let view = self.store.view(handle);
        if view.deadline.is_due(now) {
            // The wheel has not come by yet; the log would let it live on for the slack.
            return self.expire(handle);
        }
        let Some(keeper) = &mut self.keeper else { return Ok(()) };
        keeper.reserve(Need::Reserve, PLAIN_RECORD)?;
        if let Some(stamp) = keeper.log_exact(&view) {
            self.store.stamp(handle, stamp);
        }
        Ok(())
    }
}

/// What the next piece of copying may log, in bytes, in a turn that has logged this many.
fn piece_len(logged_bytes: u64, least_bytes: u64, is_urgent: bool) -> u64 {
    let wanted = logged_bytes * COPIES_PER_LOGGED[usize::from(is_urgent)];
    wanted.clamp(least_bytes, COPIED_PER_TURN_MAX[usize::from(is_urgent)].max(logged_bytes))
}
