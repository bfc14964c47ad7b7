//! Looks at the journal's metrics while clients work: how much lies on the disk, how often it
//! was cleaned.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::Metrics;
use crate::wire::{Cut, Wire};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// How the journal stands.
#[derive(Clone, Copy, Default, Debug)]
pub struct Look {
    pub segment_bytes: f64,
    pub live_bytes: f64,
    /// That have come to their end.
    pub cleanings: f64,
    /// One is under way.
    pub is_cleaning: bool,
}

/// What was seen.
#[derive(Clone, Copy, Default, Debug)]
pub struct Seen {
    pub cleanings: f64,
    /// The most that the segments ever took beside what was allowed, in bytes.
    pub excess_bytes_most: f64,
}

/// Looks once.
pub fn look(wire: &mut Wire) -> Result<Look, Cut> {
    let response = wire.request("GET", "/metrics", &[], b"")?.response;
    let metrics = Metrics::parse(response.text());
    Ok(Look {
        segment_bytes: metrics.value("seshun_journal_segment_bytes"),
        live_bytes: metrics.value("seshun_journal_live_bytes"),
        cleanings: metrics.value("seshun_journal_cleanings_total"),
        is_cleaning: metrics.value("seshun_journal_cleaning") > 0.0,
    })
}

/// Looks again and again until the server ends, at what it takes beside what is allowed.
pub fn watch(admin_addr: SocketAddr, is_ending: &AtomicBool, allowed: fn(&Look) -> f64) -> Seen {
    let mut seen = Seen::default();
    let Ok(mut wire) = Wire::connect(admin_addr) else { return seen };
    while !is_ending.load(Ordering::SeqCst) {
        let Ok(look) = look(&mut wire) else { break };
        seen.cleanings = look.cleanings;
        seen.excess_bytes_most = seen.excess_bytes_most.max(look.segment_bytes - allowed(&look));
        thread::sleep(PAUSE);
    }
    seen
}
