//! A start over damage that is made again, after the first one has cut off what it took for torn.

use super::*;

/// A log whose last synced record, the second of its session, has lost its head; the one behind it is torn.
fn hurt_over_the_horizon() -> (Log, Position) {
    let mut log = Log::new();
    log.update(1, 1);
    let last = log.update(1, 2);
    let horizon = log.last().end();
    let torn = log.update(2, 1);
    let end = log.last().end();
    log.push(Entry::Synced { upto: horizon, mark: mark(1_000, 1_000) });
    log.hurt_head(last);
    log.hurt_both(torn, end);
    (log, horizon)
}

#[test]
fn what_a_damaged_record_was_is_told_also_where_the_one_behind_it_is_torn() {
    let (mut log, horizon) = hurt_over_the_horizon();
    let (before, recovery) = recover(&log);
    assert_eq!((recovery.end(), recovery.report().unnamed), (Some(horizon), 0));
    assert_eq!(versions(&before), [], "nothing older is shown");
    // As the next start finds it: cut off, and with a segment behind that says so.
    log.last().bytes.truncate(horizon.offset.as_usize());
    log.roll();
    log.synced();
    let (after, recovery) = recover(&log);
    assert!(recovery.report().is_damaged());
    assert_eq!(before, after);
}
