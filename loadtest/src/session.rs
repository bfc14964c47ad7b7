//! One session as the connection that made it knows it: what it holds, and until when.
//!
//! Pure values: every change gives another value back. The server touched the session at
//! some point of the exchange that touched it last, so its deadline is a range, and
//! [`Session::presence`] says what an answer must be for every point of that range.

use std::time::Duration;

use crate::blob::Blob;
use crate::clock::{Moment, Span};
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
    /// Bytes of every blob.
    pub blob_len: usize,
    /// The server's TTL for sessions without their own, in seconds.
    pub ttl_s: u32,
    /// The short-lived sessions' own TTL in seconds. At least 1.
    pub short_ttl_s: u32,
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
        Self { id: IdText::UNKNOWN, number, version: u32::from(with_data), etag: 0, ttl_s, touched }
    }

    /// The data that it holds.
    pub fn content(&self, terms: &Terms) -> Content {
        let Self { number, version, .. } = *self;
        let kind = (number.wrapping_add(u64::from(version)) % MEDIA_TYPES.len() as u64) as usize;
        let (media_type, len) = if version == 0 { (None, 0) } else { (MEDIA_TYPES[kind], terms.blob_len) };
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

    /// The session after an answer that touched it and carried this ETag.
    pub fn touched_by(self, span: Span, etag: u64) -> Self {
        debug_assert!(self.etag <= etag, "an ETag never goes back");
        Self { touched: span, etag, ..self }
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
