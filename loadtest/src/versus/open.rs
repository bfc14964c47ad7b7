//! What an open loop tells beside what every comparison does: tails that nobody slows down.
//!
//! Each contender gets requests at the same rate, whatever it answers, and a latency counts
//! from the moment that its request was meant to leave (see [`crate::pace`]). What no
//! connection came free for is dropped and counts with the time that it waited. Reads stand
//! apart too: a change may wait for a disk by promise. Pure.

use std::io::{self, Write};

use serde::Serialize;

use crate::effort::{Advice, Effort, Generator};
use crate::stats::{Kind, Latency, Percentiles, Tally};
use crate::versus::figures::{Comparison, Round, Row, Spread};

/// What can be done about a load that is in its own way.
const ADVICE: Advice = Advice {
    late: "give the load a CPU of its own (--load-cpu) or ask for a lower --rate",
    busy: "ask for a lower --rate",
    crowded: "keep others off the load's CPU (--load-cpu)",
};

/// A turn's figures beside those of every turn.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Open {
    /// Latencies of all answers, counted from when their requests were meant to leave.
    pub latency_us: Percentiles,
    /// The same, counted from when their requests left: what they would have
    /// looked like to a load that waits for the server. What was dropped is not among them.
    pub service_us: Percentiles,
    /// Those of reads alone, counted from when they were meant to leave; none without a read.
    pub read_us: Option<Percentiles>,
    /// Requests that never left, because no connection came free in time. They are among all
    /// latencies with the time that they had waited, and among no operation's.
    pub dropped: u64,
    /// What the load itself took, how late its requests left, and why the turn is no measurement,
    /// if it is none.
    pub generator: Generator,
}

impl Open {
    /// The figures of a turn that counted this and took the load's thread so much; `latency` is of
    /// all that was to be answered.
    pub fn new(latency: &Latency, tally: &Tally, effort: Effort) -> Self {
        let mut service = Latency::new();
        Kind::ALL.into_iter().for_each(|kind| service.merge(tally.service(kind)));
        let read = tally.latency(Kind::Read);
        debug_assert_eq!(service.count(), tally.answer_count(), "an answer counts in both ways");
        Self {
            latency_us: Percentiles::of(latency),
            service_us: Percentiles::of(&service),
            read_us: (read.count() > 0).then(|| Percentiles::of(read)),
            dropped: tally.dropped.count(),
            generator: Generator::new(&[effort], tally.answer_count(), Some(&tally.lag), ADVICE),
        }
    }
}

/// How one contender's percentiles spread over the rounds, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Tails {
    /// What half of a round's answers kept to.
    pub p50: Spread,
    /// 99 %.
    pub p99: Spread,
    /// 99.9 %.
    pub p99_9: Spread,
    /// All of them.
    pub max: Spread,
}

impl Tails {
    fn of(rounds: &[Percentiles]) -> Option<Self> {
        let spread = |value: fn(&Percentiles) -> f64| Spread::of(rounds.iter().map(value));
        Some(Self {
            p50: spread(|round| round.p50)?,
            p99: spread(|round| round.p99)?,
            p99_9: spread(|round| round.p99_9)?,
            max: spread(|round| round.max)?,
        })
    }

    /// The percentiles in their order.
    pub const fn spreads(&self) -> [Spread; 4] {
        [self.p50, self.p99, self.p99_9, self.max]
    }
}

/// One contender over all rounds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OpenRow {
    /// Latencies of all answers, counted from when their requests were meant to leave.
    pub latency_us: Tails,
    /// Reads alone; none without a read in any round.
    pub read_us: Option<Tails>,
    /// All answers, counted from when their requests left.
    pub service_us: Tails,
    /// What 99 % of the requests left no later than, as long as a connection was free.
    pub lag_p99_us: Option<Spread>,
    /// 99.9 % of them.
    pub lag_p99_9_us: Option<Spread>,
    /// Requests that never left, in all rounds together.
    pub dropped: u64,
}

impl OpenRow {
    /// Those of these rounds; none of a closed loop, or of no round.
    pub fn of(rounds: &[Round]) -> Option<Self> {
        let opens: Vec<&Open> = rounds.iter().filter_map(|round| round.open.as_ref()).collect();
        let tails = |value: fn(&Open) -> Option<Percentiles>| {
            Tails::of(&opens.iter().filter_map(|open| value(open)).collect::<Vec<_>>())
        };
        let lags = || opens.iter().filter_map(|open| open.generator.lag_us);
        Some(Self {
            latency_us: tails(|open| Some(open.latency_us))?,
            read_us: tails(|open| open.read_us),
            service_us: tails(|open| Some(open.service_us))?,
            lag_p99_us: Spread::of(lags().map(|lag| lag.p99)),
            lag_p99_9_us: Spread::of(lags().map(|lag| lag.p99_9)),
            dropped: opens.iter().map(|open| open.dropped).sum(),
        })
    }

    /// Whether more than half of what 99 % of the answers kept to may be the load's own lateness.
    fn is_late(&self) -> bool {
        self.lag_p99_us.is_some_and(|lag| 2.0 * lag.median > self.latency_us.p99.median)
    }
}

/// In how many rounds of an open loop the load was the bottleneck and why, in words; none if it never was.
pub fn limited(rounds: &[Round]) -> Option<String> {
    let opens = rounds.iter().filter_map(|round| round.open.as_ref());
    let mut reasons = opens.filter_map(|open| open.generator.limited.as_ref());
    let first = reasons.next()?;
    Some(format!("in {} of {} rounds, at first because {first}", reasons.count() + 1, rounds.len()))
}

/// Whether the load waited for its CPU in more than half of the rounds.
pub fn is_disturbed(rounds: &[Round]) -> bool {
    let opens = rounds.iter().filter_map(|round| round.open.as_ref());
    opens.filter(|open| open.generator.disturbed.is_some()).count() * 2 > rounds.len()
}

impl Comparison {
    /// The rows that have figures of an open loop.
    pub fn open_rows(&self) -> impl Iterator<Item = (&Row, &OpenRow)> {
        self.rows.iter().filter_map(|row| Some((row, row.open.as_ref()?)))
    }

    /// Writes how the tails spread; nothing where nobody has any.
    pub(super) fn write_tails(&self, out: &mut impl Write) -> io::Result<()> {
        if self.open_rows().next().is_none() {
            return Ok(());
        }
        writeln!(
            out,
            "\nus from when a request was meant to leave, minimum / median / maximum over the rounds"
        )?;
        write!(out, "{:<11}", "all")?;
        write_heads(out)?;
        writeln!(out, "{:>12}{:>12}", "late p99", "late p99.9")?;
        for (row, open) in self.open_rows() {
            write!(out, "{:<11}", row.name)?;
            write_spreads(out, &open.latency_us)?;
            for lag in [open.lag_p99_us, open.lag_p99_9_us] {
                write!(out, "{:>12.0}", lag.map(|spread| spread.median).unwrap_or_default())?;
            }
            writeln!(out, "{}", if row.limited.is_some() { "  INVALID" } else { "" })?;
        }
        write!(out, "{:<11}", "reads")?;
        write_heads(out)?;
        writeln!(out)?;
        for (row, read_us) in self.open_rows().filter_map(|(row, open)| Some((row, open.read_us?))) {
            write!(out, "{:<11}", row.name)?;
            write_spreads(out, &read_us)?;
            writeln!(out)?;
        }
        writeln!(out, "\nlate: how much later than meant requests left although a connection was free")?;
        for (Row { name, .. }, open) in self.open_rows() {
            if open.dropped > 0 {
                let dropped = open.dropped;
                writeln!(
                    out,
                    "{name}: {dropped} dropped, no connection free in time: counted with the time they had waited"
                )?;
            }
            if open.is_late() {
                writeln!(out, "{name}: more than half of its p99 may be how late the load itself was")?;
            }
        }
        Ok(())
    }
}

fn write_heads(out: &mut impl Write) -> io::Result<()> {
    write!(out, "{:>26}{:>26}{:>26}{:>26}", "p50", "p99", "p99.9", "max")
}

fn write_spreads(out: &mut impl Write, tails: &Tails) -> io::Result<()> {
    for Spread { median, min, max } in tails.spreads() {
        debug_assert!(min <= median && median <= max, "a median lies between");
        write!(out, "{:>26}", format!("{min:.0} / {median:.0} / {max:.0}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::clock::{Moment, Span};
    use crate::versus::figures::tests::{comparison, open_row, row};

    const MILLI: Duration = Duration::from_millis(1);

    fn text(compared: &Comparison) -> String {
        let mut out = Vec::new();
        compared.write_text(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_turn_tells_what_was_meant_what_left_and_what_did_not() {
        let mut tally = Tally::default();
        let sent = Moment::after_start(MILLI * 20);
        let span = Span { sent, received: sent.after(MILLI) };
        tally.answer(Kind::Read, span, Some(sent.before(MILLI * 2)));
        tally.answer(Kind::Delete, span, Some(sent.before(MILLI * 9)));
        tally.drop_one(MILLI * 1500);
        let mut latency = tally.latency(Kind::Read).clone();
        latency.merge(tally.latency(Kind::Delete));
        latency.merge(&tally.dropped);
        let open = Open::new(&latency, &tally, Effort::default());
        let is_about = |us: f64, expected: f64| (us / expected - 1.0).abs() < 0.002;
        assert!(
            is_about(open.latency_us.max, 1_500_000.0) && is_about(open.service_us.max, 1000.0),
            "{open:?}"
        );
        assert!(open.read_us.is_some_and(|read| is_about(read.max, 3000.0)), "{open:?}");
        assert_eq!(open.dropped, 1);
        let unread = Open::new(&latency, &Tally::default(), Effort::default());
        assert_eq!(unread.read_us, None);
    }

    #[test]
    fn tails_spread_over_the_rounds() {
        let compared = comparison(vec![open_row("raw", &[300, 100, 200])]);
        let (_, open) = compared.open_rows().next().unwrap();
        let [p50, .., max] = open.latency_us.spreads();
        assert_eq!((p50.min.round(), p50.median.round(), p50.max.round()), (100.0, 200.0, 300.0));
        assert!(max.max >= p50.max && open.service_us.p50.max < p50.min, "{open:?}");
        let text = text(&compared);
        assert!(text.contains("open loop at 1000/s;") && text.contains("100 / 200 / 300"), "{text}");
        assert!(text.contains("\nreads ") && !text.contains("closed loop"), "{text}");
        assert!(!text.contains("INVALID") && !text.contains("dropped"), "{text}");
        assert!(!compared.disturbed && compared.exit_code(false) == 0, "idle CPUs are no sign here");
    }

    #[test]
    fn a_load_that_was_the_bottleneck_marks_its_row_and_the_exit_code() {
        let mut compared = comparison(vec![open_row("raw", &[100]), open_row("redis", &[100, 200, 300])]);
        let late = Generator {
            limited: Some("it was late".to_owned()),
            ..compared.rows[1].rounds[0].open.clone().unwrap().generator
        };
        for round in &mut compared.rows[1].rounds[1..] {
            round.open.as_mut().unwrap().generator = late.clone();
            round.open.as_mut().unwrap().dropped = 4;
        }
        compared = comparison(compared.rows);
        let text = text(&compared);
        assert!(text.contains("\nredis: INVALID in 2 of 3 rounds, at first because it was late\n"), "{text}");
        assert!(text.contains("\nredis: 8 dropped") && !text.contains("raw: INVALID"), "{text}");
        let marked: Vec<&str> = text.lines().filter(|line| line.ends_with("  INVALID")).collect();
        assert!(matches!(marked[..], [line] if line.starts_with("redis ")), "{text}");
        assert_eq!((compared.exit_code(false), compared.exit_code(true)), (2, 0));
    }

    #[test]
    fn a_load_whose_own_lateness_makes_the_tail_is_told_of() {
        let mut compared = comparison(vec![open_row("raw", &[300])]);
        for (late_us, is_told) in [(140.0, false), (160.0, true)] {
            let lag =
                Percentiles { p99: late_us, ..compared.rows[0].rounds[0].open.as_ref().unwrap().service_us };
            compared.rows[0].rounds[0].open.as_mut().unwrap().generator.lag_us = Some(lag);
            compared = comparison(compared.rows);
            assert_eq!(text(&compared).contains("raw: more than half of its p99"), is_told, "{late_us}");
        }
    }

    #[test]
    fn a_load_that_waited_for_its_cpu_in_most_rounds_is_told() {
        let mut row = open_row("raw", &[100, 100, 100]);
        for (number, disturbed) in [(0, false), (1, true), (2, true)] {
            assert!(!is_disturbed(&row.rounds), "round {number}");
            let reason = disturbed.then(|| "it waited".to_owned());
            row.rounds[number].open.as_mut().unwrap().generator.disturbed = reason;
        }
        assert!(is_disturbed(&row.rounds));
        assert!(comparison(vec![row]).disturbed);
    }

    #[test]
    fn a_closed_loop_has_no_such_figures() {
        let compared = comparison(vec![row("raw", &[5, 4])]);
        assert!(compared.rows[0].open.is_none() && !compared.is_limited());
        assert!(!text(&compared).contains("meant to leave"));
    }
}
