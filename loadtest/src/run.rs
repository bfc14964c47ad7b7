//! A run from its first request to its report: the bucket, the generator's threads, the end.
//!
//! Each thread has an event loop and its share of the connections; they share nothing but
//! the flag that ends the run early. A connection whose answer never comes is given up
//! after the run's end, so a run always ends: making the sessions, its duration, the sweep
//! and the answer time-out are the longest that it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::args::{Args, Url};
use crate::clock::{Clock, Moment};
use crate::control::{Bucket, Control, RunError};
use crate::core::{Plan, Progress};
use crate::effort::{Advice, Effort, Generator};
use crate::generate::{Assignment, Outcome, Told, generate};
use crate::hdr::LogFile;
use crate::host::Host;
use crate::live::Standing;
use crate::report::{Found, Report};
use crate::rng::Rng;
use crate::scrape::Probe;
use crate::series::{Row, Second, Series};
use crate::session::Terms;
use crate::stats::Tally;
use crate::wire::RequestWriter;

/// How often it is told how the run goes on, where no second is handed in.
const PROGRESS_PERIOD: Duration = Duration::from_millis(1100);

/// Where a server's admin listener is unless it is told otherwise.
const ADMIN_URL: &str = "http://127.0.0.1:8386";

/// What all threads have told.
#[derive(Default)]
struct Gathered {
    tally: Tally,
    driver: &'static str,
    efforts: Vec<Effort>,
    rows: Vec<Row>,
    log_error: Option<String>,
}

/// Loads the server as `args` ask for, or until `stopped` is set, and reports.
pub fn run(
    args: &Args,
    stopped: &Arc<AtomicBool>,
    mut tell: impl FnMut(Standing),
) -> Result<Report, RunError> {
    let mut drawn = Rng::new(draw_seed());
    let seed = args.seed.unwrap_or_else(|| drawn.bits());
    let control = Control::new(&args.url, &args.master_key)?;
    // The clock starts before all; measuring starts later, on each core by itself.
    let clock = Clock::started();
    let probe = start_probe(args, clock)?;
    let bucket = control.make_bucket(&mut drawn)?;
    let outcome = load(args, (seed, clock), (&control, &bucket, probe), stopped, &mut tell);
    // The key goes whatever became of the run.
    let removed = control.remove_bucket(&bucket);
    let mut found = outcome?;
    match removed {
        Ok(true) => {}
        Ok(false) => found.tally.wrong("key_not_removed", || format!("DELETE /api-key/{}", bucket.name)),
        Err(error) => found.tally.wrong("key_not_removed", || error.to_string()),
    }
    Ok(Report::new(args, &found))
}

fn load(
    args: &Args,
    (seed, clock): (u64, Clock),
    (control, bucket, mut probe): (&Control, &Bucket, Option<Probe>),
    stopped: &Arc<AtomicBool>,
    tell: &mut impl FnMut(Standing),
) -> Result<Found, RunError> {
    let terms = terms(args, seed, control, bucket)?;
    raise_descriptor_limit();
    let cores = args.cores.min(args.connections);
    let first = Assignment {
        index: 0,
        args: Arc::new(args.clone()),
        seed,
        clock,
        plan: plan(args, control, cores),
        terms,
        writer: RequestWriter::new(args.url.host(), &bucket.name, &bucket.key),
        stopped: Arc::clone(stopped),
        progress: Arc::default(),
    };
    let (sender, told) = channel();
    let progress: Vec<_> = (0..cores).map(|index| start_thread(&first, index, &sender)).collect();
    drop(sender);
    let answers = || progress.iter().map(|core| core.answers.load(Ordering::Relaxed)).sum();
    let wrong = || progress.iter().map(|core| core.wrong.load(Ordering::Relaxed)).sum();
    let mut asked = 0;
    let log = args
        .hdr
        .as_ref()
        .map(|path| LogFile::create(path, clock.on_wall(Moment::default()), &about(args, seed)));
    let gathered = gather(&told, cores as usize, stopped, log, |row| {
        let elapsed = clock.now().since(Moment::default());
        if let Some((probe, row)) = probe.as_mut().zip(row) {
            // Before the page is read, so that it has all of these.
            asked = answers();
            probe.sample(clock.now(), row.at_s);
        }
        tell(Standing { elapsed, duration: args.duration, answers: answers(), wrong: wrong(), row });
    })?;
    let Gathered { tally, driver, efforts, rows, log_error } = gathered;
    let server = probe.and_then(|probe| probe.conclude(asked));
    let lag = args.rate().map(|_| &tally.lag);
    let generator = Generator::new(&efforts, tally.answer_count(), lag, Advice::RUN);
    Ok(Found { seed, clock, host: Host::read(), driver, tally, generator, server, series: rows, log_error })
}

/// The run in a line, without the key: for those who find the log by itself.
fn about(args: &Args, seed: u64) -> String {
    let load = args.rate().map_or_else(|| "closed loop".to_owned(), |rate| format!("open loop at {rate}"));
    let Args { url, connections, mix, size, .. } = args;
    format!("{url}: {load}, {connections} connections, {size} bytes, {mix}, --seed {seed}")
}

fn plan(args: &Args, control: &Control, cores: u32) -> Plan {
    Plan {
        remote_addr: control.remote_addr(),
        duration: args.duration,
        pipeline: u64::from(args.pipeline),
        rate: args.rate(),
        storm: args.storm,
        cores,
    }
}

/// The server's own account: asked for where it was named, tried where it was not.
fn start_probe(args: &Args, clock: Clock) -> Result<Option<Probe>, RunError> {
    match &args.admin {
        Some(url) => {
            let failed = |source| RunError::Admin { url: url.to_string(), source };
            Probe::start(url, true, clock.now()).map(Some).map_err(failed)
        }
        None => {
            let usual = ADMIN_URL.parse::<Url>().ok();
            Ok(usual.and_then(|url| Probe::start(&url, false, clock.now()).ok()))
        }
    }
}

/// Starts a generator thread and gives what it will show of its progress.
fn start_thread(first: &Assignment, index: u32, sender: &Sender<Told>) -> Arc<Progress> {
    let progress = Arc::<Progress>::default();
    let assignment = Assignment { index, progress: Arc::clone(&progress), ..first.clone() };
    let sender = sender.clone();
    thread::spawn(move || {
        let outcome = generate(&assignment, &sender);
        // The receiver has gone only if another thread failed, and then nobody waits for this one.
        let _ = sender.send(Told::Finished(outcome.map(Box::new)));
    });
    progress
}

/// Merges what the threads tell until none is left; a thread that fails ends the run of all.
fn gather(
    told: &Receiver<Told>,
    cores: usize,
    stopped: &AtomicBool,
    mut log: Option<LogFile>,
    mut tell: impl FnMut(Option<Row>),
) -> Result<Gathered, RunError> {
    let mut gathered = Gathered::default();
    if log.is_some() {
        gathered.tally.second = Second::by_kind();
    }
    let mut series = Series::new(cores);
    let mut failed = None;
    loop {
        match told.recv_timeout(PROGRESS_PERIOD) {
            Ok(Told::Second { number, until, span, second }) => {
                let Some(whole) = series.hand_in(number, span, *second) else { continue };
                if let Some(log) = &mut log {
                    log.write((until, span.1), &whole.second);
                }
                if whole.row.is_some() {
                    tell(whole.row);
                }
            }
            Ok(Told::Finished(Ok(outcome))) => gathered.take(*outcome),
            Ok(Told::Finished(Err(error))) => {
                stopped.store(true, Ordering::Relaxed);
                failed = Some(error);
            }
            Err(RecvTimeoutError::Timeout) => tell(None),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let (rows, rest) = series.finish();
    gathered.rows = rows;
    rest.for_each(|second| gathered.tally.second.merge(&second));
    let Tally { last, second, .. } = &gathered.tally;
    gathered.log_error = log.and_then(|log| log.finish(*last, second));
    failed.map_or(Ok(gathered), Err)
}

impl Gathered {
    fn take(&mut self, outcome: Outcome) {
        self.tally.merge(outcome.tally);
        self.driver = outcome.driver;
        self.efforts.extend(outcome.effort);
    }
}

/// What the server's settings and the flags make of all sessions.
fn terms(args: &Args, seed: u64, control: &Control, bucket: &Bucket) -> Result<Terms, RunError> {
    let settings = control.settings(bucket)?;
    if settings.max_payload < args.size.max() as u64 {
        return Err(RunError::Size { max_payload: settings.max_payload });
    }
    match u32::try_from(settings.session_ttl) {
        Ok(ttl_s) if ttl_s >= 2 => {
            let (sizes, short_ttl_s, wave) = (args.size, args.short_ttl, args.wave);
            Ok(Terms { run: seed, sizes, ttl_s, short_ttl_s, wave })
        }
        _ => Err(RunError::Ttl { ttl_s: settings.session_ttl }),
    }
}

/// Takes as many descriptors as the system gives without asking for more rights.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it fails, connections beyond the limit fail and are counted.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// A number that no two runs share, from the seeds of the standard library's hash maps.
pub(crate) fn draw_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
