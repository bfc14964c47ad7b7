//! The comparison as a page: what speaks against it, the figures, and the curves over each other.
//!
//! Every run keeps its colour through all charts. Charts share the axes of what they compare,
//! and a report without curves, of an older program, has its figures and no curve.

use std::io::{self, Write};

use super::figures::{self, COLUMNS, Says, Sum};
use super::past::Second;
use super::text::told;
use super::{Compared, Run, caveats};
use crate::human;
use crate::page::chart::{Chart, Curve, Size, Tone};
use crate::page::markup::Markup;
use crate::page::scale::Axis;
use crate::page::tail::{self, Tail};
use crate::page::{self, News};

/// Points that a run's curve over time has at most.
const POINTS_MAX: usize = 600;

impl Compared {
    /// Writes the page.
    pub fn write_html(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.page().as_bytes())
    }

    fn page(&self) -> String {
        let files = self.runs.iter().map(|run| format!("{}: {}", run.letter, run.file));
        let subtitle = files.collect::<Vec<_>>().join(", ");
        page::page("Load tests side by side", &subtitle, |body| {
            self.draw_news(body);
            page::section(body, "The runs", |section| self.draw_runs(section));
            page::section(body, "Figures", |section| self.draw_figures(section));
            page::section(body, "Latency spectra", |section| self.draw_spectra(section));
            if self.runs.iter().any(|run| run.past.series.len() > 1) {
                page::section(body, "Second by second", |section| self.draw_series(section));
            }
            page::section(body, "What each was asked to do", |section| self.draw_workloads(section));
        })
    }

    fn draw_news(&self, markup: &mut Markup) {
        let caveats = &self.caveats;
        let loud = [
            ("Not the same workload", &caveats.workload),
            ("Not all are valid measurements", &caveats.invalid),
            ("Not all have the format that is known here: fields may mean something else", &caveats.formats),
        ];
        for (head, reasons) in loud.into_iter().filter(|(_, reasons)| !reasons.is_empty()) {
            page::news(markup, News::Bad, head, reasons);
        }
        if caveats.is_comparable() {
            let all = caveats::all_letters(&self.runs);
            let head = format!("{all}: the same workload, each a valid measurement");
            page::news(
                markup,
                News::Good,
                head,
                &["One run each: a difference may be chance until it comes again.".to_owned()],
            );
        }
        if !caveats.notes.is_empty() {
            page::news(markup, News::Warning, "To be read with care", &caveats.notes);
        }
    }

    fn draw_runs(&self, markup: &mut Markup) {
        let facts: Vec<(String, String)> =
            self.runs.iter().map(|run| (format!("{}  {}", run.letter, run.file), run.line())).collect();
        let facts: Vec<(&str, String)> =
            facts.iter().map(|(name, line)| (name.as_str(), line.clone())).collect();
        page::facts(markup, &facts);
    }

    fn draw_workloads(&self, markup: &mut Markup) {
        let mut fields: Vec<&String> = self.runs.iter().flat_map(|run| run.past.config.keys()).collect();
        fields.sort_unstable();
        fields.dedup();
        let said = |run: &Run, field: &str| run.past.asked(field).unwrap_or_else(|| "–".to_owned());
        let row = |field: &String| {
            let values = self.runs.iter().map(|run| said(run, field));
            std::iter::once(field.clone()).chain(values).collect()
        };
        let letters: Vec<String> = self.runs.iter().map(|run| run.letter.to_string()).collect();
        let heads: Vec<&str> = std::iter::once("").chain(letters.iter().map(String::as_str)).collect();
        page::table(markup, &heads, &fields.into_iter().map(row).collect::<Vec<_>>());
    }

    fn draw_figures(&self, markup: &mut Markup) {
        let mut heads = vec![String::new()];
        for (at, run) in self.runs.iter().enumerate() {
            heads.push(run.letter.to_string());
            heads.extend((at > 0).then(|| format!("{}/A", run.letter)));
        }
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let row = |Sum { name, digits, figures }: Sum| {
            let mut cells = vec![name.replace(" us", " µs")];
            for (at, &figure) in figures.iter().enumerate() {
                cells.push(figure_text(figure, digits));
                cells.extend((at > 0).then(|| told(figures::ratio(figure, figures[0]), 2)));
            }
            cells
        };
        page::table(markup, &heads, &figures::sums(&self.runs).into_iter().map(row).collect::<Vec<_>>());
        markup.within("div", &[("class", &"scroll")], |scroll| {
            scroll.within("table", &[("class", &"figures")], |table| {
                table.within("tr", &[], |row| {
                    ["", ""].iter().for_each(|head| row.leaf("th", &[("scope", &"col")], head));
                    COLUMNS
                        .iter()
                        .for_each(|head| row.leaf("th", &[("scope", &"col")], head.replace("us", "µs")));
                });
                figures::blocks(&self.runs).iter().for_each(|block| draw_block(table, block));
            });
        });
    }

    fn draw_spectra(&self, markup: &mut Markup) {
        let mut names: Vec<&str> = Vec::new();
        for row in self.runs.iter().flat_map(|run| &run.past.operations) {
            if row.name != "all" && !names.contains(&row.name.as_str()) {
                names.push(&row.name);
            }
        }
        let all = self.tails("all", Latencies::Corrected);
        let service = self.tails("all", Latencies::Service);
        let Some(y) = tail::axis_of(&[all.as_slice(), &service].concat()) else {
            return markup.leaf("p", &[], "None of the reports has the curve of its latencies.");
        };
        tail::chart("All operations", Size::Wide, &all, &y).draw(markup);
        if service.iter().any(|tail| !tail.spectrum.is_empty()) {
            let title = "All operations, from when requests left (service time)";
            tail::chart(title, Size::Wide, &service, &y).draw(markup);
        }
        markup.within("div", &[("class", &"charts")], |charts| {
            for name in names {
                let tails = self.tails(name, Latencies::Corrected);
                let y = tail::axis_of(&tails);
                y.into_iter().for_each(|y| tail::chart(name, Size::Half, &tails, &y).draw(charts));
            }
        });
        for run in
            self.runs.iter().filter(|run| run.past.operations.iter().all(|row| row.spectrum_us.is_empty()))
        {
            markup.leaf(
                "p",
                &[("class", &"note")],
                format_args!("{} has no curve of its latencies.", run.letter),
            );
        }
    }

    fn tails(&self, operation: &str, which: Latencies) -> Vec<Tail<'_>> {
        let tail = |(at, run): (usize, &'_ Run)| {
            let row = self.runs[at].past.operation(operation)?;
            let (spectrum, max_us) = match which {
                Latencies::Corrected => (&row.spectrum_us, row.latency_us.max),
                Latencies::Service => (row.service_spectrum_us.as_ref()?, row.service_us?.max),
            };
            let (name, tone) = (run.letter.to_string(), tone_of(at));
            Some(Tail { name, tone, dashed: false, spectrum, max_us })
        };
        self.runs.iter().enumerate().filter_map(tail).collect()
    }

    fn draw_series(&self, markup: &mut Markup) {
        let end_s =
            self.runs.iter().filter_map(|run| run.past.series.last()).map(|row| row.at_s).fold(0.0, f64::max);
        let curves = |value: fn(&Second) -> f64| -> Vec<Curve> {
            let curve = |(at, run): (usize, &Run)| {
                Curve::line(&run.letter.to_string(), tone_of(at), thinned(&run.past.series, value))
            };
            self.runs.iter().enumerate().map(curve).collect()
        };
        let chart = |title: &str, y, curves| Chart {
            title: title.to_owned(),
            size: Size::Low,
            x: Axis::time(end_s),
            y,
            curves,
            hints: Vec::new(),
        };
        let rates = curves(|row| row.answers_per_s);
        let max = rates.iter().flat_map(|curve| &curve.points).map(|&(_, rate)| rate).fold(0.0, f64::max);
        let y = Axis::amounts(max, "answers a second", |rate| human::grouped(rate as u64));
        chart("Answers a second", y, rates).draw(markup);
        let latencies = curves(|row| row.p99_us);
        let values = latencies.iter().flat_map(|curve| curve.points.iter().map(|&(_, us)| us));
        if let Some(y) = Axis::latencies(values, "latency") {
            chart("What 99 % of each second’s answers kept to", y, latencies).draw(markup);
        }
    }
}

/// Which latencies of an open loop.
#[derive(Clone, Copy)]
enum Latencies {
    /// From when requests were meant to leave.
    Corrected,
    /// From when they left.
    Service,
}

/// The colour of a run in all charts.
const fn tone_of(at: usize) -> Tone {
    // The first tone is that of text; curves that are to be told apart begin behind it.
    [Tone(2), Tone(3), Tone(4), Tone(1), Tone(5), Tone(7), Tone(6), Tone(0)][at % 8]
}

fn draw_block(table: &mut Markup, block: &figures::Block) {
    for (at, line) in block.lines.iter().enumerate() {
        let (class, digits) = match line.says {
            Says::Own if at == 0 => ("first", 0),
            Says::Own => ("own", 0),
            Says::Ratio => ("ratio", 2),
        };
        table.within("tr", &[("class", &class)], |row| {
            row.leaf("th", &[("scope", &"row")], if at == 0 { &block.name } else { "" });
            row.leaf("th", &[("scope", &"row")], &line.label);
            for (column, &figure) in line.figures.iter().enumerate() {
                let digits = if digits == 0 && column > 0 { 1 } else { digits };
                row.leaf("td", &[], figure_text(figure, digits));
            }
        });
    }
}

/// A figure with commas where it has no digits behind its point.
fn figure_text(figure: Option<f64>, digits: usize) -> String {
    match figure {
        Some(figure) if digits == 0 && figure >= 0.0 => human::grouped(figure.round() as u64),
        figure => told(figure, digits),
    }
}

/// The seconds of a run as points, the worst of several where there are too many to be drawn.
fn thinned(rows: &[Second], value: fn(&Second) -> f64) -> Vec<(f64, f64)> {
    let each = rows.len().div_ceil(POINTS_MAX).max(1);
    let point = |rows: &[Second]| Some((rows.last()?.at_s, rows.iter().map(value).fold(0.0, f64::max)));
    rows.chunks(each).filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    use crate::compare::past::tests::{old_report, parsed};
    use crate::page::tests::{assert_self_contained, assert_well_formed};

    fn page(trees: &[Value]) -> String {
        let page = Compared::new(trees.iter().map(|tree| ("a <b>.json".to_owned(), parsed(tree)))).page();
        assert_well_formed(&page);
        assert_self_contained(&page);
        assert!(!page.contains("NaN"), "every figure is a number");
        page
    }

    fn with_curves() -> Value {
        let mut tree = old_report();
        for at in [0, 1] {
            tree["operations"][at]["spectrum_us"] = json!([[0, 50.0], [50, 100.0], [90, 200.0], [99, 400.0]]);
        }
        tree["series"] = json!([
            {"at_s": 1.0, "answers_per_s": 100.0, "p99_us": 300.0},
            {"at_s": 2.0, "answers_per_s": 0.0, "p99_us": 0.0},
            {"at_s": 3.0, "answers_per_s": 100.0, "p99_us": 400.0},
        ]);
        tree
    }

    #[test]
    fn curves_of_all_runs_lie_over_each_other() {
        let page = page(&[with_curves(), with_curves(), with_curves()]);
        for part in
            ["A, B, C: the same workload", "All operations", "Second by second", "class=\"line t3\"", "C/A"]
        {
            assert!(page.contains(part), "{part}");
        }
        assert!(page.contains("a &lt;b&gt;.json"));
    }

    #[test]
    fn a_report_without_curves_is_compared_and_told() {
        let page = page(&[old_report(), with_curves()]);
        assert!(page.contains("A has no curve of its latencies.") && !page.contains("B has no curve"));
        assert!(self::page(&[old_report(), old_report()]).contains("None of the reports has the curve"));
    }

    #[test]
    fn what_speaks_against_it_comes_first() {
        let mut other = with_curves();
        other["config"]["connections"] = json!(1);
        other["conclusion"] = json!("<wrong>");
        other["format"] = json!(2);
        let page = page(&[with_curves(), other]);
        let figures = page.find("<h2>Figures").expect("there are figures");
        for part in ["Not the same workload", "B ended as &lt;wrong&gt;", "B has format 2", "64 (A), 1 (B)"] {
            assert!(page.find(part).is_some_and(|at| at < figures), "{part}");
        }
        assert!(!page.contains("the same workload, each"));
    }

    #[test]
    fn seconds_of_long_runs_keep_their_worst() {
        let row = |at: u32| Second { at_s: f64::from(at), answers_per_s: 1.0, p99_us: f64::from(at % 10) };
        let rows: Vec<Second> = (1..=1800).map(row).collect();
        let points = thinned(&rows, |row| row.p99_us);
        assert_eq!((points.len(), points[0], points[2]), (600, (3.0, 3.0), (9.0, 9.0)));
        assert!(thinned(&[], |row| row.p99_us).is_empty());
    }
}
