//! What the façade promises, case by case; `model` checks the whole against a naive map.

mod model;

use std::borrow::Cow;
use std::sync::Arc;

use super::*;

/// Reproducible numbers (SplitMix64), from a seed that each panic names.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `0 <= number < end`; `end` may be 0 for 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// A number of fewer than `bits` bits; small ones are as likely as large ones.
    pub(super) fn of_any_size(&mut self, bits: u64) -> u64 {
        let end = 1 << self.below(bits);
        self.below(end)
    }
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::from_secs(seconds).unwrap()
}

fn id(number: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    SessionId::from_random(bytes)
}

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

const CART: BucketId = BucketId::new(1);
const BLOG: BucketId = BucketId::new(2);

fn pool(mib: u64) -> Arc<MemoryPool> {
    Arc::new(MemoryPool::new(ByteCount::from_mib(mib)))
}

fn store_in(pool: &Arc<MemoryPool>) -> Store {
    let settings = Settings { ttl: ttl(60), epoch: BootEpoch::FIRST };
    Store::new(settings, IdHasher::with_seed(1), at(0), Lease::new(Arc::clone(pool)))
}

fn store() -> Store {
    store_in(&pool(1_000))
}

fn session(number: u64, data: &[u8]) -> NewSession<'_> {
    let content_type = b"application/json";
    NewSession { id: id(number), bucket: CART, own_ttl: None, data: Cow::Borrowed(data), content_type }
}

fn replacement(data: &[u8]) -> Replacement<'_> {
    Replacement { own_ttl: None, data: Cow::Borrowed(data), content_type: b"application/json" }
}

impl Store {
    /// The session `id` if it lives; a due one is expired, as a shard does.
    pub(super) fn find_live(&mut self, now: Moment, bucket: BucketId, id: SessionId) -> Option<Handle> {
        match self.find(now, bucket, id) {
            Found::Live(handle) => Some(handle),
            Found::Due(handle) => {
                self.expire(handle);
                None
            }
            Found::Missing => None,
        }
    }

    /// Touches a session as a shard does that keeps nothing.
    pub(super) fn touch_now(&mut self, now: Moment, handle: Handle) {
        let deadline = self.deadline_after_touch(now, handle);
        self.touch(handle, deadline);
    }

    pub(super) fn advance_to(&mut self, now: Moment, budget: usize) -> Advance {
        let mut told = 0;
        let advance = self.advance(now, budget, |_| told += 1);
        assert_eq!(told, advance.expired);
        advance
    }

    fn create_and_view(&mut self, now: Moment, new: NewSession<'_>) -> SessionView<'_> {
        let handle = self.create(now, new).unwrap();
        self.view(handle)
    }
}

/// A store with one session, created at 0 with a TTL of its own if `seconds` are given.
fn store_with_one(seconds: Option<u64>) -> Store {
    let mut store = store();
    store.create(at(0), NewSession { own_ttl: seconds.map(ttl), ..session(1, b"data") }).unwrap();
    store
}

#[test]
fn a_session_is_seen_as_it_was_created() {
    let mut store = store();
    let created = store.create_and_view(at(5), session(1, b"data"));
    assert_eq!((created.id, created.bucket, created.own_ttl), (id(1), CART, None));
    assert_eq!((created.data, created.content_type), (b"data".as_slice(), b"application/json".as_slice()));
    assert_eq!(created.version, Version::first(BootEpoch::FIRST));
    assert_eq!(created.deadline, Deadline::at(at(60_005)));
    let handle = store.find_live(at(6), CART, id(1)).unwrap();
    assert_eq!(store.view(handle).data, b"data");
    assert_eq!(store.len(), 1);
}

#[test]
fn a_log_line_never_shows_a_sessions_data() {
    let mut store = store();
    let created = store.create_and_view(at(5), session(1, b"secret"));
    let line = format!("{created:?}");
    assert!(line.contains("data_len: 6") && !line.contains("115, 101"), "{line}");
}

#[test]
fn another_buckets_id_and_an_unknown_id_are_not_found() {
    let mut store = store_with_one(None);
    assert_eq!(store.find_live(at(0), BLOG, id(1)), None);
    assert_eq!(store.find_live(at(0), CART, id(2)), None);
    assert_eq!(store.len(), 1);
}

#[test]
fn an_id_is_in_use_across_buckets_and_a_due_session_is_told_from_a_live_one() {
    let mut store = store_with_one(None);
    let handle = store.find_live(at(0), CART, id(1)).unwrap();
    assert_eq!(store.occupant(at(59_999), id(1)), Found::Live(handle));
    assert_eq!(store.occupant(at(60_000), id(1)), Found::Due(handle));
    assert_eq!(store.find(at(60_000), CART, id(1)), Found::Due(handle));
    assert_eq!((store.find(at(0), BLOG, id(1)), store.len()), (Found::Missing, 1), "looking changes nothing");
    store.expire(handle);
    assert_eq!((store.occupant(at(60_000), id(1)), store.counters().expired), (Found::Missing, 1));
}

#[test]
fn a_session_is_there_until_its_deadline_and_gone_from_it_on() {
    let mut store = store_with_one(None);
    assert!(store.find_live(at(59_999), CART, id(1)).is_some());
    assert_eq!(store.find_live(at(60_000), CART, id(1)), None);
    assert_eq!((store.len(), store.counters().expired), (0, 1));
    assert_eq!(store.advance_to(at(61_000), 10), Advance { expired: 0, more_due: false });
}

#[test]
fn a_session_touched_before_its_deadline_lives_on() {
    let mut store = store_with_one(None);
    let handle = store.find_live(at(59_000), CART, id(1)).unwrap();
    store.touch_now(at(59_000), handle);
    assert_eq!(store.advance_to(at(118_999), 10).expired, 0);
    assert!(store.find_live(at(118_999), CART, id(1)).is_some());
    assert_eq!(store.advance_to(at(119_000), 10).expired, 1);
    assert_eq!((store.len(), store.counters().touched), (0, 1));
}

#[test]
fn touches_extend_by_the_sessions_own_ttl_or_else_the_stores() {
    for (own, span) in [(Some(5), 5_000), (None, 60_000), (Some(315_360_000), 315_360_000_000)] {
        let mut store = store_with_one(own);
        let handle = store.find_live(at(1_234), CART, id(1)).unwrap();
        store.touch_now(at(1_234), handle);
        assert_eq!(store.view(handle).deadline, Deadline::at(at(1_234 + span)));
    }
}

#[test]
fn a_shorter_ttl_counts_from_its_replacement_on() {
    let mut store = store_with_one(Some(86_400));
    let handle = store.find_live(at(10), CART, id(1)).unwrap();
    let shorter = Replacement { own_ttl: Some(ttl(2)), ..replacement(b"new") };
    store.replace(at(10), handle, shorter).unwrap();
    assert_eq!(store.view(handle).own_ttl, Some(ttl(2)));
    assert_eq!(store.advance_to(at(2_009), 10).expired, 0);
    assert_eq!(store.advance_to(at(3_000), 10).expired, 1, "the wheel has it at the earlier tick");
}

#[test]
fn ttls_of_a_second_and_of_ten_years_are_exact() {
    for (seconds, now) in [(1, 1_000), (315_360_000, 315_360_000_000)] {
        let mut store = store_with_one(Some(seconds));
        assert_eq!(store.advance_to(at(now - 1), 100), Advance::default(), "{seconds}");
        assert!(store.find_live(at(now - 1), CART, id(1)).is_some(), "{seconds}");
        assert_eq!(store.advance_to(at(now), 100).expired, 1, "{seconds}");
    }
}

#[test]
fn a_replacement_changes_data_type_and_version_and_keeps_the_ttl() {
    let mut store = store_with_one(Some(7));
    let handle = store.find_live(at(100), CART, id(1)).unwrap();
    let first = store.view(handle).version;
    let new = Replacement { content_type: b"text/plain", ..replacement(b"longer than before") };
    store.replace(at(100), handle, new).unwrap();
    let view = store.view(handle);
    assert_eq!((view.data, view.content_type), (b"longer than before".as_slice(), b"text/plain".as_slice()));
    assert_eq!((view.version, view.own_ttl), (first.next(BootEpoch::FIRST), Some(ttl(7))));
    assert_eq!(view.deadline, Deadline::at(at(7_100)));
    assert_eq!(store.counters().replaced, 1);
}

#[test]
fn a_session_may_be_empty_before_and_after() {
    let mut store = store();
    store.create(at(0), NewSession { content_type: b"", ..session(1, b"") }).unwrap();
    let handle = store.find_live(at(0), CART, id(1)).unwrap();
    store.replace(at(0), handle, replacement(b"x")).unwrap();
    store.replace(at(0), handle, Replacement { content_type: b"", ..replacement(b"") }).unwrap();
    let view = store.view(handle);
    assert_eq!((view.data, view.content_type), (b"".as_slice(), b"".as_slice()));
}

#[test]
fn owned_data_is_moved_and_not_copied() {
    let mut store = store();
    let data = vec![7; 5_000];
    let address = data.as_ptr();
    let view = store.create_and_view(at(0), NewSession { data: Cow::Owned(data), ..session(1, b"") });
    assert_eq!((view.data.as_ptr(), view.data.len()), (address, 5_000));
    let data = vec![8; 6_000];
    let address = data.as_ptr();
    let handle = store.find_live(at(0), CART, id(1)).unwrap();
    store.replace(at(0), handle, Replacement { data: Cow::Owned(data), ..replacement(b"") }).unwrap();
    assert_eq!(store.view(handle).data.as_ptr(), address);
}

#[test]
fn a_removed_session_is_gone_at_once_and_for_good() {
    let mut store = store_with_one(None);
    let handle = store.find_live(at(0), CART, id(1)).unwrap();
    store.remove(handle);
    assert_eq!((store.find_live(at(0), CART, id(1)), store.len()), (None, 0));
    assert_eq!(store.advance_to(at(100_000), 10), Advance::default());
    assert_eq!(store.counters().removed, 1);
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "a handle is used while its session is there"))]
fn a_handle_without_its_session_shows_and_changes_nothing() {
    let mut store = store_with_one(None);
    let stale = store.find_live(at(0), CART, id(1)).unwrap();
    store.remove(stale);
    store.remove(stale);
    store.touch_now(at(1), stale);
    assert_eq!(store.replace(at(1), stale, replacement(b"other")), Ok(()));
    assert_eq!(store.view(stale), SessionView::of_nothing());
    assert!(store.is_empty());
}

#[test]
fn a_stamp_stays_with_its_session_until_another_is_noted() {
    let mut store = store_with_one(None);
    let handle = store.find_live(at(0), CART, id(1)).unwrap();
    assert_eq!(store.view(handle).stamp, Stamp::default());
    store.stamp(handle, Stamp([1, 2, 3]));
    store.touch_now(at(1), handle);
    store.replace(at(2), handle, replacement(b"other")).unwrap();
    assert_eq!(store.view(handle).stamp, Stamp([1, 2, 3]));
    store.remove(handle);
    store.create(at(3), session(2, b"data")).unwrap();
    let next = store.find_live(at(3), CART, id(2)).unwrap();
    assert_eq!(store.view(next).stamp, Stamp::default(), "the next in its place has none");
}

#[test]
fn a_restored_session_is_as_it_was_whatever_the_memory_limit() {
    let pool = pool(1);
    let mut store = store_in(&pool);
    pool.set_full(true);
    let data = vec![5; 3_000_000];
    let version = Version::first(BootEpoch::FIRST).next(BootEpoch::FIRST);
    let restored = RestoredSession {
        id: id(7),
        bucket: CART,
        data: &data,
        content_type: b"text/x",
        version,
        deadline: Deadline::at(at(5_000)),
        own_ttl: Some(ttl(9)),
        stamp: Stamp([4, 5, 6]),
    };
    store.restore(restored);
    let handle = store.find_live(at(0), CART, id(7)).unwrap();
    let view = store.view(handle);
    assert_eq!((view.data, view.content_type), (data.as_slice(), b"text/x".as_slice()));
    assert_eq!((view.version, view.deadline), (version, Deadline::at(at(5_000))));
    assert_eq!((view.own_ttl, view.stamp), (Some(ttl(9)), Stamp([4, 5, 6])));
    assert!(pool.taken() > pool.max());
    assert_eq!((store.counters().restored, store.counters().created), (1, 0));
    assert_eq!(store.advance_to(at(5_000), 10).expired, 1);
}

#[test]
fn a_walk_passes_by_whoever_stays_once_while_others_come_and_go() {
    let mut store = store();
    for number in 0..3_000 {
        store.create(at(0), session(number, b"data")).unwrap();
    }
    let (mut walk, mut seen) = (Walk::default(), Vec::new());
    for turn in 0.. {
        let mut budget = 100;
        let step = loop {
            match store.walk(&mut walk, &mut budget) {
                Step::At(handle) => seen.push(store.view(handle).id),
                step => break step,
            }
        };
        if step == Step::End {
            break;
        }
        assert_eq!(budget, 0);
        // Sessions go before and behind the walk, and others take their places.
        for number in [turn, 2_999 - turn] {
            let handle = store.find_live(at(0), CART, id(number)).unwrap();
            store.remove(handle);
        }
        store.create(at(0), session(10_000 + turn, b"data")).unwrap();
    }
    let turns = (seen.len() / 100) as u64;
    assert!(turns >= 29, "{turns}");
    for number in turns + 1..3_000 - turns - 1 {
        assert_eq!(seen.iter().filter(|seen| **seen == id(number)).count(), 1, "{number}");
    }
}

#[test]
fn a_turn_looks_at_no_more_than_its_budget() {
    let mut store = store();
    for number in 0..1_000 {
        store.create(at(0), session(number, b"data")).unwrap();
    }
    assert_eq!(store.advance_to(at(60_000), 0), Advance { expired: 0, more_due: true });
    for turn in 1..=3 {
        assert_eq!(store.advance_to(at(60_000), 300), Advance { expired: 300, more_due: true });
        assert_eq!(store.len(), 1_000 - 300 * turn);
    }
    assert_eq!(store.lag(at(60_500)), Millis::new(500));
    assert_eq!(store.advance_to(at(60_500), 300), Advance { expired: 100, more_due: false });
    assert_eq!(store.lag(at(70_000)), Millis::ZERO);
}

#[test]
fn entries_filed_again_count_against_the_budget() {
    let mut store = store();
    for number in 0..100 {
        store.create(at(0), session(number, b"data")).unwrap();
        let handle = store.find_live(at(30_000), CART, id(number)).unwrap();
        store.touch_now(at(30_000), handle);
    }
    assert_eq!(store.advance_to(at(60_000), 99), Advance { expired: 0, more_due: true });
    assert_eq!(store.advance_to(at(60_000), 99), Advance { expired: 0, more_due: false });
    assert_eq!(store.advance_to(at(90_000), 100), Advance { expired: 100, more_due: false });
}

#[test]
fn sessions_removed_while_a_slot_is_half_drained_do_not_disturb_the_others() {
    let mut store = store();
    for number in 0..50 {
        store.create(at(0), session(number, b"data")).unwrap();
    }
    assert!(store.advance_to(at(60_000), 10).more_due);
    // The due ones can only be found due; those created meanwhile can be removed.
    for number in 0..10 {
        assert_eq!(store.find_live(at(60_000), CART, id(number)), None);
    }
    store.create(at(60_000), session(100, b"data")).unwrap();
    store.create(at(60_000), session(101, b"data")).unwrap();
    let handle = store.find_live(at(60_000), CART, id(100)).unwrap();
    store.remove(handle);
    while store.advance_to(at(60_000), 3).more_due {}
    assert_eq!(store.len(), 1);
    assert!(store.find_live(at(60_000), CART, id(101)).is_some());
}

#[test]
fn a_creation_without_memory_is_refused_and_changes_nothing() {
    let pool = pool(4);
    let mut store = store_in(&pool);
    let data = vec![1; 100_000];
    let mut number = 0;
    while store.create(at(0), session(number, &data)).is_ok() {
        number += 1;
    }
    let (bytes, len, taken) = (store.bytes(), store.len(), pool.taken());
    assert!(number > 30 && taken <= pool.max());
    let refused = NewSession { content_type: b"text/html", ..session(999, &data) };
    assert_eq!(store.create(at(0), refused), Err(Full));
    assert_eq!((store.bytes(), store.len(), pool.taken()), (bytes, len, taken));
    assert_eq!(store.find_live(at(0), CART, id(999)), None);
    assert_eq!(store.counters().refused_full, 2);
    let handle = store.find_live(at(0), CART, id(0)).unwrap();
    store.remove(handle);
    assert!(store.create(at(0), session(999, &data)).is_ok());
}

#[test]
fn growth_without_memory_is_refused_and_shrinking_never_is() {
    let pool = pool(1_000);
    let mut store = store_in(&pool);
    store.create(at(0), session(1, &[1; 1_000])).unwrap();
    let handle = store.find_live(at(0), CART, id(1)).unwrap();
    pool.set_full(true);
    let before = store.bytes();
    assert_eq!(store.replace(at(9), handle, replacement(&[2; 1_025])), Err(Full));
    let view = store.view(handle);
    assert_eq!((view.data, view.version), ([1; 1_000].as_slice(), Version::first(BootEpoch::FIRST)));
    assert_eq!((view.deadline, store.bytes()), (Deadline::at(at(60_000)), before));
    for len in [1_000, 1_024, 500, 0] {
        let new = Replacement { content_type: b"text/html", ..replacement(&[3; 1_024][..len]) };
        assert_eq!(store.replace(at(9), handle, new), Ok(()), "{len}");
    }
    store.touch_now(at(10), handle);
    store.remove(handle);
    assert_eq!(store.create(at(0), session(2, b"")), Err(Full));
}

#[test]
fn stores_over_one_pool_share_it_and_give_it_back() {
    let pool = pool(16);
    let mut stores: Vec<Store> = (0..4).map(|_| store_in(&pool)).collect();
    let data = vec![1; 10_000];
    let mut number = 0;
    while stores[0].create(at(0), session(number, &data)).is_ok() {
        number += 1;
    }
    assert!(stores[0].bytes() > ByteCount::from_mib(12), "{}", stores[0].bytes());
    assert!(pool.taken() <= pool.max());
    assert_eq!(stores[1].create(at(0), session(1, &vec![1; 2_000_000])), Err(Full));
    while stores[0].advance_to(at(61_000), 256).more_due {}
    assert!(stores[1].create(at(0), session(1, &vec![1; 2_000_000])).is_ok());
    drop(stores);
    assert_eq!(pool.taken(), ByteCount::ZERO);
}

#[test]
fn a_session_costs_at_most_112_bytes_over_its_data() {
    let mut store = store();
    let base = store.bytes().as_u64();
    for number in 0..110_000_u64 {
        store.create(at(0), session(number, &[])).unwrap();
        let len = number + 1;
        if len.is_multiple_of(10_000) {
            let each = (store.bytes().as_u64() - base).div_ceil(len);
            assert!(each <= 112, "{each} at {len}");
        }
    }
}
#[test]
fn a_look_at_sessions_changes_nothing_whoever_is_looked_at() {
    let mut store = store();
    let datas: Vec<Vec<u8>> = [0, 1, 64, 5_000].map(|len| vec![b'd'; len]).to_vec();
    for (number, data) in datas.iter().enumerate() {
        store.create(at(0), session(number as u64, data)).unwrap();
    }
    let (bytes, counters) = (store.bytes(), store.counters());
    // Some are there, most are not, and there are more than are looked at.
    let ids: Vec<SessionId> = (0..2 * FORESEEN_MAX as u64).map(id).collect();
    for count in 0..=ids.len() {
        store.foresee(&ids[..count]);
    }
    assert_eq!((store.bytes(), store.counters()), (bytes, counters));
    for (number, data) in datas.iter().enumerate() {
        let handle = store.find_live(at(59_999), CART, id(number as u64)).unwrap();
        assert_eq!((store.view(handle).data, store.view(handle).deadline.moment()), (&data[..], at(60_000)));
    }
}
