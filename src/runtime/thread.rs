//! A core's thread, from its first line to its last: pin, build, serve, drain.
//!
//! The event loop and everything in it is built on the thread that will use it, so that its
//! memory is near and the ring has one issuer. If the thread panics its shard is gone, so the
//! process ends; the runtime itself is never dropped, because the kernel may still write
//! into its buffers.

use std::net::TcpListener as StdTcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use monoio::net::TcpListener;

use super::accept;
use super::clock::Clock;
use super::core::{Core, Inbox, Peer, Shared};
use super::cpus;
use super::doorbell::{Bell, UnhungBell};
use super::drain::{drain, log_deadlines};
use super::driver::{CoreRuntime, DriverChoice};
use super::entropy::Entropy;
use super::launch::{Common, Event, LaunchError, LaunchSettings};
use super::listener;
use super::restore::{Restored, ShardRestore};
use crate::api::Settings;
use crate::journal::{CoreJournal, JournalClock};
use crate::mesh::{Loads, Node, NodeLimits, NodeParts, Placement, Random, TransitPool};
use crate::metrics::CoreMetrics;
use crate::registry::{Buckets, Replica};
use crate::shard::{Owners, Shard};
use crate::store::{self, Lease, MemoryPool, Store};
use crate::types::{ApiKeyBytes, BootEpoch, CpuId, ShardId, Ttl};

/// How often a core looks after timeouts and due sessions. The wheel's own tick is a second.
const TICK: Duration = Duration::from_millis(250);

/// What a core is grown from, on its own thread.
pub struct CoreSeed {
    here: ShardId,
    pin: Option<CpuId>,
    driver: DriverChoice,
    ttl: Ttl,
    limits: NodeLimits,
    replies_max: usize,
    mailboxes: (Vec<Peer>, Inbox, UnhungBell),
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    owners: Owners,
    loads: Loads,
    memory: Arc<MemoryPool>,
    transit: TransitPool,
    metrics: Arc<CoreMetrics>,
    past: Past,
}

/// What was there before this start, as far as it concerns one core.
pub struct Past {
    /// The number of this start.
    pub epoch: BootEpoch,
    /// The buckets that there are.
    pub buckets: Arc<Buckets>,
    /// The sessions to be restored; none where nothing outlives the process.
    pub restore: Option<ShardRestore>,
}

/// What a core waits for once it has restored its sessions.
pub struct Order {
    /// Where it accepts connections.
    pub listener: StdTcpListener,
    /// Where it keeps what it does.
    pub journal: Option<CoreJournal>,
}

impl CoreSeed {
    /// The seed of one core among those that `common` ties together.
    pub(super) fn new(
        here: ShardId,
        pin: Option<CpuId>,
        settings: &LaunchSettings,
        common: &Common,
        (mailboxes, past): ((Vec<Peer>, Inbox, UnhungBell), Past),
    ) -> Self {
        Self {
            here,
            pin,
            driver: settings.driver,
            ttl: settings.rules.ttl,
            limits: settings.node_limits,
            replies_max: settings.connections_max as usize,
            mailboxes,
            shared: Arc::clone(&common.shared),
            settings: Arc::clone(&common.settings),
            owners: common.owners.clone(),
            loads: common.loads.clone(),
            memory: Arc::clone(&common.memory),
            transit: common.transit.clone(),
            metrics: Arc::clone(&common.metrics[here.index()]),
            past,
        }
    }
}

/// Runs a core until the process ends.
pub fn run_core(seed: CoreSeed, orders: &Receiver<Order>, events: &Sender<Event>) {
    let here = seed.here;
    let lived = catch_unwind(AssertUnwindSafe(|| {
        if let Err(error) = live(seed, orders, events) {
            // Nobody listens any more only where another core has failed before.
            let _ = events.send(Event::Failed(error));
        }
    }));
    if lived.is_err() {
        log::error!("core {here} has panicked and its sessions are out of reach; the process ends here");
        std::process::abort();
    }
}

fn live(mut seed: CoreSeed, orders: &Receiver<Order>, events: &Sender<Event>) -> Result<(), LaunchError> {
    if let Some(cpu) = seed.pin
        && let Err(error) = cpus::pin_current_thread(cpu)
    {
        log::warn!("core {} runs unpinned: CPU {cpu} was refused: {error}", seed.here);
    }
    let mut runtime = CoreRuntime::build(seed.driver)?;
    let kind = runtime.kind();
    let description = runtime.description().to_owned();
    let (mut shard, clock) = restore(&mut seed, events)?;
    // Where the start has failed elsewhere nobody orders anything, and the process ends.
    let Ok(Order { listener, journal }) = orders.recv() else { return Ok(()) };
    if let Some((journal, clock)) = journal.zip(clock) {
        shard.keep_in(journal, clock, seed.ttl);
    }
    let node = Node::new(node_parts(&seed, shard)?);
    let (peers, inbox, bell) = seed.mailboxes;
    let core = Rc::new(Core::new(node, (peers, inbox), seed.replies_max, seed.shared, kind));
    let lived = runtime.block_on(async {
        let listener = Rc::new(listener::enter(listener, kind)?);
        let bell = bell.hang(kind)?;
        drop(monoio::spawn(accept::accept(Rc::clone(&core), Rc::clone(&listener))));
        drop(monoio::spawn(tick(Rc::clone(&core))));
        drop(monoio::spawn(answer_bell(Rc::clone(&core), bell, listener, events.clone())));
        let _ = events.send(Event::Ready(core.here(), description));
        loop {
            for (socket, caller) in core.end_turn().await {
                accept::take_over(&core, socket, caller);
            }
        }
    });
    std::mem::forget(runtime);
    lived
}

/// The core's shard with all that was there before, and the clock that its deadlines are kept by.
fn restore(
    seed: &mut CoreSeed,
    events: &Sender<Event>,
) -> Result<(Shard, Option<JournalClock>), LaunchError> {
    let rules = store::Settings { ttl: seed.ttl, epoch: seed.past.epoch };
    let lease = Lease::new(Arc::clone(&seed.memory));
    let store = Store::new(rules, seed.owners.hasher().clone(), Clock::now().moment, lease);
    let mut shard = Shard::new(store);
    let clock = seed.past.restore.as_ref().map(|part| part.clock);
    let restored = match seed.past.restore.take() {
        Some(part) => part.load(&mut shard)?,
        None => Restored::default(),
    };
    let _ = events.send(Event::Restored(restored));
    Ok((shard, clock))
}

fn node_parts(seed: &CoreSeed, shard: Shard) -> Result<NodeParts, LaunchError> {
    let mut random = Entropy::new()?;
    let replica = Replica::new(&random.bytes32());
    Ok(NodeParts {
        here: seed.here,
        owners: seed.owners.clone(),
        shard,
        replica,
        buckets: Arc::clone(&seed.past.buckets),
        settings: Arc::clone(&seed.settings),
        limits: seed.limits,
        placement: Placement::new(seed.here, seed.loads.clone()),
        transit: seed.transit.clone(),
        random: Box::new(random),
        metrics: Arc::clone(&seed.metrics),
    })
}

impl Random for Entropy {
    fn id_bytes(&mut self) -> [u8; 16] {
        self.bytes16()
    }

    fn key_bytes(&mut self) -> ApiKeyBytes {
        self.bytes32()
    }
}

async fn tick(core: Rc<Core>) {
    loop {
        monoio::time::sleep(TICK).await;
        core.tick();
    }
}

/// Wakes the core when a peer or a signal rings, and starts its end when that is due.
async fn answer_bell(core: Rc<Core>, mut bell: Bell, listener: Rc<TcpListener>, events: Sender<Event>) {
    let mut listener = Some(listener);
    loop {
        if let Err(error) = bell.wait().await {
            log::error!("the doorbell of core {} is broken: {error}", core.here());
            std::process::abort();
        }
        core.answer_bell();
        if core.shared.stopping.is_set()
            && let Some(listener) = listener.take()
        {
            let (core, events) = (Rc::clone(&core), events.clone());
            drop(monoio::spawn(async move {
                drain(Rc::clone(&core), listener).await;
                log_deadlines(&core).await;
                let _ = events.send(Event::Drained);
            }));
        }
    }
}
