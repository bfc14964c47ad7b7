//! A look at sessions that are about to be asked for, or to expire, so that their memory is on its way.
//!
//! A session at random costs several misses of the CPU's caches, one after the other: its place
//! in the index, its entry, its data. Of several sessions they can be waited for together, if
//! each step is taken for all of them before the next one. What is seen is thrown away: this
//! changes nothing, and whoever is asked for is found anew.

use std::hint::black_box;

use super::Store;
use crate::types::SessionId;

/// The most sessions that are looked at together, which is about as many misses as a CPU
/// waits for at once.
pub const FORESEEN_MAX: usize = 16;
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

    /// Looks at what removing the next of those that have fired takes, at most [`FORESEEN_MAX`] of
    /// them: their places in the index, and the beginning of their data, where the allocator writes.
    pub(super) fn foresee_fired(&self, count: usize) {
        let mut firsts = 0;
        for number in self.wheel.fired_ahead(&self.entries).take(count.min(FORESEEN_MAX)) {
            let Some(entry) = self.entries.get(number) else { continue };
            let found = self.index.find(self.hasher.hash(entry.id), |other| other == number);
            firsts ^= u32::from(entry.data.first().copied().unwrap_or(0)) ^ found.unwrap_or(0);
        }
        black_box(firsts);
    }
}
