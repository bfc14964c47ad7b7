//! Reports of runs put side by side, as it is done: by the command, with what it wrote itself.

mod model;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use model::{Fault, Model};

fn loadtest(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(words).output().expect("the command starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The report of a run with these flags, in a file of this name.
fn report(folder: &Path, name: &str, fault: Fault, flags: &[&str]) -> PathBuf {
    let (model, path) = (Model::start(fault), folder.join(name));
    let (url, file) = (model.url(), path.to_string_lossy().into_owned());
    let fixed =
        ["--connections", "4", "--sessions", "10", "--operations", "400", "--url", &url, "--json", &file];
    let output = loadtest(&[&fixed, flags].concat());
    assert!(path.exists(), "{}", text(&output.stderr));
    path
}

/// Takes the debug build's mark off a report: here it is not the figures that matter.
fn as_release(path: &Path) {
    let text = std::fs::read_to_string(path).expect("it was written");
    let text = text.replace("\"debug_build\": true", "\"debug_build\": false");
    std::fs::write(path, text).expect("it can be written again");
}

fn compare(flag: &str, files: &[&Path], more: &[&str]) -> Output {
    let files: Vec<String> = files.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let mut words = vec![flag];
    words.extend(files.iter().map(String::as_str));
    words.extend(more);
    loadtest(&words)
}

#[test]
fn two_runs_of_the_same_workload_are_comparable_and_have_a_page() {
    let folder = tempfile::tempdir().expect("there is room");
    let one = report(folder.path(), "one.json", Fault::None, &["--seed", "1"]);
    let other = report(folder.path(), "other.json", Fault::Slow, &["--seed", "2"]);
    [&one, &other].into_iter().for_each(|path| as_release(path));
    let page = folder.path().join("both.html");
    for flag in ["compare", "--compare"] {
        let output = compare(flag, &[&one, &other], &["--html", &page.to_string_lossy()]);
        let printed = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{printed}{}", text(&output.stderr));
        assert!(printed.contains("B/A") && printed.contains("A, B: the same workload"), "{printed}");
    }
    let page = std::fs::read_to_string(&page).expect("it was written");
    for part in ["A, B: the same workload", "All operations", "<svg", "one.json", "</html>"] {
        assert!(page.contains(part), "{part}");
    }
    for fetching in [" src=", " href=", "url(", "@import", "<script"] {
        assert!(!page.contains(fetching), "{fetching}");
    }
}

#[test]
fn another_workload_or_a_failed_run_gives_exit_code_1_and_is_named() {
    let folder = tempfile::tempdir().expect("there is room");
    let one = report(folder.path(), "one.json", Fault::None, &[]);
    let other = report(folder.path(), "other.json", Fault::None, &["--size", "2kb"]);
    let failed = report(folder.path(), "failed.json", Fault::ServerError, &[]);
    let output = compare("compare", &[&one, &other, &failed], &[]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("NOT THE SAME WORKLOAD: size: 1024 (A), 2048 (B), 1024 (C)\n"), "{printed}");
    assert!(printed.contains("NO VALID MEASUREMENT: C ended as wrong_answers\n"), "{printed}");
    assert!(printed.ends_with("A, B, C: NOT TO BE COMPARED AS THEY STAND\n"), "{printed}");
}

#[test]
fn what_is_no_report_gives_exit_code_2_and_its_name() {
    let folder = tempfile::tempdir().expect("there is room");
    let one = report(folder.path(), "one.json", Fault::None, &[]);
    let odd = folder.path().join("odd.json");
    for (content, reason) in [("{", "is no JSON"), ("{\"format\": 1}", "no report"), ("", "is no JSON")] {
        std::fs::write(&odd, content).expect("there is room");
        let output = compare("compare", &[&one, &odd], &[]);
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true), "{said}");
        assert!(said.contains("odd.json") && said.contains(reason), "{said}");
    }
    let output = compare("compare", &[&one, &folder.path().join("none.json")], &[]);
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("none.json"));
}
