//! What was done and seen, in numbers.

use std::fmt;

/// What clients have done and seen.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tally {
    /// Operations whose answer came and said that they were done.
    pub acknowledged: u64,
    /// Of these: updates of sessions that all clients share.
    pub shared: u64,
    /// Of these: keys that were taken away and made anew.
    pub regenerated: u64,
    /// Operations that were refused for lack of room or time.
    pub refused: u64,
    /// Requests whose answer never came.
    pub in_doubt: u64,
    /// Sessions that a restart had to bring back, and did.
    pub judged: u64,
    /// Sessions that no restart may bring back, looked for.
    pub judged_gone: u64,
    /// Sessions that nobody had looked at until the end of their time.
    pub left_alone: u64,
}

/// What lives have come to.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sums {
    pub kills: u64,
    /// Kills before the server listened.
    pub aborted_starts: u64,
    /// Kills while the log was being cleaned, as far as that can be seen from outside.
    pub kills_in_cleaning: u64,
    /// Kills that should be that, of a log that is cleaned often enough.
    pub cleanings_awaited: u64,
    pub orderly_ends: u64,
    pub lives: u64,
    pub cleanings: u64,
    pub tally: Tally,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        let Self { acknowledged, shared, regenerated, refused, in_doubt, judged, judged_gone, left_alone } =
            other;
        self.acknowledged += acknowledged;
        self.shared += shared;
        self.regenerated += regenerated;
        self.refused += refused;
        self.in_doubt += in_doubt;
        self.judged += judged;
        self.judged_gone += judged_gone;
        self.left_alone += left_alone;
    }
}

impl Sums {
    pub fn add(&mut self, other: Self) {
        let Self {
            kills,
            aborted_starts,
            kills_in_cleaning,
            cleanings_awaited,
            orderly_ends,
            lives,
            cleanings,
            tally,
        } = other;
        self.kills += kills;
        self.aborted_starts += aborted_starts;
        self.kills_in_cleaning += kills_in_cleaning;
        self.cleanings_awaited += cleanings_awaited;
        self.orderly_ends += orderly_ends;
        self.lives += lives;
        self.cleanings += cleanings;
        self.tally.add(tally);
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kills,
            aborted_starts,
            kills_in_cleaning,
            cleanings_awaited,
            orderly_ends,
            lives,
            cleanings,
            tally,
        } = self;
        write!(
            f,
            "{kills} kills ({aborted_starts} in start-up, {kills_in_cleaning} of {cleanings_awaited} in cleaning), "
        )?;
        write!(f, "{orderly_ends} orderly ends, {lives} lives, {cleanings} cleanings; ")?;
        let Tally { acknowledged, shared, regenerated, refused, in_doubt, .. } = tally;
        write!(
            f,
            "{acknowledged} operations acknowledged ({shared} on shared sessions, {regenerated} of keys), "
        )?;
        write!(f, "{refused} refused, {in_doubt} in doubt; ")?;
        let Tally { judged, judged_gone, left_alone, .. } = tally;
        write!(
            f,
            "{judged} sessions found again, {judged_gone} gone ones looked for, {left_alone} left alone"
        )
    }
}
