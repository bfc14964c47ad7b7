//! The lanes' promises one by one, then the real mailbox between real threads.
//!
//! No wake-up is ever lost: a receiver that sleeps beside a waiting item fails by a
//! watchdog, not by hanging.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::runtime::doorbell::UnhungBell;
use crate::runtime::driver::tests::every_runtime;
use crate::runtime::driver::{CoreRuntime, DriverChoice, DriverKind};

type TestSender = MailboxSender<u64, u64, u64>;
type TestReceiver = MailboxReceiver<u64, u64, u64>;

const ROOM: MailboxRoom = MailboxRoom { requests_max: 4, replies_max: 4, controls_max: 2 };

fn small_mailbox() -> (TestSender, TestReceiver, UnhungBell) {
    let (doorbell, bell) = Doorbell::new().unwrap();
    let (sender, receiver) = mailbox(ROOM, doorbell);
    (sender, receiver, bell)
}

#[test]
fn items_arrive_in_order_each_in_its_lane() {
    let (sender, receiver, _bell) = small_mailbox();
    for item in 1..=3 {
        sender.post_request(item).unwrap();
        sender.post_reply(10 * item);
    }
    sender.post_control(100).unwrap();
    assert_eq!(receiver.depth(), MailboxDepth { requests: 3, replies: 3, controls: 1 });
    assert_eq!(receiver.drain_requests(2).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(receiver.drain_requests(2).collect::<Vec<_>>(), [3]);
    assert_eq!(std::iter::from_fn(|| receiver.try_reply()).collect::<Vec<_>>(), [10, 20, 30]);
    assert_eq!((receiver.try_control(), receiver.try_control()), (Some(100), None));
    assert!(receiver.is_empty());
}

#[test]
fn a_full_lane_gives_the_item_back_and_leaves_the_others_open() {
    let (sender, receiver, _bell) = small_mailbox();
    for item in 0..4 {
        sender.post_request(item).unwrap();
    }
    assert_eq!(sender.post_request(4), Err(Returned(4)));
    sender.post_control(5).unwrap();
    sender.post_reply(6);
    assert_eq!(receiver.drain_requests(1).next(), Some(0));
    assert_eq!(sender.post_request(7), Ok(()));
}

#[test]
#[should_panic(expected = "a reply has a reserved place")]
fn a_reply_without_a_reserved_place_is_a_broken_invariant() {
    let (sender, _receiver, _bell) = small_mailbox();
    (0..5).for_each(|item| sender.post_reply(item));
}

#[test]
fn what_is_posted_to_a_core_that_is_gone_comes_back() {
    let (sender, receiver, _bell) = small_mailbox();
    drop(receiver);
    assert_eq!(sender.post_request(1), Err(Returned(1)));
    assert_eq!(sender.post_and_ring(2), Err(Returned(2)));
    sender.post_reply(3);
}

#[test]
fn a_core_does_not_sleep_on_a_waiting_item() {
    for lane in 0..3 {
        let (sender, mut receiver, _bell) = small_mailbox();
        match lane {
            0 => sender.post_request(1).unwrap(),
            1 => sender.post_reply(1),
            _ => sender.post_control(1).unwrap(),
        }
        assert!(!receiver.prepare_to_park(), "lane {lane}");
        assert!(!receiver.wake.flag.should_ring(), "lane {lane}: awake again");
        let taken = receiver.drain_requests(1).next().or(receiver.try_reply()).or(receiver.try_control());
        assert_eq!(taken, Some(1));
        assert!(receiver.prepare_to_park(), "lane {lane}");
    }
}

#[test]
fn one_sleeping_core_is_rung_once_however_many_post() {
    let (sender, mut receiver, _bell) = small_mailbox();
    let other = sender.clone();
    assert!(receiver.prepare_to_park());
    sender.post_request(1).unwrap();
    other.post_request(2).unwrap();
    assert!(receiver.wake.flag.should_ring(), "posting alone rings nobody");
    assert!(!receiver.wake.flag.should_ring(), "the second ringer has nothing to do");
    receiver.unpark();
}

#[test]
fn a_sender_that_has_posted_nothing_wakes_nobody() {
    let (sender, mut receiver, _bell) = small_mailbox();
    assert!(receiver.prepare_to_park());
    sender.ring_if_parked();
    drop(sender.clone());
    assert!(receiver.wake.flag.should_ring(), "the flag is as the sleeper left it");
}

#[test]
fn every_way_to_end_a_posting_takes_the_flag() {
    let ways: [fn(TestSender); 3] = [
        |sender| {
            sender.post_request(1).unwrap();
            sender.ring_if_parked();
        },
        |sender| sender.post_and_ring(1).unwrap(),
        |sender| sender.post_reply(1),
    ];
    for (way, post) in ways.into_iter().enumerate() {
        let (sender, mut receiver, _bell) = small_mailbox();
        assert!(receiver.prepare_to_park());
        post(sender);
        assert!(!receiver.wake.flag.should_ring(), "way {way}: rung already");
    }
}

/// Takes everything and sleeps in between, until `total` items have come; their sum.
async fn receive(mut receiver: TestReceiver, bell: UnhungBell, driver: DriverKind, total: u64) -> u64 {
    let mut bell = bell.hang(driver).unwrap();
    let (mut count, mut sum) = (0, 0);
    while count < total {
        let mut take = |item| {
            count += 1;
            sum += item;
        };
        receiver.drain_requests(3).for_each(&mut take);
        receiver.try_reply().into_iter().for_each(&mut take);
        receiver.try_control().into_iter().for_each(&mut take);
        if receiver.prepare_to_park() && count < total {
            bell.wait().await.unwrap();
            receiver.unpark();
        }
    }
    sum
}

/// Posts its numbers in bursts of one to four, so that the other side falls asleep between
/// many of them. What finds no room is posted again.
fn post_all(sender: &TestSender, numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        let mut posted =
            if number % 7 == 0 { sender.post_control(number) } else { sender.post_request(number) };
        while let Err(Returned(number)) = posted {
            sender.ring_if_parked();
            thread::yield_now();
            posted = sender.post_request(number);
        }
        if number % 5 != 0 {
            sender.ring_if_parked();
        }
        (0..number % 64).for_each(|_| std::hint::spin_loop());
    }
    sender.ring_if_parked();
}

#[test]
fn no_wake_up_is_lost_between_threads() {
    const POSTERS: u64 = 2;
    const EACH: u64 = 50_000;
    for driver in every_runtime().map(|runtime| runtime.kind()) {
        let (doorbell, bell) = Doorbell::new().unwrap();
        let room = MailboxRoom { requests_max: 64, replies_max: 1, controls_max: 8 };
        let (sender, receiver) = mailbox(room, doorbell);
        let (done, outcome) = mpsc::channel();
        thread::spawn(move || {
            let choice = match driver {
                DriverKind::IoUring => DriverChoice::IoUring,
                DriverKind::Epoll => DriverChoice::Epoll,
            };
            let mut runtime = CoreRuntime::build(choice).unwrap();
            let sum = runtime.block_on(receive(receiver, bell, driver, POSTERS * EACH));
            done.send(sum).unwrap();
        });
        for poster in 0..POSTERS {
            let sender = sender.clone();
            thread::spawn(move || post_all(&sender, poster * EACH..(poster + 1) * EACH));
        }
        // A lost wake-up shows as a receiver that sleeps for ever beside a waiting item.
        let sum = outcome.recv_timeout(Duration::from_secs(120));
        let total = POSTERS * EACH;
        assert_eq!(sum, Ok(total * (total - 1) / 2), "{driver:?}: a wake-up or an item was lost");
    }
}
