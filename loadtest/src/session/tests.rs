//! Deadlines as ranges, and the data that a session holds.

use super::*;

const TERMS: Terms = Terms { run: 3, blob_len: 100, ttl_s: 60, short_ttl_s: 2 };

fn at(millis: u64) -> Moment {
    Moment::after_start(Duration::from_millis(millis))
}

fn span(sent: u64, received: u64) -> Span {
    Span { sent: at(sent), received: at(received) }
}

/// A session with a TTL of two seconds, touched at some point between these two.
fn touched(sent: u64, received: u64) -> Session {
    Session { touched: span(sent, received), ..Session::new(1, 2, true) }
}

#[test]
fn what_an_answer_must_be_follows_from_the_ranges_of_touch_and_look() {
    // Touched within 1000..=1400: due within 3000..=3400, and 250 around it.
    let session = touched(1000, 1400);
    let table = [
        (1500, 1600, Presence::There),
        (1500, 2749, Presence::There),
        (1500, 2750, Presence::Either),
        (2749, 3000, Presence::Either),
        (1500, 9000, Presence::Either),
        (3650, 9000, Presence::Either),
        (3651, 3651, Presence::Absent),
        (3651, 9000, Presence::Absent),
    ];
    for (sent, received, expected) in table {
        assert_eq!(session.presence(span(sent, received)), expected, "{sent} to {received}");
    }
}

#[test]
fn a_short_lived_session_is_due_where_its_answer_can_be_judged() {
    let session = touched(1000, 1001);
    let early = session.due_early();
    let quick = Span { sent: early, received: early.after(Duration::from_millis(100)) };
    assert_eq!(session.presence(quick), Presence::There);
    let late = session.due_late();
    let slow = Span { sent: late, received: late.after(Duration::from_secs(10)) };
    assert_eq!(session.presence(slow), Presence::Absent);
}

#[test]
fn a_touch_moves_the_deadline_and_keeps_the_data() {
    let session = touched(0, 10);
    let content = session.content(&TERMS);
    let moved = session.touched_by(span(1500, 1510), 0);
    assert_eq!(moved.presence(span(3000, 3010)), Presence::There);
    assert_eq!(moved.content(&TERMS), content);
}

#[test]
fn data_changes_with_each_writing_and_is_empty_before_the_first() {
    let unwritten = Session::new(9, 60, false);
    let content = unwritten.content(&TERMS);
    assert_eq!((content.media_type, content.blob.len), (None, 0));
    let (first, second) = (unwritten.written(), unwritten.written().written());
    assert_eq!((first.content(&TERMS).blob.version, second.content(&TERMS).blob.version), (1, 2));
    assert_ne!(first.content(&TERMS).media_type, second.content(&TERMS).media_type);
}

#[test]
fn wrong_answers_about_deadlines_say_how_long_the_session_was_untouched() {
    let session = touched(1000, 1400);
    let early = Wrong::EarlyExpiry { untouched: Duration::from_millis(500), ttl_s: 2 };
    assert_eq!(session.expired_early(span(1450, 1500)), early);
    let late = Wrong::LateExpiry { untouched: Duration::from_millis(8600), ttl_s: 2 };
    assert_eq!(session.outlived(span(10_000, 10_001)), late);
}
