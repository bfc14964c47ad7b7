//! A few nodes in one thread and connections on them, without sockets: bytes in, bytes out.
//!
//! For the bench of the whole path and for the test that counts its allocations. Drives
//! conversations as an event loop does, asks peers at once instead of by mail, and allocates
//! nothing itself once it is warm.

use std::sync::Arc;

use seshun::api::{Caller, MasterKeyring, PublicLimits, SessionRules, Settings};
use seshun::http::Limits;
use seshun::mesh::{
    Conversation, Loads, Mail, Next, Node, NodeLimits, NodeParts, Parcel, Placement, Random, TransitPool,
};
use seshun::metrics::CoreMetrics;
use seshun::registry::{Buckets, Replica};
use seshun::shard::{Owners, Shard};
use seshun::store::{self, IdHasher, Lease, MemoryPool, Store};
use seshun::types::{
    ApiKeyBytes, BootEpoch, ByteCount, MasterKey, Moment, Now, ShardCount, ShardId, Ttl, UnixMillis,
};

/// The key that makes bucket `cart`'s.
pub const MASTER: &str = "the-master-key-of-this-bed";
/// The bytes of each session's data.
pub const DATA_BYTES: usize = 1024;
/// The most bytes that are copied at once into a connection's input.
const COPIED_BYTES_MAX: usize = 1024;
/// The length of an id as text.
pub const ID_LEN: usize = 36;

/// Ids and keys from a counter: they must differ, nobody has to guess them.
struct Counter(u64);

impl Random for Counter {
    fn id_bytes(&mut self) -> [u8; 16] {
        self.0 += 1;
        let mixed = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (u128::from(mixed) << 64 | u128::from(mixed.rotate_left(29))).to_be_bytes()
    }

    fn key_bytes(&mut self) -> ApiKeyBytes {
        self.0 += 1;
        std::array::from_fn(|place| (self.0 as u8).wrapping_add(place as u8))
    }
}

/// A connection, and the node that it came to.
pub struct Link {
    core: usize,
    conversation: Conversation,
    /// Whether the conversation has asked for more to read, and for nothing since.
    is_reading: bool,
}

/// Nodes, and the key of their one bucket.
pub struct Bed {
    /// By shard.
    pub nodes: Vec<Node>,
    /// The key of bucket `cart`.
    pub key: String,
}

impl Bed {
    /// A bed of so many nodes, whose bucket `cart` has a key.
    pub fn new(cores: u16) -> Self {
        let mut bed = Self::over(cores, Buckets::none(), |_| {});
        let answer =
            bed.ask(0, &format!("PUT /api-key/cart HTTP/1.1\r\nHost: h\r\nX-Session-Key: {MASTER}\r\n\r\n"));
        bed.key = body(&answer).to_owned();
        bed
    }

    /// A bed of so many nodes over these buckets, whose shards are made ready by `prepare`. Its
    /// key is the first bucket's.
    pub fn over(cores: u16, buckets: Buckets, mut prepare: impl FnMut(&mut Shard)) -> Self {
        let key = buckets.states.first().and_then(|bucket| bucket.key);
        let key = key.map_or_else(String::new, |key| key.expose().to_owned());
        let buckets = Arc::new(buckets);
        let count = ShardCount::new(cores).expect("a bed has 1 to 256 nodes");
        let owners = Owners::new(IdHasher::with_seed(1), count);
        let (settings, loads) = (Arc::new(settings()), Loads::new(count));
        let memory = Arc::new(MemoryPool::new(ByteCount::from_mib(8 * 1024)));
        let transit = TransitPool::new(ByteCount::from_mib(64));
        let node = |here| {
            let lease = Lease::new(Arc::clone(&memory));
            let rules = store::Settings { ttl: ttl(), epoch: BootEpoch::FIRST };
            let mut shard = Shard::new(Store::new(rules, owners.hasher().clone(), now().moment, lease));
            prepare(&mut shard);
            let mut node = Node::new(NodeParts {
                here,
                owners: owners.clone(),
                shard,
                replica: Replica::new(&[7; 32]),
                buckets: Arc::clone(&buckets),
                settings: Arc::clone(&settings),
                limits: NodeLimits { output_bytes_max: 1 << 20, requests_per_turn_max: 32 },
                placement: Placement::new(here, loads.clone()),
                transit: transit.clone(),
                random: Box::new(Counter(here.index() as u64 * (1 << 40))),
                metrics: Arc::new(CoreMetrics::new(here, now().moment)),
            });
            node.begin_turn(now());
            node
        };
        Self { nodes: count.shards().map(node).collect(), key }
    }

    /// A connection to this node.
    pub fn connect(&self, core: usize) -> Link {
        let caller = Caller { is_loopback: true };
        let conversation = Conversation::new(&self.nodes[core], Limits::default(), caller);
        Link { core, conversation, is_reading: false }
    }

    /// One request on a connection of its own, and its answer.
    pub fn ask(&mut self, core: usize, request: &str) -> String {
        let (mut link, mut received) = (self.connect(core), Vec::new());
        self.exchange(&mut link, request.as_bytes(), &mut received);
        String::from_utf8(received).expect("these answers are text")
    }

    /// Makes so many sessions that this node owns, and yields their ids.
    pub fn fill(&mut self, core: usize, sessions: usize) -> Vec<[u8; ID_LEN]> {
        let request = self.request("PUT", "/session/cart", DATA_BYTES);
        let (mut link, mut received) = (self.connect(core), Vec::new());
        let mut make = || {
            received.clear();
            self.exchange(&mut link, &request, &mut received);
            if received.len() < ID_LEN || !received.starts_with(b"HTTP/1.1 201") {
                panic!("no session was made: {}", String::from_utf8_lossy(&received));
            }
            received[received.len() - ID_LEN..].try_into().expect("an id is the whole body")
        };
        let ids = (0..sessions).map(|_| make()).collect();
        self.nodes[core].tick();
        ids
    }

    /// A request as an app server's client sends it, with data of this many bytes or none.
    pub fn request(&self, method: &str, path: &str, data_bytes: usize) -> Vec<u8> {
        let key = &self.key;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: seshun.internal:8385\r\nUser-Agent: axios/1.7.9\r\n\
             Accept: application/json, text/plain, */*\r\nX-Session-Key: {key}\r\n"
        );
        if data_bytes > 0 {
            request.push_str(&format!("Content-Type: text/plain\r\nContent-Length: {data_bytes}\r\n"));
        }
        let mut request = request.into_bytes();
        request.extend_from_slice(b"\r\n");
        request.resize(request.len() + data_bytes, b'd');
        request
    }

    /// Feeds bytes to a connection, adds what it answers to `received`, and ends the turn.
    pub fn exchange(&mut self, link: &mut Link, bytes: &[u8], received: &mut Vec<u8>) {
        self.converse(link, bytes, received);
        assert!(self.nodes[link.core].hand_over(), "the journal has room for a turn");
    }

    fn converse(&mut self, link: &mut Link, bytes: &[u8], received: &mut Vec<u8>) {
        let Link { core, conversation, is_reading } = link;
        let mut rest = bytes;
        let mut next = if *is_reading { Next::Read } else { conversation.advance(&mut self.nodes[*core]) };
        loop {
            *is_reading = matches!(next, Next::Read);
            match next {
                Next::Read if rest.is_empty() => return,
                Next::Read => {
                    let mut input = conversation.input().take_input();
                    let room = input.capacity() - input.len();
                    let (piece, behind) = rest.split_at(room.min(rest.len()));
                    // Bit by bit, for a large copy has an instruction that counts as one a byte.
                    piece.chunks(COPIED_BYTES_MAX).for_each(|piece| input.extend_from_slice(piece));
                    conversation.input().restore_input(input);
                    rest = behind;
                }
                Next::Write => {
                    // A driver looks, too, and lets the output wait for what has not come yet.
                    let node = &self.nodes[*core];
                    let _ = conversation.waits().first_missing(|shard, wait| node.missing(shard, wait));
                    take_output(conversation, received);
                }
                Next::Ask(owner, parcel) => {
                    let answer = self.carry(owner, parcel);
                    conversation.take_answer(&mut self.nodes[*core], answer);
                }
                Next::Close { .. } => return take_output(conversation, received),
            }
            next = conversation.advance(&mut self.nodes[*core]);
        }
    }

    /// Lets the owner answer, and whatever else the nodes have to tell each other before.
    fn carry(&mut self, owner: ShardId, parcel: Parcel) -> Parcel {
        self.nodes[owner.index()].serve(parcel);
        let mut answer = None;
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for core in 0..self.nodes.len() {
                while let Some((to, mail)) = self.nodes[core].poll_mail() {
                    moved = true;
                    match mail {
                        Mail::Reply(parcel) => answer = Some(parcel),
                        Mail::Change(change) => self.nodes[to.index()].take_change(&change),
                        Mail::Acknowledgement(version) => {
                            self.nodes[to.index()].take_acknowledgement(version);
                        }
                    }
                }
            }
        }
        answer.expect("whoever is asked answers")
    }
}

/// As a driver does, which takes the output out to write it: nothing is copied but what comes
/// behind other output.
fn take_output(conversation: &mut Conversation, received: &mut Vec<u8>) {
    if received.is_empty() {
        std::mem::swap(received, conversation.output());
    } else {
        received.append(conversation.output());
    }
}

/// The body of the one answer in `answer`.
pub fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// The time, which stands still.
pub fn now() -> Now {
    Now { moment: Moment::from_millis(1_000_000), wall: UnixMillis::new(1_700_000_000_000) }
}

/// The TTL of all sessions.
pub fn ttl() -> Ttl {
    Ttl::from_secs(30 * 24 * 60 * 60).expect("30 days are a TTL")
}

/// The settings that are shipped.
pub fn settings() -> Settings {
    let master = MasterKey::parse(MASTER).expect("it is long enough");
    let masters = MasterKeyring { keys: vec![master], example: None };
    let rules = SessionRules { ttl: ttl(), max_ttl: ttl(), max_payload: ByteCount::from_mib(1) };
    let limits = PublicLimits {
        connections: 10_000,
        head: 16 * 1024,
        target: 8 * 1024,
        fields: 100,
        trailers: 8 * 1024,
        chunk_overhead: 16 * 1024,
        output: 1024 * 1024,
        requests_per_turn: 32,
    };
    Settings::new(masters, true, rules, limits)
}
