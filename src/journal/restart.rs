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
    /// The start of the log that goes on where `recovery`, which judged these `files`, has ended.
    pub fn behind(recovery: &Recovery, files: &[SegmentFile], terms: RestartTerms) -> Self {
        let kept = |number| files.iter().find(move |file| file.number == number).copied();
        let segments: Vec<_> = recovery.segments().filter_map(kept).collect();
        debug_assert_eq!(segments.len(), recovery.segments().count(), "what was judged was listed");
        Self {
            policy: terms.policy,
            shards: terms.shards,
            segments,
            condemned: recovery.unlink().to_vec(),
            next: recovery.next_segment(),
            continues: recovery.end(),
            epoch: recovery.next_epoch(),
            journal_time: terms.journal_time,
            live: terms.live,
            record_len_max: terms.record_len_max,
            draw_salt: terms.draw_salt,
        }
    }
}
