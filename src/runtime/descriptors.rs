//! How many connections the limit on file descriptors leaves room for.
//!
//! The soft limit is raised as far as the hard one allows and no further than needed. Where
//! that is not enough, fewer connections are allowed and a note for the log says why: a
//! server that runs out of descriptors can neither accept nor write its journal.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::core::TURNED_AWAY_MAX;
use crate::types::ShardCount;

/// Descriptors of a core: its ring or its epoll, both sides of its doorbell, its listener, a
/// connection between accept and refusal, and those that are told that there are too many.
const PER_CORE: u64 = 8 + TURNED_AWAY_MAX as u64;
/// Descriptors of the process: standard streams, journal, log, admin listener and its
/// connections, signals.
const PER_PROCESS: u64 = 64;

/// The number of connections that the process may hold, at most `configured`, after raising
/// the limit on descriptors; with a note for the log where it is fewer.
pub fn connections_allowed(configured: u32, cores: ShardCount) -> (u32, Option<String>) {
    let reserved = PER_PROCESS + PER_CORE * u64::from(cores.get());
    let needed = reserved + u64::from(configured);
    let limit = getrlimit(Resource::Nofile);
    if let Some(wanted) = raised(&limit, needed) {
        // Refused in rare sandboxes; what is granted is read back in any case.
        let _ = setrlimit(Resource::Nofile, wanted);
    }
    lowered(configured, reserved, getrlimit(Resource::Nofile).current)
}

/// The limit to ask for where the present one is below `needed`; none where it is enough or
/// cannot be raised.
fn raised(limit: &Rlimit, needed: u64) -> Option<Rlimit> {
    let current = limit.current.filter(|soft| *soft < needed)?;
    let reachable = limit.maximum.map_or(needed, |hard| hard.min(needed));
    (reachable > current).then_some(Rlimit { current: Some(reachable), maximum: limit.maximum })
}

/// `configured` connections, or what `limit` leaves of them beside `reserved`: at least 1.
fn lowered(configured: u32, reserved: u64, limit: Option<u64>) -> (u32, Option<String>) {
    let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(reserved).max(1));
    match u32::try_from(room) {
        Ok(room) if room < configured => {
            let needed = reserved + u64::from(configured);
            let note = format!(
                "limits.connections is lowered from {configured} to {room}: the limit on open files leaves \
                 no more; raise it to {needed} (`ulimit -n`, or LimitNOFILE= in a systemd unit)"
            );
            (room, Some(note))
        }
        _ => (configured, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_no_further_than_needed_or_possible() {
        let rows = [
            (Some(1024), Some(4096), 2000, Some(2000)),
            (Some(1024), Some(4096), 9000, Some(4096)),
            (Some(1024), None, 9000, Some(9000)),
            (Some(1024), Some(1024), 9000, None),
            (Some(9000), Some(9000), 9000, None),
            (None, None, 9000, None),
        ];
        for (current, maximum, needed, asked) in rows {
            let wanted = raised(&Rlimit { current, maximum }, needed);
            assert_eq!(wanted.as_ref().and_then(|limit| limit.current), asked, "{current:?} {maximum:?}");
            assert!(wanted.is_none_or(|limit| limit.maximum == maximum), "the hard limit stays");
        }
    }

    #[test]
    fn connections_are_lowered_to_the_descriptors_that_are_left() {
        let rows = [
            (10_000, 100, Some(20_000), 10_000),
            (10_000, 100, Some(10_100), 10_000),
            (10_000, 100, Some(10_099), 9_999),
            (10_000, 100, Some(1024), 924),
            (10_000, 100, Some(100), 1),
            (10_000, 100, Some(3), 1),
            (10_000, 100, None, 10_000),
            (u32::MAX, 100, Some(u64::MAX), u32::MAX),
        ];
        for (configured, reserved, limit, allowed) in rows {
            let (connections, note) = lowered(configured, reserved, limit);
            assert_eq!(connections, allowed, "{limit:?}");
            assert_eq!(note.is_some(), allowed < configured, "{limit:?}: {note:?}");
        }
    }

    #[test]
    fn a_note_tells_the_number_to_raise_the_limit_to() {
        let note = lowered(10_000, 100, Some(1024)).1.unwrap();
        for figure in ["10000", "924", "10100"] {
            assert!(note.contains(figure), "{note}");
        }
    }

    #[test]
    fn one_connection_is_always_allowed_and_never_more_than_configured() {
        assert_eq!(connections_allowed(1, ShardCount::ONE).0, 1);
        let (connections, note) = connections_allowed(u32::MAX, ShardCount::ONE);
        assert_eq!(note.is_some(), connections < u32::MAX);
    }
}
