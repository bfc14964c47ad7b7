//! The comparison as it is run: with the raw loop alone, so that nothing need be installed.

use std::process::{Command, Output};

/// A comparison that takes well below a second.
fn versus(flags: &[&str]) -> Output {
    let fixed = ["versus", "--rounds", "2", "--round-duration", "50ms", "--connections", "4"];
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(fixed)
        .args(["--sessions", "5"])
        .args(flags)
        .output()
        .expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_raw_loop_alone_gives_a_table_and_exit_code_0() {
    let output = versus(&["--only", "raw"]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}{}", text(&output.stderr));
    assert!(printed.starts_with("$ loadtest versus --rounds 2 --round-duration 50ms"), "{printed}");
    assert!(printed.contains("2 rounds of 0.05 s") && printed.contains("1.00 (1.00 to 1.00)"), "{printed}");
    assert!(output.stderr.is_empty(), "progress is for terminals only");
}

#[test]
fn the_json_has_figures_of_every_round() {
    let output = versus(&["--only", "raw", "--json", "-", "--size", "100kb", "--mix", "read=1,update=1"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let rounds = json["rows"][0]["rounds"].as_array().expect("there are rounds");
    assert_eq!((rounds.len(), &json["config"]["size_bytes"]), (2, &102_400.into()));
    for round in rounds {
        assert!(round["answers"].as_u64() > Some(0) && round["cpu_us"].as_f64() > Some(0.0), "{round}");
    }
    assert!(said.contains("\nraw: "), "the text goes to standard error: {said}");
}

#[test]
fn the_page_has_a_point_for_every_round() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("versus.html");
    let output = versus(&["--only", "raw", "--html", &path.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = std::fs::read_to_string(&path).expect("it was written");
    for part in
        ["<!DOCTYPE html>", "All answered right, in 2 rounds", "1.00 (1.00 to 1.00)", "<svg", "</html>"]
    {
        assert!(page.contains(part), "{part}");
    }
    let output = versus(&["--only", "raw", "--html", "no/such/folder/versus.html"]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("no/such/folder/versus.html"));
}

#[test]
fn at_a_rate_the_tails_are_told_in_text_json_and_page() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("versus.html");
    let flags = ["--only", "raw", "--rate", "2k/s", "--mix", "read=8,update=1,bot=1", "--json", "-"];
    let output = versus(&[&flags[..], &["--html", &path.to_string_lossy()]].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in ["bot=1 with a TTL of 2 s; open loop at 2000/s;", "from when a request was meant to leave"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((&json["config"]["load"], &json["config"]["rate"]["to"]), (&"open".into(), &2000.0.into()));
    for round in json["rows"][0]["rounds"].as_array().expect("there are rounds") {
        let (answers, dropped) = (round["answers"].as_u64(), round["open"]["dropped"].as_u64());
        assert_eq!(answers.zip(dropped).map(|(answers, dropped)| answers + dropped), Some(100), "{round}");
        let p99 = |latency: &str| round["open"][latency]["p99"].as_f64();
        for latency in ["latency_us", "service_us", "read_us"] {
            assert!(p99(latency) > Some(0.0), "{latency} in {round}");
        }
        assert!(round["open"]["generator"]["lag_us"]["p99"].is_number(), "{round}");
        assert_eq!(round["p99_us"], round["open"]["latency_us"]["p99"], "{round}");
    }
    assert!(json["rows"][0]["open"]["latency_us"]["max"]["median"].is_number(), "{json}");
    let page = std::fs::read_to_string(&path).expect("it was written");
    assert!(page.contains("<h1>Servers side by side, open loop at 2000/s</h1>"), "the title says so");
}

#[test]
fn without_a_rate_nothing_is_told_of_an_open_loop() {
    let output = versus(&["--only", "raw", "--json", "-"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((&json["config"]["load"], &json["config"]["rate"]), (&"closed".into(), &json["none"]));
    assert!(json["rows"][0]["rounds"][0].get("open").is_none() && json["rows"][0].get("open").is_none());
    assert!(text(&output.stderr).contains("latencies are of a closed loop"));
}

#[test]
fn a_contender_that_does_not_start_is_named_and_the_others_go_on() {
    let output = versus(&["--only", "raw,redis", "--program", "redis=/bin/false"]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("redis: takes no part: cannot start") || printed.contains("does not listen"));
    assert!(printed.contains("1.00 (1.00 to 1.00)"), "{printed}");
}

#[test]
fn without_anybody_to_compare_it_gives_exit_code_2() {
    let output = versus(&["--only", "nginx", "--program", "nginx=/nowhere/nginx"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("nobody takes part: nginx: cannot start"), "{said}");
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_the_names_that_can() {
    let output = versus(&["--only", "apache"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("memcached"), "{}", text(&output.stderr));
}

/// Every contender that is installed, for two short rounds each, in both loops and with sessions that expire.
#[test]
fn whoever_is_installed_answers_right() {
    let mix = ["--mix", "read=70,update=10,create=5,delete=5,bot=10", "--short-ttl", "1"];
    for rate in [&[][..], &["--rate", "2k/s"]] {
        let output = versus(&[&["--only", "nginx,redis,memcached,raw"], &mix[..], rate].concat());
        let printed = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{printed}{}", text(&output.stderr));
        assert!(!printed.contains("FAILED"), "{printed}");
    }
}
