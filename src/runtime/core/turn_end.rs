//! The end of a turn: mail is served, what was logged is handed over, mail goes out, and the
//! core looks once more before it may sleep.
//!
//! Every piece of work in here has a bound; what is left over goes on in the next turn, which
//! the core's own doorbell begins, so that other tasks and the kernel come first.

use std::os::fd::OwnedFd;
use std::task::Waker;

use super::{Control, Core, EXPIRY_STEPS_PER_TURN, Request, SERVED_PER_TURN_MAX};
use crate::api::Caller;
use crate::journal::{Level, Sequence, Wait};
use crate::mesh::{Mail, Node, Parcel};

impl Core {
    /// Waits for the turn's end and does what belongs to it. Yields the connections that
    /// peers have handed over.
    pub async fn end_turn(&self) -> Vec<(OwnedFd, Caller)> {
        self.turn.end().await;
        let mut taken = Vec::new();
        let has_more = self.with_node(|node| {
            let has_more = self.serve_mail(node, &mut taken);
            if self.is_expiry_due.get() {
                self.expire(node);
            }
            let is_cleaning = node.clean();
            // First of all: the journal has most to do.
            let is_handed_over = node.hand_over();
            self.send_mail(node);
            node.metrics().turn_ended(node.now().moment);
            let has_news = self.announce_waits(node, is_handed_over);
            has_more
                || has_news
                || is_cleaning
                || self.is_expiry_due.get()
                || !self.resting.borrow().is_empty()
        });
        for peer in &self.peers {
            peer.ring_if_parked();
        }
        self.is_in_turn.set(false);
        self.turns.set(self.turns.get() + 1);
        let mut inbox = self.inbox.borrow_mut();
        if has_more || !inbox.prepare_to_park() {
            // Other tasks and the kernel come first; the doorbell brings us back.
            inbox.doorbell().ring();
        }
        taken
    }

    /// Before the core may sleep: asks the journal to ring for what is waited for, then looks once
    /// more. True where something has come that this core itself waits for.
    fn announce_waits(&self, node: &Node, is_handed_over: bool) -> bool {
        let Some(journal) = node.journal() else { return false };
        let awaited = node.awaited().unwrap_or_default();
        for level in [Level::Written, Level::Synced] {
            // What had no room in the journal's lane is tried again once something is written.
            let is_stuck = level == Level::Written && !is_handed_over;
            if self.waiting.borrow().is_for(level) || awaited.at(level) > Sequence::NONE || is_stuck {
                journal.announce(level);
            }
        }
        self.wake_met(node);
        node.awaited().is_some_and(Wait::is_none)
    }

    /// Wakes the connections whose record has come; all, where none will come any more.
    pub(super) fn wake_met(&self, node: &Node) {
        let Some(journal) = node.journal() else { return };
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            return;
        }
        while let Some(waker) = waiting.poll_met(|shard, level| journal.reached(shard, level)) {
            waker.wake();
        }
        if node.has_failed() {
            waiting.take_all().for_each(Waker::wake);
        }
        node.metrics().show_outputs_waiting(waiting.len());
    }

    pub(super) fn expire(&self, node: &mut Node) {
        self.is_expiry_due.set(node.expire(EXPIRY_STEPS_PER_TURN));
    }

    /// Serves what peers have posted, within the turn's bound. Says whether there is more.
    fn serve_mail(&self, node: &mut Node, taken: &mut Vec<(OwnedFd, Caller)>) -> bool {
        let inbox = self.inbox.borrow_mut();
        node.metrics().show_inbox_depth(inbox.depth().requests);
        while let Some(control) = inbox.try_control() {
            match control {
                Control::Change(change) => node.take_change(&change),
                Control::Acknowledgement(version) => node.take_acknowledgement(version),
            }
        }
        while let Some(parcel) = inbox.try_reply() {
            node.note_request();
            self.complete(parcel);
        }
        let mut served = 0;
        for request in inbox.drain_requests(SERVED_PER_TURN_MAX) {
            served += 1;
            match request {
                Request::Parcel(parcel) => node.serve(parcel),
                Request::Connection(socket, caller) => taken.push((socket, caller)),
            }
        }
        served == SERVED_PER_TURN_MAX
    }

    fn send_mail(&self, node: &mut Node) {
        while let Some((to, mail)) = node.poll_mail() {
            let peer = &self.peers[to.index()];
            let control = match mail {
                Mail::Reply(parcel) if to == node.here() => {
                    self.complete(parcel);
                    continue;
                }
                Mail::Reply(parcel) => {
                    peer.post_reply(parcel);
                    continue;
                }
                Mail::Change(change) => Control::Change(change),
                Mail::Acknowledgement(version) => Control::Acknowledgement(version),
            };
            // The lane has a place for every change that the authority lets be under way.
            let posted = peer.post_control(control);
            assert!(posted.is_ok(), "a change of the registry must not be lost");
        }
    }

    fn complete(&self, parcel: Parcel) {
        if let Some(waker) = self.pending.borrow_mut().complete(parcel) {
            waker.wake();
        }
    }
}
