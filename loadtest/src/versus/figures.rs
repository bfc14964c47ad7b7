//! What a comparison found, for people and for scripts.
//!
//! [`Comparison`] is the JSON object, field by field: names and units are stable as long as
//! [`Comparison::format`] stays the same. A ratio is taken within a round, so that what
//! disturbs the machine for a while disturbs both of its sides; then come its median,
//! smallest and largest. Pure: everything that is measured is handed in.

use std::io::{self, Write};

use serde::Serialize;

use crate::pace::Rate;
use crate::spectrum::Spectrum;
use crate::versus::closed;
use crate::versus::load::Measured;
use crate::versus::open::{self, Open, OpenRow};
use crate::workload::Mix;

/// The version of the JSON object.
const FORMAT: u32 = 1;

/// The contender that ratios are to.
pub const FLOOR: &str = "raw";

/// Where neither side of a closed loop is on its CPU for so much of a turn, others were.
const BUSY_MIN: f64 = 0.8;

/// A smallest, a median and a largest value.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Spread {
    /// Half are not above it.
    pub median: f64,
    /// The smallest. `min <= median`
    pub min: f64,
    /// The largest. `median <= max`
    pub max: f64,
}

impl Spread {
    /// The spread of these values; none of no values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let (lower, upper) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        let median = f64::midpoint(lower, upper);
        debug_assert!(min <= median && median <= max, "a median lies between");
        Some(Self { median, min, max })
    }
}

/// One contender's turn in one round.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Round {
    /// Which round, from 0.
    pub number: u32,
    /// Whole answers.
    pub answers: u64,
    /// CPU time of the server a request, in microseconds.
    pub cpu_us: f64,
    /// That, divided by the raw loop's in the same round; none where that has none or did other work.
    pub ratio: Option<f64>,
    /// Answers a second.
    pub per_s: f64,
    /// Latencies that so many percent of the answers kept to, in microseconds: from when requests
    /// left, in an open loop from when they were meant to.
    pub p50_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p99_9_us: f64,
    /// The share of the time that the server was on its CPU.
    pub server_busy: f64,
    /// The share of the time that the load was on its CPU.
    pub load_busy: f64,
    /// What there is to tell of an open loop; absent in a closed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<Open>,
}

impl Round {
    /// The figures of a turn; none if nothing was answered.
    pub fn new(number: u32, measured: &Measured) -> Option<Self> {
        let answers = measured.tally.answer_count();
        let elapsed_s = measured.elapsed.as_secs_f64();
        debug_assert!(elapsed_s > 0.0 || answers == 0, "answers take time");
        if answers == 0 || elapsed_s <= 0.0 {
            return None;
        }
        let latencies = measured.latencies();
        let at = |quantile| latencies.at_quantile_us(quantile);
        Some(Self {
            number,
            answers,
            cpu_us: measured.server.as_secs_f64() * 1e6 / answers as f64,
            ratio: None,
            per_s: answers as f64 / elapsed_s,
            p50_us: at(0.5),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            server_busy: measured.server.as_secs_f64() / elapsed_s,
            load_busy: measured.load.as_secs_f64() / elapsed_s,
            open: measured.effort.map(|effort| Open::new(&latencies, &measured.tally, effort)),
        })
    }
}

/// One contender.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The version that its program told, if it did.
    pub version: String,
    /// What it does with the workload.
    pub note: &'static str,
    /// Whether it gets reads whatever the mix is: then it has ratios only to a mix of reads.
    pub reads_only: bool,
    /// Flags beyond those that it is always started with.
    pub flags: Vec<String>,
    /// What it failed with, if it did; its rounds up to then are kept.
    pub failed: Option<String>,
    /// CPU time of the server a request, in microseconds, over the rounds.
    pub cpu_us: Option<Spread>,
    /// The ratios over the rounds.
    pub ratio: Option<Spread>,
    /// Answers a second, over the rounds.
    pub per_s: Option<Spread>,
    /// The tails of an open loop, over the rounds; absent in a closed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenRow>,
    /// Why the load was the bottleneck, in words; none if it was not.
    pub limited: Option<String>,
    /// The longest latency of all rounds, in microseconds; 0 without an answer.
    pub max_us: f64,
    /// The curve of all rounds' latencies: a list of `[percentile, microseconds]`.
    pub spectrum_us: Spectrum,
    /// The rounds' figures, in their order.
    pub rounds: Vec<Round>,
}

/// A contender that takes no part, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Skipped {
    /// Its name.
    pub name: &'static str,
    /// Why it takes no part.
    pub reason: String,
    /// Whether it was there and did not start.
    pub failed: bool,
}

/// Where a comparison took place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Machine {
    /// The CPUs' name.
    pub cpu: String,
    /// How many there are.
    pub cpus: usize,
    /// The kernel's version.
    pub kernel: String,
    /// The CPU that the servers were pinned to; none if they could not be.
    pub server_cpu: Option<u32>,
    /// The CPU that the load was pinned to; none if it could not be.
    pub load_cpu: Option<u32>,
    /// What the load's event loop was built on.
    pub driver: &'static str,
    /// Whether this program was built without optimisation, and its figures mean nothing.
    pub debug_build: bool,
}

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Config {
    /// Rounds.
    pub rounds: u32,
    /// Seconds that each turn was measured.
    pub round_duration_s: f64,
    /// Connections, each with one request at a time.
    pub connections: u32,
    /// Sessions that each of them made first.
    pub sessions: u32,
    /// Bytes of a session's data.
    pub size_bytes: usize,
    /// `closed`: requests leave when answers come. `open`: requests leave at a rate.
    pub load: &'static str,
    /// The open loop's rate.
    pub rate: Option<Rate>,
    /// Parts of each operation.
    pub mix: Mix,
    /// Seconds that bots' sessions live.
    pub short_ttl_s: u32,
}

/// All that a comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// 1; it changes when a field changes its meaning or goes.
    pub format: u32,
    /// The command that made it.
    pub command: String,
    /// Where.
    pub machine: Machine,
    /// What was asked for.
    pub config: Config,
    /// Whether other programs had the CPUs for a good part of the turns: then a time says little,
    /// and a ratio only as much as its spread.
    pub disturbed: bool,
    /// Rounds that every contender had its turn in; fewer than asked for after an interrupt.
    pub rounds: u32,
    /// The contenders, the floor first.
    pub rows: Vec<Row>,
    /// Those who take no part.
    pub skipped: Vec<Skipped>,
}

impl Comparison {
    /// The comparison of these rows, whose rounds have no ratios yet.
    pub fn new(command: String, machine: Machine, config: Config, mut rows: Vec<Row>) -> Self {
        let floor = rows.iter().find(|row| row.name == FLOOR);
        let floor: Vec<(u32, f64)> = floor
            .map(|row| row.rounds.iter().map(|round| (round.number, round.cpu_us)).collect())
            .unwrap_or_default();
        for row in &mut rows {
            let is_alike = !row.reads_only || config.mix.is_reads_only();
            for round in row.rounds.iter_mut().filter(|_| is_alike) {
                let below = floor.iter().find(|&&(number, cpu_us)| number == round.number && cpu_us > 0.0);
                round.ratio = below.map(|&(_, cpu_us)| round.cpu_us / cpu_us);
            }
            row.cpu_us = Spread::of(row.rounds.iter().map(|round| round.cpu_us));
            row.ratio = Spread::of(row.rounds.iter().filter_map(|round| round.ratio));
            row.per_s = Spread::of(row.rounds.iter().map(|round| round.per_s));
            row.open = OpenRow::of(&row.rounds);
            row.limited =
                open::limited(&row.rounds).or_else(|| closed::limit(&row.rounds, config.round_duration_s));
        }
        let whole = rows.iter().filter(|row| row.failed.is_none()).map(|row| row.rounds.len()).min();
        let rounds = whole.unwrap_or(0) as u32;
        debug_assert!(rounds <= config.rounds, "nobody had more turns than there were rounds");
        let disturbed = rows.iter().any(Row::is_disturbed);
        Self { format: FORMAT, command, machine, config, disturbed, rounds, rows, skipped: Vec::new() }
    }

    /// What the process says about it: 0 all answered right, 1 one failed, 2 nothing was measured, or
    /// the load was the bottleneck where that is not allowed.
    pub fn exit_code(&self, allow_limited: bool) -> u8 {
        let failed = self.rows.iter().any(|row| row.failed.is_some());
        if failed || self.skipped.iter().any(|skipped| skipped.failed) {
            1
        } else if self.rounds == 0 || (self.is_limited() && !allow_limited) {
            2
        } else {
            0
        }
    }

    /// Writes the JSON object and a newline.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    /// Writes the text.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_heading(out)?;
        writeln!(
            out,
            "{:<11}{:<9}{:>7}  {:<22}{:>9}{:>9}{:>9}{:>9}{:>7}{:>7}",
            "",
            "version",
            "CPU us",
            "x raw (min to max)",
            "answers/s",
            "p50 us",
            "p99",
            "p99.9",
            "server",
            "load",
        )?;
        for row in &self.rows {
            row.write_text(out)?;
        }
        if self.config.rate.is_none() {
            writeln!(out, "\nlatencies are of a closed loop: a stall is met by few requests")?;
        }
        self.write_tails(out)?;
        for Row { name, .. } in self.rows.iter().filter(|row| self.is_unlike_floor(row)) {
            writeln!(out, "{name} gets reads only, so it has no ratio to the raw loop under this mix")?;
        }
        if self.disturbed {
            writeln!(
                out,
                "\nother programs used these CPUs: trust no single time, and ratios by their spread"
            )?;
        }
        writeln!(out)?;
        for Row { name, note, flags, .. } in &self.rows {
            let flags = if flags.is_empty() { String::new() } else { format!("; {}", flags.join(" ")) };
            writeln!(out, "{name}: {note}{flags}")?;
        }
        for Skipped { name, reason, .. } in &self.skipped {
            writeln!(out, "{name}: takes no part: {reason}")?;
        }
        for Row { name, failed, limited, .. } in &self.rows {
            if let Some(reason) = limited {
                writeln!(out, "{name}: INVALID {reason}")?;
            }
            if let Some(reason) = failed {
                writeln!(out, "{name}: FAILED: {reason}")?;
            }
        }
        Ok(())
    }

    /// Whether the load was the bottleneck somewhere.
    pub fn is_limited(&self) -> bool {
        self.rows.iter().any(|row| row.limited.is_some())
    }

    /// Whether a row did other work than the floor that it could be divided by.
    pub fn is_unlike_floor(&self, row: &Row) -> bool {
        row.reads_only && !self.config.mix.is_reads_only()
    }

    fn write_heading(&self, out: &mut impl Write) -> io::Result<()> {
        let Config { round_duration_s, connections, size_bytes, mix, short_ttl_s, rate, .. } = self.config;
        let Mix { read, update, create, delete, bot } = mix;
        let bots = if bot > 0 { format!(",bot={bot} with a TTL of {short_ttl_s} s") } else { String::new() };
        let load = rate.map(|rate| format!("; open loop at {rate}")).unwrap_or_default();
        writeln!(out, "$ {}", self.command)?;
        writeln!(out, "{}", self.machine.line())?;
        writeln!(
            out,
            "{} rounds of {round_duration_s} s, {connections} connections, {size_bytes} bytes, \
             read={read},update={update},create={create},delete={delete}{bots}{load}; medians over the rounds\n",
            self.rounds,
        )
    }
}

impl Row {
    /// Whether, in the middle of its rounds, neither the server nor the load had its CPU to itself. At a
    /// rate both are idle now and then: there, whether the load waited for its CPU.
    fn is_disturbed(&self) -> bool {
        if self.open.is_some() {
            return open::is_disturbed(&self.rounds);
        }
        let busier = self.rounds.iter().map(|round| round.server_busy.max(round.load_busy));
        Spread::of(busier).is_some_and(|spread| spread.median < BUSY_MIN)
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let Self { name, version, rounds, .. } = self;
        let median =
            |value: fn(&Round) -> f64| Spread::of(rounds.iter().map(value)).map(|spread| spread.median);
        let Some(cpu_us) = median(|round| round.cpu_us) else {
            return writeln!(out, "{name:<11}{version:<9}      -");
        };
        let ratio = self.ratio.map_or_else(
            || "-".to_owned(),
            |Spread { median, min, max }| format!("{median:.2} ({min:.2} to {max:.2})"),
        );
        let figure = |value| median(value).unwrap_or_default();
        writeln!(
            out,
            "{name:<11}{version:<9}{cpu_us:>7.2}  {ratio:<22}{:>9.0}{:>9.0}{:>9.0}{:>9.0}{:>6.0}%{:>6.0}%",
            figure(|round| round.per_s),
            figure(|round| round.p50_us),
            figure(|round| round.p99_us),
            figure(|round| round.p99_9_us),
            figure(|round| round.server_busy * 100.0),
            figure(|round| round.load_busy * 100.0),
        )
    }
}

impl Machine {
    /// The machine in a line.
    pub fn line(&self) -> String {
        let Self { cpu, cpus, kernel, server_cpu, load_cpu, driver, debug_build } = self;
        let place =
            |cpu: &Option<u32>| cpu.map_or_else(|| "unpinned".to_owned(), |cpu| format!("on CPU {cpu}"));
        let build = if *debug_build { "; A DEBUG BUILD: the figures mean nothing" } else { "" };
        format!(
            "{cpus} x {cpu}, Linux {kernel}; servers {}, load {} by {driver}{build}",
            place(server_cpu),
            place(load_cpu),
        )
    }
}

#[cfg(test)]
pub(super) mod tests;
