//! What a shard promises, operation by operation: existence first, then preconditions, then
//! the act; and that a refusal leaves everything as it was.

mod clocks;
mod failing;
mod kept;
mod length;
mod life;

use std::borrow::Cow;
use std::sync::Arc;

use super::*;
use crate::store::{IdHasher, Lease, MemoryPool, SessionView, Settings};
use crate::types::{BootEpoch, BucketId, SessionId, Ttl, Version};

const CART: BucketId = BucketId::new(1);
const SHOP: BucketId = BucketId::new(2);
/// The TTL of sessions without their own, in milliseconds.
const TTL_MILLIS: u64 = 60_000;

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::from_secs(seconds).unwrap()
}

fn id(number: u8) -> SessionId {
    SessionId::from_random([number; 16])
}

fn version(number: u64) -> Version {
    Version::parse(number.to_string().as_bytes()).unwrap()
}

fn shard_in(pool: &Arc<MemoryPool>) -> Shard {
    let settings = Settings { ttl: ttl(TTL_MILLIS / 1000), epoch: BootEpoch::FIRST };
    Shard::new(Store::new(settings, IdHasher::with_seed(1), at(0), Lease::new(Arc::clone(pool))))
}

fn shard() -> Shard {
    shard_in(&Arc::new(MemoryPool::new(ByteCount::from_mib(64))))
}

fn data(bytes: &[u8]) -> Data<'_> {
    Data { bytes: Cow::Borrowed(bytes), content_type: b"text/x" }
}

fn create(bytes: &[u8], own_ttl: Option<Ttl>) -> Action<'_> {
    Action::Create { own_ttl, data: data(bytes) }
}

fn update<'a>(bytes: &'a [u8], own_ttl: Option<Ttl>, conditions: &'a Conditions) -> Action<'a> {
    Action::Update { own_ttl, data: data(bytes), conditions }
}

/// An outcome without the borrow, for comparisons.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Created(Session),
    Found(Session),
    Unchanged(Session),
    Updated(Session),
    Deleted,
    Refused(Refusal),
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Session {
    bytes: Vec<u8>,
    content_type: Vec<u8>,
    version: u64,
    deadline_millis: u64,
}

fn session(bytes: &[u8], version: u64, deadline_millis: u64) -> Session {
    Session { bytes: bytes.to_vec(), content_type: b"text/x".to_vec(), version, deadline_millis }
}

fn seen(outcome: Outcome<'_>) -> Seen {
    let session = |view: SessionView<'_>| Session {
        bytes: view.data.to_vec(),
        content_type: view.content_type.to_vec(),
        version: view.version.as_u64(),
        deadline_millis: view.deadline.moment().as_millis(),
    };
    match outcome {
        Outcome::Created(view) => Seen::Created(session(view)),
        Outcome::Found(view) => Seen::Found(session(view)),
        Outcome::Unchanged(view) => Seen::Unchanged(session(view)),
        Outcome::Updated(view) => Seen::Updated(session(view)),
        Outcome::Deleted => Seen::Deleted,
        Outcome::Refused(refusal) => Seen::Refused(refusal),
    }
}

/// Applies an action of bucket `CART` to session 1.
fn apply(shard: &mut Shard, millis: u64, action: Action<'_>) -> Seen {
    seen(shard.apply(at(millis), Operation { bucket: CART, id: id(1), action }).outcome)
}

/// Looks at session 1 without touching it.
fn peek(shard: &mut Shard, millis: u64) -> Seen {
    apply(shard, millis, Action::Read { touch: false, conditions: &Conditions::default() })
}

/// A shard whose session 1 was created at 0 and is at version 2 since 1,000.
fn shard_at_version_2() -> Shard {
    let mut shard = shard();
    assert_eq!(apply(&mut shard, 0, create(b"old", None)), Seen::Created(session(b"old", 1, TTL_MILLIS)));
    let updated = apply(&mut shard, 1_000, update(b"data", None, &Conditions::default()));
    assert_eq!(updated, Seen::Updated(session(b"data", 2, 1_000 + TTL_MILLIS)));
    shard
}

/// What a set of versions says of version 2, with and without a match.
fn sets() -> Vec<(Option<VersionSet>, bool)> {
    vec![
        (None, false),
        (Some(VersionSet::Any), true),
        (Some(VersionSet::One(version(2))), true),
        (Some(VersionSet::One(version(1))), false),
        (Some(VersionSet::Listed(vec![])), false),
        (Some(VersionSet::Listed(vec![version(1), version(3)])), false),
        (Some(VersionSet::Listed(vec![version(1), version(2)])), true),
    ]
}

/// Every pair of conditions, with whether If-Match holds of version 2 and If-None-Match hits it.
fn conditions() -> Vec<(Conditions, bool, bool)> {
    let mut table = Vec::new();
    for (if_match, holds) in sets() {
        for (if_none_match, hits) in sets() {
            let holds = if_match.is_none() || holds;
            table.push((Conditions { if_match: if_match.clone(), if_none_match }, holds, hits));
        }
    }
    table
}

const REFUSED_AT_2: fn() -> Seen = || Seen::Refused(Refusal::PreconditionFailed(version(2)));

#[test]
fn a_read_under_every_condition_shows_spares_or_refuses() {
    for (conditions, holds, hits) in conditions() {
        let mut shard = shard_at_version_2();
        let touched = session(b"data", 2, 5_000 + TTL_MILLIS);
        let expected = match (holds, hits) {
            (false, _) => REFUSED_AT_2(),
            (true, true) => Seen::Unchanged(touched.clone()),
            (true, false) => Seen::Found(touched.clone()),
        };
        let action = Action::Read { touch: true, conditions: &conditions };
        assert_eq!(apply(&mut shard, 5_000, action), expected, "{conditions:?}");
        let left = if holds { touched } else { session(b"data", 2, 1_000 + TTL_MILLIS) };
        assert_eq!(peek(&mut shard, 5_000), Seen::Found(left), "{conditions:?}");
    }
}

#[test]
fn a_peek_under_every_condition_extends_nothing() {
    for (conditions, holds, hits) in conditions() {
        let mut shard = shard_at_version_2();
        let kept = session(b"data", 2, 1_000 + TTL_MILLIS);
        let expected = match (holds, hits) {
            (false, _) => REFUSED_AT_2(),
            (true, true) => Seen::Unchanged(kept.clone()),
            (true, false) => Seen::Found(kept.clone()),
        };
        let action = Action::Read { touch: false, conditions: &conditions };
        assert_eq!(apply(&mut shard, 5_000, action), expected, "{conditions:?}");
        assert_eq!(peek(&mut shard, 5_000), Seen::Found(kept), "{conditions:?}");
    }
}

#[test]
fn an_update_under_every_condition_is_done_whole_or_not_at_all() {
    for (conditions, holds, hits) in conditions() {
        let mut shard = shard_at_version_2();
        let is_done = holds && !hits;
        let after = match is_done {
            true => session(b"new", 3, 5_000 + TTL_MILLIS),
            false => session(b"data", 2, 1_000 + TTL_MILLIS),
        };
        let expected = if is_done { Seen::Updated(after.clone()) } else { REFUSED_AT_2() };
        let own_ttl = if is_done { None } else { Some(ttl(7)) };
        let updated = apply(&mut shard, 5_000, update(b"new", own_ttl, &conditions));
        assert_eq!(updated, expected, "{conditions:?}");
        assert_eq!(peek(&mut shard, 5_000), Seen::Found(after), "{conditions:?}");
    }
}

#[test]
fn a_delete_under_every_condition_removes_or_leaves_alone() {
    for (conditions, holds, hits) in conditions() {
        let mut shard = shard_at_version_2();
        let is_done = holds && !hits;
        let expected = if is_done { Seen::Deleted } else { REFUSED_AT_2() };
        let action = Action::Delete { conditions: &conditions };
        assert_eq!(apply(&mut shard, 5_000, action), expected, "{conditions:?}");
        let after = match is_done {
            true => Seen::Refused(Refusal::Missing),
            false => Seen::Found(session(b"data", 2, 1_000 + TTL_MILLIS)),
        };
        assert_eq!(peek(&mut shard, 5_000), after, "{conditions:?}");
        assert_eq!(shard.len(), usize::from(!is_done));
    }
}

/// Each way in which session 1 is missing to bucket `CART` at 70,000.
fn missing_shards() -> Vec<(&'static str, Shard)> {
    let deleted = {
        let mut shard = shard_at_version_2();
        let conditions = Conditions::default();
        assert_eq!(apply(&mut shard, 1_000, Action::Delete { conditions: &conditions }), Seen::Deleted);
        shard
    };
    let elsewhere = {
        let mut shard = shard();
        let operation = Operation { bucket: SHOP, id: id(1), action: create(b"theirs", Some(ttl(1_000))) };
        assert!(matches!(shard.apply(at(0), operation).outcome, Outcome::Created(_)));
        shard
    };
    vec![
        ("never made", shard()),
        ("deleted", deleted),
        ("expired", shard_at_version_2()),
        ("another bucket's", elsewhere),
    ]
}

#[test]
fn existence_is_judged_before_every_condition() {
    for (conditions, ..) in conditions() {
        for (why, mut shard) in missing_shards() {
            let actions = [
                Action::Read { touch: true, conditions: &conditions },
                Action::Read { touch: false, conditions: &conditions },
                update(b"new", None, &conditions),
                Action::Delete { conditions: &conditions },
            ];
            for action in actions {
                let outcome = apply(&mut shard, 70_000, action.clone());
                assert_eq!(outcome, Seen::Refused(Refusal::Missing), "{why}: {action:?}");
            }
        }
    }
}

#[test]
fn another_buckets_session_is_neither_touched_nor_changed_nor_removed() {
    let mut shard = shard_at_version_2();
    let none = Conditions::default();
    let actions = [
        Action::Read { touch: true, conditions: &none },
        update(b"theirs", None, &none),
        Action::Delete { conditions: &none },
    ];
    for action in actions {
        let operation = Operation { bucket: SHOP, id: id(1), action };
        assert_eq!(seen(shard.apply(at(9_000), operation).outcome), Seen::Refused(Refusal::Missing));
    }
    assert_eq!(peek(&mut shard, 9_000), Seen::Found(session(b"data", 2, 1_000 + TTL_MILLIS)));
}

#[test]
fn a_session_is_there_until_the_millisecond_of_its_deadline() {
    let none = Conditions::default();
    let mut deadline = TTL_MILLIS;
    let mut shard = shard();
    apply(&mut shard, 0, create(b"data", None));
    for _ in 0..3 {
        let touched = apply(&mut shard, deadline - 1, Action::Read { touch: true, conditions: &none });
        deadline = deadline - 1 + TTL_MILLIS;
        assert_eq!(touched, Seen::Found(session(b"data", 1, deadline)));
    }
    assert!(matches!(peek(&mut shard, deadline - 1), Seen::Found(_)));
    assert_eq!(peek(&mut shard, deadline), Seen::Refused(Refusal::Missing));
    assert_eq!(apply(&mut shard, deadline, update(b"late", None, &none)), Seen::Refused(Refusal::Missing));
}

#[test]
fn a_due_session_is_gone_whether_or_not_the_wheel_has_come_by() {
    for wheel_comes in [false, true] {
        let mut shard = shard();
        apply(&mut shard, 0, create(b"data", Some(ttl(2))));
        assert_eq!(shard.advance(at(1_999), 100), Advanced { expired: 0, more_due: false });
        if wheel_comes {
            assert_eq!(shard.advance(at(2_000), 100).expired, 1);
            assert!(shard.is_empty());
        }
        assert_eq!(peek(&mut shard, 2_000), Seen::Refused(Refusal::Missing));
        assert!(shard.is_empty());
    }
}

#[test]
fn expiry_is_done_in_pieces_as_large_as_the_budget() {
    let mut shard = shard();
    for number in 0..10 {
        let operation = Operation { bucket: CART, id: id(number), action: create(b"data", Some(ttl(1))) };
        assert!(matches!(shard.apply(at(0), operation).outcome, Outcome::Created(_)));
    }
    let mut expired = Vec::new();
    loop {
        let advanced = shard.advance(at(60_000), 4);
        assert!(advanced.expired <= 4);
        expired.push(advanced.expired);
        if !advanced.more_due {
            break;
        }
    }
    assert_eq!(expired.iter().sum::<usize>(), 10, "{expired:?}");
    assert_eq!((shard.len(), shard.lag(at(60_000))), (0, Millis::ZERO));
}

#[test]
fn a_ttl_of_its_own_stays_until_it_is_replaced() {
    let none = Conditions::default();
    let read = Action::Read { touch: true, conditions: &none };
    let mut shard = shard();
    let steps = [
        (0, create(b"a", Some(ttl(5))), Seen::Created(session(b"a", 1, 5_000))),
        (1_000, read.clone(), Seen::Found(session(b"a", 1, 6_000))),
        (2_000, update(b"b", None, &none), Seen::Updated(session(b"b", 2, 7_000))),
        (3_000, update(b"c", Some(ttl(90)), &none), Seen::Updated(session(b"c", 3, 93_000))),
        (80_000, read.clone(), Seen::Found(session(b"c", 3, 170_000))),
        (81_000, update(b"d", Some(ttl(1)), &none), Seen::Updated(session(b"d", 4, 82_000))),
        (81_500, read, Seen::Found(session(b"d", 4, 82_500))),
    ];
    for (millis, action, expected) in steps {
        assert_eq!(apply(&mut shard, millis, action), expected, "at {millis}");
    }
    assert_eq!(peek(&mut shard, 82_500), Seen::Refused(Refusal::Missing));
}

#[test]
fn an_id_in_use_is_refused_to_every_bucket_until_its_session_is_due() {
    let mut shard = shard();
    apply(&mut shard, 0, create(b"mine", Some(ttl(2))));
    for bucket in [CART, SHOP] {
        let operation = Operation { bucket, id: id(1), action: create(b"again", None) };
        assert_eq!(seen(shard.apply(at(1_999), operation).outcome), Seen::Refused(Refusal::Exists));
    }
    assert_eq!(peek(&mut shard, 1_999), Seen::Found(session(b"mine", 1, 2_000)));
    let created = apply(&mut shard, 2_000, create(b"next", None));
    assert_eq!(created, Seen::Created(session(b"next", 1, 2_000 + TTL_MILLIS)));
    assert_eq!(shard.len(), 1);
}

#[test]
fn an_update_gives_the_data_and_its_type_together() {
    let mut shard = shard_at_version_2();
    let none = Conditions::default();
    let untyped = Data { bytes: Cow::Owned(vec![0, 255, 10]), content_type: b"" };
    let action = Action::Update { own_ttl: None, data: untyped, conditions: &none };
    let updated = Session { content_type: vec![], ..session(&[0, 255, 10], 3, 2_000 + TTL_MILLIS) };
    assert_eq!(apply(&mut shard, 2_000, action), Seen::Updated(updated.clone()));
    assert_eq!(peek(&mut shard, 2_000), Seen::Found(updated));
    assert!(matches!(apply(&mut shard, 3_000, update(b"", None, &none)), Seen::Updated(_)));
    assert_eq!(peek(&mut shard, 3_000), Seen::Found(session(b"", 4, 3_000 + TTL_MILLIS)));
}

#[test]
fn a_full_shard_refuses_new_data_and_keeps_everything_it_has() {
    let pool = Arc::new(MemoryPool::new(ByteCount::from_mib(64)));
    let mut shard = shard_in(&pool);
    apply(&mut shard, 0, create(b"data", None));
    let (before, none) = (shard.bytes(), Conditions::default());
    pool.set_full(true);
    let second = Operation { bucket: CART, id: id(2), action: create(b"more", None) };
    assert_eq!(seen(shard.apply(at(1_000), second).outcome), Seen::Refused(Refusal::Full));
    let larger = apply(&mut shard, 1_000, update(&[7; 100_000], Some(ttl(5)), &none));
    assert_eq!(larger, Seen::Refused(Refusal::Full));
    assert_eq!(peek(&mut shard, 1_000), Seen::Found(session(b"data", 1, TTL_MILLIS)));
    assert_eq!((shard.len(), shard.bytes()), (1, before));
    let same_size = apply(&mut shard, 2_000, update(b"atad", None, &none));
    assert_eq!(same_size, Seen::Updated(session(b"atad", 2, 2_000 + TTL_MILLIS)));
    assert!(matches!(
        apply(&mut shard, 3_000, Action::Read { touch: true, conditions: &none }),
        Seen::Found(_)
    ));
    assert_eq!(apply(&mut shard, 4_000, Action::Delete { conditions: &none }), Seen::Deleted);
}

#[test]
fn preconditions_are_judged_before_room_is_looked_for() {
    let pool = Arc::new(MemoryPool::new(ByteCount::from_mib(64)));
    let mut shard = shard_in(&pool);
    apply(&mut shard, 0, create(b"data", None));
    pool.set_full(true);
    let stale = Conditions { if_match: Some(VersionSet::One(version(9))), if_none_match: None };
    let refused = apply(&mut shard, 1_000, update(&[7; 100_000], None, &stale));
    assert_eq!(refused, Seen::Refused(Refusal::PreconditionFailed(version(1))));
}

#[test]
fn what_a_session_took_comes_back_when_it_goes() {
    let mut shard = shard();
    apply(&mut shard, 0, create(&[1; 50_000], None));
    let held = shard.bytes();
    let none = Conditions::default();
    assert_eq!(apply(&mut shard, 1, Action::Delete { conditions: &none }), Seen::Deleted);
    assert!(held.saturating_sub(shard.bytes()) >= ByteCount::new(50_000));
    assert_eq!(apply(&mut shard, 2, Action::Delete { conditions: &none }), Seen::Refused(Refusal::Missing));
}
