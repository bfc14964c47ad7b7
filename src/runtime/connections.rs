//! A core's connections: what each waits for, since when, and how long that may take.
//!
//! Timeouts are totals, watched from the core's tick: no timer a connection, and no read is
//! ever cancelled. When time is over, a side of the socket is shut down, which ends the
//! pending operation; the connection's own task sees to the rest.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::core::Timeouts;
use super::fd::StreamHandle;
use crate::http::Phase;
use crate::types::{Millis, Moment, ShardCount, ShardId};

/// How long a client may go on sending after its last answer.
const LINGER_TIMEOUT: Millis = Millis::from_secs(2);

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Awaiting {
    /// Its client's bytes, in this phase of its so-many-th request.
    Bytes(Phase, u64),
    /// Its client to take bytes.
    Room,
    /// Its client to close, after its last answer.
    Farewell,
    /// Another core.
    Answer,
}

/// One connection, as the core's tick sees it. Shared by its task and the table.
#[derive(Debug)]
pub struct Watch {
    /// Ends pending operations. Gone before the socket is closed.
    stream: RefCell<Option<StreamHandle>>,
    awaiting: Cell<Awaiting>,
    since: Cell<Moment>,
    /// What was waited for when time was over last.
    ended: Cell<Option<Awaiting>>,
    /// Its place in the table.
    place: Cell<usize>,
}

impl Watch {
    /// Notes what is waited for from `now` on. What was already waited for goes on.
    pub fn wait_for(&self, awaiting: Awaiting, now: Moment) {
        if self.awaiting.replace(awaiting) != awaiting {
            self.since.set(now);
        }
    }

    /// The client has taken some bytes: the write is not stalled.
    pub fn make_progress(&self, now: Moment) {
        self.since.set(now);
    }

    /// Whether time is over, and the socket was shut down for it.
    pub fn is_over(&self) -> bool {
        self.ended.get().is_some()
    }

    /// Ends the writing side, so that the client reads to the end and then closes.
    pub fn shut_write(&self) {
        if let Some(stream) = &*self.stream.borrow() {
            // The client may be gone already; then there is nothing left to end.
            let _ = stream.shutdown_write();
        }
    }

    fn time_out(&self, now: Moment, timeouts: &Timeouts) {
        let allowed = match self.awaiting.get() {
            Awaiting::Bytes(Phase::Head, _) => timeouts.head,
            Awaiting::Bytes(Phase::Body, _) => timeouts.body,
            Awaiting::Bytes(..) => timeouts.idle,
            Awaiting::Room => timeouts.write,
            Awaiting::Farewell => LINGER_TIMEOUT,
            Awaiting::Answer => return,
        };
        if now.since(self.since.get()) >= allowed {
            self.end();
        }
    }

    /// Ends whatever is waited for. After a read alone an answer can still be written.
    fn end(&self) {
        // A read that was ended may be followed by a last write, which can stall as well.
        let awaiting = self.awaiting.get();
        if self.ended.replace(Some(awaiting)) == Some(awaiting) {
            return;
        }
        if let Some(stream) = &*self.stream.borrow() {
            let _ = match awaiting {
                Awaiting::Bytes(..) => stream.shutdown_read(),
                Awaiting::Room | Awaiting::Farewell | Awaiting::Answer => stream.shutdown_both(),
            };
        }
    }
}

/// The connections of one core.
#[derive(Default, Debug)]
pub struct Connections {
    open: Vec<Rc<Watch>>,
    is_draining: bool,
}

impl Connections {
    /// Enters a connection that waits for its first request from `now` on.
    pub fn enter(&mut self, stream: StreamHandle, now: Moment) -> Rc<Watch> {
        let watch = Rc::new(Watch {
            stream: RefCell::new(Some(stream)),
            awaiting: Cell::new(Awaiting::Bytes(Phase::Idle, 0)),
            since: Cell::new(now),
            ended: Cell::new(None),
            place: Cell::new(self.open.len()),
        });
        self.open.push(Rc::clone(&watch));
        watch
    }

    /// Strikes a connection off, before its socket is closed.
    pub fn leave(&mut self, watch: &Rc<Watch>) {
        let place = watch.place.get();
        debug_assert!(Rc::ptr_eq(&self.open[place], watch), "each connection knows its place");
        self.open.swap_remove(place);
        if let Some(moved) = self.open.get(place) {
            moved.place.set(place);
        }
        watch.stream.borrow_mut().take();
    }

    /// Ends what has waited for too long at `now`; when draining, also what is idle.
    pub fn time_out(&mut self, now: Moment, timeouts: &Timeouts) {
        for watch in &self.open {
            watch.time_out(now, timeouts);
            if self.is_draining && matches!(watch.awaiting.get(), Awaiting::Bytes(Phase::Idle, _)) {
                watch.end();
            }
        }
    }

    /// From now on idle connections are closed.
    pub fn drain(&mut self) {
        self.is_draining = true;
    }

    /// How many connections are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }
}

/// One core's count on a cache line of its own.
#[repr(align(128))]
#[derive(Default, Debug)]
struct Count(AtomicU32);

/// How many connections each core holds, for all cores to see. A place is reserved at accept
/// by compare-exchange, so that counts differ by at most one there.
#[derive(Clone, Debug)]
pub struct Counts {
    cores: Arc<[Count]>,
    connections_max: u32,
}

impl Counts {
    /// No connections on so many cores, and at most `connections_max` on all together.
    pub fn new(cores: ShardCount, connections_max: u32) -> Self {
        Self { cores: (0..cores.get()).map(|_| Count::default()).collect(), connections_max }
    }

    /// Reserves a place on the core that holds the fewest connections; on `here` where none
    /// holds fewer. None where there are too many already.
    pub fn reserve(&self, here: ShardId) -> Option<ShardId> {
        loop {
            let counts = || self.cores.iter().map(|count| count.0.load(Ordering::Relaxed));
            if self.total() >= u64::from(self.connections_max) {
                return None;
            }
            let (least, fewest) = counts().enumerate().min_by_key(|(_, count)| *count)?;
            let (chosen, seen) = match self.cores[here.index()].0.load(Ordering::Relaxed) {
                ours if ours <= fewest => (here.index(), ours),
                _ => (least, fewest),
            };
            let count = &self.cores[chosen].0;
            if count.compare_exchange(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return Some(ShardId::new(chosen as u16));
            }
        }
    }

    /// Reserved places on all cores, those of connections on their way between two included.
    pub fn total(&self) -> u64 {
        self.cores.iter().map(|count| u64::from(count.0.load(Ordering::Relaxed))).sum()
    }

    /// Moves a reserved place to another core.
    pub fn transfer(&self, from: ShardId, to: ShardId) {
        self.cores[to.index()].0.fetch_add(1, Ordering::Relaxed);
        self.release(from);
    }

    /// Gives a place back.
    pub fn release(&self, core: ShardId) {
        let before = self.cores[core.index()].0.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "only what was reserved is given back");
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::net::TcpStream as StdTcpStream;
    use std::pin::{Pin, pin};
    use std::task::Poll;
    use std::time::Duration;

    use monoio::io::{AsyncReadRent, AsyncWriteRentExt, Splitable};
    use monoio::net::TcpListener;

    use super::*;
    use crate::runtime::driver::tests::every_runtime;

    const TIMEOUTS: Timeouts = Timeouts {
        head: Millis::from_secs(1),
        body: Millis::from_secs(1),
        idle: Millis::from_secs(1),
        write: Millis::from_secs(1),
        drain_delay: Millis::ZERO,
        drain: Millis::from_secs(1),
    };

    async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }

    #[test]
    fn a_last_write_that_stalls_behind_a_read_that_was_ended_is_ended_too() {
        for mut runtime in every_runtime() {
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let client = StdTcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (mut reader, mut writer) = listener.accept().await.unwrap().0.into_split();
                let mut connections = Connections::default();
                let at = Moment::from_millis;
                let watch = connections.enter(StreamHandle::of(&reader), at(0));
                watch.wait_for(Awaiting::Bytes(Phase::Head, 0), at(0));
                let mut read = pin!(reader.read(Vec::with_capacity(64)));
                assert!(is_pending(read.as_mut()).await);
                connections.time_out(at(1_000), &TIMEOUTS);
                assert_eq!(read.await.0.unwrap(), 0);
                assert!(watch.is_over());
                watch.wait_for(Awaiting::Room, at(1_000));
                let more_than_any_socket_holds = vec![0u8; 64 * 1024 * 1024];
                let mut write = pin!(writer.write_all(more_than_any_socket_holds));
                assert!(is_pending(write.as_mut()).await);
                connections.time_out(at(1_999), &TIMEOUTS);
                assert!(is_pending(write.as_mut()).await);
                connections.time_out(at(2_000), &TIMEOUTS);
                let ended = monoio::time::timeout(Duration::from_secs(5), write).await;
                assert!(ended.is_ok_and(|(written, _)| written.is_err()));
                drop(client);
            });
        }
    }

    fn counts(cores: u16, connections_max: u32) -> Counts {
        Counts::new(ShardCount::new(cores).unwrap(), connections_max)
    }

    #[test]
    fn connections_are_spread_evenly_whoever_accepts_them() {
        let counts = counts(4, 100);
        let mut held = [0; 4];
        for accepted_by in [0, 0, 0, 1, 0, 2, 0, 0] {
            held[counts.reserve(ShardId::new(accepted_by)).unwrap().index()] += 1;
        }
        assert_eq!(held, [2, 2, 2, 2]);
    }

    #[test]
    fn a_connection_stays_where_it_came_unless_another_core_holds_fewer() {
        let counts = counts(2, 100);
        assert_eq!(counts.reserve(ShardId::new(1)), Some(ShardId::new(1)));
        assert_eq!(counts.reserve(ShardId::new(1)), Some(ShardId::new(0)));
        assert_eq!(counts.reserve(ShardId::new(1)), Some(ShardId::new(1)));
        counts.transfer(ShardId::new(1), ShardId::new(0));
        assert_eq!(counts.reserve(ShardId::new(0)), Some(ShardId::new(1)));
    }

    #[test]
    fn no_more_than_the_limit_are_let_in_and_a_place_comes_back() {
        let counts = counts(2, 3);
        let places: Vec<_> = (0..3).map(|_| counts.reserve(ShardId::FIRST).unwrap()).collect();
        assert_eq!(counts.reserve(ShardId::FIRST), None);
        assert_eq!(counts.total(), 3);
        counts.release(places[1]);
        assert_eq!(counts.total(), 2);
        assert!(counts.reserve(ShardId::FIRST).is_some());
    }
}
