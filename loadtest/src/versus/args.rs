//! What `loadtest versus` is asked for.
//!
//! Without flags it compares all that is installed, with Seshun's binary from beside its own,
//! on the first CPU for the servers and the second for the load. Units are those of the
//! plain command.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, value_parser};

use crate::args::{JsonTarget, parse_duration, parse_size};
use crate::pace::Rate;
use crate::versus::contender::{Who, WhoError};
use crate::versus::dialect::TTL_S;
use crate::workload::Mix;

/// What every contender takes as it is configured by default.
const CONNECTIONS_MAX: i64 = 9_000;

/// Who is compared, and by which load.
#[derive(Clone, Debug, Args)]
pub struct VersusArgs {
    /// Rounds, in each of which every contender has its turn
    #[arg(long, value_name = "COUNT", default_value_t = 7, value_parser = value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// How long a turn is measured, like 3s; one below 1s is not judged; a tenth of it more goes before, unmeasured
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse_duration)]
    pub round_duration: Duration,
    /// Requests a second, like 5000 or 20k/s, that each gets over all its connections, whatever it answers
    /// (open loop); else as fast as it answers
    #[arg(long, value_name = "N/s", value_parser = Rate::parse_fixed)]
    pub rate: Option<Rate>,
    /// Exits with 0 although the load was the bottleneck somewhere
    #[arg(long)]
    pub allow_limited: bool,
    /// Keep-alive connections, each with one request at a time
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = value_parser!(u32).range(1..=CONNECTIONS_MAX))]
    pub connections: u32,
    /// Bytes of data in a session, like 1kb
    #[arg(long, value_name = "BYTES", default_value = "1kb", value_parser = parse_size)]
    pub size: usize,
    /// How often each operation is drawn, in parts of their sum; nginx gets reads only. `bot` makes a
    /// session with a short TTL that nobody asks for again: where it has a part, sessions expire all the time
    #[arg(long, default_value = "read=80,update=10,create=5,delete=5")]
    pub mix: Mix,
    /// The own TTL of bots' sessions, in seconds; the raw loop and nginx expire nothing
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = value_parser!(u32).range(1..=i64::from(TTL_S)))]
    pub short_ttl: u32,
    /// Sessions that each connection makes before it draws from the mix
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = value_parser!(u32).range(1..))]
    pub sessions: u32,
    /// The CPU that the servers are pinned to
    #[arg(long, value_name = "CPU", default_value_t = 0, value_parser = value_parser!(u32).range(..1024))]
    pub server_cpu: u32,
    /// The CPU that the load is pinned to
    #[arg(long, value_name = "CPU", default_value_t = 1, value_parser = value_parser!(u32).range(..1024))]
    pub load_cpu: u32,
    /// Takes these alone: raw, seshun, nginx, redis, memcached
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<Who>,
    /// Takes this program for a contender, as in seshun=./seshun; may be repeated
    #[arg(long, value_name = "NAME=PATH")]
    pub program: Vec<Given<PathBuf>>,
    /// Starts a contender with this flag too, as in redis=--appendonly; may be repeated
    #[arg(long, value_name = "NAME=FLAG")]
    pub flag: Vec<Given<String>>,
    /// Writes the report as JSON there too; - is standard output, and the text then goes to standard error
    #[arg(long, value_name = "FILE")]
    pub json: Option<JsonTarget>,
    /// Writes the report as one self-contained HTML page with every round's points there too
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Takes the epoll driver for the load where io_uring would be there
    #[arg(long, hide = true)]
    pub epoll: bool,
}

impl VersusArgs {
    /// Who is to take part, in the order of the table and each once.
    pub fn contenders(&self) -> impl Iterator<Item = Who> {
        Who::ALL.into_iter().filter(|who| self.only.is_empty() || self.only.contains(who))
    }

    /// The program that was named for it.
    pub fn program_of(&self, who: Who) -> Option<PathBuf> {
        self.program.iter().rfind(|given| given.who == who).map(|given| given.value.clone())
    }

    /// The flags that were named for it, in their order.
    pub fn flags_of(&self, who: Who) -> Vec<String> {
        self.flag.iter().filter(|given| given.who == who).map(|given| given.value.clone()).collect()
    }
}

/// Something for one contender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given<T> {
    /// For whom.
    pub who: Who,
    /// What.
    pub value: T,
}

/// Why a text gives nothing to anybody.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GivenError {
    /// It is not of the form.
    #[error("write it like NAME=VALUE")]
    Form,
    /// Its name is nobody's.
    #[error(transparent)]
    Who(#[from] WhoError),
}

impl<T: From<String>> FromStr for Given<T> {
    type Err = GivenError;

    fn from_str(text: &str) -> Result<Self, GivenError> {
        let (name, value) = text.split_once('=').ok_or(GivenError::Form)?;
        Ok(Self { who: name.parse()?, value: T::from(value.to_owned()) })
    }
}

/// What the raw loop is told.
#[derive(Clone, Debug, Args)]
pub struct FloorArgs {
    /// Where it listens
    #[arg(long)]
    pub listen: SocketAddr,
    /// The file with its answers
    #[arg(long)]
    pub script: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    use crate::args::Command;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn parse(flags: &[&str]) -> Result<VersusArgs, String> {
        let line = ["loadtest", "versus"].iter().chain(flags);
        match Line::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Command::Versus(args) => Ok(args),
            _ => Err("another command".to_owned()),
        }
    }

    #[test]
    fn without_flags_everybody_takes_part() {
        let args = parse(&[]).unwrap();
        assert_eq!((args.rounds, args.connections, args.size), (7, 64, 1024));
        assert_eq!((args.server_cpu, args.load_cpu), (0, 1));
        assert_eq!(args.round_duration, Duration::from_secs(3));
        assert_eq!(args.contenders().collect::<Vec<_>>(), Who::ALL);
    }

    #[test]
    fn those_named_take_part_in_the_order_of_the_table() {
        let args = parse(&["--only", "redis,seshun,redis"]).unwrap();
        assert_eq!(args.contenders().collect::<Vec<_>>(), [Who::Seshun, Who::Redis]);
        assert!(parse(&["--only", "apache"]).unwrap_err().contains("takes no part"));
    }

    #[test]
    fn programs_and_flags_go_to_the_one_they_name() {
        let args = parse(&[
            "--program",
            "seshun=/a/b=c",
            "--flag",
            "redis=--appendonly",
            "--flag",
            "seshun=-x",
            "--flag",
            "redis=yes",
        ])
        .unwrap();
        assert_eq!(args.program_of(Who::Seshun), Some("/a/b=c".into()));
        assert_eq!(args.program_of(Who::Redis), None);
        assert_eq!(args.flags_of(Who::Redis), ["--appendonly", "yes"]);
        for text in ["seshun", "apache=x", "=x"] {
            assert!(parse(&["--program", text]).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_rate_is_written_as_for_one_server_and_makes_an_open_loop() {
        assert_eq!(parse(&[]).unwrap().rate, None);
        for text in ["30000", "30k", "30000/s", "30k/s"] {
            assert_eq!(parse(&["--rate", text]).unwrap().rate, Some(Rate { from: 30e3, to: 30e3 }), "{text}");
        }
        assert!(parse(&["--rate", "1k..2k"]).is_err(), "rounds are to be alike");
    }

    #[test]
    fn counts_and_cpus_have_limits() {
        for flags in [["--rounds", "0"], ["--short-ttl", "0"], ["--short-ttl", "2592001"]] {
            assert!(parse(&flags).is_err(), "{flags:?}");
        }
        for flags in [["--connections", "0"], ["--server-cpu", "1024"], ["--mix", "x"]] {
            assert!(parse(&flags).is_err(), "{flags:?}");
        }
    }
}
