//! A run second by second: what reports draw time lines of, and the live view shows.
//!
//! Each core counts into a [`Second`] of its own and hands it in when it is over. A
//! [`Row`] is made when all cores have; it keeps numbers only, so that an hour costs no
//! more than 3,600 rows.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::stats::{Kind, Latency};

/// The longest latency that is told from longer ones: a minute, in nanoseconds.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// Significant digits of a second's latencies: enough to be drawn, and a tenth of the memory.
const DIGITS: u8 = 2;

/// A part of a second shorter than this has no rate worth drawing.
const SPAN_MIN: Duration = Duration::from_millis(100);

/// What is counted beside the kinds, by its name in logs.
const BESIDE: [&str; 2] = ["dropped", "refused"];

/// What one core counted within a second.
#[derive(Clone, Debug)]
pub struct Second {
    /// Of all answers, how long dropped requests had waited, and how long refusals took.
    latencies: Histogram<u64>,
    /// The same by kind and to three digits, where a log is to have them: some megabyte. What is
    /// counted beside the kinds comes last.
    kinds: Option<Box<[Latency; Kind::ALL.len() + BESIDE.len()]>>,
    /// Wrong answers.
    pub wrong: u64,
    /// Refusals, and what went wrong on this side.
    pub errors: u64,
    /// Requests of an open loop that never left. `dropped + refused <= latencies.len()`
    dropped: u64,
    /// Refusals of the load, which are among the errors too.
    refused: u64,
}

/// What all cores counted within a second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Seconds from the start of measuring to the end of this one.
    pub at_s: f64,
    /// Whole answers a second.
    pub answers_per_s: f64,
    /// Half of them, and of what was dropped or refused, were not above this, in microseconds.
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

/// A second that all cores have handed in.
#[derive(Debug)]
pub struct Whole {
    /// What they counted.
    pub second: Second,
    /// Its row; none where it was too short for a rate.
    pub row: Option<Row>,
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
    /// A second that also counts each kind by itself.
    pub fn by_kind() -> Self {
        Self { kinds: Some(Box::default()), ..Self::default() }
    }

    /// What was counted; an empty second that counts the same way stays.
    pub fn take(&mut self) -> Self {
        let next = if self.kinds.is_some() { Self::by_kind() } else { Self::default() };
        std::mem::replace(self, next)
    }

    /// Counts a whole answer.
    pub fn answer(&mut self, kind: Kind, latency: Duration) {
        self.latencies.saturating_record(latency.as_nanos() as u64);
        if let Some(kinds) = &mut self.kinds {
            kinds[kind as usize].record(latency);
        }
    }

    /// Counts a request that never left, after it had `waited`.
    pub fn drop_one(&mut self, waited: Duration) {
        self.dropped += 1;
        self.latencies.saturating_record(waited.as_nanos() as u64);
        if let Some([.., dropped, _]) = self.kinds.as_deref_mut() {
            dropped.record(waited);
        }
    }

    /// Counts a refusal that took so long; that it is an error too is counted apart.
    pub fn refuse(&mut self, latency: Duration) {
        self.refused += 1;
        self.latencies.saturating_record(latency.as_nanos() as u64);
        if let Some([.., refused]) = self.kinds.as_deref_mut() {
            refused.record(latency);
        }
    }

    /// Requests that never left.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The latencies of each kind, and of what is counted beside them, by their names; nothing
    /// where kinds are not counted by themselves.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &Latency)> {
        let names = Kind::ALL.into_iter().map(Kind::name).chain(BESIDE);
        names.zip(self.kinds.iter().flat_map(|kinds| kinds.iter()))
    }

    /// Whether there was no answer or refusal, and nothing was dropped.
    pub fn is_empty(&self) -> bool {
        self.latencies.is_empty()
    }

    /// Takes in all of `other`'s, which counts the same way.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.kinds.is_some(), other.kinds.is_some(), "one run counts in one way");
        self.latencies.add(&other.latencies).expect("all histograms have the same bounds");
        if let Some((mine, theirs)) = self.kinds.as_mut().zip(other.kinds.as_ref()) {
            mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| mine.merge(theirs));
        }
        self.wrong += other.wrong;
        self.errors += other.errors;
        self.dropped += other.dropped;
        self.refused += other.refused;
    }

    fn row(&self, at: Duration, span: Duration) -> Row {
        let unanswered = self.dropped + self.refused;
        debug_assert!(unanswered <= self.latencies.len(), "each has its latency");
        let quantile_us = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Row {
            at_s: at.as_secs_f64(),
            answers_per_s: (self.latencies.len() - unanswered) as f64 / span.as_secs_f64(),
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
        Self { latencies, kinds: None, wrong: 0, errors: 0, dropped: 0, refused: 0 }
    }
}

impl Series {
    /// No rows yet, of so many cores.
    pub fn new(cores: usize) -> Self {
        debug_assert!(cores > 0, "somebody counts");
        Self { cores, rows: Vec::new(), open: BTreeMap::new() }
    }

    /// Takes a core's second in, which lasted for `span` and ended so long `at` after the start
    /// of measuring; gives the whole that it completes.
    pub fn hand_in(
        &mut self,
        number: u64,
        (at, span): (Duration, Duration),
        second: Second,
    ) -> Option<Whole> {
        debug_assert!(span <= at, "a second does not begin before measuring does");
        let (count, second) = match self.open.remove(&number) {
            None => (1, second),
            Some((count, mut sum)) => {
                sum.merge(&second);
                (count + 1, sum)
            }
        };
        if count < self.cores {
            self.open.insert(number, (count, second));
            return None;
        }
        let row = (span >= SPAN_MIN).then(|| second.row(at, span));
        self.rows.extend(row);
        Some(Whole { second, row })
    }

    /// All rows, in the order of time, and the seconds that some core never handed in.
    pub fn finish(self) -> (Vec<Row>, impl Iterator<Item = Second>) {
        debug_assert!(self.rows.is_sorted_by_key(|row| row.at_s), "no core is a second ahead of itself");
        (self.rows, self.open.into_values().map(|(_, second)| second))
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
        let mut second = Second { errors: 1, wrong: 2, ..Second::default() };
        micros.for_each(|micros| second.answer(Kind::Read, Duration::from_micros(micros)));
        second
    }

    #[test]
    fn what_was_dropped_or_refused_is_no_answer_and_has_its_wait_in_the_latencies() {
        type Count = fn(&mut Second, Duration);
        for (count, dropped) in [(Second::drop_one as Count, 3), (Second::refuse, 0)] {
            let mut counting = second(1..=97);
            (0..3).for_each(|_| count(&mut counting, Duration::from_secs(1)));
            let whole = Series::new(1).hand_in(0, WHOLE, counting).expect("one core is all");
            let row = whole.row.expect("it is a whole second");
            assert_eq!((row.answers_per_s, row.dropped), (97.0, dropped));
            assert!(row.p50_us < 100.0 && row.p99_us > 990_000.0, "{row:?}");
        }
    }

    #[test]
    fn a_row_is_there_when_all_cores_have_handed_it_in() {
        let mut series = Series::new(2);
        assert!(series.hand_in(0, WHOLE, second(1..=50)).is_none());
        assert!(series.hand_in(1, WHOLE, second(1..=10)).is_none(), "the same core's next second");
        let row = series.hand_in(0, WHOLE, second(51..=100)).and_then(|whole| whole.row).expect("both have");
        assert_eq!((row.at_s, row.answers_per_s, row.errors, row.wrong, row.dropped), (1.0, 100.0, 2, 4, 0));
        assert!((row.p50_us - 50.0).abs() < 1.0 && (row.p99_us - 99.0).abs() < 1.0, "{row:?}");
        let (rows, rest) = series.finish();
        assert_eq!((rows, rest.map(|second| second.latencies.len()).sum::<u64>()), (vec![row], 10));
    }

    #[test]
    fn a_last_part_of_a_second_counts_by_its_length() {
        let mut series = Series::new(1);
        let whole = series.hand_in(4, part(500), second(1..=50)).expect("one core is all");
        let row = whole.row.expect("half a second is enough");
        assert_eq!((row.at_s, row.answers_per_s), (4.5, 100.0));
        let whole = series.hand_in(5, part(10), second(1..=7)).expect("it is whole");
        assert!(whole.row.is_none() && !whole.second.is_empty(), "a hundredth has no rate, but answers");
        assert_eq!(series.finish().0.len(), 1);
    }

    #[test]
    fn a_second_without_an_answer_is_a_row_of_nothing() {
        let whole = Series::new(1).hand_in(0, WHOLE, Second::default()).expect("it is whole all the same");
        let row = whole.row.expect("it has a row");
        assert_eq!((row.answers_per_s, row.p99_us, row.max_us), (0.0, 0.0, 0.0));
    }

    #[test]
    fn kinds_are_counted_by_themselves_where_that_is_asked_for() {
        let mut one = Second::by_kind();
        one.answer(Kind::Read, Duration::from_micros(5));
        let mut other = one.take();
        one.answer(Kind::Read, Duration::from_micros(7));
        one.answer(Kind::Gone, Duration::from_micros(7));
        one.drop_one(Duration::from_secs(1));
        (0..3).for_each(|_| one.refuse(Duration::from_millis(1)));
        other.merge(&one);
        let counts: Vec<_> = other.parts().map(|(name, latency)| (name, latency.count())).collect();
        let expected = [("create", 0), ("read", 2), ("update", 0), ("delete", 0), ("gone", 1)];
        assert_eq!(counts, [&expected[..], &[("dropped", 1), ("refused", 3)]].concat());
        assert_eq!(Second::default().parts().count(), 0);
    }
}
