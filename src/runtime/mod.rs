//! Everything that does I/O: a pinned thread a core, its event loop, its sockets.
//!
//! The pieces stand alone, one file each, and are put together by the core's loop. Only
//! here does code await, read a clock, draw randomness or touch a socket; what the bytes
//! mean is decided below.

pub mod clock;
pub mod cpus;
pub mod descriptors;
pub mod doorbell;
pub mod driver;
pub mod entropy;
pub mod fd;
pub mod listener;
pub mod mailbox;
pub mod memory;
pub mod park;
pub mod signals;
mod sync;
pub mod turn;
pub mod usage;
