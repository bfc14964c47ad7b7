//! The command line: which flags there are.
//!
//! Flags that stand for a key of the configuration are kept as they were written; they
//! are judged by the same code as the file and the environment, so that all that is
//! wrong is told at once.

use std::path::PathBuf;

use clap::Parser;

/// What `seshun` was called with.
#[derive(Parser, Clone, Default, Debug)]
#[command(name = "seshun", version, about = "Keeps sessions behind a small REST interface")]
pub struct Args {
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

impl Args {
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
}
