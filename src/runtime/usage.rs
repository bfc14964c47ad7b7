//! What this process uses: CPU time and resident memory, as the kernel accounts for them.
//!
//! For metrics, and for the check of memory against its limit. A reading is a system call
//! or a small file, so it belongs into a core's tick and not into a request. Nothing is
//! decided here.

use std::fs;
use std::time::Duration;

use rustix::param::page_size;
use rustix::time::{ClockId, clock_gettime};

use crate::types::ByteCount;

/// CPU time that all threads of the process have used, in user and kernel mode.
pub fn process_cpu_time() -> Duration {
    cpu_time(ClockId::ProcessCPUTime)
}

/// CPU time that the calling thread has used, in user and kernel mode.
pub fn thread_cpu_time() -> Duration {
    cpu_time(ClockId::ThreadCPUTime)
}

/// Memory of the process that is resident now; none where /proc is not there.
pub fn resident_memory() -> Option<ByteCount> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    resident_pages(&statm).map(|pages| ByteCount::new(pages.saturating_mul(page_size() as u64)))
}

fn cpu_time(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// The second field of `/proc/self/statm`: resident pages.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_pages_are_the_second_field() {
        let rows = [
            ("52341 1234 800 20 0 4000 0\n", Some(1234)),
            ("1 0 0 0 0 0 0", Some(0)),
            ("1", None),
            ("", None),
            ("1 x 2", None),
            ("1 -2 3", None),
        ];
        for (statm, pages) in rows {
            assert_eq!(resident_pages(statm), pages, "{statm:?}");
        }
    }

    #[test]
    fn memory_that_is_written_to_becomes_resident() {
        let before = resident_memory().unwrap();
        let block = vec![1u8; 64 * 1024 * 1024];
        let after = resident_memory().unwrap();
        assert!(after.saturating_sub(before) > ByteCount::from_mib(32), "{before} to {after}");
        assert_eq!(block[block.len() - 1], 1);
    }

    #[test]
    fn work_costs_cpu_time_of_its_thread_and_of_the_process() {
        let before = (thread_cpu_time(), process_cpu_time());
        let mut state = 1u64;
        while thread_cpu_time() == before.0 {
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005));
        }
        assert!(process_cpu_time() > before.1);
        assert!(process_cpu_time() >= thread_cpu_time());
    }
}
