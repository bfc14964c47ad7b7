//! The ledger of one session: what was asked, what was answered, what is in doubt.
//!
//! Requests are noted before they are sent and answers judged as they come, in order. What is
//! still out when the process ends is in doubt: each further request may have been carried
//! out, or none from some point on, but nothing in between. The next answers must fit one of
//! these states; those that they do not fit are given up.

use std::collections::{BTreeMap, VecDeque};

use crate::content::Content;
use crate::state::{Live, State};
use crate::support::{build_request, problem_code};
use crate::wire::Answer;

/// What is remembered of a session's past, for the report of a failure.
const PAST_MAX: usize = 16;

/// How far from the end of its time a session that was left alone is looked at.
const LOOK_MARGIN_MILLIS: i64 = 50;

/// Refusals after which everything is as it was.
const NOTHING_DONE: [&str; 5] = ["disk_full", "storage_full", "journal_behind", "busy", "too_many_bodies"];

/// A request about one session.
#[derive(Clone, Debug)]
pub enum Op {
    /// GET; with If-None-Match, where it has this ETag.
    Read { known: Option<String> },
    /// GET that extends nothing.
    Peek,
    /// HEAD.
    Head,
    /// POST of this data, perhaps with a TTL of its own in seconds, perhaps on a condition.
    Update { content: Content, ttl: Option<u64>, condition: Condition },
    /// DELETE.
    Delete,
}

/// What a POST is told to match.
#[derive(Clone, Debug)]
pub enum Condition {
    None,
    /// The ETag that it has.
    Holds(String),
    /// One that it had.
    Fails(String),
}

/// How long a session is left alone.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// Until shortly before the end of what was promised.
    NearItsEnd,
    /// Until so many milliseconds after its end, unless the process was killed: the log has it
    /// for some seconds more, and whoever asks then is told that it is gone.
    JustOver(i64),
    /// Until no crash can have let it live any longer.
    LongOver,
}

/// What came of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// It was carried out, or there was nothing to be done.
    Done,
    /// It was refused for lack of room or time, and nothing was done.
    Refused,
    /// Nobody knows, and the connection ends.
    Doubtful,
}

/// One session's ledger.
#[derive(Debug)]
pub struct Session {
    pub id: String,
    /// When somebody looks at it again, where it is to be left alone until then.
    pub look_at_millis: Option<i64>,
    /// Somebody was told that it is gone, and nobody had deleted it.
    pub has_expired: bool,
    /// Somebody was told that it is gone while its DELETE had not been answered.
    is_told_gone: bool,
    /// What it may be; only one where nothing is in doubt.
    states: Vec<State>,
    /// Requests without an answer yet, and when they were sent.
    in_flight: VecDeque<(Op, i64)>,
    /// Every ETag that it was seen with, and what that stands for.
    etags: BTreeMap<String, Content>,
    past: VecDeque<String>,
}

impl Op {
    pub fn method(&self) -> &'static str {
        match self {
            Self::Read { .. } | Self::Peek => "GET",
            Self::Head => "HEAD",
            Self::Update { .. } => "POST",
            Self::Delete => "DELETE",
        }
    }

    /// The bytes to send.
    pub fn request(&self, path: &str, key: &str) -> Vec<u8> {
        let mut fields = vec![("X-SESSION-KEY", key)];
        let (mut body, mut seconds) = (Vec::new(), String::new());
        match self {
            Self::Read { known } => fields.extend(known.iter().map(|etag| ("If-None-Match", etag.as_str()))),
            Self::Peek => fields.push(("X-Session-Peek", "1")),
            Self::Update { content, ttl, condition } => {
                body = content.bytes();
                fields.extend(content.content_type().map(|text| ("Content-Type", text)));
                ttl.iter().for_each(|ttl| seconds = ttl.to_string());
                if let Condition::Holds(etag) | Condition::Fails(etag) = condition {
                    fields.push(("If-Match", etag));
                }
            }
            Self::Head | Self::Delete => {}
        }
        if !seconds.is_empty() {
            fields.push(("X-Session-TTL", &seconds));
        }
        build_request(self.method(), path, &fields, &body)
    }
}

impl Session {
    /// What a PUT's answer has made.
    pub fn created(content: Content, own_ttl: Option<u64>, answer: &Answer) -> Result<Self, String> {
        let live = Live::written(content, own_ttl, answer)?;
        let etags = live.etag.iter().map(|etag| (etag.clone(), content)).collect();
        let mut session = Self {
            id: answer.response.text().to_owned(),
            look_at_millis: None,
            has_expired: false,
            is_told_gone: false,
            states: vec![State::Live(live)],
            in_flight: VecDeque::new(),
            etags,
            past: VecDeque::new(),
        };
        session.remember(format!("made with {content}, own TTL {own_ttl:?}: {}", summary(answer)));
        Ok(session)
    }

    /// Nobody looks at it until then.
    pub fn leave_alone(&mut self, until: Until) {
        self.look_at_millis = self.surely().map(|live| match until {
            Until::NearItsEnd => live.earliest_millis - LOOK_MARGIN_MILLIS,
            Until::JustOver(late_millis) => live.latest_millis + late_millis,
            Until::LongOver => live.latest_after_crash_millis() + LOOK_MARGIN_MILLIS,
        });
    }

    /// What it is, where nothing is in doubt and it lives.
    pub fn surely(&self) -> Option<&Live> {
        match self.states.as_slice() {
            [State::Live(live)] if self.in_flight.is_empty() => Some(live),
            _ => None,
        }
    }

    /// Whether nobody must ever see it again.
    pub fn is_gone(&self) -> bool {
        matches!(self.states.as_slice(), [State::Gone])
    }

    /// The ETag of an earlier version.
    pub fn old_etag(&self) -> Option<&String> {
        let now = self.surely()?.etag.as_ref();
        self.etags.keys().find(|etag| Some(*etag) != now)
    }

    /// A request is about to be sent.
    pub fn asks(&mut self, op: Op, sent_millis: i64) {
        self.in_flight.push_back((op, sent_millis));
    }

    /// The method of the request whose answer comes next.
    pub fn awaits(&self) -> &'static str {
        self.in_flight.front().map_or("GET", |(op, _)| op.method())
    }

    /// The answer to the oldest request that has none.
    pub fn answered(&mut self, answer: &Answer) -> Result<Told, String> {
        let Some((op, _)) = self.in_flight.front().cloned() else {
            return Err("an answer to nothing".to_owned());
        };
        self.remember(format!("{op:?}: {}", summary(answer)));
        if matches!(answer.response.status, 503 | 507) {
            return self.refused(answer);
        }
        self.in_flight.pop_front();
        let is_told_already = std::mem::take(&mut self.is_told_gone) && answer.response.status == 200;
        if !is_told_already {
            let states = self.states.clone();
            self.narrow(&states, &op, answer)?;
        }
        Ok(Told::Done)
    }

    /// The answer to a peek over another connection, while a request has no answer yet: it may
    /// come before that or after, and what it has shown stays so.
    pub fn peeked_beside(&mut self, answer: &Answer) -> Result<(), String> {
        self.remember(format!("Peek beside it: {}", summary(answer)));
        if matches!(answer.response.status, 503 | 507) {
            return Ok(());
        }
        let (states, in_flight) = (self.states.clone(), self.in_flight.clone());
        let mut tips = states.clone();
        for (op, sent_millis) in &in_flight {
            self.doubt(op, (*sent_millis, answer.got_millis), &mut tips);
        }
        let possible = std::mem::replace(&mut self.states, states);
        self.narrow(&possible, &Op::Peek, answer)?;
        let is_deleted = matches!(in_flight.front(), Some((Op::Delete, _)));
        self.is_told_gone = is_deleted && self.is_gone();
        Ok(())
    }

    /// The process has ended by now; how many requests are in doubt.
    pub fn ended(&mut self, now_millis: i64, is_orderly: bool) -> usize {
        let in_doubt = self.in_flight.len();
        self.is_told_gone = false;
        let mut tips = self.states.clone();
        for (op, sent_millis) in std::mem::take(&mut self.in_flight) {
            self.remember(format!("{op:?} is in doubt"));
            self.doubt(&op, (sent_millis, now_millis), &mut tips);
        }
        self.remember(format!("the process ended at {now_millis}, orderly: {is_orderly}"));
        for live in lives(&mut self.states).filter(|_| !is_orderly) {
            live.crash();
        }
        in_doubt
    }

    /// The process is there again.
    pub fn restarted(&mut self, ready_millis: i64) {
        self.remember(format!("the process was ready at {ready_millis}"));
        lives(&mut self.states).for_each(|live| live.restart(ready_millis));
    }

    /// What is known, for the report of a failure.
    pub fn blame(&self, why: &str) -> String {
        let past: Vec<_> = self.past.iter().map(String::as_str).collect();
        format!("session {}: {why}\nit may be {:#?}\n{}", self.id, self.states, past.join("\n"))
    }

    fn refused(&mut self, answer: &Answer) -> Result<Told, String> {
        let is_head = self.awaits() == "HEAD";
        if !is_head && NOTHING_DONE.contains(&problem_code(&answer.response).as_str()) {
            self.in_flight.pop_front();
            return Ok(Told::Refused);
        }
        match answer.response.closes() {
            true => Ok(Told::Doubtful),
            false if is_head => {
                self.in_flight.pop_front();
                Ok(Told::Refused)
            }
            false => Err(self.blame(&format!("an unexpected refusal: {}", answer.response))),
        }
    }

    /// Of these states, those are left that this answer makes possible, as it makes them.
    fn narrow(&mut self, states: &[State], op: &Op, answer: &Answer) -> Result<(), String> {
        self.states = self.after(states, op, answer).map_err(|why| self.blame(&why))?;
        self.has_expired |= self.is_gone() && !states.iter().any(|state| matches!(state, State::Gone));
        self.has_expired &= !matches!(op, Op::Delete);
        self.note_etags().map_err(|why| self.blame(&why))
    }

    fn after(&self, states: &[State], op: &Op, answer: &Answer) -> Result<Vec<State>, String> {
        let mut left = Vec::new();
        let mut reasons = Vec::new();
        // An update that nobody heard of has an ETag that nobody knew.
        let is_new = answer.response.field("ETag").is_none_or(|etag| !self.etags.contains_key(etag));
        let is_possible = |state: &&State| is_new || !matches!(state, State::Live(Live { etag: None, .. }));
        for state in states.iter().filter(is_possible) {
            match after(state, op, answer) {
                Ok(state) => left.push(state),
                Err(why) => reasons.push(why),
            }
        }
        if left.is_empty() { Err(reasons.join("; or ")) } else { Ok(distinct(left)) }
    }

    /// One more request may have been carried out on each of `tips`.
    fn doubt(&mut self, op: &Op, span_millis: (i64, i64), tips: &mut Vec<State>) {
        match op {
            Op::Peek | Op::Head => {}
            Op::Read { .. } => {
                lives(tips).chain(lives(&mut self.states)).for_each(|live| live.touch_unheard(span_millis.1));
            }
            Op::Update { condition: Condition::Fails(_), .. } => {}
            Op::Update { content, ttl, .. } => {
                lives(tips).for_each(|live| *live = live.written_unheard(*content, *ttl, span_millis));
                self.states.extend(tips.iter().cloned());
            }
            Op::Delete => {
                *tips = vec![State::Gone];
                self.states.push(State::Gone);
            }
        }
    }

    /// An ETag never names two different data.
    fn note_etags(&mut self) -> Result<(), String> {
        for state in &self.states {
            let State::Live(Live { content, etag: Some(etag), .. }) = state else { continue };
            let known = self.etags.entry(etag.clone()).or_insert(*content);
            if known != content {
                return Err(format!("ETag {etag} stood for {known} and stands for {content}"));
            }
        }
        Ok(())
    }

    fn remember(&mut self, event: String) {
        if self.past.len() == PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(event);
    }
}

/// The same states, those that differ in their deadline alone as one.
fn distinct(states: Vec<State>) -> Vec<State> {
    let mut distinct: Vec<State> = Vec::new();
    for state in states {
        let is_known = distinct.iter_mut().any(|known| match (known, &state) {
            (State::Gone, State::Gone) => true,
            (State::Live(known), State::Live(live)) => known.takes_in(live),
            _ => false,
        });
        if !is_known {
            distinct.push(state);
        }
    }
    distinct
}

fn lives(states: &mut [State]) -> impl Iterator<Item = &mut Live> {
    states.iter_mut().filter_map(|state| match state {
        State::Live(live) => Some(live),
        State::Gone => None,
    })
}

/// What a session in this state is after this answer; why it was not in this state, if so.
fn after(state: &State, op: &Op, answer: &Answer) -> Result<State, String> {
    let status = answer.response.status;
    let State::Live(live) = state else {
        return if status == 404 { Ok(State::Gone) } else { Err(format!("it was gone, and now: {status}")) };
    };
    if status == 404 {
        let early = live.earliest_millis - answer.got_millis;
        return if early > 0 { Err(format!("it is gone {early} ms early")) } else { Ok(State::Gone) };
    }
    live.check_alive(answer)?;
    let live = match (op, status) {
        (Op::Read { known: None }, 200) => live.shown(answer, true)?.touched(answer)?,
        (Op::Read { known: Some(_) }, 304) => live.named(answer)?.touched(answer)?,
        (Op::Peek, 200) => live.shown(answer, true)?.peeked(answer)?,
        (Op::Head, 200) => live.shown(answer, false)?.peeked(answer)?,
        (Op::Update { condition: Condition::Fails(_), .. }, 412) => live.named(answer)?,
        (Op::Update { content, ttl, condition: Condition::None | Condition::Holds(_) }, 200) => {
            Live::written(*content, ttl.or(live.own_ttl), answer)?
        }
        (Op::Delete, 200) => return Ok(State::Gone),
        _ => return Err(format!("{status} makes no sense")),
    };
    Ok(State::Live(live))
}

fn summary(answer: &Answer) -> String {
    let field = |name| answer.response.field(name).unwrap_or("-").to_owned();
    let (etag, left, expires) = (field("ETag"), field("X-Session-TTL"), field("X-Session-Expires"));
    let (sent, got, status) = (answer.sent_millis, answer.got_millis, answer.response.status);
    format!("{status}, ETag {etag}, {left} s left, expires {expires}, sent at {sent}, answered at {got}")
}
