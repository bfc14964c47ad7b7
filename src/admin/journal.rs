//! The journal's numbers as Prometheus reads them: gauges, counters, and two histograms.
//!
//! Shown only where there is a journal. What each core counts of it stands with the cores.

use std::fmt;
use std::time::Duration;

use super::prometheus::{Kind, Seconds, describe};
use crate::metrics::{BOUNDS_MICROS, Durations, JournalFigure, JournalMetrics};
use crate::types::{Millis, Moment};

/// The journal's metrics as they are at a moment, to be written behind the others.
pub(super) struct JournalPage<'m>(pub(super) &'m JournalMetrics, pub(super) Moment);

impl fmt::Display for JournalPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FIGURES: [(JournalFigure, &str, Kind, &str); 8] = [
            (
                JournalFigure::BytesWritten,
                "seshun_journal_written_bytes_total",
                Kind::Counter,
                "Bytes of records written.",
            ),
            (
                JournalFigure::BacklogBytes,
                "seshun_journal_backlog_bytes",
                Kind::Gauge,
                "Bytes of records that wait to be synced.",
            ),
            (
                JournalFigure::Segments,
                "seshun_journal_segments",
                Kind::Gauge,
                "Segments that hold records or wait to be removed.",
            ),
            (
                JournalFigure::SegmentBytes,
                "seshun_journal_segment_bytes",
                Kind::Gauge,
                "What the segments with records take on the disk.",
            ),
            (
                JournalFigure::LiveBytes,
                "seshun_journal_live_bytes",
                Kind::Gauge,
                "What all live sessions would take if each was written once.",
            ),
            (
                JournalFigure::Cleanings,
                "seshun_journal_cleanings_total",
                Kind::Counter,
                "Cleanings that have come to their end.",
            ),
            (
                JournalFigure::IsCleaning,
                "seshun_journal_cleaning",
                Kind::Gauge,
                "1: sessions are being logged again so that old segments can be removed. 0: none are.",
            ),
            (
                JournalFigure::Condition,
                "seshun_journal_condition",
                Kind::Gauge,
                "0: good. 1: the disk is full. 2: nothing is kept any more, restart.",
            ),
        ];
        for (figure, name, kind, help) in FIGURES {
            describe(f, name, kind, help)?;
            writeln!(f, "{name} {}", self.0.read(figure))?;
        }
        const UNSYNCED: &str = "seshun_journal_unsynced_seconds";
        describe(
            f,
            UNSYNCED,
            Kind::Gauge,
            "How long the oldest record that no sync has covered has been waiting.",
        )?;
        writeln!(f, "{UNSYNCED} {}", Seconds(self.unsynced_for()))?;
        histogram(f, "seshun_journal_write_duration_seconds", "How long writes took.", self.0.writes())?;
        histogram(f, "seshun_journal_sync_duration_seconds", "How long syncs took.", self.0.syncs())
    }
}

impl JournalPage<'_> {
    fn unsynced_for(&self) -> Millis {
        match self.0.read(JournalFigure::UnsyncedSince) {
            0 => Millis::ZERO,
            since => self.1.since(Moment::from_millis(since)),
        }
    }
}

fn histogram(f: &mut fmt::Formatter<'_>, name: &str, help: &str, durations: &Durations) -> fmt::Result {
    describe(f, name, Kind::Histogram, help)?;
    let (counts, all) = durations.cumulated();
    for (bound, count) in BOUNDS_MICROS.into_iter().zip(counts) {
        writeln!(f, "{name}_bucket{{le=\"{}\"}} {count}", Duration::from_micros(bound).as_secs_f64())?;
    }
    writeln!(f, "{name}_bucket{{le=\"+Inf\"}} {all}")?;
    writeln!(f, "{name}_sum {}", durations.sum().as_secs_f64())?;
    writeln!(f, "{name}_count {all}")
}
