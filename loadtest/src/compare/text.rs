//! The comparison for people: who is who, a table, and what speaks against it.
//!
//! What speaks against it comes last and in capitals, where it is seen.

use std::io::{self, Write};

use super::caveats::all_letters;
use super::figures::{self, Block, COLUMNS, Line, Says, Sum};
use super::{Compared, Run};

impl Compared {
    /// Writes the text.
    pub fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        self.runs.iter().try_for_each(|run| writeln!(out, "{}  {}: {}", run.letter, run.file, run.line()))?;
        self.write_sums(out)?;
        write!(out, "\n{:<18}{:>5}", "", "")?;
        for (at, column) in COLUMNS.iter().enumerate() {
            write!(out, "{column:>width$}", width = width_of(at))?;
        }
        writeln!(out)?;
        figures::blocks(&self.runs).iter().try_for_each(|block| write_block(out, block))?;
        self.write_caveats(out)
    }

    fn write_sums(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "\n{:<26}", "")?;
        for (at, run) in self.runs.iter().enumerate() {
            write!(out, "{:>12}", run.letter)?;
            if at > 0 {
                write!(out, "{:>8}", format!("{}/A", run.letter))?;
            }
        }
        writeln!(out)?;
        for Sum { name, digits, figures } in figures::sums(&self.runs) {
            write!(out, "{name:<26}")?;
            for (at, &figure) in figures.iter().enumerate() {
                write!(out, "{:>12}", told(figure, digits))?;
                if at > 0 {
                    write!(out, "{:>8}", told(figures::ratio(figure, figures[0]), 2))?;
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn write_caveats(&self, out: &mut impl Write) -> io::Result<()> {
        let caveats = &self.caveats;
        writeln!(out)?;
        caveats.notes.iter().try_for_each(|note| writeln!(out, "note: {note}"))?;
        let loud = [
            ("NOT THE SAME WORKLOAD", &caveats.workload),
            ("NO VALID MEASUREMENT", &caveats.invalid),
            ("OTHER FORMATS", &caveats.formats),
        ];
        for (head, reasons) in loud {
            reasons.iter().try_for_each(|reason| writeln!(out, "{head}: {reason}"))?;
        }
        let all = all_letters(&self.runs);
        if caveats.is_comparable() {
            writeln!(
                out,
                "{all}: the same workload, each a valid measurement; one run each, so a difference may be chance"
            )
        } else {
            writeln!(out, "{all}: NOT TO BE COMPARED AS THEY STAND")
        }
    }
}

impl Run {
    /// Which run it is, in a line.
    pub fn line(&self) -> String {
        let past = &self.past;
        let asked = |field: &str| past.asked(field).unwrap_or_else(|| "?".to_owned());
        let load = match past.asked("rate").filter(|rate| rate != "none") {
            Some(rate) => format!("open loop at {rate}"),
            None => "closed loop".to_owned(),
        };
        let began = past.started_unix_ms.map_or_else(String::new, |at| format!("{at}, "));
        let (url, connections) = (asked("url"), asked("connections"));
        format!(
            "{began}{url}, {load}, {connections} connections, {:.2} s, {}",
            past.elapsed_s, past.conclusion
        )
    }
}

fn write_block(out: &mut impl Write, block: &Block) -> io::Result<()> {
    for (at, Line { label, says, figures }) in block.lines.iter().enumerate() {
        write!(out, "{:<18}{label:>5}", if at == 0 { &block.name } else { "" })?;
        for (column, &figure) in figures.iter().enumerate() {
            let digits = match says {
                Says::Ratio => 2,
                Says::Own => usize::from(column > 0),
            };
            write!(out, "{:>width$}", told(figure, digits), width = width_of(column))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn width_of(column: usize) -> usize {
    if column == 0 { 11 } else { 10 }
}

/// A figure with so many digits behind its point, or that there is none.
pub fn told(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    use crate::compare::past::tests::{old_report, parsed};

    fn text(other: &Value) -> (String, u8) {
        let named = |file: &str, tree| (file.to_owned(), parsed(tree));
        let compared = Compared::new([named("base.json", &old_report()), named("new.json", other)]);
        let mut out = Vec::new();
        compared.write_text(&mut out).unwrap();
        (String::from_utf8(out).unwrap(), compared.caveats.exit_code())
    }

    #[test]
    fn the_text_has_each_runs_figures_and_their_ratios() {
        let mut other = old_report();
        other["operations"][0]["latency_us"]["p50"] = json!(150.0);
        let (text, code) = text(&other);
        for part in [
            "A  base.json: http://a, closed loop, 64 connections, 10.00 s, passed\n",
            "answers a second                   100         100    1.00\n",
            "read                  A        100     100.0     200.0     400.0     800.0    1000.0\n",
            "                    B/A       1.00      1.50      1.00      1.00      1.00      1.00\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        assert!(text.ends_with("a difference may be chance\n") && code == 0, "{text}");
    }

    #[test]
    fn what_speaks_against_it_comes_last_and_loudly() {
        let mut other = old_report();
        other["config"]["connections"] = json!(1);
        other["conclusion"] = json!("generator_limited");
        other["format"] = json!(9);
        let (text, code) = text(&other);
        let end = "NOT THE SAME WORKLOAD: connections: 64 (A), 1 (B)\n\
                   NO VALID MEASUREMENT: B ended as generator_limited\n\
                   OTHER FORMATS: A has format 1\nOTHER FORMATS: B has format 9\n\
                   A, B: NOT TO BE COMPARED AS THEY STAND\n";
        assert!(text.ends_with(end) && code == 1, "{text}");
    }
}
