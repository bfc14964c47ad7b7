//! Whole servers on a virtual clock over a disk that forgets, crashed again and again.
//!
//! Clients keep a ledger of what reached them. Each life starts from what the last one left, on
//! another number of cores, does work at random with turns, writes and syncs in any order, and
//! ends in a kill, in a power loss or in order. Then the next life is asked for everything and
//! judged by the ledger: nothing acknowledged is lost, nothing removed is back, no promised
//! life is shortened, no version names two data. The seed alone decides everything.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::answer::Answer;
use super::ledger::{Before, End, Known, KnownKey, Place, data_of, number_of};
use super::world::{Dice, Event, MASTER, Past, Shape, Stage, TTL_SECONDS, World};
use crate::journal::sim_disk::SimDisk;
use crate::journal::{Level, SyncPolicy};
use crate::mesh::NodeLimits;
use crate::shard::{Owners, Walked};
use crate::store::{IdHasher, Walk};
use crate::types::{ByteCount, Moment, Now, SessionId, ShardCount, ShardId, UnixMillis};

pub(super) const SEGMENT_LEN: u64 = 24 * 1024;
const CRASHES_PER_DISK: u64 = 6;
const CLIENTS: usize = 4;
pub(super) const BUCKETS: [&str; 2] = ["cart", "shop"];

/// What a request asks for.
#[derive(Clone, Debug)]
enum Ask {
    Create { bucket: usize, number: u64, ttl: u64 },
    Read { id: String, touch: bool },
    Update { id: String, number: u64 },
    Delete { id: String },
    MakeKey { bucket: usize },
    RemoveKey { bucket: usize },
}

/// A request without an answer.
#[derive(Clone, Debug)]
struct Sent {
    ask: Ask,
    /// What had been told of its session.
    before: Before,
    /// Its answer was made, by the owner or the authority.
    is_made: bool,
}

/// A client: one connection, and what it has sent.
struct Client {
    link: usize,
    sent: VecDeque<Sent>,
    /// Requests that were given up on, which their owner may still serve.
    late: Vec<Sent>,
}

impl Client {
    fn on(link: usize) -> Self {
        Self { link, sent: VecDeque::new(), late: Vec::new() }
    }
}

/// Counts over all lives.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tally {
    crashes: u64,
    power_losses: u64,
    orderly: u64,
    told: u64,
    sessions_judged: u64,
    found: u64,
    cleanings: u64,
    failed: u64,
    refused: u64,
    unstartable: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.crashes += other.crashes;
        self.power_losses += other.power_losses;
        self.orderly += other.orderly;
        self.told += other.told;
        self.sessions_judged += other.sessions_judged;
        self.found += other.found;
        self.cleanings += other.cleanings;
        self.failed += other.failed;
        self.refused += other.refused;
        self.unstartable += other.unstartable;
    }
}

/// Everything that outlives a life.
pub(super) struct Clients {
    pub(super) dice: Dice,
    pub(super) sessions: BTreeMap<String, Known>,
    pub(super) keys: [KnownKey; BUCKETS.len()],
    numbers: u64,
    pub(super) tally: Tally,
}

/// One life of a server.
pub(super) struct Life {
    pub(super) world: World,
    owners: Owners,
    clients: Vec<Client>,
    /// Connections that are over, whose requests may still be served somewhere.
    gone: Vec<Client>,
    pub(super) policy: SyncPolicy,
}

impl Life {
    pub(super) fn begin(past: &Past, dice: &mut Dice) -> Option<Self> {
        let limits = NodeLimits {
            output_bytes_max: *dice.pick(&[1_500, 1 << 20]),
            requests_per_turn_max: *dice.pick(&[1, 32]),
        };
        let (cores, seed) = (1 + dice.below(4) as u16, dice.next() >> 16);
        let shape = Shape { cores, seed, limits, lane_max: 100, transit: ByteCount::from_mib(16) };
        let world = World::behind(shape, past)?;
        let owners = Owners::new(IdHasher::with_seed(seed), ShardCount::new(cores).unwrap());
        Some(Self { world, owners, clients: Vec::new(), gone: Vec::new(), policy: past.policy })
    }

    fn place(&self, id: &str) -> Place {
        let owner = self.owners.owner_of(SessionId::parse(id.as_bytes()).unwrap());
        let written = self.reached(owner, Level::Written);
        Place { owner, written, now: self.world.now.wall.as_u64() }
    }

    fn reached(&self, shard: ShardId, level: Level) -> u64 {
        self.world.cores[0].node.journal().unwrap().reached(shard, level).as_u64()
    }

    /// How far each shard's log is synced.
    pub(super) fn synced(&self) -> Vec<u64> {
        self.owners.shards().shards().map(|shard| self.reached(shard, Level::Synced)).collect()
    }

    /// Does one thing, whatever the dice say.
    pub(super) fn act(&mut self, clients: &mut Clients) {
        let core = clients.dice.below(self.world.cores.len());
        match clients.dice.below(100) {
            0..=39 => self.go_on(clients),
            40..=54 => {
                let lanes = self.world.busy_lanes();
                if !lanes.is_empty() {
                    let lane = *clients.dice.pick(&lanes);
                    self.world.begin_turn(self.world.receiver(lane));
                    self.world.deliver(lane);
                }
            }
            55..=69 => {
                self.world.begin_turn(core);
                self.world.end_turn(core);
            }
            70..=91 => self.work_on_disk(clients),
            92..=93 => {
                self.world.tick(core);
                self.world.cores[core].node.expire(1 + clients.dice.below(20));
            }
            _ => self.pass(clients),
        }
        self.look(clients);
    }

    fn work_on_disk(&mut self, clients: &mut Clients) {
        let now = self.world.now;
        let Some(journal) = &mut self.world.journal else { return };
        match clients.dice.below(8) {
            0..=2 => journal.write(1 + clients.dice.below(6), now),
            3..=4 => journal.run_job(clients.dice.below(2)),
            5..=6 => journal.finish_job(clients.dice.below(2), now),
            _ => journal.disk.write_back_some(),
        }
    }

    fn pass(&mut self, clients: &mut Clients) {
        let millis = *clients.dice.pick(&[1, 1, 5, 40, 300, 1_000, 4_000, 61_000]);
        self.world.pass(millis);
        let now = self.world.now;
        if let Some(journal) = &mut self.world.journal {
            journal.advance(now);
        }
    }

    /// Goes on with a client, which sends something where it has nothing to wait for.
    fn go_on(&mut self, clients: &mut Clients) {
        if self.clients.len() < CLIENTS {
            let core = clients.dice.below(self.world.cores.len());
            let link = self.world.connect(core);
            self.clients.push(Client::on(link));
        }
        let index = clients.dice.below(self.clients.len());
        let link = self.clients[index].link;
        if let Stage::Closed { .. } = self.world.links[link].stage {
            let core = clients.dice.below(self.world.cores.len());
            let next = Client::on(self.world.connect(core));
            let gone = std::mem::replace(&mut self.clients[index], next);
            gone.sent.iter().for_each(|sent| clients.give_up(&sent.ask));
            self.gone.push(gone);
            return;
        }
        self.world.begin_turn(self.world.links[link].core);
        let has_moved = self.world.step(link);
        if !has_moved && self.world.links[link].stage == Stage::Reading && self.clients[index].sent.is_empty()
        {
            for _ in 0..1 + clients.dice.below(3) {
                let (ask, text) = clients.draw();
                let before = clients.before(&ask);
                self.world.send(link, text);
                self.clients[index].sent.push_back(Sent { ask, before, is_made: false });
            }
        }
    }

    /// Looks at what was made and at what has reached the clients.
    fn look(&mut self, clients: &mut Clients) {
        while let Some(event) = self.world.events.pop_front() {
            // What was refused for lack of room has its answer too.
            let (Event::Made { link, bytes, .. } | Event::NoRoom { link, bytes }) = event else { continue };
            let mut all = self.clients.iter_mut().chain(&mut self.gone);
            if let Some(client) = all.find(|client| client.link == link) {
                note_made(client, &bytes, clients);
            }
        }
        for index in 0..self.clients.len() {
            let received = self.world.take_received(self.clients[index].link);
            let mut bytes = received.as_slice();
            while !bytes.is_empty() {
                let sent = self.clients[index].sent.pop_front().expect("an answer has a request");
                let answer = Answer::take(&mut bytes, is_head(&sent.ask));
                self.take_answer(&sent, &answer, clients);
                if !sent.is_made {
                    self.clients[index].late.push(sent);
                }
            }
        }
    }

    fn take_answer(&self, sent: &Sent, answer: &Answer, clients: &mut Clients) {
        clients.tally.told += 1;
        match &sent.ask {
            Ask::MakeKey { bucket } | Ask::RemoveKey { bucket } => {
                let key = &mut clients.keys[*bucket];
                key.changes_away -= 1;
                match answer.status {
                    201 => key.made(answer.text()),
                    200 => key.removed(),
                    404 | 409 => {}
                    503 if answer.code() == "unanswered" => key.is_change_lost = true,
                    _ => clients.tally.refused += 1,
                }
            }
            Ask::Create { bucket, number, ttl } if answer.status == 201 => {
                let id = answer.text().to_owned();
                let place = self.place(&id);
                let known = clients.sessions.entry(id).or_default();
                (known.bucket, known.ttl) = (*bucket, *ttl);
                known.sent.insert(*number);
                known.made(answer, Some(*number));
                known.shown(answer, Before::default(), place);
            }
            Ask::Create { bucket, .. } => clients.check_refusal(*bucket, answer),
            Ask::Read { id, .. } | Ask::Update { id, .. } | Ask::Delete { id } => {
                let place = self.place(id);
                let is_delete = matches!(sent.ask, Ask::Delete { .. });
                let known = clients.sessions.get_mut(id).unwrap();
                match answer.status {
                    200 if is_delete => known.deleted(place),
                    200 => known.shown(answer, sent.before, place),
                    404 => known.missing(place),
                    _ => {
                        let bucket = known.bucket;
                        clients.check_refusal(bucket, answer);
                    }
                }
                if is_delete && let Some(known) = clients.sessions.get_mut(id) {
                    known.deletes_away -= 1;
                    known.is_delete_lost |= answer.status == 503 && answer.code() == "unanswered";
                }
            }
        }
    }

    /// Ends this life, in order if that can be; what its disk has is the next one's past.
    pub(super) fn end(mut self, end: &mut End, clients: &mut Clients) -> Past {
        if *end == End::Orderly {
            let is_whole = self.end_in_order();
            self.look(clients);
            // Where the disk has no room for all deadlines it is like any other end.
            *end = if is_whole { End::Orderly } else { End::Kill };
        }
        let end = *end;
        for client in &self.clients {
            client.sent.iter().for_each(|sent| clients.give_up(&sent.ask));
        }
        let journal = self.world.journal.as_mut().unwrap();
        clients.tally.cleanings += journal.log.cleanings();
        clients.tally.failed += u64::from(journal.log.is_poisoned());
        // Jobs may have been on their way, and nobody heard of their end.
        journal.run_unheard(|_| clients.dice.once_in(2));
        let disk = match end {
            End::PowerLoss => journal.disk.after_power_loss(),
            End::Kill | End::Orderly => journal.disk.after_kill(),
        };
        let policy = *clients.dice.pick(&[SyncPolicy::EverySecond, SyncPolicy::Always]);
        let down = *clients.dice.pick(&[0, 3, 900, 70_000]);
        let wall = self.world.now.wall.as_u64() + down;
        // Another boot of the machine has another monotonic clock.
        let moment = Moment::from_millis(1 + clients.dice.below(1 << 40) as u64);
        Past { disk, policy, now: Now { moment, wall: UnixMillis::new(wall) } }
    }

    fn end_in_order(&mut self) -> bool {
        self.world.settle();
        let mut is_whole = true;
        for core in 0..self.world.cores.len() {
            self.world.begin_turn(core);
            let (node, mut walk) = (&mut self.world.cores[core].node, Walk::default());
            let mut walked = Walked::More;
            while walked == Walked::More {
                walked = node.log_deadlines(&mut walk);
            }
            is_whole &= walked == Walked::Done;
        }
        self.world.settle();
        is_whole && self.world.journal.as_ref().is_some_and(|journal| journal.log.is_settled())
    }

    /// Asks for everything, by one client on the first core, and judges what it finds.
    fn audit(&mut self, end: (End, Option<&[u64]>), clients: &mut Clients) {
        let link = self.world.connect(0);
        for (bucket, key) in BUCKETS.iter().zip(&mut clients.keys) {
            let path = format!("/api-key/{bucket}");
            let answer = self.ask(link, request("GET", &path, MASTER, ""));
            let found = (answer.status == 200).then(|| answer.text().to_owned());
            key.judge(found.as_deref());
            if found.is_none() {
                let answer = self.ask(link, request("PUT", &path, MASTER, ""));
                assert!(matches!(answer.status, 201 | 503 | 507), "{answer:?}");
                if answer.status == 201 {
                    key.made(answer.text());
                }
            }
        }
        let ids: Vec<String> = clients.sessions.keys().cloned().collect();
        for id in ids {
            let known = &clients.sessions[&id];
            let Some(key) = clients.keys[known.bucket].current.clone() else { continue };
            let path = format!("/session/{}/{id}", BUCKETS[known.bucket]);
            let answer = self.ask(link, request("GET", &path, &key, "X-Session-Peek: 1\r\n"));
            if answer.status == 503 {
                continue;
            }
            let data = (answer.status == 200).then(|| number_of(&answer.body));
            let place = self.place(&id);
            clients.tally.sessions_judged += 1;
            clients.tally.found += u64::from(answer.status == 200);
            clients.sessions.get_mut(&id).unwrap().judge(end, &answer, data, place);
        }
    }

    fn ask(&mut self, link: usize, text: String) -> Answer {
        self.world.send(link, text);
        self.world.settle();
        self.world.events.clear();
        Answer::all(&self.world.take_received(link)).remove(0)
    }
}

/// Notes answers that the owner has made, whether they are ever told or not.
fn note_made(client: &mut Client, mut bytes: &[u8], clients: &mut Clients) {
    for sent in client.late.iter_mut().chain(&mut client.sent).filter(|sent| !sent.is_made) {
        if bytes.is_empty() {
            return;
        }
        let answer = Answer::take(&mut bytes, is_head(&sent.ask));
        sent.is_made = true;
        let (Ask::Read { id, .. } | Ask::Update { id, .. }) = &sent.ask else { continue };
        let known = clients.sessions.get_mut(id).unwrap();
        if answer.status == 200 {
            let data = match &sent.ask {
                Ask::Update { number, .. } => Some(*number),
                Ask::Read { touch: true, .. } => Some(number_of(&answer.body)),
                _ => None,
            };
            known.made(&answer, data);
        }
    }
}

fn is_head(ask: &Ask) -> bool {
    matches!(ask, Ask::Read { touch: false, .. })
}

fn request(method: &str, path: &str, key: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: h\r\nX-Session-Key: {key}\r\n{fields}\r\n")
}

impl Clients {
    pub(super) fn new(seed: u64) -> Self {
        let (sessions, tally) = (BTreeMap::new(), Tally::default());
        Self { dice: Dice::new(seed), sessions, keys: Default::default(), numbers: 0, tally }
    }

    /// Draws a request, and notes that it is on its way.
    fn draw(&mut self) -> (Ask, String) {
        let bucket = self.dice.below(BUCKETS.len());
        let key = self.keys[bucket].current.clone().unwrap_or_else(|| "none-yet".to_owned());
        let kind = self.dice.below(100);
        let path = format!("/api-key/{}", BUCKETS[bucket]);
        // One at a time: in which order two were done, their answers do not tell.
        if kind < 4 && self.keys[bucket].changes_away == 0 {
            self.keys[bucket].changes_away += 1;
            let (method, ask) = match self.keys[bucket].current {
                Some(_) => ("DELETE", Ask::RemoveKey { bucket }),
                None => ("PUT", Ask::MakeKey { bucket }),
            };
            return (ask, request(method, &path, MASTER, ""));
        }
        let drawn = self.draw_session();
        if kind < 25 || drawn.is_none() {
            return self.draw_create(bucket, &key);
        }
        let (id, bucket) = drawn.unwrap_or_default();
        let key = self.keys[bucket].current.clone().unwrap_or_else(|| "none-yet".to_owned());
        let path = format!("/session/{}/{id}", BUCKETS[bucket]);
        let known = self.sessions.get_mut(&id).unwrap();
        match kind {
            25..=54 => (Ask::Read { id, touch: true }, request("GET", &path, &key, "")),
            55..=61 => (Ask::Read { id, touch: false }, request("HEAD", &path, &key, "")),
            62..=87 => {
                self.numbers += 1;
                known.sent.insert(self.numbers);
                let text = with_data("POST", &path, &key, (self.numbers, ""));
                (Ask::Update { id, number: self.numbers }, text)
            }
            _ => {
                known.deletes_away += 1;
                (Ask::Delete { id }, request("DELETE", &path, &key, ""))
            }
        }
    }

    fn draw_create(&mut self, bucket: usize, key: &str) -> (Ask, String) {
        self.numbers += 1;
        let own = *self.dice.pick(&[None, Some(1), Some(5), Some(600), Some(3_600)]);
        let field = own.map_or_else(String::new, |seconds| format!("X-Session-TTL: {seconds}\r\n"));
        let path = format!("/session/{}", BUCKETS[bucket]);
        let text = with_data("PUT", &path, key, (self.numbers, &field));
        let ttl = own.unwrap_or(TTL_SECONDS) * 1000;
        (Ask::Create { bucket, number: self.numbers, ttl }, text)
    }

    /// One of the latest sessions mostly, so that they are used and not only made.
    fn draw_session(&mut self) -> Option<(String, usize)> {
        let count = self.sessions.len();
        let index = self.dice.below(count.max(1));
        let (id, known) = self.sessions.iter().nth(index)?;
        Some((id.clone(), known.bucket))
    }

    fn before(&self, ask: &Ask) -> Before {
        match ask {
            Ask::Read { id, .. } | Ask::Update { id, .. } | Ask::Delete { id } => self.sessions[id].before(),
            _ => Before::default(),
        }
    }

    /// A request will never be answered: nobody knows what became of it.
    fn give_up(&mut self, ask: &Ask) {
        match ask {
            Ask::Delete { id } => {
                let known = self.sessions.get_mut(id).unwrap();
                known.deletes_away -= 1;
                known.is_delete_lost = true;
            }
            Ask::MakeKey { bucket } | Ask::RemoveKey { bucket } => {
                self.keys[*bucket].changes_away -= 1;
                self.keys[*bucket].is_change_lost = true;
            }
            Ask::Create { .. } | Ask::Read { .. } | Ask::Update { .. } => {}
        }
    }

    /// A refusal is a legal one.
    fn check_refusal(&mut self, bucket: usize, answer: &Answer) {
        match answer.status {
            401 => {}
            503 | 507 => self.tally.refused += 1,
            _ => panic!("{bucket}: {answer:?}"),
        }
    }
}

fn with_data(method: &str, path: &str, key: &str, (number, fields): (u64, &str)) -> String {
    let data = data_of(number);
    let mut text = request(method, path, key, &format!("{fields}Content-Length: {}\r\n", data.len()));
    text.push_str(str::from_utf8(&data).unwrap());
    text
}

/// Sometimes something fails in this life. A disk that has lied about a sync shows what it does
/// not have, which only a power loss can bring to light.
pub(super) fn plan_end(disk: &SimDisk, dice: &mut Dice) -> End {
    let count = |dice: &mut Dice| dice.below(80) as u64;
    match dice.below(10) {
        0 => disk.fail_write_after(count(dice)),
        1..=2 => {
            disk.fail_sync_after(count(dice));
            if dice.once_in(2) {
                disk.die_at_failure();
            }
            return End::PowerLoss;
        }
        3 => return End::Orderly,
        _ => {}
    }
    *dice.pick(&[End::Kill, End::PowerLoss])
}

/// So many lives on one disk.
fn live_and_crash(clients: &mut Clients, crashes: u64) {
    let capacity = *clients.dice.pick(&[1 << 30, 60 * SEGMENT_LEN, 24 * SEGMENT_LEN]);
    let disk = SimDisk::new(clients.dice.next(), SEGMENT_LEN, capacity);
    let wall = UnixMillis::new(1_700_000_000_000);
    let now = Now { moment: Moment::from_millis(1_000_000), wall };
    let mut past = Past { disk, policy: SyncPolicy::EverySecond, now };
    let (mut end, mut synced) = (End::Orderly, None);
    for _ in 0..=crashes {
        let Some(mut life) = Life::begin(&past, &mut clients.dice) else {
            clients.tally.unstartable += 1;
            return;
        };
        life.audit((end, synced.as_deref()), clients);
        end = plan_end(&past.disk, &mut clients.dice);
        for _ in 0..200 + clients.dice.below(2_500) {
            life.act(clients);
        }
        // In the mode that syncs each answer a power loss takes back nothing either.
        let is_weak = end == End::PowerLoss && life.policy == SyncPolicy::EverySecond;
        synced = is_weak.then(|| life.synced());
        past = life.end(&mut end, clients);
        clients.tally.crashes += u64::from(end != End::Orderly);
        clients.tally.power_losses += u64::from(end == End::PowerLoss);
        clients.tally.orderly += u64::from(end == End::Orderly);
    }
}

#[test]
fn nothing_that_reached_a_client_is_taken_back_by_any_crash() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let crashes: u64 = number("SESHUN_CRASHES").unwrap_or(300);
    let first: u64 = number("SESHUN_CRASH_SEED").unwrap_or(0);
    let mut sum = Tally::default();
    for seed in first..first + (crashes / CRASHES_PER_DISK).max(1) {
        let mut clients = Clients::new(seed);
        let lived = catch_unwind(AssertUnwindSafe(|| live_and_crash(&mut clients, CRASHES_PER_DISK)));
        if let Err(panic) = lived {
            let what = panic.downcast_ref::<String>().map_or("a panic", String::as_str);
            panic!("seed {seed}, {:?}: {what}", clients.tally);
        }
        sum.add(clients.tally);
    }
    std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{sum:?}\n")).unwrap();
    let reached =
        [sum.power_losses, sum.orderly, sum.told, sum.found, sum.cleanings, sum.failed, sum.refused];
    assert!(crashes < 300 || reached.iter().all(|count| *count > 0), "{sum:?}");
}
