//! The authority and replicas together: who is answered when, and which key opens what.

use super::*;

fn name(text: &str) -> BucketName {
    BucketName::parse(text.as_bytes()).unwrap()
}

fn replica() -> Replica {
    Replica::new(&[9; 32])
}

fn make(bucket: &str, byte: u8) -> KeyOperation {
    KeyOperation { bucket: name(bucket), action: KeyAction::Make([byte; 32]) }
}

fn read(bucket: &str) -> KeyOperation {
    KeyOperation { bucket: name(bucket), action: KeyAction::Read }
}

fn remove(bucket: &str) -> KeyOperation {
    KeyOperation { bucket: name(bucket), action: KeyAction::Remove }
}

fn key(byte: u8) -> ApiKey {
    ApiKey::from_random(&[byte; 32])
}

/// Everything that is to be kept is, at once.
fn keep_all(authority: &mut Authority<u32>, replica: &mut Replica) {
    while authority.poll_record().is_some() {
        authority.record_kept(replica);
    }
}

fn receive(authority: &mut Authority<u32>, replica: &mut Replica, operation: KeyOperation, ticket: u32) {
    authority.receive(replica, operation, ticket);
    keep_all(authority, replica);
}

fn acknowledge(authority: &mut Authority<u32>, replica: &mut Replica, version: RegistryVersion) {
    authority.acknowledge(replica, version);
    keep_all(authority, replica);
}

fn answers(authority: &mut Authority<u32>) -> Vec<(u32, KeyOutcome)> {
    std::iter::from_fn(|| authority.poll_answer()).collect()
}

fn changes(authority: &mut Authority<u32>) -> Vec<Change> {
    std::iter::from_fn(|| authority.poll_change()).collect()
}

#[test]
fn one_core_answers_at_once() {
    let (mut authority, mut replica) = (Authority::new(0), replica());
    let script = [
        (read("cart"), KeyOutcome::Missing),
        (remove("cart"), KeyOutcome::Missing),
        (make("cart", 1), KeyOutcome::Made(key(1))),
        (make("cart", 2), KeyOutcome::Taken),
        (read("cart"), KeyOutcome::Found(key(1))),
        (remove("cart"), KeyOutcome::Removed),
        (remove("cart"), KeyOutcome::Missing),
        (make("cart", 3), KeyOutcome::Made(key(3))),
    ];
    for (step, (operation, outcome)) in script.into_iter().enumerate() {
        receive(&mut authority, &mut replica, operation, step as u32);
        assert_eq!(answers(&mut authority), [(step as u32, outcome)]);
        assert!(authority.poll_change().is_none());
    }
}

#[test]
fn a_key_opens_its_own_bucket_only() {
    let (mut authority, mut replica) = (Authority::new(0), replica());
    receive(&mut authority, &mut replica, make("cart", 1), 0);
    receive(&mut authority, &mut replica, make("shop", 2), 1);
    let (cart, shop) = (key(1), key(2));
    assert!(replica.judge(&name("cart"), cart.expose().as_bytes()).is_some());
    assert!(replica.judge(&name("cart"), shop.expose().as_bytes()).is_none());
    assert!(replica.judge(&name("none"), cart.expose().as_bytes()).is_none());
    assert!(replica.judge(&name("none"), replica.decoy.expose().as_bytes()).is_none());
    for (bucket, key) in [("cart", cart), ("shop", shop)] {
        let presented = key.expose().as_bytes();
        assert_eq!(replica.judge_any(presented), replica.judge(&name(bucket), presented));
        assert!(replica.judge_any(presented).is_some());
    }
    assert_eq!(replica.judge_any(b""), None);
    assert_eq!(replica.judge_any(replica.decoy.expose().as_bytes()), None);
}

#[test]
fn a_grant_ends_with_the_key_and_does_not_come_back_with_the_next() {
    let (mut authority, mut replica) = (Authority::new(0), replica());
    receive(&mut authority, &mut replica, make("cart", 1), 0);
    receive(&mut authority, &mut replica, make("shop", 2), 1);
    let cart = replica.judge(&name("cart"), key(1).expose().as_bytes()).unwrap();
    let shop = replica.judge(&name("shop"), key(2).expose().as_bytes()).unwrap();
    receive(&mut authority, &mut replica, remove("cart"), 2);
    assert!(!replica.is_current(cart) && replica.is_current(shop));
    assert_eq!(replica.judge_any(key(1).expose().as_bytes()), None);
    receive(&mut authority, &mut replica, make("cart", 1), 3);
    assert!(!replica.is_current(cart));
    let again = replica.judge(&name("cart"), key(1).expose().as_bytes()).unwrap();
    assert_eq!(again.bucket, cart.bucket, "a bucket keeps its number");
}

#[test]
fn a_change_is_answered_when_the_last_core_has_it() {
    let (mut authority, mut replica) = (Authority::new(3), replica());
    receive(&mut authority, &mut replica, make("cart", 1), 7);
    let change = authority.poll_change().unwrap();
    for _ in 0..2 {
        acknowledge(&mut authority, &mut replica, change.version);
        assert!(authority.poll_answer().is_none());
    }
    acknowledge(&mut authority, &mut replica, change.version);
    assert_eq!(answers(&mut authority), [(7, KeyOutcome::Made(key(1)))]);
}

#[test]
fn what_follows_a_change_of_the_same_bucket_waits_for_it() {
    let (mut authority, mut replica) = (Authority::new(1), replica());
    for (ticket, operation) in
        [make("cart", 1), read("cart"), make("cart", 2), remove("cart"), read("cart")].into_iter().enumerate()
    {
        receive(&mut authority, &mut replica, operation, ticket as u32);
    }
    receive(&mut authority, &mut replica, read("shop"), 9);
    assert_eq!(answers(&mut authority), [(9, KeyOutcome::Missing)], "other buckets do not wait");
    let made = changes(&mut authority);
    assert_eq!(made.len(), 1);
    acknowledge(&mut authority, &mut replica, made[0].version);
    let expected = [(0, KeyOutcome::Made(key(1))), (1, KeyOutcome::Found(key(1))), (2, KeyOutcome::Taken)];
    assert_eq!(answers(&mut authority), expected);
    let removed = changes(&mut authority);
    acknowledge(&mut authority, &mut replica, removed[0].version);
    assert_eq!(answers(&mut authority), [(3, KeyOutcome::Removed), (4, KeyOutcome::Missing)]);
}

#[test]
fn changes_beyond_the_limit_wait_their_turn_and_all_are_answered() {
    let (mut authority, mut replica) = (Authority::new(2), replica());
    let count = CHANGES_IN_FLIGHT_MAX as u32 * 3;
    for ticket in 0..count {
        receive(&mut authority, &mut replica, make(&format!("b{ticket}"), ticket as u8), ticket);
    }
    let mut answered = Vec::new();
    while answered.len() < count as usize {
        let under_way = changes(&mut authority);
        assert!(!under_way.is_empty() && under_way.len() <= CHANGES_IN_FLIGHT_MAX);
        for change in under_way.iter().chain(&under_way) {
            acknowledge(&mut authority, &mut replica, change.version);
        }
        answered.extend(answers(&mut authority));
    }
    let tickets: Vec<u32> = answered.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!(tickets, (0..count).collect::<Vec<_>>());
    assert_eq!(authority.waiting(), 0);
}

#[test]
fn a_flood_of_waiting_operations_is_refused_and_the_rest_answered() {
    let (mut authority, mut replica) = (Authority::new(1), replica());
    receive(&mut authority, &mut replica, make("cart", 1), 0);
    for ticket in 1..=5_000 {
        receive(&mut authority, &mut replica, read("cart"), ticket);
    }
    let refused = answers(&mut authority);
    assert_eq!(refused.len(), 5_000 - 4_096);
    assert!(refused.iter().all(|(_, outcome)| *outcome == KeyOutcome::Busy));
    let change = authority.poll_change().unwrap();
    acknowledge(&mut authority, &mut replica, change.version);
    assert_eq!(answers(&mut authority).len(), 4_097);
}

#[test]
fn replicas_that_take_the_same_changes_judge_alike() {
    let (mut authority, mut first) = (Authority::new(1), replica());
    let mut second = Replica::new(&[4; 32]);
    for round in 0..50u32 {
        let operation = if round % 3 == 2 { remove("cart") } else { make("cart", round as u8) };
        receive(&mut authority, &mut first, operation, round);
        while let Some(change) = authority.poll_change() {
            second.apply(&change);
            acknowledge(&mut authority, &mut first, change.version);
        }
        for byte in 0..=50 {
            let presented = key(byte);
            let granted = first.judge(&name("cart"), presented.expose().as_bytes());
            assert_eq!(granted, second.judge(&name("cart"), presented.expose().as_bytes()));
        }
    }
}

#[test]
fn nobody_is_judged_by_a_change_before_it_is_kept() {
    let (mut authority, mut replica) = (Authority::new(1), replica());
    authority.receive(&replica, make("cart", 1), 0);
    authority.receive(&replica, make("shop", 2), 1);
    authority.receive(&replica, read("cart"), 2);
    let recorded: Vec<_> = std::iter::from_fn(|| authority.poll_record()).collect();
    let numbers: Vec<_> = recorded.iter().map(|state| (state.id.as_u32(), state.name)).collect();
    assert_eq!(numbers, [(0, name("cart")), (1, name("shop"))], "in order, with numbers of their own");
    let opens = |replica: &Replica, bucket, byte| {
        replica.judge(&name(bucket), key(byte).expose().as_bytes()).is_some()
    };
    assert!(!opens(&replica, "cart", 1) && authority.poll_change().is_none());
    authority.record_kept(&mut replica);
    assert!(opens(&replica, "cart", 1) && !opens(&replica, "shop", 2));
    let change = authority.poll_change().unwrap();
    assert!(authority.poll_change().is_none() && authority.poll_answer().is_none());
    authority.acknowledge(&replica, change.version);
    let expected = [(0, KeyOutcome::Made(key(1))), (2, KeyOutcome::Found(key(1)))];
    assert_eq!(answers(&mut authority), expected);
    authority.record_kept(&mut replica);
    assert!(opens(&replica, "shop", 2));
}

#[test]
fn a_change_that_cannot_be_kept_changes_nothing_and_lets_the_next_go_on() {
    let (mut authority, mut replica) = (Authority::new(0), replica());
    authority.receive(&replica, make("cart", 1), 0);
    authority.receive(&replica, make("cart", 2), 1);
    assert!(authority.poll_record().is_some());
    authority.refuse_record(&replica, KeyOutcome::DiskFull);
    assert_eq!(answers(&mut authority), [(0, KeyOutcome::DiskFull)]);
    let second = authority.poll_record().unwrap();
    assert_eq!((second.id, second.key), (BucketId::new(0), Some(key(2))), "the number was not used");
    authority.record_kept(&mut replica);
    assert_eq!(answers(&mut authority), [(1, KeyOutcome::Made(key(2)))]);
    authority.receive(&replica, remove("cart"), 2);
    authority.receive(&replica, read("cart"), 3);
    assert!(authority.poll_record().is_some());
    authority.refuse_record(&replica, KeyOutcome::Behind);
    assert_eq!(answers(&mut authority), [(2, KeyOutcome::Behind), (3, KeyOutcome::Found(key(2)))]);
    assert!(authority.poll_record().is_none());
}

#[test]
fn where_nothing_is_kept_any_more_nobody_waits_for_ever() {
    let (mut authority, mut replica) = (Authority::new(0), replica());
    receive(&mut authority, &mut replica, make("cart", 1), 0);
    assert_eq!(answers(&mut authority).len(), 1);
    authority.receive(&replica, remove("cart"), 1);
    authority.receive(&replica, read("cart"), 2);
    authority.receive(&replica, make("shop", 3), 3);
    while authority.poll_record().is_some() {}
    authority.abandon_records(&replica);
    let expected = [(1, KeyOutcome::Unknown), (2, KeyOutcome::Found(key(1))), (3, KeyOutcome::Unknown)];
    assert_eq!(answers(&mut authority), expected);
}

#[test]
fn restored_buckets_keep_their_numbers_and_keys_and_new_ones_get_others() {
    let state = |number, text, byte: Option<u8>| BucketState {
        id: BucketId::new(number),
        name: name(text),
        key: byte.map(key),
    };
    let states = vec![state(1, "cart", Some(1)), state(4, "shop", None)];
    let buckets = Buckets { states: states.clone(), next: BucketId::new(7) };
    let (mut authority, mut replica) = (Authority::<u32>::over(0, &buckets), replica());
    replica.restore(&buckets.states);
    let grant = replica.judge(&name("cart"), key(1).expose().as_bytes()).unwrap();
    assert!(replica.is_current(grant) && grant.bucket == BucketId::new(1));
    assert_eq!(replica.judge_any(key(1).expose().as_bytes()), Some(grant));
    let recorded = |authority: &Authority<u32>, replica: &Replica| -> Vec<_> {
        (0..authority.numbers()).filter_map(|number| authority.recorded(replica, number)).collect()
    };
    assert_eq!((authority.numbers(), recorded(&authority, &replica)), (7, states));
    receive(&mut authority, &mut replica, make("shop", 2), 0);
    receive(&mut authority, &mut replica, make("blog", 3), 1);
    let expected = [state(1, "cart", Some(1)), state(4, "shop", Some(2)), state(7, "blog", Some(3))];
    assert_eq!(recorded(&authority, &replica), expected);
    authority.receive(&replica, remove("cart"), 2);
    assert_eq!(recorded(&authority, &replica), expected, "what is not logged is not logged again");
    authority.poll_record().unwrap();
    let [_, shop, blog] = expected;
    assert_eq!(recorded(&authority, &replica), [state(1, "cart", None), shop, blog], "the newest record");
}
