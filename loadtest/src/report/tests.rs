//! What is concluded from which counts, and the forms of the report.

use std::time::Duration;

use super::*;
use clap::Parser;

use crate::clock::{Clock, Moment, Span};
use crate::effort::{Advice, Effort};
use crate::host::Host;
use crate::verdict::{Verdict, Wrong};

const SECOND: Duration = Duration::from_secs(1);

pub fn found(tally: Tally) -> Found {
    Found {
        seed: u64::MAX,
        clock: Clock::started(),
        host: Host { cpu: "A CPU".to_owned(), cpus: 2, kernel: "6.1".to_owned(), debug_build: false },
        driver: "epoll",
        tally,
        generator: Generator::new(&[], 0, None, Advice::RUN),
        server: None,
        series: Vec::new(),
        log_error: None,
    }
}

pub fn report_with(flags: &str, found: &Found) -> Report {
    let words = std::iter::once("loadtest").chain(flags.split_whitespace());
    Report::new(&Args::parse_from(words), found)
}

fn report_of(tally: Tally) -> Report {
    report_with("", &found(tally))
}

fn text_of(report: &Report) -> String {
    let mut out = Vec::new();
    report.write_text(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

pub fn span() -> Span {
    let received = Moment::after_start(2 * SECOND);
    Span { sent: received.before(Duration::from_micros(250)), received }
}

/// Measured from 0 to 2 s.
pub fn tally_with(verdicts: &[Verdict]) -> Tally {
    let mut tally = Tally::default();
    tally.first = Some(Moment::default());
    for verdict in verdicts {
        tally.answer(Kind::Read, span(), None);
        tally.transfer(100, 1000);
        tally.verdict(*verdict, || "a read".to_owned());
    }
    tally
}

#[test]
fn a_run_passes_only_if_something_was_right_and_nothing_wrong() {
    let (right, wrong) = (Verdict::Right, Verdict::Wrong(Wrong::Id));
    let refused = Verdict::Refused { status: 503 };
    let table: [(&[Verdict], Conclusion, u8); 6] = [
        (&[], Conclusion::NothingDone, 2),
        (&[refused], Conclusion::NothingDone, 2),
        (&[right], Conclusion::Passed, 0),
        (&[right, refused, Verdict::Borderline], Conclusion::TooManyRefused, 1),
        (&[right, wrong], Conclusion::WrongAnswers, 1),
        (&[wrong], Conclusion::WrongAnswers, 1),
    ];
    for (verdicts, expected, code) in table {
        let conclusion = report_of(tally_with(verdicts)).conclusion;
        assert_eq!((conclusion, conclusion.exit_code()), (expected, code), "{verdicts:?}");
    }
}

#[test]
fn a_connection_that_gave_up_or_a_timer_that_failed_leaves_the_run_incomplete() {
    for kind in ["connections_given_up", "timer_failed"] {
        let mut tally = tally_with(&[Verdict::Right]);
        tally.error(kind);
        let conclusion = report_of(tally).conclusion;
        assert_eq!((conclusion, conclusion.exit_code()), (Conclusion::Incomplete, 2), "{kind}");
    }
}

#[test]
fn a_run_whose_sessions_were_not_made_in_time_is_incomplete_and_not_wrong() {
    for verdicts in [&[][..], &[Verdict::Right]] {
        let mut tally = tally_with(verdicts);
        tally.error("fill_gave_up");
        let report = report_of(tally);
        assert_eq!((report.conclusion, report.conclusion.exit_code()), (Conclusion::Incomplete, 2));
        assert!(text_of(&report).ends_with("\nincomplete: the sessions could not be made in time\n"));
    }
}

#[test]
fn more_refusals_than_are_allowed_fail_the_run_whatever_their_status() {
    for status in [429, 503, 507] {
        // Nine whole answers and a refusal, which is none.
        let mut tally = tally_with(&[Verdict::Right; 9]);
        tally.verdict(Verdict::Refused { status }, String::new);
        let found = found(tally);
        for (flags, expected, code) in [
            ("", Conclusion::TooManyRefused, 1),
            ("--refused-max 10", Conclusion::Passed, 0),
            ("--refused-max 9", Conclusion::TooManyRefused, 1),
            ("--refused-max 0", Conclusion::TooManyRefused, 1),
        ] {
            let report = report_with(flags, &found);
            assert_eq!(
                (report.conclusion, report.conclusion.exit_code()),
                (expected, code),
                "{flags} {status}"
            );
        }
        let text = text_of(&report_with("--refused-max 0", &found));
        assert!(text.ends_with("REFUSED more than --refused-max allows\n"), "{text}");
        let text = text_of(&report_with("--refused-max 10", &found));
        assert!(text.ends_with("\nno answer was wrong, 1 refused\n"), "{text}");
    }
    let none = found(tally_with(&[Verdict::Right]));
    assert_eq!(report_with("", &none).conclusion, Conclusion::Passed);
}

#[test]
fn a_refusal_has_its_time_in_the_row_of_all_alone_and_is_no_answer() {
    for rate in [None, Some("--rate 5k")] {
        let mut tally = tally_with(&[Verdict::Right]);
        let left = Span { sent: span().received.before(SECOND), ..span() };
        tally.verdict(Verdict::Refused { status: 503 }, String::new);
        tally.refuse(left, rate.map(|_| left.sent.before(SECOND)));
        let report = report_with(&format!("--refused-max 50 {}", rate.unwrap_or_default()), &found(tally));
        let (read, all) = (&report.operations[1], report.operations.last().unwrap());
        assert_eq!((all.name, all.count, report.totals.answers, report.totals.refused), ("all", 1, 1, 1));
        let waited_us = if rate.is_some() { 2e6 } else { 1e6 };
        assert!(
            read.latency_us.max < 300.0 && (all.latency_us.max / waited_us - 1.0).abs() < 0.01,
            "{all:?}"
        );
        assert!(all.service_us.is_none_or(|service| (service.max / 1e6 - 1.0).abs() < 0.01), "{all:?}");
        let text = text_of(&report);
        assert!(
            text.contains("\n1 refused: those of the load are in `all` with the time they took\n"),
            "{text}"
        );
    }
}

#[test]
fn connections_made_anew_have_a_row_that_is_no_part_of_all_and_else_none() {
    let mut tally = tally_with(&[Verdict::Right]);
    let names = |report: &Report| report.operations.iter().map(|row| row.name).collect::<Vec<_>>();
    assert!(!names(&report_of(tally.clone())).contains(&"connect"));
    (0..3).for_each(|_| tally.connects.record(SECOND));
    for flags in ["", "--rate 5k"] {
        let report = report_with(flags, &found(tally.clone()));
        assert_eq!(names(&report)[5..], ["connect", "all"], "{flags}");
        let [connect, all] = [&report.operations[5], &report.operations[6]];
        assert_eq!((connect.count, connect.per_s, all.count), (3, 1.5, 1), "{flags}");
        assert!(connect.latency_us.p50 > 990_000.0 && connect.service_us.is_none(), "{connect:?}");
        assert!(all.latency_us.max < 260.0, "{all:?}");
        assert!(text_of(&report).contains("\nconnect           3          2  "), "{}", text_of(&report));
    }
}

#[test]
fn the_json_object_has_its_documented_fields() {
    let mut out = Vec::new();
    report_of(tally_with(&[Verdict::Right, Verdict::Wrong(Wrong::Revived)])).write_json(&mut out).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(json["format"], 1);
    assert_eq!(json["conclusion"], "wrong_answers");
    assert_eq!(json["config"]["seed"], u64::MAX.to_string());
    assert_eq!(json["config"]["mix"]["read"], 80);
    assert_eq!(json["totals"]["answers"], 2);
    assert_eq!(json["rates"]["answers_per_s"], 1.0);
    assert_eq!(json["operations"].as_array().map(Vec::len), Some(6));
    assert_eq!(json["operations"][1]["name"], "read");
    let p99_us = json["operations"][1]["latency_us"]["p99"].as_f64().unwrap();
    assert!((249.0..=251.0).contains(&p99_us), "{p99_us}");
    assert_eq!((&json["config"]["load"], &json["server"]), (&"closed".into(), &serde_json::Value::Null));
    assert!(json["operations"][1]["service_us"].is_null() && json["generator"]["lag_us"].is_null());
    assert_eq!(json["series"].as_array().map(Vec::len), Some(0));
    assert_eq!((&json["host"]["cpus"], &json["config"]["contested_percent"]), (&2.into(), &2.into()));
    assert!(json["started_unix_ms"].as_u64() > Some(1_700_000_000_000), "{}", json["started_unix_ms"]);
    assert_eq!(json["operations"][1]["spectrum_us"].as_array().map(Vec::len), Some(6), "0 to 50 %");
    assert!(json["operations"][1]["service_spectrum_us"].is_null());
    assert_eq!(json["wrong"][0]["kind"], "revived");
    assert_eq!(json["wrong"][0]["examples"][0], "a read: 200 for an id that was gone");
}

#[test]
fn the_text_names_every_wrong_kind_and_the_end() {
    let text = text_of(&report_of(tally_with(&[Verdict::Wrong(Wrong::Torn { at: 40 })])));
    assert!(
        text.contains("WRONG torn_data: 1\n  a read: the data of another version from byte 40"),
        "{text}"
    );
    assert!(text.ends_with("1 WRONG\n"), "{text}");
}

#[test]
fn a_run_without_an_answer_has_rates_of_nothing() {
    let report = report_of(Tally::default());
    assert_eq!(report.rates.answers_per_s, 0.0);
    assert_eq!(report.operations[0].latency_us.max, 0.0);
}

#[test]
fn a_run_that_measured_the_generator_is_not_valid_unless_that_is_allowed() {
    let busy = Effort { elapsed: 2 * SECOND, cpu: 2 * SECOND, waited: SECOND };
    let limited = Found {
        generator: Generator::new(&[busy], 1, None, Advice::RUN),
        ..found(tally_with(&[Verdict::Right]))
    };
    let report = report_with("", &limited);
    assert_eq!((report.conclusion, report.conclusion.exit_code()), (Conclusion::GeneratorLimited, 2));
    let text = text_of(&report);
    assert!(text.contains("\nINVALID: a core of the generator was busy 100 %"), "{text}");
    assert!(text.contains("\nDISTURBED: ") && text.ends_with("the figures are not valid\n"), "{text}");
    assert_eq!(report_with("--allow-limited", &limited).conclusion, Conclusion::Passed);
}

#[test]
fn an_open_loop_shows_both_latencies_and_what_was_dropped() {
    let mut tally = tally_with(&[Verdict::Right]);
    tally.answer(Kind::Read, span(), Some(span().sent.before(Duration::from_millis(3))));
    (0..4).for_each(|_| tally.drop_one(SECOND));
    let report = report_with("--rate 5k", &found(tally));
    let all = report.operations.last().unwrap();
    let service = all.service_us.unwrap();
    assert!((3200.0..3300.0).contains(&report.operations[1].latency_us.max), "{all:?}");
    assert!(all.latency_us.p50 > 990_000.0 && all.count == 2 && service.max < 260.0, "{all:?}");
    assert_eq!((report.config.load, report.config.rate.map(|rate| rate.to)), ("open", Some(5000.0)));
    let text = text_of(&report);
    assert!(text.contains("open loop at 5000/s") && text.contains("\nall, counted from leaving"), "{text}");
    assert!(
        text.contains(
            "\n4 dropped, having found no free connection in time: counted in `all` with the time they had waited\n"
        ),
        "{text}"
    );
}
