//! The ledger against a faultless model on virtual time, and what it makes of each answer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::rng::Rng;
use crate::wire::Head;
use crate::workload::{Mix, Workload};

const TERMS: Terms = Terms { run: 1, blob_len: 64, ttl_s: 3, short_ttl_s: 2 };
const PATH: &[u8] = b"/session/b";
const SOON: Duration = Duration::from_millis(1);

/// An answer's bytes with all that a session's answer is promised to have.
fn answer_bytes(status: u16, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status} Any\r\nX-Session-Expires: 2026-01-31T12:00:00Z\r\nDate: now\r\n\
         X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nContent-Length: {}\r\n{fields}\r\n",
        body.len(),
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn not_found() -> Vec<u8> {
    answer_bytes(404, "Content-Type: application/problem+json\r\n", b"{}")
}

fn created(id: u64, etag: u64, ttl_s: u32) -> Vec<u8> {
    let id = id_text(id);
    let fields = format!(
        "ETag: \"{etag}\"\r\nX-Session-TTL: {ttl_s}\r\nContent-Type: text/plain\r\nLocation: /session/b/{id}\r\n"
    );
    answer_bytes(201, &fields, id.as_bytes())
}

fn id_text(id: u64) -> String {
    format!("00000000-0000-4000-8000-{id:012x}")
}

fn settle(ledger: &mut Ledger, attempt: Attempt, bytes: &[u8], span: Span) -> Verdict {
    let head = Head::parse(bytes).unwrap().unwrap();
    ledger.settle(attempt, &Answer::new(&head, bytes), span, PATH)
}

fn at(millis: u64) -> Moment {
    Moment::after_start(Duration::from_millis(millis))
}

fn span_at(millis: u64) -> Span {
    Span { sent: at(millis), received: at(millis).after(SOON) }
}

const CREATE: Step = Step::Create { short: false, with_data: true };

/// A ledger with one kept session, made at 0 with the ETag 1.
fn with_one_session() -> Ledger {
    let mut ledger = Ledger::new(TERMS, 0);
    let attempt = ledger.begin(CREATE);
    assert_eq!(settle(&mut ledger, attempt, &created(1, 1, TERMS.ttl_s), span_at(0)), Verdict::Right);
    ledger
}

/// A session of the faultless model.
struct Stored {
    request: Request,
    etag: u64,
    ttl_s: u32,
    deadline: Moment,
}

/// What a faultless server answers at `now`.
fn faultless(
    stored: &mut BTreeMap<Vec<u8>, Stored>,
    made: &mut u64,
    request: &Request,
    now: Moment,
) -> Vec<u8> {
    let Some(id) = request.id else {
        *made += 1;
        let ttl_s = request.own_ttl_s.unwrap_or(TERMS.ttl_s);
        let deadline = now.after(Duration::from_secs(ttl_s.into()));
        stored.insert(id_text(*made).into_bytes(), Stored { request: *request, etag: 1, ttl_s, deadline });
        return created(*made, 1, ttl_s);
    };
    let Some(found) = stored.get_mut(id.as_bytes()).filter(|found| now < found.deadline) else {
        return not_found();
    };
    found.deadline = now.after(Duration::from_secs(found.ttl_s.into()));
    let mut body = Vec::new();
    let mut media_type = "application/octet-stream";
    match request.method {
        Method::Post => (found.request, found.etag) = (*request, found.etag + 1),
        Method::Delete => {
            stored.remove(id.as_bytes());
            return answer_bytes(200, "", b"");
        }
        Method::Get => {
            if let Some(content) = found.request.content {
                content.blob.write(&mut body);
                media_type = content.media_type.unwrap_or(media_type);
            }
        }
        Method::Put => unreachable!("PUT has no id"),
    }
    let (etag, ttl_s) = (found.etag, found.ttl_s);
    let fields = format!("ETag: \"{etag}\"\r\nX-Session-TTL: {ttl_s}\r\nContent-Type: {media_type}\r\n");
    answer_bytes(200, &fields, &body)
}

#[test]
fn a_faultless_server_is_never_called_wrong() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let (mut ledger, mut stored, mut made) = (Ledger::new(TERMS, 0), BTreeMap::new(), 0);
        let mut workload = Workload::new(Rng::new(seed + 1000), Mix::DEFAULT, 20, true);
        let (mut now, mut gone, mut borderline) = (Moment::default(), 0, 0);
        for step_number in 0..2000 {
            // Now and then nothing happens for long, so that deadlines pass.
            let pause_ms = if rng.percent(1) { rng.below(3500) } else { rng.below(20) };
            now = now.after(Duration::from_millis(pause_ms as u64));
            let step = workload.next(&ledger, now);
            let attempt = ledger.begin(step);
            let request = ledger.request(&attempt);
            let acted = now.after(Duration::from_millis(rng.below(300) as u64));
            let bytes = faultless(&mut stored, &mut made, &request, acted);
            let received = acted.after(Duration::from_millis(rng.below(300) as u64));
            let verdict = settle(&mut ledger, attempt, &bytes, Span { sent: now, received });
            let right = matches!(verdict, Verdict::Right | Verdict::Borderline);
            assert!(right, "seed {seed}, step {step_number}, {step:?}: {verdict:?}");
            gone += u32::from(bytes == not_found());
            borderline += u32::from(verdict == Verdict::Borderline);
            now = received;
        }
        assert!(gone > 0 && borderline < 2000, "seed {seed}: {gone} gone, {borderline} borderline");
    }
}

#[test]
fn a_session_that_vanishes_is_wrong_once_and_then_forgotten() {
    let mut ledger = with_one_session();
    let attempt = ledger.begin(Step::Read(Place::Kept(0)));
    let verdict = settle(&mut ledger, attempt, &not_found(), span_at(100));
    assert!(matches!(verdict, Verdict::Wrong(Wrong::EarlyExpiry { ttl_s: 3, .. })), "{verdict:?}");
    assert_eq!((ledger.kept_count(), ledger.gone_count()), (0, 0));
}

#[test]
fn a_session_whose_time_is_over_must_be_absent() {
    let mut ledger = with_one_session();
    let attempt = ledger.begin(Step::Delete(Place::Kept(0)));
    let verdict = settle(&mut ledger, attempt, &answer_bytes(200, "", b""), span_at(3300));
    assert!(matches!(verdict, Verdict::Wrong(Wrong::LateExpiry { ttl_s: 3, .. })), "{verdict:?}");
}

#[test]
fn a_deleted_session_must_stay_absent_whatever_is_asked() {
    for step in [Step::Read(Place::Gone(0)), Step::Update(Place::Gone(0)), Step::Delete(Place::Gone(0))] {
        let mut ledger = with_one_session();
        let attempt = ledger.begin(Step::Delete(Place::Kept(0)));
        assert_eq!(settle(&mut ledger, attempt, &answer_bytes(200, "", b""), span_at(5)), Verdict::Right);
        assert_eq!((ledger.kept_count(), ledger.gone_count()), (0, 1));
        let attempt = ledger.begin(step);
        assert_eq!(settle(&mut ledger, attempt, &not_found(), span_at(6)), Verdict::Right);
        let attempt = ledger.begin(step);
        let verdict = settle(&mut ledger, attempt, &answer_bytes(200, "", b""), span_at(7));
        assert_eq!(verdict, Verdict::Wrong(Wrong::Revived), "{step:?}");
        assert_eq!(ledger.gone_count(), 0);
    }
}

#[test]
fn an_attempt_without_an_answer_takes_its_session_with_it() {
    let mut ledger = with_one_session();
    let _ = ledger.begin(Step::Update(Place::Kept(0)));
    assert_eq!((ledger.kept_count(), ledger.gone_count()), (0, 0));
}

#[test]
fn a_refused_update_for_lack_of_room_changes_nothing() {
    let mut ledger = with_one_session();
    let before = ledger.begin(Step::Read(Place::Kept(0)));
    let expected = format!("{:?}", before.session);
    ledger.put(Place::Kept(0), before.session);
    let attempt = ledger.begin(Step::Update(Place::Kept(0)));
    let verdict = settle(&mut ledger, attempt, &answer_bytes(507, "", b""), span_at(100));
    assert_eq!(verdict, Verdict::Refused { status: 507 });
    assert_eq!(format!("{:?}", ledger.kept[0]), expected);
}

#[test]
fn a_busy_servers_refusal_leaves_the_outcome_unknown() {
    for status in [429, 503] {
        let mut ledger = with_one_session();
        let attempt = ledger.begin(Step::Update(Place::Kept(0)));
        let verdict = settle(&mut ledger, attempt, &answer_bytes(status, "", b""), span_at(100));
        assert_eq!((verdict, ledger.kept_count()), (Verdict::Refused { status }, 0));
    }
}

#[test]
fn a_refusal_where_none_is_allowed_is_wrong() {
    let mut ledger = with_one_session();
    let attempt = ledger.begin(Step::Read(Place::Kept(0)));
    let verdict = settle(&mut ledger, attempt, &answer_bytes(507, "", b""), span_at(100));
    assert_eq!(verdict, Verdict::Wrong(Wrong::Status { expected: 200, got: 507 }));
}

#[test]
fn a_short_lived_session_is_read_before_its_deadline_and_after_it() {
    let mut ledger = Ledger::new(TERMS, 0);
    let attempt = ledger.begin(Step::Create { short: true, with_data: false });
    assert_eq!(ledger.request(&attempt).own_ttl_s, Some(2));
    assert_eq!(settle(&mut ledger, attempt, &created(1, 1, 2), span_at(0)), Verdict::Right);
    assert_eq!(ledger.due(at(1499)), None);
    assert_eq!(ledger.due(at(1500)), Some(Place::Early));
    let attempt = ledger.begin(Step::Read(Place::Early));
    let fields = "ETag: \"1\"\r\nX-Session-TTL: 2\r\nContent-Type: application/octet-stream\r\n";
    let verdict = settle(&mut ledger, attempt, &answer_bytes(200, fields, b""), span_at(1500));
    assert_eq!(verdict, Verdict::Right);
    assert_eq!(ledger.due(at(4000)), None);
    assert_eq!(ledger.due(at(4001)), Some(Place::Late));
    let attempt = ledger.begin(Step::Read(Place::Late));
    assert_eq!(settle(&mut ledger, attempt, &not_found(), span_at(4001)), Verdict::Right);
    assert_eq!((ledger.due(at(99_999)), ledger.gone_count()), (None, 1));
}

#[test]
fn the_memory_of_gone_sessions_is_bounded() {
    let mut ledger = Ledger::new(TERMS, 0);
    for id in 0..200 {
        let attempt = ledger.begin(CREATE);
        assert_eq!(settle(&mut ledger, attempt, &created(id, 1, 3), span_at(0)), Verdict::Right);
        let attempt = ledger.begin(Step::Delete(Place::Kept(0)));
        assert_eq!(settle(&mut ledger, attempt, &answer_bytes(200, "", b""), span_at(1)), Verdict::Right);
    }
    assert_eq!(ledger.gone_count(), GONE_MAX);
}

#[test]
fn a_session_without_data_waits_for_its_first() {
    let mut ledger = with_one_session();
    assert_eq!(ledger.unwritten(), None);
    let attempt = ledger.begin(Step::Create { short: false, with_data: false });
    assert_eq!(ledger.request(&attempt).content, None);
    assert_eq!(settle(&mut ledger, attempt, &created(2, 1, 3), span_at(0)), Verdict::Right);
    assert_eq!(ledger.unwritten(), Some(Place::Kept(1)));
    let attempt = ledger.begin(Step::Update(Place::Kept(1)));
    let fields = "ETag: \"2\"\r\nX-Session-TTL: 3\r\n";
    assert_eq!(settle(&mut ledger, attempt, &answer_bytes(200, fields, b""), span_at(1)), Verdict::Right);
    assert_eq!(ledger.unwritten(), None);
}
