//! The configuration: one typed value, judged once at the start and never again.
//!
//! Every key has a default, a range and a place in `config.yml`; a test proves that the
//! file and the defaults here say the same. What an operator writes becomes one of these
//! types or a fault that names its place; all faults are told at once. The only
//! I/O is reading the file: environment and working directory are arguments. Secrets
//! are in no error text and in no `Debug` output.

mod args;
mod check;
mod fault;
mod keys;
mod kind;
mod launch;
mod layers;
mod source;
mod tree;
mod units;

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

pub use self::args::Args;
pub use self::fault::{ConfigError, Fault, Place};
use self::keys::{keys_of, sections};
use self::layers::{Environment, Layers};
pub use self::source::Source;
use self::source::{SYSTEM_FILE, Search};
use self::tree::{SyntaxError, Tree};
use crate::types::{ByteCount, MasterKey, Millis, ShardCount, Ttl};

/// The port that a server has by default.
const DEFAULT_PORT: u16 = 8385;
/// The port that an admin listener has by default.
const DEFAULT_ADMIN_PORT: u16 = 8386;
/// The default of `journal.dir`.
const DEFAULT_DATA_DIR: &str = "./data";
/// The default of `journal.downtime_max`, in seconds: 7 days.
const DEFAULT_DOWNTIME_SECS: u64 = 7 * 24 * 60 * 60;
/// The default of `session.ttl` and of `session.max_ttl`, in seconds: 30 days.
const DEFAULT_TTL_SECS: u64 = 30 * 24 * 60 * 60;

/// The master key that `config.yml` ships with. Public, so it opens nothing but loopback.
pub const EXAMPLE_MASTER_KEY: &str = "change-me-before-you-expose-me";

/// A configuration that was judged good, and what to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// Where it was read; the line at the start names it.
    pub source: Source,
    /// What an operator should know although nothing is wrong, one line each, to be logged.
    pub warnings: Vec<String>,
}

/// Reads and judges the configuration: flags over `env` over the file over the defaults.
/// `cwd` is the working directory. All that is wrong is told in one error.
pub fn load<K, V>(
    args: &Args,
    env: impl IntoIterator<Item = (K, V)>,
    cwd: &Path,
) -> Result<Loaded, ConfigError>
where
    K: Into<OsString>,
    V: Into<OsString>,
{
    let environment = Environment::of(env);
    let named = match args.config.as_deref() {
        Some(file) => Some(file),
        None => environment.file()?,
    };
    let (source, text) = Search { named, cwd, system_file: Path::new(SYSTEM_FILE) }.read()?;
    let tree = match Tree::parse(&text) {
        Ok(tree) => tree,
        Err(SyntaxError { line, reason }) => {
            return Err(ConfigError::Syntax { source_name: source, line, reason });
        }
    };
    let mut layers = Layers::default();
    layers.file(&source, &tree);
    layers.environment(&environment);
    layers.flags(args);
    let config = layers.finish()?;
    let mut warnings = environment.warnings();
    warnings.extend(check::warnings(&config));
    Ok(Loaded { config, source, warnings })
}

/// Everything that an operator can set.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Config {
    /// Where and how client apps are served.
    pub server: Server,
    /// The admin listener.
    pub admin: Admin,
    /// Who may make API keys, and how keys are sent.
    pub auth: Auth,
    /// How long sessions live and how much they hold.
    pub session: Session,
    /// What outlives the process, and where it is kept.
    pub journal: Journal,
    /// How much memory sessions may take.
    pub memory: Memory,
    /// How much of each thing one client may ask for.
    pub limits: Limits,
    /// How long the server waits for each thing.
    pub timeouts: Timeouts,
}

impl Config {
    /// The configuration as a file would have it, with a placeholder for each master key, so
    /// that it cannot be read back by mistake with a key that everybody knows.
    pub fn to_yaml(&self) -> String {
        let mut config = self.clone();
        let mut file = Mapping::new();
        for section in sections() {
            let keys = keys_of(section).map(|key| (Value::from(key.name), key.kind.show(&mut config)));
            file.insert(section.into(), Value::Mapping(keys.collect()));
        }
        serde_yaml::to_string(&file).expect("words, numbers and lists of them are YAML")
    }
}

/// Where and how client apps are served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// The address of the service. Port 0 picks a free port.
    pub listen: SocketAddr,
    /// How many cores serve.
    pub cores: Cores,
    /// What drives sockets.
    pub driver: DriverChoice,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: loopback(DEFAULT_PORT), cores: Cores::Auto, driver: DriverChoice::Auto }
    }
}

/// How many cores serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cores {
    /// As many as machine, affinity and cgroup allow.
    Auto,
    /// As many as the operator said, whatever the machine has.
    Exactly(ShardCount),
}

/// What drives sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DriverChoice {
    /// io_uring where the kernel allows it, epoll elsewhere.
    Auto,
    /// io_uring or no start.
    IoUring,
    /// epoll.
    Epoll,
}

/// The admin listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// Its address; none where it is off. Port 0 picks a free port.
    pub listen: Option<SocketAddr>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: Some(loopback(DEFAULT_ADMIN_PORT)) }
    }
}

/// Who may make API keys, and how keys are sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Auth {
    /// The operator's keys, in their order in the configuration. Never empty.
    pub master_keys: Vec<ConfiguredMasterKey>,
    /// Whether a key in the query, `?api_key=`, is taken.
    pub query_key: bool,
}

impl Auth {
    /// Whether the example master key is among the master keys.
    pub fn has_example_key(&self) -> bool {
        self.master_keys.iter().any(|configured| configured.is_example)
    }
}

impl Default for Auth {
    fn default() -> Self {
        let example = MasterKey::parse(EXAMPLE_MASTER_KEY).expect("30 letters and hyphens are a master key");
        Self { master_keys: vec![ConfiguredMasterKey { key: example, is_example: true }], query_key: true }
    }
}

/// A master key and whether everybody knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfiguredMasterKey {
    /// The key.
    pub key: MasterKey,
    /// Whether it is [`EXAMPLE_MASTER_KEY`], which is honoured from loopback peers only.
    pub is_example: bool,
}

/// How long sessions live and how much they hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// The TTL of a session without its own. `ttl <= max_ttl`
    pub ttl: Ttl,
    /// The longest TTL that a client app can give a session.
    pub max_ttl: Ttl,
    /// The most data that one session holds, inclusive: 1 byte to 64 MiB, so it fits u32.
    pub max_payload: ByteCount,
}

impl Default for Session {
    fn default() -> Self {
        let ttl = Ttl::from_secs(DEFAULT_TTL_SECS).expect("30 days are within a TTL's range");
        Self { ttl, max_ttl: ttl, max_payload: ByteCount::from_mib(1) }
    }
}

/// What outlives the process, and where it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Journal {
    /// What an answer waits for.
    pub mode: JournalMode,
    /// The journal's folder. A relative path counts from the folder of the file that names it,
    /// else from the working directory.
    pub dir: PathBuf,
    /// Whether a damaged journal is refused instead of restored as far as it goes.
    pub strict: bool,
    /// The longest time for which the process is believed to have been down: 0 to ten years.
    pub downtime_max: Millis,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            mode: JournalMode::EverySecond,
            dir: DEFAULT_DATA_DIR.into(),
            strict: false,
            downtime_max: Millis::from_secs(DEFAULT_DOWNTIME_SECS),
        }
    }
}

/// What an answer to a change waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JournalMode {
    /// Nothing: nothing outlives the process.
    Memory,
    /// The write; removals and keys for the sync, which comes each second without them.
    EverySecond,
    /// The sync.
    Always,
}

impl fmt::Display for JournalMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::EverySecond => "everysec",
            Self::Always => "always",
        })
    }
}

/// How much memory sessions may take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memory {
    /// The most memory that all sessions together take.
    pub max: MemoryMax,
}

impl Default for Memory {
    fn default() -> Self {
        Self { max: MemoryMax::Percent(75) }
    }
}

/// The most memory that all sessions together take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryMax {
    /// A share of what the cgroup or the machine has: 1 to 100.
    Percent(u8),
    /// A size: 16 MiB to 16 TiB, and not below `session.max_payload`.
    Bytes(ByteCount),
}

/// How much of each thing one client may ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Open connections of the process: 1 to 1,000,000.
    pub connections: u32,
    /// A request's line and fields together: 1 KiB to 1 MiB.
    pub head: ByteCount,
    /// A request's target: 256 bytes to 64 KiB, `target < head`.
    pub target: ByteCount,
    /// Fields of a request: 1 to 256.
    pub fields: u16,
    /// Trailer fields of a body: 1 KiB to 1 MiB.
    pub trailers: ByteCount,
    /// What a body's chunks cost beside their data: 1 KiB to 1 MiB.
    pub chunk_overhead: ByteCount,
    /// Output waiting on a connection before it is no longer read: 64 KiB to 64 MiB.
    pub output: ByteCount,
    /// Requests of one connection that are answered in one turn: 1 to 1,024.
    pub requests_per_turn: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head: ByteCount::from_kib(16),
            target: ByteCount::from_kib(8),
            fields: 100,
            trailers: ByteCount::from_kib(8),
            chunk_overhead: ByteCount::from_kib(16),
            output: ByteCount::from_mib(1),
            requests_per_turn: 32,
        }
    }
}

/// How long the server waits for each thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// A request's head, from its first byte: 100 ms to 1 h.
    pub head: Millis,
    /// A request's whole body: 100 ms to 1 h.
    pub body: Millis,
    /// The next request on a connection: 100 ms to 1 day.
    pub idle: Millis,
    /// A write that the client does not take: 100 ms to 1 h.
    pub write: Millis,
    /// Between the signal to stop and the end of accepting: 0 to 10 min.
    pub drain_delay: Millis,
    /// Requests in flight during shutdown: 0 to 1 h.
    pub drain: Millis,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Millis::from_secs(10),
            body: Millis::from_secs(60),
            idle: Millis::from_secs(75),
            write: Millis::from_secs(30),
            drain_delay: Millis::ZERO,
            drain: Millis::from_secs(30),
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Exactly(count) => count.fmt(f),
        }
    }
}

impl fmt::Display for DriverChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        })
    }
}

/// An address on this machine alone.
fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

#[cfg(test)]
mod tests;
