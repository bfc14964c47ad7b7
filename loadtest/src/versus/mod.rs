//! `loadtest versus`: the same session workload on several servers, side by side in one run.
//!
//! Every contender is started on loopback, on one CPU, and gets the same sessions; in each
//! round every one has its turn, in an order that is drawn anew, once the others rest. What is compared is the
//! server's CPU time a request, as a ratio to a raw loop that answers by rote in the same
//! round, and, where requests leave at a rate, the tails of their latency. All processes and files of a comparison are gone when it ends.
//!
//! `dialect`, `resp`, `memcached`, `figures`, `closed`, `open` and `html` are pure; `connection`, `load`, `floor`,
//! `process` and `usage` touch sockets, children and `/proc`.

use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::thread::set_current_timer_slack;

use crate::args::Url;
use crate::clock::Clock;
use crate::control::{Control, RunError};
use crate::event_loop::EventLoop;
use crate::host::Host;
use crate::rng::Rng;
use crate::run::{draw_seed, raise_descriptor_limit};
use crate::spectrum::Spectrum;
use crate::stats::Latency;
use crate::versus::args::{FloorArgs, VersusArgs};
use crate::versus::connection::{LoadError, Plan, drawn_id};
use crate::versus::contender::{Place, Who};
use crate::versus::dialect::{Data, Dialect, Http};
use crate::versus::figures::{Comparison, Config, Machine, Round, Row, Skipped};
use crate::versus::load::{Fleet, Turn, Used};
use crate::versus::process::{Process, ProcessError};
use crate::versus::script::Script;

pub mod args;
mod closed;
pub mod command;
mod connection;
pub mod contender;
pub mod dialect;
pub mod figures;
mod floor;
mod html;
mod load;
mod memcached;
pub mod open;
mod process;
mod resp;
pub mod script;
mod usage;

/// The bucket and key that HTTP requests carry where no Seshun made any: of the same lengths.
const MODEL_NAMES: (&str, &str) =
    ("loadtest-0000000000000000", "0000000000000000000000000000000000000000000");

/// Which part of a turn's length goes before it, unmeasured.
const WARM_UP_PART: u32 = 10;

/// How long contenders are given to rest before a turn, and between two looks at them.
const SETTLE_MAX: Duration = Duration::from_secs(3);
const SETTLE_STEP: Duration = Duration::from_millis(50);

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum VersusError {
    /// No folder, event loop or file could be had here.
    #[error("{what}: {source}")]
    Here {
        /// What it was about to do.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody is there to be compared.
    #[error("nobody takes part: {0}")]
    Nobody(String),
}

/// Why a contender takes no part although it is there.
#[derive(Debug, thiserror::Error)]
enum EntryError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Seshun(#[from] RunError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A contender that was started.
struct Entrant {
    who: Who,
    version: String,
    flags: Vec<String>,
    process: Process,
    fleet: Fleet,
    rounds: Vec<Round>,
    /// Those of all rounds.
    latencies: Latency,
    failed: Option<String>,
}

/// What all contenders are set up with.
struct Stage<'a> {
    args: &'a VersusArgs,
    folder: &'a Path,
    cpu: Option<usize>,
    rng: Rng,
    data: Data,
    /// What Seshun answers, once it was asked, and the names that its requests carry.
    recorded: Option<(Script, String, String)>,
}

/// Compares as `args` ask for, or until `stopped` is set; `tell` hears whose turn it is.
///
/// The calling thread stays pinned to the load's CPU.
pub fn compare(
    args: &VersusArgs,
    command: String,
    stopped: &Arc<AtomicBool>,
    mut tell: impl FnMut(Who, u32),
) -> Result<Comparison, VersusError> {
    let here = |what| move |source| VersusError::Here { what, source };
    raise_descriptor_limit();
    let folder = tempfile::Builder::new().prefix("loadtest-versus-").tempdir();
    let folder = folder.map_err(here("making a folder"))?;
    let mut machine = describe_machine(args);
    let (mut entrants, skipped) = enter_all(args, folder.path(), machine.server_cpu);
    if entrants.is_empty() {
        let reasons = skipped.iter().map(|Skipped { name, reason, .. }| format!("{name}: {reason}"));
        return Err(VersusError::Nobody(reasons.collect::<Vec<_>>().join("; ")));
    }
    process::pin(machine.load_cpu.map(|cpu| cpu as usize)).map_err(here("pinning the load"))?;
    // Never dropped: a turn that was given up leaves reads in flight.
    let event_loop = EventLoop::build(args.epoll).map_err(here("building the event loop"))?;
    let mut event_loop = ManuallyDrop::new(event_loop);
    machine.driver = event_loop.name();
    if args.rate.is_some() {
        // Timers are else 50 us late by design. Where it fails, the lag is measured and shown.
        let _ = set_current_timer_slack(NonZeroU64::new(1));
    }
    let turn = Turn {
        clock: Clock::started(),
        warm_up: args.round_duration / WARM_UP_PART,
        measured: args.round_duration,
        rate: args.rate,
        stopped: Arc::clone(stopped),
    };
    let mut rng = Rng::new(draw_seed());
    for number in 0..args.rounds {
        // Nobody always follows the same one.
        for at in shuffled(entrants.len(), &mut rng) {
            if turn.stopped.load(Ordering::Relaxed) {
                break;
            }
            tell(entrants[at].who, number);
            settle(&entrants, &turn).map_err(here("reading CPU times"))?;
            entrants[at].take_turn(&mut event_loop, &turn, number);
        }
    }
    let rows = entrants.into_iter().map(Entrant::into_row).collect();
    Ok(Comparison { skipped, ..Comparison::new(command, machine, config(args), rows) })
}

/// Answers by rote until standard input ends: the raw loop, as a process of its own.
pub fn serve_floor(args: &FloorArgs) -> io::Result<()> {
    let script = serde_json::from_slice(&fs::read(&args.script)?)?;
    floor::serve(&TcpListener::bind(args.listen)?, &script, io::stdin())
}

fn config(args: &VersusArgs) -> Config {
    Config {
        rounds: args.rounds,
        round_duration_s: args.round_duration.as_secs_f64(),
        connections: args.connections,
        sessions: args.sessions,
        size_bytes: args.size,
        load: if args.rate.is_some() { "open" } else { "closed" },
        rate: args.rate,
        mix: args.mix,
        short_ttl_s: args.short_ttl,
    }
}

fn describe_machine(args: &VersusArgs) -> Machine {
    let Host { cpu, cpus, kernel, debug_build } = Host::read();
    let pinned = |cpu: u32| process::can_pin(cpu as usize).then_some(cpu);
    Machine {
        cpu,
        cpus,
        kernel,
        server_cpu: pinned(args.server_cpu),
        load_cpu: pinned(args.load_cpu),
        driver: "",
        debug_build,
    }
}

/// Starts whom it can, Seshun before the raw loop, which repeats its answers.
fn enter_all(args: &VersusArgs, folder: &Path, server_cpu: Option<u32>) -> (Vec<Entrant>, Vec<Skipped>) {
    let mut rng = Rng::new(draw_seed());
    let data = Data::new(rng.bits(), args.size);
    let cpu = server_cpu.map(|cpu| cpu as usize);
    let mut stage = Stage { args, folder, cpu, rng, data, recorded: None };
    let mut order: Vec<Who> = args.contenders().collect();
    order.sort_by_key(|who| *who != Who::Seshun);
    let (mut entrants, mut skipped) = (Vec::new(), Vec::new());
    for who in order {
        let name = who.name();
        match args.program_of(who).map_or_else(|| who.program(), Ok) {
            Err(reason) => skipped.push(Skipped { name, reason: reason.to_owned(), failed: false }),
            Ok(program) => match stage.enter(who, program) {
                Ok(entrant) => entrants.push(entrant),
                Err(error) => skipped.push(Skipped { name, reason: error.to_string(), failed: true }),
            },
        }
    }
    entrants.sort_by_key(|entrant| Who::ALL.iter().position(|who| *who == entrant.who));
    (entrants, skipped)
}

/// Waits until no contender uses its CPU, so that nobody pays for what another one still does, but
/// not for longer than a moment: one that never rests is in everybody's way alike.
fn settle(entrants: &[Entrant], turn: &Turn) -> io::Result<()> {
    let used = || entrants.iter().map(|entrant| entrant.process.cpu_time()).sum::<io::Result<Duration>>();
    let (until, mut before) = (turn.clock.now().after(SETTLE_MAX), used()?);
    while turn.clock.now() < until && !turn.stopped.load(Ordering::Relaxed) {
        thread::sleep(SETTLE_STEP);
        let after = used()?;
        if after.saturating_sub(before) <= SETTLE_STEP / 50 {
            break;
        }
        before = after;
    }
    Ok(())
}

/// The numbers below `len` in an order that is drawn.
fn shuffled(len: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    (1..len).rev().for_each(|at| order.swap(at, rng.below(at + 1)));
    order
}

impl Stage<'_> {
    fn enter(&mut self, who: Who, program: PathBuf) -> Result<Entrant, EntryError> {
        // It runs in its own folder, where a relative path would lead elsewhere.
        let program = std::path::absolute(program)?;
        let folder = self.folder.join(who.name());
        fs::create_dir(&folder)?;
        let connections = self.args.connections;
        let place = Place { addr: process::free_addr()?, folder: &folder, connections };
        let (seed, id) = (self.rng.bits(), drawn_id(&mut self.rng));
        let http = self.http(place.addr);
        match who {
            Who::Raw => contender::write_script(&folder, &self.script(&http)?)?,
            Who::Nginx => {
                let path = format!("/session/{}/{}", self.names().0, String::from_utf8_lossy(id.as_bytes()));
                contender::write_static(&folder, &path, self.data.as_bytes())?;
            }
            Who::Seshun | Who::Redis | Who::Memcached => {}
        }
        let flags = self.args.flags_of(who);
        let version = process::said_by(&program, who.version_flag());
        let version = contender::version_in(&version).unwrap_or("?").to_owned();
        let process = Process::start(who.command(&program, place, &flags)?, self.cpu, &folder, place.addr)?;
        let bot_ttl_s = self.args.short_ttl;
        let dialect: Rc<dyn Dialect> = match who {
            Who::Raw | Who::Nginx => Rc::new(http),
            Who::Seshun => Rc::new(self.introduce(process.remote_addr())?.with_bots(bot_ttl_s)),
            Who::Redis => Rc::new(resp::Resp::new(self.data.clone(), bot_ttl_s)),
            Who::Memcached => Rc::new(memcached::Memcached::new(self.data.clone(), bot_ttl_s)),
        };
        let plan = Plan {
            remote_addr: process.remote_addr(),
            dialect,
            mix: self.args.mix,
            connections,
            sessions: self.args.sessions,
            fixed: who.is_read_only().then_some(id),
            seed,
        };
        let fleet = Fleet::new(&plan);
        let (rounds, latencies) = (Vec::new(), Latency::new());
        Ok(Entrant { who, version, flags, process, fleet, rounds, latencies, failed: None })
    }

    /// Makes a bucket on Seshun and records its answers.
    fn introduce(&mut self, addr: SocketAddr) -> Result<Http, EntryError> {
        let url: Url = format!("http://{addr}").parse().map_err(io::Error::other)?;
        let control = Control::new(&url, contender::MASTER_KEY)?;
        let bucket = control.make_bucket(&mut self.rng)?;
        let http = Http::new(url.host(), (&bucket.name, &bucket.key), self.data.clone());
        self.recorded = Some((Script::recorded(addr, &http)?, bucket.name, bucket.key));
        Ok(http)
    }

    fn names(&self) -> (&str, &str) {
        self.recorded.as_ref().map_or(MODEL_NAMES, |(_, bucket, key)| (bucket, key))
    }

    /// The requests that Seshun gets, for another address.
    fn http(&self, addr: SocketAddr) -> Http {
        Http::new(&addr.to_string(), self.names(), self.data.clone())
    }

    fn script(&self, http: &Http) -> io::Result<Vec<u8>> {
        let script = match &self.recorded {
            Some((script, ..)) => script.for_requests_of(http),
            None => Script::modelled(http),
        };
        Ok(serde_json::to_vec(&script)?)
    }
}

impl Entrant {
    fn take_turn(&mut self, event_loop: &mut EventLoop, turn: &Turn, number: u32) {
        if self.failed.is_some() || turn.stopped.load(Ordering::Relaxed) {
            return;
        }
        let process = &self.process;
        let used = || {
            let server = process.cpu_time()?;
            Ok(Used { server, load: usage::of_process(std::process::id())? })
        };
        match self.fleet.turn(event_loop, turn, used) {
            // A turn that was cut short is none.
            Ok(_) if turn.stopped.load(Ordering::Relaxed) => {}
            Ok(measured) => match Round::new(number, &measured) {
                Some(round) => {
                    self.rounds.push(round);
                    self.latencies.merge(&measured.latencies());
                }
                None => self.failed = Some(LoadError::Stalled.to_string()),
            },
            Err(error) => self.failed = Some(error.to_string()),
        }
    }

    /// Ends it and keeps its figures.
    fn into_row(self) -> Row {
        let Self { who, version, flags, rounds, latencies, failed, .. } = self;
        Row {
            name: who.name(),
            version,
            note: who.note(),
            reads_only: who.is_read_only(),
            flags,
            failed,
            cpu_us: None,
            ratio: None,
            per_s: None,
            open: None,
            limited: None,
            max_us: latencies.max_us(),
            spectrum_us: Spectrum::of(&latencies),
            rounds,
        }
    }
}
