//! Shards, log and a forgetful disk on a virtual clock in one thread, crashed again and again.
//!
//! Each life starts from what the last one left, does work at random, and ends in a kill or
//! a power loss. Then the records are read back, without the code that recovery uses, and
//! judged: the log is a prefix of what was logged, and no promise is broken. The seed alone
//! decides everything. `SESHUN_SIM_CRASHES` sets how many crashes there are.

use std::collections::BTreeMap;

use bytes::BytesMut;

use super::log::{Buffer, Job, JobResult, Log, LogStart, SyncPolicy};
use super::record::{Entry, Origin, Record, SessionImage, decode, encode};
use super::recover::{Recovery, Terms};
use super::room::{Need, Room};
use super::seal::Salt;
use super::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use super::sim_disk::{Random, SimDisk};
use super::storage::{SegmentFile, Storage};
use super::survey::survey;
use super::units::{JournalMillis, LogOffset, Position, SegmentNumber, Sequence};
use crate::types::{
    BootEpoch, BucketId, BucketName, ByteCount, Millis, Moment, Now, SessionId, ShardCount, ShardId, Ttl,
    UnixMillis, Version,
};

const SEGMENT_LEN: u64 = 24 * 1024;
const RECORD_LEN_MAX: u64 = 3 * 1024;
const KEYS: u64 = 40;
const CRASHES_PER_DISK: u64 = 8;

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Kill,
    PowerLoss,
}

/// A session as a shard has it in memory.
#[derive(Clone, Copy, Debug)]
struct Live {
    version: u64,
    /// Its newest whole record lies in this segment or above.
    log_segment: SegmentNumber,
}

/// A shard that remembers all it ever did in this life.
struct Shard {
    id: ShardId,
    sequence: u64,
    sessions: BTreeMap<u64, Live>,
    /// By session: from which sequence on it had which version, or none.
    history: BTreeMap<u64, Vec<(u64, Option<u64>)>>,
    pending: BytesMut,
    needs_sync: bool,
    /// Answers that wait: for which sequence, and whether for its sync.
    waits: Vec<(u64, bool)>,
    /// The newest sequence that somebody was told of as done, and as safe from power losses.
    told: u64,
    told_synced: u64,
    /// The cut that it has copied everything for.
    copied_below: Option<SegmentNumber>,
}

fn id_of(shard: ShardId, key: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&shard.as_u16().to_le_bytes());
    bytes[8..].copy_from_slice(&key.to_le_bytes());
    SessionId::from_bytes(bytes)
}

fn blob_of(version: u64) -> Vec<u8> {
    vec![version as u8; (version.wrapping_mul(0x9e37_79b9) % 1_700) as usize]
}

impl Shard {
    fn new(id: ShardId, sessions: BTreeMap<u64, Live>) -> Self {
        let history = sessions.iter().map(|(key, live)| (*key, vec![(0, Some(live.version))])).collect();
        Self {
            id,
            sequence: 0,
            sessions,
            history,
            pending: BytesMut::new(),
            needs_sync: false,
            waits: Vec::new(),
            told: 0,
            told_synced: 0,
            copied_below: None,
        }
    }

    fn log_session(&mut self, epoch: BootEpoch, key: u64, version: u64) {
        let image = SessionImage {
            id: id_of(self.id, key),
            bucket: BucketId::new(1),
            version: Version::new(version).unwrap(),
            deadline: JournalMillis::MAX,
            own_ttl: None,
            content_type: b"",
            blob: &blob_of(version),
        };
        self.log_entry(epoch, Entry::Update(image));
    }

    fn log_bucket(&mut self, epoch: BootEpoch) {
        let name = BucketName::parse(b"cart").unwrap();
        self.log_entry(epoch, Entry::Bucket { bucket: BucketId::new(1), name });
    }

    fn log_entry(&mut self, epoch: BootEpoch, entry: Entry<'_>) {
        self.sequence += 1;
        let origin = Origin { epoch, shard: self.id, sequence: Sequence::new(self.sequence) };
        encode(&mut self.pending, &Record { origin, entry });
    }

    fn note(&mut self, key: u64, version: Option<u64>) {
        self.history.entry(key).or_insert_with(|| vec![(0, None)]).push((self.sequence, version));
    }

    fn hand_over(&mut self, copied_below: Option<SegmentNumber>) -> Buffer {
        Buffer {
            shard: self.id,
            bytes: std::mem::take(&mut self.pending),
            last: Sequence::new(self.sequence),
            needs_sync: std::mem::take(&mut self.needs_sync),
            copied_below,
        }
    }

    /// Answers what the log's progress allows.
    fn answer(&mut self, written: Sequence, synced: Sequence) {
        let (told, told_synced) = (&mut self.told, &mut self.told_synced);
        self.waits.retain(|&(sequence, needs_sync)| {
            let reached = if needs_sync { synced } else { written };
            let is_met = sequence <= reached.as_u64();
            if is_met {
                *told = sequence.max(*told);
                if needs_sync {
                    *told_synced = sequence.max(*told_synced);
                }
            }
            !is_met
        });
    }

    /// Whether there is a point, not before `told`, at which this shard had just these sessions.
    fn had(&self, sessions: &BTreeMap<u64, u64>, told: u64) -> bool {
        let (mut from, mut to) = (told, u64::MAX);
        for (key, states) in &self.history {
            let found = sessions.get(key).copied();
            let spans = states
                .iter()
                .enumerate()
                .filter(|(_, state)| state.1 == found)
                .map(|(at, state)| (state.0, states.get(at + 1).map_or(u64::MAX, |next| next.0 - 1)));
            // Versions are used once; only "gone" can be so several times, and then any may be it.
            let mut spans = spans.filter(|span| span.1 >= from && span.0 <= to);
            let Some(first) = spans.next() else { return false };
            let last = spans.next_back().unwrap_or(first);
            (from, to) = (from.max(first.0), to.min(last.1));
        }
        from <= to && sessions.keys().all(|key| self.history.contains_key(key))
    }
}

/// What one disk went through.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    crashes: u64,
    power_losses: u64,
    records: u64,
    /// Answered at the level of writing, then lost with the power: allowed.
    lost_unsynced: u64,
    poisoned: u64,
    full: u64,
    unlinked: u64,
    unstartable: u64,
}

/// One life of a process.
struct Life {
    log: Log<SimDisk>,
    disk: SimDisk,
    room: Room,
    shards: Vec<Shard>,
    epoch: BootEpoch,
    policy: SyncPolicy,
    now: Now,
    next_version: u64,
    /// Out to be run: a sync, a chore. Each has its thread, and neither waits for the other.
    jobs: Vec<Job<usize>>,
    /// Run, and not yet told to the log.
    results: Vec<JobResult<usize>>,
    /// As the sync thread has published it.
    synced: Vec<Sequence>,
}

impl Life {
    fn start(disk: SimDisk, past: &Recovered, mut shards: Vec<Shard>, random: &mut Random) -> Option<Self> {
        let policy = if random.one_in(2) { SyncPolicy::Always } else { SyncPolicy::EverySecond };
        let moment = Moment::from_millis(1_000 + random.below(1 << 40));
        let now = Now { moment, wall: UnixMillis::new(1_700_000_000_000) };
        let mut salts = random.clone();
        random.next();
        let start = LogStart {
            policy,
            shards: ShardCount::new(shards.len() as u16).unwrap(),
            segments: past.segments.clone(),
            condemned: past.condemned.clone(),
            next: past.next,
            continues: past.end,
            synced: None,
            is_damaged: random.one_in(4),
            epoch: past.epoch,
            journal_time: JournalMillis::new(1),
            live: ByteCount::ZERO,
            record_len_max: ByteCount::new(RECORD_LEN_MAX),
            draw_salt: Box::new(move || {
                let bytes: Vec<u8> =
                    [salts.next(), salts.next()].iter().flat_map(|n| n.to_le_bytes()).collect();
                Salt::from_random(bytes.try_into().unwrap())
            }),
        };
        let epoch = start.epoch;
        let mut log = match Log::start(disk.clone(), start, now) {
            Ok(log) => log,
            // No process starts on a disk that others have filled; this one has come to its end.
            Err(error) => return error.is_no_space().then_some(None).unwrap(),
        };
        // The bucket comes before its sessions, whoever they are of.
        shards[0].log_bucket(epoch);
        let first = shards[0].hand_over(None);
        log.write([first], now);
        let room = Room::new(log.room());
        let synced = vec![Sequence::NONE; shards.len()];
        let next_version = past.newest_version + 1;
        Some(Self {
            log,
            disk,
            room,
            shards,
            epoch,
            policy,
            now,
            next_version,
            synced,
            jobs: Vec::new(),
            results: Vec::new(),
        })
    }

    fn step(&mut self, random: &mut Random) {
        match random.below(20) {
            0..10 => self.work(random),
            10..13 => self.hand_over(random),
            13..16 => self.run_a_job(random),
            16 => {
                self.disk.write_back_some();
                self.disk.hold_unlinking(random.one_in(4));
            }
            17 => self.copy(random),
            _ => self.pass_time(random),
        }
        for job in std::iter::from_fn(|| self.log.poll_job(self.now)) {
            self.jobs.push(job);
        }
        assert!(self.jobs.len() + self.results.len() <= 2, "one sync and one chore at a time");
        let live = self.shards.iter().flat_map(|shard| shard.sessions.values());
        self.log.set_live(
            live.map(|live| ByteCount::of_len(96 + blob_of(live.version).len())).sum(),
            ByteCount::ZERO,
        );
        self.publish();
    }

    fn publish(&mut self) {
        self.room.set(self.log.room());
        for shard in &mut self.shards {
            let index = shard.id.index();
            assert!(self.log.synced()[index] <= self.log.written()[index]);
            shard.answer(self.log.written()[index], self.synced[index]);
        }
    }

    /// One operation on one session.
    fn work(&mut self, random: &mut Random) {
        let (epoch, policy) = (self.epoch, self.policy);
        let segment = self.log.current_segment();
        let index = random.below(self.shards.len() as u64) as usize;
        let shard = &mut self.shards[index];
        let key = random.below(KEYS);
        if random.one_in(4) {
            let is_there = shard.sessions.contains_key(&key);
            if is_there && self.room.take(Need::Reserve, ByteCount::new(96)).is_ok() {
                shard.sessions.remove(&key);
                shard.log_entry(epoch, Entry::Delete(id_of(shard.id, key)));
                shard.note(key, None);
                shard.needs_sync = true;
                shard.waits.push((shard.sequence, true));
            }
            return;
        }
        let version = self.next_version;
        let len = super::record::session_record_len(0, blob_of(version).len());
        if self.room.take(Need::Ordinary, ByteCount::of_len(len)).is_ok() {
            self.next_version += 1;
            shard.sessions.insert(key, Live { version, log_segment: segment });
            shard.log_session(epoch, key, version);
            shard.note(key, Some(version));
            shard.waits.push((shard.sequence, policy == SyncPolicy::Always));
        }
    }

    fn hand_over(&mut self, random: &mut Random) {
        let mut buffers = Vec::new();
        for shard in &mut self.shards {
            if !shard.pending.is_empty() && !random.one_in(3) {
                buffers.push(shard.hand_over(None));
            }
        }
        self.log.write(buffers, self.now);
    }

    /// Logs some of what a cut asks for, in each shard, and reports where nothing is left.
    fn copy(&mut self, random: &mut Random) {
        let Some(below) = self.log.cut() else { return };
        let segment = self.log.current_segment();
        let mut buffers = Vec::new();
        for shard in &mut self.shards {
            if shard.copied_below == Some(below) {
                continue;
            }
            let old = |live: &Live| live.log_segment < below;
            for _ in 0..1 + random.below(12) {
                let Some((key, live)) = shard.sessions.iter().find(|(_, live)| old(live)) else { break };
                let (key, version) = (*key, live.version);
                let len = super::record::session_record_len(0, blob_of(version).len());
                if self.room.take(Need::Copy, ByteCount::of_len(len)).is_err() {
                    break;
                }
                shard.log_session(self.epoch, key, version);
                shard.sessions.insert(key, Live { version, log_segment: segment });
            }
            let is_done = !shard.sessions.values().any(old);
            if is_done && shard.id == ShardId::FIRST {
                shard.log_bucket(self.epoch);
            }
            if is_done {
                shard.copied_below = Some(below);
            }
            buffers.push(shard.hand_over(is_done.then_some(below)));
        }
        self.log.write(buffers, self.now);
    }

    fn run_a_job(&mut self, random: &mut Random) {
        if !self.results.is_empty() && random.one_in(2) {
            let result = self.results.remove(random.below(self.results.len() as u64) as usize);
            self.log.finish_job(result, self.now);
        } else if !self.jobs.is_empty() {
            let job = self.jobs.remove(random.below(self.jobs.len() as u64) as usize);
            let result = job.run(&self.disk);
            // The thread that syncs tells the cores at once, before the log hears of it.
            if let JobResult::Synced(Ok(covers)) = &result {
                self.synced.copy_from_slice(&covers.sequences);
            }
            self.results.push(result);
        }
    }

    fn pass_time(&mut self, random: &mut Random) {
        let millis = [0, 1, 2, 5, 40, 500, 1_000, 61_000][random.below(8) as usize];
        self.now.moment = self.now.moment.after(Millis::new(millis));
        self.now.wall = UnixMillis::new(self.now.wall.as_u64() + millis);
        self.log.advance(self.now);
    }

    fn end(&mut self, end: End, random: &mut Random) -> SimDisk {
        // Jobs may have been on their way, and nobody heard of their end.
        for job in self.jobs.drain(..) {
            if random.one_in(2) {
                job.run(&self.disk);
            }
        }
        match end {
            End::Kill => self.disk.after_kill(),
            End::PowerLoss => self.disk.after_power_loss(),
        }
    }
}

/// What a crash has left.
struct Recovered {
    sessions: BTreeMap<SessionId, u64>,
    segments: Vec<SegmentFile>,
    condemned: Vec<SegmentNumber>,
    end: Option<Position>,
    next: SegmentNumber,
    /// Of the next start.
    epoch: BootEpoch,
    newest_version: u64,
    records: u64,
}

impl Recovered {
    /// Nothing, in an empty folder.
    fn nothing() -> Self {
        Self {
            sessions: BTreeMap::new(),
            segments: Vec::new(),
            condemned: Vec::new(),
            end: None,
            next: SegmentNumber::FIRST,
            epoch: BootEpoch::new(1).unwrap(),
            newest_version: 0,
            records: 0,
        }
    }
}

/// Reads the chain of segments back: from the newest header to the oldest, then forwards to
/// the first record that is not good.
fn recover(disk: &SimDisk, seed: u64) -> Recovered {
    let files = disk.list().unwrap();
    let mut headers = BTreeMap::new();
    for file in &files {
        if let Ok(header) = SegmentHeader::decode(&disk.bytes(file.number), file.number) {
            headers.insert(file.number, header);
        }
    }
    // A segment whose predecessor's header is lost was never synced: an older one ends the log.
    let chain =
        headers.keys().rev().find_map(|newest| chain_to(*newest, &files, &headers)).unwrap_or_default();
    let mut recovered = Recovered::nothing();
    read_chain(disk, &chain, &headers, &mut recovered, seed);
    recovered.segments =
        files.into_iter().filter(|file| Some(file.number) <= recovered.end.map(|end| end.segment)).collect();
    recovered
}

/// The segments that lead to `newest`, oldest first, each with where it ends if that is known.
fn chain_to(
    newest: SegmentNumber,
    files: &[SegmentFile],
    headers: &BTreeMap<SegmentNumber, SegmentHeader>,
) -> Option<Vec<(SegmentNumber, Option<LogOffset>)>> {
    let mut chain = Vec::new();
    let mut next = Some((newest, None));
    while let Some((number, end)) = next {
        chain.insert(0, (number, end));
        let previous = headers.get(&number)?.previous;
        next = previous
            .filter(|previous| files.iter().any(|file| file.number == previous.segment))
            .map(|previous| (previous.segment, Some(previous.offset)));
    }
    Some(chain)
}

fn read_chain(
    disk: &SimDisk,
    chain: &[(SegmentNumber, Option<LogOffset>)],
    headers: &BTreeMap<SegmentNumber, SegmentHeader>,
    recovered: &mut Recovered,
    seed: u64,
) {
    let mut last_sequences: BTreeMap<(BootEpoch, ShardId), u64> = BTreeMap::new();
    let mut checkpoint = SegmentNumber::FIRST;
    let mut changes: Vec<(SegmentNumber, SessionId, Option<u64>)> = Vec::new();
    'log: for (number, end) in chain {
        let Some(header) = headers.get(number) else { break };
        let bytes = disk.bytes(*number);
        let mut at = SEGMENT_HEADER_LEN;
        loop {
            recovered.end = Some(Position { segment: *number, offset: LogOffset::of_len(at) });
            if end.is_some_and(|end| at >= end.as_usize()) {
                break;
            }
            let marks = header.salt.marks(LogOffset::of_len(at));
            let Ok((record, len)) = decode(bytes.get(at..).unwrap_or_default(), &marks) else { break 'log };
            at += len;
            recovered.records += 1;
            let Origin { epoch, shard, sequence } = record.origin;
            let last = last_sequences.insert((epoch, shard), sequence.as_u64());
            assert!(
                last.is_none_or(|last| sequence.as_u64() == last + 1),
                "seed {seed}: a gap behind {last:?}"
            );
            match record.entry {
                Entry::Update(image) => {
                    let version = image.version.as_u64();
                    assert_eq!(image.blob, blob_of(version), "seed {seed}");
                    recovered.newest_version = version.max(recovered.newest_version);
                    changes.push((*number, image.id, Some(version)));
                }
                Entry::Delete(id) => changes.push((*number, id, None)),
                Entry::Checkpoint(below) => checkpoint = below.max(checkpoint),
                _ => {}
            }
        }
    }
    for (_, id, version) in changes.into_iter().filter(|change| change.0 >= checkpoint) {
        match version {
            Some(version) => recovered.sessions.insert(id, version),
            None => recovered.sessions.remove(&id),
        };
    }
}

/// What recovery makes of the disk: the same, or the seed is told. No crash is ever damage.
fn recover_for_real(disk: &SimDisk, shards: u16, expected: &Recovered, seed: u64) -> Recovery {
    let shards = ShardCount::new(shards).unwrap();
    let files = disk.list().unwrap();
    let owner_of = |id: SessionId| ShardId::new(u16::from(id.as_bytes()[0]));
    let surveys: Vec<_> =
        files.iter().map(|file| survey(file.number, &disk.bytes(file.number), shards, owner_of)).collect();
    let unreadable = surveys.iter().find(|survey| survey.is_unreadable()).map(|survey| survey.number());
    assert_eq!(unreadable, None, "seed {seed}: no crash makes a header unreadable");
    let terms = Terms {
        wall_now: UnixMillis::new(1_700_000_000_000),
        session_ttl: Ttl::MAX,
        downtime_max: Millis::from_secs(1),
    };
    let recovery = Recovery::judge(surveys, terms).unwrap();
    assert!(!recovery.report().is_damaged(), "seed {seed}: {:?}", recovery.report());
    let mut sessions = BTreeMap::new();
    for shard in shards.shards() {
        let plan = recovery.plan(shard);
        for number in recovery.segments() {
            let bytes = disk.bytes(number);
            for restored in plan.load(number, &bytes).unwrap() {
                let image = restored.unwrap().image;
                sessions.insert(image.id, image.version.as_u64());
            }
        }
    }
    assert_eq!(sessions, expected.sessions, "seed {seed}: {:?}", recovery.report());
    recovery
}

/// What the next log starts from.
fn follow(disk: &SimDisk, recovery: &Recovery, past: &mut Recovered) {
    let files = disk.list().unwrap();
    let kept = |number| *files.iter().find(|file| file.number == number).unwrap();
    past.segments = recovery.segments().map(kept).collect();
    past.condemned = recovery.unlink().to_vec();
    assert_eq!(past.segments.len() + past.condemned.len(), files.len());
    past.end = recovery.end();
    past.next = recovery.next_segment();
    past.epoch = recovery.next_epoch();
}

/// So many lives on one disk.
fn live_and_crash(seed: u64, crashes: u64) -> Tally {
    let mut random = Random::new(seed);
    let shard_count = 1 + random.below(3) as u16;
    let capacity = [1 << 30, 40 * SEGMENT_LEN, 14 * SEGMENT_LEN][random.below(3) as usize];
    let mut disk = SimDisk::new(random.next(), SEGMENT_LEN, capacity);
    let mut past = Recovered::nothing();
    let mut tally = Tally::default();
    for _ in 0..crashes {
        let shards = (0..shard_count).map(|index| {
            let id = ShardId::new(index);
            let live = |key| {
                let version = *past.sessions.get(&id_of(id, key))?;
                Some((key, Live { version, log_segment: SegmentNumber::FIRST }))
            };
            Shard::new(id, (0..KEYS).filter_map(live).collect())
        });
        let Some(mut life) = Life::start(disk.clone(), &past, shards.collect(), &mut random) else {
            tally.unstartable += 1;
            for disk in [disk.after_kill(), disk.after_power_loss()] {
                let left = recover(&disk, seed);
                assert_eq!(left.sessions, past.sessions, "seed {seed}: a start that fails loses nothing");
                recover_for_real(&disk, shard_count, &left, seed);
            }
            break;
        };
        let unlinked_before = disk.unlinks().len();
        let end = plan_faults(&disk, &mut random);
        for _ in 0..random.below(700) {
            life.step(&mut random);
            tally.full += u64::from(life.log.is_full());
        }
        tally.poisoned += u64::from(life.log.is_poisoned());
        tally.unlinked += (disk.unlinks().len() - unlinked_before) as u64;
        disk = life.end(end, &mut random);
        past = recover(&disk, seed);
        judge(&life, &past, end, seed, &mut tally);
        let recovery = recover_for_real(&disk, shard_count, &past, seed);
        follow(&disk, &recovery, &mut past);
        tally.crashes += 1;
        tally.power_losses += u64::from(end == End::PowerLoss);
        tally.records += past.records;
    }
    tally
}

/// Sometimes something fails in this life. A disk that has lied about a sync shows what it
/// does not have, which only a power loss can bring to light.
fn plan_faults(disk: &SimDisk, random: &mut Random) -> End {
    let mut end = if random.one_in(2) { End::Kill } else { End::PowerLoss };
    match random.below(8) {
        0 => disk.fail_write_after(random.below(60)),
        1 => {
            disk.fail_sync_after(random.below(40));
            end = End::PowerLoss;
        }
        2 => {
            disk.fail_sync_after(random.below(40));
            disk.die_at_failure();
            end = End::PowerLoss;
        }
        _ => {}
    }
    end
}

fn judge(life: &Life, recovered: &Recovered, end: End, seed: u64, tally: &mut Tally) {
    for shard in &life.shards {
        let sessions: BTreeMap<u64, u64> = (0..KEYS)
            .filter_map(|key| Some((key, *recovered.sessions.get(&id_of(shard.id, key))?)))
            .collect();
        let told = match end {
            End::Kill => shard.told,
            End::PowerLoss => shard.told_synced,
        };
        assert!(
            shard.had(&sessions, told),
            "seed {seed}: {end:?}, {:?}, crash {}: shard {} is no prefix from {told} on (told {}, logged {}): {sessions:?}\n{:?}",
            life.policy,
            tally.crashes,
            shard.id,
            shard.told,
            shard.sequence,
            shard.history
        );
        tally.lost_unsynced += u64::from(!shard.had(&sessions, shard.told));
    }
}

#[test]
fn no_promise_is_broken_by_crashes_at_any_point() {
    let crashes =
        std::env::var("SESHUN_SIM_CRASHES").ok().and_then(|count| count.parse().ok()).unwrap_or(600);
    let first = std::env::var("SESHUN_SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let mut sum = Tally::default();
    for seed in first..first + u64::max(crashes / CRASHES_PER_DISK, 1) {
        let tally = live_and_crash(seed, CRASHES_PER_DISK);
        sum.crashes += tally.crashes;
        sum.power_losses += tally.power_losses;
        sum.records += tally.records;
        sum.lost_unsynced += tally.lost_unsynced;
        sum.poisoned += tally.poisoned;
        sum.full += tally.full;
        sum.unlinked += tally.unlinked;
        sum.unstartable += tally.unstartable;
    }
    std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{sum:?}\n")).unwrap();
    assert!(sum.poisoned > 0 || crashes < 500, "{sum:?}");
    assert!(sum.unlinked > 0 && sum.lost_unsynced > 0 || crashes < 500, "{sum:?}");
}
