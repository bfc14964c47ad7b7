//! Counts and latencies of a run: one tally a core, merged at its end.
//!
//! Latency is recorded for every whole answer. In an open loop it counts from the moment that the request was meant to leave,
//! and what it was from the moment that it left is kept beside it. What never left counts with
//! the time that it waited, and what was refused with the time that this took: neither is of any kind,
//! and both belong to all of them together. Recording allocates
//! nothing as long as answers are right; a wrong answer or an error is counted by its kind,
//! the first few wrong ones with a text for people.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock::{Moment, Span};
use crate::contest::Act;
use crate::series::Second;
use crate::step::{Place, Step};
use crate::verdict::{Verdict, Wrong};

/// Texts kept of each kind of wrong answer.
const EXAMPLES_MAX: usize = 3;

/// The statuses that refuse for want of room or time, and their names among the errors. The last
/// is no status: it names what no other does.
const REFUSALS: [(u16, &str); 4] =
    [(429, "refused_429"), (503, "refused_503"), (507, "refused_507"), (0, "refused")];

/// The longest latency that is told from longer ones: a minute, in nanoseconds.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// What an operation asked for, as reports tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A new session.
    Create,
    /// A live session's data.
    Read,
    /// New data for a live session.
    Update,
    /// A live session's removal.
    Delete,
    /// Anything about a deleted or expired session.
    Gone,
}

impl Kind {
    /// All of them, in the order of reports and of their discriminants.
    pub const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Gone];

    /// The kind of a step.
    pub const fn of(step: Step) -> Self {
        match step {
            Step::Create { .. } => Self::Create,
            Step::Read(Place::Gone(_) | Place::Late)
            | Step::Update(Place::Gone(_))
            | Step::Delete(Place::Gone(_)) => Self::Gone,
            Step::Read(_) | Step::Contested(_, Act::Read) => Self::Read,
            Step::Update(_) | Step::Contested(..) => Self::Update,
            Step::Delete(_) => Self::Delete,
        }
    }

    /// Its name in reports. Stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Gone => "gone",
        }
    }
}

/// Latencies in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Latency {
    /// No latency yet.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX_NS, DIGITS);
        Self(histogram.expect("the bounds are in order and three digits are allowed"))
    }

    /// The latency that this share of all was not above, in microseconds.
    pub fn at_quantile_us(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// The longest, in microseconds.
    pub fn max_us(&self) -> f64 {
        self.0.max() as f64 / 1000.0
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Takes in all of `other`'s.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// Them as they are kept.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// Takes one in.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos() as u64);
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

/// Latencies that so many percent of the answers kept to, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of them.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p99_9: f64,
    /// All of them.
    pub max: f64,
}

impl Percentiles {
    /// Those of `latency`; all 0 where it has none.
    pub fn of(latency: &Latency) -> Self {
        Self {
            p50: latency.at_quantile_us(0.5),
            p90: latency.at_quantile_us(0.9),
            p99: latency.at_quantile_us(0.99),
            p99_9: latency.at_quantile_us(0.999),
            max: latency.max_us(),
        }
    }
}

/// Something that happened several times.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// How often. Never 0 in a tally.
    pub count: u64,
    /// The first few, for people. `examples.len() <= count`
    pub examples: Vec<String>,
}

/// The counts and latencies of some connections.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    latencies: [Latency; Kind::ALL.len()],
    /// From when requests left, in an open loop only.
    services: [Latency; Kind::ALL.len()],
    /// How much later than meant requests left, or were dropped, although a connection was free.
    pub lag: Latency,
    /// Requests of an open loop that never left, because no connection came free in time, each
    /// with the time that it had waited: its latency would have been longer.
    pub dropped: Latency,
    /// How long refusals of the load took, from the same moment on as answers.
    pub refused: Latency,
    /// The same, each counted from when its request left; empty in a closed loop.
    pub refused_service: Latency,
    /// How long connections took that were made anew during the load; no part of any answer's latency.
    pub connects: Latency,
    /// What came within the second that is running.
    pub second: Second,
    /// When measuring began; none before it has.
    pub first: Option<Moment>,
    /// Wrong answers by kind.
    pub wrong: BTreeMap<&'static str, Count>,
    /// Refusals and what went wrong on this side, by kind.
    pub errors: BTreeMap<&'static str, u64>,
    /// Answers as the contract has them, borderline ones included.
    pub right: u64,
    /// Right answers whose opposite would have been right too.
    pub borderline: u64,
    /// Sessions made before measuring began, of which nothing else is counted.
    pub filled: u64,
    /// Sessions removed after the run, of which nothing else is counted.
    pub swept: u64,
    /// Connections closed and made anew on purpose.
    pub reconnects: u64,
    /// Bytes of all requests that were answered.
    pub sent_bytes: u64,
    /// Bytes of all answers.
    pub received_bytes: u64,
    /// When the last answer or refusal of the load was in.
    pub last: Moment,
}

impl Tally {
    /// The latencies of one kind of operation.
    pub fn latency(&self, kind: Kind) -> &Latency {
        &self.latencies[kind as usize]
    }

    /// The same, each counted from when its request left; empty in a closed loop.
    pub fn service(&self, kind: Kind) -> &Latency {
        &self.services[kind as usize]
    }

    /// How many whole answers there were, refusals left out.
    pub fn answer_count(&self) -> u64 {
        self.latencies.iter().map(Latency::count).sum()
    }

    /// From the start of measuring to the last answer or refusal.
    pub fn elapsed(&self) -> Duration {
        self.first.map_or(Duration::ZERO, |first| self.last.since(first))
    }

    /// Counts a whole answer to a request that was `intended` to leave then, if it was to
    /// leave at any special moment.
    pub fn answer(&mut self, kind: Kind, span: Span, intended: Option<Moment>) {
        let latency = match intended {
            None => span.length(),
            Some(intended) => {
                debug_assert!(intended <= span.sent, "nothing leaves before its time");
                self.services[kind as usize].record(span.length());
                span.received.since(intended)
            }
        };
        self.latencies[kind as usize].record(latency);
        self.second.answer(kind, latency);
        self.last = self.last.max(span.received);
    }

    /// Counts the time that a refusal took, as that of an answer.
    pub fn refuse(&mut self, span: Span, intended: Option<Moment>) {
        if intended.is_some() {
            self.refused_service.record(span.length());
        }
        let latency = span.received.since(intended.unwrap_or(span.sent));
        self.refused.record(latency);
        self.second.refuse(latency);
        self.last = self.last.max(span.received);
    }

    /// Counts a request that never left, after it had `waited` for a connection.
    pub fn drop_one(&mut self, waited: Duration) {
        self.dropped.record(waited);
        self.second.drop_one(waited);
    }

    /// Counts the bytes of a request that was answered, and of its answer.
    pub fn transfer(&mut self, sent_bytes: usize, received_bytes: usize) {
        self.sent_bytes += sent_bytes as u64;
        self.received_bytes += received_bytes as u64;
    }

    /// Counts a judgement; `describe` says what was asked, for wrong ones.
    pub fn verdict(&mut self, verdict: Verdict, describe: impl FnOnce() -> String) {
        match verdict {
            Verdict::Right => self.right += 1,
            Verdict::Borderline => {
                self.right += 1;
                self.borderline += 1;
            }
            Verdict::Refused { status } => self.error(refusal_name(status)),
            Verdict::Wrong(wrong) => self.wrong(wrong.kind(), || wrong_text(&wrong, &describe())),
        }
    }

    /// Counts something wrong; `text` gives an example of it.
    pub fn wrong(&mut self, kind: &'static str, text: impl FnOnce() -> String) {
        self.second.wrong += 1;
        let entry = self.wrong.entry(kind).or_default();
        entry.count += 1;
        if entry.examples.len() < EXAMPLES_MAX {
            entry.examples.push(text());
        }
        debug_assert!(entry.examples.len() as u64 <= entry.count, "every example was counted");
    }

    /// Counts a refusal or an error on this side.
    pub fn error(&mut self, kind: &'static str) {
        self.second.errors += 1;
        *self.errors.entry(kind).or_default() += 1;
    }

    /// How many answers were refusals, those to the making of the sessions and to the sweep included.
    pub fn refused_count(&self) -> u64 {
        REFUSALS.iter().filter_map(|(_, name)| self.errors.get(name)).sum()
    }

    /// How many answers and ends of connections were wrong.
    pub fn wrong_count(&self) -> u64 {
        self.wrong.values().map(|wrong| wrong.count).sum()
    }

    /// Takes in all of `other`'s.
    pub fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.latencies.iter_mut().zip(&other.latencies) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.services.iter_mut().zip(&other.services) {
            mine.merge(theirs);
        }
        self.lag.merge(&other.lag);
        self.dropped.merge(&other.dropped);
        self.refused.merge(&other.refused);
        self.refused_service.merge(&other.refused_service);
        self.connects.merge(&other.connects);
        self.first = self.first.into_iter().chain(other.first).min();
        for (kind, theirs) in other.wrong {
            let mine = self.wrong.entry(kind).or_default();
            mine.count += theirs.count;
            mine.examples.extend(theirs.examples);
            mine.examples.truncate(EXAMPLES_MAX);
        }
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        self.right += other.right;
        self.borderline += other.borderline;
        self.filled += other.filled;
        self.swept += other.swept;
        self.reconnects += other.reconnects;
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.last = self.last.max(other.last);
        self.second.merge(&other.second);
    }
}

fn wrong_text(wrong: &Wrong, asked: &str) -> String {
    format!("{asked}: {wrong}")
}

fn refusal_name(status: u16) -> &'static str {
    let named = REFUSALS.iter().find(|&&(known, _)| known == status);
    debug_assert!(named.is_some(), "{status} is judged as a refusal and has no name");
    named.map_or("refused", |&(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span_of(micros: u64) -> Span {
        let sent = Moment::after_start(Duration::from_secs(1));
        Span { sent, received: sent.after(Duration::from_micros(micros)) }
    }

    #[test]
    fn merged_tallies_hold_what_each_of_them_held() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        one.answer(Kind::Read, span_of(10), None);
        one.transfer(100, 1000);
        one.verdict(Verdict::Right, String::new);
        other.answer(Kind::Read, span_of(30), None);
        other.answer(Kind::Delete, span_of(20), None);
        other.transfer(150, 1200);
        other.verdict(Verdict::Borderline, String::new);
        other.verdict(Verdict::Refused { status: 503 }, String::new);
        one.merge(other);
        assert_eq!((one.latency(Kind::Read).count(), one.latency(Kind::Delete).count()), (2, 1));
        assert_eq!((one.right, one.borderline, one.errors["refused_503"]), (2, 1, 1));
        assert_eq!((one.sent_bytes, one.received_bytes), (250, 2200));
        assert_eq!(one.last, span_of(30).received);
    }

    #[test]
    fn wrong_answers_are_counted_all_and_described_some() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        for index in 0..5 {
            one.verdict(Verdict::Wrong(Wrong::Revived), || format!("read {index}"));
            other.verdict(Verdict::Wrong(Wrong::Revived), || format!("read {}", index + 5));
        }
        one.merge(other);
        assert_eq!(one.wrong_count(), 10);
        let examples = &one.wrong["revived"].examples;
        assert_eq!(examples.len(), EXAMPLES_MAX);
        assert_eq!(examples[0], "read 0: 200 for an id that was gone");
    }

    #[test]
    fn quantiles_are_in_microseconds_and_keep_three_digits() {
        let mut tally = Tally::default();
        for micros in 1..=1000 {
            tally.answer(Kind::Update, span_of(micros), None);
        }
        let latency = tally.latency(Kind::Update);
        assert!((latency.at_quantile_us(0.5) - 500.0).abs() < 1.0);
        assert!((latency.at_quantile_us(0.99) - 990.0).abs() < 1.0);
        assert!((latency.max_us() - 1000.0).abs() < 1.0);
    }

    #[test]
    fn an_answer_counts_from_when_its_request_was_meant_to_leave() {
        let mut tally = Tally::default();
        let intended = span_of(0).sent.before(Duration::from_micros(400));
        tally.answer(Kind::Read, span_of(100), Some(intended));
        assert!((tally.latency(Kind::Read).max_us() - 500.0).abs() < 1.0);
        assert!((tally.service(Kind::Read).max_us() - 100.0).abs() < 1.0);
    }

    #[test]
    fn a_refusal_counts_from_when_its_request_was_meant_to_leave_and_is_no_answer() {
        let mut tally = Tally::default();
        let intended = span_of(0).sent.before(Duration::from_millis(900));
        tally.refuse(span_of(100_000), Some(intended));
        tally.refuse(span_of(50), None);
        let mut merged = Tally::default();
        merged.merge(tally);
        assert!((merged.refused.max_us() / 1e6 - 1.0).abs() < 0.001, "{}", merged.refused.max_us());
        assert!((merged.refused_service.max_us() / 1e5 - 1.0).abs() < 0.001);
        assert_eq!(
            (merged.refused.count(), merged.refused_service.count(), merged.answer_count()),
            (2, 1, 0)
        );
        assert_eq!(merged.last, span_of(100_000).received);
    }

    #[test]
    fn steps_about_sessions_that_are_gone_are_a_kind_of_their_own() {
        assert_eq!(Kind::of(Step::Read(Place::Late)), Kind::Gone);
        assert_eq!(Kind::of(Step::Update(Place::Gone(0))), Kind::Gone);
        assert_eq!(Kind::of(Step::Read(Place::Early)), Kind::Read);
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{}", kind.name());
        }
    }
}
