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
        authority.receive(&mut replica, operation, step as u32);
        assert_eq!(answers(&mut authority), [(step as u32, outcome)]);
        assert!(authority.poll_change().is_none());
    }
}

#[test]
fn a_key_opens_its_own_bucket_only() {
    let (mut authority, mut replica) = (Authority::new(0), replica());
    authority.receive(&mut replica, make("cart", 1), 0);
    authority.receive(&mut replica, make("shop", 2), 1);
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
    authority.receive(&mut replica, make("cart", 1), 0);
    authority.receive(&mut replica, make("shop", 2), 1);
    let cart = replica.judge(&name("cart"), key(1).expose().as_bytes()).unwrap();
    let shop = replica.judge(&name("shop"), key(2).expose().as_bytes()).unwrap();
    authority.receive(&mut replica, remove("cart"), 2);
    assert!(!replica.is_current(cart) && replica.is_current(shop));
    assert_eq!(replica.judge_any(key(1).expose().as_bytes()), None);
    authority.receive(&mut replica, make("cart", 1), 3);
    assert!(!replica.is_current(cart));
    let again = replica.judge(&name("cart"), key(1).expose().as_bytes()).unwrap();
    assert_eq!(again.bucket, cart.bucket, "a bucket keeps its number");
}

#[test]
fn a_change_is_answered_when_the_last_core_has_it() {
    let (mut authority, mut replica) = (Authority::new(3), replica());
    authority.receive(&mut replica, make("cart", 1), 7);
    let change = authority.poll_change().unwrap();
    for _ in 0..2 {
        authority.acknowledge(&mut replica, change.version);
        assert!(authority.poll_answer().is_none());
    }
    authority.acknowledge(&mut replica, change.version);
    assert_eq!(answers(&mut authority), [(7, KeyOutcome::Made(key(1)))]);
}

#[test]
fn what_follows_a_change_of_the_same_bucket_waits_for_it() {
    let (mut authority, mut replica) = (Authority::new(1), replica());
    for (ticket, operation) in
        [make("cart", 1), read("cart"), make("cart", 2), remove("cart"), read("cart")].into_iter().enumerate()
    {
        authority.receive(&mut replica, operation, ticket as u32);
    }
    authority.receive(&mut replica, read("shop"), 9);
    assert_eq!(answers(&mut authority), [(9, KeyOutcome::Missing)], "other buckets do not wait");
    let made = changes(&mut authority);
    assert_eq!(made.len(), 1);
    authority.acknowledge(&mut replica, made[0].version);
    let expected = [(0, KeyOutcome::Made(key(1))), (1, KeyOutcome::Found(key(1))), (2, KeyOutcome::Taken)];
    assert_eq!(answers(&mut authority), expected);
    let removed = changes(&mut authority);
    authority.acknowledge(&mut replica, removed[0].version);
    assert_eq!(answers(&mut authority), [(3, KeyOutcome::Removed), (4, KeyOutcome::Missing)]);
}

#[test]
fn changes_beyond_the_limit_wait_their_turn_and_all_are_answered() {
    let (mut authority, mut replica) = (Authority::new(2), replica());
    let count = CHANGES_IN_FLIGHT_MAX as u32 * 3;
    for ticket in 0..count {
        authority.receive(&mut replica, make(&format!("b{ticket}"), ticket as u8), ticket);
    }
    let mut answered = Vec::new();
    while answered.len() < count as usize {
        let under_way = changes(&mut authority);
        assert!(!under_way.is_empty() && under_way.len() <= CHANGES_IN_FLIGHT_MAX);
        for change in under_way.iter().chain(&under_way) {
            authority.acknowledge(&mut replica, change.version);
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
    authority.receive(&mut replica, make("cart", 1), 0);
    for ticket in 1..=5_000 {
        authority.receive(&mut replica, read("cart"), ticket);
    }
    let refused = answers(&mut authority);
    assert_eq!(refused.len(), 5_000 - 4_096);
    assert!(refused.iter().all(|(_, outcome)| *outcome == KeyOutcome::Busy));
    let change = authority.poll_change().unwrap();
    authority.acknowledge(&mut replica, change.version);
    assert_eq!(answers(&mut authority).len(), 4_097);
}

#[test]
fn replicas_that_take_the_same_changes_judge_alike() {
    let (mut authority, mut first) = (Authority::new(1), replica());
    let mut second = Replica::new(&[4; 32]);
    for round in 0..50u32 {
        let operation = if round % 3 == 2 { remove("cart") } else { make("cart", round as u8) };
        authority.receive(&mut first, operation, round);
        while let Some(change) = authority.poll_change() {
            second.apply(&change);
            authority.acknowledge(&mut first, change.version);
        }
        for byte in 0..=50 {
            let presented = key(byte);
            let granted = first.judge(&name("cart"), presented.expose().as_bytes());
            assert_eq!(granted, second.judge(&name("cart"), presented.expose().as_bytes()));
        }
    }
}
