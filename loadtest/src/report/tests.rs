//! What is concluded from which counts, and the forms of the report.

use super::*;
use clap::Parser;

use crate::clock::{Moment, Span};
use crate::verdict::{Verdict, Wrong};

fn report_of(tally: &Tally) -> Report {
    Report::new(&Args::parse_from(["loadtest"]), u64::MAX, "epoll", Duration::from_secs(2), tally)
}

fn tally_with(verdicts: &[Verdict]) -> Tally {
    let sent = Moment::after_start(Duration::from_secs(1));
    let span = Span { sent, received: sent.after(Duration::from_micros(250)) };
    let mut tally = Tally::default();
    for verdict in verdicts {
        tally.answer(Kind::Read, span, 100, 1000);
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
        (&[right, refused, Verdict::Borderline], Conclusion::Passed, 0),
        (&[right, wrong], Conclusion::WrongAnswers, 1),
        (&[wrong], Conclusion::WrongAnswers, 1),
    ];
    for (verdicts, expected, code) in table {
        let conclusion = report_of(&tally_with(verdicts)).conclusion;
        assert_eq!((conclusion, conclusion.exit_code()), (expected, code), "{verdicts:?}");
    }
}

#[test]
fn a_connection_that_gave_up_leaves_the_run_incomplete() {
    let mut tally = tally_with(&[Verdict::Right]);
    tally.error("connections_given_up");
    let conclusion = report_of(&tally).conclusion;
    assert_eq!((conclusion, conclusion.exit_code()), (Conclusion::Incomplete, 2));
}

#[test]
fn the_json_object_has_its_documented_fields() {
    let mut out = Vec::new();
    report_of(&tally_with(&[Verdict::Right, Verdict::Wrong(Wrong::Revived)])).write_json(&mut out).unwrap();
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
    assert_eq!(json["wrong"][0]["kind"], "revived");
    assert_eq!(json["wrong"][0]["examples"][0], "a read: 200 for an id that was gone");
}

#[test]
fn the_text_names_every_wrong_kind_and_the_end() {
    let mut out = Vec::new();
    report_of(&tally_with(&[Verdict::Wrong(Wrong::Torn { at: 40 })])).write_text(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("WRONG torn_data: 1\n  a read: the data of another version from byte 40"),
        "{text}"
    );
    assert!(text.ends_with("1 WRONG\n"), "{text}");
}

#[test]
fn a_run_without_an_answer_has_rates_of_nothing() {
    let args = Args::parse_from(["loadtest"]);
    let report = Report::new(&args, 1, "epoll", Duration::ZERO, &Tally::default());
    assert_eq!(report.rates.answers_per_s, 0.0);
    assert_eq!(report.operations[0].latency_us.max, 0.0);
}
