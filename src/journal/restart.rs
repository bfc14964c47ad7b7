//! From a judged folder to the log that goes on behind it.
//!
//! What recovery has found decides where the log starts; what the process is like decides the
//! rest. Nothing is changed here: [`Log::start`](super::Log::start) does that, in its own order.

use super::log::{LogStart, SyncPolicy};
use super::recover::Recovery;
use super::seal::Salt;
use super::storage::SegmentFile;
use super::units::JournalMillis;
use crate::types::{ByteCount, ShardCount};

/// What a log is told beside what recovery has found.
pub struct RestartTerms {
    /// When answers may leave.
    pub policy: SyncPolicy,
    /// How many shards hand buffers over.
    pub shards: ShardCount,
    /// Journal time at the log's start.
    pub journal_time: JournalMillis,
    /// What live sessions take, if each is written once.
    pub live: ByteCount,
    /// The longest record that cores will reserve room for; that of a restored session included.
    pub record_len_max: ByteCount,
    /// Draws the bits that a new segment mixes into its checksums.
    pub draw_salt: Box<dyn FnMut() -> Salt + Send>,
}

impl LogStart {
    /// The start of the log that goes on where `recovery` has ended, with the segments that it
    /// keeps.
    pub fn behind(recovery: &Recovery, segments: Vec<SegmentFile>, terms: RestartTerms) -> Self {
        debug_assert!(recovery.segments().eq(segments.iter().map(|segment| segment.number)));
        Self {
            policy: terms.policy,
            shards: terms.shards,
            segments,
            condemned: recovery.unlink().to_vec(),
            next: recovery.next_segment(),
            continues: recovery.end(),
            synced: recovery.synced(),
            is_damaged: recovery.report().is_damaged(),
            epoch: recovery.next_epoch(),
            journal_time: terms.journal_time,
            live: terms.live,
            record_len_max: terms.record_len_max,
            draw_salt: terms.draw_salt,
        }
    }
}
