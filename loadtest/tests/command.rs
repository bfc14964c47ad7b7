//! The command as it is run: its exit codes, what it prints where, and what it asks people to do.

mod model;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Command, Output};

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use model::{Fault, Model};

fn command(url: &str, flags: &[&str]) -> Output {
    let fixed = ["--connections", "4", "--sessions", "10", "--operations", "400", "--url", url];
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(fixed).args(flags).output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_clean_server_gives_exit_code_0_and_a_table() {
    let model = Model::start(Fault::None);
    let output = command(&model.url(), &[]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}{}", text(&output.stderr));
    assert!(printed.contains("p99.9") && printed.contains("\nread "), "{printed}");
    assert!(printed.ends_with("every answer was right\n"), "{printed}");
    assert!(output.stderr.is_empty(), "progress is for terminals only");
}

#[test]
fn a_wrong_answer_gives_exit_code_1_and_is_named() {
    let model = Model::start(Fault::ServerError);
    let output = command(&model.url(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("WRONG server_error"), "{}", text(&output.stdout));
}

#[test]
fn without_a_server_it_gives_exit_code_2_and_says_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let output = command(&url, &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains(&url) && said.contains("start the server first"), "{said}");
}

#[test]
fn a_refused_master_key_gives_exit_code_2_and_names_the_flag() {
    let model = Model::start(Fault::None);
    let output = command(&model.url(), &["--master-key", "another"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--master-key"), "{}", text(&output.stderr));
}

#[test]
fn blobs_that_the_server_does_not_take_give_exit_code_2_and_the_limit() {
    let model = Model::start(Fault::None);
    let output = command(&model.url(), &["--size", "2mb"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("1048576"), "{}", text(&output.stderr));
    assert_eq!(model.key_count(), 0, "the bucket's key is removed all the same");
}

#[test]
fn a_cpu_that_is_not_there_gives_exit_code_2() {
    let model = Model::start(Fault::None);
    let output = command(&model.url(), &["--pin", "1023"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("pinning"), "{}", text(&output.stderr));
}

#[test]
fn an_admin_listener_that_was_named_and_is_not_there_gives_exit_code_2() {
    let model = Model::start(Fault::None);
    let output = command(&model.url(), &["--admin", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("http://127.0.0.1:1") && said.contains("--admin"), "{said}");
    assert_eq!(model.key_count(), 0, "no bucket was made");
}

#[test]
fn a_profile_that_cannot_be_used_gives_exit_code_2_and_is_named() {
    let output = command("http://127.0.0.1:1", &["--profile-file", "no-such-profile.yml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no-such-profile.yml"), "{}", text(&output.stderr));
    let output = command("http://127.0.0.1:1", &["--profile", "tea-time"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("login-storm"), "the right ones are listed");
}

#[test]
fn the_json_goes_alone_to_standard_output() {
    let model = Model::start(Fault::None);
    let output = command(&model.url(), &["--json", "-", "--seed", "9"]);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((&json["conclusion"], &json["config"]["seed"]), (&"passed".into(), &"9".into()));
    assert_eq!(json["totals"]["answers"], 400);
    assert!(text(&output.stderr).contains("every answer was right"), "the text goes to standard error");
}

/// The histograms of a log, those with the same tag as one.
fn by_tag(log: &[u8]) -> BTreeMap<String, Histogram<u64>> {
    let mut sums = BTreeMap::<String, Histogram<u64>>::new();
    for entry in IntervalLogIterator::new(log) {
        let LogEntry::Interval(line) = entry.expect("it is a log") else { continue };
        let bytes = base64::engine::general_purpose::STANDARD.decode(line.encoded_histogram());
        let bytes = bytes.expect("it is base64");
        let histogram: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).expect("it is a histogram");
        let tag = line.tag().map(|tag| tag.as_str().to_owned()).unwrap_or_default();
        let sum = sums.entry(tag).or_insert_with(|| Histogram::new(3).expect("three digits are allowed"));
        sum.add(histogram).expect("it grows as it must");
    }
    sums
}

#[test]
fn the_log_of_latencies_sums_up_to_the_report() {
    let (model, folder) = (Model::start(Fault::Slow), tempfile::tempdir().expect("there is room"));
    let path = folder.path().join("run.hlog");
    let flags = ["--hdr", &path.to_string_lossy(), "--json", "-", "--operations", "3000", "--cores", "2"];
    let output = command(&model.url(), &flags);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let sums = by_tag(&std::fs::read(&path).expect("it was written"));
    assert!(sums[""].len() == 3000 && json["series"].as_array().map(Vec::len) > Some(1), "seconds add up");
    for row in json["operations"].as_array().expect("there are operations") {
        let name = row["name"].as_str().expect("it has a name");
        let sum = &sums[if name == "all" { "" } else { name }];
        assert_eq!(Some(sum.len()), row["count"].as_u64(), "{name}");
        let (p99_us, reported) = (sum.value_at_quantile(0.99) as f64 / 1000.0, &row["latency_us"]["p99"]);
        let reported = reported.as_f64().expect("it is a number");
        assert!((p99_us / reported - 1.0).abs() < 0.002, "{name}: {p99_us}, not {reported}");
    }
}

#[test]
fn the_html_page_tells_the_run_in_one_file() {
    let (model, folder) = (Model::start(Fault::None), tempfile::tempdir().expect("there is room"));
    let path = folder.path().join("run.html");
    let output = command(&model.url(), &["--html", &path.to_string_lossy(), "--seed", "9"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = std::fs::read_to_string(&path).expect("it was written");
    for part in ["<!DOCTYPE html>", "Passed: every answer was right", &model.url(), ">9<", "<svg", "</html>"]
    {
        assert!(page.contains(part), "{part}");
    }
    for fetching in [" src=", " href=", "url(", "@import", "<script"] {
        assert!(!page.contains(fetching), "{fetching}");
    }
}

#[test]
fn the_page_of_a_failed_run_says_so_and_shows_what_was_wrong() {
    let (model, folder) = (Model::start(Fault::ServerError), tempfile::tempdir().expect("there is room"));
    let path = folder.path().join("run.html");
    let output = command(&model.url(), &["--html", &path.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(1));
    let page = std::fs::read_to_string(&path).expect("it was written");
    assert!(page.contains("<strong>Failed: ") && page.contains("<h3>server_error: "), "{page}");
}

#[test]
fn a_run_that_cannot_start_leaves_no_file_behind() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (json, html, hdr) = (path("run.json"), path("run.html"), path("run.hlog"));
    let output = command("http://127.0.0.1:1", &["--json", &json, "--html", &html, "--hdr", &hdr]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let left = std::fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(left, 0);
}

#[test]
fn a_file_that_cannot_be_written_gives_exit_code_2_before_any_load() {
    let model = Model::start(Fault::None);
    for flag in ["--html", "--json", "--hdr"] {
        let output = command(&model.url(), &[flag, "no/such/folder/file"]);
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        assert!(said.contains("cannot write no/such/folder/file") && output.stdout.is_empty(), "{said}");
    }
}
