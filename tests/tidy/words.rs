//! Which words may stand where: the house's vocabulary, and the keywords that only one file
//! or one layer may use.
//!
//! Identifiers are judged where they are named, not where they are called, so that a library's
//! method does not offend; a compound (`take_all`, `CoreId`) is judged by its parts. The
//! vocabulary has more rules than a machine can judge: only those without false alarms are here.

use crate::source::{Source, words};

/// Words that the house has another word for, and that word. Neither code nor comments use them.
const BANNED: &[(&str, &str)] = &[
    ("worker", "core or shard"),
    ("workers", "cores or shards"),
    ("purge", "expire"),
    ("purged", "expired"),
    ("purges", "expires"),
    ("reap", "expire"),
    ("reaped", "expired"),
    ("reaper", "wheel"),
    ("partition", "shard"),
    ("partitions", "shards"),
];

/// Words that comments may need, but nothing of ours is named by.
const BANNED_NAMES: &[(&str, &str)] = &[
    ("evict", "expire, or refuse"),
    ("evicted", "expired, or refused"),
    ("eviction", "expiry, or refusal"),
    ("gc", "expire"),
    ("notifier", "doorbell"),
    ("wal", "journal"),
    ("packet", "frame"),
];

/// A folder, and words that nothing there is named by, because they belong to another layer.
const FOREIGN_NAMES: &[(&str, &[&str])] = &[
    ("src/http/", &["session", "sessions", "shard", "bucket"]),
    ("src/store/", &["http", "request", "response"]),
    ("src/shard/", &["http", "request", "response"]),
];

/// Marks of work that was left. Spelt apart, so that this file has none.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// Words that STYLE gave up for another one.
pub fn banned_words(source: &Source) -> Vec<String> {
    let mut offenders = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        let mut judge = |part: &str, table: &[(&str, &str)]| {
            if let Some((word, better)) = table.iter().find(|(word, _)| *word == part) {
                offenders.push(source.offender(index + 1, &format!("{word}: say {better}")));
            }
        };
        for part in own_parts(&line.code) {
            judge(&part, BANNED);
            judge(&part, BANNED_NAMES);
        }
        for part in words(&line.comment).iter().flat_map(|word| parts(word.text)) {
            judge(&part, BANNED);
        }
    }
    offenders.extend(foreign_names(source));
    offenders
}

fn foreign_names(source: &Source) -> Vec<String> {
    let Some((folder, banned)) = FOREIGN_NAMES.iter().find(|(folder, _)| source.path.starts_with(folder))
    else {
        return Vec::new();
    };
    let mut offenders = Vec::new();
    for (line, text) in source.production() {
        for part in own_parts(&text.code) {
            if banned.contains(&part.as_str()) {
                offenders.push(source.offender(line, &format!("{folder} knows no {part}")));
            }
        }
    }
    offenders
}

/// The parts of all names of a line that were not named elsewhere.
fn own_parts(code: &str) -> impl Iterator<Item = String> {
    words(code).into_iter().filter(|word| !word.is_foreign).flat_map(|word| parts(word.text))
}

/// The parts of a compound, in lower case: `CoreId` and `core_id` have the same.
fn parts(word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut last_was_lower = false;
    for c in word.chars() {
        if c == '_' || (c.is_uppercase() && last_was_lower) {
            parts.push(String::new());
        }
        if let (Some(part), true) = (parts.last_mut(), c != '_') {
            part.extend(c.to_lowercase());
        }
        last_was_lower = c.is_lowercase() || c.is_ascii_digit();
    }
    parts
}

/// Marks that something is left for later, in code or comments.
pub fn unfinished_marks(source: &Source) -> Vec<String> {
    let mut offenders = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        for word in [words(&line.code), words(&line.comment)].concat() {
            let is_macro = matches!(word.text, "todo" | "unimplemented")
                && line.code.contains(&format!("{}!", word.text));
            if UNFINISHED.contains(&word.text) || is_macro {
                offenders.push(source.offender(index + 1, word.text));
            }
        }
    }
    offenders
}

/// Where descriptors are borrowed, and where the allocator's settings are made.
const UNSAFE_FILES: [&str; 2] = ["src/runtime/fd.rs", "src/runtime/allocator.rs"];

/// `unsafe`, anywhere but in two files.
pub fn unsafe_code(source: &Source) -> Vec<String> {
    if UNSAFE_FILES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    keywords(source, &["unsafe"], true)
}

/// `.unwrap()`, where it could end the process.
pub fn unwraps(source: &Source) -> Vec<String> {
    let unwraps = source.production().filter(|(_, line)| line.code.contains(".unwrap()"));
    unwraps.map(|(line, _)| source.offender(line, "unwrap: say why it holds, or handle it")).collect()
}

/// The standard library's clocks, anywhere but in the two files that read them.
pub fn clocks(source: &Source) -> Vec<String> {
    if matches!(source.path.as_str(), "src/runtime/clock.rs" | "loadtest/src/clock.rs") {
        return Vec::new();
    }
    keywords(source, &["Instant", "SystemTime"], false)
}

/// `async` and `await`, below the layer that does I/O.
pub fn async_code(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/") || source.path.starts_with("src/runtime/") {
        return Vec::new();
    }
    keywords(source, &["async", "await"], true)
}

fn keywords(source: &Source, banned: &[&str], with_tests: bool) -> Vec<String> {
    let mut offenders = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        let is_judged = with_tests || (source.is_production() && !line.is_test);
        for word in words(&line.code).iter().filter(|_| is_judged) {
            if banned.contains(&word.text) {
                offenders.push(source.offender(index + 1, word.text));
            }
        }
    }
    offenders
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&Source) -> Vec<String>;

    fn check(rule: Rule, table: &[(&str, &str, usize)]) {
        for (path, text, offenders) in table {
            assert_eq!(rule(&Source::parse(path, text)).len(), *offenders, "{path}: {text}");
        }
    }

    #[test]
    fn compounds_have_the_same_parts_however_they_are_written() {
        for word in ["reap_all_now", "ReapAllNow", "REAP_ALL_NOW", "reapAllNow"] {
            assert_eq!(parts(word), ["reap", "all", "now"], "{word}");
        }
    }

    #[test]
    fn a_banned_word_is_found_in_names_and_comments_but_not_in_texts_or_calls() {
        check(
            banned_words,
            &[
                ("src/x.rs", "struct WorkerId;", 1),
                ("src/x.rs", "fn reap_due() {}", 1),
                ("tests/x.rs", "// each worker takes a partition", 2),
                ("src/x.rs", "fn evict_oldest() {}", 1),
                ("src/x.rs", "// a live one is never evicted", 0),
                ("src/x.rs", "list.partition(|x| x.is_due()); deque::Worker::new(\"worker\")", 0),
                ("src/x.rs", "// networker, reappear", 0),
            ],
        );
    }

    #[test]
    fn a_layer_names_nothing_by_another_layers_words() {
        check(
            banned_words,
            &[
                ("src/http/head.rs", "struct SessionHead;", 1),
                ("src/http/head.rs", "// knows no session", 0),
                ("src/store/mod.rs", "fn take(request: u8, response_len: u8) {}", 2),
                ("src/store/mod.rs", "#[cfg(test)]\nfn request() {}", 0),
                ("src/api/mod.rs", "fn take(request: u8, session: u8) {}", 0),
            ],
        );
    }

    #[test]
    fn a_mark_of_unfinished_work_is_found() {
        for mark in UNFINISHED {
            check(unfinished_marks, &[("src/x.rs", &format!("a(); // {mark}: later"), 1)]);
        }
        check(
            unfinished_marks,
            &[
                ("src/x.rs", "fn a() { todo!() }", 1),
                ("src/x.rs", "fn b() { unimplemented!() }", 1),
                ("src/x.rs", "// what is todo for an operator", 0),
                ("src/x.rs", &format!("let mask = \"{}\";", UNFINISHED[2]), 0),
            ],
        );
    }

    #[test]
    fn unsafe_is_found_everywhere_but_in_its_files() {
        check(
            unsafe_code,
            &[
                ("src/x.rs", "unsafe { f() }", 1),
                ("tests/x.rs", "#[test]\nfn t() { unsafe { f() } }", 1),
                ("src/runtime/fd.rs", "unsafe { f() }", 0),
                ("src/runtime/allocator.rs", "unsafe { f() }", 0),
                ("src/x.rs", "#![deny(unsafe_code)] // unsafe", 0),
            ],
        );
    }

    #[test]
    fn unwrap_is_found_outside_tests() {
        check(
            unwraps,
            &[
                ("src/x.rs", "a.unwrap();", 1),
                ("loadtest/src/x.rs", "a\n    .unwrap()\n    .b();", 1),
                ("src/x.rs", "a.unwrap_or(1); // .unwrap()", 0),
                ("src/x.rs", "#[cfg(test)]\nmod tests {\n    fn t() { a.unwrap(); }\n}", 0),
                ("tests/x.rs", "a.unwrap();", 0),
            ],
        );
    }

    #[test]
    fn a_clock_is_found_outside_its_files() {
        check(
            clocks,
            &[
                ("src/store/mod.rs", "use std::time::{Duration, Instant};", 1),
                ("src/config/mod.rs", "let now = std::time::SystemTime::now();", 1),
                ("loadtest/src/client.rs", "Instant::now()", 1),
                ("src/runtime/clock.rs", "Instant::now()", 0),
                ("loadtest/src/clock.rs", "Instant::now()", 0),
                ("tests/expiry.rs", "Instant::now()", 0),
            ],
        );
    }

    #[test]
    fn async_code_is_found_below_the_runtime() {
        check(
            async_code,
            &[
                ("src/api/mod.rs", "async fn f() { g().await }", 2),
                ("src/mesh/mod.rs", "#[cfg(test)]\nmod tests { async fn f() {} }", 1),
                ("src/runtime/serve.rs", "async fn f() {}", 0),
                ("loadtest/src/client.rs", "async fn f() {}", 0),
            ],
        );
    }
}
