//! What a client does next: which request, to which session, with what data.
//!
//! Most data is small, some fills a few pages, a little is large. Some sessions live for a
//! second or a few, and some of these are left alone until the end of what was promised.

use crate::content::Content;
use crate::session::{Condition, Op, Session};
use crate::support::Random;

/// What the requests of one batch may send and be sent, in bytes.
const BATCH_BYTES_MAX: usize = 400_000;

/// A session that is to be made.
pub struct NewSession {
    pub content: Content,
    /// In seconds.
    pub own_ttl: Option<u64>,
    pub is_left_alone: bool,
}

/// One client's source of work.
pub struct Mix {
    /// Of the last write; those of different clients never meet.
    stamp: u64,
}

impl Mix {
    pub fn new(client: usize) -> Self {
        Self { stamp: (client as u64 + 1) << 48 }
    }

    /// A session to be made; perhaps one that is to be left alone, where that is allowed.
    pub fn new_session(&mut self, random: &mut Random, may_be_left_alone: bool) -> NewSession {
        let is_left_alone = may_be_left_alone && random.chance(30);
        let own_ttl = match is_left_alone {
            true => Some(1 + random.below(6) as u64),
            false => ttl(random),
        };
        let content = if random.chance(25) { Content::NOTHING } else { self.content(random) };
        NewSession { content, own_ttl, is_left_alone }
    }

    /// So many requests, or fewer where they are large, to sessions that nothing is in doubt of.
    pub fn batch(&mut self, sessions: &[Session], random: &mut Random, count: usize) -> Vec<(usize, Op)> {
        let mut ops: Vec<(usize, Op)> = Vec::new();
        let mut bytes = 0;
        for _ in 0..count {
            if sessions.is_empty() || bytes > BATCH_BYTES_MAX {
                break;
            }
            let at = random.below(sessions.len());
            let session = &sessions[at];
            if session.look_at_millis.is_some() {
                continue;
            }
            // What the second of two requests to one session finds depends on the first.
            let is_first = ops.iter().all(|(other, _)| *other != at);
            let op = self.op(session, is_first, random);
            bytes += session.surely().map_or(0, |live| live.content.len());
            if let Op::Update { content, .. } = &op {
                bytes += content.len();
            }
            ops.push((at, op));
        }
        ops
    }

    /// An update or a removal of a session that nothing is in doubt of; none where there is none.
    pub fn change(&mut self, sessions: &[Session], random: &mut Random) -> Option<(usize, Op)> {
        let at = random.below(sessions.len().max(1));
        let session = sessions.get(at).filter(|session| session.look_at_millis.is_none())?;
        session.surely()?;
        if random.chance(40) {
            return Some((at, Op::Delete));
        }
        Some((at, Op::Update { content: self.content(random), ttl: None, condition: Condition::None }))
    }

    fn op(&mut self, session: &Session, is_first: bool, random: &mut Random) -> Op {
        let etag = session.surely().filter(|_| is_first).and_then(|live| live.etag.clone());
        match random.below(100) {
            0..25 => Op::Read { known: etag.filter(|_| random.chance(20)) },
            25..32 => Op::Peek,
            32..40 => Op::Head,
            40..94 => {
                let condition = match (etag, session.old_etag()) {
                    (Some(etag), _) if random.chance(30) => Condition::Holds(etag),
                    (Some(_), Some(old)) if random.chance(10) => Condition::Fails(old.clone()),
                    _ => Condition::None,
                };
                let ttl = if random.chance(15) { ttl(random) } else { None };
                Op::Update { content: self.content(random), ttl, condition }
            }
            _ => Op::Delete,
        }
    }

    fn content(&mut self, random: &mut Random) -> Content {
        self.stamp += 1;
        let len = match random.below(100) {
            0..5 => 0,
            5..40 => random.below(300),
            40..80 => random.below(4_096),
            80..99 => random.below(65_536),
            _ => 300 * 1_024,
        };
        Content::new(self.stamp, len)
    }
}

/// A TTL in seconds, short and long; none for the server's own.
fn ttl(random: &mut Random) -> Option<u64> {
    match random.below(100) {
        0..35 => None,
        35..50 => Some(1 + random.below(3) as u64),
        50..70 => Some(60),
        70..85 => Some(3_600),
        _ => Some(20 * 86_400),
    }
}
