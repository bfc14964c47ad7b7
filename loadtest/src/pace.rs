//! When requests are meant to leave: as fast as answers come, or on a schedule of their own.
//!
//! Pure. A closed loop has no schedule. An open loop has one that the server cannot slow
//! down: request `k` of a core has its intended moment whatever became of those before it,
//! and its latency counts from then (Tene, "How not to measure latency"; Schroeder et al.,
//! "Open versus closed", 2006). Cores take turns within one schedule.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Moment;

/// Requests a second beyond this are no plan for any machine.
const RATE_MAX: f64 = 100_000_000.0;

/// Requests a second at the beginning and at the end of a run; in between they grow evenly.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Rate {
    /// At the run's start. `0 <= from`
    pub from: f64,
    /// At its end. One of the two is above 0.
    pub to: f64,
}

/// Why a text is no rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write it like 5000, 5k/s or, as a ramp, 1k..20k: requests a second, above 0")]
pub struct RateError;

impl Rate {
    /// The same rate from start to end, as `--rate` has it.
    pub fn parse_fixed(text: &str) -> Result<Self, RateError> {
        let rate = per_second(text).filter(|&rate| rate > 0.0).ok_or(RateError)?;
        Ok(Self { from: rate, to: rate })
    }

    /// A growing or falling rate, as `--ramp` has it.
    pub fn parse_ramp(text: &str) -> Result<Self, RateError> {
        let (from, to) = text.split_once("..").ok_or(RateError)?;
        let (from, to) = (per_second(from).ok_or(RateError)?, per_second(to).ok_or(RateError)?);
        if from.max(to) > 0.0 { Ok(Self { from, to }) } else { Err(RateError) }
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text.contains("..") { Self::parse_ramp(text) } else { Self::parse_fixed(text) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            write!(f, "{}/s", self.from)
        } else {
            write!(f, "{}..{}/s", self.from, self.to)
        }
    }
}

/// A number with `k` or `m` behind it, and `/s` behind that.
fn per_second(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches("/s");
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1e3),
        b'm' => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let rate = digits.parse::<f64>().ok().filter(|_| plain)? * factor;
    (rate <= RATE_MAX).then_some(rate)
}

/// One core's share of an open loop: which request is meant to leave when.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    rate: Rate,
    start: Moment,
    duration: Duration,
    /// This core takes every so many-th request of the whole, this one first.
    lane: u32,
    /// `lane < lanes`
    lanes: u32,
}

impl Schedule {
    /// The share of core `lane` of `lanes`.
    pub fn new(rate: Rate, start: Moment, duration: Duration, (lane, lanes): (u32, u32)) -> Self {
        debug_assert!(lane < lanes, "the lane is one of them");
        Self { rate, start, duration, lane, lanes }
    }

    /// When this core's request `number` is meant to leave; none after the run's end.
    pub fn intended(&self, number: u64) -> Option<Moment> {
        let whole = number * u64::from(self.lanes) + u64::from(self.lane);
        // In the middle of its share of time, so that no request falls on the very start.
        let at_s = self.seconds_until(whole as f64 + 0.5)?;
        (at_s < self.duration.as_secs_f64()).then(|| self.start.after(Duration::from_secs_f64(at_s)))
    }

    /// How many of this core's requests are meant to have left by `now`.
    pub fn count_until(&self, now: Moment) -> u64 {
        let elapsed_s = now.since(self.start).min(self.duration).as_secs_f64();
        let Rate { from, to } = self.rate;
        let whole = elapsed_s
            .mul_add(from, (to - from) * elapsed_s * elapsed_s / (2.0 * self.duration.as_secs_f64()));
        let mine = (whole - 0.5 - f64::from(self.lane)) / f64::from(self.lanes);
        let mut count = if mine < 0.0 { 0 } else { mine as u64 + 1 };
        // What was rounded here and there must agree, or a driver would wait for ever.
        while self.intended(count).is_some_and(|at| at <= now) {
            count += 1;
        }
        while count > 0 && self.intended(count - 1).is_none_or(|at| at > now) {
            count -= 1;
        }
        count
    }

    /// After how many seconds so many requests of the whole are meant to have left.
    fn seconds_until(&self, count: f64) -> Option<f64> {
        let Rate { from, to } = self.rate;
        let growth = (to - from) / self.duration.as_secs_f64();
        // count = from t + growth t^2 / 2, solved in the form that is stable for small growth.
        let discriminant = from.mul_add(from, 2.0 * growth * count);
        (discriminant >= 0.0).then(|| 2.0 * count / (from + discriminant.sqrt()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: f64) -> Moment {
        Moment::after_start(Duration::from_secs_f64(millis / 1000.0))
    }

    fn all(schedule: Schedule) -> Vec<Moment> {
        (0..).map_while(|number| schedule.intended(number)).collect()
    }

    #[test]
    fn rates_are_read_with_their_units() {
        let table = [
            ("5000", Some((5000.0, 5000.0))),
            ("5k/s", Some((5000.0, 5000.0))),
            ("1.5k", Some((1500.0, 1500.0))),
            ("0.2m/s", Some((200_000.0, 200_000.0))),
            ("1k..20k", Some((1000.0, 20_000.0))),
            ("0..50/s", Some((0.0, 50.0))),
            ("50..0", Some((50.0, 0.0))),
            ("0", None),
            ("0..0", None),
            ("", None),
            ("k", None),
            ("-5", None),
            ("1e3", None),
            ("inf", None),
            ("5..", None),
            ("1000m", None),
        ];
        for (text, expected) in table {
            let rate = text.parse::<Rate>().ok().map(|rate| (rate.from, rate.to));
            assert_eq!(rate, expected, "{text:?}");
        }
        assert!(Rate::parse_fixed("1..2").is_err() && Rate::parse_ramp("5").is_err());
    }

    #[test]
    fn a_fixed_rate_leaves_the_same_time_between_requests() {
        let rate = Rate { from: 100.0, to: 100.0 };
        let schedule = Schedule::new(rate, at(1000.0), Duration::from_secs(1), (0, 1));
        let all = all(schedule);
        assert_eq!(all.len(), 100);
        assert_eq!(all[0], at(1005.0));
        for pair in all.windows(2) {
            assert_eq!(pair[1].since(pair[0]).as_micros(), 10_000);
        }
    }

    #[test]
    fn a_ramp_grows_and_falls_evenly() {
        for (from, to) in [(0.0, 200.0), (200.0, 0.0), (50.0, 150.0)] {
            let schedule = Schedule::new(Rate { from, to }, at(0.0), Duration::from_secs(10), (0, 1));
            let all = all(schedule);
            assert!((998..=1001).contains(&all.len()), "{from}..{to}: {}", all.len());
            let second = |second: f64| {
                all.iter()
                    .filter(|&&moment| moment >= at(second * 1000.0) && moment < at((second + 1.0) * 1000.0))
                    .count()
            };
            for number in 0..10 {
                let middle = f64::from(number) + 0.5;
                let expected = from + (to - from) * middle / 10.0;
                let count = second(f64::from(number)) as f64;
                assert!(
                    (count - expected).abs() <= 2.0,
                    "{from}..{to}, second {number}: {count}, not {expected}"
                );
            }
            assert!(all.is_sorted(), "{from}..{to}");
        }
    }

    #[test]
    fn cores_share_one_schedule_without_gaps_or_doubles() {
        let rate = Rate { from: 10.0, to: 500.0 };
        let lane = |lane, lanes| all(Schedule::new(rate, at(0.0), Duration::from_secs(2), (lane, lanes)));
        let whole = lane(0, 1);
        let mut dealt: Vec<Moment> = (0..3).flat_map(|index| lane(index, 3)).collect();
        dealt.sort_unstable();
        assert_eq!(dealt, whole);
    }

    #[test]
    fn what_has_left_is_counted_as_it_was_meant() {
        for (from, to) in [(1000.0, 1000.0), (0.0, 300.0), (300.0, 0.0)] {
            for lane in 0..2 {
                let schedule = Schedule::new(Rate { from, to }, at(7.0), Duration::from_secs(3), (lane, 2));
                let all = all(schedule);
                for step in 0..3200 {
                    let now = at(f64::from(step));
                    let expected = all.iter().filter(|&&moment| moment <= now).count() as u64;
                    assert_eq!(schedule.count_until(now), expected, "{from}..{to}, lane {lane}, {step} ms");
                }
                for (number, moment) in all.iter().enumerate() {
                    assert_eq!(schedule.count_until(*moment), number as u64 + 1, "{from}..{to}: {number}");
                }
            }
        }
    }
}
