//! Logs are read back by the library's own reader, and hold what was counted.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::*;
use crate::stats::Kind;

/// A second with answers of so many microseconds each.
fn second(answers: &[(Kind, u64)]) -> Second {
    let mut second = Second::by_kind();
    answers.iter().for_each(|&(kind, us)| second.answer(kind, Duration::from_micros(us)));
    second
}

fn log(seconds: &[Second]) -> String {
    let started = UnixMillis::default().after(Duration::from_millis(1_700_000_000_250));
    let mut out = Vec::new();
    let mut log = IntervalLog::begin(&mut out, started, "a run\nof two lines").unwrap();
    for (number, second) in (1..).zip(seconds) {
        let until = Moment::after_start(Duration::from_millis(1000 * number + 500));
        log.write((until, Duration::from_secs(1)), second).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn decoded(text: &str) -> Histogram<u64> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap()
}

/// The tag, the start in milliseconds and the histogram of each line.
fn lines(log: &str) -> Vec<(String, u128, Histogram<u64>)> {
    let entries = IntervalLogIterator::new(log.as_bytes()).map(|entry| entry.expect("it is a log"));
    let intervals = entries.filter_map(|entry| match entry {
        LogEntry::Interval(line) => Some(line),
        LogEntry::StartTime(time) | LogEntry::BaseTime(time) => {
            assert_eq!(time.as_millis(), 1_700_000_000_250);
            None
        }
    });
    let tag = |tag: Option<Tag<'_>>| tag.map(|tag| tag.as_str().to_owned()).unwrap_or_default();
    intervals
        .map(|line| (tag(line.tag()), line.start_timestamp().as_millis(), decoded(line.encoded_histogram())))
        .collect()
}

#[test]
fn a_second_is_a_line_for_all_and_one_for_each_kind_that_was_answered() {
    let log = log(&[
        second(&[(Kind::Read, 100), (Kind::Read, 200), (Kind::Gone, 50)]),
        second(&[]),
        second(&[(Kind::Create, 70)]),
    ]);
    let found: Vec<_> =
        lines(&log).into_iter().map(|(tag, start, histogram)| (tag, start, histogram.len())).collect();
    let expected =
        [("", 500, 3), ("read", 500, 2), ("gone", 500, 1), ("", 1500, 0), ("", 2500, 1), ("create", 2500, 1)];
    assert_eq!(found, expected.map(|(tag, start, count)| (tag.to_owned(), start, count)));
}

#[test]
fn what_was_refused_or_never_left_is_in_the_line_for_all_and_in_one_of_its_own() {
    let mut second = second(&[(Kind::Read, 100)]);
    second.drop_one(Duration::from_secs(1));
    second.refuse(Duration::from_secs(2));
    let found = lines(&log(&[second]));
    let counts: Vec<_> = found.iter().map(|(tag, _, histogram)| (tag.as_str(), histogram.len())).collect();
    assert_eq!(counts, [("", 3), ("read", 1), ("dropped", 1), ("refused", 1)]);
    assert!(found[0].2.max() > 1_990_000_000, "{}", found[0].2.max());
}

#[test]
fn latencies_come_back_in_nanoseconds_to_three_digits() {
    let log = log(&[second(&[(Kind::Update, 123_456)])]);
    let [(_, _, all), (tag, _, update)] = &lines(&log)[..] else { panic!("two lines") };
    assert_eq!(tag, "update");
    for histogram in [all, update] {
        let max = histogram.max();
        assert!((123_400_000..=123_600_000).contains(&max), "{max}");
    }
}

#[test]
fn the_log_begins_as_readers_expect_it() {
    let log = log(&[]);
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "#[Histogram log format version 1.3]");
    assert_eq!(lines[1..3], ["#a run", "#of two lines"]);
    assert_eq!(
        lines[4..6],
        [
            "#[StartTime: 1700000000.250 (seconds since epoch)]",
            "#[BaseTime: 1700000000.250 (seconds since epoch)]"
        ]
    );
    assert!(lines[6].starts_with("\"StartTimestamp\",\"Interval_Length\""), "{log}");
}

#[test]
fn what_came_after_the_last_interval_is_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.hlog");
    let mut file = LogFile::create(
        &path,
        UnixMillis::default().after(Duration::from_millis(1_700_000_000_250)),
        "a run",
    );
    let until = Moment::after_start(Duration::from_millis(2500));
    file.write((until, Duration::from_secs(1)), &second(&[(Kind::Read, 1)]));
    assert_eq!(file.finish(until.after(Duration::from_millis(30)), &second(&[(Kind::Read, 1)])), None);
    let log = std::fs::read_to_string(&path).unwrap();
    let starts: Vec<u128> = lines(&log).iter().map(|&(_, start, _)| start).collect();
    assert_eq!(starts, [1500, 1500, 2500, 2500]);
    assert!(log.lines().last().is_some_and(|line| line.starts_with("Tag=read,2.500,0.030,")), "{log}");
}

#[test]
fn a_log_that_cannot_be_written_is_named_in_the_end() {
    let mut file = LogFile::create(Path::new("no/such/folder/run.hlog"), UnixMillis::default(), "a run");
    file.write((Moment::default(), Duration::ZERO), &second(&[]));
    let error = file.finish(Moment::default(), &second(&[])).expect("the folder is not there");
    assert!(error.contains("cannot write no/such/folder/run.hlog"), "{error}");
}
