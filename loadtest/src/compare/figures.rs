//! The figures of several runs, line by line: each run's, and its ratio to the first one's.
//!
//! Pure, and the same for the text and the page. A ratio is left out where one of the two is
//! missing or nothing: half of nothing would be a claim.

use super::Run;
use super::past::Operation;
use crate::stats::Percentiles;

/// The columns of an operation: answers a second, and latencies in microseconds.
pub const COLUMNS: [&str; 6] = ["a second", "p50 us", "p90", "p99", "p99.9", "max"];

/// What a line says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    /// The run's own figures.
    Own,
    /// They are ratios to those of the first run.
    Ratio,
}

/// A line of a block.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// `A`, or `B/A`.
    pub label: String,
    /// What the figures are.
    pub says: Says,
    /// A figure a column; none where there is none.
    pub figures: [Option<f64>; COLUMNS.len()],
}

/// The lines about one operation.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// Its name.
    pub name: String,
    /// Each run's line and, but for the first, that of its ratios.
    pub lines: Vec<Line>,
}

/// One figure of all runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Sum {
    /// What it is.
    pub name: &'static str,
    /// Digits behind its point.
    pub digits: usize,
    /// A figure a run; none where a run does not have it.
    pub figures: Vec<Option<f64>>,
}

/// The operations that any of the runs has answers of.
pub fn blocks(runs: &[Run]) -> Vec<Block> {
    let mut names: Vec<&str> = Vec::new();
    for row in runs.iter().flat_map(|run| &run.past.operations) {
        if row.count > 0 && !names.contains(&row.name.as_str()) {
            names.push(&row.name);
        }
    }
    // The sum stays last, whatever another run has beyond the first one's operations.
    names.sort_by_key(|name| *name == "all");
    let of = |name: &str| blocks_of(runs, name);
    names.into_iter().flat_map(of).collect()
}

/// The block of an operation and, where runs have it, that of the latencies from leaving.
fn blocks_of(runs: &[Run], name: &str) -> Vec<Block> {
    let corrected = |row: &Operation| figures(row, Some(row.latency_us));
    let service = |row: &Operation| figures(row, row.service_us);
    let has_service =
        runs.iter().any(|run| run.past.operation(name).is_some_and(|row| row.service_us.is_some()));
    let mut blocks =
        vec![block(runs, name.to_owned(), |run| run.past.operation(name).map_or([None; 6], corrected))];
    if name == "all" && has_service {
        let name = "all, from leaving".to_owned();
        blocks.push(block(runs, name, |run| run.past.operation("all").map_or([None; 6], service)));
    }
    blocks
}

fn figures(row: &Operation, percentiles: Option<Percentiles>) -> [Option<f64>; COLUMNS.len()] {
    // No answer, no figures: their zeros are not a latency.
    let Some(percentiles) = percentiles.filter(|_| row.count > 0) else { return [None; 6] };
    let Percentiles { p50, p90, p99, p99_9, max } = percentiles;
    [row.per_s, p50, p90, p99, p99_9, max].map(Some)
}

fn block(runs: &[Run], name: String, figures_of: impl Fn(&Run) -> [Option<f64>; COLUMNS.len()]) -> Block {
    let base = runs.first().map_or([None; 6], &figures_of);
    let mut lines = Vec::with_capacity(runs.len() * 2);
    for (at, run) in runs.iter().enumerate() {
        let figures = figures_of(run);
        lines.push(Line { label: run.letter.to_string(), says: Says::Own, figures });
        if at > 0 {
            let ratios = std::array::from_fn(|column| ratio(figures[column], base[column]));
            lines.push(Line { label: format!("{}/A", run.letter), says: Says::Ratio, figures: ratios });
        }
    }
    debug_assert_eq!(lines.len(), (runs.len() * 2).saturating_sub(1), "the first one has no ratio");
    Block { name, lines }
}

/// How often `base` goes into `value`.
pub fn ratio(value: Option<f64>, base: Option<f64>) -> Option<f64> {
    let (value, base) = (value?, base.filter(|&base| base > 0.0)?);
    Some(value / base)
}

/// What there is one figure of in a run; those that no run has are left out.
pub fn sums(runs: &[Run]) -> Vec<Sum> {
    let sum = |name, digits, figure: &dyn Fn(&Run) -> Option<f64>| Sum {
        name,
        digits,
        figures: runs.iter().map(figure).collect(),
    };
    let errors = |run: &Run| run.past.errors.iter().map(|row| row.count).sum::<u64>() as f64;
    let generator = |run: &Run| run.past.generator.as_ref().and_then(|generator| generator.cpu_share);
    let sums = [
        sum("answers a second", 0, &|run| Some(run.past.rates.answers_per_s)),
        sum("wrong answers", 0, &|run| Some(run.past.totals.wrong as f64)),
        sum("refusals, errors", 0, &|run| Some(errors(run))),
        sum("dropped", 0, &|run| Some(run.past.totals.dropped as f64)),
        sum("server CPU us a request", 2, &|run| run.past.server.map(|server| server.cpu_us_per_request)),
        sum("server resident mb", 1, &|run| {
            run.past.server.map(|server| server.resident_bytes / 1_048_576.0)
        }),
        sum("generator busy %", 0, &|run| generator(run).map(|share| share * 100.0)),
    ];
    sums.into_iter().filter(|sum| sum.figures.iter().any(Option::is_some)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::compare::past::tests::{old_report, parsed};

    fn runs() -> Vec<Run> {
        let mut faster = old_report();
        faster["rates"]["answers_per_s"] = json!(150.0);
        faster["operations"][0]["latency_us"]["p99"] = json!(200.0);
        faster["operations"][0]["per_s"] = json!(150.0);
        faster["server"] = json!({"cpu_us_per_request": 4.5, "resident_bytes": 2_097_152});
        let run = |letter, tree| Run { letter, file: "a.json".to_owned(), past: parsed(tree) };
        vec![run('A', &old_report()), run('B', &faster)]
    }

    #[test]
    fn each_run_has_a_line_and_all_but_the_first_their_ratios() {
        let blocks = blocks(&runs());
        let names: Vec<&str> = blocks.iter().map(|block| block.name.as_str()).collect();
        assert_eq!(names, ["read", "all"]);
        let labels: Vec<&str> = blocks[0].lines.iter().map(|line| line.label.as_str()).collect();
        assert_eq!(labels, ["A", "B", "B/A"]);
        let ratios = blocks[0].lines[2].figures;
        assert_eq!(ratios, [1.5, 1.0, 1.0, 0.5, 1.0, 1.0].map(Some));
    }

    #[test]
    fn an_operation_that_only_one_run_has_is_there_without_ratios() {
        let mut runs = runs();
        let mut create = runs[1].past.operations[0].clone();
        create.name = "create".to_owned();
        runs[1].past.operations.push(create);
        let blocks = blocks(&runs);
        let names: Vec<&str> = blocks.iter().map(|block| block.name.as_str()).collect();
        assert_eq!(names, ["read", "create", "all"]);
        assert_eq!((blocks[1].lines[0].figures[0], blocks[1].lines[2].figures[0]), (None, None));
        assert_eq!(blocks[1].lines[1].figures[0], Some(150.0));
    }

    #[test]
    fn what_was_never_answered_has_no_figures() {
        let mut runs = runs();
        for run in &mut runs {
            run.past.operations[0].count = 0;
        }
        assert_eq!(blocks(&runs).len(), 1, "the sum alone");
    }

    #[test]
    fn open_loops_also_show_what_the_server_took() {
        let mut runs = runs();
        for run in &mut runs {
            let all = run.past.operations.last_mut().unwrap();
            all.service_us = Some(Percentiles { p50: 10.0, ..all.latency_us });
        }
        let blocks = blocks(&runs);
        let last = blocks.last().unwrap();
        assert_eq!((last.name.as_str(), last.lines[1].figures[1]), ("all, from leaving", Some(10.0)));
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        let table = [
            (Some(2.0), Some(4.0), Some(0.5)),
            (Some(0.0), Some(4.0), Some(0.0)),
            (Some(2.0), Some(0.0), None),
            (None, Some(1.0), None),
            (Some(1.0), None, None),
        ];
        for (value, base, expected) in table {
            assert_eq!(ratio(value, base), expected, "{value:?} to {base:?}");
        }
    }

    #[test]
    fn sums_are_those_that_any_run_has() {
        let sums = sums(&runs());
        let named = |name: &str| sums.iter().find(|sum| sum.name == name).map(|sum| sum.figures.clone());
        assert_eq!(named("answers a second"), Some(vec![Some(100.0), Some(150.0)]));
        assert_eq!(named("server CPU us a request"), Some(vec![None, Some(4.5)]));
        assert_eq!(named("generator busy %"), None);
    }
}
