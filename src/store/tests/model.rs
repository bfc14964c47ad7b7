//! The store against a naive model: a map that is searched for what is due.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::*;
use crate::store::wheel::tests::assert_consistent;
use crate::types::Tick;

/// A session as the model keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Known {
    bucket: BucketId,
    data: Vec<u8>,
    content_type: Vec<u8>,
    version: Version,
    deadline: Deadline,
    own_ttl: Option<Ttl>,
}

struct Pair {
    seed: u64,
    /// Whether there is too little memory for what the store is told to keep.
    is_small: bool,
    random: Random,
    now: Moment,
    store: Store,
    /// By the number that the id is made of. Due sessions stay until somebody finds out.
    known: BTreeMap<u64, Known>,
    refused: usize,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let is_small = seed.is_multiple_of(4);
        let store = store_in(&pool(if is_small { 2 } else { 1_000 }));
        let random = Random(seed);
        Self { seed, is_small, random, now: at(0), store, known: BTreeMap::new(), refused: 0 }
    }

    fn turn(&mut self) {
        match self.random.below(20) {
            0..6 => self.create(),
            6..9 => self.touch(),
            9..11 => self.peek(),
            11..14 => self.replace(),
            14 => self.remove(),
            15..18 => self.now = self.now.after(self.some_span()),
            _ => self.advance(),
        }
        assert_eq!(self.store.lease.used(), self.store.bytes(), "seed {}", self.seed);
    }

    fn some_number(&mut self) -> u64 {
        self.random.below(400)
    }

    fn some_span(&mut self) -> Millis {
        let longest = [1_000, 5_000, 60_000, 86_400_000, 40_000_000_000][self.random.below(5) as usize];
        // Long spans are rare: they leave nothing to look at.
        let longest = if self.random.below(50) == 0 { longest } else { longest.min(1_500) };
        Millis::new(self.random.below(longest))
    }

    fn some_ttl(&mut self) -> Option<Ttl> {
        let seconds = [0, 0, 1, 2, 30, 300, 86_400, 315_360_000][self.random.below(8) as usize];
        Ttl::from_secs(seconds)
    }

    fn some_data(&mut self) -> Vec<u8> {
        let len = self.random.of_any_size(if self.is_small { 20 } else { 13 });
        vec![self.random.below(256) as u8; len as usize]
    }

    fn some_type(&mut self) -> Vec<u8> {
        let kinds = [b"".to_vec(), b"application/json".to_vec(), vec![0xff; 255]];
        let kind = self.random.below(4) as usize;
        kinds.get(kind).cloned().unwrap_or_else(|| self.random.next().to_string().into_bytes())
    }

    fn some_cow<'d>(&mut self, data: &'d [u8]) -> Cow<'d, [u8]> {
        if self.random.below(2) == 0 {
            return Cow::Borrowed(data);
        }
        let mut owned = Vec::with_capacity(data.len() + 100);
        owned.extend_from_slice(data);
        Cow::Owned(owned)
    }

    /// What the model finds, by the one judgement. What is due is gone once it was looked for.
    fn expected(&mut self, number: u64, bucket: BucketId) -> Option<Known> {
        let known = self.known.get(&number).filter(|known| known.bucket == bucket)?.clone();
        if known.deadline.is_due(self.now) {
            self.known.remove(&number);
            return None;
        }
        Some(known)
    }

    /// Finds `number` in both, compares, and returns the handle if it is there.
    fn find(&mut self, number: u64) -> Option<Handle> {
        let bucket = if self.random.below(20) == 0 { BLOG } else { CART };
        let expected = self.expected(number, bucket);
        let handle = self.store.find_live(self.now, bucket, id(number));
        assert_eq!(handle.map(|handle| known_as(self.store.view(handle))), expected, "seed {}", self.seed);
        handle
    }

    fn create(&mut self) {
        let (number, data, content_type) = (self.some_number(), self.some_data(), self.some_type());
        let own_ttl = self.some_ttl();
        let data_cow = self.some_cow(&data);
        let content_type = &content_type;
        let new = NewSession { id: id(number), bucket: CART, own_ttl, data: data_cow, content_type };
        match self.store.occupant(self.now, id(number)) {
            Found::Live(_) => {
                let known = &self.known[&number];
                return assert!(!known.deadline.is_due(self.now), "seed {}", self.seed);
            }
            Found::Due(handle) => {
                assert!(self.known[&number].deadline.is_due(self.now), "seed {}", self.seed);
                self.known.remove(&number);
                self.store.expire(handle);
            }
            // The wheel may have been faster.
            Found::Missing => {
                let known = self.known.remove(&number);
                assert!(known.is_none_or(|known| known.deadline.is_due(self.now)), "seed {}", self.seed);
            }
        }
        let (before, len) = (self.store.bytes(), self.store.len());
        match self.store.create(self.now, new) {
            Ok(handle) => {
                let view = self.store.view(handle);
                let deadline = Deadline::after(self.now, own_ttl.unwrap_or(ttl(60)));
                assert_eq!((view.data, view.deadline), (data.as_slice(), deadline), "seed {}", self.seed);
                self.known.insert(number, known_as(view));
            }
            Err(Full) => {
                self.refused += 1;
                assert_eq!((self.store.bytes(), self.store.len()), (before, len), "seed {}", self.seed);
            }
        }
    }

    fn touch(&mut self) {
        let number = self.some_number();
        let Some(handle) = self.find(number) else { return };
        self.store.touch_now(self.now, handle);
        let known = self.known.get_mut(&number).unwrap();
        known.deadline = Deadline::after(self.now, known.own_ttl.unwrap_or(ttl(60)));
        assert_eq!(known_as(self.store.view(handle)), *known, "seed {}", self.seed);
    }

    fn peek(&mut self) {
        let number = self.some_number();
        self.find(number);
    }

    fn replace(&mut self) {
        let (number, data, content_type) = (self.some_number(), self.some_data(), self.some_type());
        let Some(handle) = self.find(number) else { return };
        let own_ttl = self.some_ttl();
        let new = Replacement { own_ttl, data: self.some_cow(&data), content_type: &content_type };
        let before = self.store.bytes();
        let known = self.known.get_mut(&number).unwrap();
        let grows = usable_size(data.len()) > usable_size(known.data.len());
        match self.store.replace(self.now, handle, new) {
            Ok(()) => {
                known.own_ttl = own_ttl.or(known.own_ttl);
                known.deadline = Deadline::after(self.now, known.own_ttl.unwrap_or(ttl(60)));
                known.version = known.version.next(BootEpoch::FIRST);
                (known.data, known.content_type) = (data, content_type);
            }
            Err(Full) => {
                assert!(grows, "seed {}", self.seed);
                assert_eq!(self.store.bytes(), before, "seed {}", self.seed);
                self.refused += 1;
            }
        }
        assert_eq!(known_as(self.store.view(handle)), *known, "seed {}", self.seed);
    }

    fn remove(&mut self) {
        let number = self.some_number();
        let Some(handle) = self.find(number) else { return };
        self.store.remove(handle);
        self.known.remove(&number);
        assert_eq!(self.store.find_live(self.now, CART, id(number)), None, "seed {}", self.seed);
    }

    fn advance(&mut self) {
        let budget = self.random.below(40) as usize;
        let before = self.store.len();
        let done = self.store.advance_to(self.now, budget);
        assert!(done.expired <= budget, "seed {}", self.seed);
        assert_eq!(self.store.len(), before - done.expired, "seed {}", self.seed);
        if done.more_due {
            assert_eq!(self.store.len() + done.expired, before);
        } else {
            self.compare();
        }
    }

    /// With the wheel up to date: nothing that is not due is missing, and nothing whose tick
    /// has come is left. Between the two the wheel may know or not.
    fn compare(&mut self) {
        let now = self.now;
        let seed = self.seed;
        self.known.retain(|number, known| {
            let index = self.store.index_of(self.store.hasher.hash(id(*number)), id(*number));
            if !known.deadline.is_due(now) {
                let entry = index.and_then(|index| self.store.entries.get(index));
                let view = entry.map(|entry| known_as(self.store.view_of(entry)));
                assert_eq!(view.as_ref(), Some(&*known), "seed {seed}");
            } else if Tick::when_due(known.deadline) <= Tick::reached_at(now) {
                assert_eq!(index, None, "seed {seed}: due and left over");
            }
            index.is_some()
        });
        assert_eq!(self.store.len(), self.known.len(), "seed {seed}");
        let entries = &self.store.entries;
        let deadline = |index| entries.get(index).unwrap().deadline;
        assert_eq!(assert_consistent(&self.store.wheel, entries, deadline), self.known.len(), "seed {seed}");
        let data = self.known.values().map(|known| usable_size(known.data.len())).sum::<usize>();
        assert_eq!(self.store.data_bytes, data, "seed {seed}");
        let content = self.known.values().map(|known| known.data.len() + known.content_type.len()).sum();
        assert_eq!(self.store.content(), ByteCount::of_len(content), "seed {seed}");
    }

    fn advance_to_the_end(&mut self) {
        while self.store.advance_to(self.now, 7).more_due {}
        self.compare();
    }
}

fn known_as(view: SessionView<'_>) -> Known {
    Known {
        bucket: view.bucket,
        data: view.data.to_vec(),
        content_type: view.content_type.to_vec(),
        version: view.version,
        deadline: view.deadline,
        own_ttl: view.own_ttl,
    }
}

/// What a store takes that has held sessions with Content-Types and holds none now: the
/// spare chunks are kept.
fn emptied_bytes() -> ByteCount {
    let mut store = store();
    store.create(at(0), session(1, b"data")).unwrap();
    let handle = store.find_live(at(0), CART, id(1)).unwrap();
    store.remove(handle);
    store.bytes()
}

#[test]
fn the_store_and_a_searched_map_agree() {
    let (mut created, mut expired, mut refused) = (0, 0, 0);
    for seed in 0..120 {
        let mut pair = Pair::new(seed);
        (0..2_000).for_each(|_| pair.turn());
        pair.advance_to_the_end();
        pair.now = pair.now.after(Ttl::MAX.as_millis()).after(Millis::from_secs(1));
        pair.advance_to_the_end();
        let counters = pair.store.counters();
        assert_eq!(counters.created, counters.removed + counters.expired, "seed {seed}");
        assert_eq!((pair.store.len(), pair.store.bytes()), (0, emptied_bytes()), "seed {seed}");
        assert_eq!(counters.refused_full, pair.refused as u64, "seed {seed}");
        (created, expired) = (created + counters.created, expired + counters.expired);
        refused += pair.refused;
    }
    assert!(created > 20_000 && expired > 5_000 && refused > 100, "{created}, {expired}, {refused}");
}
