//! What the counters promise: each event in its own cell, whole numbers for readers.
//!
//! One test runs a second thread, as the admin thread would; it is bounded by a count of
//! events and asserts nothing about time.

use std::sync::Arc;

use super::*;

const START: Moment = Moment::from_millis(1_000);

fn core() -> CoreMetrics {
    CoreMetrics::new(ShardId::FIRST, START)
}

/// Every figure's value, in the order of the cells.
fn all(metrics: &CoreMetrics) -> Vec<u64> {
    metrics.figures.iter().map(Cell::read).collect()
}

#[test]
fn every_status_has_a_column_of_its_own() {
    let mut columns: Vec<usize> = STATUSES.iter().map(|&status| column_of(status)).collect();
    columns.dedup();
    assert_eq!(columns, (0..STATUSES.len()).collect::<Vec<_>>());
}

#[test]
fn a_status_without_a_column_is_counted_with_the_others() {
    for status in [0, 100, 199, 202, 418, 508, 511, 512, 599, u16::MAX] {
        assert_eq!(column_of(status), OTHER_STATUS, "{status}");
    }
}

#[test]
fn requests_are_counted_by_kind_and_status() {
    let metrics = core();
    for (row, kind) in RequestKind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, row, "ALL lists the kinds in the order of the rows");
        for (column, status) in STATUSES.into_iter().enumerate() {
            for _ in 0..=row + column {
                metrics.request_answered(kind, status);
            }
        }
    }
    for (row, kind) in RequestKind::ALL.into_iter().enumerate() {
        for (column, status) in STATUSES.into_iter().enumerate() {
            assert_eq!(metrics.requests(kind, status), (row + column + 1) as u64, "{kind:?} {status}");
        }
        assert_eq!(metrics.requests_with_other_status(kind), 0);
    }
}

#[test]
fn kinds_have_names_that_differ() {
    let mut names = RequestKind::ALL.map(RequestKind::name).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RequestKind::ALL.len());
}

#[test]
fn each_event_moves_its_own_figure_and_no_other() {
    type Event = fn(&CoreMetrics);
    let events: [(Figure, Event); 11] = [
        (Figure::ForwardsSent, CoreMetrics::forward_sent),
        (Figure::ForwardsServed, CoreMetrics::forward_served),
        (Figure::ForwardsTimedOut, CoreMetrics::forward_timed_out),
        (Figure::ForwardsRefused, CoreMetrics::forward_refused),
        (Figure::ConnectionsAccepted, CoreMetrics::connection_accepted),
        (Figure::ConnectionsHandedOver, CoreMetrics::connection_handed_over),
        (Figure::ConnectionsRefused, CoreMetrics::connection_refused),
        (Figure::AcceptsFailed, CoreMetrics::accept_failed),
        (Figure::ConnectionsOpen, CoreMetrics::connection_opened),
        (Figure::PanicsCaught, CoreMetrics::panic_caught),
        (Figure::Turns, |metrics| metrics.turn_ended(START)),
    ];
    for (figure, happen) in events {
        let metrics = core();
        let mut expected = all(&metrics);
        expected[figure as usize] += 2;
        happen(&metrics);
        happen(&metrics);
        assert_eq!(all(&metrics), expected, "{figure:?}");
    }
}

#[test]
fn amounts_add_up_and_gauges_show_the_last_value() {
    let metrics = core();
    metrics.bytes_received(ByteCount::new(3));
    metrics.bytes_received(ByteCount::new(4));
    metrics.bytes_sent(ByteCount::new(5));
    metrics.show_sessions_so_far(1, 1, 1);
    metrics.show_sessions_so_far(300, 40, 256);
    metrics.show_inbox_depth(9);
    metrics.show_inbox_depth(2);
    metrics.show_expiry_lag(Millis::new(17));
    metrics.show_store(11, ByteCount::new(1_200));
    metrics.show_cpu_time(Millis::new(40));
    let expected = [
        (Figure::BytesReceived, 7),
        (Figure::BytesSent, 5),
        (Figure::SessionsCreated, 300),
        (Figure::SessionsDeleted, 40),
        (Figure::SessionsExpired, 256),
        (Figure::InboxDepth, 2),
        (Figure::ExpiryLagMillis, 17),
        (Figure::Sessions, 11),
        (Figure::MemoryBytes, 1_200),
        (Figure::CpuMillis, 40),
    ];
    for (figure, value) in expected {
        assert_eq!(metrics.read(figure), value, "{figure:?}");
    }
}

#[test]
fn connections_open_rise_and_fall() {
    let metrics = core();
    metrics.connection_opened();
    metrics.connection_opened();
    metrics.connection_closed();
    assert_eq!(metrics.read(Figure::ConnectionsOpen), 1);
}

#[test]
#[should_panic(expected = "a connection closes once")]
#[cfg(debug_assertions)]
fn a_connection_that_was_never_opened_cannot_close() {
    core().connection_closed();
}

#[test]
fn a_core_counts_as_alive_from_its_start_and_with_each_turn() {
    let metrics = core();
    assert_eq!(metrics.heartbeat(), START);
    let later = START.after(Millis::from_secs(2));
    metrics.turn_ended(later);
    assert_eq!((metrics.heartbeat(), metrics.read(Figure::Turns)), (later, 1));
}

#[test]
fn no_cache_line_pair_is_shared_between_cores() {
    let cores: [Arc<CoreMetrics>; 2] =
        [0, 1].map(|core| Arc::new(CoreMetrics::new(ShardId::new(core), START)));
    for metrics in &cores {
        assert_eq!(Arc::as_ptr(metrics) as usize % 128, 0);
        assert_eq!(size_of_val(&**metrics) % 128, 0);
    }
}

#[test]
fn a_reader_sees_only_values_that_were_written_and_never_an_older_one() {
    const EVENTS: u64 = 200_000;
    let metrics = Arc::new(core());
    let written = Arc::clone(&metrics);
    let core = std::thread::spawn(move || (0..EVENTS).for_each(|_| written.forward_sent()));
    let mut last = 0;
    while last < EVENTS && !core.is_finished() {
        let seen = metrics.read(Figure::ForwardsSent);
        assert!((last..=EVENTS).contains(&seen), "{seen} after {last}");
        last = seen;
    }
    core.join().unwrap();
    assert_eq!(metrics.read(Figure::ForwardsSent), EVENTS);
}
