//! The command line: which flags and commands there are.
//!
//! Flags that stand for a key of the configuration are kept as they were written; they
//! are judged by the same code as the file and the environment, so that all that is
//! wrong is told at once. Commands read no configuration: they are told their folders.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

/// What `seshun` was called with.
#[derive(Parser, Clone, Default, Debug)]
#[command(
    name = "seshun",
    version,
    about = "Keeps sessions behind a small REST interface",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct Args {
    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Read this file ("builtin": the defaults that are compiled in) instead of
    /// $SESHUN_CONFIG, ./config.yml or /etc/seshun/config.yml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Serve client apps here; port 0 picks a free port
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,

    /// Serve health, metrics and version here; "off" for not at all
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin_listen: Option<String>,

    /// Use this many cores: "auto" or 1 to 256
    #[arg(long, value_name = "COUNT")]
    pub cores: Option<String>,

    /// Drive sockets by "auto", "io_uring" or "epoll"
    #[arg(long, value_name = "DRIVER")]
    pub driver: Option<String>,

    /// Keep the journal in this folder, which is made where it is missing
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,

    /// Judge the configuration and exit: 0 if it is good, 1 if not
    #[arg(long)]
    pub check_config: bool,

    /// Print the configuration in force, without its master keys, and exit
    #[arg(long)]
    pub print_config: bool,
}

/// What is done instead of serving.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Tell what is in a journal's folder and whether it is sound; changes nothing
    #[command(after_help = "\
Prints one line each thing, \"name: value\", and a verdict as the last one: names of buckets, keys,
ids and data are not among them. The folder of a server that runs is judged as of now.

Exit status: 0 if the journal is sound, 1 if records that had been kept are lost or if the
folder cannot be read. A torn end, as a power cut leaves it, is sound.")]
    Verify {
        /// The journal's folder
        dir: PathBuf,
    },

    /// Make a backup of a journal's folder, also while a server uses it
    #[command(after_help = "\
The backup is a journal's folder itself: check it by \"seshun verify DEST\", and restore it by
starting a server over it or over a copy. It holds all that was acknowledged before the command
began. On the same file system it takes hardly any room at first, for it shares the segments
that are written no more: that saves from mistakes, but what ruins that disk ruins both. Where
DEST is on another file system everything is copied.

Exit status: 0 if the backup is whole and durable, 1 if there is none; then DEST is as it was.")]
    Backup {
        /// The journal's folder
        dir: PathBuf,
        /// A new or an empty folder
        dest: PathBuf,
    },
}

impl Args {
    /// The folder to verify, if that is what was asked for.
    pub fn to_verify(&self) -> Option<&Path> {
        match &self.command {
            Some(Command::Verify { dir }) => Some(dir),
            _ => None,
        }
    }

    /// The folder to make a backup of and where to make it, if that is what was asked for.
    pub fn to_back_up(&self) -> Option<(&Path, &Path)> {
        match &self.command {
            Some(Command::Backup { dir, dest }) => Some((dir, dest)),
            _ => None,
        }
    }

    /// The flags that stand for a key: flag, key, what was given.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
        let flags = [
            ("--listen", "server.listen", &self.listen),
            ("--admin-listen", "admin.listen", &self.admin_listen),
            ("--cores", "server.cores", &self.cores),
            ("--driver", "server.driver", &self.driver),
            ("--data-dir", "journal.dir", &self.data_dir),
        ];
        flags.into_iter().filter_map(|(flag, key, given)| given.as_deref().map(|text| (flag, key, text)))
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn every_flag_is_known_and_kept_as_written() {
        let args = parse(
            "seshun --config a.yml --listen x --admin-listen off --cores=2 --driver epoll --data-dir d \
             --check-config --print-config",
        )
        .unwrap();
        assert_eq!(args.config, Some(PathBuf::from("a.yml")));
        assert!(args.check_config && args.print_config);
        let settings: Vec<_> = args.settings().collect();
        assert_eq!(
            settings,
            [
                ("--listen", "server.listen", "x"),
                ("--admin-listen", "admin.listen", "off"),
                ("--cores", "server.cores", "2"),
                ("--driver", "server.driver", "epoll"),
                ("--data-dir", "journal.dir", "d"),
            ]
        );
    }

    #[test]
    fn no_flag_is_needed() {
        let args = parse("seshun").unwrap();
        assert_eq!(args.settings().count(), 0);
        assert!(args.config.is_none() && !args.check_config && !args.print_config);
    }

    #[test]
    fn version_prints_the_name_and_the_number() {
        let answer = parse("seshun --version").unwrap_err();
        assert_eq!(answer.kind(), ErrorKind::DisplayVersion);
        assert_eq!(answer.to_string(), format!("seshun {}\n", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn help_names_every_flag() {
        let help = parse("seshun --help").unwrap_err().to_string();
        let flags =
            ["--config", "--listen", "--admin-listen", "--cores", "--driver", "--data-dir", "--check-config"];
        for flag in flags.into_iter().chain(["--print-config", "--version", "--help"]) {
            assert!(help.contains(flag), "{flag} is missing in:\n{help}");
        }
    }

    #[test]
    fn what_is_no_flag_is_refused() {
        for line in ["seshun --port 1", "seshun file.yml", "seshun --listen", "seshun --check-config=yes"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_command_is_told_its_folders() {
        let args = parse("seshun verify data").unwrap();
        assert_eq!((args.to_verify(), args.to_back_up()), (Some(Path::new("data")), None));
        let args = parse("seshun backup data ../copy").unwrap();
        assert_eq!(args.to_back_up(), Some((Path::new("data"), Path::new("../copy"))));
        assert_eq!(args.to_verify(), None);
        let args = parse("seshun --cores 1").unwrap();
        assert_eq!((args.command, args.cores.as_deref()), (None, Some("1")));
    }

    #[test]
    fn a_command_without_its_folders_or_with_a_servers_flag_is_refused() {
        for line in [
            "seshun verify",
            "seshun verify a b",
            "seshun backup a",
            "seshun backup a b c",
            "seshun --cores 1 verify a",
            "seshun verify a --cores 1",
            "seshun serve",
            "seshun verify --check-config a",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_commands_say_their_exit_status() {
        for line in ["seshun verify --help", "seshun backup --help"] {
            let help = parse(line).unwrap_err();
            assert_eq!(help.kind(), ErrorKind::DisplayHelp, "{line}");
            assert!(help.to_string().contains("Exit status: 0 if"), "{help}");
        }
        let help = parse("seshun --help").unwrap_err().to_string();
        assert!(help.contains("verify") && help.contains("backup"), "{help}");
    }
}
