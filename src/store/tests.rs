//! What the façade promises, case by case. The seeded model is in `model`.

use std::sync::Arc;

use super::*;

pub(super) fn ttl(seconds: u64) -> Ttl {
    Ttl::from_secs(seconds).unwrap()
}

pub(super) fn id(number: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    SessionId::from_random(bytes)
}

pub(super) fn at(millis: u64) -> Moment {
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

#[test]
fn a_session_is_seen_as_it_was_created() {
    let mut store = store();
    let created = store.create(at(5), session(1, b"data")).unwrap();
    assert_eq!((created.id, created.bucket, created.own_ttl), (id(1), CART, None));
    assert_eq!((created.data, created.content_type), (b"data".as_slice(), b"application/json".as_slice()));
    assert_eq!(created.version, Version::first(BootEpoch::FIRST));
    assert_eq!(created.deadline, Deadline::at(at(60_005)));
    let created_debug = format!("{created:?}");
    assert!(!created_debug.contains("100"), "the bytes of the data are not shown: {created_debug}");
    let handle = store.find(at(6), CART, id(1)).unwrap();
    assert_eq!(store.view(handle).data, b"data");
    assert_eq!(store.len(), 1);
}

#[test]
fn another_buckets_id_and_an_unknown_id_are_not_found() {
    let mut store = store();
    store.create(at(0), session(1, b"data")).unwrap();
    assert_eq!(store.find(at(0), BLOG, id(1)), None);
    assert_eq!(store.find(at(0), CART, id(2)), None);
    assert_eq!(store.len(), 1);
}
