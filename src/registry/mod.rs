//! The registry: which buckets there are and which API key opens each.
//!
//! Every core has a [`Replica`] and judges the requests that it took by it, without asking
//! anybody. Changes have one [`Authority`], on the first core; it hands each change to all
//! replicas once it is kept and answers only when every core has acknowledged it, so that from
//! a DELETE's answer on no core accepts the key. Buckets keep their number for ever: regenerating a
//! key loses no session.
//!
//! Pure: keys are made from random bytes that the caller brings.

mod authority;

use ahash::{AHashMap, RandomState};

use crate::types::{ApiKey, ApiKeyBytes, BucketId, BucketName};

pub use authority::{Authority, CHANGES_IN_FLIGHT_MAX, KeyAction, KeyOperation, KeyOutcome};

/// How often the registry had been changed when something was so. Starts at 0, grows by 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct RegistryVersion(u64);

impl RegistryVersion {
    /// The version after one more change.
    const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One change, as it travels to every replica.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The registry's version from this change on.
    pub version: RegistryVersion,
    /// How the bucket stands from now on.
    pub state: BucketState,
}

/// How a bucket stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BucketState {
    /// Its number.
    pub id: BucketId,
    /// Its name.
    pub name: BucketName,
    /// The key that opens it, if any does.
    pub key: Option<ApiKey>,
}

/// The buckets that there are from the start, as they were kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Buckets {
    /// How each stands.
    pub states: Vec<BucketState>,
    /// A number that no bucket ever had, nor any above it.
    pub next: BucketId,
}

impl Buckets {
    /// None, and none ever was.
    pub const fn none() -> Self {
        Self { states: Vec::new(), next: BucketId::new(0) }
    }
}

/// That a request's key was good for this bucket, and since which version of the registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The bucket that the key opens.
    pub bucket: BucketId,
    /// When the bucket's key was last changed.
    since: RegistryVersion,
}

/// What a replica knows of one bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    id: BucketId,
    /// The current key; none after it was removed.
    key: Option<ApiKey>,
}

/// One core's copy of the registry.
#[derive(Debug)]
pub struct Replica {
    buckets: AHashMap<BucketName, Bucket>,
    /// When each bucket's key was last changed, by the bucket's number.
    changed: Vec<RegistryVersion>,
    /// The bucket of each current key, by a hash that is keyed for this process.
    by_key: AHashMap<u64, BucketName>,
    /// Seeds `by_key`'s hashes: an outsider cannot make two keys meet.
    key_hasher: RandomState,
    /// Stands in where there is no key, so that an unknown bucket costs the same work.
    decoy: ApiKey,
    version: RegistryVersion,
}

impl Replica {
    /// What one bucket takes in one replica, in bytes, free places of the tables left out.
    pub const BUCKET_BYTES: usize =
        size_of::<(BucketName, Bucket)>() + size_of::<(u64, BucketName)>() + size_of::<RegistryVersion>();

    /// An empty registry. `seed` must be random: it keys the hash by which keys are found, and
    /// is the decoy that requests for unknown buckets are compared with.
    pub fn new(seed: &ApiKeyBytes) -> Self {
        let word = |place: usize| u64::from_le_bytes(std::array::from_fn(|byte| seed[place * 8 + byte]));
        Self {
            buckets: AHashMap::default(),
            changed: Vec::new(),
            by_key: AHashMap::default(),
            key_hasher: RandomState::with_seeds(word(0), word(1), word(2), word(3)),
            decoy: ApiKey::from_random(seed),
            version: RegistryVersion::default(),
        }
    }

    /// The version of the last change that was applied.
    pub fn version(&self) -> RegistryVersion {
        self.version
    }

    /// How many buckets there are, those without a key included.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there is no bucket yet.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Knows these buckets from now on, as they were kept. Before the first change.
    pub fn restore(&mut self, buckets: &[BucketState]) {
        debug_assert_eq!(self.version, RegistryVersion::default(), "nothing has changed yet");
        buckets.iter().for_each(|bucket| self.set(bucket));
    }

    /// Takes a change over. Changes come in order and without gaps.
    pub fn apply(&mut self, change: &Change) {
        debug_assert_eq!(change.version, self.version.next(), "changes come in order");
        self.version = change.version;
        self.set(&change.state);
    }

    /// The bucket stands so since the present version.
    fn set(&mut self, state: &BucketState) {
        let bucket = Bucket { id: state.id, key: state.key };
        if let Some(Bucket { key: Some(old), .. }) = self.buckets.insert(state.name, bucket) {
            self.by_key.remove(&self.hash_key(old.expose().as_bytes()));
        }
        if let Some(key) = state.key {
            self.by_key.insert(self.hash_key(key.expose().as_bytes()), state.name);
        }
        let place = state.id.as_u32() as usize;
        if place >= self.changed.len() {
            self.changed.resize(place + 1, RegistryVersion::default());
        }
        self.changed[place] = self.version;
        debug_assert!(self.by_key.len() <= self.buckets.len());
    }

    /// Whether `presented` opens the bucket of this name; none where there is no such bucket,
    /// where it has no key and where it has another. Each case does the same comparison.
    pub fn judge(&self, name: &BucketName, presented: &[u8]) -> Option<Grant> {
        let bucket = self.buckets.get(name);
        let key = bucket.and_then(|bucket| bucket.key);
        let is_key = key.as_ref().unwrap_or(&self.decoy).is(presented);
        match (bucket, key) {
            (Some(bucket), Some(_)) if is_key => Some(self.grant(bucket.id)),
            _ => None,
        }
    }

    /// Which bucket `presented` opens, whatever its name; none where it opens none.
    pub fn judge_any(&self, presented: &[u8]) -> Option<Grant> {
        let name = self.by_key.get(&self.hash_key(presented))?;
        self.judge(name, presented)
    }

    /// Whether the key that was granted is still the bucket's key.
    pub fn is_current(&self, grant: Grant) -> bool {
        self.changed.get(grant.bucket.as_u32() as usize) == Some(&grant.since)
    }

    /// What is known of the bucket: its number and its key.
    fn bucket(&self, name: &BucketName) -> Option<Bucket> {
        self.buckets.get(name).copied()
    }

    fn grant(&self, bucket: BucketId) -> Grant {
        debug_assert!((bucket.as_u32() as usize) < self.changed.len(), "a bucket has a version");
        let since = self.changed.get(bucket.as_u32() as usize).copied().unwrap_or_default();
        Grant { bucket, since }
    }

    fn hash_key(&self, key: &[u8]) -> u64 {
        self.key_hasher.hash_one(key)
    }
}

#[cfg(test)]
mod tests;
