//! A run second by second: what reports draw time lines of, and the live view shows.
//!
//! Each core counts into a [`Second`] of its own and hands it in when it is over. A
//! [`Row`] is made when all cores have; it keeps numbers only, so that an hour costs no
//! more than 3,600 rows.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told from longer ones: a minute, in nanoseconds.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// Significant digits of a second's latencies: enough to be drawn, and a tenth of the memory.
const DIGITS: u8 = 2;

/// A part of a second shorter than this has no rate worth drawing.
const SPAN_MIN: Duration = Duration::from_millis(100);

/// What one core counted within a second.
#[derive(Clone, Debug)]
pub struct Second {
    latencies: Histogram<u64>,
    /// Wrong answers.
    pub wrong: u64,
    /// Refusals, and what went wrong on this side.
    pub errors: u64,
    /// Requests of an open loop that never left.
    pub dropped: u64,
}

/// What all cores counted within a second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Seconds from the start of measuring to the end of this one.
    pub at_s: f64,
    /// Whole answers a second.
    pub answers_per_s: f64,
    /// Half of them were not above this, in microseconds.
    pub p50_us: f64,
    /// 99 % of them.
    pub p99_us: f64,
    /// 99.9 % of them.
    pub p99_9_us: f64,
    /// All of them.
    pub max_us: f64,
    /// Wrong answers.
    pub wrong: u64,
    /// Refusals, and what went wrong on this side.
    pub errors: u64,
    /// Requests of an open loop that never left.
    pub dropped: u64,
}

/// The rows so far, and what some cores have handed in of the next ones.
#[derive(Debug)]
pub struct Series {
    cores: usize,
    rows: Vec<Row>,
    /// By number: how many cores have handed it in, and their sum.
    open: BTreeMap<u64, (usize, Second)>,
}

impl Second {
    /// Counts a whole answer.
    pub fn answer(&mut self, latency: Duration) {
        self.latencies.saturating_record(latency.as_nanos() as u64);
    }

    fn merge(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("all histograms have the same bounds");
        self.wrong += other.wrong;
        self.errors += other.errors;
        self.dropped += other.dropped;
    }

    fn row(&self, at: Duration, span: Duration) -> Row {
        let quantile_us = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Row {
            at_s: at.as_secs_f64(),
            answers_per_s: self.latencies.len() as f64 / span.as_secs_f64(),
            p50_us: quantile_us(0.5),
            p99_us: quantile_us(0.99),
            p99_9_us: quantile_us(0.999),
            max_us: self.latencies.max() as f64 / 1000.0,
            wrong: self.wrong,
            errors: self.errors,
            dropped: self.dropped,
        }
    }
}

impl Default for Second {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX_NS, DIGITS);
        let latencies = latencies.expect("the bounds are in order and two digits are allowed");
        Self { latencies, wrong: 0, errors: 0, dropped: 0 }
    }
}

impl Series {
    /// No rows yet, of so many cores.
    pub fn new(cores: usize) -> Self {
        debug_assert!(cores > 0, "somebody counts");
        Self { cores, rows: Vec::new(), open: BTreeMap::new() }
    }

    /// Takes a core's second in, which lasted for `span` and ended so long `at` after the start
    /// of measuring; gives the row that it completes.
    pub fn hand_in(&mut self, number: u64, (at, span): (Duration, Duration), second: &Second) -> Option<Row> {
        debug_assert!(span <= at, "a second does not begin before measuring does");
        let (count, sum) = self.open.entry(number).or_default();
        *count += 1;
        sum.merge(second);
        if *count < self.cores {
            return None;
        }
        let (_, sum) = self.open.remove(&number)?;
        let row = (span >= SPAN_MIN).then(|| sum.row(at, span))?;
        self.rows.push(row);
        Some(row)
    }

    /// All rows, in the order of time.
    pub fn into_rows(self) -> Vec<Row> {
        debug_assert!(self.rows.is_sorted_by_key(|row| row.at_s), "no core is a second ahead of itself");
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(1));

    /// A part of the fifth second.
    fn part(millis: u64) -> (Duration, Duration) {
        (Duration::from_millis(4000 + millis), Duration::from_millis(millis))
    }

    fn second(micros: std::ops::RangeInclusive<u64>) -> Second {
        let mut second = Second { errors: 1, wrong: 2, dropped: 3, ..Second::default() };
        micros.for_each(|micros| second.answer(Duration::from_micros(micros)));
        second
    }

    #[test]
    fn a_row_is_there_when_all_cores_have_handed_it_in() {
        let mut series = Series::new(2);
        assert_eq!(series.hand_in(0, WHOLE, &second(1..=50)), None);
        assert_eq!(series.hand_in(1, WHOLE, &second(1..=10)), None, "the same core's next second");
        let row = series.hand_in(0, WHOLE, &second(51..=100)).expect("both cores have");
        assert_eq!((row.at_s, row.answers_per_s, row.errors, row.wrong, row.dropped), (1.0, 100.0, 2, 4, 6));
        assert!((row.p50_us - 50.0).abs() < 1.0 && (row.p99_us - 99.0).abs() < 1.0, "{row:?}");
        assert_eq!(series.into_rows(), [row]);
    }

    #[test]
    fn a_last_part_of_a_second_counts_by_its_length() {
        let mut series = Series::new(1);
        let row = series.hand_in(4, part(500), &second(1..=50)).expect("half a second is enough");
        assert_eq!((row.at_s, row.answers_per_s), (4.5, 100.0));
        assert_eq!(series.hand_in(5, part(10), &second(1..=1)), None, "and a hundredth is not");
        assert_eq!(series.into_rows().len(), 1);
    }

    #[test]
    fn a_second_without_an_answer_is_a_row_of_nothing() {
        let row = Series::new(1).hand_in(0, WHOLE, &Second::default()).expect("it is a row all the same");
        assert_eq!((row.answers_per_s, row.p99_us, row.max_us), (0.0, 0.0, 0.0));
    }
}
