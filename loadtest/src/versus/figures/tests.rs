//! Spreads, ratios and what people and scripts are told, all of figures made up here.

use std::time::Duration;

use super::*;
use crate::clock::{Moment, Span};
use crate::effort::Effort;
use crate::stats::{Kind, Tally};

fn measured(answers: u64, server_ms: u64) -> Measured {
    let mut tally = Tally::default();
    (0..answers).for_each(|_| tally.answer(Kind::Read, span_of(200), None));
    Measured {
        elapsed: Duration::from_secs(2),
        tally,
        server: Duration::from_millis(server_ms),
        load: Duration::from_secs(1),
        effort: None,
    }
}

/// An exchange of so many microseconds.
fn span_of(micros: u64) -> Span {
    let sent = Moment::after_start(Duration::from_secs(1));
    Span { sent, received: sent.after(Duration::from_micros(micros)) }
}

/// A row of an open loop in whose rounds every answer took so many microseconds, 50 of them behind
/// its request's leaving.
pub fn open_row(name: &'static str, latencies_us: &[u64]) -> Row {
    let round = |(number, &micros): (u32, &u64)| {
        let mut tally = Tally::default();
        let intended = span_of(50).sent.before(Duration::from_micros(micros - 50));
        (0..1000).for_each(|_| tally.answer(Kind::Read, span_of(50), Some(intended)));
        let effort = Effort { elapsed: Duration::from_secs(2), ..Effort::default() };
        Round::new(number, &Measured { tally, effort: Some(effort), ..measured(1, 5) })
    };
    Row { rounds: (0..).zip(latencies_us).filter_map(round).collect(), ..row(name, &[]) }
}

pub fn row(name: &'static str, server_ms: &[u64]) -> Row {
    let rounds = (0..).zip(server_ms).filter_map(|(number, &ms)| Round::new(number, &measured(1000, ms)));
    Row {
        name,
        version: "1.0".to_owned(),
        note: "a note",
        reads_only: name == "nginx",
        flags: Vec::new(),
        failed: None,
        cpu_us: None,
        ratio: None,
        per_s: None,
        open: None,
        limited: None,
        max_us: 0.0,
        spectrum_us: Spectrum::default(),
        rounds: rounds.collect(),
    }
}

pub fn comparison(rows: Vec<Row>) -> Comparison {
    compared_under("read=1", rows)
}

fn compared_under(mix: &str, rows: Vec<Row>) -> Comparison {
    let machine = Machine {
        cpu: "A CPU".to_owned(),
        cpus: 2,
        kernel: "6.1".to_owned(),
        server_cpu: Some(0),
        load_cpu: None,
        driver: "epoll",
        debug_build: false,
    };
    let is_open = rows.iter().flat_map(|row| &row.rounds).any(|round| round.open.is_some());
    let config = Config {
        rounds: 3,
        round_duration_s: 2.0,
        connections: 64,
        sessions: 100,
        size_bytes: 1024,
        load: if is_open { "open" } else { "closed" },
        rate: is_open.then_some(Rate { from: 1000.0, to: 1000.0 }),
        mix: mix.parse().unwrap(),
        short_ttl_s: 2,
    };
    Comparison::new("loadtest versus".to_owned(), machine, config, rows)
}

fn text(comparison: &Comparison) -> String {
    let mut out = Vec::new();
    comparison.write_text(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_spread_has_the_middle_of_its_values() {
    let table: [(&[f64], Option<[f64; 3]>); 4] = [
        (&[], None),
        (&[4.0], Some([4.0, 4.0, 4.0])),
        (&[9.0, 1.0, 2.0], Some([2.0, 1.0, 9.0])),
        (&[4.0, 1.0, 2.0, 9.0], Some([3.0, 1.0, 9.0])),
    ];
    for (values, expected) in table {
        let spread = Spread::of(values.iter().copied()).map(|spread| [spread.median, spread.min, spread.max]);
        assert_eq!(spread, expected, "{values:?}");
    }
}

#[test]
fn a_turn_gives_time_a_request_and_answers_a_second() {
    let round = Round::new(4, &measured(1000, 5)).unwrap();
    assert_eq!((round.number, round.answers, round.ratio), (4, 1000, None));
    assert!((round.cpu_us - 5.0).abs() < 1e-9 && (round.per_s - 500.0).abs() < 1e-9, "{round:?}");
    assert!((round.p50_us - 200.0).abs() < 1.0 && (round.load_busy - 0.5).abs() < 1e-9, "{round:?}");
    assert_eq!(Round::new(0, &measured(0, 5)), None, "no answers have no figures");
}

#[test]
fn ratios_are_taken_within_a_round() {
    let mut late = row("seshun", &[99, 6, 12]);
    late.rounds.remove(0);
    let compared = comparison(vec![row("raw", &[5, 4, 6]), late, row("redis", &[10, 8, 12])]);
    let ratios =
        |index: usize| compared.rows[index].ratio.map(|spread| [spread.median, spread.min, spread.max]);
    assert_eq!(ratios(0), Some([1.0, 1.0, 1.0]));
    assert_eq!(ratios(1), Some([1.75, 1.5, 2.0]), "the round that it missed does not count");
    assert_eq!(ratios(2), Some([2.0, 2.0, 2.0]));
    assert_eq!((compared.rounds, compared.exit_code(false)), (2, 0));
}

#[test]
fn without_the_raw_loop_there_are_figures_and_no_ratios() {
    let compared = comparison(vec![row("seshun", &[5])]);
    assert_eq!(compared.rows[0].ratio, None);
    assert!(text(&compared).contains("\nseshun     1.0         5.00  -  "), "{}", text(&compared));
}

#[test]
fn who_gets_reads_only_has_ratios_only_to_a_mix_of_reads() {
    let rows = || vec![row("raw", &[5, 4]), row("nginx", &[10, 8])];
    for (mix, ratio) in [("read=1", Some(2.0)), ("read=80,update=20", None), ("read=9,bot=1", None)] {
        let compared = compared_under(mix, rows());
        assert_eq!(compared.rows[1].ratio.map(|spread| spread.median), ratio, "{mix}");
        assert_eq!(compared.rows[0].ratio.map(|spread| spread.median), Some(1.0), "{mix}");
        let text = text(&compared);
        assert_eq!(text.contains("\nnginx gets reads only, so it has no ratio"), ratio.is_none(), "{text}");
        assert!(text.contains("\nlatencies are of a closed loop"), "{text}");
    }
}

#[test]
fn the_text_names_the_command_the_machine_and_who_is_missing() {
    let mut compared = comparison(vec![row("raw", &[5, 4, 6]), row("seshun", &[10, 10, 9])]);
    compared.skipped = vec![Skipped { name: "memcached", reason: "not installed".to_owned(), failed: false }];
    let text = text(&compared);
    for part in [
        "$ loadtest versus\n",
        "2 x A CPU, Linux 6.1; servers on CPU 0, load unpinned by epoll\n",
        "3 rounds of 2 s, 64 connections, 1024 bytes, read=1,update=0,create=0,delete=0;",
        "2.00 (1.50 to 2.50)",
        "\nmemcached: takes no part: not installed\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert_eq!(compared.exit_code(false), 0, "what is not installed is no failure");
    let with_bots = compared_under("read=9,bot=1", Vec::new());
    assert!(self::text(&with_bots).contains(",delete=0,bot=1 with a TTL of 2 s; medians"));
}

#[test]
fn cpus_that_neither_side_kept_busy_are_told() {
    // The load is on its CPU for half of each turn.
    let table = [(&[200, 300, 1900][..], true), (&[200, 1700, 1900], false), (&[], false)];
    for (server_ms, disturbed) in table {
        let compared = comparison(vec![row("raw", server_ms)]);
        assert_eq!(compared.disturbed, disturbed, "{server_ms:?}");
        assert_eq!(text(&compared).contains("\nother programs used these CPUs"), disturbed);
    }
}

#[test]
fn failures_and_nothing_measured_show_in_the_exit_code() {
    let mut failed = row("redis", &[5]);
    failed.failed = Some("it stopped answering".to_owned());
    let compared = comparison(vec![row("raw", &[5, 5]), failed]);
    assert_eq!((compared.exit_code(false), compared.rounds), (1, 2));
    assert!(text(&compared).ends_with("redis: FAILED: it stopped answering\n"), "{}", text(&compared));
    assert_eq!(comparison(Vec::new()).exit_code(false), 2);
    let mut absent = comparison(vec![row("raw", &[5])]);
    absent.skipped = vec![Skipped { name: "nginx", reason: "bad flag".to_owned(), failed: true }];
    assert_eq!(absent.exit_code(false), 1);
    assert!(text(&comparison(vec![row("nginx", &[])])).contains("nginx      1.0            -\n"));
}

#[test]
fn the_json_has_every_rounds_figures() {
    let mut out = Vec::new();
    comparison(vec![row("raw", &[5, 4])]).write_json(&mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&json["format"], &json["rows"][0]["rounds"][1]["ratio"]), (&1.into(), &1.0.into()));
    assert_eq!(json["machine"]["load_cpu"], serde_json::Value::Null);
}
