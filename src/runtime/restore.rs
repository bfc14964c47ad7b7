//! The journal's part of a start: the folder is read and judged, every core loads its own
//! sessions, then the log goes on behind what was found.
//!
//! Each core loads on its own thread, so that its memory is near and its own. Up to the log's
//! start nothing in the folder changes but that damaged segments are copied aside, so a start
//! that ends anywhere can be made again.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use super::clock::Clock;
use super::doorbell::Doorbell;
use super::entropy::Entropy;
use super::launch::{JournalSettings, LaunchError};
use super::memory::memory_allowed;
use crate::api::SessionRules;
use crate::journal::{
    CoreJournal, Filing, Journal, JournalClock, JournalStart, LogStart, Replay, ReplayProgress, ReplayTerms,
    Report, RestartTerms, SEGMENT_LEN_MAX, Salt, SegmentFeed, ShardEvents, Tally, Terms, session_record_len,
};
use crate::metrics::JournalMetrics;
use crate::registry::{BucketState, Buckets};
use crate::shard::{Owners, Shard};
use crate::store::CONTENT_TYPE_LEN_MAX;
use crate::types::{ByteCount, ShardCount};

/// Notices of a replay that are logged one by one; `seshun verify` tells all.
const NOTICES_LOGGED_MAX: usize = 20;

/// Threads that survey segments. Each has one in memory, and more of them would wait for the disk.
const SURVEY_THREADS_MAX: usize = 8;

/// What part of the memory that the process may use segments take at a start. The sessions may need
/// all the rest, as they did before it ended.
const SEGMENTS_PART: u64 = 16;

/// A folder that was read and judged, and is locked.
pub struct Restoring {
    replay: Replay,
    clock: JournalClock,
    buckets: Arc<Buckets>,
    settings: JournalSettings,
    shards: ShardCount,
}

/// What one core restores.
pub struct ShardRestore {
    events: ShardEvents,
    feed: SegmentFeed,
    /// Moments in journal time.
    pub clock: JournalClock,
}

/// What a core has restored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restored {
    /// What became of its sessions.
    pub tally: Tally,
    /// What they take in the log, if each is written once.
    pub live: ByteCount,
    /// The longest of their records.
    pub record_len_max: ByteCount,
}

impl Restored {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        let (ours, theirs) = (self.tally, other.tally);
        Self {
            tally: Tally {
                live: ours.live + theirs.live,
                due: ours.due + theirs.due,
                lost: ours.lost + theirs.lost,
                orphaned: ours.orphaned + theirs.orphaned,
            },
            live: self.live + other.live,
            record_len_max: self.record_len_max.max(other.record_len_max),
        }
    }
}

impl Restoring {
    /// Opens the folder and judges what it holds.
    pub fn open(
        settings: &JournalSettings,
        rules: &SessionRules,
        owners: &Owners,
        progress: &ReplayProgress,
    ) -> Result<Self, LaunchError> {
        let now = Clock::now();
        let owner_of = |id| owners.owner_of(id);
        let terms = ReplayTerms {
            filing: Filing { shards: owners.shards(), owner_of: &owner_of },
            terms: Terms { wall_now: now.wall, session_ttl: rules.ttl, downtime_max: settings.downtime_max },
            threads: survey_threads(),
        };
        let replay = Replay::open(&settings.dir, &terms, progress)?;
        let recovery = replay.recovery();
        tell(recovery.report());
        if settings.is_strict {
            replay.refuse_damage()?;
        }
        let registry = recovery.registry();
        let states = registry.buckets.iter();
        let states =
            states.map(|bucket| BucketState { id: bucket.bucket, name: bucket.name, key: bucket.key });
        let buckets = Buckets { states: states.collect(), next: registry.next_bucket };
        Ok(Self {
            clock: JournalClock::new(recovery.boot_time(), now.moment),
            buckets: Arc::new(buckets),
            settings: settings.clone(),
            shards: owners.shards(),
            replay,
        })
    }

    /// The buckets that there are.
    pub fn buckets(&self) -> Arc<Buckets> {
        Arc::clone(&self.buckets)
    }

    /// This start's number, for versions.
    pub fn epoch(&self) -> crate::types::BootEpoch {
        self.replay.recovery().next_epoch()
    }

    /// What each core restores, by shard.
    pub fn parts(&mut self, progress: &Arc<ReplayProgress>) -> Result<Vec<ShardRestore>, LaunchError> {
        let feeds = self.replay.feed(self.shards, segments_in_memory(), progress)?;
        let part = |(events, feed)| ShardRestore { events, feed, clock: self.clock };
        Ok(self.replay.take_events(self.shards).into_iter().zip(feeds).map(part).collect())
    }

    /// Starts the log once every core has restored its sessions. What each core holds of it, by
    /// shard.
    pub fn start(
        self,
        restored: Restored,
        rules: &SessionRules,
        doorbells: Vec<Doorbell>,
        metrics: Arc<JournalMetrics>,
    ) -> Result<(Journal, Vec<CoreJournal>), LaunchError> {
        self.replay.keep_aside()?;
        let longest = session_record_len(CONTENT_TYPE_LEN_MAX, rules.max_payload.as_usize());
        let terms = RestartTerms {
            policy: self.settings.policy,
            shards: self.shards,
            journal_time: self.clock.time_at(Clock::now().moment),
            live: restored.live,
            record_len_max: restored.record_len_max.max(ByteCount::of_len(longest)),
            draw_salt: salts()?,
        };
        let start = JournalStart {
            storage: self.replay.disk().clone(),
            log: LogStart::behind(self.replay.recovery(), self.replay.kept_segments(), terms),
            wake: Box::new(move |shard| doorbells[shard.index()].ring()),
            clock: Clock::now,
            stopwatch: Clock::stopwatch,
            metrics,
        };
        Ok(Journal::start(start)?)
    }
}

impl ShardRestore {
    /// Loads the sessions that this core owns, each in its place, as they come by.
    pub fn load(self, shard: &mut Shard) -> Result<Restored, LaunchError> {
        let plan = self.events.plan();
        let mut record_len_max = 0;
        for segment in self.feed {
            let segment = segment?;
            for session in plan.load(segment.number(), segment.bytes())? {
                let session = session?;
                let image = &session.image;
                record_len_max =
                    record_len_max.max(session_record_len(image.content_type.len(), image.blob.len()));
                shard.restore(&session, self.clock);
            }
        }
        let record_len_max = ByteCount::of_len(record_len_max);
        Ok(Restored { tally: plan.tally(), live: shard.live_bytes(), record_len_max })
    }
}

/// How many segments a start may have in memory.
fn segments_in_memory() -> usize {
    let part = memory_allowed().as_u64() / SEGMENTS_PART;
    ((part / SEGMENT_LEN_MAX.as_u64()) as usize).max(1)
}

fn survey_threads() -> usize {
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cpus.min(SURVEY_THREADS_MAX).min(segments_in_memory())
}

/// Draws salts from the system's CSPRNG.
fn salts() -> Result<Box<dyn FnMut() -> Salt + Send>, LaunchError> {
    let mut entropy = Entropy::new()?;
    Ok(Box::new(move || Salt::from_random(entropy.bytes16())))
}

/// Says what recovery has found.
fn tell(report: &Report) {
    for notice in report.notices.iter().take(NOTICES_LOGGED_MAX) {
        log::warn!("journal: {notice}");
    }
    if let Some(more) = report.notices.len().checked_sub(NOTICES_LOGGED_MAX).filter(|more| *more > 0) {
        log::warn!("journal: and {more} more; `seshun verify` tells all of it");
    }
    if report.is_damaged() {
        let versions = if report.unnamed > 0 { ", older versions of sessions are possible" } else { "" };
        log::error!("journal: {} records that had been synced are lost{versions}", report.missing);
    }
    log::info!("journal: {} records, {} torn off at its end", report.records, report.torn_bytes);
}
