//! CPU time that a process and its children have used, as the kernel counts it.
//!
//! `schedstat` counts in nanoseconds each thread's time on a CPU; where a kernel does not keep
//! it, the ticks of `stat` must do, which are 10 ms long. A thread that runs just now may
//! lack its last tick, so read while the server has nothing to do. Kernel threads that a
//! process' ring started count as its own.

use std::fs;
use std::io;
use std::time::Duration;

/// The length of a tick in `stat`: 1/100 s to user space on every Linux of today.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of a process and of all that it started and that is still there.
pub fn of_family(pid: u32) -> io::Result<Duration> {
    let parents = parents()?;
    family(pid, &parents).into_iter().map(of_process).sum()
}

/// CPU time of one process, all its threads included.
pub fn of_process(pid: u32) -> io::Result<Duration> {
    let mut precise = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while its like are counted.
        let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        precise += run_time(&text).unwrap_or_default();
    }
    if !precise.is_zero() {
        return Ok(precise);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&stat).map(|stat| stat.used).ok_or_else(|| io::Error::other("its stat cannot be read"))
}

/// The process and all below it.
pub fn family_of(pid: u32) -> io::Result<Vec<u32>> {
    Ok(family(pid, &parents()?))
}

/// Each process with its parent.
fn parents() -> io::Result<Vec<(u32, u32)>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse() else { continue };
        // A process may end while the list is made.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        parents.extend(parse_stat(&stat).map(|stat| (pid, stat.parent)));
    }
    Ok(parents)
}

fn family(pid: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        let children = parents.iter().filter(|(child, of)| *of == parent && *child != parent);
        for &(child, _) in children {
            if !family.contains(&child) {
                family.push(child);
            }
        }
        at += 1;
    }
    debug_assert_eq!(family.first(), Some(&pid), "the process itself leads");
    family
}

/// The first number of a `schedstat`: nanoseconds on a CPU.
fn run_time(schedstat: &str) -> Option<Duration> {
    schedstat.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// What is taken from a `stat`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stat {
    parent: u32,
    used: Duration,
}

/// The fields behind the name, which may itself hold spaces and brackets: see proc(5).
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, behind) = text.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let user: u32 = fields.nth(9)?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(Stat { parent, used: TICK * user.checked_add(system)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4711 (a (b) c) S 12 4711 4711 0 -1 4194560 1 2 3 4 25 17 0 0 20 0 3 0 99";

    #[test]
    fn a_stat_is_read_behind_its_name() {
        let table = [
            (STAT.to_owned(), Some(Stat { parent: 12, used: Duration::from_millis(420) })),
            (STAT.replace("a (b) c", ") 7 ("), Some(Stat { parent: 12, used: Duration::from_millis(420) })),
            (STAT.replace(" 25 17", " x 17"), None),
            ("4711 (a) S".to_owned(), None),
            (String::new(), None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_stat(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_schedstat_begins_with_the_time_on_a_cpu() {
        let table = [("1500 20 3\n", Some(1500)), ("0 0 0", Some(0)), ("", None), ("x 1", None)];
        for (text, expected) in table {
            assert_eq!(run_time(text), expected.map(Duration::from_nanos), "{text:?}");
        }
    }

    #[test]
    fn a_family_is_all_below_and_none_beside() {
        let parents = [(1, 0), (5, 1), (6, 5), (7, 6), (8, 5), (9, 1), (0, 0)];
        assert_eq!(family(5, &parents), [5, 6, 8, 7]);
        assert_eq!(family(9, &parents), [9]);
        assert_eq!(family(4, &parents), [4], "a process that has gone has no children");
    }

    #[test]
    fn this_process_has_used_some_time_and_more_later() {
        let mine = std::process::id();
        let before = of_process(mine).unwrap();
        let mut sum = 0_u64;
        while of_process(mine).unwrap() <= before {
            sum = std::hint::black_box((0..10_000).fold(sum, |sum, n| sum.wrapping_add(n)));
        }
        assert!(of_family(mine).unwrap() >= before);
        assert!(family_of(mine).unwrap().contains(&mine));
    }
}
