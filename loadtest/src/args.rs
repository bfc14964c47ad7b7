//! What the command line asks for, each flag parsed into a value that needs no second look.
//!
//! Without flags it fits the server that `cargo run --release` starts. Sizes are powers of
//! 1,024 as in the server's configuration; a bare number is bytes or seconds.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

use crate::versus::args::Command;
use crate::workload::Mix;

/// Most bytes of a blob that can be asked for.
const SIZE_MAX: usize = 64 * 1024 * 1024;

/// Loads a Seshun server over the wire and checks every answer.
///
/// Exits with 0 if every answer was right, 1 after a wrong answer, 2 if it could not run.
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
    /// Keep-alive connections, each with one request at a time
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub connections: u32,
    /// How long to load, like 10s, 500ms or 2m
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Generator threads, each with an event loop of its own
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub cores: u32,
    /// Bytes of data in a session, like 1kb
    #[arg(long, value_name = "BYTES", default_value = "1kb", value_parser = parse_size)]
    pub size: usize,
    /// How often each operation is drawn, in parts of their sum
    #[arg(long, default_value = "read=80,update=10,create=5,delete=5")]
    pub mix: Mix,
    /// Sessions that each connection makes before it draws from the mix
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub sessions: u32,
    /// Repeats the run that reported this seed; drawn if not given
    #[arg(long)]
    pub seed: Option<u64>,
    /// Writes the report as JSON there too; - is standard output, and the text then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub json: Option<JsonTarget>,
    /// The CPUs to pin the generator's threads to in turn, like 0,2-3
    #[arg(long, value_name = "CPULIST")]
    pub pin: Option<CpuList>,
    /// Ends after this many operations, if the duration has not ended it
    #[arg(long, hide = true)]
    pub operations: Option<u64>,
    /// The own TTL of the short-lived sessions, in seconds
    #[arg(long, hide = true, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub short_ttl: u32,
    /// How long an answer may stay out after the run's end
    #[arg(long, hide = true, default_value = "5s", value_parser = parse_duration)]
    pub answer_timeout: Duration,
    /// Takes the epoll driver where io_uring would be there
    #[arg(long, hide = true)]
    pub epoll: bool,
}

/// Where the JSON report goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JsonTarget {
    /// Standard output.
    Stdout,
    /// A file, which is replaced.
    File(PathBuf),
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

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

pub(crate) fn parse_duration(text: &str) -> Result<Duration, ArgError> {
    let form = ArgError("write it like 10s, 500ms or 2m");
    let (number, unit) = split_unit(text).ok_or(form)?;
    let span = match unit {
        "ms" => Duration::from_millis(number),
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60).ok_or(form)?),
        _ => return Err(form),
    };
    if span.is_zero() { Err(ArgError("it takes more than no time")) } else { Ok(span) }
}

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
