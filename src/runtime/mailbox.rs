//! A core's receiving side: three lanes, a flag that says it sleeps, a doorbell.
//!
//! ```text
//!  peers ──▶ requests (bounded: full is a refusal) ─┐
//!        ──▶ replies  (a place is reserved for each) ├─▶ the core, woken by its doorbell
//!        ──▶ control  (bounded) ────────────────────┘
//! ```
//! Posting publishes and returns; it never blocks and rings nobody. At the end of its turn
//! the poster calls [`MailboxSender::ring_if_parked`] once for each peer, which wakes the
//! peer if it sleeps. Before it sleeps, a core asks [`MailboxReceiver::prepare_to_park`].
//! Items should be pointers: a lane allocates all of its places at once.

use std::cell::Cell;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::doorbell::Doorbell;
use super::park::ParkFlag;

/// How much the lanes of one mailbox hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailboxRoom {
    /// Requests from all peers together; one more is refused. At least 1.
    pub requests_max: usize,
    /// Replies from all peers together. Not less than the forwards that this core may have
    /// away at a time, so that a reply always finds its place. At least 1.
    pub replies_max: usize,
    /// Control frames from all peers and threads together. At least 1.
    pub controls_max: usize,
}

/// How many items wait in a mailbox, by lane.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MailboxDepth {
    /// Waiting requests.
    pub requests: usize,
    /// Waiting replies.
    pub replies: usize,
    /// Waiting control frames.
    pub controls: usize,
}

/// The lane had no room, or its core is gone: the item comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Returned<Item>(pub Item);

/// Makes a mailbox of this much room, whose owner is woken by `doorbell`.
pub fn mailbox<Request, Reply, Control>(
    room: MailboxRoom,
    doorbell: Doorbell,
) -> (MailboxSender<Request, Reply, Control>, MailboxReceiver<Request, Reply, Control>) {
    debug_assert!(
        room.requests_max > 0 && room.replies_max > 0 && room.controls_max > 0,
        "a lane without room would pass nothing on: {room:?}"
    );
    let (requests_in, requests) = bounded(room.requests_max);
    let (replies_in, replies) = bounded(room.replies_max);
    let (controls_in, controls) = bounded(room.controls_max);
    let wake = Arc::new(Wake { flag: ParkFlag::awake(), doorbell });
    let sender = MailboxSender {
        requests: requests_in,
        replies: replies_in,
        controls: controls_in,
        wake: Arc::clone(&wake),
        has_posted: Cell::new(false),
    };
    (sender, MailboxReceiver { requests, replies, controls, wake, is_announced: false })
}

/// What both sides share beside the lanes.
#[derive(Debug)]
struct Wake {
    flag: ParkFlag,
    doorbell: Doorbell,
}

/// The posting side: what a core holds of a peer. Each core and each thread has a clone of
/// its own.
#[derive(Debug)]
pub struct MailboxSender<Request, Reply, Control> {
    requests: Sender<Request>,
    replies: Sender<Reply>,
    controls: Sender<Control>,
    wake: Arc<Wake>,
    /// Whether this clone has posted since it last looked whether the peer sleeps.
    has_posted: Cell<bool>,
}

impl<Request, Reply, Control> MailboxSender<Request, Reply, Control> {
    /// Publishes a request, or gives it back where the lane is full.
    pub fn post_request(&self, request: Request) -> Result<(), Returned<Request>> {
        self.post(&self.requests, request)
    }

    /// Publishes a reply, whose place was reserved when the request left. It is dropped
    /// where the core that asked is gone.
    ///
    /// # Panics
    /// If the lane is full: more forwards were away than the mailbox was made for, and a
    /// connection would wait for this reply for ever.
    pub fn post_reply(&self, reply: Reply) {
        let sent = self.replies.try_send(reply);
        assert!(!matches!(sent, Err(TrySendError::Full(_))), "a reply has a reserved place");
        self.has_posted.set(true);
    }

    /// Publishes a control frame, or gives it back where the lane is full.
    pub fn post_control(&self, control: Control) -> Result<(), Returned<Control>> {
        self.post(&self.controls, control)
    }

    /// Publishes a control frame and wakes the core at once: for threads that have no turn,
    /// such as the one that waits for signals.
    pub fn post_and_ring(&self, control: Control) -> Result<(), Returned<Control>> {
        self.post_control(control)?;
        self.ring_if_parked();
        Ok(())
    }

    /// Wakes the core if it sleeps and something was posted through this clone since the
    /// last call. Once a peer and turn: a wake-up costs 20 µs of CPU, a posted item 0.2.
    pub fn ring_if_parked(&self) {
        if self.has_posted.take() && self.wake.flag.should_ring() {
            self.wake.doorbell.ring();
        }
    }

    fn post<Item>(&self, lane: &Sender<Item>, item: Item) -> Result<(), Returned<Item>> {
        // The receiver, too, is behind this: a core that is gone takes nothing more.
        lane.try_send(item).map_err(|refused| Returned(refused.into_inner()))?;
        self.has_posted.set(true);
        Ok(())
    }
}

impl<Request, Reply, Control> Clone for MailboxSender<Request, Reply, Control> {
    /// A sender of its own, which has posted nothing yet.
    fn clone(&self) -> Self {
        Self {
            requests: self.requests.clone(),
            replies: self.replies.clone(),
            controls: self.controls.clone(),
            wake: Arc::clone(&self.wake),
            has_posted: Cell::new(false),
        }
    }
}

impl<Request, Reply, Control> Drop for MailboxSender<Request, Reply, Control> {
    /// What was posted is worth a wake-up even if its turn never ended.
    fn drop(&mut self) {
        self.ring_if_parked();
    }
}

/// The receiving side, on the core that owns the mailbox.
#[derive(Debug)]
pub struct MailboxReceiver<Request, Reply, Control> {
    requests: Receiver<Request>,
    replies: Receiver<Reply>,
    controls: Receiver<Control>,
    wake: Arc<Wake>,
    /// Whether this side has set the flag and not withdrawn it. A ringer may have cleared it.
    is_announced: bool,
}

impl<Request, Reply, Control> MailboxReceiver<Request, Reply, Control> {
    /// Takes waiting requests, at most `count_max` of them.
    pub fn drain_requests(&self, count_max: usize) -> impl Iterator<Item = Request> {
        self.requests.try_iter().take(count_max)
    }

    /// Takes the next reply.
    pub fn try_reply(&self) -> Option<Reply> {
        self.replies.try_recv().ok()
    }

    /// Takes the next control frame.
    pub fn try_control(&self) -> Option<Control> {
        self.controls.try_recv().ok()
    }

    /// How many items wait.
    pub fn depth(&self) -> MailboxDepth {
        MailboxDepth {
            requests: self.requests.len(),
            replies: self.replies.len(),
            controls: self.controls.len(),
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.replies.is_empty() && self.controls.is_empty()
    }

    /// Says that this core will sleep, and looks once more. True: every item posted from
    /// now on rings the doorbell. False: something waits, and the core is awake still.
    #[must_use = "a core that sleeps on a false answer may never be woken"]
    pub fn prepare_to_park(&mut self) -> bool {
        self.wake.flag.announce();
        self.is_announced = true;
        if self.is_empty() {
            return true;
        }
        self.unpark();
        false
    }

    /// Says that this core is awake, which saves its peers the ringing. Costs nothing where
    /// it is known to be.
    pub fn unpark(&mut self) {
        if std::mem::take(&mut self.is_announced) {
            self.wake.flag.withdraw();
        }
    }

    /// The doorbell of this core, for its own continuation when a turn's bound is reached.
    pub fn doorbell(&self) -> &Doorbell {
        &self.wake.doorbell
    }
}

#[cfg(test)]
mod tests;
