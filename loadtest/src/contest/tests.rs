//! Each way to break the order of versions, told by the answers alone.
//!
//! That a faultless server is never called wrong is the ledger's simulation to show.

use std::time::Duration;

use super::*;
use crate::clock::Moment;
use crate::sizes::Sizes;
use crate::wire::{Head, IdText};

const TERMS: Terms = Terms { run: 1, sizes: Sizes::Fixed(40), ttl_s: 60, short_ttl_s: 2, wave: None };
const FIELDS: &str = "X-Session-TTL: 60\r\nX-Session-Expires: 2026-01-31T12:00:00Z\r\nDate: now\r\n\
    X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n";

fn span() -> Span {
    let sent = Moment::after_start(Duration::from_secs(1));
    Span { sent, received: sent.after(Duration::from_millis(1)) }
}

/// A contest about one session, whose first data has the ETag 10.
struct Story(Contest);

impl Story {
    fn new() -> Self {
        let id = IdText::parse(b"0f8fad5b-d9cb-469f-a165-70867728950e").unwrap();
        let session = Session { id, etag: 10, named: true, touched: span(), ..Session::new(7, 60, true) };
        let mut contest = Contest::default();
        contest.add(session);
        Self(contest)
    }

    fn begin(&mut self, act: Act) -> Claim {
        self.0.begin(0, act).0
    }

    fn settle(&mut self, claim: Claim, status: u16, fields: &str, body: &[u8]) -> Verdict {
        let head = format!("HTTP/1.1 {status} Any\r\n{FIELDS}{fields}Content-Length: {}\r\n\r\n", body.len());
        let bytes = [head.as_bytes(), body].concat();
        let head = Head::parse(&bytes).unwrap().unwrap();
        self.0.settle(claim, &TERMS, &Answer::new(&head, &bytes), span())
    }

    /// A read that shows this version of the data under this ETag.
    fn reads(&mut self, claim: Claim, etag: u64, version: u32) -> Verdict {
        let shown = Session { version, named: true, ..Session::new(7, 60, true) };
        let content = shown.content(&TERMS);
        let mut body = Vec::new();
        content.blob.write(&mut body);
        let media_type = content.media_type.unwrap_or("application/octet-stream");
        self.settle(claim, 200, &format!("ETag: \"{etag}\"\r\nContent-Type: {media_type}\r\n"), &body)
    }

    fn written(&mut self, claim: Claim, etag: u64) -> Verdict {
        self.settle(claim, 200, &format!("ETag: \"{etag}\"\r\n"), b"")
    }

    fn refused(&mut self, claim: Claim, current: u64) -> Verdict {
        let fields = format!("ETag: \"{current}\"\r\nContent-Type: application/problem+json\r\n");
        self.settle(claim, 412, &fields, b"{}")
    }
}

#[track_caller]
fn assert_wrong(verdict: Verdict, wrong: Wrong) {
    assert_eq!(verdict, Verdict::Wrong(wrong));
}

#[test]
fn reads_may_show_either_version_while_a_writing_is_on_its_way_and_the_new_one_after() {
    let mut story = Story::new();
    let write = story.begin(Act::Update);
    let (before, after) = (story.begin(Act::Read), story.begin(Act::Read));
    assert_eq!(story.reads(after, 11, 2), Verdict::Right);
    assert_eq!(story.reads(before, 10, 1), Verdict::Right, "it left before anybody had seen 11");
    assert_eq!(story.written(write, 11), Verdict::Right);
    let late = story.begin(Act::Read);
    assert_wrong(story.reads(late, 10, 1), Wrong::Stale { expected: 2, got: 1 });
    assert_eq!(story.0.count(), 0, "one fault counts once");
}

#[test]
fn what_one_read_has_shown_no_later_one_may_go_behind() {
    let mut story = Story::new();
    let _unanswered = story.begin(Act::Update);
    let first = story.begin(Act::Read);
    assert_eq!(story.reads(first, 11, 2), Verdict::Right);
    let second = story.begin(Act::Read);
    assert_wrong(story.reads(second, 10, 1), Wrong::Stale { expected: 2, got: 1 });
}

#[test]
fn old_data_under_the_newest_version_is_stale() {
    let mut story = Story::new();
    let write = story.begin(Act::Update);
    assert_eq!(story.written(write, 11), Verdict::Right);
    let read = story.begin(Act::Read);
    assert_wrong(story.reads(read, 11, 1), Wrong::Stale { expected: 2, got: 1 });
}

#[test]
fn an_old_version_is_stale_whatever_fields_came_with_it() {
    let mut story = Story::new();
    let write = story.begin(Act::Update);
    assert_eq!(story.written(write, 11), Verdict::Right);
    let old = Session { version: 1, named: true, ..Session::new(7, 60, true) };
    let mut body = Vec::new();
    old.content(&TERMS).blob.write(&mut body);
    let read = story.begin(Act::Read);
    let verdict = story.settle(read, 200, "ETag: \"10\"\r\nContent-Type: text/html\r\n", &body);
    assert_wrong(verdict, Wrong::Stale { expected: 2, got: 1 });
}

#[test]
fn a_version_that_nobody_wrote_is_wrong() {
    let mut story = Story::new();
    let read = story.begin(Act::Read);
    assert_wrong(story.reads(read, 12, 1), Wrong::Version { known: 10, got: 12 });
    let mut story = Story::new();
    let read = story.begin(Act::Read);
    assert_wrong(story.reads(read, 11, 2), Wrong::Unacknowledged { expected: 1, got: 2 });
}

#[test]
fn a_writing_has_one_version_and_a_version_one_writing() {
    let mut story = Story::new();
    let (write, read) = (story.begin(Act::Update), story.begin(Act::Read));
    assert_eq!(story.reads(read, 11, 2), Verdict::Right);
    assert_wrong(story.written(write, 12), Wrong::Version { known: 11, got: 12 });
    let mut story = Story::new();
    let (first, second) = (story.begin(Act::Update), story.begin(Act::Update));
    assert_eq!(story.written(first, 11), Verdict::Right);
    assert_wrong(story.written(second, 11), Wrong::Version { known: 11, got: 11 });
}

#[test]
fn a_writing_must_move_the_version_that_was_known() {
    let mut story = Story::new();
    let write = story.begin(Act::Update);
    assert_wrong(story.written(write, 10), Wrong::Version { known: 10, got: 10 });
}

#[test]
fn one_of_two_updates_of_the_same_version_wins() {
    let mut story = Story::new();
    let (first, second) = (story.begin(Act::UpdateIf), story.begin(Act::UpdateIf));
    assert_eq!((first.floor, second.floor), (10, 10));
    assert_eq!(story.refused(second, 11), Verdict::Right, "the first one may have come before");
    assert_eq!(story.written(first, 11), Verdict::Right);
}

#[test]
fn two_updates_of_the_same_version_cannot_both_win() {
    for first_answer in [11, 12] {
        let mut story = Story::new();
        let (first, second) = (story.begin(Act::UpdateIf), story.begin(Act::UpdateIf));
        assert_eq!(story.written(first, first_answer), Verdict::Right);
        let verdict = story.written(second, 23 - first_answer);
        assert_wrong(verdict, Wrong::LostUpdate { base: 10, lost: 11 });
    }
}

#[test]
fn an_update_that_writes_over_a_version_a_read_has_shown_is_found() {
    let mut story = Story::new();
    let (plain, conditional) = (story.begin(Act::Update), story.begin(Act::UpdateIf));
    let read = story.begin(Act::Read);
    assert_eq!(story.reads(read, 11, 2), Verdict::Right);
    assert_wrong(story.written(conditional, 12), Wrong::LostUpdate { base: 10, lost: 11 });
    assert_eq!(story.written(plain, 11), Verdict::Borderline, "it is judged no more");
}

#[test]
fn a_precondition_is_refused_only_where_somebody_has_written() {
    let mut story = Story::new();
    let update = story.begin(Act::UpdateIf);
    assert_wrong(story.refused(update, 10), Wrong::Precondition { named: 10, current: 10 });
    let mut story = Story::new();
    let update = story.begin(Act::UpdateIf);
    assert_wrong(story.refused(update, 11), Wrong::Precondition { named: 10, current: 11 });
    let mut story = Story::new();
    let (update, _pending) = (story.begin(Act::UpdateIf), story.begin(Act::Update));
    assert_eq!(story.refused(update, 11), Verdict::Right);
    let read = story.begin(Act::Read);
    assert_wrong(story.reads(read, 10, 1), Wrong::Version { known: 11, got: 10 });
}

#[test]
fn an_update_without_a_condition_is_not_refused_by_one() {
    let mut story = Story::new();
    let update = story.begin(Act::Update);
    assert_wrong(story.refused(update, 11), Wrong::Status { expected: 200, got: 412 });
}

#[test]
fn a_writing_whose_outcome_is_unknown_ends_the_judging() {
    for status in [429, 503] {
        let mut story = Story::new();
        let (write, read) = (story.begin(Act::Update), story.begin(Act::Read));
        assert_eq!(story.settle(write, status, "", b""), Verdict::Refused { status });
        assert_eq!((story.0.count(), story.reads(read, 10, 1)), (0, Verdict::Borderline));
    }
    let mut story = Story::new();
    let write = story.begin(Act::UpdateIf);
    story.0.lose(write);
    assert_eq!(story.0.count(), 0);
}

#[test]
fn what_changes_nothing_leaves_the_judging_as_it_was() {
    let mut story = Story::new();
    let (read, write) = (story.begin(Act::Read), story.begin(Act::Update));
    assert_eq!(story.settle(read, 503, "", b""), Verdict::Refused { status: 503 });
    assert_eq!(story.settle(write, 507, "", b""), Verdict::Refused { status: 507 });
    let read = story.begin(Act::Read);
    assert_eq!(story.reads(read, 10, 1), Verdict::Right);
    assert!(story.0.take_idle().is_some(), "nothing is on its way");
}

#[test]
fn a_contested_session_is_there_as_long_as_it_is_used() {
    let mut story = Story::new();
    let read = story.begin(Act::Read);
    assert!(story.0.take_idle().is_none(), "it is being read");
    let verdict = story.settle(read, 404, "Content-Type: application/problem+json\r\n", b"{}");
    assert!(matches!(verdict, Verdict::Wrong(Wrong::EarlyExpiry { ttl_s: 60, .. })), "{verdict:?}");
    assert_eq!(story.0.count(), 0);
}

#[test]
fn the_memory_of_versions_is_bounded() {
    let mut story = Story::new();
    for etag in 11..1000 {
        let write = story.begin(Act::UpdateIf);
        assert_eq!(story.written(write, etag), Verdict::Right, "{etag}");
    }
    assert!(story.0.0[0].history.len() <= HISTORY_MAX && story.0.0[0].pending.is_empty());
}

/// A story in which 300 versions, 11 to 310, come after these began.
fn long_after<const N: usize>(acts: [Act; N]) -> (Story, [Claim; N]) {
    let mut story = Story::new();
    let claims = acts.map(|act| story.begin(act));
    for etag in 11..=310 {
        let write = story.begin(Act::Update);
        assert_eq!(story.written(write, etag), Verdict::Right, "{etag}");
    }
    (story, claims)
}

#[test]
fn a_read_that_was_overtaken_by_more_versions_than_are_remembered_is_not_wrong() {
    let (mut story, [first, second, third]) = long_after([Act::Read; 3]);
    assert_eq!(story.reads(first, 11, 2), Verdict::Borderline);
    assert_eq!(story.reads(second, 10, 1), Verdict::Borderline, "it left before 11 was written");
    assert_eq!(story.reads(third, 310, 301), Verdict::Right);
    let late = story.begin(Act::Read);
    assert_wrong(story.reads(late, 11, 2), Wrong::Stale { expected: 301, got: 2 });
}

#[test]
fn a_writing_that_was_overtaken_by_more_versions_than_are_remembered_is_not_wrong() {
    let mut story = Story::new();
    let (slow, refused) = (story.begin(Act::Update), story.begin(Act::UpdateIf));
    let reads = [story.begin(Act::Read), story.begin(Act::Read)];
    assert_eq!(story.reads(reads[0], 11, 2), Verdict::Right);
    for etag in 12..=311 {
        let write = story.begin(Act::Update);
        assert_eq!(story.written(write, etag), Verdict::Right, "{etag}");
    }
    assert_eq!(story.reads(reads[1], 11, 2), Verdict::Borderline, "the same one under the same ETag");
    assert_eq!(story.written(slow, 11), Verdict::Borderline);
    assert_eq!(story.refused(refused, 12), Verdict::Borderline);
}

#[test]
fn what_is_still_known_speaks_against_a_forgotten_version() {
    // Version 301 is known under 310, and a writing has one ETag.
    let (mut story, [read]) = long_after([Act::Read]);
    assert_wrong(story.reads(read, 11, 301), Wrong::Version { known: 310, got: 11 });
    let (mut story, [refused]) = long_after([Act::UpdateIf]);
    assert_wrong(story.refused(refused, 10), Wrong::Precondition { named: 10, current: 10 });
    let (mut story, [refused]) = long_after([Act::UpdateIf]);
    assert_wrong(story.refused(refused, 311), Wrong::Precondition { named: 10, current: 311 });
}
