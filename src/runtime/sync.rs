//! The atomics that the park flag is made of.
//!
//! They come through here so that the same source is checked by a model checker:
//! `tests/loom_park.rs` includes `park.rs` beside a module of this name that hands out
//! loom's. Nothing else belongs here.

pub use std::sync::atomic::{AtomicBool, Ordering, fence};
