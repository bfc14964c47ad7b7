//! One session as the connection that made it knows it: what it holds, and until when.
//!
//! Pure values: every change gives another value back. The server touched the session at
//! some point of the exchange that touched it last, so its deadline is a range, and
//! [`Session::presence`] says what an answer must be for every point of that range.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::blob::{Blob, NAME_LEN};
use crate::clock::{Moment, Span};
use crate::rng::mix;
use crate::sizes::Sizes;
use crate::step::{Place, Step};
use crate::verdict::Wrong;
use crate::wire::{Content, IdText};

/// Around a deadline, both 200 and 404 are right for this long before and after it: the
/// server may take its time once a turn, and the two machines' clocks may drift.
pub const EXPIRY_MARGIN: Duration = Duration::from_millis(250);

/// The Content-Types that data is stored with; none must come back as octets.
const MEDIA_TYPES: [Option<&str>; 4] =
    [None, Some("text/plain; charset=utf-8"), Some("application/json"), Some("application/octet-stream")];

/// What all sessions of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The run's seed, which its blobs carry.
    pub run: u64,
    /// Bytes of the blobs.
    pub sizes: Sizes,
    /// The server's TTL for sessions without their own, in seconds.
    pub ttl_s: u32,
    /// The short-lived sessions' own TTL in seconds. At least 1.
    pub short_ttl_s: u32,
    /// Where given, the short-lived sessions of so long a span all fall due within the second
    /// after its end. At least a second.
    pub wave: Option<Duration>,
}

impl Terms {
    /// The own TTL in seconds of a short-lived session that is made at `now`.
    pub fn short_ttl_at(&self, now: Moment) -> u32 {
        let Some(wave) = self.wave else { return self.short_ttl_s };
        let (wave, now) = (wave.as_secs_f64(), now.since(Moment::default()).as_secs_f64());
        let left_s = wave - now % wave;
        debug_assert!(left_s >= 0.0, "the wave ends in the future");
        left_s.ceil().max(1.0) as u32
    }
}

/// A session as this connection knows it.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Its id; unknown until its creation was answered.
    pub id: IdText,
    /// Unique in the run; the blobs carry it.
    pub number: u64,
    /// How often data was written to it; 0 has no data.
    pub version: u32,
    /// The number in its last ETag. It grows with each writing.
    pub etag: u64,
    /// Seconds that it lives after a touch.
    pub ttl_s: u32,
    /// The exchange that touched it last.
    pub touched: Span,
    /// Whether its data must tell its version, so that it cannot be shorter than a name.
    pub named: bool,
    /// Whether the look at it before its deadline must leave the deadline where it is.
    pub peeked: bool,
}

/// What the answer about a session must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// 200: its time has not come.
    There,
    /// 404: its time is over.
    Absent,
    /// Too close to the deadline to tell.
    Either,
}

impl Session {
    /// The session that `Create` is about to make, with its first data or without.
    pub fn new(number: u64, ttl_s: u32, with_data: bool) -> Self {
        let touched = Span { sent: Moment::default(), received: Moment::default() };
        let (id, version) = (IdText::UNKNOWN, u32::from(with_data));
        Self { id, number, version, etag: 0, ttl_s, touched, named: false, peeked: false }
    }

    /// Whether the step is a look that must leave its deadline where it is.
    pub fn is_peeked_by(&self, step: Step) -> bool {
        self.peeked && step == Step::Read(Place::Early)
    }

    /// The data that it holds.
    pub fn content(&self, terms: &Terms) -> Content {
        let Self { number, version, .. } = *self;
        let kind = (number.wrapping_add(u64::from(version)) % MEDIA_TYPES.len() as u64) as usize;
        let least = if self.named { NAME_LEN } else { 0 };
        let len = || terms.sizes.len_of(mix(number ^ mix(u64::from(version)))).max(least);
        let (media_type, len) = if version == 0 { (None, 0) } else { (MEDIA_TYPES[kind], len()) };
        Content { media_type, blob: Blob { run: terms.run, session: number, version, len } }
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(u64::from(self.ttl_s))
    }

    /// When a short-lived one is read before its deadline: soon enough to be judged.
    pub fn due_early(&self) -> Moment {
        self.touched.sent.after(self.ttl()).before(2 * EXPIRY_MARGIN)
    }

    /// When a short-lived one is read after its deadline: late enough to be judged.
    pub fn due_late(&self) -> Moment {
        self.touched.received.after(self.ttl()).after(2 * EXPIRY_MARGIN)
    }

    /// What an exchange over `span` must find: the touch lies within `touched`, the server's look
    /// at the deadline within `span`.
    pub fn presence(&self, span: Span) -> Presence {
        let earliest = self.touched.sent.after(self.ttl()).before(EXPIRY_MARGIN);
        let latest = self.touched.received.after(self.ttl()).after(EXPIRY_MARGIN);
        debug_assert!(earliest <= latest, "a touch begins before it ends");
        if span.received < earliest {
            Presence::There
        } else if span.sent > latest {
            Presence::Absent
        } else {
            Presence::Either
        }
    }

    /// The seconds left that an answer over `span` may tell without having touched it.
    pub fn left_s(&self, span: Span) -> RangeInclusive<u64> {
        let left = |touched: Moment, looked: Moment| touched.after(self.ttl()).since(looked);
        let least = left(self.touched.sent, span.received).saturating_sub(EXPIRY_MARGIN);
        let most = left(self.touched.received, span.sent) + EXPIRY_MARGIN;
        // They are told rounded up.
        least.as_secs()..=most.as_secs() + 1
    }

    /// The session after an answer that touched it and carried this ETag.
    pub fn touched_by(self, span: Span, etag: u64) -> Self {
        debug_assert!(self.etag <= etag, "an ETag never goes back");
        Self { touched: span, etag, ..self }
    }

    /// The session after two exchanges that touched it at the same time, whichever came last.
    pub fn touched_with(self, span: Span) -> Self {
        let Span { sent, received } = self.touched;
        let touched = Span { sent: sent.max(span.sent), received: received.max(span.received) };
        Self { touched, ..self }
    }

    /// The session after one more writing.
    pub fn written(self) -> Self {
        Self { version: self.version + 1, ..self }
    }

    /// What is wrong with a 404 where it must be there.
    pub fn expired_early(&self, span: Span) -> Wrong {
        Wrong::EarlyExpiry { untouched: span.received.since(self.touched.sent), ttl_s: self.ttl_s }
    }

    /// What is wrong with a 200 where it must be absent.
    pub fn outlived(&self, span: Span) -> Wrong {
        Wrong::LateExpiry { untouched: span.sent.since(self.touched.received), ttl_s: self.ttl_s }
    }
}

#[cfg(test)]
mod tests;
