//! What a core does next: the mix of operations, drawn from a seeded generator.
//!
//! Pure: the same seed, shape and answers give the same steps. A core first makes the
//! sessions that it is to have; then it draws from the mix, popular users more often than
//! others. Short-lived sessions whose time has come go first, and a few operations ask for
//! ids that are gone and must stay so.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::clock::Moment;
use crate::contest::Act;
use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::step::{Place, Step, Visit};
use crate::zipf::Zipf;

/// Of a hundred sessions made, how many get their first data with a POST instead of at once.
const UNWRITTEN_SHARE: usize = 50;

/// Of a hundred sessions without data, how many are read before they are written to.
const UNWRITTEN_READ_SHARE: usize = 12;

/// Of a hundred operations, how many ask for an id that is gone.
const GONE_SHARE: usize = 2;

/// The most contested sessions that a core has.
const CONTESTED_MAX: usize = 4;

/// How often a user is drawn anew where the one drawn is busy or gone.
const DRAWS_MAX: usize = 8;

/// The largest part of a mix.
const PART_MAX: u32 = 1_000_000;

// What is drawn fits the type of the parts.
const _: () = assert!(PART_MAX <= u32::MAX / 5);

/// How often each operation is drawn, in parts of their sum, which is never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Mix {
    /// Page views: GET
    pub read: u32,
    /// Page views that change the session: POST
    pub update: u32,
    /// Logins: PUT
    pub create: u32,
    /// Logouts: DELETE
    pub delete: u32,
    /// Bots: PUT with a short TTL, and never a word again
    pub bot: u32,
}

impl Mix {
    /// Whether nothing but reads is drawn.
    pub const fn is_reads_only(self) -> bool {
        self.read > 0 && self.update == 0 && self.create == 0 && self.delete == 0 && self.bot == 0
    }

    /// What is drawn unless something else is asked for.
    pub const DEFAULT: Self = Self { read: 80, update: 10, create: 5, delete: 5, bot: 0 };

    fn parts(self) -> [(&'static str, u32); 5] {
        let Self { read, update, create, delete, bot } = self;
        [("read", read), ("update", update), ("create", create), ("delete", delete), ("bot", bot)]
    }

    fn sum(self) -> usize {
        self.parts().into_iter().map(|(_, part)| part as usize).sum()
    }
}

/// Why a text is no mix.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{0:?} is no part of a mix: write it like read=80,update=10,create=5,delete=5,bot=0, not all of them 0 \
     and none above {PART_MAX}"
)]
pub struct MixError(String);

impl FromStr for Mix {
    type Err = MixError;

    /// Parts that are not named are 0.
    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut mix = Self { read: 0, update: 0, create: 0, delete: 0, bot: 0 };
        for part in text.split(',') {
            let error = || MixError(part.to_owned());
            let (name, share) = part.trim().split_once('=').ok_or_else(error)?;
            let share = share.parse().ok().filter(|&share| share <= PART_MAX).ok_or_else(error)?;
            match name {
                "read" => mix.read = share,
                "update" => mix.update = share,
                "create" => mix.create = share,
                "delete" => mix.delete = share,
                "bot" => mix.bot = share,
                _ => return Err(error()),
            }
        }
        if mix.sum() == 0 { Err(MixError(text.to_owned())) } else { Ok(mix) }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.parts().into_iter().filter(|&(_, part)| part > 0);
        let texts: Vec<String> = named.map(|(name, part)| format!("{name}={part}")).collect();
        f.write_str(&texts.join(","))
    }
}

/// What a core's steps are drawn by.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The operations.
    pub mix: Mix,
    /// The exponent of Zipf's law over the users.
    pub zipf: f64,
    /// Users of the core, each with a session. At least 1.
    pub population: usize,
    /// Of a hundred sessions made for users, how many are short-lived and left behind.
    pub abandoned_percent: usize,
    /// Of a hundred operations, how many are about contested sessions.
    pub contested_percent: usize,
    /// Whether blobs have bytes: a session without any gets its data with a POST alone.
    pub has_data: bool,
}

/// The choice of one core's steps.
#[derive(Debug)]
pub struct Workload {
    rng: Rng,
    shape: Shape,
    users: Zipf,
    /// Whether the population has been made, or cannot be.
    filled: bool,
    /// Sessions that may still be tried before the population counts as made.
    fill_tries: usize,
}

impl Workload {
    /// A workload of this shape.
    pub fn new(rng: Rng, shape: Shape) -> Self {
        debug_assert!(shape.mix.sum() > 0 && shape.population > 0, "something can be drawn");
        let users = Zipf::new(shape.zipf, shape.population);
        // Twice as many as needed, and some more: a server that takes none must not be asked for ever.
        Self { rng, shape, users, filled: false, fill_tries: 2 * shape.population + 100 }
    }

    /// The next step towards the population and its data; nothing when both are there.
    pub fn fill(&mut self, ledger: &mut Ledger) -> Option<Step> {
        if self.filled {
            return None;
        }
        if ledger.staying_count() < self.shape.population && self.fill_tries > 0 {
            self.fill_tries -= 1;
            return Some(self.log_in(ledger));
        }
        // Never read before: one that is being read holds up those behind it, and the population
        // would count as made while they have no data.
        let unwritten = ledger.unwritten().map(Step::Update);
        self.filled = unwritten.is_none();
        unwritten
    }

    /// The next step; every place that it names has a session that the step can have.
    pub fn next(&mut self, ledger: &mut Ledger, now: Moment) -> Step {
        // What is due goes first: later it would come too close to its deadline to be judged.
        if let Some(place) = ledger.due(now) {
            return Step::Read(place);
        }
        if let Some(step) = self.first_data(ledger) {
            return step;
        }
        if self.rng.percent(self.shape.contested_percent) {
            return self.contest(ledger);
        }
        if ledger.gone_count() > 0 && self.rng.percent(GONE_SHARE) {
            return self.ask_for_gone(ledger);
        }
        self.draw(ledger)
    }

    /// The step about a session that waits for its first data.
    fn first_data(&mut self, ledger: &mut Ledger) -> Option<Step> {
        let place = ledger.unwritten()?;
        let reads = self.rng.percent(UNWRITTEN_READ_SHARE);
        Some(if reads { Step::Read(place) } else { Step::Update(place) })
    }

    fn draw(&mut self, ledger: &Ledger) -> Step {
        let mut drawn = self.rng.below(self.shape.mix.sum()) as u32;
        let Mix { read, update, create, bot, .. } = self.shape.mix;
        let mut falls_in = |part: u32| {
            let falls = drawn < part;
            drawn = drawn.wrapping_sub(part);
            falls
        };
        if falls_in(read) {
            return self.with_user(ledger, Step::Read);
        }
        if falls_in(update) {
            return self.with_user(ledger, Step::Update);
        }
        if falls_in(bot) {
            return Step::Create { visit: Visit::Bot, with_data: self.shape.has_data };
        }
        // A chance run of logouts must not leave too few users to spread reads over.
        if falls_in(create) || ledger.kept().count() * 2 <= self.shape.population {
            return self.log_in(ledger);
        }
        self.with_user(ledger, Step::Delete)
    }

    /// The step about a user who is free for it; where none is found, another one logs in.
    fn with_user(&mut self, ledger: &Ledger, step: fn(Place) -> Step) -> Step {
        let kept = ledger.kept();
        let shares = matches!(step(Place::Kept(0)), Step::Read(_));
        let is_free = |index: usize| if shares { kept.is_held(index) } else { kept.is_idle(index) };
        let count = kept.slot_count();
        if count == 0 {
            return self.log_in(ledger);
        }
        if count > self.users.count() {
            // More users than planned are drawn from too; an eighth ahead, so that this is seldom.
            self.users = Zipf::new(self.shape.zipf, count + count / 8);
        }
        let popular = (0..DRAWS_MAX).map(|_| self.users.draw(&mut self.rng)).find(|&index| is_free(index));
        let from = self.rng.below(count);
        let found = popular.or_else(|| (from..count).chain(0..from).find(|&index| is_free(index)));
        found.map_or_else(|| self.log_in(ledger), |index| step(Place::Kept(index)))
    }

    fn log_in(&mut self, ledger: &Ledger) -> Step {
        let leaves = self.rng.percent(self.shape.abandoned_percent) && ledger.takes_short_lived();
        // A short-lived one is not touched again before its time, so it gets its data at once.
        let with_data = self.shape.has_data && (leaves || !self.rng.percent(UNWRITTEN_SHARE));
        let visit = if leaves { Visit::Abandons } else { Visit::Stays };
        Step::Create { visit, with_data }
    }

    fn contest(&mut self, ledger: &Ledger) -> Step {
        let count = ledger.contested_count();
        if count == 0 || (count < CONTESTED_MAX && self.rng.percent(GONE_SHARE)) {
            return Step::Create { visit: Visit::Contested, with_data: true };
        }
        let act = match self.rng.below(4) {
            0 => Act::Update,
            1 => Act::UpdateIf,
            _ => Act::Read,
        };
        Step::Contested(self.rng.below(count), act)
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
mod tests;
