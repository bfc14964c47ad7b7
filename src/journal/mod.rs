//! The journal: the log that makes sessions, buckets and keys outlive the process.
//!
//! One log for the process, in segments of their own salt. A core encodes records into a
//! buffer ([`encode`]) before anybody knows where they will lie; whoever writes them seals
//! them for their place ([`seal`]). Reading is pure: [`Scan`] walks the bytes of one
//! segment, [`survey`] makes a compact list of it, [`Recovery`] judges all lists together,
//! and a [`Plan`] yields one shard's sessions.
//!
//! ```text
//!   segments ─▶ survey (each, in parallel) ─▶ Recovery::judge ─▶ plan (each shard, in parallel) ─▶ load
//! ```

mod buckets;
mod judge;
mod layout;
mod plan;
mod record;
mod recover;
mod scan;
mod seal;
mod segment;
mod survey;
mod units;

pub use buckets::{RestoredBucket, RestoredRegistry};
pub use layout::{BLOB_BYTES_MAX, CONTENT_TYPE_BYTES_MAX, RECORD_BYTES_MAX, RECORD_LEN_MIN, record_len};
pub use plan::{LoadError, Plan, RestoredSession, Tally};
pub use record::{Entry, NO_SHARD, Origin, Record, SessionImage, TimeMark, encode, session_record_len};
pub use recover::{Notice, RecoverError, Recovery, Report, Terms};
pub use scan::{BadSpan, Found, Lost, Scan};
pub use seal::{Salt, seal};
pub use segment::{HeaderError, SEGMENT_HEADER_LEN, SegmentHeader};
pub use survey::{Survey, survey};
pub use units::{JournalMillis, LogOffset, Position, SegmentNumber, Sequence};

#[cfg(test)]
mod tests;
