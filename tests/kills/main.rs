//! Proof over real processes: what was acknowledged outlives a kill at any moment.
//!
//! Servers run over one folder, life after life, with other core counts, drivers and modes,
//! under the load of clients that keep a ledger. `SESHUN_KILLS=1000` sets how many kills there
//! are, `SESHUN_KILLS_SECONDS=60` how long it may take instead; best with `--release`. All
//! choices follow from a seed that each report names and `SESHUN_KILLS_SEED` sets; what the
//! system does meanwhile does not. Beside it: full disks, failing ones, and what is left behind.

#[path = "../support/mod.rs"]
mod support;

mod bucket;
mod client;
mod clock;
mod coming;
mod content;
mod disk_use;
mod failing;
mod full;
mod known;
mod mix;
mod schedule;
mod session;
mod shared;
mod state;
mod tally;
mod volume;
mod watch;
mod wire;
mod world;

use std::env;

use clock::now_millis;
use support::Random;
use tally::Sums;
use volume::{Volume, say};
use world::World;

/// Kills where nothing else is asked for, and the seconds after which there are no more.
const KILLS: u64 = 16;
const SECONDS: u64 = 8;
/// Kills of one folder, before another one's turn comes.
const KILLS_A_FOLDER: u64 = 60;
/// Sizes of the small file systems, in MiB; one folder in so many is on the ordinary disk.
const SMALL_MIB: [u32; 4] = [16, 8, 32, 24];
const PLAIN_EVERY: usize = 4;
/// So many kills that were to be in cleaning without one that was: the wait for it does not work.
const CLEANINGS_AWAITED_MIN: u64 = 8;

fn number_from(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|why| panic!("{variable}={text}: {why}")))
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_kills_at_any_moment() {
    let seed = number_from("SESHUN_KILLS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let (kills, seconds) = match (number_from("SESHUN_KILLS"), number_from("SESHUN_KILLS_SECONDS")) {
        (None, None) => (KILLS, SECONDS),
        (kills, seconds) => (kills.unwrap_or(u64::MAX), seconds.unwrap_or(u64::from(u32::MAX))),
    };
    let until_millis = now_millis() + seconds as i64 * 1_000;
    let mut random = Random::seeded(seed);
    let mut sums = Sums::default();
    for folder in 0.. {
        if sums.kills >= kills || now_millis() >= until_millis {
            break;
        }
        let small = Some(SMALL_MIB[folder % SMALL_MIB.len()]).filter(|_| folder % PLAIN_EVERY != 1);
        let volume = small.and_then(Volume::small).unwrap_or_else(Volume::plain);
        let mut world = World::new(seed, Random::seeded(random.next()), volume);
        let most = KILLS_A_FOLDER.min(kills.div_ceil(2)).min(kills - sums.kills);
        while world.sums().kills < most && now_millis() < until_millis {
            world.live();
        }
        sums.add(world.sums());
    }
    say(&format!("{sums}; losses: 0; seed {seed}"));
    let is_enough = sums.cleanings_awaited >= CLEANINGS_AWAITED_MIN;
    assert!(sums.kills_in_cleaning > 0 || !is_enough, "no kill in cleaning: {sums}; seed {seed}");
}
