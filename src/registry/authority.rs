//! The one place where API keys are made and removed.
//!
//! A driver calls [`Authority::receive`] for each operation, has every change kept that
//! [`Authority::poll_record`] yields and says so with [`Authority::record_kept`], hands what
//! [`Authority::poll_change`] yields to all other cores, reports each core's acknowledgement
//! with [`Authority::acknowledge`], and sends off what [`Authority::poll_answer`] yields.
//! Nobody is judged by a change before it is kept, and nobody is answered before every core
//! judges by it. Operations on one bucket are judged in the order in which they came: while
//! a change is under way, those behind it wait, reads included.

use std::collections::VecDeque;

use ahash::AHashMap;

use super::{Bucket, BucketState, Buckets, Change, RegistryVersion, Replica};
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
    /// The disk has no room to keep the change.
    DiskFull,
    /// Too much waits to be kept; later it may go.
    Behind,
    /// Nothing can be kept any more.
    Unkept,
    /// Nothing can be kept any more, and nobody knows whether this was.
    Unknown,
}

/// How far a change has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nobody has been told of it.
    Judged,
    /// It is on its way into what is kept.
    Recorded,
    /// It is kept, and has this version. So many cores have not acknowledged it:
    /// `1 <= missing < shards`.
    Spreading { version: RegistryVersion, missing: u16 },
}

/// A change that not every core has acknowledged.
#[derive(Debug)]
struct InFlight<T> {
    stage: Stage,
    state: BucketState,
    ticket: T,
}

/// Makes and removes keys. `T` is whatever the driver needs to find the asker again.
#[derive(Debug)]
pub struct Authority<T> {
    /// Cores beside the authority's own, each of which acknowledges every change.
    others: u16,
    /// Oldest first: some that spread, then some that are recorded, then some that are judged.
    /// Acknowledgements of different changes may interleave.
    in_flight: VecDeque<InFlight<T>>,
    /// By number: the name of each bucket that ever was.
    names: Vec<Option<BucketName>>,
    /// Behind a change of the same bucket, or behind the limit on changes; in order of arrival.
    waiting: AHashMap<BucketName, VecDeque<(KeyAction, T)>>,
    /// Buckets in `waiting` whose first operation waits for a free place among the changes.
    stalled: VecDeque<BucketName>,
    waiting_count: usize,
    changes: VecDeque<Change>,
    answers: VecDeque<(T, KeyOutcome)>,
}

impl<T> Authority<T> {
    /// The authority over `others` other cores, which knows no bucket.
    pub fn new(others: u16) -> Self {
        Self::over(others, &Buckets::none())
    }

    /// The authority over `others` other cores and these buckets, which the replicas know too.
    pub fn over(others: u16, buckets: &Buckets) -> Self {
        let mut names = vec![None; buckets.next.as_u32() as usize];
        for bucket in &buckets.states {
            debug_assert!(bucket.id < buckets.next, "the next number is above all others");
            if let Some(name) = names.get_mut(bucket.id.as_u32() as usize) {
                *name = Some(bucket.name);
            }
        }
        Self {
            others,
            in_flight: VecDeque::new(),
            names,
            waiting: AHashMap::default(),
            stalled: VecDeque::new(),
            waiting_count: 0,
            changes: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    /// How many numbers were given to buckets: all are below this.
    pub fn numbers(&self) -> u32 {
        self.names.len() as u32
    }

    /// How the bucket of this number was recorded last, to be recorded again; none where there
    /// is no such bucket or it was not recorded yet.
    pub fn recorded(&self, replica: &Replica, number: u32) -> Option<BucketState> {
        let name = (*self.names.get(number as usize)?)?;
        let under_way = self.in_flight.iter().find(|change| change.state.name == name);
        if let Some(InFlight { stage: Stage::Recorded, state, .. }) = under_way {
            return Some(*state);
        }
        let Bucket { id, key } = replica.bucket(&name)?;
        Some(BucketState { id, name, key })
    }

    /// Judges an operation, or queues it behind the change that its bucket is undergoing.
    /// `replica` is the authority's own core's.
    pub fn receive(&mut self, replica: &Replica, operation: KeyOperation, ticket: T) {
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

    /// The next change to be kept, in the order in which they must be.
    pub fn poll_record(&mut self) -> Option<BucketState> {
        let change = self.in_flight.iter_mut().find(|change| change.stage == Stage::Judged)?;
        change.stage = Stage::Recorded;
        Some(change.state)
    }

    /// What [`Authority::poll_record`] yielded last cannot be kept: nothing changes, and whoever
    /// asked for it is told `why`.
    pub fn refuse_record(&mut self, replica: &Replica, why: KeyOutcome) {
        let place = self.in_flight.iter().rposition(|change| change.stage == Stage::Recorded);
        let refused = place.and_then(|place| self.in_flight.remove(place));
        debug_assert!(refused.is_some(), "what was yielded is refused");
        if let Some(refused) = refused {
            if replica.bucket(&refused.state.name).is_none() {
                self.forget_number(refused.state.id);
            }
            self.answers.push_back((refused.ticket, why));
            self.resume_after(replica, refused.state.name);
        }
    }

    /// The oldest change that was yielded to be kept is: everybody may be judged by it.
    pub fn record_kept(&mut self, replica: &mut Replica) {
        let Some(place) = self.in_flight.iter().position(|change| change.stage == Stage::Recorded) else {
            debug_assert!(false, "what was yielded is kept");
            return;
        };
        let change = Change { version: replica.version().next(), state: self.in_flight[place].state };
        replica.apply(&change);
        if self.others == 0 {
            return self.finish(replica, place);
        }
        self.in_flight[place].stage = Stage::Spreading { version: change.version, missing: self.others };
        self.changes.push_back(change);
    }

    /// Nothing is kept any more: whoever waits for that is told that nobody knows.
    pub fn abandon_records(&mut self, replica: &Replica) {
        while let Some(place) = self.in_flight.iter().position(|change| change.stage == Stage::Recorded) {
            let Some(abandoned) = self.in_flight.remove(place) else { return };
            self.answers.push_back((abandoned.ticket, KeyOutcome::Unknown));
            self.resume_after(replica, abandoned.state.name);
        }
    }

    /// A core has taken the change of this version over.
    pub fn acknowledge(&mut self, replica: &Replica, version: RegistryVersion) {
        let is_it = |change: &InFlight<T>| matches!(change.stage, Stage::Spreading { version: its, .. } if its == version);
        let Some(place) = self.in_flight.iter().position(is_it) else {
            debug_assert!(false, "an acknowledgement belongs to a change under way");
            return;
        };
        match &mut self.in_flight[place].stage {
            Stage::Spreading { missing, .. } if *missing > 1 => *missing -= 1,
            _ => self.finish(replica, place),
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

    /// A change has come to its end: its asker is answered, and what waited for it goes on.
    fn finish(&mut self, replica: &Replica, place: usize) {
        let Some(done) = self.in_flight.remove(place) else { return };
        let outcome = done.state.key.map_or(KeyOutcome::Removed, KeyOutcome::Made);
        self.answers.push_back((done.ticket, outcome));
        self.resume_after(replica, done.state.name);
    }

    fn resume_after(&mut self, replica: &Replica, bucket: BucketName) {
        self.resume(replica, bucket);
        while self.in_flight.len() < CHANGES_IN_FLIGHT_MAX {
            let Some(bucket) = self.stalled.pop_front() else { break };
            self.resume(replica, bucket);
        }
    }

    /// Judges what waits for this bucket, up to and including the next change.
    fn resume(&mut self, replica: &Replica, bucket: BucketName) {
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

    fn judge(&mut self, replica: &Replica, operation: KeyOperation, ticket: T) {
        let KeyOperation { bucket, action } = operation;
        let known = replica.bucket(&bucket);
        let key = known.and_then(|bucket| bucket.key);
        let outcome = match (action, key, known) {
            (KeyAction::Make(_), Some(_), _) => KeyOutcome::Taken,
            (KeyAction::Make(_), None, None) if self.names.len() >= BUCKETS_MAX => KeyOutcome::Full,
            (KeyAction::Make(bytes), None, known) => {
                let id = known.map_or_else(|| self.number(bucket), |bucket| bucket.id);
                return self.change(
                    BucketState { id, name: bucket, key: Some(ApiKey::from_random(&bytes)) },
                    ticket,
                );
            }
            (KeyAction::Read, Some(key), _) => KeyOutcome::Found(key),
            (KeyAction::Remove, Some(_), Some(known)) => {
                return self.change(BucketState { id: known.id, name: bucket, key: None }, ticket);
            }
            (KeyAction::Read | KeyAction::Remove, ..) => KeyOutcome::Missing,
        };
        self.answers.push_back((ticket, outcome));
    }

    /// A number for a new bucket, which no other ever had.
    fn number(&mut self, name: BucketName) -> BucketId {
        self.names.push(Some(name));
        BucketId::new((self.names.len() - 1) as u32)
    }

    /// Takes the number of a bucket back that was not made: it was never told to anybody.
    fn forget_number(&mut self, id: BucketId) {
        let place = id.as_u32() as usize;
        if place + 1 == self.names.len() {
            self.names.pop();
        } else if let Some(name) = self.names.get_mut(place) {
            *name = None;
        }
    }

    fn change(&mut self, state: BucketState, ticket: T) {
        self.in_flight.push_back(InFlight { stage: Stage::Judged, state, ticket });
        debug_assert!(self.in_flight.len() <= CHANGES_IN_FLIGHT_MAX);
    }

    fn is_changing(&self, bucket: &BucketName) -> bool {
        self.in_flight.iter().any(|change| change.state.name == *bucket)
    }
}
