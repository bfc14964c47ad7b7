//! The page against a strict reader of the text format.
//!
//! The reader refuses what Prometheus refuses and whatever its naming guide advises against,
//! and is itself fed bad pages first.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::types::{ByteCount, ShardId, UnixMillis};

const START: Moment = Moment::from_millis(10_000);

const PROCESS: ProcessFigures = ProcessFigures {
    cpu_time: Millis::new(1_234),
    resident: ByteCount::new(5_000_000),
    memory_max: ByteCount::new(7_000_000),
    open_fds: 12,
    started: UnixMillis::new(1_700_000_000_042),
};

fn cores(count: u16) -> Vec<Arc<CoreMetrics>> {
    (0..count).map(|core| Arc::new(CoreMetrics::new(ShardId::new(core), START))).collect()
}

/// The samples of a page: series (name and labels as written) to value.
type Samples = BTreeMap<String, String>;

fn samples_of(cores: &[Arc<CoreMetrics>], now: Moment) -> Samples {
    read_page(&render_prometheus(cores, &PROCESS, now)).unwrap()
}

/// Reads a page in text format 0.0.4, or says what is wrong with it.
fn read_page(page: &str) -> Result<Samples, String> {
    if !page.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    let (mut described, mut samples) = (BTreeSet::new(), Samples::new());
    let mut metric = "";
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').ok_or(format!("no text: {line}"))?;
            let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name));
            judge_metric(name, text, kind.ok_or(format!("{name} has no TYPE"))?)?;
            if !described.insert(name) {
                return Err(format!("{name} is described twice"));
            }
            metric = name;
        } else {
            let (series, value) = line.rsplit_once(' ').ok_or(format!("no value: {line}"))?;
            judge_series(series, metric)?;
            value.parse::<f64>().map_err(|_| format!("no number: {line}"))?;
            if samples.insert(series.into(), value.into()).is_some() {
                return Err(format!("twice: {series}"));
            }
        }
    }
    Ok(samples)
}

fn judge_metric(name: &str, help: &str, kind: &str) -> Result<(), String> {
    let is_counter = match kind {
        " counter" => true,
        " gauge" | " histogram" => false,
        _ => return Err(format!("{name} has the type {kind}")),
    };
    if is_counter != name.ends_with("_total") {
        return Err(format!("{name}: counters, and they alone, end in _total"));
    }
    let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_foreign_unit =
        ["milli", "micro", "_ms", "_kb", "_mb", "percent"].iter().any(|unit| name.contains(unit));
    if !is_name || is_foreign_unit || !help.ends_with('.') {
        return Err(format!("{name}: lower case, base units, a sentence for help"));
    }
    Ok(())
}

fn judge_series(series: &str, metric: &str) -> Result<(), String> {
    let (name, labels) = match series.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}').ok_or(format!("unclosed: {series}"))?),
        None => (series, ""),
    };
    let is_part = ["_bucket", "_sum", "_count"].iter().any(|part| name.strip_suffix(part) == Some(metric));
    if name != metric && !is_part {
        return Err(format!("{series} does not stand under its own HELP and TYPE"));
    }
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let value = label.split_once("=\"").and_then(|(_, value)| value.strip_suffix('"'));
        if value.is_none_or(|value| value.is_empty() || value.contains(['"', '\\'])) {
            return Err(format!("label {label} of {series}"));
        }
    }
    Ok(())
}

#[test]
fn the_journals_page_is_read_as_well() {
    use crate::metrics::{JournalFigure, JournalMetrics};
    let journal = JournalMetrics::new();
    journal.written(ByteCount::new(7_000), std::time::Duration::from_micros(70));
    journal.show(JournalFigure::UnsyncedSince, 7_000);
    let page = super::super::journal::JournalPage(&journal, Moment::from_millis(7_250));
    let samples = read_page(&page.to_string()).unwrap();
    let expected = [
        ("seshun_journal_written_bytes_total", "7000"),
        ("seshun_journal_unsynced_seconds", "0.250"),
        ("seshun_journal_write_duration_seconds_bucket{le=\"0.00005\"}", "0"),
        ("seshun_journal_write_duration_seconds_bucket{le=\"0.0001\"}", "1"),
        ("seshun_journal_write_duration_seconds_bucket{le=\"+Inf\"}", "1"),
        ("seshun_journal_write_duration_seconds_sum", "0.00007"),
        ("seshun_journal_write_duration_seconds_count", "1"),
        ("seshun_journal_sync_duration_seconds_count", "0"),
        ("seshun_journal_cleaning", "0"),
        ("seshun_journal_condition", "0"),
    ];
    for (series, value) in expected {
        assert_eq!(samples.get(series).map(String::as_str), Some(value), "{series}");
    }
}

#[test]
fn the_strict_reader_refuses_what_is_no_page() {
    const HEAD: &str = "# HELP a_total A.\n# TYPE a_total counter\n";
    let bad = [
        "# HELP a_total A.\n# TYPE a_total counter\na_total 1",
        "a_total 1\n",
        "# HELP a_total A.\na_total 1\n",
        "# HELP a A.\n# TYPE a counter\na 1\n",
        "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n",
        "# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1\n",
        "# HELP a A\n# TYPE a gauge\na 1\n",
        &format!("{HEAD}a_total 1\na_total 2\n"),
        &format!("{HEAD}a_total one\n"),
        &format!("{HEAD}b_total 1\n"),
        &format!("{HEAD}a_total{{core=0}} 1\n"),
        &format!("{HEAD}a_total{{core=\"0\" 1\n"),
        &format!("{HEAD}a_total 1\n{HEAD}"),
    ];
    for page in bad {
        assert!(read_page(page).is_err(), "{page}");
    }
    assert_eq!(read_page(&format!("{HEAD}a_total{{core=\"0\"}} 1\n")).unwrap().len(), 1);
}

#[test]
fn a_page_passes_the_strict_reader_at_any_number_of_cores() {
    for count in [1, 2, 256] {
        let samples = samples_of(&cores(count), START);
        for core in 0..count {
            assert!(
                samples.contains_key(&format!("seshun_sessions{{core=\"{core}\"}}")),
                "{core} of {count}"
            );
        }
    }
}

#[test]
fn every_figure_but_the_heartbeat_is_shown_once() {
    let shown: BTreeSet<usize> = CORE_METRICS.iter().map(|metric| metric.figure as usize).collect();
    assert_eq!(shown, (0..Figure::Heartbeat as usize).collect());
}

#[test]
fn figures_are_shown_for_their_own_core_in_base_units() {
    let cores = cores(2);
    cores[1].show_cpu_time(Millis::new(12_034));
    cores[1].show_expiry_lag(Millis::new(5));
    cores[1].show_store(3, ByteCount::new(4_096));
    cores[1].bytes_sent(ByteCount::new(99));
    cores[0].turn_ended(START.after(Millis::new(1_500)));
    let samples = samples_of(&cores, START.after(Millis::new(2_000)));
    let expected = [
        ("seshun_core_cpu_seconds_total{core=\"0\"}", "0.000"),
        ("seshun_core_cpu_seconds_total{core=\"1\"}", "12.034"),
        ("seshun_expiry_lag_seconds{core=\"1\"}", "0.005"),
        ("seshun_sessions{core=\"0\"}", "0"),
        ("seshun_sessions{core=\"1\"}", "3"),
        ("seshun_memory_bytes{core=\"1\"}", "4096"),
        ("seshun_sent_bytes_total{core=\"1\"}", "99"),
        ("seshun_heartbeat_age_seconds{core=\"0\"}", "0.500"),
        ("seshun_heartbeat_age_seconds{core=\"1\"}", "2.000"),
    ];
    for (series, value) in expected {
        assert_eq!(samples.get(series).map(String::as_str), Some(value), "{series}");
    }
}

#[test]
fn requests_are_shown_from_their_first_answer_and_the_usual_ones_before() {
    let cores = cores(1);
    let series = |operation: &str, status: u16| {
        format!("seshun_requests_total{{core=\"0\",operation=\"{operation}\",status=\"{status}\"}}")
    };
    let count_requests = |samples: &Samples| {
        samples.keys().filter(|series| series.starts_with("seshun_requests_total")).count()
    };
    let before = samples_of(&cores, START);
    assert_eq!(count_requests(&before), RequestKind::ALL.len());
    assert_eq!(before[&series("create", 201)], "0");
    cores[0].request_answered(RequestKind::Read, 404);
    cores[0].request_answered(RequestKind::Read, 404);
    cores[0].request_answered(RequestKind::Create, 201);
    let after = samples_of(&cores, START);
    assert_eq!(count_requests(&after), RequestKind::ALL.len() + 1);
    assert_eq!((after[&series("read", 404)].as_str(), after[&series("create", 201)].as_str()), ("2", "1"));
}

#[test]
fn the_process_has_the_names_that_dashboards_know() {
    let samples = samples_of(&cores(1), START);
    let expected = [
        ("process_cpu_seconds_total", "1.234"),
        ("process_resident_memory_bytes", "5000000"),
        ("process_open_fds", "12"),
        ("process_start_time_seconds", "1700000000.042"),
        ("seshun_memory_max_bytes", "7000000"),
    ];
    for (series, value) in expected {
        assert_eq!(samples.get(series).map(String::as_str), Some(value), "{series}");
    }
    assert!(samples.keys().any(|series| {
        series.starts_with(&format!("seshun_build_info{{version=\"{}\",", env!("CARGO_PKG_VERSION")))
    }));
}
