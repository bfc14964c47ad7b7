//! What the process does with its memory, on the allocator that it has. A program of its own, since
//! the settings hold for all of it.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;

use seshun::runtime::allocator;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BLOCK_BYTES: usize = 1024;
const BLOCKS: usize = 64 * 1024;

/// What the process has in memory, in bytes.
fn resident_bytes() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

/// Whether the kernel may back this process with huge pages.
fn may_have_huge_pages() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("THP_enabled:") && line.ends_with('1'))
}

#[test]
fn what_is_free_goes_back_at_once_and_pages_are_small() {
    // The thread that runs tests only waits.
    allocator::prepare();
    assert!(!may_have_huge_pages());
    let before = resident_bytes();
    let blocks: Vec<Box<[u8]>> = (0..BLOCKS).map(|_| vec![7; BLOCK_BYTES].into_boxed_slice()).collect();
    let filled = resident_bytes();
    assert!(filled >= before + BLOCKS * BLOCK_BYTES / 16 * 15, "{before} and {filled}");
    drop(blocks);
    let left = resident_bytes().saturating_sub(before);
    assert!(left < BLOCKS * BLOCK_BYTES / 16, "{left} bytes stay");
}
