//! What a node does for the journal beside the sessions' own records.
//!
//! Changes of keys are kept before anybody is judged by them. When the log asks for it, all
//! that lives in its old segments is logged again: the registry by the first core, which does so
//! at its start too, and each shard's sessions by their own. At each turn's end what was logged
//! is handed over. Nothing waits in here: [`Node::awaited`] says what would let it go on.

use std::collections::VecDeque;

use super::Node;
use crate::journal::{
    Condition, CoreJournal, Entry, Level, Need, SegmentNumber, Wait, bucket_record_len_max,
};
use crate::registry::{BucketState, KeyOutcome};
use crate::shard::{Refusal, Walked};
use crate::store::Walk;
use crate::types::{ByteCount, ShardId};

/// Buckets that are logged again in one turn.
const BUCKETS_PER_TURN: u32 = 256;

/// What is under way.
#[derive(Default, Debug)]
pub(super) struct Keeping {
    /// What each change of a key that was logged waits for, oldest first.
    changes: VecDeque<Wait>,
    /// The cut that is being copied for, or was last.
    cut: Option<SegmentNumber>,
    /// The number of the bucket that is logged again next.
    next_bucket: u32,
    /// Whether everything was logged again for `cut`, and the log knows; before the first cut,
    /// whether the registry was: all sessions of a bucket hang on its one record, and the log may
    /// be old.
    is_copied: bool,
    /// What copying waits for, which has found no room: what was logged then makes some.
    room: Wait,
}

impl Node {
    /// The journal; none where nothing outlives the process.
    pub fn journal(&self) -> Option<&CoreJournal> {
        self.parts.shard.journal()
    }

    /// Whether nothing can be kept any more.
    pub fn has_failed(&self) -> bool {
        self.journal().is_some_and(|journal| journal.progress().condition() == Condition::Poisoned)
    }

    /// What of `wait`, on the log of `shard`, has not come yet.
    pub fn missing(&self, shard: ShardId, wait: Wait) -> Wait {
        self.journal().map_or(Wait::NONE, |journal| journal.missing_of(shard, wait))
    }

    /// What has not come yet of what this node waits for itself, on its own shard's log; none
    /// where it waits for nothing. Once all has come it has something to do in its next turn.
    pub fn awaited(&self) -> Option<Wait> {
        let change = self.keeping.changes.front().copied().unwrap_or_default();
        let awaited = change.and(self.keeping.room);
        (!awaited.is_none()).then(|| self.missing(self.here(), awaited))
    }

    /// Goes on with what has been kept meanwhile, and logs again a piece of what the log asks
    /// for. True where there is more to do at once.
    pub fn clean(&mut self) -> bool {
        if !self.keeping.changes.is_empty() {
            self.send_key_mail();
        }
        self.keeping.room = Wait::NONE;
        let Some(journal) = self.journal() else { return false };
        let cut = journal.progress().cut();
        if cut.is_some() && self.keeping.cut != cut {
            let changes = std::mem::take(&mut self.keeping.changes);
            self.keeping = Keeping { changes, cut, ..Keeping::default() };
        }
        if self.keeping.is_copied {
            return false;
        }
        let walked = match (self.copy_buckets(), cut) {
            (Walked::Done, Some(cut)) => self.parts.shard.copy_below(cut, self.now.moment, self.pace),
            (walked, _) => walked,
        };
        self.keeping.room = match walked {
            // Where all is synced there is nothing to wait for: the next tick tries again.
            Walked::NoRoom => self
                .journal()
                .map_or(Wait::NONE, |journal| journal.missing(Wait::until(Level::Synced, journal.last()))),
            Walked::Done | Walked::More => Wait::NONE,
        };
        if walked == Walked::Done {
            self.keeping.is_copied = true;
            if let Some((journal, cut)) = self.parts.shard.journal_mut().zip(cut) {
                journal.report_copied(cut);
            }
        }
        walked == Walked::More
    }

    /// Logs a piece of all deadlines as they are, before an orderly end.
    pub fn log_deadlines(&mut self, walk: &mut Walk) -> Walked {
        self.parts.shard.log_deadlines(walk, self.now.moment)
    }

    /// Hands over what was logged in this turn. False where there was no room for it: it has to
    /// be tried again when the journal has gone on.
    pub fn hand_over(&mut self) -> bool {
        let (live, registry) = (self.parts.shard.live_bytes(), self.registry_bytes());
        let Some(journal) = self.parts.shard.journal_mut() else { return true };
        if !journal.is_handed_over() {
            // A log that learned of new sessions later than of their records would clean itself
            // for nothing: while a small disk fills up they are most of what lives.
            journal.set_live(live, registry);
        }
        journal.hand_over()
    }

    /// Tells the metrics what the journal has cost, and the journal what is gone without a record.
    pub(super) fn tell_journal(&self) {
        if let Some(journal) = self.journal() {
            journal.set_live(self.parts.shard.live_bytes(), self.registry_bytes());
            let counters = self.parts.shard.keeper_counters();
            self.parts.metrics.show_logged(counters.touches, counters.copies);
            self.parts.metrics.show_journal_refusals(counters.refused_disk, counters.refused_backlog);
        }
    }

    /// Logs the authority's changes, and lets those be judged by that are kept.
    pub(super) fn keep_changes(&mut self) {
        let has_failed = self.has_failed();
        let Some(authority) = &mut self.authority else { return };
        if has_failed && !self.keeping.changes.is_empty() {
            self.keeping.changes.clear();
            authority.abandon_records(&self.parts.replica);
        }
        loop {
            if let Some(state) = authority.poll_record() {
                let (need, entry) = record_of_change(&state);
                match self.parts.shard.log(need, entry) {
                    Ok(wait) => self.keeping.changes.push_back(wait),
                    Err(refusal) => authority.refuse_record(&self.parts.replica, outcome_of(refusal)),
                }
                continue;
            }
            let is_kept = |wait: &Wait| {
                self.parts.shard.journal().is_none_or(|journal| journal.missing(*wait).is_none())
            };
            if !self.keeping.changes.front().is_some_and(is_kept) {
                return;
            }
            self.keeping.changes.pop_front();
            authority.record_kept(&mut self.parts.replica);
        }
    }

    /// What the registry takes in the log, at most; none where another core has the authority.
    fn registry_bytes(&self) -> Option<ByteCount> {
        let buckets = self.authority.as_ref()?.numbers() as usize;
        Some(ByteCount::of_len(buckets * bucket_record_len_max()))
    }

    /// Logs a piece of the registry again: on the first core, which has the authority.
    fn copy_buckets(&mut self) -> Walked {
        let Some(authority) = &self.authority else { return Walked::Done };
        // At a start nobody waits for it, and the reserve is for cleaning.
        let need = if self.keeping.cut.is_some() { Need::Copy } else { Need::Ordinary };
        let end = authority.numbers();
        let stop = end.min(self.keeping.next_bucket.saturating_add(BUCKETS_PER_TURN));
        while self.keeping.next_bucket < stop {
            if let Some(state) = authority.recorded(&self.parts.replica, self.keeping.next_bucket) {
                let BucketState { id: bucket, name, key } = state;
                let entry = match key {
                    Some(key) => Entry::Key { bucket, name, key },
                    None => Entry::Bucket { bucket, name },
                };
                match self.parts.shard.log(need, entry) {
                    Ok(_) => {}
                    Err(_) if need == Need::Ordinary => return Walked::Done,
                    Err(_) => return Walked::NoRoom,
                }
            }
            self.keeping.next_bucket += 1;
        }
        if stop < end { Walked::More } else { Walked::Done }
    }
}

/// How a change of a key is logged, and what it may use of the room: a lost key must get through.
fn record_of_change(state: &BucketState) -> (Need, Entry<'static>) {
    let BucketState { id: bucket, name, key } = *state;
    match key {
        Some(key) => (Need::Ordinary, Entry::Key { bucket, name, key }),
        None => (Need::Reserve, Entry::KeyDelete { bucket, name }),
    }
}

fn outcome_of(refusal: Refusal) -> KeyOutcome {
    match refusal {
        Refusal::DiskFull => KeyOutcome::DiskFull,
        Refusal::Behind => KeyOutcome::Behind,
        _ => KeyOutcome::Unkept,
    }
}
