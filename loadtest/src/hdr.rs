//! The latencies of a run as an HdrHistogram log, for the tools that read those.
//!
//! A line is one interval of about a second: when it began and how long it was, in seconds,
//! its longest latency, and a histogram in nanoseconds, V2-encoded, deflated and in base64.
//! Lines without a tag have all operations of a second, and lines tagged `create`, `read`,
//! `update`, `delete`, `gone`, `dropped` (what never left, and how long it had waited) and
//! `refused` the parts of it, so that either tells the whole and none needs the other. The intervals of a log sum up to its report to the last answer, what came in
//! after the load's last second being the last line. Open loops log corrected latencies.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};

use crate::clock::{Moment, UnixMillis};
use crate::series::Second;
use crate::stats::Latency;

/// The version of the text format.
const VERSION: &str = "[Histogram log format version 1.3]";

/// What stands in which column, as readers of the format expect it.
const LEGEND: &str =
    "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"";

/// A log that is being written.
pub struct IntervalLog<W> {
    out: W,
    serializer: V2DeflateSerializer,
}

impl<W: Write> IntervalLog<W> {
    /// Begins a log of a run whose clock was started then; `about` says which run it is.
    pub fn begin(mut out: W, started: UnixMillis, about: &str) -> io::Result<Self> {
        let mut serializer = V2DeflateSerializer::new();
        IntervalLogWriterBuilder::new()
            .add_comment(VERSION)
            .add_comment(about)
            .add_comment("Latencies and maxima in nanoseconds; lines without a tag have all operations")
            .with_start_time(started.to_system())
            .with_base_time(started.to_system())
            .begin_log_with(&mut out, &mut serializer)?;
        writeln!(out, "{LEGEND}")?;
        Ok(Self { out, serializer })
    }

    /// Writes the interval of `span` that ended at `until`: a line for all, and one for each part
    /// that there was anything of.
    pub fn write(&mut self, (until, span): (Moment, Duration), second: &Second) -> io::Result<()> {
        let mut all = Latency::new();
        second.parts().for_each(|(_, latency)| all.merge(latency));
        let from = until.before(span).since(Moment::default());
        self.write_line((from, span), None, &all)?;
        for (name, latency) in second.parts().filter(|(_, latency)| latency.count() > 0) {
            self.write_line((from, span), Tag::new(name), latency)?;
        }
        // So that the log of a run that is killed has all seconds but the last.
        self.out.flush()
    }

    fn write_line(
        &mut self,
        (from, span): (Duration, Duration),
        tag: Option<Tag<'_>>,
        latency: &Latency,
    ) -> io::Result<()> {
        let builder = IntervalLogWriterBuilder::new();
        let mut writer = builder.begin_log_with(&mut self.out, &mut self.serializer)?;
        writer.write_histogram(latency.histogram(), from, span, tag).map_err(|error| match error {
            IntervalLogWriterError::IoError(error) => error,
            IntervalLogWriterError::SerializeError(error) => io::Error::other(error.to_string()),
        })
    }
}

/// The log of a run in a file. A run goes on without its log: what failed is told in the end.
pub struct LogFile {
    path: PathBuf,
    log: io::Result<IntervalLog<BufWriter<File>>>,
    /// Where the last interval ended.
    until: Moment,
}

impl LogFile {
    /// Begins the log, which replaces what the file holds.
    pub fn create(path: &Path, started: UnixMillis, about: &str) -> Self {
        let log =
            File::create(path).and_then(|file| IntervalLog::begin(BufWriter::new(file), started, about));
        Self { path: path.to_owned(), log, until: Moment::default() }
    }

    /// Writes the interval of `span` that ended at `until`.
    pub fn write(&mut self, (until, span): (Moment, Duration), second: &Second) {
        self.until = until;
        if let Ok(log) = &mut self.log
            && let Err(error) = log.write((until, span), second)
        {
            self.log = Err(error);
        }
    }

    /// Writes what came in after the last interval, up to `last`, if anything did; gives what failed.
    pub fn finish(mut self, last: Moment, rest: &Second) -> Option<String> {
        if !rest.is_empty() {
            // Readers divide by an interval's length.
            let span = last.since(self.until).max(Duration::from_millis(1));
            self.write((self.until.after(span), span), rest);
        }
        self.log.err().map(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests;
