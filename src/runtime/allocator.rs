//! What this process asks for its memory: small pages, and that what is free goes back at once.
//!
//! Both are settings of the whole process, made before anything else runs, and both are there for
//! the tail: left to itself the kernel clears 2 MiB while a core waits, and the allocator gives back once a
//! second all that became free in it, in one go, on the core that happens to notice: 60 ms after a
//! million sessions had expired. The allocator's settings are functions of C, so this file has
//! `unsafe` in it.
#![allow(unsafe_code)]

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

/// How long free memory waits until it is given back to the system, in milliseconds. The library has no name
/// for it; a test holds that this is the one.
const GIVE_BACK_DELAY: mi_option_t = 15;

/// Prepares the process' memory. To be called once, before any other thread runs.
pub fn prepare() {
    refuse_huge_pages();
    give_back_at_once();
}

/// Has the kernel back this process with small pages alone, from now on.
///
/// Huge ones would be filled where a session needs a part of them, are cleared as a whole while a core
/// waits, and come back in part only: they cost a fifth of what a session takes beside its data,
/// and made starts 1.2 to 1.4 times as long. A kernel that does not know them has none.
fn refuse_huge_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        log::debug!("huge pages cannot be refused: {error}");
    }
}

/// Has the allocator give back each of its pages as soon as it is empty, but for the last of a size: 64 KiB for
/// sessions up to some 10 KiB, 512 KiB for those up to eight times as long, and 4 MiB above that, of
/// which a third of a millisecond is the price. What the environment says of it goes first.
fn give_back_at_once() {
    // SAFETY: it stores a number that the allocator reads; nobody else reads or stores one now.
    unsafe { mi_option_set_default(GIVE_BACK_DELAY, 0) }
}
