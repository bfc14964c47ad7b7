//! The comparison as a page: ratios with each round's point, then the figures behind them.
//!
//! A median hides whether its rounds agree, so every round is a dot, and the rounds in their
//! order tell a drift from a scatter. Ratios come first: they are what a shared machine
//! disturbs least; in an open loop, tails follow. Pure; charts are those of all pages.

use std::io::{self, Write};

use super::figures::{Comparison, Config, FLOOR, Round, Row, Skipped, Spread};
use super::open::{OpenRow, Tails};
use crate::human;
use crate::page::chart::{Chart, Curve, Size, Tone};
use crate::page::dots::{self, Dots};
use crate::page::markup::Markup;
use crate::page::scale::Axis;
use crate::page::tail::{self, Tail};
use crate::page::{self, News};

/// What is drawn of every round.
struct Shown {
    title: &'static str,
    label: &'static str,
    value: fn(&Round) -> Option<f64>,
    text: fn(f64) -> String,
    /// What the values are held against.
    level: Option<f64>,
}

/// The charts of rounds, the most telling one first.
const SHOWN: [Shown; 7] = [
    Shown {
        title: "Server CPU time a request, as a ratio to the raw loop in the same round",
        label: "times the raw loop",
        value: |round| round.ratio,
        text: human::three_digits,
        level: Some(1.0),
    },
    Shown {
        title: "Server CPU time a request",
        label: "µs",
        value: |round| Some(round.cpu_us),
        text: human::three_digits,
        level: None,
    },
    Shown {
        title: "Answers a second",
        label: "answers a second",
        value: |round| Some(round.per_s),
        text: |rate| human::grouped(rate.round() as u64),
        level: None,
    },
    Shown {
        title: "What 99 % of the answers of a round kept to",
        label: "µs",
        value: |round| Some(round.p99_us),
        text: human::three_digits,
        level: None,
    },
    Shown {
        title: "What 99.9 % of the answers of a round kept to",
        label: "µs",
        value: |round| round.open.as_ref().map(|open| open.latency_us.p99_9),
        text: human::three_digits,
        level: None,
    },
    Shown {
        title: "The longest latency of a round",
        label: "µs",
        value: |round| round.open.as_ref().map(|open| open.latency_us.max),
        text: human::three_digits,
        level: None,
    },
    Shown {
        title: "What 99 % of the reads of a round kept to",
        label: "µs",
        value: |round| round.open.as_ref().and_then(|open| open.read_us).map(|read| read.p99),
        text: human::three_digits,
        level: None,
    },
];

impl Comparison {
    /// Writes the page.
    pub fn write_html(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.page().as_bytes())
    }

    fn page(&self) -> String {
        let open = self.config.rate.map(|rate| format!(", open loop at {rate}")).unwrap_or_default();
        page::page(&format!("Servers side by side{open}"), &self.machine.line(), |body| {
            self.draw_news(body);
            page::section(body, "Figures", |section| self.draw_table(section));
            if self.open_rows().next().is_some() {
                page::section(body, "Tails", |section| self.draw_tails(section));
            }
            page::section(body, "Every round", |section| self.draw_rounds(section));
            page::section(body, "Latency spectra", |section| self.draw_spectra(section));
            page::section(body, "What was run", |section| page::facts(section, &self.facts()));
        })
    }

    fn draw_news(&self, markup: &mut Markup) {
        let failed =
            self.rows.iter().filter_map(|row| Some(format!("{}: {}", row.name, row.failed.as_ref()?)));
        let absent = |failed: bool| {
            let skipped = self.skipped.iter().filter(move |skipped| skipped.failed == failed);
            skipped.map(|Skipped { name, reason, .. }| format!("{name} takes no part: {reason}"))
        };
        let failed: Vec<String> = failed.chain(absent(true)).collect();
        if !failed.is_empty() {
            page::news(markup, News::Bad, "Not everybody answered right", &failed);
        } else if self.rounds == 0 {
            page::news(markup, News::Bad, "Nothing was measured", &[]);
        } else {
            let head = format!("All answered right, in {} rounds", self.rounds);
            page::news(markup, News::Good, head, &absent(false).collect::<Vec<_>>());
        }
        let mut cautions = Vec::new();
        if self.disturbed {
            let text = "Other programs used these CPUs: trust no single time, and ratios by their spread.";
            cautions.push(text.to_owned());
        }
        let limited = self.rows.iter().filter_map(|row| Some((row.name, row.limited.as_ref()?)));
        cautions.extend(limited.map(|(name, reason)| format!("{name}: no valid measurement {reason}.")));
        if self.machine.debug_build {
            cautions.push("This is a debug build: the figures mean nothing.".to_owned());
        }
        if !cautions.is_empty() {
            page::news(markup, News::Warning, "To be read with care", &cautions);
        }
    }

    fn draw_table(&self, markup: &mut Markup) {
        let heads = [
            "",
            "version",
            "CPU µs",
            "x raw (min to max)",
            "answers/s",
            "p50 µs",
            "p99",
            "p99.9",
            "server busy",
            "load busy",
        ];
        page::table(markup, &heads, &self.rows.iter().map(cells).collect::<Vec<_>>());
        for row in self.rows.iter().filter(|row| self.is_unlike_floor(row)) {
            let note =
                format!("{} gets reads only, so it has no ratio to the raw loop under this mix.", row.name);
            markup.leaf("p", &[("class", &"note")], note);
        }
        let note = "Medians over the rounds. CPU time is the server’s, a request; busy is the share of the time on its CPU.";
        markup.leaf("p", &[("class", &"note")], note);
    }

    fn draw_tails(&self, markup: &mut Markup) {
        let heads = [
            "",
            "p50 µs (min to max)",
            "p99",
            "p99.9",
            "max",
            "dropped",
            "left late, p99 µs",
            "p99.9",
            "valid",
        ];
        let cells = |(row, open): (&Row, &OpenRow)| {
            let late = |lag: Option<Spread>| lag.map_or_else(|| "–".to_owned(), |lag| spread_text(&lag));
            let valid = if row.limited.is_some() { "no" } else { "yes" };
            let (p99, p99_9) = (late(open.lag_p99_us), late(open.lag_p99_9_us));
            let rest = [human::grouped(open.dropped), p99, p99_9, valid.to_owned()];
            tail_cells(row, &open.latency_us).chain(rest).collect::<Vec<String>>()
        };
        page::table(markup, &heads, &self.open_rows().map(cells).collect::<Vec<_>>());
        let note = "Medians over the rounds, in brackets the least and the most. Latencies count from when a request was meant to leave; dropped requests, for which no connection came free in time, are among them with the time that they had waited.";
        markup.leaf("p", &[("class", &"note")], note);
        let reads = self.open_rows().filter_map(|(row, open)| Some((row, open.read_us?)));
        let rows: Vec<Vec<String>> =
            reads.map(|(row, read_us)| tail_cells(row, &read_us).collect()).collect();
        page::table(markup, &["reads alone", "p50 µs (min to max)", "p99", "p99.9", "max"], &rows);
        let note = "A change may wait for a disk by promise, a read does not.";
        markup.leaf("p", &[("class", &"note")], note);
    }

    fn draw_rounds(&self, markup: &mut Markup) {
        let charts: Vec<Dots> = SHOWN.iter().filter_map(|shown| self.dots(shown)).collect();
        if charts.is_empty() {
            return markup.leaf("p", &[], "No round was measured.");
        }
        charts.iter().for_each(|dots| dots.draw(markup));
        self.drift().into_iter().for_each(|chart| chart.draw(markup));
        let note = "A dot is a round, the upright mark their median. Where the dots of two rows overlap, see them round by round before telling them apart.";
        markup.leaf("p", &[("class", &"note")], note);
    }

    fn dots(&self, shown: &Shown) -> Option<Dots> {
        let mut rows = Vec::with_capacity(self.rows.len());
        let mut most = 0.0_f64;
        for (at, row) in self.rows.iter().enumerate() {
            let values: Vec<f64> = row.rounds.iter().filter_map(shown.value).collect();
            let Some(Spread { median, min, max }) = Spread::of(values.iter().copied()) else { continue };
            most = most.max(max);
            let [middle, least, largest] = [median, min, max].map(shown.text);
            let text = format!("{middle} ({least} to {largest})");
            rows.push(dots::Row { name: row.name.to_owned(), tone: tone_of(at), values, median, text });
        }
        let axis = Axis::amounts(most, shown.label, human::amount);
        (!rows.is_empty()).then(|| Dots { title: shown.title.to_owned(), axis, level: shown.level, rows })
    }

    /// The ratios in the order of the rounds; none of too few rounds to have one.
    fn drift(&self) -> Option<Chart> {
        let curve = |(at, row): (usize, &Row)| {
            let points =
                row.rounds.iter().filter_map(|round| Some((f64::from(round.number + 1), round.ratio?)));
            Curve::line(row.name, tone_of(at), points.collect())
        };
        // The raw loop's own ratio is 1 in each of them.
        let measured =
            self.rows.iter().enumerate().filter(|(_, row)| row.name != FLOOR && row.ratio.is_some());
        let curves: Vec<Curve> = measured.map(curve).collect();
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let last = points().map(|&(number, _)| number).fold(0.0, f64::max);
        let max = points().map(|&(_, ratio)| ratio).fold(0.0, f64::max);
        (last >= 3.0).then(|| Chart {
            title: "The ratios round by round".to_owned(),
            size: Size::Low,
            x: Axis::amounts(last, "round", human::short),
            y: Axis::amounts(max, "times the raw loop", human::short),
            curves,
            hints: Vec::new(),
        })
    }

    fn draw_spectra(&self, markup: &mut Markup) {
        let tail = |(at, row): (usize, &'_ Row)| Tail {
            name: row.name.to_owned(),
            tone: tone_of(at),
            dashed: row.name == FLOOR,
            spectrum: &self.rows[at].spectrum_us,
            max_us: row.max_us,
        };
        let tails: Vec<Tail<'_>> = self.rows.iter().enumerate().map(tail).collect();
        match tail::axis_of(&tails) {
            Some(y) => tail::chart("The answers of all rounds", Size::Wide, &tails, &y).draw(markup),
            None => markup.leaf("p", &[], "There was no answer, so there is nothing to draw."),
        }
        let note = match self.config.rate {
            Some(rate) => format!("An open loop at {rate}: latency counts from when a request was meant to leave, so a stall is met by all that were due meanwhile."),
            None => "Closed loops, so a stall is met by few requests, and a server that answers faster is also asked more.".to_owned(),
        };
        markup.leaf("p", &[("class", &"note")], note);
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let Config { rounds, round_duration_s, connections, sessions, size_bytes, .. } = self.config;
        let Config { mix, short_ttl_s, rate, .. } = self.config;
        let load = rate.map(|rate| format!("open loop at {rate}, ")).unwrap_or_default();
        let mut facts = vec![
            ("command", self.command.clone()),
            ("machine", self.machine.line()),
            ("rounds", format!("{} of {rounds}, each of {round_duration_s} s", self.rounds)),
            ("load", format!("{load}{connections} connections, one request at a time on each")),
            ("sessions", format!("{sessions} a connection, of {size_bytes} bytes")),
            ("operations drawn", mix.to_string()),
        ];
        if mix.bot > 0 {
            facts.push(("TTL of bots’ sessions", format!("{short_ttl_s} s; nobody asks for them again")));
        }
        for Row { name, note, flags, .. } in &self.rows {
            let flags = if flags.is_empty() { String::new() } else { format!("; {}", flags.join(" ")) };
            facts.push((*name, format!("{note}{flags}")));
        }
        facts
    }
}

/// The colour of a contender in all charts.
const fn tone_of(at: usize) -> Tone {
    // The raw loop stands first, and apart.
    [Tone(6), Tone(2), Tone(1), Tone(4), Tone(3)][at % 5]
}

fn tail_cells<'r>(row: &'r Row, tails: &Tails) -> impl Iterator<Item = String> + use<'r> {
    std::iter::once(row.name.to_owned()).chain(tails.spreads().map(|spread| spread_text(&spread)))
}

fn spread_text(spread: &Spread) -> String {
    let [middle, least, largest] = [spread.median, spread.min, spread.max].map(human::three_digits);
    format!("{middle} ({least} to {largest})")
}

fn cells(row: &Row) -> Vec<String> {
    let median =
        |value: fn(&Round) -> f64| Spread::of(row.rounds.iter().map(value)).map(|spread| spread.median);
    let told = |value, text: fn(f64) -> String| median(value).map_or_else(|| "–".to_owned(), text);
    let ratio = row.ratio.map_or_else(
        || "–".to_owned(),
        |Spread { median, min, max }| format!("{median:.2} ({min:.2} to {max:.2})"),
    );
    vec![
        row.name.to_owned(),
        row.version.clone(),
        told(|round| round.cpu_us, human::three_digits),
        ratio,
        told(|round| round.per_s, |rate| human::grouped(rate.round() as u64)),
        told(|round| round.p50_us, human::three_digits),
        told(|round| round.p99_us, human::three_digits),
        told(|round| round.p99_9_us, human::three_digits),
        told(|round| round.server_busy, human::percent),
        told(|round| round.load_busy, human::percent),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::page::tests::{assert_self_contained, assert_well_formed};
    use crate::versus::figures::tests::{comparison, open_row, row};

    fn page(compared: &Comparison) -> String {
        let page = compared.page();
        assert_well_formed(&page);
        assert_self_contained(&page);
        assert!(!page.contains("NaN"), "every figure is a number");
        page
    }

    #[test]
    fn every_round_is_shown_and_the_spread_told() {
        let page = page(&comparison(vec![row("raw", &[5, 4, 6]), row("seshun", &[10, 10, 9])]));
        for part in [
            "All answered right, in 3 rounds",
            "2.00 (1.50 to 2.50)",
            "The ratios round by round",
            "class=\"median t2\"",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("Tails") && !page.contains("open loop"));
        assert_eq!(page.matches("class=\"dots").count(), 9, "two rows in each of four charts, and one curve");
    }

    #[test]
    fn an_open_loop_has_its_tails_and_says_who_was_not_measured() {
        let mut compared = comparison(vec![open_row("raw", &[300, 100, 200]), open_row("redis", &[500])]);
        let tails = page(&compared);
        for part in [
            "<h1>Servers side by side, open loop at 1000/s</h1>",
            "<h2>Tails</h2>",
            "200 (100 to 300)",
            "reads alone",
            "What 99.9 % of the answers of a round kept to",
            "The longest latency of a round",
            "What 99 % of the reads of a round kept to",
            "open loop at 1000/s, 64 connections",
        ] {
            assert!(tails.contains(part), "{part}");
        }
        assert!(!tails.contains("no valid measurement") && !tails.contains("Closed loops"));
        compared.rows[1].limited = Some("because it was late".to_owned());
        let limited = page(&compared);
        assert!(
            limited.contains("redis: no valid measurement because it was late.") && limited.contains(">no<")
        );
    }

    #[test]
    fn whoever_failed_or_is_missing_is_named() {
        let mut failed = row("redis", &[5]);
        failed.failed = Some("it <stopped>".to_owned());
        let mut compared = comparison(vec![row("raw", &[5]), failed]);
        compared.skipped = vec![Skipped { name: "nginx", reason: "bad flag".to_owned(), failed: true }];
        let text = page(&compared);
        assert!(text.contains("redis: it &lt;stopped&gt;") && text.contains("nginx takes no part: bad flag"));
        compared.rows.truncate(1);
        compared.skipped[0].failed = false;
        let text = page(&compared);
        assert!(text.contains("All answered right") && text.contains("nginx takes no part"));
    }

    #[test]
    fn a_comparison_without_a_round_has_a_page() {
        let page = page(&comparison(vec![row("raw", &[])]));
        assert!(page.contains("Nothing was measured") && page.contains("No round was measured."));
        assert!(!page.contains("<figure"), "no chart is empty");
    }

    #[test]
    fn without_the_raw_loop_there_are_no_ratios_to_draw() {
        let page = page(&comparison(vec![row("seshun", &[5, 6, 7])]));
        assert!(!page.contains("as a ratio to the raw loop") && page.contains("Answers a second"));
    }
}
