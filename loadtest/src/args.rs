//! What the command line asks for, each flag parsed into a value that needs no second look.
//!
//! Without flags it fits the server that `cargo run --release` starts. Sizes are powers of
//! 1,024 as in the server's configuration; a bare number is bytes or seconds.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::compare::args::CompareArgs;
use crate::pace::Rate;
use crate::profile::{self, Profile};
use crate::sizes::Sizes;
use crate::versus::args::{FloorArgs, VersusArgs};
use crate::workload::Mix;
use crate::zipf::EXPONENT_MAX;

/// Most bytes of a blob that can be asked for.
const SIZE_MAX: usize = 64 * 1024 * 1024;

/// The longest time that can be asked for: 30 days.
const DURATION_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Loads a Seshun server over the wire and checks every answer.
///
/// Exits with 0 if every answer was right, 1 after a wrong answer or too many refusals, 2 if it
/// could not run.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadtest", version, args_override_self = true, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Something else than a load on one server
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:8385")]
    pub url: Url,
    /// A master key of the server, to make a bucket with
    #[arg(long, value_name = "KEY", default_value = "change-me-before-you-expose-me")]
    pub master_key: String,
    /// A named workload; flags win over it
    #[arg(long, value_enum, conflicts_with = "profile_file")]
    pub profile: Option<Profile>,
    /// A workload of your own: a YAML file of `flag: value` lines; flags win over it
    #[arg(long, value_name = "FILE")]
    pub profile_file: Option<PathBuf>,
    /// Keep-alive connections
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub connections: u32,
    /// How long to load, like 10s, 500ms or 2m
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Generator threads, each with an event loop of its own
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub cores: u32,
    /// Requests a second, like 5000 or 20k/s, whatever the server answers (open loop); else as fast as it answers
    #[arg(long, value_name = "N/s", value_parser = Rate::parse_fixed, overrides_with = "ramp")]
    pub rate: Option<Rate>,
    /// A rate that grows or falls evenly over the duration, like 1k..50k (open loop)
    #[arg(long, value_name = "A..B", value_parser = Rate::parse_ramp, overrides_with = "rate")]
    pub ramp: Option<Rate>,
    /// Requests that leave together on a connection before their answers are read (closed loop)
    #[arg(long, value_name = "COUNT", default_value_t = 1, conflicts_with_all = ["rate", "ramp"],
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub pipeline: u32,
    /// Bytes of data in a session: 1kb, uniform:200-4kb, or lognormal:2kb,1.0,256kb (median, sigma, max)
    #[arg(long, value_name = "BYTES", default_value = "1kb")]
    pub size: Sizes,
    /// How often each operation is drawn, in parts of their sum; `bot` is a PUT that is never read
    #[arg(long, default_value = "read=80,update=10,create=5,delete=5")]
    pub mix: Mix,
    /// How unevenly users come: the exponent of Zipf's law, 0 for all alike
    #[arg(long, value_name = "EXPONENT", default_value_t = 0.99, value_parser = parse_exponent)]
    pub zipf: f64,
    /// Of a hundred sessions made for users, how many are left behind with a short TTL
    #[arg(long, value_name = "PERCENT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(..=100))]
    pub abandoned: u32,
    /// Of a hundred operations, how many use a session that other connections change at the same time
    #[arg(long, value_name = "PERCENT", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=100))]
    pub contested: u32,
    /// Lets all short-lived sessions of so long a span fall due in the same second
    #[arg(long, value_name = "DURATION", value_parser = parse_wave)]
    pub wave: Option<Duration>,
    /// Closes all connections at once every so often and makes them anew
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub storm: Option<Duration>,
    /// Sessions a connection that are made before the load begins
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub sessions: u32,
    /// The server's admin listener, for its own account of the load; tried where it usually is, if not given
    #[arg(long, value_name = "URL")]
    pub admin: Option<Url>,
    /// Passes a run although the generator was the bottleneck: for checking answers, not for figures
    #[arg(long)]
    pub allow_limited: bool,
    /// Of a hundred answers, how many may be refusals (429, 503, 507); more of them fail the run
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=100))]
    pub refused_max: u32,
    /// Repeats the draws of the run that reported this seed; drawn if not given
    #[arg(long)]
    pub seed: Option<u64>,
    /// Writes the report as JSON there too; - is standard output, and the text then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub json: Option<JsonTarget>,
    /// Writes the report as one self-contained HTML page with charts there too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Writes all latencies there as an HdrHistogram log: each second a line for all and one for each operation, by tag
    #[arg(long, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
    /// The CPUs to pin the generator's threads to in turn, like 0,2-3
    #[arg(long, value_name = "CPULIST")]
    pub pin: Option<CpuList>,
    /// Ends after this many operations, if the duration has not ended it
    #[arg(long, hide = true)]
    pub operations: Option<u64>,
    /// The own TTL of short-lived sessions, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub short_ttl: u32,
    /// How long an answer may stay out after the run's end
    #[arg(long, hide = true, default_value = "5s", value_parser = parse_duration)]
    pub answer_timeout: Duration,
    /// Takes the epoll driver where io_uring would be there
    #[arg(long, hide = true)]
    pub epoll: bool,
}

/// What else this program does.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Compares Seshun with other servers and with a raw loop, in one run on this machine
    ///
    /// Every contender that is found is started on loopback, gets the same sessions and takes its
    /// turn in every round; the ratios are to the raw loop's server CPU time in the same round. At a
    /// --rate, latencies count from when requests were meant to leave. Exits with 0 if all of them
    /// answered right, 1 if not, 2 if it could not run or the load was the bottleneck itself.
    Versus(VersusArgs),
    /// Puts reports of earlier runs side by side
    ///
    /// Reads what --json wrote; ratios are to the first report. Says which fields of the workload
    /// differ and which run was no valid measurement. Exits with 0 if the runs can be compared as
    /// they stand, 1 if not, 2 if a file is no report.
    #[command(long_flag = "compare")]
    Compare(CompareArgs),
    /// Answers by rote: the raw loop that a comparison starts
    #[command(hide = true)]
    VersusFloor(FloorArgs),
}

impl Args {
    /// Reads the command line, and the profile that it names; its first word is the command's name.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut words: Vec<OsString> = words.into_iter().collect();
        // A flag may stand anywhere, and a command only in front.
        if let Some(at) = words.iter().position(|word| word == "--compare") {
            words[1..=at].rotate_right(1);
        }
        let given = Self::try_parse_from(&words)?;
        let flags = match (given.profile, &given.profile_file) {
            (Some(profile), _) => profile.flags(),
            (None, Some(path)) => profile::read_file(path),
            (None, None) => return Ok(given),
        };
        let flags = flags.map_err(|error| Self::command().error(ErrorKind::ValueValidation, error))?;
        // In front of the given ones, so that those win.
        words.splice(1..1, flags.into_iter().map(OsString::from));
        Self::try_parse_from(&words)
    }

    /// The open loop's rate; none for a closed loop.
    pub fn rate(&self) -> Option<Rate> {
        debug_assert!(
            self.rate.is_none() || self.ramp.is_none(),
            "the later one of both overrides the other"
        );
        self.rate.or(self.ramp)
    }
}

/// Where the JSON report goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JsonTarget {
    /// Standard output.
    Stdout,
    /// A file, which is replaced.
    File(PathBuf),
}

impl JsonTarget {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Stdout => None,
            Self::File(path) => Some(path),
        }
    }
}

impl FromStr for JsonTarget {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        match text {
            "" => Err(ArgError("name a file, or - for standard output")),
            "-" => Ok(Self::Stdout),
            path => Ok(Self::File(path.into())),
        }
    }
}

/// Why a flag's value was not taken: a sentence that says what is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ArgError(&'static str);

/// The server's address: plain HTTP, without a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    /// As it was given, without the scheme: what Host says.
    host: String,
    has_port: bool,
}

impl Url {
    /// What the Host field says.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The address and port to resolve.
    pub fn authority(&self) -> String {
        format!("{}{}", self.host, if self.has_port { "" } else { ":80" })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.host)
    }
}

impl FromStr for Url {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let form = ArgError("write it like http://127.0.0.1:8385: plain HTTP, without a path");
        let rest = text.strip_prefix("http://").ok_or(form)?;
        let host = rest.strip_suffix('/').unwrap_or(rest);
        let after_address = host.rfind(']').map_or(host, |end| &host[end + 1..]);
        let (address, port) = match after_address.rsplit_once(':') {
            Some((_, port)) => (&host[..host.len() - port.len() - 1], Some(port)),
            None => (host, None),
        };
        let bracketed = address.starts_with('[') && address.ends_with(']');
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'@');
        if address.is_empty() || !address.bytes().all(plain) || (address.contains(':') && !bracketed) {
            return Err(form);
        }
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(form);
        }
        Ok(Self { host: host.to_owned(), has_port: port.is_some() })
    }
}

/// CPU numbers in the order in which threads take them. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuList(Vec<usize>);

impl CpuList {
    /// The CPU of the thread with this index; threads share CPUs where there are more of them.
    pub fn cpu_of(&self, thread: usize) -> usize {
        self.0[thread % self.0.len()]
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&cpus.join(","))
    }
}

impl FromStr for CpuList {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let form = ArgError("write it like 0,2-3, with numbers up to 1023");
        let number = |text: &str| text.trim().parse().ok().filter(|&cpu: &usize| cpu < 1024).ok_or(form);
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(form);
            }
            cpus.extend(first..=last);
        }
        debug_assert!(!cpus.is_empty(), "every part names a CPU");
        Ok(Self(cpus))
    }
}

/// A number and the unit behind it, which is lower-case letters.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

fn parse_exponent(text: &str) -> Result<f64, ArgError> {
    let exponent = text.parse::<f64>().ok().filter(|exponent| (0.0..=EXPONENT_MAX).contains(exponent));
    exponent.ok_or(ArgError("write it like 0.99, from 0 to 3"))
}

fn parse_wave(text: &str) -> Result<Duration, ArgError> {
    let wave = parse_duration(text)?;
    if wave < Duration::from_secs(1) { Err(ArgError("a wave takes a second or more")) } else { Ok(wave) }
}

pub(crate) fn parse_duration(text: &str) -> Result<Duration, ArgError> {
    let form = ArgError("write it like 10s, 500ms or 2m");
    let (number, unit) = split_unit(text).ok_or(form)?;
    let span = match unit {
        "ms" => Duration::from_millis(number),
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60).ok_or(form)?),
        _ => return Err(form),
    };
    if span.is_zero() {
        Err(ArgError("it takes more than no time"))
    } else if span > DURATION_MAX {
        Err(ArgError("it takes at most 30 days, which are 43200m"))
    } else {
        Ok(span)
    }
}

/// A number of bytes, in powers of 1,024.
pub(crate) fn parse_size(text: &str) -> Result<usize, ArgError> {
    let form = ArgError("write it like 100, 1kb or 1mb");
    let (number, unit) = split_unit(text).ok_or(form)?;
    let factor = match unit {
        "" | "b" => 1,
        "kb" => 1024,
        "mb" => 1024 * 1024,
        _ => return Err(form),
    };
    let size = usize::try_from(number).ok().and_then(|number| number.checked_mul(factor)).ok_or(form)?;
    if size > SIZE_MAX { Err(ArgError("a blob has at most 64mb")) } else { Ok(size) }
}

#[cfg(test)]
mod tests;
