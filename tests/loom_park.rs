//! The interleavings of the park flag's protocol, under every memory order that the
//! language permits: no wake-up is lost.
//!
//! `park.rs` itself is compiled here, beside a `sync` of loom's atomics. The lane is the
//! weakest that could work (a Release store read by an Acquire load), the doorbell a
//! condition variable; a lost wake-up is a sleeper that waits for ever, which loom reports
//! as a deadlock. The last model leaves the fences out and must fail: it shows that the
//! others would.

#![allow(clippy::unwrap_used)]

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

mod sync {
    pub use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

#[path = "../src/runtime/park.rs"]
mod park;

use park::ParkFlag;

/// The protocol's steps, for the real flag and for the one without fences.
trait Protocol: Send + Sync + 'static {
    fn awake() -> Self;
    fn announce(&self);
    fn withdraw(&self);
    fn should_ring(&self) -> bool;
}

impl Protocol for ParkFlag {
    fn awake() -> Self {
        Self::awake()
    }

    fn announce(&self) {
        self.announce();
    }

    fn withdraw(&self) {
        self.withdraw();
    }

    fn should_ring(&self) -> bool {
        self.should_ring()
    }
}

/// The same steps ordered by Release and Acquire alone.
struct Unfenced(AtomicBool);

impl Protocol for Unfenced {
    fn awake() -> Self {
        Self(AtomicBool::new(false))
    }

    fn announce(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn withdraw(&self) {
        self.0.store(false, Ordering::Release);
    }

    fn should_ring(&self) -> bool {
        self.0.load(Ordering::Acquire) && self.0.swap(false, Ordering::AcqRel)
    }
}

/// A core with a place for one item from each of `POSTERS` peers.
struct Core<Flag, const POSTERS: usize> {
    lane: [AtomicBool; POSTERS],
    flag: Flag,
    is_rung: Mutex<bool>,
    bell: Condvar,
    rings: AtomicUsize,
}

impl<Flag: Protocol, const POSTERS: usize> Core<Flag, POSTERS> {
    fn new() -> Self {
        Self {
            lane: std::array::from_fn(|_| AtomicBool::new(false)),
            flag: Flag::awake(),
            is_rung: Mutex::new(false),
            bell: Condvar::new(),
            rings: AtomicUsize::new(0),
        }
    }

    fn post(&self, poster: usize) {
        self.lane[poster].store(true, Ordering::Release);
        if self.flag.should_ring() {
            self.rings.fetch_add(1, Ordering::Relaxed);
            *self.is_rung.lock().unwrap() = true;
            self.bell.notify_one();
        }
    }

    /// How many items are there now.
    fn count(&self) -> usize {
        self.lane.iter().filter(|item| item.load(Ordering::Acquire)).count()
    }

    fn sleep(&self) {
        let mut is_rung = self.is_rung.lock().unwrap();
        while !*is_rung {
            is_rung = self.bell.wait(is_rung).unwrap();
        }
        *is_rung = false;
    }

    /// Takes items as they come and sleeps in between; how often it announced a sleep.
    fn run(&self) -> usize {
        let mut announcements = 0;
        let mut taken = self.count();
        while taken < POSTERS {
            announcements += 1;
            self.flag.announce();
            if self.count() == taken {
                self.sleep();
            }
            self.flag.withdraw();
            taken = self.count();
        }
        announcements
    }
}

/// A core that sleeps until each of `POSTERS` peers has posted once, in every interleaving
/// with at most so many preemptions; in every one at all where none is given.
fn check<Flag: Protocol, const POSTERS: usize>(preemptions_max: Option<usize>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions_max;
    model.check(|| {
        let core = Arc::new(Core::<Flag, POSTERS>::new());
        let posters: Vec<_> = (0..POSTERS)
            .map(|poster| {
                let core = Arc::clone(&core);
                thread::spawn(move || core.post(poster))
            })
            .collect();
        let announcements = core.run();
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        let rings = core.rings.load(Ordering::Relaxed);
        assert!(rings <= announcements, "{rings} rings for {announcements} announcements");
    });
}

#[test]
fn one_peer_never_loses_its_wake_up() {
    check::<ParkFlag, 1>(None);
}

#[test]
fn two_peers_never_lose_a_wake_up_and_ring_once_an_announcement() {
    // Three take seconds; four were run once, for a minute, and hold as well.
    check::<ParkFlag, 2>(Some(3));
}

#[test]
#[should_panic(expected = "deadlock")]
fn without_the_fences_a_wake_up_is_lost() {
    check::<Unfenced, 1>(None);
}
