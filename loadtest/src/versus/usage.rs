//! CPU time that a process and its children have used, as the kernel counts it.
//!
//! `schedstat` counts in nanoseconds each thread's time on a CPU; where a kernel does not keep
//! it, and for threads and children that have ended, the ticks of `stat` must do, which are 10 ms long. A
//! thread that runs just now may lack its last tick, so read while the server has nothing to do. Kernel
//! threads that a process' ring started count as its own.

use std::fs;
use std::io;
use std::time::Duration;

/// The length of a tick in `stat`: 1/100 s to user space on every Linux of today.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of a process and of all that it started, ended children included: a server that forks to
/// rewrite its log pays for that.
pub fn of_family(pid: u32) -> io::Result<Duration> {
    // The leader's last, so that a child that ends meanwhile counts at least once.
    let children = family(pid, &parents()?).into_iter().skip(1);
    let children = children.map(|child| of_process_and_ended(child).unwrap_or_default()).sum::<Duration>();
    Ok(children + of_process_and_ended(pid)?)
}

fn of_process_and_ended(pid: u32) -> io::Result<Duration> {
    Ok(of_process(pid)? + stat_of(pid)?.used_by_ended_children)
}

/// CPU time of one process, all its threads included.
pub fn of_process(pid: u32) -> io::Result<Duration> {
    let mut precise = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while its like are counted.
        let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        precise += run_time(&text).unwrap_or_default();
    }
    // More than a tick of difference is that of threads which have ended.
    let used = stat_of(pid)?.used;
    Ok(if used > precise + TICK { used } else { precise })
}

fn stat_of(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::other("its stat cannot be read"))
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
    /// Those that were waited for, and theirs.
    used_by_ended_children: Duration,
}

/// The fields behind the name, which may itself hold spaces and brackets: see proc(5).
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, behind) = text.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let mut ticks = fields.skip(9).map(|field| field.parse::<u32>().ok());
    let mut user_and_system = || Some(TICK * ticks.next()??.checked_add(ticks.next()??)?);
    Some(Stat { parent, used: user_and_system()?, used_by_ended_children: user_and_system()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const STAT: &str = "4711 (a (b) c) S 12 4711 4711 0 -1 4194560 1 2 3 4 25 17 30 4 20 0 3 0 99";

    #[test]
    fn a_stat_is_read_behind_its_name() {
        let [used, used_by_ended_children] = [420, 340].map(Duration::from_millis);
        let stat = Stat { parent: 12, used, used_by_ended_children };
        let table = [
            (STAT.to_owned(), Some(stat)),
            (STAT.replace("a (b) c", ") 7 ("), Some(stat)),
            (STAT.replace(" 25 17", " x 17"), None),
            (STAT.replace(" 30 4 ", " 30 -4 "), None),
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

    #[test]
    fn a_child_that_has_ended_still_counts() {
        let mine = std::process::id();
        let before = stat_of(mine).unwrap().used_by_ended_children;
        let burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(Command::new("sh").args(["-c", burn]).status().unwrap().success());
        let after = stat_of(mine).unwrap().used_by_ended_children;
        assert!(after > before, "{after:?} after {before:?}");
        assert!(of_family(mine).unwrap() >= after);
    }
}
