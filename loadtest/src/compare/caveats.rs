//! What speaks against comparing runs: other workloads, invalid measurements, other formats.
//!
//! Pure. Figures of runs that did something else, or that measured their generator, look just
//! like others once they stand in a table; so what is wrong with them is said loudly, beside
//! them and by the exit code. What only calls for care is told too, and quietly.

use super::{Run, letters};

/// The format of the JSON object that this program knows.
const FORMAT: u32 = 1;

/// Fields that differ from run to run without another workload: which server, and which draws.
const FREE: [&str; 2] = ["url", "seed"];

/// A run that lasted for less than this share of what was asked for was ended early.
const WHOLE_MIN: f64 = 0.95;

/// The shares of dropped or refused requests may be so far apart: more would move the rarest latency shown.
const UNSERVED_SHARE_MAX: f64 = 0.001;

/// What speaks against a comparison.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Caveats {
    /// Fields of the workload that differ, with each run's value.
    pub workload: Vec<String>,
    /// Why runs are no valid measurements.
    pub invalid: Vec<String>,
    /// Which formats there are, where they are not all the one that is known here.
    pub formats: Vec<String>,
    /// What only calls for care.
    pub notes: Vec<String>,
}

impl Caveats {
    /// What speaks against comparing these.
    pub fn of(runs: &[Run]) -> Self {
        debug_assert!(runs.len() >= 2, "one run is no comparison");
        let mut caveats = Self::default();
        caveats.weigh_workloads(runs);
        runs.iter().for_each(|run| caveats.weigh_run(run));
        caveats.weigh_unserved(runs, "dropped", |run| run.past.totals.dropped);
        caveats.weigh_unserved(runs, "refused", |run| run.past.totals.refused);
        if runs.iter().any(|run| run.past.format != FORMAT) {
            let formats = runs.iter().map(|run| format!("{} has format {}", run.letter, run.past.format));
            caveats.formats = formats.collect();
        }
        let machines = runs.iter().filter_map(|run| run.past.host.as_ref().map(|host| (run, host.line())));
        let machines: Vec<_> = machines.collect();
        if machines.array_windows().any(|[(_, one), (_, other)]| one != other) {
            let named = machines.iter().map(|(run, line)| format!("{} from {line}", run.letter));
            caveats
                .notes
                .push(format!("loaded from different machines: {}", named.collect::<Vec<_>>().join("; ")));
        }
        caveats
    }

    /// Whether the runs can be compared as they stand.
    pub fn is_comparable(&self) -> bool {
        self.workload.is_empty() && self.invalid.is_empty() && self.formats.is_empty()
    }

    /// What the process says about it.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.is_comparable())
    }

    fn weigh_workloads(&mut self, runs: &[Run]) {
        let mut fields: Vec<&String> = runs.iter().flat_map(|run| run.past.config.keys()).collect();
        fields.sort_unstable();
        fields.dedup();
        let mut untold: Vec<(&Run, Vec<&str>)> = runs.iter().map(|run| (run, Vec::new())).collect();
        // The law of the sizes says more than its largest one, and newer programs tell it.
        let has_law = runs.iter().all(|run| run.past.config.contains_key("size"));
        let is_free = |field: &str| FREE.contains(&field) || (has_law && field == "size_bytes");
        for field in fields.into_iter().filter(|field| !is_free(field)) {
            let told = runs.iter().filter_map(|run| run.past.asked(field).map(|value| (run.letter, value)));
            let told: Vec<(char, String)> = told.collect();
            if told.array_windows().any(|[(_, one), (_, other)]| one != other) {
                let values = told.iter().map(|(letter, value)| format!("{value} ({letter})"));
                self.workload.push(format!("{field}: {}", values.collect::<Vec<_>>().join(", ")));
            }
            for (_, fields) in untold.iter_mut().filter(|(run, _)| run.past.asked(field).is_none()) {
                fields.push(field);
            }
        }
        for (run, fields) in untold.iter().filter(|(_, fields)| !fields.is_empty()) {
            self.notes.push(format!("{} does not say: {}", run.letter, fields.join(", ")));
        }
    }

    /// Requests that never left, or that were refused, which may be quick: so that latencies are of other requests.
    fn weigh_unserved(&mut self, runs: &[Run], what: &str, unserved: fn(&Run) -> u64) {
        if runs.array_windows().all(|[one, other]| unserved(one) == unserved(other)) {
            return;
        }
        let share = |run: &Run| {
            let answers = run.past.operation("all").map_or(0, |all| all.count);
            unserved(run) as f64 / (answers + unserved(run)).max(1) as f64
        };
        let shares = || runs.iter().map(share);
        let apart = shares().fold(0.0, f64::max) - shares().fold(1.0, f64::min);
        debug_assert!((0.0..=1.0).contains(&apart), "shares lie between nothing and all");
        let told: Vec<String> =
            runs.iter().map(|run| format!("{} ({})", unserved(run), run.letter)).collect();
        let text = format!("{what} requests: {}", told.join(", "));
        if apart > UNSERVED_SHARE_MAX { self.invalid.push(text) } else { self.notes.push(text) }
    }

    fn weigh_run(&mut self, run: &Run) {
        let (letter, past) = (run.letter, &run.past);
        let generator = past.generator.as_ref();
        match (past.conclusion.as_str(), generator.and_then(|generator| generator.limited.as_ref())) {
            ("passed", None) => {}
            ("passed", Some(reason)) => self.invalid.push(format!("{letter}: {reason}")),
            (conclusion, None) => self.invalid.push(format!("{letter} ended as {conclusion}")),
            (conclusion, Some(reason)) => {
                self.invalid.push(format!("{letter} ended as {conclusion}: {reason}"));
            }
        }
        if past.host.as_ref().is_some_and(|host| host.debug_build) {
            self.invalid.push(format!("{letter} was loaded by a debug build"));
        }
        if let Some(reason) = generator.and_then(|generator| generator.disturbed.as_ref()) {
            self.notes.push(format!("{letter}: {reason}"));
        }
        let asked_s = past.config.get("duration_s").and_then(serde_json::Value::as_f64);
        if let Some(asked_s) = asked_s.filter(|asked_s| past.elapsed_s < asked_s * WHOLE_MIN) {
            self.notes.push(format!("{letter} lasted for {:.2} of {asked_s} s", past.elapsed_s));
        }
    }
}

/// The runs' letters in a row, for texts that speak of all of them.
pub fn all_letters(runs: &[Run]) -> String {
    letters().take(runs.len()).map(String::from).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    use crate::compare::past::tests::{old_report, parsed};

    fn runs(trees: &[Value]) -> Vec<Run> {
        letters()
            .zip(trees)
            .map(|(letter, tree)| Run { letter, file: "a.json".to_owned(), past: parsed(tree) })
            .collect()
    }

    fn with(change: impl FnOnce(&mut Value)) -> Value {
        let mut tree = old_report();
        change(&mut tree);
        tree
    }

    fn caveats(other: Value) -> Caveats {
        Caveats::of(&runs(&[old_report(), other]))
    }

    #[test]
    fn the_same_workload_on_another_server_and_with_other_draws_is_comparable() {
        let found = caveats(with(|tree| {
            tree["config"]["url"] = json!("http://b");
            tree["config"]["seed"] = json!("8");
        }));
        assert_eq!((found.exit_code(), found), (0, Caveats::default()));
    }

    #[test]
    fn fields_that_differ_are_listed_with_each_runs_value() {
        let found = caveats(with(|tree| {
            tree["config"]["connections"] = json!(128);
            tree["config"]["rate"] = json!({"from": 5000.0, "to": 5000.0});
        }));
        assert_eq!(found.workload, ["connections: 64 (A), 128 (B)", "rate: none (A), 5000/s (B)"]);
        assert_eq!(found.exit_code(), 1);
    }

    #[test]
    fn a_field_that_only_one_program_knows_is_no_difference_and_told() {
        let found = caveats(with(|tree| tree["config"]["storm_s"] = json!(null)));
        assert!(found.is_comparable());
        assert_eq!(found.notes, ["A does not say: storm_s"]);
    }

    #[test]
    fn runs_that_are_no_measurements_are_named_with_the_reason() {
        let table = [
            (with(|tree| tree["conclusion"] = json!("wrong_answers")), "B ended as wrong_answers"),
            (with(|tree| tree["generator"] = json!({"limited": "it was busy"})), "B: it was busy"),
            (
                with(|tree| {
                    tree["conclusion"] = json!("generator_limited");
                    tree["generator"] = json!({"limited": "it was busy"});
                }),
                "B ended as generator_limited: it was busy",
            ),
            (
                with(|tree| {
                    tree["host"] = json!({"cpu": "x", "cpus": 1, "kernel": "6", "debug_build": true});
                }),
                "B was loaded by a debug build",
            ),
        ];
        for (tree, reason) in table {
            let found = caveats(tree);
            assert_eq!((found.exit_code(), &found.invalid[..]), (1, &[reason.to_owned()][..]));
        }
    }

    #[test]
    fn runs_that_dropped_or_refused_other_shares_of_their_requests_are_not_comparable() {
        let dropping = |count: u64| caveats(with(|tree| tree["totals"]["dropped"] = json!(count)));
        assert_eq!(dropping(0), Caveats::default());
        let few = dropping(1);
        assert_eq!(
            (few.exit_code(), &few.notes[..]),
            (0, &["dropped requests: 0 (A), 1 (B)".to_owned()][..])
        );
        let many = dropping(20);
        assert_eq!(
            (many.exit_code(), &many.invalid[..]),
            (1, &["dropped requests: 0 (A), 20 (B)".to_owned()][..])
        );
        let refusing = caveats(with(|tree| tree["totals"]["refused"] = json!(20)));
        assert_eq!(refusing.invalid, ["refused requests: 0 (A), 20 (B)"]);
    }

    #[test]
    fn another_format_is_told_of_all() {
        let found = caveats(with(|tree| tree["format"] = json!(2)));
        assert_eq!(found.formats, ["A has format 1", "B has format 2"]);
        assert_eq!(found.exit_code(), 1);
    }

    #[test]
    fn what_calls_for_care_is_told_and_does_not_count() {
        let host = |cpu: &str| json!({"cpu": cpu, "cpus": 1, "kernel": "6", "debug_build": false});
        let base = with(|tree| tree["host"] = host("one"));
        let other = with(|tree| {
            tree["host"] = host("other");
            tree["elapsed_s"] = json!(4.0);
            tree["generator"] = json!({"disturbed": "it waited"});
        });
        let found = Caveats::of(&runs(&[base, other]));
        assert!(found.is_comparable());
        let expected = [
            "B: it waited",
            "B lasted for 4.00 of 10 s",
            "loaded from different machines: A from 1 x one, Linux 6; B from 1 x other, Linux 6",
        ];
        assert_eq!(found.notes, expected);
    }

    #[test]
    fn each_run_has_its_letter() {
        assert_eq!(all_letters(&runs(&[old_report(), old_report(), old_report()])), "A, B, C");
    }
}
