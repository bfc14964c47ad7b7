//! The start and the end of the process: sockets, threads, signals.
//!
//! Everything that can fail does so before the first connection is accepted: addresses are
//! bound, every core has built its event loop, the system has given randomness. Then one
//! line on stdout says where the service is, and this thread watches over the process until
//! all cores are drained.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::connections::Counts;
use super::core::{Inbox, Peer, Shared, Timeouts};
use super::cpus::{self, CoreCount, Machine, Plan};
use super::descriptors;
use super::doorbell::{Doorbell, UnhungBell};
use super::driver::{DriverChoice, DriverError};
use super::entropy::{Entropy, EntropyError};
use super::lanes;
use super::listener::{self, ListenError, Listeners};
use super::mailbox::mailbox;
use super::restore::{Restored, Restoring};
use super::signals::{self, Stopping};
use super::thread::{CoreSeed, Order, Past, run_core};
use super::{admin, clock::Clock, memory, usage};
use crate::admin::{Readiness, ReadinessCell, State};
use crate::api::{MasterKeyring, PublicLimits, SessionRules, Settings};
use crate::http::Limits;
use crate::journal::{
    AsideError, CoreJournal, FeedError, Journal, LoadError, NotSettled, ReplayError, ReplayProgress,
    StartError, SyncPolicy, Tally,
};
use crate::mesh::{Loads, NodeLimits, TransitPool};
use crate::metrics::{CoreMetrics, JournalMetrics};
use crate::registry::Buckets;
use crate::shard::Owners;
use crate::store::{IdHasher, MemoryPool};
use crate::types::{BootEpoch, ByteCount, Millis, ShardCount, ShardId};

/// How long the last sync may take.
const JOURNAL_TIMEOUT: Millis = Millis::from_secs(30);
/// How often resident memory is looked at.
const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// Resident memory from which on no more data is taken, in percent of what the system allows.
const RESIDENT_PERCENT_MAX: u64 = 95;
/// Bodies and answers on their way may take this much, in percent of what sessions may.
const TRANSIT_PERCENT: u64 = 10;
/// So many payloads of the largest size have room on their way, however little memory there is.
const TRANSIT_PAYLOADS_MIN: u64 = 4;

/// How the journal is kept.
#[derive(Clone, Debug)]
pub struct JournalSettings {
    /// When an answer may leave.
    pub policy: SyncPolicy,
    /// Its folder.
    pub dir: PathBuf,
    /// Whether a damaged journal is refused.
    pub is_strict: bool,
    /// The longest time for which the process is believed to have been down.
    pub downtime_max: Millis,
}

/// Everything that is decided before the start.
#[derive(Clone, Debug)]
pub struct LaunchSettings {
    /// The service's address; port 0 picks one.
    pub listen: SocketAddr,
    /// The admin listener's address; none for no admin listener.
    pub admin_listen: Option<SocketAddr>,
    /// How many cores.
    pub cores: CoreCount,
    /// What drives sockets.
    pub driver: DriverChoice,
    /// The master keys.
    pub masters: MasterKeyring,
    /// Whether a key in the query is taken.
    pub query_key: bool,
    /// What sessions may have.
    pub rules: SessionRules,
    /// What all sessions together may take.
    pub memory_max: ByteCount,
    /// Connections at once.
    pub connections_max: u32,
    /// What one client may send.
    pub http_limits: Limits,
    /// How much is done at once.
    pub node_limits: NodeLimits,
    /// How long each thing may take.
    pub timeouts: Timeouts,
    /// How the journal is kept; none where nothing outlives the process.
    pub journal: Option<JournalSettings>,
}

/// Why there is no service. The process ends with status 1.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The service's address cannot be had.
    #[error("server.listen: {0}")]
    Listen(#[source] ListenError),
    /// The admin listener's address cannot be had.
    #[error("admin.listen: {0}; --admin-listen off starts without an admin listener")]
    Admin(#[source] ListenError),
    /// The system gives no random bytes, and without them no key or id is safe.
    #[error("no randomness: {0}")]
    Entropy(#[from] EntropyError),
    /// A core has no event loop.
    #[error("no event loop: {0}")]
    Driver(#[from] DriverError),
    /// The journal's folder cannot be read back.
    #[error("{0}")]
    Replay(#[from] ReplayError),
    /// It could be read before, and cannot be any more.
    #[error("{0}")]
    Feed(#[from] FeedError),
    /// A record has changed since it was judged.
    #[error("the journal cannot be restored: {0}")]
    Load(#[from] LoadError),
    /// Damaged segments cannot be kept aside.
    #[error("{0}")]
    Aside(#[from] AsideError),
    /// The journal cannot go on.
    #[error("the journal cannot start: {0}")]
    Journal(#[from] StartError),
    /// The end was not in order.
    #[error("{0}")]
    NotSettled(#[from] NotSettled),
    /// A core's socket or doorbell could not enter its event loop, or a thread did not start.
    #[error("a core could not start: {0}")]
    Io(#[from] io::Error),
}

/// What a core tells this thread.
#[derive(Debug)]
pub enum Event {
    /// It has restored its sessions, and waits for its order.
    Restored(Restored),
    /// It accepts connections. With what its event loop stands on.
    Ready(ShardId, String),
    /// It will never.
    Failed(LaunchError),
    /// It has no connections left and takes none.
    Drained,
}

/// Starts the service and returns when it has ended in order.
pub fn run(settings: LaunchSettings) -> Result<(), LaunchError> {
    let plan = cpus::plan(settings.cores, &Machine::inspect(), settings.journal.is_some());
    plan.notes.iter().for_each(|note| log::warn!("{note}"));
    let (connections_max, note) = descriptors::connections_allowed(settings.connections_max, plan.shards);
    note.iter().for_each(|note| log::warn!("{note}"));
    let settings = LaunchSettings { connections_max, ..settings };
    // A replay may take long: what would fail behind it fails before it.
    listener::look(settings.listen).map_err(LaunchError::Listen)?;
    let admin_listener = bind_admin(&settings)?;
    let common = Common::new(&settings, plan.shards)?;
    if let Some(listener) = admin_listener {
        admin::start(listener, common.admin_state(), settings.memory_max)?;
    }
    let mut restoring = match &settings.journal {
        Some(journal) => Some(Restoring::open(journal, &settings.rules, &common.owners, &common.replay)?),
        None => None,
    };
    let (events_in, events) = unbounded();
    let cores = start_cores(&settings, (&plan, restoring.as_mut()), &common, &events_in)?;
    let restored = await_restored(&events, plan.shards)?;
    let (journal, core_journals) = match restoring {
        Some(restoring) => start_journal(restoring, restored, (&settings, &common, &cores))?,
        None => (None, plan.shards.shards().map(|_| None).collect()),
    };
    let Listeners { address, sockets } =
        listener::bind_all(settings.listen, plan.shards).map_err(LaunchError::Listen)?;
    for ((listener, journal), core) in sockets.into_iter().zip(core_journals).zip(&cores) {
        // A core that is gone has said so.
        let _ = core.orders.send(Order { listener, journal });
    }
    await_ready(&events, plan.shards)?;
    let wake_all = move || cores.iter().for_each(|core| core.doorbell.ring());
    signals::watch(common.shared.stopping.clone(), wake_all)?;
    common.shared.readiness.reach(Readiness::Ready);
    announce(address)?;
    watch(&events, plan.shards, &common.memory);
    if let Some(journal) = journal {
        journal.shut_down(JOURNAL_TIMEOUT)?;
    }
    log::info!("stopped");
    Ok(())
}

/// Starts the journal behind what was restored.
fn start_journal(
    restoring: Restoring,
    restored: Restored,
    (settings, common, cores): (&LaunchSettings, &Common, &[StartedCore]),
) -> Result<(Option<Journal>, Vec<Option<CoreJournal>>), LaunchError> {
    let Tally { live, due, lost, orphaned } = restored.tally;
    log::info!("journal: {live} sessions restored, {due} were due");
    if lost + orphaned > 0 {
        log::error!("journal: {lost} sessions are lost by damage, {orphaned} belong to no known bucket");
    }
    let doorbells = cores.iter().map(|core| core.doorbell.clone()).collect();
    let metrics = common.journal.clone().unwrap_or_default();
    let (journal, cores) = restoring.start(restored, &settings.rules, doorbells, metrics)?;
    Ok((Some(journal), cores.into_iter().map(Some).collect()))
}

/// What all cores have in common.
pub(super) struct Common {
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Arc<Settings>,
    pub(super) owners: Owners,
    pub(super) loads: Loads,
    pub(super) memory: Arc<MemoryPool>,
    pub(super) transit: TransitPool,
    pub(super) metrics: Vec<Arc<CoreMetrics>>,
    /// None where nothing outlives the process.
    journal: Option<Arc<JournalMetrics>>,
    replay: Arc<ReplayProgress>,
}

impl Common {
    fn new(settings: &LaunchSettings, shards: ShardCount) -> Result<Self, EntropyError> {
        let seed = Entropy::new()?.bytes32();
        let word = |place: usize| u64::from_le_bytes(std::array::from_fn(|byte| seed[place * 8 + byte]));
        let shared = Shared {
            http_limits: settings.http_limits,
            timeouts: settings.timeouts,
            counts: Counts::new(shards, settings.connections_max),
            stopping: Stopping::new(),
            readiness: Arc::new(ReadinessCell::new()),
        };
        let limits = public_limits(settings);
        let page = Settings::new(settings.masters.clone(), settings.query_key, settings.rules, limits);
        let now = Clock::now().moment;
        Ok(Self {
            shared: Arc::new(shared),
            settings: Arc::new(page),
            owners: Owners::new(IdHasher::random(std::array::from_fn(word)), shards),
            loads: Loads::new(shards),
            memory: Arc::new(MemoryPool::new(settings.memory_max)),
            transit: TransitPool::new(transit_max(settings)),
            metrics: shards.shards().map(|shard| Arc::new(CoreMetrics::new(shard, now))).collect(),
            journal: settings.journal.as_ref().map(|_| Arc::default()),
            replay: Arc::default(),
        })
    }

    /// What the admin listener tells about.
    fn admin_state(&self) -> State {
        State {
            cores: self.metrics.clone(),
            readiness: Arc::clone(&self.shared.readiness),
            journal: self.journal.clone(),
            replay: Arc::clone(&self.replay),
        }
    }
}

/// What bodies and answers on their way may take: a share of the memory, and never so little that
/// a payload which the configuration allows would always be refused.
fn transit_max(settings: &LaunchSettings) -> ByteCount {
    let share = settings.memory_max.as_u64() / 100 * TRANSIT_PERCENT;
    let least = settings.rules.max_payload.as_u64() * TRANSIT_PAYLOADS_MIN;
    ByteCount::new(share.max(least))
}

fn public_limits(settings: &LaunchSettings) -> PublicLimits {
    let LaunchSettings { http_limits: http, node_limits: node, .. } = settings;
    PublicLimits {
        connections: settings.connections_max,
        head: http.head_bytes_max as u64,
        target: http.target_bytes_max as u64,
        fields: http.fields_max as u16,
        trailers: http.trailer_bytes_max as u64,
        chunk_overhead: http.chunk_overhead_bytes_max as u64,
        output: node.output_bytes_max as u64,
        requests_per_turn: node.requests_per_turn_max as u16,
    }
}

fn bind_admin(settings: &LaunchSettings) -> Result<Option<std::net::TcpListener>, LaunchError> {
    let Some(address) = settings.admin_listen else { return Ok(None) };
    let mut listeners = listener::bind_all(address, ShardCount::ONE).map_err(LaunchError::Admin)?;
    Ok(listeners.sockets.pop())
}

/// A core's thread that runs, and how to reach it.
struct StartedCore {
    doorbell: Doorbell,
    orders: Sender<Order>,
}

fn start_cores(
    settings: &LaunchSettings,
    (plan, mut restoring): (&Plan, Option<&mut Restoring>),
    common: &Common,
    events: &Sender<Event>,
) -> Result<Vec<StartedCore>, LaunchError> {
    let (mut peers, mut inboxes, mut doorbells) = (Vec::new(), Vec::new(), Vec::new());
    for here in plan.shards.shards() {
        let (doorbell, bell) = Doorbell::new()?;
        let room = lanes::room_of(here, plan.shards, settings.connections_max);
        let (peer, inbox) = mailbox(room, doorbell.clone());
        peers.push(peer);
        inboxes.push((inbox, bell));
        doorbells.push(doorbell);
    }
    let mut parts = match &mut restoring {
        Some(restoring) => restoring.parts(&common.replay)?,
        None => Vec::new(),
    }
    .into_iter();
    let restoring = restoring.as_deref();
    let mut cores = Vec::with_capacity(doorbells.len());
    let places = plan.shards.shards().zip(&plan.pins).zip(inboxes.into_iter().zip(doorbells));
    for ((here, pin), ((inbox, bell), doorbell)) in places {
        let mailboxes: (Vec<Peer>, Inbox, UnhungBell) = (peers.clone(), inbox, bell);
        let past = Past {
            epoch: restoring.map_or(BootEpoch::FIRST, Restoring::epoch),
            buckets: restoring.map_or_else(|| Arc::new(Buckets::none()), Restoring::buckets),
            restore: parts.next(),
        };
        let seed = CoreSeed::new(here, *pin, settings, common, (mailboxes, past));
        let (orders, ordered) = bounded(1);
        let events = events.clone();
        let name = format!("core {here}");
        thread::Builder::new().name(name).spawn(move || run_core(seed, &ordered, &events))?;
        cores.push(StartedCore { doorbell, orders });
    }
    Ok(cores)
}

/// Waits until every core has restored its sessions.
fn await_restored(events: &Receiver<Event>, shards: ShardCount) -> Result<Restored, LaunchError> {
    let mut all = Restored::default();
    for _ in shards.shards() {
        match events.recv() {
            Ok(Event::Restored(restored)) => all = all.and(restored),
            Ok(Event::Failed(error)) => return Err(error),
            Ok(Event::Ready(..) | Event::Drained) | Err(_) => debug_assert!(false, "restoring comes first"),
        }
    }
    Ok(all)
}

fn await_ready(events: &Receiver<Event>, shards: ShardCount) -> Result<(), LaunchError> {
    for _ in shards.shards() {
        match events.recv() {
            Ok(Event::Ready(core, loop_kind)) => log::info!("core {core}: {loop_kind}"),
            Ok(Event::Failed(error)) => return Err(error),
            Ok(Event::Restored(_) | Event::Drained) | Err(_) => {
                debug_assert!(false, "no core ends before it has begun");
            }
        }
    }
    Ok(())
}

/// Says where the service is: the one line on stdout, for people and for scripts.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "seshun listening on http://{address}")?;
    stdout.flush()
}

/// Watches resident memory until every core is drained.
fn watch(events: &Receiver<Event>, shards: ShardCount, pool: &MemoryPool) {
    let allowed = memory::memory_allowed().as_u64();
    let mut running = shards.get();
    while running > 0 {
        match events.recv_timeout(WATCH_PAUSE) {
            Ok(_) => running -= 1,
            Err(RecvTimeoutError::Timeout) => {
                // What cannot be read, for want of a descriptor, is as it was.
                if let Some(resident) = usage::resident_memory() {
                    pool.set_full(resident.as_u64() > allowed / 100 * RESIDENT_PERCENT_MAX);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
