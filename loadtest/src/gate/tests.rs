//! What passes the gate when, and that nothing is lost without being counted.

use std::pin::pin;
use std::task::Context;

use super::*;
use crate::event_loop::EventLoop;
use crate::pace::Rate;

const MILLI: Duration = Duration::from_millis(1);

/// Requests at 0.5 ms, 1.5 ms, 2.5 ms … for so long.
fn gate(duration: Duration) -> Gate {
    let rate = Rate { from: 1000.0, to: 1000.0 };
    Gate::new(Schedule::new(rate, Moment::default(), duration, (0, 1)))
}

fn at(millis: u32) -> Moment {
    Moment::after_start(MILLI * millis)
}

/// A waiter in line.
fn waiting(gate: &Gate) -> Rc<Waiter> {
    let waiter = Rc::new(Waiter { given: Cell::new(Given::Nothing), waker: RefCell::default() });
    gate.waiting.borrow_mut().push_back(Rc::clone(&waiter));
    waiter
}

#[test]
fn the_oldest_request_that_is_due_is_taken_first() {
    let (gate, mut tally) = (gate(MILLI * 100), Tally::default());
    assert_eq!(gate.take_due(at(0), &mut tally), None);
    let half = Duration::from_micros(500);
    assert_eq!(gate.take_due(at(2), &mut tally), Some(at(0).after(half)));
    assert_eq!(gate.take_due(at(2), &mut tally), Some(at(1).after(half)));
    assert_eq!((gate.take_due(at(2), &mut tally), tally.dropped.count()), (None, 0));
}

#[test]
fn a_request_that_nobody_took_for_a_second_is_dropped_and_counted() {
    let (gate, mut tally) = (gate(MILLI * 3000), Tally::default());
    let taken = gate.take_due(at(1010), &mut tally).unwrap();
    assert!(at(1010).since(taken) <= PATIENCE, "{taken:?}");
    assert_eq!((tally.dropped.count(), tally.second.dropped()), (10, 10));
    assert!(tally.dropped.at_quantile_us(0.0) > 1_000_000.0, "each had waited for a second");
}

#[test]
fn those_who_wait_are_served_in_their_order() {
    let (gate, mut tally) = (gate(MILLI * 100), Tally::default());
    let (first, second, third) = (waiting(&gate), waiting(&gate), waiting(&gate));
    gate.hand_out(at(2), &mut tally);
    assert_eq!(first.given.get(), Given::Request(at(1).before(MILLI / 2)));
    assert_eq!(second.given.get(), Given::Request(at(2).before(MILLI / 2)));
    assert_eq!(third.given.get(), Given::Nothing);
}

#[test]
fn how_late_one_who_waited_is_is_told_when_its_turn_comes_and_not_when_it_is_woken() {
    let (rate, hour) = (Rate { from: 1000.0, to: 1000.0 }, at(3_600_000));
    let gate = Gate::new(Schedule::new(rate, hour, MILLI * 100, (0, 1)));
    let (tally, mut context) = (RefCell::default(), Context::from_waker(Waker::noop()));
    let mut passing = pin!(gate.pass(Clock::started(), &tally));
    assert!(passing.as_mut().poll(&mut context).is_pending());
    gate.hand_out(hour.after(MILLI), &mut tally.borrow_mut());
    assert_eq!(tally.borrow().lag.count(), 0, "other tasks may go first");
    assert_eq!(passing.poll(&mut context), Poll::Ready(Some(hour.after(MILLI / 2))));
    assert_eq!(tally.borrow().lag.count(), 1);
}

#[test]
fn a_request_that_overtakes_those_who_wait_is_late_by_the_generators_doing() {
    let (gate, mut tally) = (gate(MILLI * 100), Tally::default());
    let waiter = waiting(&gate);
    assert_eq!(gate.overtake(at(3), &mut tally), Some(at(1).before(MILLI / 2)));
    assert_eq!((waiter.given.get(), tally.lag.count()), (Given::Nothing, 1));
    assert!((tally.lag.max_us() - 2500.0).abs() < 3.0, "{}", tally.lag.max_us());
}

#[test]
fn a_request_that_was_dropped_while_somebody_waited_is_late_by_the_generators_doing() {
    let (gate, mut tally) = (gate(MILLI * 3000), Tally::default());
    assert!(gate.overtake(at(2), &mut tally).is_some());
    assert_eq!(tally.lag.count(), 0, "nobody waited: the server had all connections");
    let waiter = waiting(&gate);
    gate.hand_out(at(1010), &mut tally);
    assert!(matches!(waiter.given.get(), Given::Request(_)));
    assert_eq!((tally.dropped.count(), tally.lag.count()), (9, 9), "the one that leaves will tell itself");
}

#[test]
fn the_end_lets_everybody_go_and_counts_what_never_left() {
    let (gate, mut tally) = (gate(MILLI * 10), Tally::default());
    assert!(gate.take_due(at(3), &mut tally).is_some());
    let waiter = waiting(&gate);
    gate.close(at(50), &mut tally);
    assert_eq!((waiter.given.get(), tally.dropped.count()), (Given::End, 9));
    assert!((tally.dropped.max_us() - 48_500.0).abs() < 50.0, "the oldest of them was due at 1.5 ms");
    assert_eq!(tally.lag.count(), 9, "somebody waited for each of them");
    assert_eq!(gate.take_due(at(60), &mut tally), None, "nothing passes a closed gate");
}

#[test]
fn a_whole_schedule_passes_on_time_and_the_gate_closes() {
    for epoll in [false, true] {
        let mut event_loop = EventLoop::build(epoll).unwrap();
        let ring = event_loop.is_ring();
        let (passed, dropped, early) = event_loop.block_on(async {
            let (gate, tally) = (Rc::new(gate(MILLI * 50)), Rc::new(RefCell::new(Tally::default())));
            let clock = Clock::started();
            let passing: Vec<_> = (0..3)
                .map(|_| {
                    let (gate, tally) = (Rc::clone(&gate), Rc::clone(&tally));
                    monoio::spawn(async move {
                        let (mut passed, mut early) = (0, 0);
                        while let Some(intended) = gate.pass(clock, &tally).await {
                            passed += 1;
                            early += u64::from(clock.now() < intended);
                        }
                        (passed, early)
                    })
                })
                .collect();
            gate.pace(clock, &mut Timer::new(ring).unwrap(), &tally, || false).await;
            let (mut passed, mut early) = (0, 0);
            for task in passing {
                let (count, too_early) = task.await;
                (passed, early) = (passed + count, early + too_early);
            }
            let dropped = tally.borrow().dropped.count();
            (passed, dropped, early)
        });
        assert_eq!((passed + dropped, early), (50, 0), "epoll: {epoll}");
        assert!(passed > 0, "epoll: {epoll}");
    }
}
