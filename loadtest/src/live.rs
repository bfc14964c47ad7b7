//! The view of a run while it goes on: a block on a terminal, lines elsewhere.
//!
//! The block is drawn over each second. A line comes every few seconds, so that a log of a
//! long run stays short and that of a short one empty. Nothing else is written to the same
//! place while a run goes on.

use std::io::{self, Write};
use std::time::Duration;

use crate::human::{grouped, micros};
use crate::series::Row;

/// How many seconds pass between two lines.
const LINE_PERIOD_S: u64 = 5;

/// Characters of the bar.
const BAR_LEN: usize = 30;

/// How a run goes on, told about once a second.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Since the run began.
    pub elapsed: Duration,
    /// How long it is to load.
    pub duration: Duration,
    /// Answers so far.
    pub answers: u64,
    /// Wrong ones so far, lost connections included.
    pub wrong: u64,
    /// The second that is just over; none while the population is being made.
    pub row: Option<Row>,
}

/// Where and how a run is shown.
pub struct Live<W> {
    out: W,
    terminal: bool,
    /// Lines of the block that is to be drawn over.
    drawn: usize,
    /// Errors and dropped requests so far.
    sums: (u64, u64),
    /// Seconds shown so far.
    seconds: u64,
}

impl<W: Write> Live<W> {
    /// A view that has shown nothing yet.
    pub fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal, drawn: 0, sums: (0, 0), seconds: 0 }
    }

    /// Shows how the run goes on.
    pub fn show(&mut self, standing: &Standing) -> io::Result<()> {
        if let Some(row) = &standing.row {
            self.sums = (self.sums.0 + row.errors, self.sums.1 + row.dropped);
        }
        self.seconds += 1;
        if self.terminal {
            self.draw(standing)
        } else if self.seconds.is_multiple_of(LINE_PERIOD_S) {
            writeln!(self.out, "{}", line(standing))
        } else {
            Ok(())
        }
    }

    fn draw(&mut self, standing: &Standing) -> io::Result<()> {
        let lines = self.block(standing);
        if self.drawn > 0 {
            // Up to the block's first line, and everything from there on goes.
            write!(self.out, "\x1b[{}A\x1b[J", self.drawn)?;
        }
        self.drawn = lines.len();
        for line in lines {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }

    fn block(&self, standing: &Standing) -> Vec<String> {
        let Standing { answers, wrong, .. } = *standing;
        let (errors, dropped) = self.sums;
        let counts =
            format!("{} answers, {wrong} wrong, {errors} errors, {dropped} dropped", grouped(answers));
        match &standing.row {
            None => vec![format!("making sessions, {:.0} s", standing.elapsed.as_secs_f64()), counts],
            Some(row) => vec![bar(row.at_s, standing.duration), figures(row), counts],
        }
    }
}

fn line(standing: &Standing) -> String {
    match &standing.row {
        None => {
            format!("{:.0} s  making sessions, {} answers", standing.elapsed.as_secs_f64(), standing.answers)
        }
        Some(row) => format!("{:.0} s  {}  {} wrong", row.at_s, figures(row), standing.wrong),
    }
}

fn figures(row: &Row) -> String {
    format!(
        "{:>9}/s  p50 {}  p99 {}  p99.9 {}  max {}",
        grouped(row.answers_per_s as u64),
        micros(row.p50_us),
        micros(row.p99_us),
        micros(row.p99_9_us),
        micros(row.max_us),
    )
}

fn bar(at_s: f64, duration: Duration) -> String {
    let whole_s = duration.as_secs_f64().max(at_s);
    let filled = (at_s / whole_s * BAR_LEN as f64) as usize;
    debug_assert!(filled <= BAR_LEN, "the bar is full at the end");
    format!("[{}{}] {at_s:.0} of {whole_s:.0} s", "=".repeat(filled), " ".repeat(BAR_LEN - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = Row {
        at_s: 3.0,
        answers_per_s: 151_234.0,
        p50_us: 310.0,
        p99_us: 1250.0,
        p99_9_us: 12_345.0,
        max_us: 2_500_000.0,
        wrong: 0,
        errors: 2,
        dropped: 5,
    };

    const STANDING: Standing = Standing {
        elapsed: Duration::from_secs(4),
        duration: Duration::from_secs(10),
        answers: 1_234_567,
        wrong: 1,
        row: Some(ROW),
    };

    fn shown(terminal: bool, times: usize) -> String {
        let mut live = Live::new(Vec::new(), terminal);
        (0..times).for_each(|_| live.show(&STANDING).unwrap());
        String::from_utf8(live.out).unwrap()
    }

    #[test]
    fn a_terminal_gets_one_block_that_is_drawn_over() {
        let text = shown(true, 2);
        assert_eq!(text.matches("\x1b[3A\x1b[J").count(), 1, "{text:?}");
        let block = text.rsplit('J').next().unwrap();
        assert_eq!(
            block,
            "[=========                     ] 3 of 10 s\n  151,234/s  p50 310 us  p99 1.25 ms  p99.9 12.3 ms  max 2.50 s\n\
             1,234,567 answers, 1 wrong, 4 errors, 10 dropped\n"
        );
    }

    #[test]
    fn elsewhere_a_line_comes_every_few_seconds() {
        assert_eq!(shown(false, 4), "");
        assert_eq!(
            shown(false, 9),
            "3 s    151,234/s  p50 310 us  p99 1.25 ms  p99.9 12.3 ms  max 2.50 s  1 wrong\n"
        );
        assert_eq!(shown(false, 10).lines().count(), 2);
    }

    #[test]
    fn the_making_of_the_population_is_shown_as_such() {
        let mut live = Live::new(Vec::new(), true);
        live.show(&Standing { row: None, ..STANDING }).unwrap();
        live.show(&STANDING).unwrap();
        let text = String::from_utf8(live.out).unwrap();
        assert!(text.starts_with("making sessions, 4 s\n") && text.contains("\x1b[2A"), "{text:?}");
    }
}
