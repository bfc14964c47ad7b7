//! Everything that does I/O: a pinned thread a core, its event loop, its sockets.
//!
//! The pieces stand alone, one file each, and are put together by the core's loop. Only
//! here does code await, read a clock, draw randomness or touch a socket; what the bytes
//! mean is decided below.

mod accept;
mod admin;
pub mod allocator;
pub mod clock;
mod connections;
mod core;
pub mod cpus;
pub mod descriptors;
pub mod doorbell;
mod drain;
pub mod driver;
pub mod entropy;
pub mod fd;
mod lanes;
mod launch;
pub mod listener;
pub mod mailbox;
pub mod memory;
pub mod park;
mod restore;
mod serve;
mod share;
pub mod signals;
mod sync;
mod thread;
pub mod turn;
pub mod usage;

pub use core::{SERVED_PER_TURN_MAX, Timeouts};
pub use launch::{JournalSettings, LaunchError, LaunchSettings, run};
