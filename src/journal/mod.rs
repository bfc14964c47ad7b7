//! The journal: the log that makes sessions, buckets and keys outlive the process.
//!
//! One log for the process, in segments of their own salt. A core logs into a buffer
//! ([`CoreJournal`]); one thread seals all buffers for their place and writes them, another
//! syncs ([`Journal`]); what goes where the pure [`Log`] decides, over a [`Storage`]. Reading
//! is pure too: [`survey()`] makes a compact list of a segment, [`Recovery`] judges all lists
//! together, and a [`Plan`] yields one shard's sessions.
//!
//! ```text
//!   segments ─▶ survey (each, in parallel) ─▶ Recovery::judge ─▶ plan (each shard, in parallel) ─▶ load
//! ```

mod aside;
mod backup;
mod buckets;
mod chunks;
mod disk;
mod feed;
mod folder;
mod handle;
mod jobs;
mod judge;
mod layout;
mod log;
mod plan;
mod progress;
mod record;
mod recover;
mod replay;
mod restart;
mod room;
mod scan;
mod seal;
mod segment;
mod snapshot;
mod storage;
mod survey;
mod units;
mod verify;
mod wait;
mod writer;

pub use aside::{Aside, AsideError, AsideKind};
pub use backup::{Backup, BackupError, backup};
pub use buckets::{RestoredBucket, RestoredRegistry};
pub use disk::{Disk, OpenError};
pub use feed::{FedSegment, FeedError, SegmentFeed};
pub use folder::{Folder, FolderError, UnlinkHold};
pub use handle::CoreJournal;
pub use layout::{BLOB_BYTES_MAX, CONTENT_TYPE_BYTES_MAX, RECORD_BYTES_MAX, RECORD_LEN_MIN, record_len};
pub use log::{BACKLOG_MAX, Buffer, Covers, Job, JobResult, Log, LogStart, RoomLimits, SyncPolicy};
pub use plan::{LoadError, Plan, RestoredSession, ShardEvents, Tally};
pub use progress::{Condition, Level, Progress, Wake};
pub use record::{
    Entry, NO_SHARD, Origin, Record, SessionImage, TimeMark, bucket_record_len_max, encode,
    session_record_len,
};
pub use recover::{Notice, RecoverError, Recovery, Report, Terms};
pub use replay::{
    DamageError, Filing, Replay, ReplayError, ReplayPhase, ReplayProgress, ReplayStep, ReplayTerms,
};
pub use restart::RestartTerms;
pub use room::{Need, NoRoom, Room};
pub use scan::{BadSpan, Found, Lost, Scan};
pub use seal::{Salt, seal};
pub use segment::{HeaderError, SEGMENT_HEADER_LEN, SegmentHeader};
pub use storage::{SEGMENT_LEN_MAX, SegmentFile, Storage, StorageError};
pub use survey::{Survey, survey};
pub use units::{JournalMillis, LogOffset, Position, SegmentNumber, Sequence};
pub use verify::{Verification, verify};
pub use wait::{JournalClock, Wait};
pub use writer::{Journal, JournalStart, NotSettled, StartError};

#[cfg(test)]
#[path = "tests/live.rs"]
mod live;
#[cfg(test)]
#[path = "tests/sim.rs"]
mod sim;
#[cfg(test)]
#[path = "tests/sim_disk.rs"]
pub(crate) mod sim_disk;
#[cfg(test)]
#[path = "tests/sim_journal.rs"]
pub(crate) mod sim_journal;
#[cfg(test)]
#[path = "tests/small_disk.rs"]
mod small_disk;
#[cfg(test)]
mod tests;
