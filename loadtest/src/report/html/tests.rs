//! Pages of all kinds of runs: well-formed, self-contained, and plain about what they are worth.

use std::time::Duration;

use super::*;
use crate::clock::{Moment, Span};
use crate::effort::{Advice, Effort, Generator};
use crate::page::tests::{assert_self_contained, assert_well_formed};
use crate::report::tests::{found, report_with, span, tally_with};
use crate::report::{Found, Report};
use crate::scrape::ServerRow;
use crate::series::Row;
use crate::stats::{Kind, Tally};
use crate::verdict::{Verdict, Wrong};

#[track_caller]
fn page_of(report: &Report) -> String {
    let page = report.page();
    assert_well_formed(&page);
    assert_self_contained(&page);
    assert!(!page.contains("NaN") && !page.contains("inf "), "every figure is a number");
    page
}

fn rows(count: u32) -> Vec<Row> {
    let row = |at: u32| Row {
        at_s: f64::from(at),
        answers_per_s: 1000.0,
        p50_us: 100.0,
        p99_us: 200.0,
        p99_9_us: 300.0,
        max_us: 400.0,
        wrong: 0,
        errors: u64::from(at == 2),
        dropped: 0,
    };
    (1..=count).map(row).collect()
}

fn server(rows: u32) -> ServerSide {
    let row = |at: u32| ServerRow {
        at_s: f64::from(at),
        requests_per_s: 1000.0,
        cpu_us_per_request: 4.5,
        cpus_busy: 0.5,
        forwarded_share: 0.0,
        resident_bytes: 5e7,
        sessions: 2000.0,
        inbox_frames: 0.0,
        expiry_lag_s: 0.002,
    };
    ServerSide {
        requests: 4000.0,
        cpu_us_per_request: 4.5,
        cpus_busy: 0.5,
        resident_bytes: 5e7,
        sessions: 2000.0,
        memory_bytes_per_session: Some(1200.0),
        resident_bytes_per_session: None,
        forwarded_share: 0.0,
        inbox_frames_max: 0.0,
        expiry_lag_s_max: 0.002,
        expired: 3.0,
        series: (2..=rows).map(row).collect(),
    }
}

#[test]
fn the_verdict_is_the_first_thing_said() {
    let busy = Effort { elapsed: Duration::from_secs(2), cpu: Duration::from_secs(2), ..Effort::default() };
    let limited = || Found {
        generator: Generator::new(&[busy], 1, None, Advice::RUN),
        ..found(tally_with(&[Verdict::Right]))
    };
    let mut incomplete = tally_with(&[Verdict::Right]);
    incomplete.error("connections_given_up");
    let wrong = Verdict::Wrong(Wrong::Id);
    let refused = tally_with(&[Verdict::Right, Verdict::Refused { status: 503 }]);
    let table = [
        ("", found(tally_with(&[Verdict::Right])), "good", "Passed: every answer was right"),
        ("", found(tally_with(&[wrong])), "bad", "Failed: 1 wrong answer"),
        ("", found(tally_with(&[wrong, wrong])), "bad", "Failed: 2 wrong answers"),
        ("", found(Tally::default()), "bad", "Nothing was done"),
        ("", found(incomplete), "bad", "Incomplete"),
        ("--refused-max 9", found(refused.clone()), "bad", "Failed: more was refused"),
        ("--refused-max 50", found(refused), "good", "Passed: no answer was wrong, 1 refused"),
        ("", limited(), "warning", "Not a valid measurement: the generator was the bottleneck"),
        ("--allow-limited", limited(), "warning", "Every answer was right; the figures are the generator"),
    ];
    for (flags, found, kind, head) in table {
        let page = page_of(&report_with(flags, &found));
        let news = page.find(&format!("<div class=\"news {kind}\"><strong>{head}")).expect(head);
        assert!(news < page.find("class=\"tiles\"").expect("there are figures"), "{head}");
    }
}

#[test]
fn a_run_without_an_answer_or_a_second_has_a_page() {
    let page = page_of(&report_with("--rate 5k", &found(Tally::default())));
    for part in
        ["It never began to load", "nothing to draw", "too short to be seen", "name its admin listener"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<figure"), "no chart is empty");
}

#[test]
fn a_run_of_any_length_has_charts_of_a_bearable_size() {
    let page = |seconds| {
        let found = Found {
            series: rows(seconds),
            server: Some(server(seconds)),
            ..found(tally_with(&[Verdict::Right, Verdict::Right]))
        };
        page_of(&report_with("", &found))
    };
    let (second, hour) = (page(1), page(3600));
    assert!(second.contains("too short to be seen") && hour.contains("A point stands for 6 seconds"));
    assert!(hour.contains("Refusals and errors") && !page(1).contains("class=\"strip\""));
    assert!(
        hour.contains("Resident memory") && !hour.contains("Frames in the fullest"),
        "what was 0 has no chart"
    );
    assert!(hour.len() < 1_000_000, "{} bytes", hour.len());
}

#[test]
fn an_open_loop_has_both_latencies_and_the_rate_that_was_asked_for() {
    let mut tally = tally_with(&[Verdict::Right]);
    tally.answer(Kind::Read, span(), Some(span().sent.before(Duration::from_millis(3))));
    (0..1234).for_each(|_| tally.drop_one(Duration::from_secs(1)));
    let page = page_of(&report_with("--rate 5k", &Found { series: rows(3), ..found(tally) }));
    for part in
        ["what a caller waits (corrected)", "(service time)", ">asked for<", "1,234 requests never left"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page_of(&report_with("", &found(tally_with(&[Verdict::Right])))).contains("service time"));
}

#[test]
fn connections_made_anew_have_a_row_as_wide_as_the_others() {
    let mut tally = tally_with(&[Verdict::Right]);
    tally.connects.record(Duration::from_millis(3));
    for (flags, columns) in [("", 7), ("--rate 5k", 12)] {
        let page = page_of(&report_with(flags, &found(tally.clone())));
        let row =
            page.split("<th scope=\"row\">connect</th>").nth(1).and_then(|rest| rest.split("</tr>").next());
        let row = row.expect("there is a row");
        let empty = if row.contains("colspan=\"5\"") { SHOWN.len() - 1 } else { 0 };
        assert_eq!(row.matches("<td").count() + empty, columns, "{row}");
        assert!(row.contains("3.00 ms"), "{row}");
    }
}

#[test]
fn what_servers_and_people_supply_is_text() {
    let mut tally = tally_with(&[Verdict::Right]);
    tally.verdict(Verdict::Wrong(Wrong::Revived), || "<script>alert(1)</script> & \"x\"".to_owned());
    let mut report = report_with("--url http://host<i>", &found(tally));
    report.host.cpu = "A <b>CPU</b>".to_owned();
    report.config.profile = Some("'><img>".to_owned());
    let page = page_of(&report);
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot;: 200 for an id"),
        "{page}"
    );
    assert!(page.contains("A &lt;b&gt;CPU") && page.contains("http://host&lt;i&gt;"));
}

#[test]
fn figures_of_few_answers_are_marked_as_such() {
    let answers = |count: u64| {
        let mut tally = tally_with(&[]);
        let received = Moment::after_start(Duration::from_secs(1));
        let span = Span { sent: received.before(Duration::from_micros(250)), received };
        (0..count).for_each(|_| tally.answer(Kind::Read, span, None));
        tally.verdict(Verdict::Right, String::new);
        page_of(&report_with("", &found(tally))).matches("<td class=\"thin\">").count()
    };
    // The read's own row and that of all.
    assert_eq!((answers(50), answers(1000), answers(10_000)), (6, 2, 0));
}

#[test]
fn wrong_answers_are_shown_with_examples_and_those_outside_the_load_told() {
    let mut tally = tally_with(&[Verdict::Wrong(Wrong::Torn { at: 40 })]);
    tally.error("refused_503");
    let page = page_of(&report_with("", &Found { series: rows(2), ..found(tally) }));
    for part in [
        "<h3>torn_data: 1</h3>",
        "the data of another version from byte 40",
        ">refused_503<",
        "before or after the load",
    ] {
        assert!(page.contains(part), "{part}");
    }
}
