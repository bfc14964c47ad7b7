//! Seeded histories against a naive model: a map to which every record is applied in order.
//!
//! Several shards log, segments roll, old ones are cleaned, and boots change the epoch. Then
//! the log is recovered whole, cut at any byte, and with flipped bits.

use super::*;
use crate::journal::record::tests::Random;

/// What is known of a live session: version, deadline, blob.
type Known = (u64, u64, Vec<u8>);

/// Shards that log in a history.
const SHARDS: usize = 3;
/// Sessions that a history speaks of.
const SESSIONS: u64 = 25;

struct History {
    random: Random,
    segments: Vec<Segment>,
    epoch: u32,
    /// The sequence of each shard's last record in this epoch; the journal's own comes last.
    sequences: [u64; SHARDS + 1],
    known: BTreeMap<u64, Known>,
    /// The oldest segment that each session's newest whole record may lie in.
    log_segments: BTreeMap<u64, u32>,
    /// After each record: where it began and ends, and what was known then.
    steps: Vec<(Position, Position, BTreeMap<u64, Known>)>,
    versions: u64,
    /// Behind the newest checkpoint, which is synced before anything is unlinked.
    checkpoint: Option<Position>,
}

impl History {
    fn run(seed: u64, turns: u64) -> Self {
        let mut history = Self {
            random: Random(seed),
            segments: vec![Segment::new(1, None)],
            epoch: 1,
            sequences: [0; SHARDS + 1],
            known: BTreeMap::new(),
            log_segments: BTreeMap::new(),
            steps: Vec::new(),
            versions: 0,
            checkpoint: None,
        };
        history.log_bucket();
        for _ in 0..turns {
            history.turn();
        }
        history
    }

    fn turn(&mut self) {
        let number = self.random.below(SESSIONS);
        match self.random.below(40) {
            0..16 => self.write(number),
            16..22 => self.remove(number),
            22..30 => self.touch(number),
            30..34 => self.synced(),
            34..37 => self.roll(),
            37 => self.clean(),
            38 => self.log(SHARDS, Entry::Time(mark(1, 1))),
            _ => {
                (self.epoch, self.sequences) = (self.epoch + 1, [0; SHARDS + 1]);
                self.log(SHARDS, Entry::Time(mark(1, 1)));
            }
        }
    }

    /// Appends a record of `shard`, which has already been applied to the model.
    fn log(&mut self, shard: usize, entry: Entry<'_>) {
        self.sequences[shard] += 1;
        let shard_id = if shard == SHARDS { NO_SHARD } else { ShardId::new(shard as u16) };
        let epoch = BootEpoch::new(self.epoch).unwrap();
        let origin = Origin { epoch, shard: shard_id, sequence: Sequence::new(self.sequences[shard]) };
        let segment = self.segments.last_mut().unwrap();
        let begin = segment.end();
        segment.push(&Record { origin, entry });
        self.steps.push((begin, segment.end(), self.known.clone()));
    }

    fn shard(number: u64) -> usize {
        number as usize % SHARDS
    }

    fn log_bucket(&mut self) {
        self.log(0, Entry::Bucket { bucket: BucketId::new(3), name: name("cart") });
    }

    fn log_whole(&mut self, number: u64) {
        let (version, deadline, blob) = self.known[&number].clone();
        let deadline = JournalMillis::new(deadline);
        self.log_segments.insert(number, self.segments.last().unwrap().header.number.as_u32());
        self.log(
            Self::shard(number),
            Entry::Update(SessionImage { deadline, ..image(number, version, &blob) }),
        );
    }

    fn write(&mut self, number: u64) {
        self.versions += 1;
        let blob = vec![self.random.next() as u8; self.random.below(60) as usize];
        let deadline = 10_000 + self.random.below(1_000_000);
        self.known.insert(number, (self.versions, deadline, blob));
        self.log_whole(number);
    }

    fn remove(&mut self, number: u64) {
        self.known.remove(&number);
        let is_expiry = self.random.below(2) == 0;
        let entry = if is_expiry { Entry::Expire(id(number)) } else { Entry::Delete(id(number)) };
        self.log(Self::shard(number), entry);
    }

    fn touch(&mut self, number: u64) {
        let deadline = 10_000 + self.random.below(1_000_000);
        if let Some((version, known, _)) = self.known.get_mut(&number) {
            *known = deadline;
            let version = *version;
            self.log(Self::shard(number), touch(number, version, deadline));
        }
    }

    fn synced(&mut self) {
        let upto = self.segments.last().unwrap().end();
        self.log(SHARDS, Entry::Synced { upto, mark: mark(1_000, 1_000) });
    }

    fn roll(&mut self) {
        let previous = self.segments.last().unwrap().end();
        self.segments.push(Segment::new(previous.segment.as_u32() + 1, Some(previous)));
    }

    /// Logs again what lies below a cut, then unlinks what is below it, or some of that.
    fn clean(&mut self) {
        self.roll();
        let newest = self.segments.last().unwrap().header.number.as_u32();
        let cut = newest - self.random.below(3).min(u64::from(newest) - 1) as u32;
        self.log_bucket();
        let moving: Vec<u64> =
            self.known.keys().copied().filter(|number| self.log_segments[number] < cut).collect();
        moving.into_iter().for_each(|number| self.log_whole(number));
        self.synced();
        self.log(SHARDS, Entry::Checkpoint(SegmentNumber::new(cut).unwrap()));
        self.checkpoint = Some(self.segments.last().unwrap().end());
        let oldest = cut - self.random.below(2).min(u64::from(cut) - 1) as u32;
        self.segments.retain(|segment| segment.header.number.as_u32() >= oldest);
    }

    fn log_as_it_is(&mut self) -> Log {
        Log { segments: std::mem::take(&mut self.segments), sequence: 0, epoch: 0 }
    }
}

fn assert_restored(sessions: &Sessions, known: &BTreeMap<u64, Known>, context: &str) {
    let expected: Sessions = known.iter().map(|(number, known)| (id(*number), known.clone())).collect();
    assert_eq!(*sessions, expected, "{context}");
}

#[test]
fn any_history_is_restored_as_the_model_has_it() {
    for seed in 0..300 {
        let mut history = History::run(seed, 250);
        let known = std::mem::take(&mut history.known);
        let (sessions, recovery) = recover(&history.log_as_it_is());
        assert_restored(&sessions, &known, &format!("seed {seed}"));
        let report = recovery.report();
        assert!(!report.is_damaged() && report.notices.is_empty(), "seed {seed}: {report:?}");
        assert_eq!(recovery.next_epoch().as_u32(), history.epoch.max(5) + 1, "seed {seed}");
    }
}

#[test]
fn any_history_torn_anywhere_is_restored_as_it_was_there() {
    for seed in 1_000..1_500 {
        let mut history = History::run(seed, 120);
        let newest = history.segments.last().unwrap().header.number;
        let mut random = Random(!seed);
        let bytes = &mut history.segments.last_mut().unwrap().bytes;
        let synced = history.checkpoint.filter(|checkpoint| checkpoint.segment == newest);
        let from = synced.map_or(SEGMENT_HEADER_LEN, |checkpoint| checkpoint.offset.as_usize());
        let cut = from + random.below((bytes.len() - from) as u64 + 1) as usize;
        if random.below(2) == 0 {
            bytes.truncate(cut);
        } else {
            bytes[cut..].fill(0);
        }
        let torn = |end: &Position| end.segment == newest && end.offset.as_usize() > cut;
        let steps = std::mem::take(&mut history.steps);
        let Some((_, end, known)) = steps.iter().rev().find(|(_, end, _)| !torn(end)) else { continue };
        let context = format!("seed {seed}, cut at {newest}:{cut}");
        let (sessions, recovery) = recover(&history.log_as_it_is());
        assert!(!recovery.report().is_damaged(), "{context}");
        assert_restored(&sessions, known, &context);
        assert!(recovery.end() == Some(*end) || end.segment < newest, "{context}");
    }
}

#[test]
fn flipped_bits_are_all_noticed_and_no_older_version_is_ever_restored() {
    let mut flips = 0;
    for seed in 5_000..5_100 {
        let mut history = History::run(seed, 25);
        history.synced();
        let known = std::mem::take(&mut history.known);
        let mut steps = std::mem::take(&mut history.steps);
        steps.pop();
        let log = &mut history.log_as_it_is();
        let oldest = judge(&log.segments, 1).unwrap().segments().next().unwrap();
        steps.retain(|(begin, ..)| begin.segment >= oldest);
        let mut random = Random(!seed);
        for _ in 0..100 {
            let mut hit = BTreeMap::new();
            for _ in 0..=random.below(3) {
                let (begin, end, _) = &steps[random.below(steps.len() as u64) as usize];
                let len = end.offset.as_u64() - begin.offset.as_u64();
                hit.entry(*begin).or_insert((random.below(len) as i64, 1 << random.below(8)));
            }
            hit.iter().for_each(|(begin, (offset, bit))| *log.byte(*begin, *offset) ^= bit);
            let recovery = judge(&log.segments, 1).unwrap();
            let (sessions, _) = load(&recovery, &log.segments, 1);
            let context = format!("seed {seed}, {hit:?}");
            let report = recovery.report();
            // Where a checkpoint is damaged, the segments that it had removed are missing too.
            let missing = report.notices.iter().filter(|notice| matches!(notice, Notice::Missing(_))).count();
            assert_eq!(report.damaged, (hit.len() + missing) as u64, "{context}");
            assert_eq!(report.unnamed, missing as u64, "{context}");
            for (session, (version, _, blob)) in &sessions {
                let newest = known.iter().find(|(number, _)| id(**number) == *session);
                let newest = newest.map(|(_, (version, _, blob))| (version, blob));
                assert_eq!(newest, Some((version, blob)), "{context}");
            }
            hit.iter().for_each(|(begin, (offset, bit))| *log.byte(*begin, *offset) ^= bit);
            flips += hit.len();
        }
    }
    assert!(flips >= 10_000, "{flips}");
}
