//! The report's charts: the spectra of its operations, and the load second by second.
//!
//! Pure. A long run is drawn in columns of several seconds: rates are their means, latencies
//! and gauges their worst, and counts their sums, so that no spike is lost between two pixels.
//! What was nothing all the time has no chart.

use super::{OperationRow, Report};
use crate::human;
use crate::page::chart::{Chart, Curve, Hint, Size, Style, Tone};
use crate::page::markup::Markup;
use crate::page::scale::Axis;
use crate::page::tail::{self, Tail};
use crate::page::{latency, short_latency};
use crate::scrape::ServerRow;
use crate::series::Row;

/// Columns that a chart of time has at most.
const COLUMNS_MAX: usize = 600;

/// Fewer seconds than this show nothing over time.
const ROWS_MIN: usize = 2;

/// Some seconds of the load.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Column {
    /// When they began, in seconds. `from_s < row.at_s`
    from_s: f64,
    /// What came in them, and when they ended.
    row: Row,
}

/// What is drawn of each second: its name, its colour and the figure.
type Drawn<T> = (&'static str, usize, fn(&Row) -> T);

/// What is drawn of the server, second by second.
struct Gauge {
    title: &'static str,
    value: fn(&ServerRow) -> f64,
    text: fn(f64) -> String,
}

/// A mb in bytes.
const MEGABYTE: f64 = 1_048_576.0;

/// The gauges that have a chart where they ever were above 0.
const GAUGES: [Gauge; 7] = [
    Gauge { title: "CPU time a request", value: |row| row.cpu_us_per_request, text: short_latency },
    Gauge { title: "CPUs busy", value: |row| row.cpus_busy, text: human::short },
    Gauge { title: "Resident memory, in mb", value: |row| row.resident_bytes / MEGABYTE, text: human::short },
    Gauge { title: "Sessions", value: |row| row.sessions, text: |value| human::grouped(value as u64) },
    Gauge { title: "Forwarded, of the requests", value: |row| row.forwarded_share, text: whole_percent },
    Gauge { title: "Frames in the fullest inbox", value: |row| row.inbox_frames, text: human::short },
    Gauge { title: "Expiry behind, in seconds", value: |row| row.expiry_lag_s, text: human::short },
];

/// The colour of an operation, the same in all charts.
pub fn tone_of(operation: &str) -> Tone {
    let known = ["all", "create", "read", "update", "delete", "gone", "connect"];
    Tone::nth(known.iter().position(|name| *name == operation).unwrap_or(known.len()))
}

impl Report {
    /// Draws the spectra; says so where there are none.
    pub(super) fn draw_spectra(&self, markup: &mut Markup) {
        // All of them first: what lies on it can be seen on top of it.
        let (all, kinds) =
            self.operations.split_last().map_or((None, [].as_slice()), |(all, kinds)| (Some(all), kinds));
        let rows: Vec<&OperationRow> = all.into_iter().chain(kinds).collect();
        let latencies: Vec<Tail<'_>> = rows.iter().map(|row| tail_of(row)).collect();
        let services: Vec<Tail<'_>> = rows.iter().filter_map(|row| service_of(row)).collect();
        let Some(y) = tail::axis_of(&[latencies.as_slice(), &services].concat()) else {
            return markup.leaf("p", &[], "There was no answer, so there is nothing to draw.");
        };
        let title = if services.is_empty() {
            "What percentage of the answers took no longer than how long"
        } else {
            "From when a request was meant to leave: what a caller waits (corrected)"
        };
        tail::chart(title, Size::Wide, &latencies, &y).draw(markup);
        if !services.is_empty() {
            let title = "From when it left: what the server took (service time)";
            tail::chart(title, Size::Wide, &services, &y).draw(markup);
        }
        let note = "A curve ends where fewer than one answer is left above it; the longest one stands apart, at “max”.";
        markup.leaf("p", &[("class", &"note")], note);
        if self.config.rate.is_none() {
            let note = "In a closed loop a connection that waits asks nothing, so a stall is met by few requests: judge tails with --rate.";
            markup.leaf("p", &[("class", &"note")], note);
        }
    }

    /// Draws the load second by second.
    pub(super) fn draw_series(&self, markup: &mut Markup) {
        if self.series.len() < ROWS_MIN {
            return markup.leaf("p", &[], "The load was too short to be seen second by second.");
        }
        let columns = columns(&self.series);
        let end_s = self.series.last().map_or(0.0, |row| row.at_s);
        self.rates(&columns, end_s).draw(markup);
        latencies(&columns, end_s).into_iter().for_each(|chart| chart.draw(markup));
        let counts = counts(&columns, end_s);
        counts.iter().for_each(|chart| chart.draw(markup));
        let each = self.series.len().div_ceil(columns.len());
        let mut notes = Vec::new();
        if counts.is_empty() {
            notes.push("No second had a wrong answer, an error or a dropped request.".to_owned());
        }
        if each > 1 {
            notes.push(format!(
                "A point stands for {each} seconds: rates are their mean, latencies their worst, counts their sum."
            ));
        }
        let seen: u64 = self.series.iter().map(|row| row.wrong).sum();
        if seen < self.totals.wrong {
            let missing = self.totals.wrong - seen;
            notes.push(format!("{missing} of the wrong answers came before or after the load."));
        }
        notes.iter().for_each(|note| markup.leaf("p", &[("class", &"note")], note));
    }

    fn rates(&self, columns: &[Column], end_s: f64) -> Chart {
        let answers = points(columns, |row| row.answers_per_s);
        // As far as the run came, where it was ended early.
        let until_s = self.config.duration_s.min(end_s);
        let asked = self.config.rate.map(|rate| {
            let reached = (rate.to - rate.from).mul_add(until_s / self.config.duration_s, rate.from);
            let points = vec![(0.0, rate.from), (until_s, reached)];
            Curve { style: Style::Dashed, ..Curve::line("asked for", Tone(6), points) }
        });
        // Alone it is told by the title.
        let name = if asked.is_some() { "answers" } else { "" };
        let curves: Vec<Curve> = asked.into_iter().chain([Curve::line(name, Tone(2), answers)]).collect();
        let max = curves.iter().flat_map(|curve| &curve.points).map(|&(_, y)| y).fold(0.0, f64::max);
        Chart {
            title: "Answers a second".to_owned(),
            size: Size::Low,
            x: Axis::time(end_s),
            y: Axis::amounts(max, "answers a second", |value| human::grouped(value as u64)),
            curves,
            hints: columns.iter().map(Column::hint).collect(),
        }
    }
}

/// Draws what the server said of itself over time.
pub(super) fn draw_server(markup: &mut Markup, rows: &[ServerRow]) {
    let told = GAUGES.iter().filter(|gauge| rows.iter().any(|row| (gauge.value)(row) > 0.0));
    if rows.len() < ROWS_MIN {
        return;
    }
    markup.within("div", &[("class", &"charts")], |charts| {
        for gauge in told {
            gauge.chart(rows).draw(charts);
        }
    });
}

fn tail_of(row: &OperationRow) -> Tail<'_> {
    Tail {
        name: row.name.to_owned(),
        tone: tone_of(row.name),
        dashed: false,
        spectrum: &row.spectrum_us,
        max_us: row.latency_us.max,
    }
}

fn service_of(row: &OperationRow) -> Option<Tail<'_>> {
    let (spectrum, service) = (row.service_spectrum_us.as_ref()?, row.service_us?);
    Some(Tail { spectrum, max_us: service.max, ..tail_of(row) })
}

/// The seconds in as many columns as can be drawn.
fn columns(rows: &[Row]) -> Vec<Column> {
    let each = rows.len().div_ceil(COLUMNS_MAX).max(1);
    let mut from_s = 0.0;
    let columns = rows.chunks(each).map(|rows| {
        let column = Column { from_s, row: summed(rows, from_s) };
        from_s = column.row.at_s;
        column
    });
    columns.collect()
}

/// Some seconds as one, which began at `from_s`.
fn summed(rows: &[Row], from_s: f64) -> Row {
    let most = |value: fn(&Row) -> f64| rows.iter().map(value).fold(0.0, f64::max);
    let sum = |count: fn(&Row) -> u64| rows.iter().map(count).sum();
    let at_s = rows.last().map_or(from_s, |row| row.at_s);
    let (mut answers, mut begun_s) = (0.0, from_s);
    for row in rows {
        answers += row.answers_per_s * (row.at_s - begun_s);
        begun_s = row.at_s;
    }
    let span_s = at_s - from_s;
    debug_assert!(span_s >= 0.0, "seconds follow each other");
    Row {
        at_s,
        answers_per_s: if span_s > 0.0 { answers / span_s } else { 0.0 },
        p50_us: most(|row| row.p50_us),
        p99_us: most(|row| row.p99_us),
        p99_9_us: most(|row| row.p99_9_us),
        max_us: most(|row| row.max_us),
        wrong: sum(|row| row.wrong),
        errors: sum(|row| row.errors),
        dropped: sum(|row| row.dropped),
    }
}

impl Column {
    /// Where its point stands: a rate that grows was its mean in the middle.
    fn middle_s(&self) -> f64 {
        f64::midpoint(self.from_s, self.row.at_s)
    }

    fn hint(&self) -> Hint {
        let Row { at_s, answers_per_s, p50_us, p99_us, p99_9_us, max_us, wrong, errors, dropped } = self.row;
        let text = format!(
            "{} s: {} answers/s; p50 {}, p99 {}, p99.9 {}, max {}; {wrong} wrong, {errors} errors, {dropped} dropped",
            human::short((at_s * 10.0).round() / 10.0),
            human::grouped(answers_per_s as u64),
            latency(p50_us),
            latency(p99_us),
            latency(p99_9_us),
            latency(max_us),
        );
        Hint { from: self.from_s, to: at_s, text }
    }
}

fn points(columns: &[Column], value: fn(&Row) -> f64) -> Vec<(f64, f64)> {
    columns.iter().map(|column| (column.middle_s(), value(&column.row))).collect()
}

/// The chart of latencies over time; none where there was no answer.
fn latencies(columns: &[Column], end_s: f64) -> Option<Chart> {
    let lines: [Drawn<f64>; 4] = [
        ("max", 6, |row| row.max_us),
        ("p99.9", 4, |row| row.p99_9_us),
        ("p99", 3, |row| row.p99_us),
        ("p50", 2, |row| row.p50_us),
    ];
    let curves = lines.map(|(name, tone, value)| Curve::line(name, Tone(tone), points(columns, value)));
    let values = curves.iter().flat_map(|curve| curve.points.iter().map(|&(_, us)| us));
    let y = Axis::latencies(values, "latency")?;
    Some(Chart {
        title: "Latency of each second’s answers".to_owned(),
        size: Size::Low,
        x: Axis::time(end_s),
        y,
        curves: curves.to_vec(),
        hints: columns.iter().map(Column::hint).collect(),
    })
}

/// A chart each for what should not have come, where it came.
fn counts(columns: &[Column], end_s: f64) -> Vec<Chart> {
    let kinds: [Drawn<u64>; 3] = [
        ("Wrong answers", 4, |row| row.wrong),
        ("Refusals and errors", 3, |row| row.errors),
        ("Requests that never left, because no connection came free", 5, |row| row.dropped),
    ];
    let mut charts = Vec::new();
    for (title, tone, count) in kinds {
        let count = |column: &Column| (column.middle_s(), count(&column.row) as f64);
        let points: Vec<_> = columns.iter().map(count).collect();
        let max = points.iter().map(|&(_, count)| count).fold(0.0, f64::max);
        if max > 0.0 {
            charts.push(Chart {
                title: title.to_owned(),
                size: Size::Strip,
                x: Axis::time(end_s),
                y: Axis::amounts(max, "", |value| human::grouped(value as u64)),
                curves: vec![Curve { style: Style::Bars, ..Curve::line("", Tone(tone), points) }],
                hints: columns.iter().map(Column::hint).collect(),
            });
        }
    }
    charts
}

impl Gauge {
    fn chart(&self, rows: &[ServerRow]) -> Chart {
        let each = rows.len().div_ceil(COLUMNS_MAX).max(1);
        let worst = |rows: &[ServerRow]| rows.iter().map(self.value).fold(0.0, f64::max);
        let points: Vec<_> =
            rows.chunks(each).filter_map(|rows| rows.last().map(|last| (last.at_s, worst(rows)))).collect();
        let max = points.iter().map(|&(_, value)| value).fold(0.0, f64::max);
        Chart {
            title: self.title.to_owned(),
            size: Size::Half,
            x: Axis::time(rows.last().map_or(0.0, |row| row.at_s)),
            y: Axis::amounts(max, "", self.text),
            curves: vec![Curve::line("", Tone(7), points)],
            hints: Vec::new(),
        }
    }
}

fn whole_percent(share: f64) -> String {
    format!("{} %", human::short(share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at_s: f64, answers_per_s: f64, max_us: f64) -> Row {
        let (p50_us, p99_us, p99_9_us) = (max_us / 4.0, max_us / 3.0, max_us / 2.0);
        Row { at_s, answers_per_s, p50_us, p99_us, p99_9_us, max_us, wrong: 1, errors: 2, dropped: 0 }
    }

    #[test]
    fn a_short_run_has_a_column_a_second() {
        let rows = [row(1.0, 100.0, 9.0), row(2.0, 50.0, 8.0)];
        let columns = columns(&rows);
        assert_eq!(columns.iter().map(|column| column.row).collect::<Vec<_>>(), rows);
        assert_eq!((columns[0].from_s, columns[1].from_s), (0.0, 1.0));
    }

    #[test]
    fn a_long_run_keeps_its_worst_seconds_and_its_mean_rate() {
        let mut rows: Vec<Row> = (1..=3600).map(|at| row(f64::from(at), 100.0, 10.0)).collect();
        (rows[7].max_us, rows[7].answers_per_s) = (5000.0, 40.0);
        let columns = columns(&rows);
        assert_eq!(columns.len(), 600);
        let Column { from_s, row } = columns[1];
        assert_eq!((from_s, row.at_s, row.max_us, row.wrong, row.errors), (6.0, 12.0, 5000.0, 6, 12));
        assert!((row.answers_per_s - 90.0).abs() < 1e-9, "{row:?}");
        assert_eq!(counts(&columns, 3600.0).len(), 2, "what never happened has no chart");
    }

    #[test]
    fn an_operation_has_its_colour_everywhere() {
        assert_eq!((tone_of("all"), tone_of("gone"), tone_of("connect")), (Tone(0), Tone(5), Tone(6)));
        assert_eq!(tone_of("another"), Tone(7));
    }

    #[test]
    fn seconds_without_an_answer_have_no_chart_of_latencies() {
        assert_eq!(latencies(&columns(&[row(1.0, 0.0, 0.0), row(2.0, 0.0, 0.0)]), 2.0), None);
    }
}
