//! The report for people: a table of latencies, then what else there is to know.
//!
//! Wrong answers and the conclusion come last, where they are seen. Parts that a run has
//! nothing to say about are left out.

use std::io::{self, Write};

use super::{Conclusion, Config, ErrorRow, Report, WrongRow};
use crate::scrape::ServerSide;
use crate::stats::Percentiles;

impl Report {
    /// Writes the text.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_config(out)?;
        writeln!(
            out,
            "\n{:<9}{:>10}{:>11}  {:>9}{:>9}{:>9}{:>9}{:>10}",
            "", "answers", "a second", "p50 us", "p90", "p99", "p99.9", "max",
        )?;
        for row in &self.operations {
            write!(out, "{:<9}{:>10}{:>11.0}  ", row.name, row.count, row.per_s)?;
            write_percentiles(out, &row.latency_us)?;
        }
        if let Some(service) = self.operations.last().and_then(|all| all.service_us) {
            // As wide as the columns before, so that it can be compared with the line above.
            write!(out, "{:<30}  ", "all, counted from leaving")?;
            write_percentiles(out, &service)?;
        }
        self.write_sums(out)?;
        self.write_generator(out)?;
        if let Some(server) = &self.server {
            write_server(out, server)?;
        }
        self.write_conclusion(out)
    }

    fn write_config(&self, out: &mut impl Write) -> io::Result<()> {
        let Config { url, connections, cores, driver, profile, load, rate, .. } = &self.config;
        let Config { pipeline, size, zipf, mix, seed, .. } = &self.config;
        write!(out, "{url}: {connections} connections from {cores} core(s), {driver}; {load} loop")?;
        match rate {
            Some(rate) => writeln!(out, " at {rate}")?,
            None if *pipeline > 1 => writeln!(out, ", {pipeline} requests at a time")?,
            None => writeln!(out)?,
        }
        if let Some(profile) = profile {
            write!(out, "{profile}: ")?;
        }
        writeln!(out, "{size} bytes, {mix}, zipf {zipf}, --seed {seed}, {:.2} s", self.elapsed_s)
    }

    fn write_sums(&self, out: &mut impl Write) -> io::Result<()> {
        let megabytes = |bytes: f64| bytes / (1024.0 * 1024.0);
        let (totals, rates) = (&self.totals, &self.rates);
        writeln!(
            out,
            "\nsent {:.1} mb ({:.1} mb/s), received {:.1} mb ({:.1} mb/s); borderline {}, filled {}, swept {}",
            megabytes(totals.sent_bytes as f64),
            megabytes(rates.sent_bytes_per_s),
            megabytes(totals.received_bytes as f64),
            megabytes(rates.received_bytes_per_s),
            totals.borderline,
            totals.filled,
            totals.swept,
        )?;
        if totals.reconnects > 0 {
            writeln!(out, "connections made anew: {}", totals.reconnects)?;
        }
        if self.config.rate.is_some() {
            write!(out, "{} dropped, having found no free connection in time", totals.dropped)?;
            let counted =
                if totals.dropped > 0 { ": counted in `all` with the time they had waited" } else { "" };
            writeln!(out, "{counted}")?;
        }
        if totals.refused > 0 {
            writeln!(
                out,
                "{} refused: those of the load are in `all` with the time they took",
                totals.refused
            )?;
        }
        for ErrorRow { kind, count } in &self.errors {
            writeln!(out, "{kind}: {count}")?;
        }
        Ok(())
    }

    fn write_generator(&self, out: &mut impl Write) -> io::Result<()> {
        let generator = &self.generator;
        let (busy, waited) = (generator.cpu_share * 100.0, generator.cpu_wait_share * 100.0);
        write!(out, "generator: {busy:.0} % busy, {waited:.0} % waiting for its CPU, ")?;
        write!(out, "{:.2} us of CPU an answer", generator.cpu_us_per_answer)?;
        match &generator.lag_us {
            Some(lag) => {
                writeln!(out, "; left late by p50 {:.1} us, p99 {:.1}, max {:.1}", lag.p50, lag.p99, lag.max)?
            }
            None => writeln!(out)?,
        }
        match &generator.disturbed {
            Some(reason) => writeln!(out, "DISTURBED: {reason}"),
            None => Ok(()),
        }
    }

    /// How right the answers were of a run that had no wrong one.
    pub(super) fn how_right(&self) -> String {
        match self.totals.refused {
            0 => "every answer was right".to_owned(),
            refused => format!("no answer was wrong, {refused} refused"),
        }
    }

    /// Why a run is incomplete.
    pub(super) fn missing(&self) -> &'static str {
        if self.errors.iter().any(|row| row.kind == "fill_gave_up") {
            "the sessions could not be made in time"
        } else {
            "connections could not be made or kept, or a timer failed"
        }
    }

    fn write_conclusion(&self, out: &mut impl Write) -> io::Result<()> {
        for WrongRow { kind, count, examples } in &self.wrong {
            writeln!(out, "WRONG {kind}: {count}")?;
            for example in examples {
                writeln!(out, "  {example}")?;
            }
        }
        if let Some(reason) = &self.generator.limited {
            writeln!(out, "INVALID: {reason}")?;
        }
        match self.conclusion {
            Conclusion::Passed => writeln!(out, "{}", self.how_right()),
            Conclusion::WrongAnswers => writeln!(out, "{} WRONG", self.totals.wrong),
            Conclusion::NothingDone => writeln!(out, "nothing was done: no answer was right"),
            Conclusion::TooManyRefused => writeln!(out, "REFUSED more than --refused-max allows"),
            Conclusion::Incomplete => {
                writeln!(out, "incomplete: {}", self.missing())
            }
            Conclusion::GeneratorLimited => {
                writeln!(out, "{}, and the figures are not valid", self.how_right())
            }
        }
    }
}

fn write_percentiles(out: &mut impl Write, percentiles: &Percentiles) -> io::Result<()> {
    let Percentiles { p50, p90, p99, p99_9, max } = percentiles;
    debug_assert!(p50 <= max, "half of them are not above the largest");
    writeln!(out, "{p50:>9.1}{p90:>9.1}{p99:>9.1}{p99_9:>9.1}{max:>10.1}")
}

fn write_server(out: &mut impl Write, server: &ServerSide) -> io::Result<()> {
    writeln!(
        out,
        "server: {:.2} us of CPU a request, {:.2} CPUs busy, {:.1} mb resident, {:.1} % forwarded, \
         inbox {:.0} at most, expiry {:.3} s behind at most, {:.0} expired",
        server.cpu_us_per_request,
        server.cpus_busy,
        server.resident_bytes / (1024.0 * 1024.0),
        server.forwarded_share * 100.0,
        server.inbox_frames_max,
        server.expiry_lag_s_max,
        server.expired,
    )?;
    match (server.memory_bytes_per_session, server.resident_bytes_per_session) {
        (Some(memory), Some(resident)) => writeln!(
            out,
            "{:.0} sessions at most, {memory:.0} bytes each by its budget, {resident:.0} by its growth",
            server.sessions,
        ),
        (Some(memory), None) => {
            writeln!(out, "{:.0} sessions at most, {memory:.0} bytes each by its budget", server.sessions)
        }
        _ => Ok(()),
    }
}
