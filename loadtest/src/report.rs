//! What a run found, for people and for scripts.
//!
//! [`Report`] is the JSON object, field by field: names and units are stable as long as
//! [`Report::format`] stays the same, and new fields may come. Latencies are in
//! microseconds and hold to after an answer's last byte: in a closed loop from before its
//! request's first byte, in an open loop from the moment that the request was meant to leave.
//! `text` says the same for people, `html` with charts.

mod charts;
mod conclusion;
mod html;
mod text;

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::args::{Args, CpuList};
use crate::clock::{Clock, UnixMillis};
use crate::effort::Generator;
use crate::host::Host;
use crate::pace::Rate;
use crate::scrape::ServerSide;
use crate::series::Row;
use crate::spectrum::Spectrum;
use crate::stats::{Count, Kind, Latency, Percentiles, Tally};
use crate::workload::Mix;

pub use conclusion::Conclusion;
use conclusion::conclude;

/// The version of the JSON object.
const FORMAT: u32 = 1;

/// All that a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// 1; it changes when a field changes its meaning or goes.
    pub format: u32,
    /// The version of the program that made it.
    pub version: &'static str,
    /// How it ended.
    pub conclusion: Conclusion,
    /// When measuring began, in milliseconds since 1970; none if it never did.
    pub started_unix_ms: Option<UnixMillis>,
    /// The machine that loaded.
    pub host: Host,
    /// What was asked for.
    pub config: Config,
    /// Seconds from the start of measuring to the last answer or refusal.
    pub elapsed_s: f64,
    /// Sums over all operations.
    pub totals: Totals,
    /// Totals a second.
    pub rates: Rates,
    /// One row a kind of operation, in a fixed order, also where it never happened; that of the
    /// connections only where some were made anew. `all` is the last one.
    pub operations: Vec<OperationRow>,
    /// Wrong answers by kind, in alphabetical order; empty if all were right.
    pub wrong: Vec<WrongRow>,
    /// Refusals and errors of this side by kind, in alphabetical order.
    pub errors: Vec<ErrorRow>,
    /// What the generator itself took, and why the run is no measurement, if it is none.
    pub generator: Generator,
    /// What the server says of itself; none where its admin listener was not to be reached.
    pub server: Option<ServerSide>,
    /// The load second by second, the making of the sessions and the sweep left out.
    pub series: Vec<Row>,
    /// Why the log of the latencies is not whole, if one was asked for and is not.
    #[serde(skip)]
    pub log_error: Option<String>,
}

/// What a run's threads found.
#[derive(Debug)]
pub struct Found {
    /// The run's seed.
    pub seed: u64,
    /// The run's clock.
    pub clock: Clock,
    /// The machine that loaded.
    pub host: Host,
    /// What the event loops were built on.
    pub driver: &'static str,
    /// All cores' counts.
    pub tally: Tally,
    /// What the generator took.
    pub generator: Generator,
    /// What the server says.
    pub server: Option<ServerSide>,
    /// The seconds of the load.
    pub series: Vec<Row>,
    /// Why the log of the latencies is not whole, if one was asked for and is not.
    pub log_error: Option<String>,
}

/// What a run was asked to do.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// The server.
    pub url: String,
    /// The named workload, if one was asked for.
    pub profile: Option<String>,
    /// Connections.
    pub connections: u32,
    /// Generator threads.
    pub cores: u32,
    /// What their event loops were built on.
    pub driver: &'static str,
    /// Seconds that the run was to last.
    pub duration_s: f64,
    /// `closed`: requests leave when answers come. `open`: requests leave at a rate.
    pub load: &'static str,
    /// The open loop's rate.
    pub rate: Option<Rate>,
    /// Requests that leave together on a connection.
    pub pipeline: u32,
    /// Bytes of the longest blob.
    pub size_bytes: usize,
    /// The law of the blobs' sizes, as `--size` takes it.
    pub size: String,
    /// The exponent of Zipf's law over the users.
    pub zipf: f64,
    /// Sessions a connection that were made first.
    pub sessions: u32,
    /// Parts of each operation.
    pub mix: Mix,
    /// Of a hundred sessions made for users, those left behind with a short TTL.
    pub abandoned_percent: u32,
    /// Of a hundred operations, those on sessions that other connections change too.
    pub contested_percent: u32,
    /// Seconds that short-lived sessions live.
    pub short_ttl_s: u32,
    /// Seconds whose short-lived sessions all fall due together, if they do.
    pub wave_s: Option<f64>,
    /// Seconds after which all connections are made anew, if they are.
    pub storm_s: Option<f64>,
    /// The CPUs that the threads were pinned to, if they were.
    pub pin: Option<String>,
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
    /// Sessions made before measuring began.
    pub filled: u64,
    /// Sessions removed after the run, not measured.
    pub swept: u64,
    /// Requests of an open loop that never left, because no connection came free in time.
    pub dropped: u64,
    /// Refusals, those to the making of the sessions and to the sweep included.
    pub refused: u64,
    /// Connections closed and made anew on purpose.
    pub reconnects: u64,
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
    /// `create`, `read`, `update`, `delete`, `gone`, `connect` or `all`. `connect` is no part of `all`:
    /// how long it took to make a connection anew, failures before it included.
    pub name: &'static str,
    /// Whole answers, or connections.
    pub count: u64,
    /// The same a second.
    pub per_s: f64,
    /// Latencies; all 0 where there was no answer. `all` has dropped requests too, with the time
    /// that they had waited, and refusals, with the time that they took.
    pub latency_us: Percentiles,
    /// In an open loop, the same counted from when requests left: what they would have looked
    /// like to a generator that waits for the server.
    pub service_us: Option<Percentiles>,
    /// The latencies' whole curve: a list of `[percentile, microseconds]`.
    pub spectrum_us: Spectrum,
    /// In an open loop, the same counted from when requests left.
    pub service_spectrum_us: Option<Spectrum>,
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
    /// The report of what was found.
    pub fn new(args: &Args, found: &Found) -> Self {
        let tally = &found.tally;
        // A run without an answer lasted no time, and nothing a second is still nothing.
        let elapsed_s = tally.elapsed().as_secs_f64();
        let per_s = |count: u64| if elapsed_s > 0.0 { count as f64 / elapsed_s } else { 0.0 };
        let mut operations = operations(tally, args.rate().is_some());
        for row in &mut operations {
            row.per_s = per_s(row.count);
        }
        let answers = tally.answer_count();
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            started_unix_ms: tally.first.map(|first| found.clock.on_wall(first)),
            host: found.host.clone(),
            conclusion: conclude(args, found),
            config: Config::of(args, found.seed, found.driver),
            elapsed_s,
            totals: Totals::of(tally, answers),
            rates: Rates {
                answers_per_s: per_s(answers),
                sent_bytes_per_s: per_s(tally.sent_bytes),
                received_bytes_per_s: per_s(tally.received_bytes),
            },
            operations,
            wrong: tally.wrong.iter().map(|(kind, wrong)| WrongRow::of(kind, wrong)).collect(),
            errors: tally.errors.iter().map(|(&kind, &count)| ErrorRow { kind, count }).collect(),
            generator: found.generator.clone(),
            server: found.server.clone(),
            series: found.series.clone(),
            log_error: found.log_error.clone(),
        }
    }

    /// Writes the JSON object and a newline.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }
}

/// One row a kind, and one for all; without rates.
fn operations(tally: &Tally, open: bool) -> Vec<OperationRow> {
    let row = |name, count, latency: &Latency, service: &Latency| OperationRow {
        name,
        count,
        per_s: 0.0,
        latency_us: Percentiles::of(latency),
        service_us: open.then(|| Percentiles::of(service)),
        spectrum_us: Spectrum::of(latency),
        service_spectrum_us: open.then(|| Spectrum::of(service)),
    };
    let (mut latency, mut service) = (Latency::new(), Latency::new());
    let mut rows = Vec::with_capacity(Kind::ALL.len() + 1);
    for kind in Kind::ALL {
        latency.merge(tally.latency(kind));
        service.merge(tally.service(kind));
        let kept = tally.latency(kind);
        rows.push(row(kind.name(), kept.count(), kept, tally.service(kind)));
    }
    if tally.connects.count() > 0 {
        let made = row("connect", tally.connects.count(), &tally.connects, &tally.connects);
        rows.push(OperationRow { service_us: None, service_spectrum_us: None, ..made });
    }
    // What never left has an operation yet to be drawn: no other row can have it. A quick no would
    // flatter the row of its operation, and a late one must be in the tail of all.
    let answers = latency.count();
    latency.merge(&tally.dropped);
    latency.merge(&tally.refused);
    service.merge(&tally.refused_service);
    rows.push(row("all", answers, &latency, &service));
    rows
}

impl Config {
    fn of(args: &Args, seed: u64, driver: &'static str) -> Self {
        Self {
            url: args.url.to_string(),
            profile: args
                .profile
                .and_then(|profile| profile.to_possible_value().map(|value| value.get_name().to_owned())),
            connections: args.connections,
            cores: args.cores.min(args.connections),
            driver,
            duration_s: args.duration.as_secs_f64(),
            load: if args.rate().is_some() { "open" } else { "closed" },
            rate: args.rate(),
            pipeline: args.pipeline,
            size_bytes: args.size.max(),
            size: args.size.to_string(),
            zipf: args.zipf,
            sessions: args.sessions,
            mix: args.mix,
            abandoned_percent: args.abandoned,
            contested_percent: args.contested,
            short_ttl_s: args.short_ttl,
            wave_s: args.wave.map(|wave| wave.as_secs_f64()),
            storm_s: args.storm.map(|storm| storm.as_secs_f64()),
            pin: args.pin.as_ref().map(CpuList::to_string),
            seed: seed.to_string(),
        }
    }
}

impl Totals {
    fn of(tally: &Tally, answers: u64) -> Self {
        debug_assert!(tally.borderline <= tally.right, "borderline answers are right ones");
        Self {
            answers,
            right: tally.right,
            borderline: tally.borderline,
            wrong: tally.wrong_count(),
            filled: tally.filled,
            swept: tally.swept,
            dropped: tally.dropped.count(),
            refused: tally.refused_count(),
            reconnects: tally.reconnects,
            sent_bytes: tally.sent_bytes,
            received_bytes: tally.received_bytes,
        }
    }
}

impl WrongRow {
    fn of(kind: &'static str, wrong: &Count) -> Self {
        Self { kind, count: wrong.count, examples: wrong.examples.clone() }
    }
}

#[cfg(test)]
mod tests;
