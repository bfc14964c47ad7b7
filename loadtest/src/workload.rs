//! What a connection does next: the mix of operations, drawn from a seeded generator.
//!
//! Pure: the same seed, mix and answers give the same steps. A connection first makes the
//! sessions that it is to have; then it draws from the mix. Short-lived sessions whose time
//! has come go first, and a few operations ask for ids that are gone and must stay so.

use std::str::FromStr;

use serde::Serialize;

use crate::clock::Moment;
use crate::ledger::{Ledger, Place, Step};
use crate::rng::Rng;

/// Of a hundred sessions made, how many get a short TTL of their own.
const SHORT_LIVED_SHARE: usize = 5;

/// Of a hundred sessions made, how many get their first data with a POST instead of at once.
const UNWRITTEN_SHARE: usize = 50;

/// Of a hundred sessions without data, how many are read before they are written to.
const UNWRITTEN_READ_SHARE: usize = 12;

/// Of a hundred operations, how many ask for an id that is gone.
const GONE_SHARE: usize = 2;

/// How often each operation is drawn, in parts of their sum, which is never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Mix {
    /// GET
    pub read: u32,
    /// POST
    pub update: u32,
    /// PUT
    pub create: u32,
    /// DELETE
    pub delete: u32,
}

impl Mix {
    /// What is drawn unless something else is asked for.
    pub const DEFAULT: Self = Self { read: 80, update: 10, create: 5, delete: 5 };

    fn parts(self) -> [u32; 4] {
        [self.read, self.update, self.create, self.delete]
    }

    fn sum(self) -> usize {
        self.parts().into_iter().map(|part| part as usize).sum()
    }
}

/// Why a text is no mix.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no part of a mix: write it like read=80,update=10,create=5,delete=5, not all of them 0")]
pub struct MixError(String);

impl FromStr for Mix {
    type Err = MixError;

    /// Parts that are not named are 0.
    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut mix = Self { read: 0, update: 0, create: 0, delete: 0 };
        for part in text.split(',') {
            let error = || MixError(part.to_owned());
            let (name, share) = part.trim().split_once('=').ok_or_else(error)?;
            let share = share.parse().map_err(|_| error())?;
            match name {
                "read" => mix.read = share,
                "update" => mix.update = share,
                "create" => mix.create = share,
                "delete" => mix.delete = share,
                _ => return Err(error()),
            }
        }
        if mix.sum() == 0 { Err(MixError(text.to_owned())) } else { Ok(mix) }
    }
}

/// The choice of one connection's steps.
#[derive(Debug)]
pub struct Workload {
    rng: Rng,
    mix: Mix,
    /// How many sessions the connection makes before it draws from the mix. At least 1.
    population: usize,
    /// Whether blobs have bytes: a session without any gets its data with a POST alone.
    has_data: bool,
    /// Whether the population has been reached.
    filled: bool,
}

impl Workload {
    /// A workload for a connection that is to have `population` sessions.
    pub fn new(rng: Rng, mix: Mix, population: usize, has_data: bool) -> Self {
        debug_assert!(mix.sum() > 0, "something can be drawn");
        Self { rng, mix, population: population.max(1), has_data, filled: false }
    }

    /// The next step; every place that it names has a session.
    pub fn next(&mut self, ledger: &Ledger, now: Moment) -> Step {
        // What is due goes first: later it would come too close to its deadline to be judged.
        if let Some(place) = ledger.due(now) {
            return Step::Read(place);
        }
        if let Some(place) = ledger.unwritten() {
            let reads = self.rng.percent(UNWRITTEN_READ_SHARE);
            return if reads { Step::Read(place) } else { Step::Update(place) };
        }
        self.filled |= ledger.kept_count() >= self.population;
        if !self.filled {
            return self.create(ledger);
        }
        if ledger.gone_count() > 0 && self.rng.percent(GONE_SHARE) {
            return self.ask_for_gone(ledger);
        }
        self.draw(ledger)
    }

    fn draw(&mut self, ledger: &Ledger) -> Step {
        let kept = ledger.kept_count();
        let mut drawn = self.rng.below(self.mix.sum()) as u32;
        let [read, update, create, _] = self.mix.parts();
        if kept == 0 {
            return self.create(ledger);
        }
        let place = Place::Kept(self.rng.below(kept));
        if drawn < read {
            return Step::Read(place);
        }
        drawn -= read;
        if drawn < update {
            return Step::Update(place);
        }
        drawn -= update;
        // A chance run of deletions must not leave too few sessions to spread reads over.
        if drawn < create || kept * 2 <= self.population {
            return self.create(ledger);
        }
        Step::Delete(place)
    }

    fn create(&mut self, ledger: &Ledger) -> Step {
        let short = self.rng.percent(SHORT_LIVED_SHARE) && ledger.takes_short_lived();
        // A short-lived one is not touched again before its time, so it gets its data at once.
        let with_data = self.has_data && (short || !self.rng.percent(UNWRITTEN_SHARE));
        Step::Create { short, with_data }
    }

    fn ask_for_gone(&mut self, ledger: &Ledger) -> Step {
        let place = Place::Gone(self.rng.below(ledger.gone_count()));
        match self.rng.below(4) {
            0 => Step::Update(place),
            1 => Step::Delete(place),
            _ => Step::Read(place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Terms;

    const TERMS: Terms = Terms { run: 1, blob_len: 8, ttl_s: 60, short_ttl_s: 2 };

    /// The first steps of a connection whose creations all fail to be recorded.
    fn first_steps(seed: u64, count: usize) -> Vec<Step> {
        let ledger = Ledger::new(TERMS, 0);
        let mut workload = Workload::new(Rng::new(seed), Mix::DEFAULT, 10, true);
        (0..count).map(|_| workload.next(&ledger, Moment::default())).collect()
    }

    #[test]
    fn a_seed_always_gives_the_same_steps() {
        assert_eq!(first_steps(3, 100), first_steps(3, 100));
        assert_ne!(first_steps(3, 100), first_steps(4, 100));
    }

    #[test]
    fn a_connection_without_sessions_makes_some() {
        let steps = first_steps(5, 500);
        assert!(steps.iter().all(|step| matches!(step, Step::Create { .. })));
        let short = steps.iter().filter(|step| matches!(step, Step::Create { short: true, .. })).count();
        assert!((5..60).contains(&short), "{short} of 500 are short-lived");
    }

    #[test]
    fn sessions_without_bytes_are_made_without_data() {
        let ledger = Ledger::new(TERMS, 0);
        let mut workload = Workload::new(Rng::new(1), Mix::DEFAULT, 10, false);
        for _ in 0..100 {
            let step = workload.next(&ledger, Moment::default());
            assert!(matches!(step, Step::Create { with_data: false, .. }), "{step:?}");
        }
    }

    #[test]
    fn a_mix_is_read_from_its_parts() {
        assert_eq!("read=80,update=10,create=5,delete=5".parse(), Ok(Mix::DEFAULT));
        let reads = Mix { read: 1, update: 0, create: 0, delete: 0 };
        assert_eq!("read=1".parse(), Ok(reads));
        for text in ["", "read", "read=", "read=-1", "write=3", "read=0", "read=1,", "read=99999999999"] {
            assert!(text.parse::<Mix>().is_err(), "{text:?}");
        }
    }
}
