//! What a run found, for people and for scripts.
//!
//! [`Report`] is the JSON object, field by field: names and units are stable as long as
//! [`Report::format`] stays the same, and new fields may come. Latencies are in
//! microseconds and hold from before a request's first byte to after its answer's last.
//! The text says the same in a table, wrong answers last.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::args::Args;
use crate::stats::{Count, Kind, Latency, Tally};
use crate::workload::Mix;

/// The version of the JSON object.
const FORMAT: u32 = 1;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Something was asked, and every answer was right.
    Passed,
    /// At least one answer was wrong or did not come.
    WrongAnswers,
    /// Not one answer was right, and none was wrong.
    NothingDone,
    /// All answers were right, but connections could not be made or kept.
    Incomplete,
}

impl Conclusion {
    /// What the process says about it: 0 passed, 1 wrong answers, 2 could not run.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::WrongAnswers => 1,
            Self::NothingDone | Self::Incomplete => 2,
        }
    }
}

/// All that a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// 1; it changes when a field changes its meaning or goes.
    pub format: u32,
    /// How it ended.
    pub conclusion: Conclusion,
    /// What was asked for.
    pub config: Config,
    /// Seconds from the start to the last answer.
    pub elapsed_s: f64,
    /// Sums over all operations.
    pub totals: Totals,
    /// Totals a second.
    pub rates: Rates,
    /// One row a kind of operation, in a fixed order, also where it never happened.
    pub operations: Vec<OperationRow>,
    /// Wrong answers by kind, in alphabetical order; empty if all were right.
    pub wrong: Vec<WrongRow>,
    /// Refusals and errors of this side by kind, in alphabetical order.
    pub errors: Vec<ErrorRow>,
}

/// What a run was asked to do.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// The server.
    pub url: String,
    /// Connections, each with one request at a time.
    pub connections: u32,
    /// Generator threads.
    pub cores: u32,
    /// What their event loops were built on.
    pub driver: &'static str,
    /// Seconds that the run was to last.
    pub duration_s: f64,
    /// Bytes of a blob.
    pub size_bytes: usize,
    /// Sessions that each connection made first.
    pub sessions: u32,
    /// Parts of each operation.
    pub mix: Mix,
    /// Repeats the run's draws. A string: JSON's numbers do not hold 64 bits everywhere.
    pub seed: String,
}

/// Sums over all operations.
#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    /// Whole answers, refusals left out.
    pub answers: u64,
    /// Those as the contract has them.
    pub right: u64,
    /// Right ones so close to a deadline that their opposite would have been right too.
    pub borderline: u64,
    /// Wrong answers and lost connections.
    pub wrong: u64,
    /// Sessions removed after the run, not measured.
    pub swept: u64,
    /// Bytes of the requests that were answered.
    pub sent_bytes: u64,
    /// Bytes of the answers.
    pub received_bytes: u64,
}

/// Totals a second.
#[derive(Clone, Debug, Serialize)]
pub struct Rates {
    /// Whole answers.
    pub answers_per_s: f64,
    /// Bytes of requests.
    pub sent_bytes_per_s: f64,
    /// Bytes of answers.
    pub received_bytes_per_s: f64,
}

/// One kind of operation.
#[derive(Clone, Debug, Serialize)]
pub struct OperationRow {
    /// `create`, `read`, `update`, `delete`, `gone` or `all`.
    pub name: &'static str,
    /// Whole answers.
    pub count: u64,
    /// Whole answers a second.
    pub per_s: f64,
    /// Latencies; all 0 where there was no answer.
    pub latency_us: Percentiles,
}

/// Latencies that so many percent of the answers kept to, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Percentiles {
    /// Half of them.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p99_9: f64,
    /// All of them.
    pub max: f64,
}

/// One kind of wrong answer.
#[derive(Clone, Debug, Serialize)]
pub struct WrongRow {
    /// A stable word, such as `stale_data`.
    pub kind: &'static str,
    /// How often.
    pub count: u64,
    /// A few of them in words.
    pub examples: Vec<String>,
}

/// One kind of refusal or error.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorRow {
    /// A stable word, such as `refused_503`.
    pub kind: &'static str,
    /// How often.
    pub count: u64,
}

impl Report {
    /// The report of what `tally` counted within `elapsed`.
    pub fn new(args: &Args, seed: u64, driver: &'static str, elapsed: Duration, tally: &Tally) -> Self {
        // A run without an answer lasted no time, and nothing a second is still nothing.
        let elapsed_s = elapsed.as_secs_f64();
        let per_s = |count: u64| if elapsed_s > 0.0 { count as f64 / elapsed_s } else { 0.0 };
        let mut all = Latency::new();
        let row = |name, latency: &Latency| OperationRow {
            name,
            count: latency.count(),
            per_s: per_s(latency.count()),
            latency_us: Percentiles::of(latency),
        };
        let mut operations = Vec::with_capacity(Kind::ALL.len() + 1);
        for kind in Kind::ALL {
            all.merge(tally.latency(kind));
            operations.push(row(kind.name(), tally.latency(kind)));
        }
        operations.push(row("all", &all));
        Self {
            format: FORMAT,
            conclusion: conclude(tally),
            config: Config::of(args, seed, driver),
            elapsed_s,
            totals: Totals::of(tally, all.count()),
            rates: Rates {
                answers_per_s: per_s(all.count()),
                sent_bytes_per_s: per_s(tally.sent_bytes),
                received_bytes_per_s: per_s(tally.received_bytes),
            },
            operations,
            wrong: tally.wrong.iter().map(|(kind, wrong)| WrongRow::of(kind, wrong)).collect(),
            errors: tally.errors.iter().map(|(&kind, &count)| ErrorRow { kind, count }).collect(),
        }
    }

    /// Writes the JSON object and a newline.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes the text.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let Config { url, connections, cores, driver, size_bytes, mix, seed, .. } = &self.config;
        let Mix { read, update, create, delete } = mix;
        writeln!(out, "{url}: {connections} connections from {cores} core(s), {driver}")?;
        writeln!(
            out,
            "{size_bytes} bytes, read={read},update={update},create={create},delete={delete}, --seed {seed}, \
             {:.2} s",
            self.elapsed_s,
        )?;
        writeln!(
            out,
            "\n{:<9}{:>10}{:>11}  {:>9}{:>9}{:>9}{:>9}{:>10}",
            "", "answers", "a second", "p50 us", "p90", "p99", "p99.9", "max",
        )?;
        for row in &self.operations {
            let Percentiles { p50, p90, p99, p99_9, max } = row.latency_us;
            writeln!(
                out,
                "{:<9}{:>10}{:>11.0}  {p50:>9.1}{p90:>9.1}{p99:>9.1}{p99_9:>9.1}{max:>10.1}",
                row.name, row.count, row.per_s,
            )?;
        }
        self.write_sums(out)?;
        self.write_conclusion(out)
    }

    fn write_sums(&self, out: &mut impl Write) -> io::Result<()> {
        let megabytes = |bytes: f64| bytes / (1024.0 * 1024.0);
        let (totals, rates) = (&self.totals, &self.rates);
        writeln!(
            out,
            "\nsent {:.1} mb ({:.1} mb/s), received {:.1} mb ({:.1} mb/s); borderline {}, swept {}",
            megabytes(totals.sent_bytes as f64),
            megabytes(rates.sent_bytes_per_s),
            megabytes(totals.received_bytes as f64),
            megabytes(rates.received_bytes_per_s),
            totals.borderline,
            totals.swept,
        )?;
        for ErrorRow { kind, count } in &self.errors {
            writeln!(out, "{kind}: {count}")?;
        }
        Ok(())
    }

    fn write_conclusion(&self, out: &mut impl Write) -> io::Result<()> {
        for WrongRow { kind, count, examples } in &self.wrong {
            writeln!(out, "WRONG {kind}: {count}")?;
            for example in examples {
                writeln!(out, "  {example}")?;
            }
        }
        match self.conclusion {
            Conclusion::Passed => writeln!(out, "every answer was right"),
            Conclusion::WrongAnswers => writeln!(out, "{} WRONG", self.totals.wrong),
            Conclusion::NothingDone => writeln!(out, "nothing was done: no answer was right"),
            Conclusion::Incomplete => writeln!(out, "incomplete: connections could not be made or kept"),
        }
    }
}

impl Config {
    fn of(args: &Args, seed: u64, driver: &'static str) -> Self {
        Self {
            url: args.url.to_string(),
            connections: args.connections,
            cores: args.cores.min(args.connections),
            driver,
            duration_s: args.duration.as_secs_f64(),
            size_bytes: args.size,
            sessions: args.sessions,
            mix: args.mix,
            seed: seed.to_string(),
        }
    }
}

impl Totals {
    fn of(tally: &Tally, answers: u64) -> Self {
        let Tally { right, borderline, swept, sent_bytes, received_bytes, .. } = *tally;
        debug_assert!(borderline <= right, "borderline answers are right ones");
        Self { answers, right, borderline, wrong: tally.wrong_count(), swept, sent_bytes, received_bytes }
    }
}

impl Percentiles {
    fn of(latency: &Latency) -> Self {
        Self {
            p50: latency.at_quantile_us(0.5),
            p90: latency.at_quantile_us(0.9),
            p99: latency.at_quantile_us(0.99),
            p99_9: latency.at_quantile_us(0.999),
            max: latency.max_us(),
        }
    }
}

impl WrongRow {
    fn of(kind: &'static str, wrong: &Count) -> Self {
        Self { kind, count: wrong.count, examples: wrong.examples.clone() }
    }
}

fn conclude(tally: &Tally) -> Conclusion {
    if tally.wrong_count() > 0 {
        Conclusion::WrongAnswers
    } else if tally.right == 0 {
        Conclusion::NothingDone
    } else if tally.errors.contains_key("connections_given_up") {
        Conclusion::Incomplete
    } else {
        Conclusion::Passed
    }
}

#[cfg(test)]
mod tests;
