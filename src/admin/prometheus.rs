//! The numbers as Prometheus reads them: text format 0.0.4, one series a core.
//!
//! Each metric is a row of one table, so that a number cannot be shown without its type and
//! its meaning. Names and base units follow Prometheus' naming guide: seconds, bytes, and
//! `_total` for whatever only grows. Sums over cores are the reader's business.

use std::fmt;
use std::sync::Arc;

use crate::metrics::{CoreMetrics, Figure, ProcessFigures, RequestKind, STATUSES};
use crate::types::{Millis, Moment};

/// The media type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of `cores` and of the process, as they are at `now`.
pub fn render_prometheus(cores: &[Arc<CoreMetrics>], process: &ProcessFigures, now: Moment) -> String {
    Exposition { cores, process, now }.to_string()
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Only grows, and is named so.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, with the sum of all sizes.
    Histogram,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What a figure counts, which decides how it is written.
#[derive(Clone, Copy)]
enum Unit {
    /// Things, bytes included.
    Count,
    /// Milliseconds, shown as seconds.
    Millis,
}

/// A figure of a core and how it is shown.
struct CoreMetric {
    figure: Figure,
    name: &'static str,
    kind: Kind,
    unit: Unit,
    help: &'static str,
}

const fn counter(figure: Figure, name: &'static str, help: &'static str) -> CoreMetric {
    CoreMetric { figure, name, kind: Kind::Counter, unit: Unit::Count, help }
}

const fn gauge(figure: Figure, name: &'static str, help: &'static str) -> CoreMetric {
    CoreMetric { figure, name, kind: Kind::Gauge, unit: Unit::Count, help }
}

const fn in_millis(metric: CoreMetric) -> CoreMetric {
    CoreMetric { unit: Unit::Millis, ..metric }
}

/// Every figure but the heartbeat, which is shown as an age.
#[rustfmt::skip]
const CORE_METRICS: [CoreMetric; 26] = [
    counter(Figure::ForwardsSent, "seshun_forwards_sent_total", "Frames of requests sent to the core that owns the session."),
    counter(Figure::ForwardsServed, "seshun_forwards_served_total", "Frames of requests served for another core."),
    counter(Figure::ForwardsTimedOut, "seshun_forward_timeouts_total", "Forwards whose reply did not come in time (503)."),
    counter(Figure::ForwardsRefused, "seshun_forwards_refused_total", "Forwards refused because the owner's request lane was full (503)."),
    counter(Figure::ConnectionsAccepted, "seshun_connections_accepted_total", "Connections accepted by the core's listener."),
    counter(Figure::ConnectionsHandedOver, "seshun_connections_handed_over_total", "Connections accepted here and handed over to a core with fewer."),
    counter(Figure::ConnectionsRefused, "seshun_connections_refused_total", "Connections above the limit, answered 503 and closed."),
    counter(Figure::AcceptsFailed, "seshun_accept_failures_total", "Accepts that failed, for lack of descriptors or memory above all."),
    gauge(Figure::ConnectionsOpen, "seshun_connections_open", "Connections that the core serves now."),
    gauge(Figure::InboxDepth, "seshun_inbox_frames", "Frames that waited in the core's request inbox at its last turn."),
    in_millis(gauge(Figure::ExpiryLagMillis, "seshun_expiry_lag_seconds", "Time by which the timer wheel is behind the earliest deadline due.")),
    gauge(Figure::Sessions, "seshun_sessions", "Sessions held, due ones that are still to be removed included."),
    gauge(Figure::MemoryBytes, "seshun_memory_bytes", "Memory that the sessions take from the budget."),
    counter(Figure::SessionsCreated, "seshun_sessions_created_total", "Sessions created."),
    counter(Figure::SessionsDeleted, "seshun_sessions_deleted_total", "Sessions deleted by clients."),
    counter(Figure::SessionsExpired, "seshun_sessions_expired_total", "Sessions removed because their deadline had passed."),
    counter(Figure::Turns, "seshun_turns_total", "Turns of the core's loop."),
    counter(Figure::BytesReceived, "seshun_received_bytes_total", "Bytes read from clients."),
    counter(Figure::BytesSent, "seshun_sent_bytes_total", "Bytes written to clients."),
    counter(Figure::PanicsCaught, "seshun_panics_caught_total", "Panics caught at a connection (500)."),
    counter(Figure::TouchesLogged, "seshun_journal_touches_total", "Touches that were logged because the logged deadline came near."),
    counter(Figure::CopiesLogged, "seshun_journal_copies_total", "Sessions logged again so that old segments can be removed."),
    counter(Figure::JournalRefusedDisk, "seshun_journal_refused_disk_total", "Changes refused because the disk is full (507)."),
    counter(Figure::JournalRefusedBacklog, "seshun_journal_refused_backlog_total", "Changes refused because too many wait for the disk (503)."),
    gauge(Figure::OutputsWaiting, "seshun_journal_waiting_outputs", "Connections whose answers waited for the journal at the core's last turn."),
    in_millis(counter(Figure::CpuMillis, "seshun_core_cpu_seconds_total", "CPU time that the core's thread has used.")),
];

/// One rendering of the page. `Display` because that hands every write's result on.
struct Exposition<'m> {
    cores: &'m [Arc<CoreMetrics>],
    process: &'m ProcessFigures,
    now: Moment,
}

impl fmt::Display for Exposition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.requests(f)?;
        for metric in &CORE_METRICS {
            self.core_metric(f, metric)?;
        }
        self.heartbeats(f)?;
        self.process_metrics(f)
    }
}

impl Exposition<'_> {
    fn requests(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAME: &str = "seshun_requests_total";
        describe(f, NAME, Kind::Counter, "Requests answered, by what they asked for and by status.")?;
        for metrics in self.cores {
            let core = metrics.core();
            for kind in RequestKind::ALL {
                let operation = kind.name();
                for status in STATUSES {
                    let count = metrics.requests(kind, status);
                    if count > 0 || status == usual_status(kind) {
                        let labels =
                            format_args!("core=\"{core}\",operation=\"{operation}\",status=\"{status}\"");
                        writeln!(f, "{NAME}{{{labels}}} {count}")?;
                    }
                }
                let other = metrics.requests_with_other_status(kind);
                if other > 0 {
                    writeln!(
                        f,
                        "{NAME}{{core=\"{core}\",operation=\"{operation}\",status=\"other\"}} {other}"
                    )?;
                }
            }
        }
        Ok(())
    }

    fn core_metric(&self, f: &mut fmt::Formatter<'_>, metric: &CoreMetric) -> fmt::Result {
        describe(f, metric.name, metric.kind, metric.help)?;
        for core in self.cores {
            let value = core.read(metric.figure);
            write!(f, "{}{{core=\"{}\"}} ", metric.name, core.core())?;
            match metric.unit {
                Unit::Count => writeln!(f, "{value}")?,
                Unit::Millis => writeln!(f, "{}", Seconds(Millis::new(value)))?,
            }
        }
        Ok(())
    }

    fn heartbeats(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAME: &str = "seshun_heartbeat_age_seconds";
        describe(f, NAME, Kind::Gauge, "Time since the core's last turn.")?;
        for core in self.cores {
            let age = Seconds(self.now.since(core.heartbeat()));
            writeln!(f, "{NAME}{{core=\"{}\"}} {age}", core.core())?;
        }
        Ok(())
    }

    fn process_metrics(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let process = self.process;
        let cpu_time = Seconds(process.cpu_time);
        let started = Seconds(Millis::new(process.started.as_u64()));
        let (resident, memory_max) = (process.resident.as_u64(), process.memory_max.as_u64());

        describe(
            f,
            "seshun_memory_max_bytes",
            Kind::Gauge,
            "Memory that the sessions may take, all cores together.",
        )?;
        writeln!(f, "seshun_memory_max_bytes {memory_max}")?;
        describe(f, "process_cpu_seconds_total", Kind::Counter, "User and system CPU time of the process.")?;
        writeln!(f, "process_cpu_seconds_total {cpu_time}")?;
        describe(f, "process_resident_memory_bytes", Kind::Gauge, "Resident memory of the process.")?;
        writeln!(f, "process_resident_memory_bytes {resident}")?;
        describe(f, "process_open_fds", Kind::Gauge, "Open file descriptors of the process.")?;
        writeln!(f, "process_open_fds {}", process.open_fds)?;
        describe(f, "process_start_time_seconds", Kind::Gauge, "When the process started, in Unix time.")?;
        writeln!(f, "process_start_time_seconds {started}")?;
        describe(f, "seshun_build_info", Kind::Gauge, "Always 1; the labels tell which build this is.")?;
        let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
        writeln!(f, "seshun_build_info{{version=\"{}\",target=\"{arch}-{os}\"}} 1", env!("CARGO_PKG_VERSION"))
    }
}

/// The two lines that open a metric.
pub(super) fn describe(f: &mut fmt::Formatter<'_>, name: &str, kind: Kind, help: &str) -> fmt::Result {
    debug_assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}: counters alone end in _total");
    debug_assert!(!help.contains(['\n', '\\']), "{name}: a help text needs no escapes");
    writeln!(f, "# HELP {name} {help}\n# TYPE {name} {}", kind.name())
}

/// The status that is shown even at 0, so that a rate over it has a beginning. The rest appear
/// with their first answer: 22 columns for each of 8 kinds would be a page of zeros.
const fn usual_status(kind: RequestKind) -> u16 {
    match kind {
        RequestKind::Create => 201,
        RequestKind::Other => 405,
        _ => 200,
    }
}

/// A span in Prometheus' base unit, exact to the millisecond.
pub(super) struct Seconds(pub(super) Millis);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_u64();
        write!(f, "{}.{:03}", millis / 1000, millis % 1000)
    }
}

#[cfg(test)]
mod tests;
