//! How many cores to run, and which CPU each is pinned to.
//!
//! CPU numbers come from the list that the kernel allows this process, never from counting:
//! pinning to a CPU outside the list succeeds and escapes the administrator's mask. Where a
//! quota grants less time than the listed CPUs have, or more cores are asked for than CPUs
//! exist, nothing is pinned and the scheduler decides. The plan is pure; only
//! [`Machine::inspect`] and [`pin_current_thread`] touch the system.

use std::num::NonZeroUsize;
use std::{fs, io, thread};

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::types::{CpuId, ShardCount};

/// How many cores the configuration asks for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum CoreCount {
    /// As many as machine, affinity and quota allow.
    #[default]
    Auto,
    /// This many, whatever the machine has.
    Exactly(ShardCount),
}

/// What the system grants this process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// The CPUs that its threads may run on, ascending; empty where that is unknown.
    pub allowed: Vec<CpuId>,
    /// Threads that can run at a time, affinity and CPU quota considered.
    pub parallelism: NonZeroUsize,
}

impl Machine {
    /// Reads the list of allowed CPUs and the quota.
    pub fn inspect() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let allowed = allowed_cpus(&status).unwrap_or_default();
        let counted = NonZeroUsize::new(allowed.len()).unwrap_or(NonZeroUsize::MIN);
        Self { allowed, parallelism: thread::available_parallelism().unwrap_or(counted) }
    }
}

/// How many shards there are, and where their cores run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// The number of shards, one a core.
    pub shards: ShardCount,
    /// The CPU of each core, in order of the shards; none where it runs unpinned.
    /// `pins.len() == shards.get()`
    pub pins: Vec<Option<CpuId>>,
    /// What an administrator should know of it, a sentence each; for the log, as warnings.
    pub notes: Vec<String>,
}

/// From so many CPUs on, one is left to the journal's threads. With fewer it would be too large
/// a share of what serves.
const PARALLELISM_FOR_JOURNAL_MIN: usize = 4;

/// Decides how many cores run on `machine`, and where; `with_journal` says whether its threads
/// want to run beside them.
pub fn plan(cores: CoreCount, machine: &Machine, with_journal: bool) -> Plan {
    let parallelism = machine.parallelism.get();
    let shards = match cores {
        CoreCount::Exactly(count) => count,
        CoreCount::Auto => {
            let is_one_left = with_journal && parallelism >= PARALLELISM_FOR_JOURNAL_MIN;
            let granted = u16::try_from(parallelism - usize::from(is_one_left))
                .unwrap_or(ShardCount::MAX)
                .min(ShardCount::MAX);
            ShardCount::new(granted).unwrap_or(ShardCount::ONE)
        }
    };
    let count = usize::from(shards.get());
    let note = why_unpinned(count, machine);
    let pin = |core: usize| note.is_none().then(|| machine.allowed[core]);
    let pins: Vec<_> = (0..count).map(pin).collect();
    debug_assert_eq!(pins.len(), count, "each core has its place in the plan");
    Plan { shards, pins, notes: note.into_iter().collect() }
}

/// Why `count` cores cannot be pinned one to a CPU, if they cannot.
fn why_unpinned(count: usize, machine: &Machine) -> Option<String> {
    let (allowed, parallelism) = (machine.allowed.len(), machine.parallelism.get());
    if allowed == 0 {
        return Some("the list of allowed CPUs cannot be read: cores run unpinned".to_owned());
    }
    if count > allowed {
        return Some(format!(
            "{count} cores share {allowed} CPUs: they run unpinned, and slower than {allowed}"
        ));
    }
    if parallelism < allowed {
        return Some(format!(
            "a CPU quota grants the time of {parallelism} of {allowed} CPUs: {count} cores run unpinned"
        ));
    }
    None
}

/// The CPUs that `/proc/self/status` allows, ascending and each once; none where it does
/// not say so in the kernel's list format (`0-3,8,10-11`).
fn allowed_cpus(status: &str) -> Option<Vec<CpuId>> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut numbers = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if first > last || last >= CPU_COUNT_MAX {
            return None;
        }
        numbers.extend(first..=last);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers.into_iter().map(|number| CpuId::new(number as usize)).collect())
}

/// The highest count of CPUs that an affinity mask can name here.
const CPU_COUNT_MAX: u32 = 1024;
const _: () = assert!(CPU_COUNT_MAX as usize <= CpuSet::MAX_CPU);

/// Pins the calling thread to one CPU.
pub fn pin_current_thread(cpu: CpuId) -> io::Result<()> {
    if cpu.as_usize() >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut only = CpuSet::new();
    only.set(cpu.as_usize());
    Ok(sched_setaffinity(None, &only)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(allowed: &[usize], parallelism: usize) -> Machine {
        Machine {
            allowed: allowed.iter().map(|number| CpuId::new(*number)).collect(),
            parallelism: NonZeroUsize::new(parallelism).unwrap(),
        }
    }

    fn exactly(count: u16) -> CoreCount {
        CoreCount::Exactly(ShardCount::new(count).unwrap())
    }

    #[test]
    fn the_kernels_list_of_cpus_is_read() {
        let rows: [(&str, &[usize]); 7] = [
            ("0", &[0]),
            ("0-1", &[0, 1]),
            ("0-3,8,10-11", &[0, 1, 2, 3, 8, 10, 11]),
            ("5,5-6,1", &[1, 5, 6]),
            ("63-64", &[63, 64]),
            ("1023", &[1023]),
            ("7-7", &[7]),
        ];
        for (list, numbers) in rows {
            let status =
                format!("Name:\tseshun\nCpus_allowed:\tff\nCpus_allowed_list:\t{list}\nMems_allowed:\t1\n");
            assert_eq!(allowed_cpus(&status), Some(machine(numbers, 1).allowed), "{list}");
        }
    }

    #[test]
    fn a_list_that_is_not_understood_names_no_cpu() {
        for list in ["", "a", "0-", "-1", "3-1", "0,,1", "0-4294967295", "1024", "0-1:2", "99999999999"] {
            assert_eq!(allowed_cpus(&format!("Cpus_allowed_list:\t{list}\n")), None, "{list:?}");
        }
        assert_eq!(allowed_cpus("Name:\tseshun\nCpus_allowed:\t3\n"), None);
        assert_eq!(allowed_cpus(""), None);
    }

    #[test]
    fn cores_are_pinned_to_the_allowed_cpus_in_order() {
        for (cores, allowed, pinned) in [
            (CoreCount::Auto, &[2, 5, 7][..], &[2, 5, 7][..]),
            (exactly(3), &[2, 5, 7], &[2, 5, 7]),
            (exactly(2), &[2, 5, 7], &[2, 5]),
            (CoreCount::Auto, &[1], &[1]),
        ] {
            let plan = plan(cores, &machine(allowed, allowed.len()), false);
            let pins: Vec<_> = pinned.iter().map(|number| Some(CpuId::new(*number))).collect();
            assert_eq!((plan.pins, plan.notes.len()), (pins, 0), "{cores:?} on {allowed:?}");
        }
    }

    #[test]
    fn cores_run_unpinned_where_pinning_would_hurt() {
        for (cores, allowed, parallelism, count, reason) in [
            (exactly(4), &[0, 1][..], 2, 4, "4 cores share 2 CPUs"),
            (exactly(256), &[0], 1, 256, "256 cores share 1 CPUs"),
            (CoreCount::Auto, &[0, 1, 2, 3], 2, 2, "quota grants the time of 2 of 4"),
            (exactly(4), &[0, 1, 2, 3], 1, 4, "quota grants the time of 1 of 4"),
            (CoreCount::Auto, &[], 3, 3, "cannot be read"),
        ] {
            let plan = plan(cores, &machine(allowed, parallelism), false);
            assert_eq!(plan.shards.get(), count, "{reason}");
            assert_eq!(plan.pins, vec![None; usize::from(count)], "{reason}");
            assert!(plan.notes.len() == 1 && plan.notes[0].contains(reason), "{:?}", plan.notes);
        }
    }

    #[test]
    fn one_of_four_cpus_or_more_is_left_to_the_journal_unless_cores_are_counted() {
        for (cores, parallelism, with_journal, count) in [
            (CoreCount::Auto, 1, true, 1),
            (CoreCount::Auto, 3, true, 3),
            (CoreCount::Auto, 4, true, 3),
            (CoreCount::Auto, 4, false, 4),
            (CoreCount::Auto, 64, true, 63),
            (exactly(4), 4, true, 4),
        ] {
            let numbers: Vec<usize> = (0..parallelism).collect();
            let plan = plan(cores, &machine(&numbers, parallelism), with_journal);
            assert_eq!(usize::from(plan.shards.get()), count, "{cores:?} of {parallelism}, {with_journal}");
            assert_eq!(plan.pins.last(), Some(&Some(CpuId::new(count - 1))));
            assert!(plan.notes.is_empty());
        }
    }

    #[test]
    fn a_machine_larger_than_the_limit_gets_the_limit() {
        let numbers: Vec<usize> = (0..512).collect();
        let plan = plan(CoreCount::Auto, &machine(&numbers, 512), true);
        assert_eq!((plan.shards.get(), plan.pins.len()), (ShardCount::MAX, 256));
        assert_eq!(plan.pins[255], Some(CpuId::new(255)));
    }

    #[test]
    fn this_machine_allows_what_it_grants() {
        let machine = Machine::inspect();
        assert!(!machine.allowed.is_empty());
        assert!(machine.parallelism.get() <= machine.allowed.len());
    }

    #[test]
    fn a_thread_is_pinned_to_an_allowed_cpu_and_to_no_other() {
        let allowed = Machine::inspect().allowed;
        let last = allowed[allowed.len() - 1];
        std::thread::spawn(move || {
            pin_current_thread(last).unwrap();
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            assert_eq!(allowed_cpus(&status), Some(vec![last]));
            assert!(pin_current_thread(CpuId::new(1_000_000)).is_err());
            assert!(pin_current_thread(CpuId::new(1023)).is_err(), "no such CPU here");
        })
        .join()
        .unwrap();
    }
}
