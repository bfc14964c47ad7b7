//! The end of a core's turn: where what the turn's tasks left behind is handed over at once.
//!
//! The event loop runs the tasks that are ready, then polls its main future if that was
//! woken, then sleeps. So the main future is the turn's end: [`Turn::mark`], called by any
//! task that leaves something behind, wakes it, and [`Turn::end`] returns in it. The mark
//! costs a store; its waker is a flag of this thread, which is why a [`Turn`] stays on it.
//! Whoever marks while handing over is polled again before the core sleeps: for ever, if
//! it does so each time.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Poll, Waker};

/// Whether this turn left anything behind. One a core.
#[derive(Default, Debug)]
pub struct Turn {
    is_marked: Cell<bool>,
    /// The main future's, once it has waited; never borrowed across an await.
    end: RefCell<Option<Waker>>,
    /// Never sent nor shared: a foreign thread would wake its own loop.
    on_its_thread: PhantomData<*const ()>,
}

impl Turn {
    /// A turn that has left nothing behind.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something was left behind: this turn's end must come.
    pub fn mark(&self) {
        if self.is_marked.replace(true) {
            return;
        }
        if let Some(end) = &*self.end.borrow() {
            end.wake_by_ref();
        }
    }

    /// Waits for the end of a turn that was marked. For the loop's main future alone.
    pub async fn end(&self) {
        poll_fn(|cx| {
            if self.is_marked.take() {
                return Poll::Ready(());
            }
            let mut end = self.end.borrow_mut();
            if !end.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *end = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::rc::Rc;
    use std::time::Duration;

    use monoio::io::AsyncReadRent;
    use monoio::net::UnixStream;
    use std::os::unix::net::UnixStream as StdUnixStream;

    use super::*;
    use crate::runtime::doorbell::Doorbell;
    use crate::runtime::driver::DriverKind;
    use crate::runtime::driver::tests::every_runtime;

    /// What ran in which order on one core.
    #[derive(Default)]
    struct Diary {
        turn: Turn,
        lines: RefCell<Vec<&'static str>>,
    }

    impl Diary {
        fn note(&self, line: &'static str) {
            self.lines.borrow_mut().push(line);
        }

        /// As a task does: works, and leaves something behind.
        fn work(&self, line: &'static str) {
            self.note(line);
            self.turn.mark();
        }

        /// Ends `count` turns and tells what happened in them.
        async fn read(&self, count: usize) -> Vec<&'static str> {
            for _ in 0..count {
                self.turn.end().await;
                self.note("end");
            }
            self.lines.take()
        }
    }

    fn socket_pair(driver: DriverKind) -> (StdUnixStream, UnixStream) {
        let (near, far) = StdUnixStream::pair().unwrap();
        far.set_nonblocking(driver == DriverKind::Epoll).unwrap();
        (near, UnixStream::from_std(far).unwrap())
    }

    #[test]
    fn the_end_comes_once_after_every_task_that_is_ready() {
        for mut runtime in every_runtime() {
            let diary = Rc::new(Diary::default());
            let lines = runtime.block_on(async {
                for line in ["a", "b", "c"] {
                    let diary = Rc::clone(&diary);
                    drop(monoio::spawn(async move { diary.work(line) }));
                }
                diary.read(1).await
            });
            assert_eq!(lines, ["a", "b", "c", "end"], "{runtime:?}");
        }
    }

    #[test]
    fn the_end_comes_before_the_core_sleeps_whatever_woke_the_task() {
        for mut runtime in every_runtime() {
            let driver = runtime.kind();
            let diary = Rc::new(Diary::default());
            let lines = runtime.block_on(async {
                let (doorbell, bell) = Doorbell::new().unwrap();
                let (near, mut far) = socket_pair(driver);
                let by_timer = Rc::clone(&diary);
                drop(monoio::spawn(async move {
                    monoio::time::sleep(Duration::from_millis(2)).await;
                    by_timer.work("timer");
                    // Seen by the core only in a later turn: it must go to the kernel first.
                    doorbell.ring();
                }));
                let by_bell = Rc::clone(&diary);
                drop(monoio::spawn(async move {
                    bell.hang(driver).unwrap().wait().await.unwrap();
                    by_bell.work("doorbell");
                    std::io::Write::write_all(&mut &near, b"x").unwrap();
                    std::mem::forget(near);
                }));
                let by_socket = Rc::clone(&diary);
                drop(monoio::spawn(async move {
                    far.read(vec![0; 8]).await.0.unwrap();
                    by_socket.work("socket");
                    let of_spawned = Rc::clone(&by_socket);
                    let spawned = monoio::spawn(async move { of_spawned.work("spawned") });
                    spawned.await;
                    by_socket.work("woken by a task");
                }));
                diary.read(3).await
            });
            let order = ["timer", "end", "doorbell", "end", "socket", "spawned", "woken by a task", "end"];
            assert_eq!(lines, order, "{driver:?}");
        }
    }

    #[test]
    fn a_turn_that_left_nothing_behind_has_no_end() {
        for mut runtime in every_runtime() {
            let turn = Rc::new(Turn::new());
            let (polls, marks) = (Rc::new(Cell::new(0)), 5);
            runtime.block_on(async {
                let marking = Rc::clone(&turn);
                drop(monoio::spawn(async move {
                    for round in 0..4 * marks {
                        monoio::time::sleep(Duration::from_millis(1)).await;
                        if round % 4 == 3 {
                            marking.mark();
                        }
                    }
                }));
                for _ in 0..marks {
                    let mut end = pin!(turn.end());
                    poll_fn(|cx| {
                        polls.set(polls.get() + 1);
                        end.as_mut().poll(cx)
                    })
                    .await;
                }
            });
            // One poll that waits and one that returns, a mark.
            assert_eq!(polls.get(), 2 * marks, "{runtime:?}");
        }
    }

    #[test]
    fn a_mark_made_before_anybody_waits_is_kept() {
        for mut runtime in every_runtime() {
            let turn = Turn::new();
            turn.mark();
            turn.mark();
            runtime.block_on(turn.end());
            assert!(!turn.is_marked.get(), "{runtime:?}");
        }
    }
}
