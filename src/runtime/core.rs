//! One core: its node, its connections, its peers, and the turns in which it works.
//!
//! A turn begins when the first task touches the node: the clock is read once and the
//! mailbox says "awake". It ends after all ready tasks have run and before the thread
//! sleeps: waiting mail is served, what was logged is handed to the journal, mail of our own
//! goes out, each peer is rung once, and the mailbox says "asleep". Between an end and the
//! next beginning a peer that posts rings the doorbell, and so does the journal for what is
//! waited for; nothing waits for longer than a wake-up.
//!
//! Nothing here is shared but the mailboxes and what [`Shared`] holds.

mod turn_end;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::clock::Clock;
use super::connections::{Connections, Counts};
use super::driver::DriverKind;
use super::mailbox::{MailboxReceiver, MailboxSender, Returned};
use super::signals::Stopping;
use super::turn::Turn;
use super::usage;
use crate::admin::ReadinessCell;
use crate::api::Caller;
use crate::http::Limits;
use crate::mesh::{Conversation, Next, Node, Parcel, Pending, Reply, Ticket, Waiting, Waits};
use crate::registry::{Change, RegistryVersion};
use crate::types::{Millis, ShardId};

/// Requests of peers that are served in one turn.
pub const SERVED_PER_TURN_MAX: usize = 512;
/// Steps of expiry work in one turn, some 50 µs: uncapped, one tick over 10 M sessions took 74 ms,
/// and of 256 the requests of a core at half of its rate had to wait for one another.
const EXPIRY_STEPS_PER_TURN: usize = 32;

/// Connections above the limit that a core tells so at a time, before it closes them; any more
/// are closed without a word, since each holds a descriptor until its client has read.
pub const TURNED_AWAY_MAX: u32 = 16;

/// What the request lane carries.
#[derive(Debug)]
pub enum Request {
    /// Something to answer.
    Parcel(Parcel),
    /// A connection to take over, fresh from a peer's listener.
    Connection(OwnedFd, Caller),
}

/// What the control lane carries.
#[derive(Debug)]
pub enum Control {
    /// A change of the registry.
    Change(Change),
    /// A peer has taken a change over.
    Acknowledgement(RegistryVersion),
}

/// The posting side of a core's mailbox.
pub type Peer = MailboxSender<Request, Parcel, Control>;
/// The receiving side.
pub type Inbox = MailboxReceiver<Request, Parcel, Control>;

/// How long the server waits for each thing.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// A head, from its first byte to its last.
    pub head: Millis,
    /// A body, from the head's end to its own.
    pub body: Millis,
    /// The next request.
    pub idle: Millis,
    /// A write that makes no progress.
    pub write: Millis,
    /// Between the signal to stop and the end of accepting.
    pub drain_delay: Millis,
    /// Requests in flight, from the end of accepting on.
    pub drain: Millis,
}

/// What all cores look at. Constants, and counters that are written at accept and close only.
#[derive(Debug)]
pub struct Shared {
    /// What one client may send.
    pub http_limits: Limits,
    /// How long each thing may take.
    pub timeouts: Timeouts,
    /// How many connections each core holds.
    pub counts: Counts,
    /// Whether a signal has asked for the end.
    pub stopping: Stopping,
    /// What the admin listener says of the server.
    pub readiness: Arc<ReadinessCell>,
}

/// What an output waits for will never come: it must not leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NeverKept;

/// One core, for all tasks of its thread.
pub struct Core {
    node: RefCell<Node>,
    pending: RefCell<Pending<Waker>>,
    /// Connections whose output waits for the journal.
    waiting: RefCell<Waiting<Waker>>,
    /// In order of the shards; our own place is there and never posted to.
    peers: Vec<Peer>,
    inbox: RefCell<Inbox>,
    /// Open connections and what each waits for.
    pub(super) connections: RefCell<Connections>,
    turn: Turn,
    is_in_turn: Cell<bool>,
    /// Whether more sessions were due than the last turn could expire.
    is_expiry_due: Cell<bool>,
    has_stopped_accepting: Cell<bool>,
    /// Connections that are being told that there are too many.
    turned_away: Cell<u32>,
    /// How many turns have ended.
    turns: Cell<u64>,
    /// Tasks that have had their share of a turn, and go on once the kernel was asked again.
    resting: RefCell<Vec<Waker>>,
    pub(super) shared: Arc<Shared>,
    pub(super) driver: DriverKind,
}

impl Core {
    /// A core around its node. `replies_max` is how many forwards it may have away.
    pub fn new(
        node: Node,
        (peers, inbox): (Vec<Peer>, Inbox),
        replies_max: usize,
        shared: Arc<Shared>,
        driver: DriverKind,
    ) -> Self {
        Self {
            waiting: RefCell::new(Waiting::new(node.shards())),
            node: RefCell::new(node),
            pending: RefCell::new(Pending::new(replies_max)),
            peers,
            inbox: RefCell::new(inbox),
            connections: RefCell::new(Connections::default()),
            turn: Turn::new(),
            is_in_turn: Cell::new(false),
            is_expiry_due: Cell::new(false),
            has_stopped_accepting: Cell::new(false),
            turned_away: Cell::new(0),
            turns: Cell::new(0),
            resting: RefCell::new(Vec::new()),
            shared,
            driver,
        }
    }

    /// The shard that this core owns.
    pub fn here(&self) -> ShardId {
        self.with_node(|node| node.here())
    }

    /// Whether the listener is stopped, or is about to be.
    pub fn has_stopped_accepting(&self) -> bool {
        self.has_stopped_accepting.get()
    }

    /// The listener is about to be stopped.
    pub fn stop_accepting(&self) {
        self.has_stopped_accepting.set(true);
    }

    /// Does something with the node, in this turn. No two tasks can meet in here, since
    /// nothing awaits.
    pub fn with_node<T>(&self, act: impl FnOnce(&mut Node) -> T) -> T {
        let mut node = self.node.borrow_mut();
        if !self.is_in_turn.replace(true) {
            node.begin_turn(Clock::now());
            self.inbox.borrow_mut().unpark();
            self.turn.mark();
        }
        act(&mut node)
    }

    /// Makes sure that this turn has an end, in which the mailbox is looked at.
    pub fn wake(&self) {
        self.with_node(|_| ());
    }

    /// The doorbell was rung: this turn has an end, and whoever rests, or waits for what the
    /// journal has by now, goes on.
    pub fn answer_bell(&self) {
        self.with_node(|node| self.wake_met(node));
        self.resting.take().into_iter().for_each(Waker::wake);
    }

    /// How many turns have ended: tells one from the next.
    pub fn turns(&self) -> u64 {
        self.turns.get()
    }

    /// Lets other tasks, the kernel and the timers have their turn first. It is the doorbell
    /// that brings the caller back: a task that wakes itself would keep the loop from asking
    /// the kernel.
    pub async fn rest(&self) {
        self.wake();
        let mut has_rested = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut has_rested, true) {
                return Poll::Ready(());
            }
            self.resting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Lets a conversation go on.
    pub fn advance(&self, conversation: &mut Conversation) -> Next {
        self.tell(conversation, Conversation::advance).unwrap_or(Next::Close { linger: true })
    }

    /// Tells a conversation something. A panic in there costs that connection, not the core.
    pub fn tell<T>(
        &self,
        conversation: &mut Conversation,
        news: impl FnOnce(&mut Conversation, &mut Node) -> T,
    ) -> Option<T> {
        self.with_node(|node| {
            let told = catch_unwind(AssertUnwindSafe(|| news(conversation, node)));
            told.map_err(|_| conversation.take_panic(node)).ok()
        })
    }

    /// Takes a connection on that is only told that there are too many. False where there are
    /// too many of these as well.
    pub fn turn_away(&self) -> bool {
        let is_told = self.turned_away.get() < TURNED_AWAY_MAX;
        self.turned_away.set(self.turned_away.get() + u32::from(is_told));
        is_told
    }

    /// A connection that was turned away is gone.
    pub fn forget_turned_away(&self) {
        debug_assert!(self.turned_away.get() > 0, "each is forgotten once");
        self.turned_away.set(self.turned_away.get() - 1);
    }

    /// Sends a question off, or gives it back where there is no room for it.
    pub fn ask(&self, owner: ShardId, mut parcel: Parcel) -> Result<Ticket, Parcel> {
        self.with_node(|node| {
            let mut pending = self.pending.borrow_mut();
            let Some(ticket) = pending.reserve(&mut parcel, node.now().moment) else {
                node.metrics().forward_refused();
                return Err(parcel);
            };
            if owner == node.here() {
                node.serve(parcel);
                return Ok(ticket);
            }
            match self.peers[owner.index()].post_request(Request::Parcel(parcel)) {
                Ok(()) => {
                    node.metrics().forward_sent();
                    Ok(ticket)
                }
                Err(Returned(request)) => {
                    pending.cancel(ticket);
                    node.metrics().forward_refused();
                    match request {
                        Request::Parcel(parcel) => Err(parcel),
                        Request::Connection(..) => unreachable!("what is posted comes back"),
                    }
                }
            }
        })
    }

    /// The answer to a question, if it has come; otherwise `waker` is woken when it does.
    pub fn poll_reply(&self, ticket: Ticket, waker: &Waker) -> Option<Reply> {
        self.pending.borrow_mut().poll(ticket, || waker.clone())
    }

    /// Whether all that an output waits for has come; otherwise `waker` is woken when something
    /// of it has. It never will where nothing can be kept any more.
    pub fn poll_kept(&self, waits: &mut Waits, waker: &Waker) -> Poll<Result<(), NeverKept>> {
        if waits.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.with_node(|node| match waits.first_missing(|shard, wait| node.missing(shard, wait)) {
            None => Poll::Ready(Ok(())),
            Some(_) if node.has_failed() => Poll::Ready(Err(NeverKept)),
            Some(missing) => {
                self.waiting.borrow_mut().enter(missing, waker.clone());
                Poll::Pending
            }
        })
    }

    /// Hands a connection to a peer, or back where the peer has no room.
    pub fn hand_over(&self, to: ShardId, socket: OwnedFd, caller: Caller) -> Result<(), OwnedFd> {
        self.wake();
        match self.peers[to.index()].post_request(Request::Connection(socket, caller)) {
            Ok(()) => Ok(()),
            Err(Returned(Request::Connection(socket, _))) => Err(socket),
            Err(Returned(Request::Parcel(_))) => unreachable!("what is posted comes back"),
        }
    }

    /// Does what belongs to each tick: gives up on late answers, expires sessions, looks
    /// after the connections' timeouts, shows how things are.
    pub fn tick(&self) {
        let late = self.with_node(|node| {
            // Before the lag is shown: what falls due between two ticks is not behind.
            self.expire(node);
            node.tick();
            node.metrics().show_cpu_time(millis(usage::thread_cpu_time()));
            self.pending.borrow_mut().time_out(node.now().moment)
        });
        for waker in late {
            self.with_node(|node| node.metrics().forward_timed_out());
            waker.wake();
        }
        let now = self.with_node(|node| node.now().moment);
        self.connections.borrow_mut().time_out(now, &self.shared.timeouts);
    }
}

fn millis(span: std::time::Duration) -> Millis {
    Millis::new(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}
