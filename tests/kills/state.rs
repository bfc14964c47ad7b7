//! What is known of a session: its data, its ETag, and between which moments it ends.
//!
//! Every answer narrows this down, and must fit: it shows the very data that the ETag stands
//! for, promises no less than was promised before, and no more than one TTL. A crash adds
//! the slack of the log to the end, once.

use crate::content::Content;
use crate::wire::Answer;

/// The TTL of sessions without their own, in seconds.
pub const DEFAULT_TTL_SECS: u64 = 30;
/// How much longer than expected a session may be seen, in milliseconds: what is counted in
/// seconds is exact to the second.
const EXACT_MILLIS: i64 = 1_000;

/// What may be known of a session.
#[derive(Clone, Debug)]
pub enum State {
    /// It is there until its time has come.
    Live(Live),
    /// Deleted or expired; nobody must see it again.
    Gone,
}

/// A session that lives.
#[derive(Clone, Debug)]
pub struct Live {
    pub content: Content,
    /// None where the answer to the update that made this never came.
    pub etag: Option<String>,
    /// Its own TTL, in seconds.
    pub own_ttl: Option<u64>,
    /// Before this it must be there, by all that was promised; on the suite's clock.
    pub earliest_millis: i64,
    /// After this it must be gone, whoever restarts.
    pub latest_millis: i64,
    /// In this life it must be gone after this too: one TTL from its start, unless extended.
    limit_millis: i64,
    /// Whether `latest_millis` includes the log's slack.
    has_slack: bool,
    /// What X-Session-Expires said last, if nothing has moved it since: wall time.
    expires_unix_millis: Option<i64>,
}

/// How much later than it was to end a session of this TTL may end after a crash.
fn slack_millis(ttl_secs: u64) -> i64 {
    (ttl_secs as i64 * 1_000 / 16).clamp(3_000, 60 * 60 * 1_000)
}

impl Live {
    /// What an answer to a PUT or a POST with this data has made.
    pub fn written(content: Content, own_ttl: Option<u64>, answer: &Answer) -> Result<Self, String> {
        let fresh = Self {
            content,
            etag: Some(answer.response.etag().to_owned()),
            own_ttl,
            earliest_millis: i64::MIN,
            latest_millis: i64::MAX,
            limit_millis: i64::MAX,
            has_slack: false,
            expires_unix_millis: None,
        };
        fresh.touched(answer)
    }

    /// What a POST with this data may have made of it between these moments, unheard of.
    pub fn written_unheard(&self, content: Content, ttl: Option<u64>, (from, until): (i64, i64)) -> Self {
        let own_ttl = ttl.or(self.own_ttl);
        let ttl_millis = own_ttl.unwrap_or(DEFAULT_TTL_SECS) as i64 * 1_000;
        Self {
            content,
            etag: None,
            own_ttl,
            earliest_millis: from + ttl_millis - EXACT_MILLIS,
            latest_millis: until + ttl_millis,
            limit_millis: i64::MAX,
            has_slack: false,
            expires_unix_millis: None,
        }
    }

    /// A GET may have moved its deadline until this moment, unheard of.
    pub fn touch_unheard(&mut self, until_millis: i64) {
        self.latest_millis = self.latest_millis.max(until_millis + self.ttl_secs() as i64 * 1_000);
        self.has_slack = false;
        self.expires_unix_millis = None;
    }

    /// Stands for `other` as well, if that differs in its deadline alone.
    pub fn takes_in(&mut self, other: &Self) -> bool {
        let is_same =
            self.content == other.content && self.etag == other.etag && self.own_ttl == other.own_ttl;
        if is_same {
            self.earliest_millis = self.earliest_millis.min(other.earliest_millis);
            self.latest_millis = self.latest_millis.max(other.latest_millis);
            self.has_slack &= other.has_slack;
        }
        is_same
    }

    /// After this it must be gone, whatever happens meanwhile.
    pub fn latest_after_crash_millis(&self) -> i64 {
        self.latest_millis + slack_millis(self.ttl_secs()) + EXACT_MILLIS
    }

    /// Its TTL, in seconds.
    pub fn ttl_secs(&self) -> u64 {
        self.own_ttl.unwrap_or(DEFAULT_TTL_SECS)
    }

    /// Whether an answer that shows a session shows this one, and what that tells.
    pub fn shown(&self, answer: &Answer, has_body: bool) -> Result<Self, String> {
        self.content.check(&answer.response, has_body)?;
        self.named(answer)
    }

    /// Whether an answer names this one's ETag, and what that tells.
    pub fn named(&self, answer: &Answer) -> Result<Self, String> {
        let etag = answer.response.etag();
        if self.etag.as_ref().is_some_and(|known| known != etag) {
            return Err(format!("its ETag is {etag}, not {:?}", self.etag));
        }
        Ok(Self { etag: Some(etag.to_owned()), ..self.clone() })
    }

    /// It must still be there when a request is sent; after a kill up to its slack longer.
    pub fn check_alive(&self, answer: &Answer) -> Result<(), String> {
        let late = answer.sent_millis - self.latest_millis.min(self.limit_millis);
        if late > EXACT_MILLIS {
            return Err(format!("it is there {late} ms after its time"));
        }
        Ok(())
    }

    /// An answer that extends its life.
    pub fn touched(&self, answer: &Answer) -> Result<Self, String> {
        let left_secs = answer.response.seconds_left();
        if left_secs != self.ttl_secs() {
            return Err(format!("it was extended to {left_secs} s and not to {} s", self.ttl_secs()));
        }
        Ok(Self {
            earliest_millis: answer.sent_millis + (left_secs as i64 - 1) * 1_000,
            latest_millis: answer.got_millis + left_secs as i64 * 1_000,
            limit_millis: i64::MAX,
            has_slack: false,
            expires_unix_millis: Some(answer.response.expires_unix_millis()),
            ..self.clone()
        })
    }

    /// An answer that extends nothing.
    pub fn peeked(&self, answer: &Answer) -> Result<Self, String> {
        let left_secs = answer.response.seconds_left();
        let (least, most) = (
            answer.sent_millis + (left_secs as i64 - 1) * 1_000,
            answer.got_millis + left_secs as i64 * 1_000,
        );
        if most < self.earliest_millis {
            return Err(format!("its life is {} ms shorter than was promised", self.earliest_millis - most));
        }
        let longer = least - self.latest_millis.min(self.limit_millis);
        if longer > EXACT_MILLIS || left_secs > self.ttl_secs() {
            return Err(format!("its life is {longer} ms longer than it may be ({left_secs} s left)"));
        }
        let expires = answer.response.expires_unix_millis();
        if let Some(before) = self.expires_unix_millis
            && (before - expires).abs() > EXACT_MILLIS
        {
            return Err(format!("it expires {} ms later than it did", expires - before));
        }
        Ok(Self {
            earliest_millis: self.earliest_millis.max(least),
            latest_millis: self.latest_millis.min(most),
            has_slack: false,
            expires_unix_millis: Some(expires),
            ..self.clone()
        })
    }

    /// The process was killed.
    pub fn crash(&mut self) {
        if !std::mem::replace(&mut self.has_slack, true) {
            self.latest_millis += slack_millis(self.ttl_secs());
        }
        self.expires_unix_millis = None;
    }

    /// The process is there again, and had been started before this moment.
    pub fn restart(&mut self, ready_millis: i64) {
        self.limit_millis = ready_millis + self.ttl_secs() as i64 * 1_000;
    }
}
