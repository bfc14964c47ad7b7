//! The latency spectrum: which latency so many percent of the answers kept to, as a curve.
//!
//! A handful of percentiles says little about a tail; the curve shows where it bends. Its
//! points lie closer the nearer they are to 100 %, so that each nine has as many as the one
//! before. It ends where the answers do: of a thousand, none tells what 99.99 % keep to.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::stats::Latency;

/// A whole, in the unit that shares are counted in here: millionths of a percent.
const WHOLE: u64 = 100_000_000;

/// The share that the curve leaves out at most: it goes up to 99.999 %.
const TAIL_MIN: u64 = 1000;

/// What is left above the points of the first nine, in percent; of the next ones a tenth of it each.
const TAILS: [u64; 13] = [100, 90, 80, 70, 60, 50, 40, 35, 30, 25, 20, 15, 12];

/// A point of the curve.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// So many percent of the answers. `0 <= percentile < 100`
    pub percentile: f64,
    /// Took no longer than this, in microseconds.
    pub us: f64,
}

/// The curve; empty where there was no answer. Neither coordinate ever falls.
///
/// In JSON it is a list of `[percentile, microseconds]`, on one line.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Spectrum(Vec<Point>);

impl Spectrum {
    /// The curve through these latencies.
    pub fn of(latency: &Latency) -> Self {
        let count = latency.count();
        if count == 0 {
            return Self::default();
        }
        // With less than one answer above it, a percentile would be the maximum by another name.
        let is_told = |tail: &u64| u128::from(*tail) * u128::from(count) >= u128::from(WHOLE);
        let mut points: Vec<Point> =
            tails().take_while(is_told).map(|tail| Point::at(latency, tail)).collect();
        let end = WHOLE / count;
        if end >= TAIL_MIN && points.last().is_none_or(|last| last.percentile < percentile_above(end)) {
            points.push(Point::at(latency, end));
        }
        debug_assert!(is_rising(&points), "more answers do not take less time");
        Self(points)
    }

    /// The points, from the fastest answer on.
    pub fn points(&self) -> &[Point] {
        &self.0
    }

    /// Whether there is no curve.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Point {
    fn at(latency: &Latency, tail: u64) -> Self {
        let percentile = percentile_above(tail);
        Self { percentile, us: latency.at_quantile_us(percentile / 100.0) }
    }
}

/// What lies above each point that a curve may have, from the whole down to the least.
fn tails() -> impl Iterator<Item = u64> {
    let nines = (0..5).flat_map(|nine| TAILS.map(|tail| tail * 10_u64.pow(6 - nine)));
    nines.chain([TAIL_MIN])
}

fn percentile_above(tail: u64) -> f64 {
    debug_assert!(tail <= WHOLE, "it is a share");
    (WHOLE - tail) as f64 / (WHOLE / 100) as f64
}

fn is_rising(points: &[Point]) -> bool {
    points.is_sorted_by(|a, b| a.percentile < b.percentile && a.us <= b.us)
}

impl Serialize for Spectrum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs: Vec<(f64, f64)> = self.0.iter().map(|point| (point.percentile, point.us)).collect();
        let text = serde_json::to_string(&pairs).map_err(S::Error::custom)?;
        // As it is, so that a report that is indented for people has a line a curve.
        RawValue::from_string(text).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Spectrum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(f64, f64)>::deserialize(deserializer)?;
        let points: Vec<Point> = pairs.into_iter().map(|(percentile, us)| Point { percentile, us }).collect();
        let in_range = |point: &Point| (0.0..100.0).contains(&point.percentile) && point.us >= 0.0;
        if points.iter().all(in_range) && is_rising(&points) {
            Ok(Self(points))
        } else {
            Err(D::Error::custom("a spectrum has rising points of a percentile below 100 and microseconds"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// So many answers, of 1, 2, 3 … microseconds.
    fn latency(count: u64) -> Latency {
        let mut latency = Latency::new();
        (1..=count).for_each(|us| latency.record(Duration::from_micros(us)));
        latency
    }

    fn spectrum(count: u64) -> Spectrum {
        Spectrum::of(&latency(count))
    }

    #[test]
    fn each_nine_has_as_many_points_as_the_one_before() {
        let percentiles: Vec<f64> = tails().map(percentile_above).collect();
        let in_nine = |from: f64, to: f64| percentiles.iter().filter(|&&p| (from..to).contains(&p)).count();
        for (from, to) in [(0.0, 90.0), (90.0, 99.0), (99.0, 99.9), (99.9, 99.99), (99.99, 99.999)] {
            assert_eq!(in_nine(from, to), TAILS.len(), "{from} to {to}");
        }
        for named in [0.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999] {
            assert!(percentiles.contains(&named), "{named}");
        }
    }

    #[test]
    fn a_curve_ends_where_the_answers_do() {
        let table = [(1, 0.0), (2, 50.0), (10, 90.0), (400, 99.75), (1000, 99.9), (150_000, 99.999)];
        for (count, end) in table {
            let last = *spectrum(count).points().last().expect("there was an answer");
            assert!((last.percentile - end).abs() < 1e-9, "{count}: {last:?}");
        }
        assert!(spectrum(0).is_empty());
    }

    #[test]
    fn its_points_are_the_percentiles_of_the_answers() {
        let spectrum = spectrum(10_000);
        for Point { percentile, us } in spectrum.points() {
            let expected = (percentile * 100.0).max(1.0);
            assert!((us - expected).abs() <= expected / 500.0 + 1.0, "{percentile} %: {us}");
        }
    }

    #[test]
    fn it_is_written_on_a_line_and_read_back() {
        let spectrum = spectrum(400);
        let text = serde_json::to_string_pretty(&[&spectrum]).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("[[0.0,1.0"), "{text}");
        assert_eq!(serde_json::from_str::<[Spectrum; 1]>(&text).unwrap(), [spectrum]);
    }

    #[test]
    fn what_does_not_rise_is_no_spectrum() {
        let bad = ["[[0,2],[50,1]]", "[[50,1],[50,2]]", "[[100,1]]", "[[-1,1]]", "[[0,-1]]", "[[0]]", "7"];
        for text in bad {
            assert!(serde_json::from_str::<Spectrum>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Spectrum>("[]").unwrap(), Spectrum::default());
    }
}
