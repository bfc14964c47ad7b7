//! A few nodes, the lanes between them, and connections on them: a driver without sockets.
//!
//! It does what the event loops do, one act at a time, in whatever order a test asks for, and
//! notes what happened. It asserts what every driver relies on: output is only ever appended
//! to, an answer comes home as it was made, a place is reserved for each.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::api::{Caller, MasterKeyring, PublicLimits, SessionRules, Settings};
use crate::http::{Limits, Phase};
use crate::journal::sim_disk::SimDisk;
use crate::journal::sim_journal::{SimJournal, recovery_of, salts};
use crate::journal::{JournalClock, Recovery, RestartTerms, RestoredBucket, Storage, SyncPolicy, Terms};
use crate::mesh::{
    Conversation, Loads, Mail, Next, Node, NodeLimits, NodeParts, Parcel, Pending, Placement, Random, Reply,
    Ticket, TransitPool,
};
use crate::metrics::{CoreMetrics, Figure};
use crate::registry::{BucketState, Buckets, Change, KeyOutcome, RegistryVersion, Replica};
use crate::shard::{Owners, Shard};
use crate::store::{self, IdHasher, Lease, MemoryPool, Store};
use crate::types::{
    ApiKeyBytes, BootEpoch, ByteCount, MasterKey, Millis, Moment, Now, ShardCount, ShardId, Ttl, UnixMillis,
};

/// The master key of every world.
pub(super) const MASTER: &str = "the-master-key-of-this-world";
/// The TTL of sessions without their own.
pub(super) const TTL_SECONDS: u64 = 60;
/// The longest TTL.
pub(super) const TTL_SECONDS_MAX: u64 = 3_600;
/// The largest payload.
pub(super) const PAYLOAD_BYTES_MAX: usize = 100_000;
/// Places for answers that one core awaits.
const PLACES_MAX: usize = 1_000;
/// The moment at which every world begins that has no past.
const START: Now = Now { moment: Moment::from_millis(1_000_000), wall: UnixMillis::new(1_700_000_000_000) };

/// Numbers from a seed (xorshift64*).
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xd129_0fbb_2b1f_4ef3) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(super) fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}

impl Random for Dice {
    fn id_bytes(&mut self) -> [u8; 16] {
        let (high, low) = (self.next().to_be_bytes(), self.next().to_be_bytes());
        std::array::from_fn(|place| if place < 8 { high[place] } else { low[place - 8] })
    }

    fn key_bytes(&mut self) -> ApiKeyBytes {
        let (first, second) = (self.id_bytes(), self.id_bytes());
        std::array::from_fn(|place| if place < 16 { first[place] } else { second[place - 16] })
    }
}

/// What a world is made like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) cores: u16,
    pub(super) seed: u64,
    pub(super) limits: NodeLimits,
    /// Requests that wait in one lane; one more is refused.
    pub(super) lane_max: usize,
    /// What bodies on their way may take.
    pub(super) transit: ByteCount,
}

impl Shape {
    /// A world of so many cores with room for everything.
    pub(super) fn of_cores(cores: u16) -> Self {
        let limits = NodeLimits { output_bytes_max: 1 << 20, requests_per_turn_max: 32 };
        Self { cores, seed: 1, limits, lane_max: 1_000, transit: ByteCount::from_mib(16) }
    }
}

/// One core.
pub(super) struct Core {
    pub(super) node: Node,
    pub(super) metrics: Arc<CoreMetrics>,
    pending: Pending<usize>,
}

/// Where a connection stands with its driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// May go on.
    Ready,
    /// Waits for bytes.
    Reading,
    /// Has something to write.
    Writing,
    /// Waits for another core.
    Waiting(Ticket),
    /// Has a last thing to write, and is over then.
    Closing { linger: bool },
    /// Is over. Whether the client's rest was to be read.
    Closed { linger: bool },
}

/// One connection, and what its client has received.
pub(super) struct Link {
    pub(super) core: usize,
    pub(super) conversation: Conversation,
    pub(super) stage: Stage,
    pub(super) received: Vec<u8>,
    /// Pieces that are still to be read, in order.
    pub(super) unread: VecDeque<Vec<u8>>,
    /// Bytes read so far.
    pub(super) read_bytes: usize,
}

/// What travels in a lane.
enum Letter {
    /// A question of this connection's.
    Ask(usize, Parcel),
    Reply(Parcel),
    Change(Change),
    Acknowledgement(RegistryVersion),
}

/// What has happened.
#[derive(Debug)]
pub(super) enum Event {
    /// Answers to the next requests of a connection were made, at this core's present.
    Made { link: usize, at: Now, bytes: Vec<u8> },
    /// The authority has judged the connection's question.
    Judged { link: usize, outcome: KeyOutcome },
    /// The next requests were refused for lack of room.
    NoRoom { link: usize, bytes: Vec<u8> },
    /// The connection has given up on an answer and said so.
    GaveUp { link: usize, bytes: Vec<u8> },
    /// The connection was timed out.
    TimedOut { link: usize, bytes: Vec<u8> },
    /// The connection is over.
    Closed { link: usize },
}

/// Requests, replies and control letters go in lanes of their own.
const LANE_KINDS: usize = 3;

/// What was there before a world began, and is kept of what happens in it.
pub(super) struct Past {
    pub(super) disk: SimDisk,
    pub(super) policy: SyncPolicy,
    /// When this world begins.
    pub(super) now: Now,
}

/// The whole of it.
pub(super) struct World {
    pub(super) now: Now,
    /// None where nothing outlives the world.
    pub(super) journal: Option<SimJournal>,
    pub(super) cores: Vec<Core>,
    pub(super) links: Vec<Link>,
    pub(super) memory: Arc<MemoryPool>,
    pub(super) transit: TransitPool,
    /// What has happened and was not looked at.
    pub(super) events: VecDeque<Event>,
    shape: Shape,
    /// From each core to each core, by kind: in order.
    lanes: Vec<VecDeque<Letter>>,
    /// Of questions about keys: who asked.
    asked: Vec<(ShardId, Ticket, usize)>,
}

impl World {
    /// A world without a past, of which nothing is kept.
    pub(super) fn new(shape: Shape) -> Self {
        Self::begin(shape, None).expect("nothing hinders it")
    }

    /// A world behind what its disk holds; none where that has no room for a start.
    pub(super) fn behind(shape: Shape, past: &Past) -> Option<Self> {
        Self::begin(shape, Some(past))
    }

    fn begin(shape: Shape, past: Option<&Past>) -> Option<Self> {
        let count = ShardCount::new(shape.cores).unwrap();
        let start = past.map_or(START, |past| past.now);
        let hasher = IdHasher::with_seed(shape.seed);
        let owners = Owners::new(hasher, count);
        let memory = Arc::new(MemoryPool::new(ByteCount::from_mib(512)));
        let transit = TransitPool::new(shape.transit);
        let (settings, loads) = (Arc::new(settings(shape.limits)), Loads::new(count));
        let recovery = past.map(|past| recover(past, &owners));
        let epoch = recovery.as_ref().map_or(BootEpoch::FIRST, Recovery::next_epoch);
        let shard = |_| {
            let rules = store::Settings { ttl: ttl(TTL_SECONDS), epoch };
            let lease = Lease::new(Arc::clone(&memory));
            Shard::new(Store::new(rules, owners.hasher().clone(), start.moment, lease))
        };
        let mut shards: Vec<Shard> = count.shards().map(shard).collect();
        let (mut journal, mut buckets) = (None, Buckets::none());
        if let (Some(past), Some(recovery)) = (past, &recovery) {
            journal = Some(restore(past, recovery, (&mut shards, shape.seed))?);
            buckets = buckets_of(recovery);
        }
        let buckets = Arc::new(buckets);
        let core = |(here, shard): (ShardId, Shard)| {
            let metrics = Arc::new(CoreMetrics::new(here, start.moment));
            let parts = NodeParts {
                here,
                owners: owners.clone(),
                shard,
                replica: Replica::new(&[7; 32]),
                buckets: Arc::clone(&buckets),
                settings: Arc::clone(&settings),
                limits: shape.limits,
                placement: Placement::new(here, loads.clone()),
                transit: transit.clone(),
                random: Box::new(Dice::new(shape.seed * 257 + here.index() as u64)),
                metrics: Arc::clone(&metrics),
            };
            let mut node = Node::new(parts);
            node.begin_turn(start);
            Core { node, metrics, pending: Pending::new(PLACES_MAX) }
        };
        let cores: Vec<Core> = count.shards().zip(shards).map(core).collect();
        let lanes = (0..cores.len() * cores.len() * LANE_KINDS).map(|_| VecDeque::new()).collect();
        Some(Self {
            now: start,
            journal,
            cores,
            links: Vec::new(),
            memory,
            transit,
            events: VecDeque::new(),
            shape,
            lanes,
            asked: Vec::new(),
        })
    }

    /// Opens a connection to this core.
    pub(super) fn connect(&mut self, core: usize) -> usize {
        let conversation = self.new_conversation(core);
        let (stage, unread) = (Stage::Ready, VecDeque::new());
        self.links.push(Link { core, conversation, stage, received: Vec::new(), unread, read_bytes: 0 });
        self.links.len() - 1
    }

    /// A conversation on this core; a closed one makes place for it and gives back what it held.
    fn new_conversation(&self, core: usize) -> Conversation {
        let caller = Caller { is_loopback: false };
        Conversation::new(&self.cores[core].node, Limits::default(), caller)
    }

    /// The client sends a piece.
    pub(super) fn send(&mut self, link: usize, bytes: impl Into<Vec<u8>>) {
        self.links[link].unread.push_back(bytes.into());
    }

    /// A core's turn begins: it learns the time.
    pub(super) fn begin_turn(&mut self, core: usize) {
        let now = self.now;
        self.cores[core].node.begin_turn(now);
    }

    /// Time goes on, on both clocks.
    pub(super) fn pass(&mut self, millis: u64) {
        self.now.moment = self.now.moment.after(Millis::new(millis));
        self.now.wall = UnixMillis::new(self.now.wall.as_u64() + millis);
    }

    /// A core gives up on what it has waited for too long.
    pub(super) fn tick(&mut self, core: usize) {
        self.begin_turn(core);
        let Core { node, pending, .. } = &mut self.cores[core];
        node.tick();
        // Whoever is woken looks for itself in its next step.
        let _woken = pending.time_out(node.now().moment);
    }

    /// Goes one step on with a connection. False where it has to wait for something.
    pub(super) fn step(&mut self, link: usize) -> bool {
        match self.links[link].stage {
            Stage::Closed { .. } => return false,
            Stage::Ready => self.advance(link),
            Stage::Reading => return self.read(link),
            Stage::Writing => return self.write_if_kept(link, Stage::Ready),
            Stage::Closing { linger } => return self.write_if_kept(link, Stage::Closed { linger }),
            Stage::Waiting(ticket) => return self.look_for_answer(link, ticket),
        }
        true
    }

    /// The client says that it will send nothing more.
    pub(super) fn end_input(&mut self, link: usize) {
        assert_eq!(self.links[link].stage, Stage::Reading);
        self.links[link].conversation.input().end_input();
        self.links[link].stage = Stage::Ready;
    }

    /// The client takes too long.
    pub(super) fn time_out(&mut self, link: usize) {
        assert_eq!(self.links[link].stage, Stage::Reading);
        let bytes = self.appended(link, |node, conversation| conversation.time_out(node)).1;
        self.links[link].stage = Stage::Ready;
        self.events.push_back(Event::TimedOut { link, bytes });
    }

    pub(super) fn phase(&self, link: usize) -> Phase {
        self.links[link].conversation.phase()
    }

    /// The lanes that have something to deliver.
    pub(super) fn busy_lanes(&self) -> Vec<usize> {
        (0..self.lanes.len()).filter(|lane| !self.lanes[*lane].is_empty()).collect()
    }

    /// The core that a lane leads to.
    pub(super) fn receiver(&self, lane: usize) -> usize {
        lane / LANE_KINDS % self.cores.len()
    }

    /// The lanes to this core that have something to deliver, and how many letters each.
    pub(super) fn waiting_for(&self, core: usize) -> Vec<(usize, usize)> {
        let from_all = (0..self.cores.len()).flat_map(|from| (0..LANE_KINDS).map(move |kind| (from, kind)));
        let lanes = from_all.map(|(from, kind)| self.lane(from, core, kind));
        lanes.map(|lane| (lane, self.lanes[lane].len())).filter(|(_, count)| *count > 0).collect()
    }

    /// How many letters of one core's wait for another.
    pub(super) fn waiting_between(&self, from: usize, to: usize) -> usize {
        (0..LANE_KINDS).map(|kind| self.lanes[self.lane(from, to, kind)].len()).sum()
    }

    /// Whether a lane carries replies.
    pub(super) fn is_reply_lane(&self, lane: usize) -> bool {
        lane % LANE_KINDS == 1
    }

    /// Delivers the next letter of a lane.
    pub(super) fn deliver(&mut self, lane: usize) {
        let to = self.receiver(lane);
        match self.lanes[lane].pop_front() {
            None => {}
            Some(Letter::Ask(link, parcel)) => self.serve(to, link, parcel),
            Some(Letter::Reply(parcel)) => {
                self.cores[to].node.note_request();
                let _woken = self.cores[to].pending.complete(parcel);
            }
            Some(Letter::Change(change)) => self.cores[to].node.take_change(&change),
            Some(Letter::Acknowledgement(version)) => self.cores[to].node.take_acknowledgement(version),
        }
        self.send_mail(to);
    }

    /// A core's turn ends: what is asked for is logged again, and all that was logged handed over.
    pub(super) fn end_turn(&mut self, core: usize) {
        let node = &mut self.cores[core].node;
        node.clean();
        node.hand_over();
        self.send_mail(core);
    }

    /// Goes on until nothing moves any more, and everything is kept.
    pub(super) fn settle(&mut self) {
        loop {
            let mut moved = false;
            for core in 0..self.cores.len() {
                self.begin_turn(core);
                self.end_turn(core);
            }
            if let Some(journal) = &mut self.journal {
                self.now = journal.settle(self.now);
            }
            for core in 0..self.cores.len() {
                moved |= self.cores[core].node.awaited().is_some();
            }
            for link in 0..self.links.len() {
                while self.step(link) {
                    moved = true;
                }
            }
            for lane in self.busy_lanes() {
                self.deliver(lane);
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    /// What the client of a connection has received since it was last asked.
    pub(super) fn take_received(&mut self, link: usize) -> Vec<u8> {
        std::mem::take(&mut self.links[link].received)
    }

    /// How many answers are awaited on all cores.
    pub(super) fn awaited(&self) -> usize {
        self.cores.iter().map(|core| core.pending.len()).sum()
    }

    /// The sum of a figure over all cores.
    pub(super) fn figure(&self, figure: Figure) -> u64 {
        self.cores.iter().map(|core| core.metrics.read(figure)).sum()
    }

    /// Calls the conversation and says what it has appended to its output.
    fn appended<R>(
        &mut self,
        link: usize,
        call: impl FnOnce(&mut Node, &mut Conversation) -> R,
    ) -> (R, Vec<u8>) {
        let Link { core, conversation, .. } = &mut self.links[link];
        let before = conversation.output().clone();
        let result = call(&mut self.cores[*core].node, conversation);
        let appended = conversation.output().strip_prefix(before.as_slice()).expect("output is appended to");
        (result, appended.to_vec())
    }

    fn advance(&mut self, link: usize) {
        let (next, bytes) = self.appended(link, |node, conversation| conversation.advance(node));
        let core = self.links[link].core;
        let at = self.cores[core].node.now();
        if !bytes.is_empty() {
            self.events.push_back(Event::Made { link, at, bytes });
        }
        self.links[link].stage = match next {
            Next::Read => {
                assert!(
                    self.links[link].conversation.output().is_empty(),
                    "answers leave before the next read"
                );
                assert_eq!(self.links[link].conversation.output().capacity(), 0, "no buffer is kept idle");
                Stage::Reading
            }
            Next::Write => Stage::Writing,
            Next::Ask(owner, parcel) => return self.ask(link, owner, parcel),
            Next::Close { linger } => Stage::Closing { linger },
        };
        if matches!(self.links[link].stage, Stage::Closing { .. }) {
            self.step(link);
        }
    }

    /// Writes the output if all that it tells of is kept, which leads to this stage. Where it
    /// never will be, the connection is over and its client learns nothing.
    fn write_if_kept(&mut self, link: usize, then: Stage) -> bool {
        let Link { core, conversation, .. } = &mut self.links[link];
        let node = &self.cores[*core].node;
        let missing = conversation.waits().first_missing(|shard, wait| node.missing(shard, wait));
        let stage = match missing {
            None => {
                self.write(link);
                then
            }
            Some(_) if node.has_failed() => Stage::Closed { linger: false },
            Some(_) => return false,
        };
        self.links[link].stage = stage;
        if matches!(stage, Stage::Closed { .. }) {
            self.links[link].conversation = self.new_conversation(self.links[link].core);
            self.events.push_back(Event::Closed { link });
        }
        true
    }

    /// Reads as much of the next piece as there is room for.
    fn read(&mut self, link: usize) -> bool {
        let Link { conversation, unread, read_bytes, stage, .. } = &mut self.links[link];
        let Some(piece) = unread.front_mut() else { return false };
        let mut input = conversation.input().take_input();
        let room = input.capacity() - input.len();
        assert!(room > 0, "a read has room");
        let rest = piece.split_off(piece.len().min(room));
        input.extend_from_slice(piece);
        *read_bytes += piece.len();
        conversation.input().restore_input(input);
        *piece = rest;
        if piece.is_empty() {
            unread.pop_front();
        }
        *stage = Stage::Ready;
        true
    }

    fn write(&mut self, link: usize) {
        let Link { conversation, received, .. } = &mut self.links[link];
        received.append(conversation.output());
    }

    fn ask(&mut self, link: usize, owner: ShardId, mut parcel: Parcel) {
        let core = self.links[link].core;
        let node = &self.cores[core].node;
        assert_eq!(parcel.sender(), node.here());
        if let Parcel::Sessions(frame) = &parcel {
            assert!(frame.has_more() && frame.output.is_empty());
            assert_ne!(owner, node.here(), "what is here is done here");
        }
        let lane = self.lane(core, owner.index(), 0);
        let is_full = owner.index() != core && self.lanes[lane].len() >= self.shape.lane_max;
        let pending = &mut self.cores[core].pending;
        let ticket = pending.reserve(&mut parcel, self.now.moment).filter(|ticket| {
            if is_full {
                pending.cancel(*ticket);
            }
            !is_full
        });
        let Some(ticket) = ticket else { return self.refuse(link, parcel) };
        self.links[link].stage = Stage::Waiting(ticket);
        if matches!(parcel, Parcel::Key(_)) {
            self.asked.push((parcel.sender(), ticket, link));
        }
        if owner.index() == core {
            self.serve(core, link, parcel);
            self.send_mail(core);
        } else {
            self.lanes[lane].push_back(Letter::Ask(link, parcel));
        }
    }

    fn refuse(&mut self, link: usize, parcel: Parcel) {
        let bytes = self.appended(link, |node, conversation| conversation.take_refusal(node, parcel)).1;
        self.links[link].stage = Stage::Ready;
        self.events.push_back(Event::NoRoom { link, bytes });
    }

    fn look_for_answer(&mut self, link: usize, ticket: Ticket) -> bool {
        let core = self.links[link].core;
        match self.cores[core].pending.poll(ticket, || link) {
            None => return false,
            Some(Reply::Answered(parcel)) => {
                let made = match &parcel {
                    Parcel::Sessions(frame) => Some(frame.output.clone()),
                    Parcel::Key(_) => None,
                };
                let bytes =
                    self.appended(link, |node, conversation| conversation.take_answer(node, parcel)).1;
                match made {
                    // There was no room to hold what was made.
                    Some(made) if made.len() > bytes.len() && bytes.starts_with(b"HTTP/1.1 503 ") => {
                        self.events.push_back(Event::GaveUp { link, bytes });
                    }
                    Some(made) => assert_eq!(made, bytes, "answers come home as they were made"),
                    None => {
                        let at = self.cores[core].node.now();
                        self.events.push_back(Event::Made { link, at, bytes });
                    }
                }
            }
            Some(Reply::TimedOut) => {
                let bytes = self.appended(link, |node, conversation| conversation.give_up(node)).1;
                self.events.push_back(Event::GaveUp { link, bytes });
            }
        }
        self.links[link].stage = Stage::Ready;
        true
    }

    /// Lets a core do what a connection asks of it.
    fn serve(&mut self, core: usize, link: usize, parcel: Parcel) {
        let ticket = parcel.ticket();
        let is_sessions = matches!(parcel, Parcel::Sessions(_));
        let node = &mut self.cores[core].node;
        node.serve(parcel);
        if !is_sessions {
            return;
        }
        let at = node.now();
        let Some((_, Mail::Reply(Parcel::Sessions(frame)))) = node.poll_mail() else {
            panic!("a frame is answered at once");
        };
        assert_eq!(frame.ticket, ticket);
        self.events.push_back(Event::Made { link, at, bytes: frame.output.clone() });
        let lane = self.lane(core, frame.sender.index(), 1);
        self.lanes[lane].push_back(Letter::Reply(Parcel::Sessions(frame)));
    }

    /// Puts a core's mail into the lanes.
    fn send_mail(&mut self, core: usize) {
        while let Some((to, mail)) = self.cores[core].node.poll_mail() {
            let (kind, letter) = match mail {
                Mail::Reply(parcel) => {
                    self.note_judged(&parcel);
                    (1, Letter::Reply(parcel))
                }
                Mail::Change(change) => (2, Letter::Change(change)),
                Mail::Acknowledgement(version) => (2, Letter::Acknowledgement(version)),
            };
            let lane = self.lane(core, to.index(), kind);
            self.lanes[lane].push_back(letter);
        }
    }

    fn note_judged(&mut self, parcel: &Parcel) {
        let Parcel::Key(frame) = parcel else { panic!("frames are answered where they are served") };
        let asker = (frame.sender, frame.ticket);
        let place = self.asked.iter().position(|(sender, ticket, _)| (*sender, *ticket) == asker);
        let (_, _, link) = self.asked.swap_remove(place.expect("somebody has asked"));
        let outcome = frame.outcome.expect("an answer has an outcome");
        self.events.push_back(Event::Judged { link, outcome });
    }

    fn lane(&self, from: usize, to: usize, kind: usize) -> usize {
        (from * self.cores.len() + to) * LANE_KINDS + kind
    }
}

/// Judges all that is there.
pub(super) fn recover(past: &Past, owners: &Owners) -> Recovery {
    let terms = Terms {
        wall_now: past.now.wall,
        session_ttl: ttl(TTL_SECONDS),
        downtime_max: Millis::from_secs(7 * 86_400),
    };
    recovery_of(&past.disk, owners.shards(), terms, |id| owners.owner_of(id))
}

/// Loads each shard's sessions and starts the journal behind them.
fn restore(past: &Past, recovery: &Recovery, (shards, seed): (&mut [Shard], u64)) -> Option<SimJournal> {
    let clock = JournalClock::new(recovery.boot_time(), past.now.moment);
    let count = ShardCount::new(shards.len() as u16).unwrap();
    for (here, shard) in count.shards().zip(&mut *shards) {
        let plan = recovery.plan(here);
        for number in recovery.segments() {
            for session in plan.load(number, &past.disk.bytes(number)).unwrap() {
                shard.restore(&session.unwrap(), clock);
            }
        }
    }
    let terms = RestartTerms {
        policy: past.policy,
        shards: count,
        journal_time: recovery.boot_time(),
        live: shards.iter().map(Shard::live_bytes).sum(),
        record_len_max: ByteCount::of_len(PAYLOAD_BYTES_MAX + 1024).min(past.disk.segment_len().unwrap()),
        draw_salt: salts(seed),
    };
    let (journal, cores) = SimJournal::start(&past.disk, recovery, terms, past.now)?;
    for (shard, core) in shards.iter_mut().zip(cores) {
        shard.keep_in(core, clock, ttl(TTL_SECONDS));
    }
    Some(journal)
}

fn buckets_of(recovery: &Recovery) -> Buckets {
    let registry = recovery.registry();
    let state =
        |bucket: &RestoredBucket| BucketState { id: bucket.bucket, name: bucket.name, key: bucket.key };
    Buckets { states: registry.buckets.iter().map(state).collect(), next: registry.next_bucket }
}

pub(super) fn ttl(seconds: u64) -> Ttl {
    Ttl::from_secs(seconds).unwrap()
}

fn settings(limits: NodeLimits) -> Settings {
    let masters = MasterKeyring { keys: vec![MasterKey::parse(MASTER).unwrap()], example: None };
    let rules = SessionRules {
        ttl: ttl(TTL_SECONDS),
        max_ttl: ttl(TTL_SECONDS_MAX),
        max_payload: ByteCount::of_len(PAYLOAD_BYTES_MAX),
    };
    let http = Limits::default();
    let shown = PublicLimits {
        connections: PLACES_MAX as u32,
        head: http.head_bytes_max as u64,
        target: http.target_bytes_max as u64,
        fields: http.fields_max as u16,
        trailers: http.trailer_bytes_max as u64,
        chunk_overhead: http.chunk_overhead_bytes_max as u64,
        output: limits.output_bytes_max as u64,
        requests_per_turn: limits.requests_per_turn_max as u16,
    };
    Settings::new(masters, true, rules, shown)
}
