//! What the generator itself took, and whether it was the bottleneck.
//!
//! A generator that is out of CPU measures itself: in a closed loop the rate is its own
//! ceiling, in an open loop requests leave late and answers are seen late. Then the run is
//! declared invalid, with the reason, instead of being believed.

use std::time::Duration;

use serde::Serialize;

use crate::core::Mark;
use crate::stats::{Latency, Percentiles};

/// A core that was busy for more of the time than this had no time left.
const CPU_SHARE_MAX: f64 = 0.97;

/// In an open loop already this much makes answers wait before they are seen.
const OPEN_CPU_SHARE_MAX: f64 = 0.9;

/// One request in a hundred may leave this much later than it was meant to, and no more.
const LAG_P99_MAX_US: f64 = 2000.0;

/// A shorter run has too few marks of the clock to be judged by.
pub const JUDGED_MIN: Duration = Duration::from_secs(1);

/// A core that waited for its CPU for more of the time than this shares it with somebody.
const CPU_WAIT_SHARE_MAX: f64 = 0.1;

/// What can be done about a generator that is in its own way: the flags differ by the command.
#[derive(Clone, Copy, Debug)]
pub struct Advice {
    /// Where requests leave late.
    pub late: &'static str,
    /// Where it has no CPU time left.
    pub busy: &'static str,
    /// Where it waits for its CPU.
    pub crowded: &'static str,
}

impl Advice {
    /// For a run on one server.
    pub const RUN: Self = Self {
        late: "give the generator a CPU of its own (--pin) or more --cores",
        busy: "give it more --cores",
        crowded: "keep others off its CPUs (--pin)",
    };
}

/// What one core took while it loaded.
#[derive(Clone, Copy, Default, Debug)]
pub struct Effort {
    /// How long it loaded.
    pub elapsed: Duration,
    /// The CPU time that it used. `cpu <= elapsed`, but for the clocks' grain
    pub cpu: Duration,
    /// How long it was ready to run and had no CPU.
    pub waited: Duration,
}

/// What the generator took, as reports have it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Generator {
    /// The share of the time that its busiest core was busy, 0 to 1.
    pub cpu_share: f64,
    /// The share of the time that a core at most was ready and had no CPU, 0 to 1.
    pub cpu_wait_share: f64,
    /// CPU time of all cores an answer, in microseconds.
    pub cpu_us_per_answer: f64,
    /// How much later than meant requests left, or were dropped, although a connection was free, in
    /// an open loop.
    pub lag_us: Option<Percentiles>,
    /// Why the run is no measurement of the server, if it is none.
    pub limited: Option<String>,
    /// What makes it a worse one than it could be, if anything.
    pub disturbed: Option<String>,
}

impl Effort {
    /// What was used up between two marks.
    pub fn between(started: &Mark, ended: &Mark) -> Self {
        Self {
            elapsed: ended.at.since(started.at),
            cpu: ended.cpu.saturating_sub(started.cpu),
            waited: ended.waited.saturating_sub(started.waited),
        }
    }

    fn share(&self, part: Duration) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { part.as_secs_f64() / self.elapsed.as_secs_f64() }
    }
}

impl Generator {
    /// What all cores took for so many answers; `lag` is of an open loop.
    pub fn new(efforts: &[Effort], answers: u64, lag: Option<&Latency>, advice: Advice) -> Self {
        let most = |share: fn(&Effort) -> f64| efforts.iter().map(share).fold(0.0, f64::max);
        let cpu: Duration = efforts.iter().map(|effort| effort.cpu).sum();
        let cpu_us = cpu.as_secs_f64() * 1e6;
        let mut generator = Self {
            cpu_share: most(|effort| effort.share(effort.cpu)),
            cpu_wait_share: most(|effort| effort.share(effort.waited)),
            cpu_us_per_answer: if answers > 0 { cpu_us / answers as f64 } else { 0.0 },
            lag_us: lag.map(Percentiles::of),
            limited: None,
            disturbed: None,
        };
        debug_assert!(generator.cpu_share >= 0.0, "a share is not negative");
        if efforts.iter().any(|effort| effort.elapsed >= JUDGED_MIN) {
            generator.limited = generator.limit(advice);
            generator.disturbed = generator.disturbance(advice);
        }
        generator
    }

    fn limit(&self, advice: Advice) -> Option<String> {
        let percent = self.cpu_share * 100.0;
        let lag_us = self.lag_us.map(|lag| lag.p99).unwrap_or_default();
        if lag_us > LAG_P99_MAX_US {
            return Some(format!(
                "one request in a hundred left {:.1} ms late or more although a connection was free; {}",
                lag_us / 1000.0,
                advice.late,
            ));
        }
        let most = if self.lag_us.is_some() { OPEN_CPU_SHARE_MAX } else { CPU_SHARE_MAX };
        (self.cpu_share > most).then(|| {
            format!(
                "a core of the generator was busy {percent:.0} % of the time, so the figures are its own, \
                 not the server's; {}",
                advice.busy,
            )
        })
    }

    fn disturbance(&self, advice: Advice) -> Option<String> {
        (self.cpu_wait_share > CPU_WAIT_SHARE_MAX).then(|| {
            format!(
                "a core of the generator waited for its CPU {:.0} % of the time; \
                 latencies are longer and a closed loop is slower by that; {}",
                self.cpu_wait_share * 100.0,
                advice.crowded,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(elapsed_ms: u64, cpu_ms: u64, waited_ms: u64) -> Effort {
        let [elapsed, cpu, waited] = [elapsed_ms, cpu_ms, waited_ms].map(Duration::from_millis);
        Effort { elapsed, cpu, waited }
    }

    fn lag(millis: u64) -> Latency {
        let mut lag = Latency::new();
        lag.record(Duration::from_millis(millis));
        lag
    }

    #[test]
    fn a_generator_out_of_cpu_limits_the_run() {
        let closed =
            |cpu| Generator::new(&[effort(2000, 100, 0), effort(2000, cpu, 0)], 10, None, Advice::RUN);
        assert!(closed(1900).limited.is_none());
        let limited = closed(1960).limited.expect("98 % is too much");
        assert!(limited.contains("98 %") && limited.contains("--cores"), "{limited}");
    }

    #[test]
    fn an_open_loop_needs_more_room_and_must_be_on_time() {
        let open = |cpu, millis| {
            Generator::new(&[effort(2000, cpu, 0)], 10, Some(&lag(millis)), Advice::RUN).limited
        };
        assert!(open(1700, 1).is_none());
        assert!(open(1850, 1).is_some(), "92 % busy");
        assert!(open(100, 3).is_some_and(|reason| reason.contains("3.0 ms late")));
    }

    #[test]
    fn a_core_that_shares_its_cpu_is_told_of_and_no_more() {
        let generator = Generator::new(&[effort(2000, 1000, 400)], 10, None, Advice::RUN);
        assert!(generator.limited.is_none());
        assert!(generator.disturbed.is_some_and(|reason| reason.contains("20 %")));
    }

    #[test]
    fn a_run_too_short_to_be_judged_is_not() {
        let generator = Generator::new(&[effort(500, 500, 500)], 1000, None, Advice::RUN);
        assert!(generator.limited.is_none() && generator.disturbed.is_none());
        assert_eq!((generator.cpu_share, generator.cpu_us_per_answer), (1.0, 500.0));
        assert_eq!(Generator::new(&[], 0, None, Advice::RUN).cpu_us_per_answer, 0.0);
    }
}
