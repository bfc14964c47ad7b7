//! Where the connections of an open loop get their requests: one at a time, when it is due.
//!
//! A connection that is free takes the oldest request that is due; if none is, it waits
//! here, and the pacer hands it one at the moment that the schedule has for it. What
//! finds no connection for a second is dropped and counted, with the time that it
//! waited as its latency: a server that is that far behind is past what it can do, and a queue
//! without end would hide it. As long as a connection waits here, whatever is late is this
//! side's doing, whoever takes it, and is told as lag.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::pace::Schedule;
use crate::stats::Tally;
use crate::timer::Timer;

/// How long a request that is due waits for a connection.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// The shortest sleep of the pacer. Requests closer to each other leave together, and are late by that
/// at most; shorter ones would keep a core busy with waking up, which makes all of them late.
const NAP: Duration = Duration::from_micros(60);

/// The longest, so that a run that is stopped ends soon.
const NAP_MAX: Duration = Duration::from_millis(50);

/// What a connection that waits is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Given {
    Nothing,
    Request(Moment),
    End,
}

/// A connection that waits.
struct Waiter {
    given: Cell<Given>,
    waker: RefCell<Option<Waker>>,
}

/// One core's gate.
pub struct Gate {
    schedule: Schedule,
    /// The number of the next request that nobody has taken.
    next: Cell<u64>,
    closed: Cell<bool>,
    waiting: RefCell<VecDeque<Rc<Waiter>>>,
}

impl Gate {
    /// A gate that opens as `schedule` has it.
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, next: Cell::new(0), closed: Cell::new(false), waiting: RefCell::default() }
    }

    /// Waits for a request; gives the moment that it was meant to leave, or nothing at the end.
    pub async fn pass(&self, clock: Clock, tally: &RefCell<Tally>) -> Option<Moment> {
        if let Some(intended) = self.overtake(clock.now(), &mut tally.borrow_mut()) {
            return Some(intended);
        }
        if self.closed.get() || self.schedule.intended(self.next.get()).is_none() {
            return None;
        }
        let waiter = Rc::new(Waiter { given: Cell::new(Given::Nothing), waker: RefCell::default() });
        self.waiting.borrow_mut().push_back(Rc::clone(&waiter));
        let given = poll_fn(|context| match waiter.given.get() {
            Given::Nothing => {
                *waiter.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
            Given::Request(intended) => Poll::Ready(Some(intended)),
            Given::End => Poll::Ready(None),
        })
        .await;
        if let Some(intended) = given {
            // Only now, since it may have stood behind others that were woken with it.
            tally.borrow_mut().lag.record(clock.now().since(intended));
        }
        given
    }

    /// Hands requests to those who wait until the schedule or the run is over.
    pub async fn pace(
        &self,
        clock: Clock,
        timer: &mut Timer,
        tally: &RefCell<Tally>,
        stopped: impl Fn() -> bool,
    ) {
        loop {
            let now = clock.now();
            self.hand_out(now, &mut tally.borrow_mut());
            let upcoming = self.schedule.intended(self.schedule.count_until(now));
            let Some(upcoming) = upcoming.filter(|_| !stopped()) else { break };
            let nap = upcoming.since(clock.now()).clamp(NAP, NAP_MAX);
            if timer.sleep(nap).await.is_err() {
                tally.borrow_mut().error("timer_failed");
                break;
            }
        }
        self.close(clock.now(), &mut tally.borrow_mut());
    }

    /// Lets everybody go at once.
    pub fn shut(&self) {
        self.closed.set(true);
        self.waiting.borrow_mut().drain(..).for_each(|waiter| waiter.give(Given::End));
        debug_assert!(self.waiting.borrow().is_empty(), "nobody waits behind a closed gate");
    }

    /// What is due now, for a connection that has just come free.
    fn overtake(&self, now: Moment, tally: &mut Tally) -> Option<Moment> {
        let intended = self.take_due(now, tally)?;
        self.note_lag(intended, now, tally);
        Some(intended)
    }

    /// The oldest request that is due and not too old. Whoever takes it notes when it leaves.
    fn take_due(&self, now: Moment, tally: &mut Tally) -> Option<Moment> {
        loop {
            let intended =
                self.schedule.intended(self.next.get()).filter(|&at| at <= now && !self.closed.get())?;
            self.next.set(self.next.get() + 1);
            if now.since(intended) <= PATIENCE {
                return Some(intended);
            }
            self.note_lag(intended, now, tally);
            tally.drop_one(now.since(intended));
        }
    }

    /// Whoever waits began to when nothing was due, so somebody was free since before this request
    /// was, and all of its delay is this side's: also where one that has just come free takes it.
    fn note_lag(&self, intended: Moment, now: Moment, tally: &mut Tally) {
        if !self.waiting.borrow().is_empty() {
            tally.lag.record(now.since(intended));
        }
    }

    fn hand_out(&self, now: Moment, tally: &mut Tally) {
        while !self.waiting.borrow().is_empty() {
            let Some(intended) = self.take_due(now, tally) else { return };
            let waiter = self.waiting.borrow_mut().pop_front();
            if let Some(waiter) = waiter {
                waiter.give(Given::Request(intended));
            }
        }
    }

    /// Lets everybody go, and counts what was due and never left.
    fn close(&self, now: Moment, tally: &mut Tally) {
        let unsent = self.next.get()..self.schedule.count_until(now);
        for intended in unsent.filter_map(|number| self.schedule.intended(number)) {
            self.note_lag(intended, now, tally);
            tally.drop_one(now.since(intended));
        }
        self.shut();
    }
}

impl Waiter {
    fn give(&self, given: Given) {
        debug_assert_eq!(self.given.get(), Given::Nothing, "a waiter is given one thing");
        self.given.set(given);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests;
