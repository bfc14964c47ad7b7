//! The one place where API keys are made and removed.
//!
//! A driver calls [`Authority::receive`] for each operation, hands every change that
//! [`Authority::poll_change`] yields to all other cores, reports each core's
//! acknowledgement with [`Authority::acknowledge`], and sends off what
//! [`Authority::poll_answer`] yields. Operations on one bucket are judged in the order in
//! which they came: while a change is under way, those behind it wait, reads included, so
//! that nobody learns of a key which some core does not know yet.

use std::collections::VecDeque;

use ahash::AHashMap;

use super::{Change, RegistryVersion, Replica};
use crate::types::{ApiKey, ApiKeyBytes, BucketId, BucketName};

/// Changes under way at once. Bounds what a core's control lane must hold.
pub const CHANGES_IN_FLIGHT_MAX: usize = 64;
/// Operations that wait behind changes, over all buckets; past it they are refused.
const WAITING_MAX: usize = 4_096;
/// Buckets there can ever be. Each costs about 200 bytes a core.
const BUCKETS_MAX: usize = 1 << 20;

/// What is asked of a bucket's key.
#[derive(Clone, Copy, Debug)]
pub enum KeyAction {
    /// Make a key of these random bytes.
    Make(ApiKeyBytes),
    /// Read the key.
    Read,
    /// Remove the key; the bucket's sessions stay.
    Remove,
}

/// An operation on one bucket's key.
#[derive(Clone, Copy, Debug)]
pub struct KeyOperation {
    /// Whose key.
    pub bucket: BucketName,
    /// What is asked.
    pub action: KeyAction,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyOutcome {
    /// The key was made and every core knows it.
    Made(ApiKey),
    /// The bucket's key.
    Found(ApiKey),
    /// The key is gone and no core accepts it.
    Removed,
    /// The bucket has no key.
    Missing,
    /// The bucket has a key already.
    Taken,
    /// There is no room for another bucket.
    Full,
    /// Too many operations wait already; later it may go.
    Busy,
}

/// A change that not every core has acknowledged.
#[derive(Debug)]
struct InFlight<T> {
    version: RegistryVersion,
    bucket: BucketName,
    /// Cores that have not acknowledged it: `1 <= missing < shards`.
    missing: u16,
    ticket: T,
    outcome: KeyOutcome,
}

/// Makes and removes keys. `T` is whatever the driver needs to find the asker again.
#[derive(Debug)]
pub struct Authority<T> {
    /// Cores beside the authority's own, each of which acknowledges every change.
    others: u16,
    /// Oldest first; acknowledgements of different changes may interleave.
    in_flight: VecDeque<InFlight<T>>,
    /// Behind a change of the same bucket, or behind the limit on changes; in order of arrival.
    waiting: AHashMap<BucketName, VecDeque<(KeyAction, T)>>,
    /// Buckets in `waiting` whose first operation waits for a free place among the changes.
    stalled: VecDeque<BucketName>,
    waiting_count: usize,
    changes: VecDeque<Change>,
    answers: VecDeque<(T, KeyOutcome)>,
}

impl<T> Authority<T> {
    /// The authority over `others` other cores.
    pub fn new(others: u16) -> Self {
        Self {
            others,
            in_flight: VecDeque::new(),
            waiting: AHashMap::default(),
            stalled: VecDeque::new(),
            waiting_count: 0,
            changes: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    /// Judges an operation, or queues it behind the change that its bucket is undergoing.
    /// `replica` is the authority's own core's: it takes the change over at once.
    pub fn receive(&mut self, replica: &mut Replica, operation: KeyOperation, ticket: T) {
        let KeyOperation { bucket, action } = operation;
        let must_wait = self.is_changing(&bucket)
            || self.waiting.contains_key(&bucket)
            || self.in_flight.len() >= CHANGES_IN_FLIGHT_MAX;
        if !must_wait {
            return self.judge(replica, operation, ticket);
        }
        if self.waiting_count >= WAITING_MAX {
            return self.answers.push_back((ticket, KeyOutcome::Busy));
        }
        if !self.is_changing(&bucket) && !self.waiting.contains_key(&bucket) {
            self.stalled.push_back(bucket);
        }
        self.waiting_count += 1;
        self.waiting.entry(bucket).or_default().push_back((action, ticket));
    }

    /// A core has taken the change of this version over.
    pub fn acknowledge(&mut self, replica: &mut Replica, version: RegistryVersion) {
        let Some(place) = self.in_flight.iter().position(|change| change.version == version) else {
            debug_assert!(false, "an acknowledgement belongs to a change under way");
            return;
        };
        self.in_flight[place].missing -= 1;
        if self.in_flight[place].missing > 0 {
            return;
        }
        if let Some(done) = self.in_flight.remove(place) {
            self.answers.push_back((done.ticket, done.outcome));
            self.resume(replica, done.bucket);
        }
        while self.in_flight.len() < CHANGES_IN_FLIGHT_MAX {
            let Some(bucket) = self.stalled.pop_front() else { break };
            self.resume(replica, bucket);
        }
    }

    /// The next change that every other core must be handed, oldest first.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// The next operation that has come to its end.
    pub fn poll_answer(&mut self) -> Option<(T, KeyOutcome)> {
        self.answers.pop_front()
    }

    /// How many operations wait behind changes.
    pub fn waiting(&self) -> usize {
        debug_assert_eq!(self.waiting_count, self.waiting.values().map(VecDeque::len).sum::<usize>());
        self.waiting_count
    }

    /// Judges what waits for this bucket, up to and including the next change.
    fn resume(&mut self, replica: &mut Replica, bucket: BucketName) {
        while !self.is_changing(&bucket) {
            let Some(queue) = self.waiting.get_mut(&bucket) else { return };
            if self.in_flight.len() >= CHANGES_IN_FLIGHT_MAX {
                return self.stalled.push_front(bucket);
            }
            let next = queue.pop_front();
            if queue.is_empty() {
                self.waiting.remove(&bucket);
            }
            if let Some((action, ticket)) = next {
                self.waiting_count -= 1;
                self.judge(replica, KeyOperation { bucket, action }, ticket);
            }
        }
    }

    fn judge(&mut self, replica: &mut Replica, operation: KeyOperation, ticket: T) {
        let known = replica.bucket(&operation.bucket);
        let key = known.and_then(|bucket| bucket.key);
        let outcome = match (operation.action, key) {
            (KeyAction::Make(_), Some(_)) => KeyOutcome::Taken,
            (KeyAction::Make(_), None) if known.is_none() && replica.len() >= BUCKETS_MAX => KeyOutcome::Full,
            (KeyAction::Read | KeyAction::Remove, None) => KeyOutcome::Missing,
            (KeyAction::Read, Some(key)) => KeyOutcome::Found(key),
            (KeyAction::Make(bytes), None) => {
                let made = ApiKey::from_random(&bytes);
                let id = known.map_or(BucketId::new(replica.len() as u32), |bucket| bucket.id);
                return self.change(replica, (operation.bucket, id, Some(made)), ticket);
            }
            (KeyAction::Remove, Some(_)) => {
                let id = known.map_or(BucketId::new(0), |bucket| bucket.id);
                return self.change(replica, (operation.bucket, id, None), ticket);
            }
        };
        self.answers.push_back((ticket, outcome));
    }

    fn change(&mut self, replica: &mut Replica, to: (BucketName, BucketId, Option<ApiKey>), ticket: T) {
        let (bucket, id, key) = to;
        let change = Change { version: replica.version().next(), bucket, id, key };
        replica.apply(&change);
        let outcome = key.map_or(KeyOutcome::Removed, KeyOutcome::Made);
        if self.others == 0 {
            return self.answers.push_back((ticket, outcome));
        }
        self.changes.push_back(change);
        let version = change.version;
        self.in_flight.push_back(InFlight { version, bucket, missing: self.others, ticket, outcome });
        debug_assert!(self.in_flight.len() <= CHANGES_IN_FLIGHT_MAX);
    }

    fn is_changing(&self, bucket: &BucketName) -> bool {
        self.in_flight.iter().any(|change| change.bucket == *bucket)
    }
}
