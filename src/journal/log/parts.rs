//! A part: a run of whole records that is written in one piece and kept until it is synced.
//!
//! A core's buffer is one part, or two where a segment ended within it. The log's own marks
//! are parts too. A part is sealed for the place that it is written to, and can be unsealed
//! for another one; its records are never looked into.

use bytes::BytesMut;

use super::super::layout::record_len;
use super::super::seal::{Salt, seal};
use super::super::units::{LogOffset, Position, SegmentNumber, Sequence};
use crate::types::ShardId;

/// Whole records on their way through the log.
#[derive(Debug)]
pub(super) struct Part {
    /// Sealed as `seal` says. May be empty.
    pub bytes: BytesMut,
    /// What it stands for.
    pub kind: PartKind,
    /// What the bytes are sealed for; nothing before they were first tried.
    seal: Option<(Salt, LogOffset)>,
    /// Where it ends, once it is written.
    pub end: Option<Position>,
}

/// What a part stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PartKind {
    /// The end of a shard's buffer, up to its newest sequence.
    Records { shard: ShardId, last: Sequence, needs_sync: bool },
    /// Records of a buffer that goes on in the next part.
    Head,
    /// Says how far the log was synced: worth no sync of its own.
    SyncMark,
    /// Notes journal time.
    TimeMark,
    /// Says from where on the log is needed.
    Checkpoint(SegmentNumber),
}

impl Part {
    pub fn new(bytes: BytesMut, kind: PartKind) -> Self {
        Self { bytes, kind, seal: None, end: None }
    }

    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether these are records that a core has reserved room for.
    pub const fn is_reserved(&self) -> bool {
        matches!(self.kind, PartKind::Records { .. } | PartKind::Head)
    }

    /// Seals the records for this place, whatever they were sealed for before.
    pub fn seal_for(&mut self, salt: &Salt, at: LogOffset) {
        self.unseal();
        seal(&mut self.bytes, salt, at);
        self.seal = Some((*salt, at));
    }

    fn unseal(&mut self) {
        if let Some((salt, at)) = self.seal.take() {
            seal(&mut self.bytes, &salt, at);
        }
    }

    /// Cuts off the records that fit into `len_max` bytes; nothing where not even one does.
    pub fn split(&mut self, len_max: u64) -> Option<Self> {
        self.unseal();
        let mut at = 0;
        while let Some(len) = record_len(&self.bytes[at..]) {
            if (at + len) as u64 > len_max {
                break;
            }
            at += len;
        }
        debug_assert!(at < self.bytes.len(), "only a part that does not fit is split");
        if at == 0 {
            return None;
        }
        Some(Self::new(self.bytes.split_to(at), PartKind::Head))
    }

    /// The length of the first record, in bytes.
    pub fn first_len(&self) -> u64 {
        record_len(&self.bytes).unwrap_or(self.bytes.len()) as u64
    }
}
