//! How a life of the server goes: its shape, its mode, and how and when it ends.

use std::time::Duration;

use crate::support::{Random, Shape};

const CORES: [u16; 5] = [1, 2, 3, 4, 8];
const DRIVERS: [&str; 2] = ["auto", "epoll"];

/// How a life ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// By SIGKILL, so long after it listens.
    Kill(Duration),
    /// By SIGKILL, so long after a cleaning has begun; where none does within a second, then.
    KillInCleaning(Duration),
    /// By SIGTERM, so long after it listens.
    Terminate(Duration),
}

/// One life.
#[derive(Clone, Debug)]
pub struct Chapter {
    pub shape: Shape,
    /// `journal.mode`.
    pub mode: &'static str,
    /// Starts before it that are killed before they have come to their end, and when.
    pub aborted_starts: Vec<(Shape, Duration)>,
    pub end: End,
}

impl Chapter {
    /// The next life.
    pub fn draw(random: &mut Random) -> Self {
        let mode = if random.chance(35) { "always" } else { "everysec" };
        let aborted = if random.chance(15) { 1 + random.below(2) } else { 0 };
        let starts = (0..aborted).map(|_| (shape(random), millis(random.below(120))));
        let aborted_starts = starts.collect();
        let end = match random.below(100) {
            0..15 => End::Kill(millis(random.below(20))),
            15..60 => End::Kill(millis(20 + random.below(400))),
            60..65 => End::Kill(millis(500 + random.below(1_500))),
            // Long enough for sessions to be made, to end, and to be asked for in one life.
            65..68 => End::Kill(millis(3_000 + random.below(1_500))),
            68..88 => End::KillInCleaning(millis(random.below(15))),
            _ => End::Terminate(millis(random.below(400))),
        };
        Self { shape: shape(random), mode, aborted_starts, end }
    }

    /// How often the server is killed in it.
    pub fn kills(&self) -> u64 {
        self.aborted_starts.len() as u64 + u64::from(!self.is_orderly())
    }

    /// Whether the server is asked to end.
    pub fn is_orderly(&self) -> bool {
        matches!(self.end, End::Terminate(_))
    }
}

fn shape(random: &mut Random) -> Shape {
    Shape { cores: *random.pick(&CORES), driver: DRIVERS[random.below(DRIVERS.len())] }
}

fn millis(count: usize) -> Duration {
    Duration::from_millis(count as u64)
}
