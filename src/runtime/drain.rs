//! The end of a core: no new connections, no new requests, nothing lost.
//!
//! Answers close their connections from the signal on. After `drain_delay` the core takes
//! in what waits at its listener, then stops it: a queue that is closed would reset its
//! connections. Idle connections are closed, requests in flight are answered, and after
//! `timeouts.drain` at the latest the core is done. A core is not done before all are: its
//! peers may still ask it, or hand over a connection that they accepted last. Then the journal
//! hears of all deadlines as they are.

use std::rc::Rc;
use std::time::Duration;

use monoio::net::TcpListener;

use super::accept;
use super::core::Core;
use super::listener;
use crate::admin::Readiness;
use crate::journal::CoreJournal;
use crate::shard::Walked;
use crate::store::Walk;
use crate::types::Millis;

/// How often the core looks whether its last connection has gone, or the disk has gone on.
const PAUSE: Duration = Duration::from_millis(10);
/// How long the disk may take to hear of all deadlines.
const DEADLINES_TIMEOUT: Millis = Millis::from_secs(30);

/// Ends this core's service; returns when all cores' connections are gone or have had their
/// time.
pub async fn drain(core: Rc<Core>, listener: Rc<TcpListener>) {
    core.with_node(|node| node.drain());
    core.shared.readiness.reach(Readiness::Draining);
    pause(core.shared.timeouts.drain_delay).await;
    core.stop_accepting();
    accept::accept_queued(&core, &listener);
    if let Err(error) = listener::stop(&listener) {
        log::warn!("the listener could not be stopped: {error}");
    }
    core.connections.borrow_mut().drain();
    let start = core.with_node(|node| node.now().moment);
    let until = start.after(core.shared.timeouts.drain);
    // Those that are turned away have no place among the counts, and are never handed over.
    while core.connections.borrow().len() > 0 || core.shared.counts.total() > 0 {
        let now = core.with_node(|node| node.now().moment);
        if now >= until {
            let left = core.connections.borrow().len();
            return log::warn!("core {}: {left} connections are cut off", core.here());
        }
        monoio::time::sleep(PAUSE).await;
    }
}

/// Logs every session's deadline as it is, so that after this end a session ends when it was to
/// end, and hands over what is left.
pub async fn log_deadlines(core: &Core) {
    if core.with_node(|node| node.journal().is_none()) {
        return;
    }
    let start = core.with_node(|node| node.now().moment);
    let mut walk = Walk::default();
    loop {
        let (walked, now) = core.with_node(|node| (node.log_deadlines(&mut walk), node.now().moment));
        let is_handed_over = || core.with_node(|node| node.journal().is_none_or(CoreJournal::is_handed_over));
        match walked {
            Walked::More => core.rest().await,
            Walked::Done if is_handed_over() => return,
            // No room comes back: the journal itself says that it has failed.
            _ if core.with_node(|node| node.has_failed()) => return,
            Walked::Done | Walked::NoRoom if now.since(start) < DEADLINES_TIMEOUT => {
                monoio::time::sleep(PAUSE).await;
            }
            Walked::Done | Walked::NoRoom => {
                return log::warn!(
                    "core {}: the disk is too slow or full: not all deadlines are exact",
                    core.here()
                );
            }
        }
    }
}

async fn pause(span: Millis) {
    if span > Millis::ZERO {
        monoio::time::sleep(Duration::from_millis(span.as_u64())).await;
    }
}
