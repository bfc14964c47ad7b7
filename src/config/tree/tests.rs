//! What is a tree and what is none, and on which line.

use super::super::layers::Layers;
use super::super::{Config, ConfigError, Source};
use super::*;

const SHIPPED: &str = include_str!("../../../config.yml");

fn lines(text: &str) -> Vec<(String, usize)> {
    let tree = Tree::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
    tree.marks.into_iter().map(|(path, line)| (path.join("/"), line)).collect()
}

fn refusal(text: &str) -> (usize, String) {
    let error = Tree::parse(text).expect_err(text);
    (error.line, error.reason)
}

#[test]
fn every_key_and_item_has_its_line_however_it_is_written() {
    let cases: [(&str, &[(&str, usize)]); 8] = [
        ("a:\n  b: 1\n  c: 2\n", &[("a", 1), ("a/b", 2), ("a/c", 3)]),
        ("# hello\n\na:\n  # why\n  b: 1\n", &[("a", 3), ("a/b", 5)]),
        ("a: { b: 1, c: 2 }\nd: {}", &[("a", 1), ("a/b", 1), ("a/c", 1), ("d", 2)]),
        ("a: {\n  b: 1,\n  c: 2 }", &[("a", 1), ("a/b", 2), ("a/c", 3)]),
        ("a:\n  b:\n    - x\n    - y\n", &[("a", 1), ("a/b", 2), ("a/b/0", 3), ("a/b/1", 4)]),
        ("a:\n  b: [x,\n    y]\n", &[("a", 1), ("a/b", 2), ("a/b/0", 2), ("a/b/1", 3)]),
        ("a:\r\n  'b': |\r\n    x\r\n    y\r\n  c: 1\r\n", &[("a", 1), ("a/b", 2), ("a/c", 5)]),
        ("---\na:\n\"b\":\n...\n", &[("a", 2), ("b", 3)]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|(path, line)| ((*path).to_owned(), *line)).collect();
        assert_eq!(lines(text), expected, "{text:?}");
    }
}

#[test]
fn a_text_without_values_is_an_empty_tree() {
    for text in ["", "\n", "# nothing\n", "---\n", "null", "~", "{}", "\u{feff}", "--- # nothing\n...\n"] {
        let tree = Tree::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
        assert_eq!(tree.names().count(), 0, "{text:?}");
    }
}

#[test]
fn values_are_found_by_their_path() {
    let tree = Tree::parse("a:\n  b: 7\n  c: [x]\nd:\n").unwrap();
    assert_eq!(tree.value(&["a", "b"]), Some(&Value::from(7)));
    assert_eq!(tree.value(&["d"]), Some(&Value::Null));
    for path in [&["e"][..], &["a", "x"], &["a", "b", "c"], &["a", "c", "0"]] {
        assert_eq!(tree.value(path), None, "{path:?}");
    }
}

#[test]
fn a_place_without_a_line_has_that_of_what_is_above_it() {
    let tree = Tree::parse("\na:\n  b: [x]\n").unwrap();
    let cases = [(&["a", "b", "0"][..], 3), (&["a", "b", "7"], 3), (&["a", "x"], 2), (&["x"], 1)];
    for (path, line) in cases {
        assert_eq!(tree.line(path), line, "{path:?}");
    }
}

#[test]
fn what_is_no_tree_is_refused_with_its_line() {
    let cases = [
        ("a:\n  b: 1\n  b: 2\n", 3, "a.b is given twice, first on line 2"),
        ("a: 1\nb: 2\n\na: 3\n", 4, "a is given twice, first on line 1"),
        ("a: {b: 1, b: 2}", 1, "a.b is given twice, first on line 1"),
        ("a: &x 1\n", 1, "an anchor is not read here"),
        ("a: 1\nb: *x\n", 2, "unknown anchor"),
        ("a:\n  b: !!str 1\n", 2, "a tag is not read here"),
        ("a: !secret {b: 1}\n", 1, "a tag is not read here"),
        ("a: 1\n---\nb: 2\n", 2, "a second document is not read"),
        ("\n? [a, b]\n: 1\n", 2, "a key is one word"),
        ("{{a: 1}: 2}", 1, "a key is one word"),
        ("- a\n- b\n", 1, "sections and their keys are expected"),
        ("just words", 1, "sections and their keys are expected"),
        ("7", 1, "sections and their keys are expected"),
    ];
    for (text, line, reason) in cases {
        let (at, why) = refusal(text);
        assert!(at == line && why.contains(reason), "{text:?}: line {at}: {why}");
    }
}

#[test]
fn a_syntax_error_has_the_line_where_the_reader_gave_up() {
    let cases =
        [("a: [1, 2\n", 1..=2), ("a:\n  b: 'x\n", 2..=3), ("a: 1\n b: 2\n", 1..=2), ("a:\n\tb: 1\n", 1..=2)];
    for (text, at) in cases {
        let (line, reason) = refusal(text);
        assert!(at.contains(&line) && !reason.is_empty(), "{text:?}: line {line}: {reason}");
    }
}

#[test]
fn nesting_has_an_end_and_no_text_exhausts_the_stack() {
    let deepest = format!("a: {}{}", "[".repeat(DEPTH_MAX - 1), "]".repeat(DEPTH_MAX - 1));
    assert!(Tree::parse(&deepest).is_ok());
    let n = 100_000;
    let texts = [
        format!("a: {}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX)),
        "[".repeat(n),
        "{a: ".repeat(n),
        "- ".repeat(n),
        "? ".repeat(n),
        (0..1_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
    ];
    for text in texts {
        let (_, reason) = refusal(&text);
        let told = ["deeper", "one word", "recursion limit"].iter().any(|part| reason.contains(part));
        assert!(told, "{}: {reason}", &text[..40]);
    }
}

#[test]
fn a_name_that_could_be_a_master_key_is_not_repeated() {
    let secret = "0123456789abcdef";
    let texts = [
        format!("auth: {{{secret}: 1, {secret}: 2}}"),
        format!("auth:\n  master_keys: {{{secret}: 1, {secret}: 2}}"),
        format!("auth:\n  {secret}:\n    a: 1\n    a: 2\n"),
    ];
    for text in texts {
        let (_, reason) = refusal(&text);
        assert!(reason.contains("given twice") && !reason.contains(secret), "{reason}");
    }
    let path = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Path>();
    assert_eq!(show_name(&path(&["auth", "query_keys"])), "auth.query_keys");
    assert_eq!(show_name(&path(&["limits", "a\nb"])), "limits.a\\nb");
    assert_eq!(show_name(&path(&[&"x".repeat(50)])), format!("{}…", "x".repeat(40)));
}

#[test]
fn every_beginning_of_the_shipped_file_is_judged_and_none_panics() {
    let mut trees = 0;
    for end in (0..=SHIPPED.len()).filter(|end| SHIPPED.is_char_boundary(*end)) {
        match Tree::parse(&SHIPPED[..end]) {
            Ok(_) => trees += 1,
            Err(error) => assert!(error.line <= 1 + SHIPPED[..end].lines().count(), "{end}: {error:?}"),
        }
    }
    assert!(trees > 0 && Tree::parse(SHIPPED).is_ok());
}

/// Splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn next_random(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) as usize
}

/// Judges every key of a tree.
fn judge(tree: Tree) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    layers.file(&Source::Builtin, &tree);
    layers.finish()
}

#[test]
fn no_damage_to_the_shipped_file_makes_the_reader_panic() {
    const PIECES: [&str; 20] = [
        "[", "]", "{", "}", ":", ": ", "- ", "? ", "\n", "  ", "\t", "'", "\"", "&a ", "*a", "!!x ", "|\n",
        ">", "%", "\0",
    ];
    for seed in 0..1_500_u64 {
        let mut state = seed;
        let mut text: Vec<char> = SHIPPED
            .lines()
            .filter(|line| !line.contains('#'))
            .flat_map(|l| l.chars().chain(['\n']))
            .collect();
        for _ in 0..1 + next_random(&mut state) % 4 {
            let at = next_random(&mut state) % text.len();
            let piece = PIECES[next_random(&mut state) % PIECES.len()];
            let cut = next_random(&mut state) % 3;
            text.splice(at..(at + cut).min(text.len()), piece.chars());
        }
        let text: String = text.into_iter().collect();
        let result = std::panic::catch_unwind(|| Tree::parse(&text).map(judge));
        assert!(result.is_ok(), "seed {seed}: panic on {text:?}");
    }
}
