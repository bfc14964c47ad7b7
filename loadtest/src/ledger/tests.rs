//! The ledger against a faultless model on virtual time, and what it makes of each answer.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::rng::Rng;
use crate::short_lived::PEEK_PERIOD;
use crate::sizes::Sizes;
use crate::wire::{Content, Head, Method};
use crate::workload::{Mix, Shape, Workload};

const TERMS: Terms = Terms { run: 1, sizes: Sizes::Fixed(64), ttl_s: 3, short_ttl_s: 2, wave: None };
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

const CREATE: Step = Step::Create { visit: Visit::Stays, with_data: true };

/// A ledger with one kept session, made at 0 with the ETag 1.
fn with_one_session() -> Ledger {
    let mut ledger = Ledger::new(TERMS, 0);
    let attempt = ledger.begin(CREATE, at(0));
    assert_eq!(settle(&mut ledger, attempt, &created(1, 1, TERMS.ttl_s), span_at(0)), Verdict::Right);
    ledger
}

/// A session of the faultless model.
struct Stored {
    content: Option<Content>,
    etag: u64,
    ttl_s: u32,
    deadline: Moment,
}

/// A faultless server.
#[derive(Default)]
struct Faultless {
    stored: BTreeMap<Vec<u8>, Stored>,
    made: u64,
}

impl Faultless {
    fn answer(&mut self, request: &Request, now: Moment) -> Vec<u8> {
        let Some(id) = request.id else {
            self.made += 1;
            let ttl_s = request.own_ttl_s.unwrap_or(TERMS.ttl_s);
            let deadline = now.after(Duration::from_secs(ttl_s.into()));
            let stored = Stored { content: request.content, etag: 1, ttl_s, deadline };
            self.stored.insert(id_text(self.made).into_bytes(), stored);
            return created(self.made, 1, ttl_s);
        };
        let Some(found) = self.stored.get_mut(id.as_bytes()).filter(|found| now < found.deadline) else {
            return not_found();
        };
        if request.if_match.is_some_and(|etag| etag != found.etag) {
            let fields = format!("ETag: \"{}\"\r\nContent-Type: application/problem+json\r\n", found.etag);
            return answer_bytes(412, &fields, b"{}");
        }
        let left = found.deadline.since(now).as_millis().div_ceil(1000);
        if request.method != Method::Peek {
            found.deadline = now.after(Duration::from_secs(found.ttl_s.into()));
        }
        let mut body = Vec::new();
        let mut media_type = "application/octet-stream";
        match request.method {
            Method::Post => (found.content, found.etag) = (request.content, found.etag + 1),
            Method::Delete => {
                self.stored.remove(id.as_bytes());
                return answer_bytes(200, "", b"");
            }
            _ => {
                if let Some(content) = found.content {
                    content.blob.write(&mut body);
                    media_type = content.media_type.unwrap_or(media_type);
                }
            }
        }
        let (etag, ttl_s) =
            (found.etag, if request.method == Method::Peek { left as u32 } else { found.ttl_s });
        let fields = format!("ETag: \"{etag}\"\r\nX-Session-TTL: {ttl_s}\r\nContent-Type: {media_type}\r\n");
        answer_bytes(200, &fields, &body)
    }
}

/// An exchange of the simulation: the server acts and the answer arrives when they are due.
struct Exchange {
    attempt: Option<Attempt>,
    request: Request,
    sent: Moment,
    acts: Moment,
    received: Moment,
    answer: Option<Vec<u8>>,
}

impl Exchange {
    fn due(&self) -> Moment {
        if self.answer.is_none() { self.acts } else { self.received }
    }
}

/// How often each thing happened in a simulation.
#[derive(Default, Debug)]
struct Happened {
    answers: u32,
    gone: u32,
    borderline: u32,
    overtaken: u32,
}

/// Several connections at once against a faultless server, on virtual time.
fn simulate(seed: u64) -> Happened {
    const CONNECTIONS: usize = 6;
    let mut rng = Rng::new(seed);
    let shape = Shape {
        mix: Mix { bot: 3, ..Mix::DEFAULT },
        zipf: 1.0,
        population: 20,
        abandoned_percent: 10,
        contested_percent: 30,
        has_data: true,
    };
    let (mut ledger, mut server) = (Ledger::new(TERMS, 0), Faultless::default());
    let mut workload = Workload::new(Rng::new(seed + 1000), shape);
    let (mut now, mut happened) = (Moment::default(), Happened::default());
    let mut flying: Vec<Exchange> = Vec::new();
    for step_number in 0..4000 {
        if flying.len() < CONNECTIONS && rng.percent(70) {
            let step = workload.fill(&mut ledger).unwrap_or_else(|| workload.next(&mut ledger, now));
            let attempt = ledger.begin(step, now);
            let request = ledger.request(&attempt);
            // Now and then an exchange takes so long that deadlines pass.
            let slow = |rng: &mut Rng| if rng.percent(1) { rng.below(3500) } else { rng.below(40) };
            let acts = now.after(Duration::from_millis(slow(&mut rng) as u64));
            let received = acts.after(Duration::from_millis(slow(&mut rng) as u64));
            flying.push(Exchange {
                attempt: Some(attempt),
                request,
                sent: now,
                acts,
                received,
                answer: None,
            });
            continue;
        }
        let first = flying.iter().enumerate().min_by_key(|(_, exchange)| exchange.due());
        let Some(index) = first.map(|(index, _)| index) else { continue };
        now = now.max(flying[index].due());
        let exchange = &mut flying[index];
        let Some(bytes) = exchange.answer.take() else {
            exchange.answer = Some(server.answer(&exchange.request, now));
            continue;
        };
        let mut exchange = flying.swap_remove(index);
        let attempt = exchange.attempt.take().unwrap();
        let step = attempt.step;
        let verdict = settle(&mut ledger, attempt, &bytes, Span { sent: exchange.sent, received: now });
        let right = matches!(verdict, Verdict::Right | Verdict::Borderline);
        assert!(right, "seed {seed}, step {step_number}, {step:?}: {verdict:?}");
        happened.answers += 1;
        happened.gone += u32::from(bytes == not_found());
        happened.borderline += u32::from(verdict == Verdict::Borderline);
        happened.overtaken += u32::from(bytes.starts_with(b"HTTP/1.1 412"));
    }
    happened
}

#[test]
fn a_faultless_server_is_never_called_wrong() {
    for seed in 0..40 {
        let happened = simulate(seed);
        let Happened { answers, gone, borderline, overtaken } = happened;
        assert!(gone > 0 && overtaken > 0, "seed {seed}: {happened:?}");
        assert!(borderline * 10 < answers, "seed {seed}: too much cannot be told: {happened:?}");
    }
}

#[test]
fn a_read_beside_another_one_is_not_called_late() {
    let mut ledger = with_one_session();
    let read = Step::Read(Place::Kept(0));
    let (first, second) = (ledger.begin(read, at(0)), ledger.begin(read, at(0)));
    let content = first.session.content(&TERMS);
    let mut body = Vec::new();
    content.blob.write(&mut body);
    let media_type = content.media_type.unwrap_or("application/octet-stream");
    let fields = format!("ETag: \"1\"\r\nX-Session-TTL: 3\r\nContent-Type: {media_type}\r\n");
    let bytes = answer_bytes(200, &fields, &body);
    // Untouched since 0 it was due at 3 s, but the other read may have come first.
    assert_eq!(settle(&mut ledger, second, &bytes, span_at(4000)), Verdict::Borderline);
    let span = Span { sent: at(2000), received: at(4100) };
    assert_eq!(settle(&mut ledger, first, &bytes, span), Verdict::Borderline);
    let third = ledger.begin(read, at(0));
    assert_eq!(settle(&mut ledger, third, &bytes, span_at(4200)), Verdict::Right);
}

/// A ledger with one session of nobody who comes back, made at 1.2 s, its visit and its TTL: bots'
/// and those of a wave.
fn with_one_unwatched(number: u64) -> Vec<(Ledger, Visit, u32)> {
    let wave = Terms { wave: Some(Duration::from_secs(5)), ..TERMS };
    let table = [(TERMS, Visit::Bot, 2), (wave, Visit::Abandons, 4), (wave, Visit::Bot, 4)];
    let made = table.into_iter().map(|(terms, visit, ttl_s)| {
        let mut ledger = Ledger::new(terms, number);
        let attempt = ledger.begin(Step::Create { visit, with_data: false }, at(1200));
        assert_eq!(ledger.request(&attempt).own_ttl_s, Some(ttl_s), "{visit:?}");
        let verdict = settle(&mut ledger, attempt, &created(1, 1, ttl_s), span_at(1200));
        assert_eq!((verdict, ledger.staying_count()), (Verdict::Right, 0));
        (ledger, visit, ttl_s)
    });
    made.collect()
}

/// The answer to a look at a session without data.
fn found_empty(left_s: u64) -> Vec<u8> {
    let fields =
        format!("ETag: \"1\"\r\nX-Session-TTL: {left_s}\r\nContent-Type: application/octet-stream\r\n");
    answer_bytes(200, &fields, b"")
}

#[test]
fn a_share_of_the_sessions_of_bots_and_of_a_wave_must_still_be_there_before_their_deadline() {
    for (mut ledger, visit, ttl_s) in with_one_unwatched(PEEK_PERIOD) {
        let deadline_ms = 1200 + u64::from(ttl_s) * 1000;
        assert_eq!(ledger.due(at(deadline_ms - 501)), None, "{visit:?}");
        assert_eq!(ledger.due(at(deadline_ms - 500)), Some(Place::Early), "{visit:?}");
        let attempt = ledger.begin(Step::Read(Place::Early), at(0));
        assert_eq!(ledger.request(&attempt).method, Method::Peek, "{visit:?}");
        let verdict = settle(&mut ledger, attempt, &not_found(), span_at(deadline_ms - 500));
        assert!(matches!(verdict, Verdict::Wrong(Wrong::EarlyExpiry { .. })), "{visit:?}: {verdict:?}");
        assert_eq!(ledger.due(at(deadline_ms * 2)), None, "it is not looked at again");
    }
}

#[test]
fn a_look_at_them_before_their_deadline_leaves_it_where_it_is() {
    for (outlives, expected) in [(false, None), (true, Some("late_expiry"))] {
        for (mut ledger, visit, ttl_s) in with_one_unwatched(PEEK_PERIOD) {
            let deadline_ms = 1200 + u64::from(ttl_s) * 1000;
            let attempt = ledger.begin(Step::Read(Place::Early), at(0));
            let touched = attempt.session.touched;
            let verdict = settle(&mut ledger, attempt, &found_empty(1), span_at(deadline_ms - 500));
            assert_eq!(verdict, Verdict::Right, "{visit:?}");
            assert_eq!(ledger.due(at(deadline_ms + 500)), None, "{visit:?}");
            assert_eq!(ledger.due(at(deadline_ms + 501)), Some(Place::Late), "{visit:?}");
            let attempt = ledger.begin(Step::Read(Place::Late), at(0));
            assert_eq!((attempt.session.touched, ledger.request(&attempt).method), (touched, Method::Get));
            let bytes = if outlives { found_empty(u64::from(ttl_s)) } else { not_found() };
            let wrong = match settle(&mut ledger, attempt, &bytes, span_at(deadline_ms + 501)) {
                Verdict::Wrong(wrong) => Some(wrong.kind()),
                _ => None,
            };
            assert_eq!(wrong, expected, "{visit:?}");
        }
    }
}

#[test]
fn sessions_of_a_wave_are_looked_at_in_the_order_of_their_deadlines() {
    let terms = Terms { wave: Some(Duration::from_secs(5)), ..TERMS };
    let mut ledger = Ledger::new(terms, 0);
    // Due at 5.9 s, 5.1 s and 5.4 s.
    for (id, made, ttl_s) in [(1, 900, 5), (2, 1100, 4), (3, 2400, 3)] {
        ledger.next_number = id * PEEK_PERIOD;
        let attempt = ledger.begin(Step::Create { visit: Visit::Bot, with_data: false }, at(made));
        assert_eq!(settle(&mut ledger, attempt, &created(id, 1, ttl_s), span_at(made)), Verdict::Right);
    }
    for (due, id) in [(4600, 2), (4900, 3), (5400, 1)] {
        assert_eq!((ledger.due(at(due - 1)), ledger.due(at(due))), (None, Some(Place::Early)));
        let attempt = ledger.begin(Step::Read(Place::Early), at(due));
        assert_eq!(attempt.session.number, id * PEEK_PERIOD);
        assert_eq!(settle(&mut ledger, attempt, &found_empty(1), span_at(due)), Verdict::Right);
    }
}

#[test]
fn a_look_that_must_touch_nothing_and_tells_a_whole_ttl_is_wrong() {
    for (mut ledger, visit, ttl_s) in with_one_unwatched(PEEK_PERIOD) {
        let attempt = ledger.begin(Step::Read(Place::Early), at(0));
        let before = span_at(700 + u64::from(ttl_s) * 1000);
        let verdict = settle(&mut ledger, attempt, &found_empty(u64::from(ttl_s)), before);
        assert!(matches!(verdict, Verdict::Wrong(Wrong::Ttl { .. })), "{visit:?}: {verdict:?}");
    }
}

#[test]
fn most_sessions_of_bots_and_of_a_wave_are_looked_at_only_when_they_must_be_gone() {
    for (ledger, visit, ttl_s) in with_one_unwatched(PEEK_PERIOD + 1) {
        assert_eq!(ledger.due(at(1201 + u64::from(ttl_s) * 1000)), None, "{visit:?}");
        assert_eq!(ledger.due(at(1701 + u64::from(ttl_s) * 1000)), Some(Place::Late), "{visit:?}");
    }
}

#[test]
fn the_sweep_finds_every_session_that_stays() {
    let mut ledger = with_one_session();
    for (id, visit) in [(2, Visit::Stays), (3, Visit::Contested), (4, Visit::Bot)] {
        let attempt = ledger.begin(Step::Create { visit, with_data: true }, at(0));
        let ttl_s = if visit == Visit::Bot { 2 } else { 3 };
        assert_eq!(settle(&mut ledger, attempt, &created(id, 1, ttl_s), span_at(0)), Verdict::Right);
    }
    assert_eq!((ledger.staying_count(), ledger.contested_count()), (3, 1));
    for left in [2, 1, 0] {
        let attempt = ledger.begin_sweep().unwrap();
        assert_eq!(ledger.request(&attempt).method, Method::Delete);
        assert_eq!(settle(&mut ledger, attempt, &answer_bytes(200, "", b""), span_at(1)), Verdict::Right);
        assert_eq!(ledger.staying_count(), left);
    }
    assert!(ledger.begin_sweep().is_none());
}

#[test]
fn a_session_that_vanishes_is_wrong_once_and_then_forgotten() {
    let mut ledger = with_one_session();
    let attempt = ledger.begin(Step::Read(Place::Kept(0)), at(0));
    let verdict = settle(&mut ledger, attempt, &not_found(), span_at(100));
    assert!(matches!(verdict, Verdict::Wrong(Wrong::EarlyExpiry { ttl_s: 3, .. })), "{verdict:?}");
    assert_eq!((ledger.kept.count(), ledger.gone_count()), (0, 0));
}

#[test]
fn a_session_whose_time_is_over_must_be_absent() {
    let mut ledger = with_one_session();
    let attempt = ledger.begin(Step::Delete(Place::Kept(0)), at(0));
    let verdict = settle(&mut ledger, attempt, &answer_bytes(200, "", b""), span_at(3300));
    assert!(matches!(verdict, Verdict::Wrong(Wrong::LateExpiry { ttl_s: 3, .. })), "{verdict:?}");
}

#[test]
fn a_deleted_session_must_stay_absent_whatever_is_asked() {
    for step in [Step::Read(Place::Gone(0)), Step::Update(Place::Gone(0)), Step::Delete(Place::Gone(0))] {
        let mut ledger = with_one_session();
        let attempt = ledger.begin(Step::Delete(Place::Kept(0)), at(0));
        assert_eq!(settle(&mut ledger, attempt, &answer_bytes(200, "", b""), span_at(5)), Verdict::Right);
        assert_eq!((ledger.kept.count(), ledger.gone_count()), (0, 1));
        let attempt = ledger.begin(step, at(0));
        assert_eq!(settle(&mut ledger, attempt, &not_found(), span_at(6)), Verdict::Right);
        let attempt = ledger.begin(step, at(0));
        let verdict = settle(&mut ledger, attempt, &answer_bytes(200, "", b""), span_at(7));
        assert_eq!(verdict, Verdict::Wrong(Wrong::Revived), "{step:?}");
        assert_eq!(ledger.gone_count(), 0);
    }
}

#[test]
fn an_attempt_without_an_answer_takes_its_session_with_it() {
    for step in
        [Step::Update(Place::Kept(0)), Step::Read(Place::Kept(0)), Step::Delete(Place::Kept(0)), CREATE]
    {
        let mut ledger = with_one_session();
        let attempt = ledger.begin(step, at(0));
        ledger.lose(attempt);
        assert_eq!(
            (ledger.staying_count(), ledger.gone_count()),
            (usize::from(step == CREATE), 0),
            "{step:?}"
        );
    }
}

#[test]
fn a_refused_update_for_lack_of_room_changes_nothing() {
    let mut ledger = with_one_session();
    let before = ledger.kept.take(0);
    let expected = format!("{before:?}");
    ledger.kept.put(0, before);
    let attempt = ledger.begin(Step::Update(Place::Kept(0)), at(0));
    let verdict = settle(&mut ledger, attempt, &answer_bytes(507, "", b""), span_at(100));
    assert_eq!(verdict, Verdict::Refused { status: 507 });
    assert_eq!(format!("{:?}", ledger.kept.take(0)), expected);
}

#[test]
fn a_busy_servers_refusal_leaves_the_outcome_unknown() {
    for status in [429, 503] {
        let mut ledger = with_one_session();
        let attempt = ledger.begin(Step::Update(Place::Kept(0)), at(0));
        let verdict = settle(&mut ledger, attempt, &answer_bytes(status, "", b""), span_at(100));
        assert_eq!((verdict, ledger.kept.count()), (Verdict::Refused { status }, 0));
    }
}

#[test]
fn a_refusal_where_none_is_allowed_is_wrong() {
    let mut ledger = with_one_session();
    let attempt = ledger.begin(Step::Read(Place::Kept(0)), at(0));
    let verdict = settle(&mut ledger, attempt, &answer_bytes(507, "", b""), span_at(100));
    assert_eq!(verdict, Verdict::Wrong(Wrong::Status { expected: 200, got: 507 }));
}

#[test]
fn a_short_lived_session_is_read_before_its_deadline_and_after_it() {
    let mut ledger = Ledger::new(TERMS, 0);
    let attempt = ledger.begin(Step::Create { visit: Visit::Abandons, with_data: false }, at(0));
    assert_eq!(ledger.request(&attempt).own_ttl_s, Some(2));
    assert_eq!(settle(&mut ledger, attempt, &created(1, 1, 2), span_at(0)), Verdict::Right);
    assert_eq!(ledger.due(at(1499)), None);
    assert_eq!(ledger.due(at(1500)), Some(Place::Early));
    let attempt = ledger.begin(Step::Read(Place::Early), at(0));
    let fields = "ETag: \"1\"\r\nX-Session-TTL: 2\r\nContent-Type: application/octet-stream\r\n";
    let verdict = settle(&mut ledger, attempt, &answer_bytes(200, fields, b""), span_at(1500));
    assert_eq!(verdict, Verdict::Right);
    assert_eq!(ledger.due(at(4000)), None);
    assert_eq!(ledger.due(at(4001)), Some(Place::Late));
    let attempt = ledger.begin(Step::Read(Place::Late), at(0));
    assert_eq!(settle(&mut ledger, attempt, &not_found(), span_at(4001)), Verdict::Right);
    assert_eq!((ledger.due(at(99_999)), ledger.gone_count()), (None, 1));
}

#[test]
fn the_memory_of_gone_sessions_is_bounded() {
    let mut ledger = Ledger::new(TERMS, 0);
    for id in 0..200 {
        let attempt = ledger.begin(CREATE, at(0));
        assert_eq!(settle(&mut ledger, attempt, &created(id, 1, 3), span_at(0)), Verdict::Right);
        let attempt = ledger.begin(Step::Delete(Place::Kept(0)), at(0));
        assert_eq!(settle(&mut ledger, attempt, &answer_bytes(200, "", b""), span_at(1)), Verdict::Right);
    }
    assert_eq!(ledger.gone_count(), GONE_MAX);
}

#[test]
fn a_session_without_data_waits_for_its_first() {
    let mut ledger = with_one_session();
    assert_eq!(ledger.unwritten(), None);
    let attempt = ledger.begin(Step::Create { visit: Visit::Stays, with_data: false }, at(0));
    assert_eq!(ledger.request(&attempt).content, None);
    assert_eq!(settle(&mut ledger, attempt, &created(2, 1, 3), span_at(0)), Verdict::Right);
    assert_eq!(ledger.unwritten(), Some(Place::Kept(1)));
    let attempt = ledger.begin(Step::Update(Place::Kept(1)), at(0));
    let fields = "ETag: \"2\"\r\nX-Session-TTL: 3\r\n";
    assert_eq!(settle(&mut ledger, attempt, &answer_bytes(200, fields, b""), span_at(1)), Verdict::Right);
    assert_eq!(ledger.unwritten(), None);
}
