//! The buckets and keys that a log leaves, from the records in their order.
//!
//! The newest record of a bucket counts. Where that one is damaged the bucket keeps its name
//! and number and has no key: an older key may have been revoked, and must not open it again.

use std::collections::BTreeMap;

use super::judge::Kept;
use super::recover::{Notice, Report};
use super::survey::Note;
use crate::types::{ApiKey, BucketId, BucketName};

/// A bucket to be restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestoredBucket {
    /// Its number.
    pub bucket: BucketId,
    /// Its name.
    pub name: BucketName,
    /// The key that opens it, if it has one.
    pub key: Option<ApiKey>,
}

/// The registry to be restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoredRegistry {
    /// In the order of their numbers, which may have gaps.
    pub buckets: Vec<RestoredBucket>,
    /// A number that no bucket ever had, nor any above it.
    pub next_bucket: BucketId,
}

/// Goes through the notes of all segments that count.
pub(super) fn fold_registry(kept: &[Kept], report: &mut Report) -> RestoredRegistry {
    let mut buckets: BTreeMap<BucketId, RestoredBucket> = BTreeMap::new();
    for note in kept.iter().flat_map(Kept::notes) {
        match *note {
            Note::Bucket { bucket, name, key } => {
                buckets.insert(bucket, RestoredBucket { bucket, name, key });
            }
            Note::LostBucket(bucket) => {
                // Its name may be lost as well; the number is not given out again.
                report.notice(Notice::KeyLost(bucket.as_u32()));
                if let Some(known) = buckets.get_mut(&bucket) {
                    known.key = None;
                }
            }
            Note::Synced(..) | Note::Checkpoint(_) | Note::Time(_) | Note::Lost => {}
        }
    }
    // Sessions name buckets too: a number is used even where its bucket's records are lost.
    let highest = kept.iter().filter_map(|kept| kept.survey.bucket_max).max();
    let next = highest.map_or(0, |highest| highest.as_u32().saturating_add(1));
    RestoredRegistry { buckets: buckets.into_values().collect(), next_bucket: BucketId::new(next) }
}
