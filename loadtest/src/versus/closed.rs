//! Whether a closed loop has measured its servers or its load: an open one is judged by `effort`.
//!
//! Both sides wait for each other. As long as the server is the one that never does, a request
//! costs what it costs under full load; where the load is, the server finds less to do at once,
//! and each request is dearer by that. Pure.

use crate::effort::JUDGED_MIN;
use crate::versus::figures::{Round, Spread};

/// In a closed loop a load that is on its CPU for more of a turn than this sets the pace, if the server is for
/// less than that.
const LOAD_BUSY_MAX: f64 = 0.95;
const SERVER_BUSY_MIN: f64 = 0.9;

/// Why the load set the pace of a closed loop, by the middle of the rounds: it was always on its CPU,
/// and the server waited for it, which makes requests dearer since fewer share a turn.
pub fn limit(rounds: &[Round], round_duration_s: f64) -> Option<String> {
    if round_duration_s < JUDGED_MIN.as_secs_f64() {
        return None;
    }
    let median = |value: fn(&Round) -> f64| Spread::of(rounds.iter().map(value)).map(|spread| spread.median);
    let (server, load) = (median(|round| round.server_busy)?, median(|round| round.load_busy)?);
    let is_closed = rounds.iter().all(|round| round.open.is_none());
    (is_closed && load > LOAD_BUSY_MAX && server < SERVER_BUSY_MIN).then(|| {
        let (server, load) = (100.0 * server, 100.0 * load);
        format!("as the load was on its CPU {load:.0} % of the time and the server {server:.0} %")
    })
}

#[cfg(test)]
mod tests {
    use crate::versus::figures::tests::{comparison, row};

    #[test]
    fn a_load_that_never_waits_for_a_server_that_does_is_the_bottleneck() {
        let table = [(0.99, 0.96, false), (0.89, 0.94, false), (0.89, 0.96, true)];
        for (server_busy, load_busy, is_limited) in table {
            let mut row = row("raw", &[5, 5, 5]);
            for round in &mut row.rounds[1..] {
                (round.server_busy, round.load_busy) = (server_busy, load_busy);
            }
            let compared = comparison(vec![row]);
            assert_eq!(compared.is_limited(), is_limited, "{server_busy} and {load_busy}");
            assert_eq!(compared.exit_code(false), if is_limited { 2 } else { 0 });
            let mut text = Vec::new();
            compared.write_text(&mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text.contains("raw: INVALID as the load was on its CPU 96 %"), is_limited, "{text}");
        }
    }
}
