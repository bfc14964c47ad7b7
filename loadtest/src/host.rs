//! The machine that a run loads from, as its kernel tells.
//!
//! Reports name it, because figures of another machine are other figures. Where `/proc` says
//! nothing, the fields are empty: a run does not fail for that.

use std::fs;

use serde::{Deserialize, Serialize};

/// A machine, and how this program was built for it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// The CPUs' name.
    pub cpu: String,
    /// How many there are.
    pub cpus: usize,
    /// The kernel's version.
    pub kernel: String,
    /// Whether this program was built without optimisation, and its figures mean nothing.
    pub debug_build: bool,
}

impl Host {
    /// This machine.
    pub fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let (cpu, cpus) = cpus_in(&text("/proc/cpuinfo"));
        let kernel = text("/proc/sys/kernel/osrelease").trim().to_owned();
        Self { cpu, cpus, kernel, debug_build: cfg!(debug_assertions) }
    }

    /// It in a line.
    pub fn line(&self) -> String {
        format!("{} x {}, Linux {}", self.cpus, self.cpu, self.kernel)
    }
}

/// The CPUs' name and number in `/proc/cpuinfo`.
fn cpus_in(cpuinfo: &str) -> (String, usize) {
    let values = |wanted: &'static str| {
        let fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        fields.filter(move |(name, _)| name.trim() == wanted).map(|(_, value)| value.trim())
    };
    let name = values("model name").next().unwrap_or("CPU").to_owned();
    (name, values("processor").count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpuinfo_names_and_counts_its_cpus() {
        let text = "processor\t: 0\nmodel name\t: AMD: one\n\nprocessor\t: 1\nmodel name\t: AMD: one\n";
        assert_eq!(cpus_in(text), ("AMD: one".to_owned(), 2));
        assert_eq!(cpus_in("Processor: x\n"), ("CPU".to_owned(), 0));
    }

    #[test]
    fn a_machine_is_named_in_a_line() {
        let host = Host { cpu: "A CPU".to_owned(), cpus: 2, kernel: "6.1".to_owned(), debug_build: false };
        assert_eq!(host.line(), "2 x A CPU, Linux 6.1");
        assert!(!Host::read().kernel.is_empty());
    }
}
