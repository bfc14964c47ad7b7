//! New connections: accepted by every core, spread evenly over all of them.
//!
//! SO_REUSEPORT spreads few connections badly (8 over 4 cores came out as 2, 3, 1, 2), and
//! app servers keep few. So a core that holds more than the least loaded one hands the new
//! socket over, once, between accept and the first read. Accepting never stops for an
//! error; when descriptors run out it pauses, since trying again at once would spin.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use monoio::net::{TcpListener, TcpStream};

use super::core::Core;
use super::serve::{Admission, serve};
use super::share::Share;
use super::{fd, listener};
use crate::api::Caller;
use crate::types::ShardId;

/// The pause after an accept that failed for lack of descriptors or memory.
const EXHAUSTION_PAUSE: Duration = Duration::from_millis(50);

/// Connections that are accepted in one turn.
const ACCEPTS_PER_TURN_MAX: u32 = 64;

/// Accepts connections until the listener is stopped.
pub async fn accept(core: Rc<Core>, listener: Rc<TcpListener>) {
    let mut share = Share::new(ACCEPTS_PER_TURN_MAX);
    loop {
        share.take(&core).await;
        match listener.accept().await {
            Ok((stream, _)) => place(&core, stream),
            Err(_) if core.has_stopped_accepting() => return,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log::warn!("a connection could not be accepted: {error}");
                core.with_node(|node| node.metrics().accept_failed());
                monoio::time::sleep(EXHAUSTION_PAUSE).await;
            }
        }
    }
}

/// Takes in the connections that wait in the listener's queue, without waiting for more.
pub fn accept_queued(core: &Rc<Core>, listener: &TcpListener) {
    loop {
        match listener::accept_queued(listener) {
            Ok(Some(socket)) => {
                if let Some(stream) = adopt(core, socket) {
                    place(core, stream);
                }
            }
            Ok(None) => return,
            Err(error) => return log::warn!("waiting connections could not be accepted: {error}"),
        }
    }
}

/// Takes a connection over that a peer has accepted and reserved a place for.
pub fn take_over(core: &Rc<Core>, socket: OwnedFd, caller: Caller) {
    match adopt(core, socket) {
        Some(stream) => start(core, stream, caller, Admission::Admitted),
        None => core.shared.counts.release(core.here()),
    }
}

/// Finds the core that shall hold a connection.
fn place(core: &Rc<Core>, stream: TcpStream) {
    let here = core.with_node(|node| {
        node.metrics().connection_accepted();
        node.here()
    });
    // Only the first two can fail, and only where the client is gone again.
    let _ = stream.set_nodelay(true);
    let caller = caller_of(&stream);
    match core.shared.counts.reserve(here) {
        None => {
            core.with_node(|node| node.metrics().connection_refused());
            if core.turn_away() {
                start(core, stream, caller, Admission::TurnedAway);
            }
        }
        Some(chosen) if chosen == here => start(core, stream, caller, Admission::Admitted),
        Some(other) => hand_over(core, other, stream, caller),
    }
}

fn hand_over(core: &Rc<Core>, to: ShardId, stream: TcpStream, caller: Caller) {
    match core.hand_over(to, fd::into_owned(stream), caller) {
        Ok(()) => core.with_node(|node| node.metrics().connection_handed_over()),
        Err(socket) => {
            core.shared.counts.transfer(to, core.here());
            take_over(core, socket, caller);
        }
    }
}

fn start(core: &Rc<Core>, stream: TcpStream, caller: Caller, admission: Admission) {
    drop(monoio::spawn(serve(Rc::clone(core), stream, caller, admission)));
}

fn adopt(core: &Core, socket: OwnedFd) -> Option<TcpStream> {
    match listener::adopt(socket, core.driver) {
        Ok(stream) => Some(stream),
        Err(error) => {
            log::warn!("a connection could not enter its event loop: {error}");
            core.with_node(|node| node.metrics().accept_failed());
            None
        }
    }
}

/// Who is at the other end. A socket that cannot tell belongs to nobody we trust.
fn caller_of(stream: &TcpStream) -> Caller {
    let is_loopback = stream.peer_addr().is_ok_and(|remote| remote.ip().to_canonical().is_loopback());
    Caller { is_loopback }
}
