//! The report as a page: the verdict first, then all that it rests on.
//!
//! It reads from top to bottom as a sceptic asks: was it right, what was run, how fast was
//! it and in what share of cases, when, at what cost to the server, and was the generator fast
//! enough to tell. `charts` draws; what there is nothing to say about is left out.

use std::io::{self, Write};

use super::{Conclusion, Config, ErrorRow, OperationRow, Report, Totals, WrongRow};
use crate::human;
use crate::page::markup::Markup;
use crate::page::{self, News, latency};
use crate::report::charts::draw_server;
use crate::scrape::ServerSide;
use crate::stats::Percentiles;

/// A percentile with fewer answers above it than this may be another one in the next run.
const ABOVE_MIN: f64 = 10.0;

/// What a table shows of percentiles: its head, the value, and the share of answers above it.
type Shown = (&'static str, fn(&Percentiles) -> f64, f64);

/// The percentiles of the table of operations.
const SHOWN: [Shown; 5] = [
    ("p50", |percentiles| percentiles.p50, 0.5),
    ("p90", |percentiles| percentiles.p90, 0.1),
    ("p99", |percentiles| percentiles.p99, 0.01),
    ("p99.9", |percentiles| percentiles.p99_9, 0.001),
    // There always is one answer that took longest, and it is one of its kind.
    ("max", |percentiles| percentiles.max, 1.0),
];

impl Report {
    /// Writes the page.
    pub fn write_html(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(self.page().as_bytes())
    }

    fn page(&self) -> String {
        page::page(&format!("Load test of {}", self.config.url), &self.subtitle(), |body| {
            let (kind, head) = self.headline();
            page::news(body, kind, head, &self.reasons());
            let cautions = self.cautions();
            if !cautions.is_empty() {
                page::news(body, News::Warning, "To be read with care", &cautions);
            }
            self.draw_tiles(body);
            self.draw_wrong(body);
            page::section(body, "What was run", |section| page::facts(section, &self.facts()));
            page::section(body, "Operations", |section| self.draw_operations(section));
            page::section(body, "Latency spectrum", |section| self.draw_spectra(section));
            page::section(body, "Second by second", |section| self.draw_series(section));
            page::section(body, "The server’s side", |section| self.draw_server(section));
            page::section(body, "The generator", |section| self.draw_generator(section));
            if !self.errors.is_empty() {
                page::section(body, "Refusals and errors", |section| self.draw_errors(section));
            }
        })
    }

    fn subtitle(&self) -> String {
        let began =
            self.started_unix_ms.map_or_else(|| "It never began to load".to_owned(), |at| at.to_string());
        format!("{began}, loaded for {} from {}", human::seconds(self.elapsed_s), self.host.line())
    }

    /// The verdict, plainly.
    fn headline(&self) -> (News, String) {
        let is_limited = self.generator.limited.is_some();
        match self.conclusion {
            Conclusion::Passed if is_limited => (
                News::Warning,
                format!(
                    "{}; the figures are the generator’s, not the server’s",
                    sentence(&self.how_right()).trim_end_matches('.'),
                ),
            ),
            Conclusion::Passed => (News::Good, format!("Passed: {}", self.how_right())),
            Conclusion::WrongAnswers if self.totals.wrong == 1 => {
                (News::Bad, "Failed: 1 wrong answer".to_owned())
            }
            Conclusion::WrongAnswers => {
                (News::Bad, format!("Failed: {} wrong answers", human::grouped(self.totals.wrong)))
            }
            Conclusion::NothingDone => (News::Bad, "Nothing was done: no answer was right".to_owned()),
            Conclusion::TooManyRefused => {
                (News::Bad, "Failed: more was refused than --refused-max allows".to_owned())
            }
            Conclusion::Incomplete => (News::Bad, format!("Incomplete: {}", self.missing())),
            Conclusion::GeneratorLimited => {
                (News::Warning, "Not a valid measurement: the generator was the bottleneck".to_owned())
            }
        }
    }

    /// What the verdict rests on.
    fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<String> = Vec::new();
        if self.totals.wrong > 0 {
            let kinds = self.wrong.iter().map(|WrongRow { kind, count, .. }| format!("{kind}: {count}"));
            reasons.push(kinds.collect::<Vec<_>>().join(", "));
        }
        if self.conclusion == Conclusion::GeneratorLimited {
            reasons.push(sentence(&self.how_right()));
        }
        reasons.extend(self.generator.limited.iter().map(|text| sentence(text)));
        reasons
    }

    /// What the reader has to know before the figures, whatever the verdict is.
    fn cautions(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self.generator.disturbed.iter().map(|text| sentence(text)).collect();
        if self.host.debug_build {
            reasons.push("The generator is a debug build: the figures mean nothing.".to_owned());
        }
        if self.totals.dropped > 0 {
            reasons.push(format!(
                "{} requests never left, because no connection came free within a second, or by the end: \
                 counted in the row of all with the time that they had waited, and in no other row.",
                human::grouped(self.totals.dropped),
            ));
        }
        if self.totals.refused > 0 {
            reasons.push(format!(
                "{} requests were refused: those of the load count in the row of all with the time \
                 that this took, and in no other row.",
                human::grouped(self.totals.refused),
            ));
        }
        reasons
    }

    fn draw_tiles(&self, markup: &mut Markup) {
        let Totals { answers, wrong, dropped, .. } = self.totals;
        let errors: u64 = self.errors.iter().map(|row| row.count).sum();
        let mut tiles = vec![("answers a second", human::grouped(self.rates.answers_per_s.round() as u64))];
        if let Some(all) = self.operations.last().filter(|all| all.count > 0) {
            let told = SHOWN.iter().filter(|(name, ..)| *name != "p90");
            tiles.extend(told.map(|(name, value, _)| (*name, latency(value(&all.latency_us)))));
        }
        tiles.push(("answers", human::grouped(answers)));
        tiles.push(("wrong", human::grouped(wrong)));
        tiles.push(("refusals, errors", human::grouped(errors)));
        if self.config.rate.is_some() {
            tiles.push(("dropped", human::grouped(dropped)));
        }
        if let Some(server) = &self.server {
            tiles.push(("server CPU a request", latency(server.cpu_us_per_request)));
        }
        page::tiles(markup, &tiles);
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let config = &self.config;
        let mut facts = vec![("server", config.url.clone()), ("load", load(config))];
        let asked = human::seconds(config.duration_s);
        facts.push(("measured", format!("{} of {asked}", human::seconds(self.elapsed_s))));
        if let Some(profile) = &config.profile {
            facts.push(("profile", profile.clone()));
        }
        facts.push(("operations drawn", config.mix.to_string()));
        facts.push(("data", format!("{} bytes a session", config.size)));
        let Config { sessions, zipf, abandoned_percent, contested_percent, short_ttl_s, .. } = config;
        facts.push((
            "users",
            format!("{sessions} sessions a connection, drawn by Zipf’s law with exponent {zipf}"),
        ));
        facts.push((
            "of a hundred",
            format!(
                "{abandoned_percent} sessions left behind with a TTL of {short_ttl_s} s, \
                 {contested_percent} operations on sessions that other connections change too"
            ),
        ));
        if let Some(wave_s) = config.wave_s {
            facts.push(("wave", format!("short-lived sessions fall due together every {wave_s} s")));
        }
        if let Some(storm_s) = config.storm_s {
            facts.push(("storm", format!("all connections are made anew every {storm_s} s")));
        }
        facts.push(("seed", config.seed.clone()));
        let pin = config.pin.as_ref().map_or_else(String::new, |cpus| format!(", pinned to CPU {cpus}"));
        facts.push(("generator", format!("{} core(s) by {}{pin}", config.cores, config.driver)));
        facts.push(("machine", self.host.line()));
        facts.push(("made by", format!("loadtest {}, report format {}", self.version, self.format)));
        facts
    }

    fn draw_operations(&self, markup: &mut Markup) {
        let is_open = self.operations.iter().any(|row| row.service_us.is_some());
        markup.within("div", &[("class", &"scroll")], |scroll| {
            let class = if is_open { "figures tight" } else { "figures" };
            scroll.within("table", &[("class", &class)], |table| {
                if is_open {
                    table.within("tr", &[], |row| {
                        row.leaf("th", &[("colspan", &3)], "");
                        row.leaf("th", &[("colspan", &5)], "from when it was meant to leave (corrected)");
                        row.leaf("th", &[("colspan", &5)], "from when it left (service time)");
                    });
                }
                table.within("tr", &[], |row| {
                    ["", "answers", "a second"]
                        .iter()
                        .for_each(|head| row.leaf("th", &[("scope", &"col")], head));
                    for _ in 0..=usize::from(is_open) {
                        SHOWN.iter().for_each(|(head, ..)| row.leaf("th", &[("scope", &"col")], head));
                    }
                });
                self.operations.iter().for_each(|row| draw_operation(table, row, is_open));
            });
        });
        let is_thin = |row: &OperationRow| SHOWN.iter().any(|&(.., above)| is_thin(row.count, above));
        if self.operations.iter().any(is_thin) {
            let note = "In italics: fewer than ten answers took longer, so that another run may well give another figure.";
            markup.leaf("p", &[("class", &"note")], note);
        }
        let note = "Gone: asked about sessions that were deleted or had expired, which must be 404.";
        markup.leaf("p", &[("class", &"note")], note);
        if self.operations.iter().any(|row| row.name == "connect") {
            let note = "Connect: how long it took to make a connection anew, which is no part of all.";
            markup.leaf("p", &[("class", &"note")], note);
        }
    }

    fn draw_server(&self, markup: &mut Markup) {
        let Some(server) = &self.server else {
            let text = "The server gave no account of itself: name its admin listener with --admin.";
            return markup.leaf("p", &[], text);
        };
        page::facts(markup, &server_facts(server));
        draw_server(markup, &server.series);
    }

    fn draw_generator(&self, markup: &mut Markup) {
        let generator = &self.generator;
        let mut facts = vec![
            ("busiest core", format!("{} of the time", human::percent(generator.cpu_share))),
            (
                "waited for its CPU",
                format!("{} of the time at most", human::percent(generator.cpu_wait_share)),
            ),
            ("CPU time an answer", latency(generator.cpu_us_per_answer)),
        ];
        if let Some(lag) = &generator.lag_us {
            let Percentiles { p50, p99, p99_9, max, .. } = *lag;
            let [p50, p99, p99_9, max] = [p50, p99, p99_9, max].map(latency);
            facts.push(("requests left late by", format!("p50 {p50}, p99 {p99}, p99.9 {p99_9}, max {max}")));
        }
        let bytes =
            |sum: u64, rate: f64| format!("{}, {} a second", human::bytes(sum as f64), human::bytes(rate));
        facts.push(("sent", bytes(self.totals.sent_bytes, self.rates.sent_bytes_per_s)));
        facts.push(("received", bytes(self.totals.received_bytes, self.rates.received_bytes_per_s)));
        let Totals { filled, swept, reconnects, borderline, .. } = self.totals;
        facts.push(("sessions made before", human::grouped(filled)));
        facts.push(("sessions removed after", human::grouped(swept)));
        facts.push(("connections made anew", human::grouped(reconnects)));
        facts.push((
            "borderline answers",
            format!("{}, too close to a deadline to tell", human::grouped(borderline)),
        ));
        page::facts(markup, &facts);
    }

    fn draw_wrong(&self, markup: &mut Markup) {
        if self.wrong.is_empty() {
            return;
        }
        page::section(markup, "Wrong answers", |section| {
            for WrongRow { kind, count, examples } in &self.wrong {
                section.leaf("h3", &[], format_args!("{kind}: {}", human::grouped(*count)));
                examples.iter().for_each(|example| section.leaf("p", &[("class", &"example")], example));
            }
        });
    }

    fn draw_errors(&self, markup: &mut Markup) {
        let row = |ErrorRow { kind, count }: &ErrorRow| vec![(*kind).to_owned(), human::grouped(*count)];
        page::table(markup, &["", "how often"], &self.errors.iter().map(row).collect::<Vec<_>>());
        let note = "A refusal (429, 503, 507) is a loaded server’s right; it is not among the answers, and counts with the time that it took in the row of all alone.";
        markup.leaf("p", &[("class", &"note")], note);
    }
}

fn load(config: &Config) -> String {
    let Config { connections, pipeline, .. } = config;
    match config.rate {
        Some(rate) => {
            format!("open loop at {rate} over {connections} connections, whatever the server answers")
        }
        None if *pipeline > 1 => {
            format!("closed loop: {connections} connections, {pipeline} requests at a time on each")
        }
        None => format!("closed loop: {connections} connections, each asks again as soon as it is answered"),
    }
}

fn server_facts(server: &ServerSide) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("CPU time a request", latency(server.cpu_us_per_request)),
        ("CPUs busy", human::three_digits(server.cpus_busy)),
        ("requests", human::grouped(server.requests as u64)),
        ("forwarded to other cores", human::percent(server.forwarded_share)),
        ("fullest inbox", format!("{} frames", human::short(server.inbox_frames_max))),
        ("expiry behind", format!("{} s at most", human::short(server.expiry_lag_s_max))),
        ("sessions expired", human::grouped(server.expired as u64)),
        ("resident memory", format!("{} at most", human::bytes(server.resident_bytes))),
        ("sessions", format!("{} at most", human::grouped(server.sessions as u64))),
    ];
    if let Some(bytes) = server.memory_bytes_per_session {
        facts.push(("a session", format!("{bytes:.0} bytes by its budget")));
    }
    if let Some(bytes) = server.resident_bytes_per_session {
        facts.push(("a session", format!("{bytes:.0} bytes by the growth of resident memory")));
    }
    facts
}

fn draw_operation(table: &mut Markup, row: &OperationRow, is_open: bool) {
    let class = if row.name == "all" { "sum" } else { "part" };
    table.within("tr", &[("class", &class)], |cells| {
        cells.leaf("th", &[("scope", &"row")], row.name);
        cells.leaf("td", &[], human::grouped(row.count));
        cells.leaf("td", &[], human::grouped(row.per_s.round() as u64));
        for percentiles in [Some(row.latency_us), row.service_us].into_iter().flatten() {
            for (at, (_, value, above)) in SHOWN.into_iter().enumerate() {
                let thin = if is_thin(row.count, above) { " thin" } else { "" };
                let class = format!("{}{thin}", if at == 0 { "first" } else { "" });
                let text = if row.count > 0 { latency(value(&percentiles)) } else { "–".to_owned() };
                cells.leaf("td", &[("class", &class.trim())], text);
            }
        }
        if is_open && row.service_us.is_none() {
            cells.leaf("td", &[("colspan", &SHOWN.len())], "");
        }
    });
}

/// Whether so few of the answers took longer that a figure is one of chance.
fn is_thin(count: u64, above: f64) -> bool {
    count > 0 && above < 1.0 && count as f64 * above < ABOVE_MIN
}

/// A reason as a sentence of its own.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(chars).chain(['.']).collect()
}

#[cfg(test)]
mod tests;
