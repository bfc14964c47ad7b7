//! A task's share of a turn.
//!
//! On epoll an operation that need not wait completes at once, so a task whose client sends
//! and reads without a pause would never return to the loop: no other task, no timer and no
//! peer would have its turn. Whoever works in a loop takes from its share in each round. On
//! io_uring every operation waits for the loop, and a share never ends.

use super::core::Core;

/// What one task may do in one turn.
#[derive(Debug)]
pub struct Share {
    rounds_max: u32,
    /// The turn in which `rounds` were taken.
    turn: u64,
    /// `0 <= rounds <= rounds_max`
    rounds: u32,
}

impl Share {
    /// A share of so many rounds a turn.
    pub fn new(rounds_max: u32) -> Self {
        Self { rounds_max, turn: 0, rounds: 0 }
    }

    /// Takes one round; where this turn's are used up, waits for the next turn.
    pub async fn take(&mut self, core: &Core) {
        if self.turn == core.turns() && self.rounds >= self.rounds_max {
            core.rest().await;
        }
        if self.turn != core.turns() {
            (self.turn, self.rounds) = (core.turns(), 0);
        }
        self.rounds = (self.rounds + 1).min(self.rounds_max);
    }
}
