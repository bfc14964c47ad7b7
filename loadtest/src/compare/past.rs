//! A report of an earlier run, read back from its JSON.
//!
//! Parsed at this border and never looked at again: what is compared must be there, what later
//! versions added may be missing, and what is not known here is passed over. The workload stays
//! a map, so that a field that only one of two programs knows can be named.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::UnixMillis;
use crate::host::Host;
use crate::spectrum::Spectrum;
use crate::stats::Percentiles;

/// A file longer than this is no report: a day of seconds has a tenth of it.
const FILE_LEN_MAX: u64 = 256 * 1024 * 1024;

/// Why a file cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum PastError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no JSON.
    #[error("{} is no JSON: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is JSON of something else, or of a report that lacks what is compared.
    #[error("{} is no report that loadtest --json wrote: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is odd.
        reason: String,
    },
}

/// What is compared of a run.
#[derive(Clone, Debug, Deserialize)]
pub struct Past {
    /// The version of the JSON object.
    pub format: u32,
    /// How the run ended: a word.
    pub conclusion: String,
    /// When it began to load, where the report says so.
    pub started_unix_ms: Option<UnixMillis>,
    /// The machine that loaded, where the report says so.
    pub host: Option<Host>,
    /// What was asked for, field by field.
    pub config: Map<String, Value>,
    /// Seconds from the start of measuring to the last answer.
    pub elapsed_s: f64,
    /// Sums over all operations.
    pub totals: Totals,
    /// Totals a second.
    pub rates: Rates,
    /// A row a kind of operation.
    pub operations: Vec<Operation>,
    /// Refusals and errors by kind.
    #[serde(default)]
    pub errors: Vec<Errors>,
    /// What the generator took.
    pub generator: Option<Generator>,
    /// What the server said of itself.
    pub server: Option<Server>,
    /// The load second by second.
    #[serde(default)]
    pub series: Vec<Second>,
}

/// Sums over all operations.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Totals {
    /// Wrong answers.
    pub wrong: u64,
    /// Requests that never left.
    #[serde(default)]
    pub dropped: u64,
    /// Requests that were refused.
    #[serde(default)]
    pub refused: u64,
}

/// Totals a second.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Rates {
    /// Answers.
    pub answers_per_s: f64,
}

/// One kind of operation.
#[derive(Clone, Debug, Deserialize)]
pub struct Operation {
    /// Its name.
    pub name: String,
    /// Answers.
    pub count: u64,
    /// Answers a second.
    pub per_s: f64,
    /// Latencies, corrected in an open loop.
    pub latency_us: Percentiles,
    /// The same from when requests left, in an open loop.
    pub service_us: Option<Percentiles>,
    /// The curve of the latencies; empty in a report that has none.
    #[serde(default)]
    pub spectrum_us: Spectrum,
    /// The curve from when requests left.
    pub service_spectrum_us: Option<Spectrum>,
}

/// One kind of refusal or error.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Errors {
    /// How often.
    pub count: u64,
}

/// What the generator took.
#[derive(Clone, Debug, Deserialize)]
pub struct Generator {
    /// The share of the time that its busiest core was busy.
    pub cpu_share: Option<f64>,
    /// Why the run is no measurement of the server, if it is none.
    pub limited: Option<String>,
    /// What makes it a worse one than it could be, if anything.
    pub disturbed: Option<String>,
}

/// What the server said of itself.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Server {
    /// CPU time a request, in microseconds.
    pub cpu_us_per_request: f64,
    /// The most resident memory seen, in bytes.
    pub resident_bytes: f64,
}

/// A second of the load.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Second {
    /// Seconds from the start of measuring to its end.
    pub at_s: f64,
    /// Answers a second.
    pub answers_per_s: f64,
    /// What 99 % of its answers kept to, in microseconds.
    pub p99_us: f64,
}

impl Past {
    /// The report in this file.
    pub fn read(path: &Path) -> Result<Self, PastError> {
        let text = read_bounded(path).map_err(|source| PastError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// The report that this text is; `path` is where it comes from.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, PastError> {
        let tree: Value = serde_json::from_slice(text)
            .map_err(|source| PastError::Syntax { path: path.to_owned(), source })?;
        let foreign = |reason: String| PastError::Foreign { path: path.to_owned(), reason };
        if tree.get("machine").is_some() && tree.get("rows").is_some() {
            return Err(foreign("it is a comparison of servers that loadtest versus wrote".to_owned()));
        }
        serde_json::from_value(tree).map_err(|error| foreign(error.to_string()))
    }

    /// An operation by its name.
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|row| row.name == name)
    }

    /// A field of what was asked for, as a text; nothing where the report does not speak of it.
    pub fn asked(&self, field: &str) -> Option<String> {
        self.config.get(field).map(plain)
    }
}

/// A value as people would write it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(parts) => match (parts.get("from"), parts.get("to")) {
            (Some(from), Some(to)) if from == to => format!("{}/s", plain(from)),
            (Some(from), Some(to)) => format!("{}..{}/s", plain(from), plain(to)),
            _ => parts
                .iter()
                .map(|(name, part)| format!("{name}={}", plain(part)))
                .collect::<Vec<_>>()
                .join(","),
        },
        // A whole number is told as one, however it was written.
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string())
        }
        other => other.to_string(),
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_LEN_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_LEN_MAX {
        return Err(io::Error::other("it is too long to be a report"));
    }
    Ok(text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// A report as the first programs wrote it, without curves, machine or date.
    pub fn old_report() -> Value {
        let percentiles = json!({"p50": 100.0, "p90": 200.0, "p99": 400.0, "p99_9": 800.0, "max": 1000.0});
        json!({
            "format": 1,
            "conclusion": "passed",
            "config": {"url": "http://a", "connections": 64, "duration_s": 10.0, "rate": null, "seed": "7",
                       "mix": {"read": 80, "update": 20}, "size_bytes": 1024},
            "elapsed_s": 10.0,
            "totals": {"answers": 1000, "wrong": 0},
            "rates": {"answers_per_s": 100.0},
            "operations": [
                {"name": "read", "count": 1000, "per_s": 100.0, "latency_us": percentiles},
                {"name": "all", "count": 1000, "per_s": 100.0, "latency_us": percentiles},
            ],
        })
    }

    /// The report that this tree is.
    pub fn parsed(tree: &Value) -> Past {
        Past::parse(tree.to_string().as_bytes(), Path::new("a.json")).expect("it is a report")
    }

    #[test]
    fn a_report_of_an_older_program_is_read() {
        let past = parsed(&old_report());
        let read = past.operation("read").expect("it has reads");
        assert_eq!((read.latency_us.p99, read.spectrum_us.is_empty(), read.service_us), (400.0, true, None));
        assert!(past.server.is_none() && past.series.is_empty() && past.host.is_none());
        assert_eq!(past.totals.dropped, 0);
    }

    #[test]
    fn what_is_no_report_is_refused_with_its_file_and_the_reason() {
        let mut without_rates = old_report();
        without_rates.as_object_mut().unwrap().remove("rates");
        let mut falling = old_report();
        falling["operations"][0]["spectrum_us"] = json!([[50, 2], [60, 1]]);
        let table = [
            ("{".to_owned(), "is no JSON"),
            ("[]".to_owned(), "no report"),
            ("{\"a\": 1}".to_owned(), "missing field"),
            (json!({"format": 1, "machine": {}, "rows": []}).to_string(), "loadtest versus"),
            (without_rates.to_string(), "rates"),
            (falling.to_string(), "a spectrum has rising points"),
        ];
        for (text, reason) in table {
            let error = Past::parse(text.as_bytes(), Path::new("odd.json")).expect_err(&text).to_string();
            assert!(error.contains("odd.json") && error.contains(reason), "{text}: {error}");
        }
        let error = Past::read(Path::new("no/such.json")).expect_err("it is not there").to_string();
        assert!(error.contains("cannot read no/such.json"), "{error}");
    }

    #[test]
    fn fields_are_told_as_people_write_them() {
        let table = [
            (json!(null), "none"),
            (json!("1024"), "1024"),
            (json!(64), "64"),
            (json!(10.0), "10"),
            (json!(true), "true"),
            (json!({"from": 5000.0, "to": 5000.0}), "5000/s"),
            (json!({"from": 0.0, "to": 5000.5}), "0..5000.5/s"),
            (json!({"read": 80, "update": 20}), "read=80,update=20"),
        ];
        for (value, expected) in table {
            assert_eq!(plain(&value), expected, "{value}");
        }
    }
}
