//! The admin listener's pages: is it alive, is it ready, what has it done, which one is it.
//!
//! Pure: the state, the process's figures and the present moment go in, a [`Page`] comes
//! out. The listener itself, its sockets and the reading of `/proc` belong to the runtime.
//! No page changes anything, and none shows a key, an id or a bucket's name.

mod journal;
mod pages;
mod prometheus;

pub use pages::{Access, Page, State};
pub use prometheus::render_prometheus;

use std::sync::atomic::{AtomicU8, Ordering};

/// Where the server stands between its start and its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// Not all cores accept yet.
    Starting,
    /// All cores accept.
    Ready,
    /// A signal asked for the end: send new connections elsewhere.
    Draining,
}

/// The server's [`Readiness`], shared by those who change it and those who show it.
#[derive(Debug)]
pub struct ReadinessCell(
    /// A [`Readiness`] as its number.
    AtomicU8,
);

impl ReadinessCell {
    /// A server that is starting.
    pub const fn new() -> Self {
        Self(AtomicU8::new(Readiness::Starting as u8))
    }

    /// Where the server stands.
    pub fn get(&self) -> Readiness {
        match self.0.load(Ordering::Acquire) {
            0 => Readiness::Starting,
            1 => Readiness::Ready,
            _ => Readiness::Draining,
        }
    }

    /// Moves on. What is draining does not become ready again, whoever comes late.
    pub fn reach(&self, readiness: Readiness) {
        self.0.fetch_max(readiness as u8, Ordering::AcqRel);
    }
}

impl Default for ReadinessCell {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_only_moves_on() {
        let cell = ReadinessCell::default();
        assert_eq!(cell.get(), Readiness::Starting);
        cell.reach(Readiness::Ready);
        assert_eq!(cell.get(), Readiness::Ready);
        cell.reach(Readiness::Starting);
        assert_eq!(cell.get(), Readiness::Ready);
        cell.reach(Readiness::Draining);
        cell.reach(Readiness::Ready);
        assert_eq!(cell.get(), Readiness::Draining);
    }

    #[test]
    fn a_server_may_be_asked_to_end_before_it_is_ready() {
        let cell = ReadinessCell::new();
        cell.reach(Readiness::Draining);
        assert_eq!(cell.get(), Readiness::Draining);
    }
}
