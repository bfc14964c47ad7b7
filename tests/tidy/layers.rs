//! Imports point down only.
//!
//! The table says for each module what its production code may import of the crate. Paths are
//! found wherever code names them, by `crate::…` or by a `super` that climbs to the crate's
//! root, alone or in braces. A module that has no row may not exist.

use crate::source::{Source, words};

/// A module and the modules that it may import. Itself is always allowed.
type Layer = (&'static str, &'static [&'static str]);

/// From the bottom to the top. `main.rs` and `lib.rs` stand above all and may import any.
const LAYERS: &[Layer] = &[
    ("types", &[]),
    ("http", &["types"]),
    ("store", &["types"]),
    ("registry", &["types"]),
    ("metrics", &["types"]),
    ("journal", &["types", "metrics"]),
    ("shard", &["types", "store", "registry", "journal"]),
    ("api", &["types", "http", "store", "registry", "shard"]),
    ("mesh", &["types", "http", "store", "registry", "metrics", "journal", "shard", "api"]),
    ("admin", &["types", "http", "metrics", "journal"]),
    (
        "runtime",
        &["types", "http", "store", "registry", "journal", "metrics", "shard", "api", "mesh", "admin"],
    ),
    (
        "config",
        &[
            "types", "http", "store", "registry", "journal", "metrics", "shard", "api", "mesh", "admin",
            "runtime",
        ],
    ),
    ("logging", &["types"]),
];

/// What `source` imports although it stands above it or beside it.
pub fn offenders(source: &Source) -> Vec<String> {
    let Some(module) = source.path.strip_prefix("src/") else { return Vec::new() };
    let name = module.split(['/', '.']).next().unwrap_or_default();
    if matches!(module, "lib.rs" | "main.rs") {
        return Vec::new();
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
        return vec![
            source.offender(1, &format!("module {name} has no layer: give it a row in tests/tidy/layers.rs")),
        ];
    };
    let is_bad = |import: &str| import != name && !allowed.contains(&import);
    imports(source, supers_to_root(module))
        .into_iter()
        .filter(|(_, import)| is_bad(import))
        .map(|(line, import)| source.offender(line, &format!("{name} may not import {import}")))
        .collect()
}

/// How many `super` lead from a file to the crate's root.
fn supers_to_root(module: &str) -> usize {
    let folders = module.matches('/').count();
    if module.ends_with("/mod.rs") { folders } else { folders + 1 }
}

/// The modules of the crate that production code names, each with its line.
fn imports(source: &Source, supers_to_root: usize) -> Vec<(usize, String)> {
    let code: Vec<(usize, &str)> =
        source.production().map(|(line, text)| (line, text.code.as_str())).collect();
    let root = "super::".repeat(supers_to_root);
    let mut imports = Vec::new();
    for (index, &(line, text)) in code.iter().enumerate() {
        for prefix in ["crate::", root.as_str()] {
            for (at, _) in text.match_indices(prefix) {
                let is_path_start =
                    !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                if is_path_start {
                    let mut rest = text[at + prefix.len()..].to_string();
                    rest.extend(code[index + 1..].iter().flat_map(|(_, more)| [" ", more]));
                    imports.extend(first_names(&rest).into_iter().map(|name| (line, name)));
                }
            }
        }
    }
    imports
}

/// The first name of each path behind a root: one, or all in braces.
fn first_names(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        return words(rest).first().map(|word| word.text.to_string()).into_iter().collect();
    };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut path = String::new();
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => names.extend(first_names(std::mem::take(&mut path).trim_start())),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                path.push(c);
            }
        }
    }
    names.extend(first_names(path.trim_start()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        offenders(&Source::parse(path, text)).len()
    }

    #[test]
    fn an_import_that_points_up_or_aside_is_found_however_it_is_written() {
        let bad = [
            ("src/types/time.rs", "use crate::http::Method;"),
            ("src/http/head.rs", "use crate::store::Store;"),
            ("src/http/head.rs", "fn f() { crate::shard::apply(); }"),
            ("src/store/mod.rs", "use crate::{types::Ttl, registry::Registry};"),
            ("src/store/mod.rs", "use crate::{\n    types::{Ttl, Millis},\n    api,\n};"),
            ("src/shard/mod.rs", "pub(crate) use crate::http::Status;"),
            ("src/store/mod.rs", "use super::http;"),
            ("src/store/wheel.rs", "use super::super::{types, http};"),
            ("src/registry.rs", "use super::shard::Owner;"),
            ("src/logging.rs", "use crate::config;"),
            ("src/novel.rs", ""),
        ];
        for (path, text) in bad {
            assert_eq!(count(path, text), 1, "{path}: {text}");
        }
    }

    #[test]
    fn an_import_that_points_down_is_none_of_our_business() {
        let good = [
            (
                "src/store/mod.rs",
                "use crate::types::{Deadline, Moment};\nmod wheel;\nuse self::wheel::Wheel;",
            ),
            ("src/store/wheel.rs", "use super::slab; use crate::store::budget;"),
            ("src/runtime/core.rs", "use crate::{api, mesh::Conversation, metrics::CoreMetrics};"),
            (
                "src/http/head.rs",
                "// crate::store is not for us\nlet x = \"crate::store\"; my_crate::store();",
            ),
            ("src/http/head.rs", "#[cfg(test)]\nmod tests {\n    use crate::store::Store;\n}"),
            ("src/main.rs", "use crate::runtime;"),
            ("tests/keys.rs", "use crate::support;"),
        ];
        for (path, text) in good {
            assert_eq!(offenders(&Source::parse(path, text)), [""; 0], "{path}: {text}");
        }
    }
}
