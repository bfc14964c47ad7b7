//! What is logged: `DEBUG` and `RUST_LOG` become one filter, and the log goes to stderr.
//!
//! Level info by default. `DEBUG` is the switch that operators know from other services:
//! `*`, `seshun`, `seshun:part`, lists of them, and `-part` to leave one out. Whatever
//! else stands in it is meant for another program and is ignored. `RUST_LOG` wins when
//! it is set. Reads no environment itself and never fails a start.

use std::collections::BTreeSet;
use std::fmt;

/// The name of everything of ours, as `DEBUG` and as module paths have it.
const OURS: &str = "seshun";

/// What is logged, in the words of `env_logger`: directives by comma.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter(String);

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The filter that the variables `DEBUG` and `RUST_LOG` ask for; an empty one is not set.
pub fn filter_from(debug: Option<&str>, rust_log: Option<&str>) -> Filter {
    if let Some(directives) = rust_log.filter(|directives| !directives.trim().is_empty()) {
        return Filter(directives.to_owned());
    }
    Filter(Wish::of(debug.unwrap_or_default()).directives())
}

/// Begins to log to stderr what `filter` lets through. Only the first call of a process counts.
pub fn init(filter: &Filter) {
    let logger = env_logger::Builder::new().parse_filters(&filter.0).format_timestamp_millis().try_init();
    if logger.is_err() {
        log::debug!("the log was set up before and stays as it is");
    }
}

/// What a `DEBUG` asks for.
#[derive(Default)]
struct Wish {
    /// Whether everything is asked for, the libraries included.
    everything: bool,
    /// Module paths of ours that are asked for.
    wanted: BTreeSet<String>,
    /// Module paths of ours that are left out; they win.
    unwanted: BTreeSet<String>,
}

impl Wish {
    /// Reads `debug`, a list by comma or blank.
    fn of(debug: &str) -> Self {
        let mut wish = Self::default();
        for word in debug.split([',', ' ', '\t']) {
            match word.strip_prefix('-') {
                _ if word == "*" => wish.everything = true,
                Some(part) => wish.unwanted.extend(module_of(part).or_else(|| module_of_part(part))),
                None => wish.wanted.extend(module_of(word)),
            }
        }
        wish
    }

    /// The directives for it. The longest that a module path begins with is the one that counts.
    fn directives(&self) -> String {
        let base = if self.everything { "debug" } else { "info" };
        let wanted = self.wanted.iter().filter(|path| !self.is_unwanted(path));
        let wanted = wanted.map(|path| format!("{path}=debug"));
        let unwanted = self.unwanted.iter().map(|path| format!("{path}=info"));
        let all = std::iter::once(base.to_owned()).chain(wanted).chain(unwanted);
        all.collect::<Vec<_>>().join(",")
    }

    /// Whether `path`, or what holds it, is left out.
    fn is_unwanted(&self, path: &str) -> bool {
        let holds = |outer: &String| {
            path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        self.unwanted.iter().any(holds)
    }
}

/// The module path of `seshun`, `seshun:*`, `seshun:part` or `seshun:part:part`.
fn module_of(word: &str) -> Option<String> {
    match word.strip_prefix(OURS)? {
        "" | ":*" => Some(OURS.to_owned()),
        parts => module_of_part(parts.strip_prefix(':')?),
    }
}

/// The module path of `part` or `part:part`.
fn module_of_part(parts: &str) -> Option<String> {
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let parts: Vec<_> = parts.split(':').collect();
    let is_path = parts.iter().all(|part| is_word(part));
    is_path.then(|| format!("{OURS}::{}", parts.join("::")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_takes_the_words_that_are_ours_and_ignores_the_rest() {
        let cases = [
            ("", "info"),
            ("*", "debug"),
            ("seshun", "info,seshun=debug"),
            ("seshun:*", "info,seshun=debug"),
            ("seshun:http", "info,seshun::http=debug"),
            ("seshun:http:chunked", "info,seshun::http::chunked=debug"),
            ("seshun:store,seshun:http", "info,seshun::http=debug,seshun::store=debug"),
            ("seshun:http seshun:http", "info,seshun::http=debug"),
            ("1", "info"),
            ("true", "info"),
            ("express:*", "info"),
            ("express:*,seshun:mesh,*.js", "info,seshun::mesh=debug"),
            ("SESHUN", "info"),
            ("seshun:HTTP", "info"),
            ("seshuns", "info"),
            ("seshun:", "info"),
            ("seshun::http", "info"),
            ("seshun:http=trace", "info"),
            ("http", "info"),
            (" , ,", "info"),
            ("**", "info"),
        ];
        for (debug, directives) in cases {
            assert_eq!(filter_from(Some(debug), None).to_string(), directives, "DEBUG={debug}");
        }
    }

    #[test]
    fn debug_leaves_out_what_has_a_minus() {
        let cases = [
            ("*,-seshun:http", "debug,seshun::http=info"),
            ("*,-http", "debug,seshun::http=info"),
            ("-store,*", "debug,seshun::store=info"),
            ("seshun,-seshun:store:wheel", "info,seshun=debug,seshun::store::wheel=info"),
            ("*,-seshun", "debug,seshun=info"),
            ("seshun:http,-seshun:http", "info,seshun::http=info"),
            ("seshun:http:head,-http", "info,seshun::http=info"),
            ("seshun:httpd,-http", "info,seshun::httpd=debug,seshun::http=info"),
            ("seshun,-*", "info,seshun=debug"),
            ("*,-express:*,-,--http", "debug"),
        ];
        for (debug, directives) in cases {
            assert_eq!(filter_from(Some(debug), None).to_string(), directives, "DEBUG={debug}");
        }
    }

    #[test]
    fn rust_log_wins_when_it_is_set() {
        let cases = [
            (None, None, "info"),
            (None, Some("warn"), "warn"),
            (Some("*"), Some("seshun::http=trace"), "seshun::http=trace"),
            (Some("*"), Some(""), "debug"),
            (Some("seshun"), Some("  "), "info,seshun=debug"),
        ];
        for (debug, rust_log, directives) in cases {
            assert_eq!(filter_from(debug, rust_log).to_string(), directives, "{debug:?} {rust_log:?}");
        }
    }

    #[test]
    fn the_filter_lets_through_what_was_asked_for() {
        let enabled = |debug: &str, target: &str, level: log::Level| {
            let filter = filter_from(Some(debug), None);
            let logger = env_logger::Builder::new().parse_filters(&filter.0).build();
            log::Log::enabled(&logger, &log::Metadata::builder().target(target).level(level).build())
        };
        let cases = [
            ("", "seshun::http", log::Level::Info, true),
            ("", "seshun::http", log::Level::Debug, false),
            ("seshun", "seshun::http::head", log::Level::Debug, true),
            ("seshun", "monoio", log::Level::Debug, false),
            ("seshun:http", "seshun::store", log::Level::Debug, false),
            ("seshun:http", "seshun::store", log::Level::Info, true),
            ("*", "monoio", log::Level::Debug, true),
            ("*,-http", "seshun::http::head", log::Level::Debug, false),
            ("*,-http", "seshun::http::head", log::Level::Info, true),
            ("*,-http", "seshun::store", log::Level::Debug, true),
            ("*", "seshun::http", log::Level::Trace, false),
        ];
        for (debug, target, level, expected) in cases {
            assert_eq!(enabled(debug, target, level), expected, "DEBUG={debug}: {target} at {level}");
        }
    }
}
