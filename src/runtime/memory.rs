//! How much memory this process may use at all: the least of what the machine has and what
//! its control groups, of either version, allow.
//!
//! A group's limit holds for all groups within it, so each ancestor is asked as well. Inside
//! a container the group's path may be the host's and not exist: then the root of the mount
//! is the container's own. `memory.max` of the configuration is a part of this.

use std::fs;
use std::path::{Path, PathBuf};

use crate::types::ByteCount;

/// Where control groups are mounted.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";
/// What is assumed where neither the machine nor a group tells: small, but it serves.
const UNKNOWN: ByteCount = ByteCount::from_mib(512);

/// The most memory that this process can have before the kernel ends it.
pub fn memory_allowed() -> ByteCount {
    let read = |path: &Path| fs::read_to_string(path).ok();
    allowed(&read)
}

fn allowed(read: &impl Fn(&Path) -> Option<String>) -> ByteCount {
    let machine = read(Path::new("/proc/meminfo")).as_deref().and_then(memory_total);
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| group_limit(&read(&file)?));
    limits.chain(machine).min().unwrap_or(UNKNOWN)
}

/// The files that may hold a limit of the process whose `/proc/self/cgroup` is `groups`.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    groups.lines().filter_map(Group::parse).flat_map(Group::limit_files).collect()
}

/// A group that limits memory: `0::<path>` or `<n>:…,memory,…:<path>`.
struct Group<'t> {
    is_version_1: bool,
    /// From the root of the hierarchy; begins with `/`.
    path: &'t Path,
}

impl<'t> Group<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_version_1 = controllers.split(',').any(|controller| controller == "memory");
        let is_version_2 = number == "0" && controllers.is_empty();
        let is_known = (is_version_1 || is_version_2) && path.starts_with('/');
        is_known.then(|| Self { is_version_1, path: Path::new(path) })
    }

    fn limit_files(self) -> impl Iterator<Item = PathBuf> {
        let root = Path::new(CGROUP_ROOT);
        let (mount, file) = match self.is_version_1 {
            true => (root.join("memory"), "memory.limit_in_bytes"),
            false => (root.to_owned(), "memory.max"),
        };
        let groups = self.path.ancestors().map(|group| group.strip_prefix("/").unwrap_or(group));
        groups.map(move |group| mount.join(group).join(file))
    }
}

/// A group's limit; none for `max` and for what is no number. Version 1 writes "no limit"
/// as a number beyond any machine, which the machine's memory undercuts.
fn group_limit(text: &str) -> Option<ByteCount> {
    text.trim().parse().ok().map(ByteCount::new)
}

/// The machine's memory, by `/proc/meminfo`.
fn memory_total(meminfo: &str) -> Option<ByteCount> {
    let field = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    field.trim().strip_suffix("kB")?.trim().parse().ok().map(ByteCount::from_kib)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       8388608 kB\nMemFree:         100 kB\n";

    /// What is allowed where only these files exist.
    fn allowed_by(files: &[(&str, &str)]) -> ByteCount {
        allowed(&|path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_machines_memory_is_read() {
        let rows = [
            (MEMINFO, Some(8192)),
            ("MemFree: 5 kB\nMemTotal: 1024 kB\n", Some(1)),
            ("MemTotal: 1024 MB\n", None),
            ("MemTotal: x kB\n", None),
            ("MemTotal:\n", None),
            ("", None),
        ];
        for (text, mib) in rows {
            assert_eq!(memory_total(text), mib.map(ByteCount::from_mib), "{text:?}");
        }
    }

    #[test]
    fn a_groups_limit_is_a_number_or_none() {
        let rows = [
            ("536870912\n", Some(536_870_912)),
            ("9223372036854771712\n", Some(9_223_372_036_854_771_712)),
            ("max\n", None),
            ("", None),
            ("-1", None),
            ("1 2", None),
        ];
        for (text, bytes) in rows {
            assert_eq!(group_limit(text), bytes.map(ByteCount::new), "{text:?}");
        }
    }

    #[test]
    fn every_ancestor_of_a_group_is_asked() {
        let files = |groups| limit_files(groups).into_iter().map(|file| file.display().to_string());
        let rows: [(&str, &[&str]); 7] = [
            ("0::/\n", &["/sys/fs/cgroup/memory.max"]),
            (
                "0::/system.slice/seshun.service\n",
                &[
                    "/sys/fs/cgroup/system.slice/seshun.service/memory.max",
                    "/sys/fs/cgroup/system.slice/memory.max",
                    "/sys/fs/cgroup/memory.max",
                ],
            ),
            (
                "5:cpu,memory:/a:b\n4:cpuset:/a\n",
                &[
                    "/sys/fs/cgroup/memory/a:b/memory.limit_in_bytes",
                    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                ],
            ),
            ("4:cpuset:/a\n1:name=systemd:/\n", &[]),
            ("0::relative\n", &[]),
            ("nonsense\n0:\n:::\n", &[]),
            ("", &[]),
        ];
        for (groups, expected) in rows {
            assert!(files(groups).eq(expected.iter().copied()), "{groups:?}: {:?}", limit_files(groups));
        }
    }

    #[test]
    fn the_least_of_all_limits_holds() {
        let machine = ("/proc/meminfo", MEMINFO);
        let version_2 = ("/proc/self/cgroup", "0::/a/b\n");
        let version_1 = ("/proc/self/cgroup", "3:memory:/docker/x\n0::/\n");
        let own = |text| ("/sys/fs/cgroup/a/b/memory.max", text);
        let parent = |text| ("/sys/fs/cgroup/a/memory.max", text);
        let container = |text| ("/sys/fs/cgroup/memory/memory.limit_in_bytes", text);
        let rows: [(&[(&str, &str)], u64); 8] = [
            (&[machine], 8192),
            (&[machine, version_2, own("max\n")], 8192),
            (&[machine, version_2, own("1073741824\n")], 1024),
            (&[machine, version_2, own("1073741824\n"), parent("536870912\n")], 512),
            (&[machine, version_2, own("max\n"), parent("17179869184\n")], 8192),
            (&[machine, version_1, container("268435456\n")], 256),
            (&[machine, version_1, container("9223372036854771712\n")], 8192),
            (&[], 512),
        ];
        for (files, mib) in rows {
            assert_eq!(allowed_by(files), ByteCount::from_mib(mib), "{files:?}");
        }
    }

    #[test]
    fn this_machine_allows_something() {
        let allowed = memory_allowed();
        assert!(allowed > ByteCount::from_mib(16), "{allowed}");
        assert!(allowed <= memory_total(&fs::read_to_string("/proc/meminfo").unwrap()).unwrap());
    }
}
