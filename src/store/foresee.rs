//! A look at sessions that are about to be asked for, or to expire, so that their memory is on its way.
//!
//! A session at random costs several misses of the CPU's caches, one after the other: its place
//! in the index, its entry, its data. Of several sessions they can be waited for together, if
//! each step is taken for all of them before the next one. What is seen is thrown away: this
//! changes nothing, and whoever is asked for is found anew.

use std::hint::black_box;

use super::Store;
use crate::types::{Moment, SessionId};

/// The most sessions that are looked at together, which is about as many misses as a CPU
/// waits for at once.
pub const FORESEEN_MAX: usize = 16;
/// Fewer that are about to expire are not looked at ahead.
const FIRED_MIN: usize = 4;
/// So much of a session's data is looked at. Of more, the CPU itself fetches the rest in time.
const DATA_BYTES_MAX: usize = 2 * 1024;
/// What the CPU fetches at once, in bytes.
const CACHE_LINE_BYTES: usize = 64;

impl Store {
    /// Looks at the sessions of these ids, the first [`FORESEEN_MAX`] of them, if they are there.
    pub fn foresee(&self, ids: &[SessionId]) {
        let ids = &ids[..ids.len().min(FORESEEN_MAX)];
        let (mut hashes, mut numbers) = ([0; FORESEEN_MAX], [None; FORESEEN_MAX]);
        for (hash, id) in hashes.iter_mut().zip(ids) {
            *hash = self.hasher.hash(*id);
        }
        for (number, (hash, id)) in numbers.iter_mut().zip(hashes.iter().zip(ids)) {
            *number = self.index_of(*hash, *id);
        }
        let entries = numbers.iter().flatten().filter_map(|number| self.entries.get(*number));
        let lines =
            entries.flat_map(|entry| entry.data.iter().take(DATA_BYTES_MAX).step_by(CACHE_LINE_BYTES));
        black_box(lines.fold(0, |sum, byte| sum ^ byte));
    }

    /// Looks at what removing those takes that are due among the next `count` that have fired, at most
    /// [`FORESEEN_MAX`]: their places in the index, then their data's first byte, where the
    /// allocator writes. Of very few there is nothing to wait for together.
    pub(super) fn foresee_fired(&self, now: Moment, count: usize) {
        if count < FIRED_MIN {
            return;
        }
        let mut due = [None; FORESEEN_MAX];
        let fired = self.wheel.fired_ahead(&self.entries).take(count);
        for (place, number) in due.iter_mut().zip(fired) {
            let entry = self.entries.get(number).filter(|entry| entry.deadline.is_due(now));
            *place = entry.map(|entry| (number, entry));
        }
        let mut seen = 0;
        for (number, entry) in due.iter().flatten() {
            seen ^= self.index.find(self.hasher.hash(entry.id), |other| other == *number).unwrap_or(0);
        }
        for (_, entry) in due.iter().flatten() {
            seen ^= u32::from(entry.data.first().copied().unwrap_or(0));
        }
        black_box(seen);
    }
}
