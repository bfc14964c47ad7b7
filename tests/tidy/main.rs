//! The rules of the house that no lint checks: layers, lengths, headers, words, links.
//!
//! Each rule is one test here and one pure function in a module beside it, which carries a
//! self-test on a bad snippet, so that no rule passes because it looks at nothing. A failing
//! rule names every offender at once. Only `std` is used; no file is ever written.

mod layers;
mod papers;
mod shape;
mod source;
mod tree;
mod words;

use source::Source;

/// The Rust sources that the rules speak of, each with its path from the root.
fn sources() -> Vec<Source> {
    const ROOTS: [&str; 6] = ["src/", "loadtest/src/", "loadtest/tests/", "benches/", "tests/", "fuzz/"];
    let is_ours = |path: &str| path.ends_with(".rs") && ROOTS.iter().any(|root| path.starts_with(root));
    tree::files().into_iter().filter(|path| is_ours(path)).map(|path| Source::read(&path)).collect()
}

/// Fails with every offender that `rule` finds in any source.
fn judge_sources(rule: impl Fn(&Source) -> Vec<String>) {
    let sources = sources();
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the sources were not found");
    fail_on(sources.iter().flat_map(rule).collect());
}

fn fail_on(offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{} offenders:\n{}", offenders.len(), offenders.join("\n"));
}

#[test]
fn imports_point_down_only() {
    judge_sources(layers::offenders);
}

#[test]
fn files_are_short_enough_to_hold() {
    judge_sources(shape::long_files);
}

#[test]
fn functions_fit_on_a_screen() {
    judge_sources(shape::long_functions);
}

#[test]
fn every_file_opens_by_saying_what_it_owns() {
    judge_sources(shape::headers);
}

#[test]
fn folders_are_two_deep_at_most() {
    judge_sources(shape::deep_folders);
}

#[test]
fn unsafe_code_is_in_two_files() {
    judge_sources(words::unsafe_code);
}

#[test]
fn words_of_the_house_are_used_and_others_are_not() {
    judge_sources(words::banned_words);
}

#[test]
fn nothing_is_left_for_later() {
    judge_sources(words::unfinished_marks);
}

#[test]
fn production_code_does_not_unwrap() {
    judge_sources(words::unwraps);
}

#[test]
fn one_file_reads_the_clock() {
    judge_sources(words::clocks);
}

#[test]
fn only_the_runtime_awaits() {
    judge_sources(words::async_code);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let texts = tree::files().into_iter().filter(|path| path != "Cargo.lock");
    fail_on(texts.flat_map(|path| papers::machine_traces(&path, &tree::read(&path))).collect());
}

#[test]
fn links_in_documents_lead_somewhere() {
    let documents = tree::files().into_iter().filter(|path| path.ends_with(".md"));
    fail_on(
        documents.flat_map(|path| papers::broken_links(&path, &tree::read(&path), tree::exists)).collect(),
    );
}

#[test]
fn decision_records_are_numbered_once_each() {
    const FOLDER: &str = "docs/decisions/";
    let records: Vec<String> = tree::files().into_iter().filter(|path| path.starts_with(FOLDER)).collect();
    assert!(!records.is_empty(), "{FOLDER} holds no record");
    fail_on(papers::misnumbered_records(&records));
}

#[test]
fn the_changelog_says_what_is_unreleased() {
    assert!(tree::read("CHANGELOG.md").lines().any(|line| line.starts_with("## [Unreleased]")));
}
