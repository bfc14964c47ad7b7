//! What the journal's threads count: how long writes and syncs take, what waits, what lies on
//! the disk.
//!
//! Each cell has one writer at a time: the writing thread, or for syncs the one that syncs. All
//! are relaxed: every number is exact by itself.

use std::time::Duration;

use super::Cell;
use crate::types::ByteCount;

/// The upper ends of a histogram's buckets, in microseconds: fine around what one device
/// answers in, coarse where something is wrong.
pub const BOUNDS_MICROS: [u64; 13] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// The journal's numbers, in the order in which they are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JournalFigure {
    /// Total: bytes of records written.
    BytesWritten,
    /// Gauge: bytes of records that are kept in memory until they are synced.
    BacklogBytes,
    /// Gauge: the moment since when the oldest of them has been waiting, in milliseconds; 0 for none.
    /// A moment, because nobody shows a figure while a sync hangs.
    UnsyncedSince,
    /// Gauge: segments that hold records, and those that wait to be removed.
    Segments,
    /// Gauge: bytes that the segments with records take on the disk.
    SegmentBytes,
    /// Gauge: bytes that all live sessions would take if each was written once.
    LiveBytes,
    /// Total: cleanings that have come to their end.
    Cleanings,
    /// Gauge: 1 while the log is being cleaned, 0 while it is not.
    IsCleaning,
    /// Gauge: 0 good, 1 the disk is full, 2 nothing is kept any more.
    Condition,
}

/// The condition in which nothing is kept any more.
const FAILED: u64 = 2;

const FIGURES: usize = JournalFigure::Condition as usize + 1;

/// One journal's numbers.
#[derive(Debug)]
#[repr(align(128))]
pub struct JournalMetrics {
    figures: [Cell; FIGURES],
    writes: Durations,
    syncs: Durations,
}

impl JournalMetrics {
    /// All zero.
    pub fn new() -> Self {
        Self {
            figures: std::array::from_fn(|_| Cell::default()),
            writes: Durations::default(),
            syncs: Durations::default(),
        }
    }

    /// The present value of `figure`, in its own unit.
    pub fn read(&self, figure: JournalFigure) -> u64 {
        self.figures[figure as usize].read()
    }

    /// The present value of `figure` is this.
    pub fn show(&self, figure: JournalFigure, value: u64) {
        self.figures[figure as usize].show(value);
    }

    /// So many bytes of records were written in this time.
    pub fn written(&self, bytes: ByteCount, took: Duration) {
        self.figures[JournalFigure::BytesWritten as usize].add(bytes.as_u64());
        self.writes.add(took);
    }

    /// A sync took so long.
    pub fn synced(&self, took: Duration) {
        self.syncs.add(took);
    }

    /// How long writes took.
    pub fn writes(&self) -> &Durations {
        &self.writes
    }

    /// How long syncs took.
    pub fn syncs(&self) -> &Durations {
        &self.syncs
    }

    /// Whether nothing is kept any more.
    pub fn has_failed(&self) -> bool {
        self.read(JournalFigure::Condition) == FAILED
    }
}

impl Default for JournalMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// How long something took, as a histogram. One writer.
#[derive(Default, Debug)]
pub struct Durations {
    /// By bucket, the last without an upper end; each counts its own alone.
    buckets: [Cell; BOUNDS_MICROS.len() + 1],
    sum_micros: Cell,
}

impl Durations {
    fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.buckets[BOUNDS_MICROS.partition_point(|bound| *bound < micros)].add(1);
        self.sum_micros.add(micros);
    }

    /// How many took no longer than each bound, and how many there were.
    pub fn cumulated(&self) -> ([u64; BOUNDS_MICROS.len()], u64) {
        let mut sum = 0;
        let counts = std::array::from_fn(|bucket| {
            sum += self.buckets[bucket].read();
            sum
        });
        (counts, sum + self.buckets[BOUNDS_MICROS.len()].read())
    }

    /// How long all of them took together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_micros.read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_in_every_bucket_that_holds_it() {
        let metrics = JournalMetrics::new();
        for micros in [0, 50, 51, 5_000_000, 5_000_001, 90_000_000] {
            metrics.synced(Duration::from_micros(micros));
        }
        let (counts, all) = metrics.syncs().cumulated();
        assert_eq!((counts[0], counts[1], counts[BOUNDS_MICROS.len() - 1], all), (2, 3, 4, 6));
        assert!(counts.is_sorted());
        assert_eq!(metrics.syncs().sum(), Duration::from_micros(100_000_102));
        assert_eq!(metrics.writes().cumulated().1, 0);
    }

    #[test]
    fn figures_are_kept_apart() {
        let metrics = JournalMetrics::new();
        metrics.written(ByteCount::new(100), Duration::from_millis(1));
        metrics.written(ByteCount::new(20), Duration::from_millis(1));
        metrics.show(JournalFigure::Condition, 2);
        assert_eq!(metrics.read(JournalFigure::BytesWritten), 120);
        assert_eq!(metrics.read(JournalFigure::Condition), 2);
        assert_eq!(metrics.read(JournalFigure::Segments), 0);
    }
}
