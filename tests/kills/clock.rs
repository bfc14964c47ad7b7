//! The one place of this suite that reads a clock.
//!
//! It counts from the suite's beginning and never steps, as the clock that sessions expire
//! by. A request is noted with the time before it was sent, an answer with the time after it
//! was read: what the server's own clock showed lies between.

use std::sync::OnceLock;
use std::time::Instant;

static START: OnceLock<Instant> = OnceLock::new();

/// Milliseconds since the suite's beginning.
#[expect(
    clippy::disallowed_methods,
    reason = "real processes live in real time, and only this file reads it"
)]
pub fn now_millis() -> i64 {
    let start = *START.get_or_init(Instant::now);
    i64::try_from(start.elapsed().as_millis()).unwrap_or(i64::MAX)
}
