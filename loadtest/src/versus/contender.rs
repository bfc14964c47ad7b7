//! Who takes part: what each is called, where its program is, and how it is started.
//!
//! Each is set up to do its best at this work on one CPU, keeps everything in memory unless
//! flags say otherwise, and writes only into its own folder. None is configured beyond that:
//! what a flag could add is left to the one who compares.

use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use rustix::process::geteuid;

use crate::versus::process::find;

/// The master key that Seshun's built-in configuration honours on loopback.
pub const MASTER_KEY: &str = "change-me-before-you-expose-me";

/// The flag that names the folder of Seshun's journal: whoever gives it wants the journal kept.
const DATA_FLAG: &str = "--data-dir";

/// The variable that sets what Seshun keeps; there is no flag for it.
const JOURNAL_MODE: &str = "SESHUN_JOURNAL_MODE";

/// The file that the raw loop reads its answers from, in its folder.
const SCRIPT: &str = "script.json";

/// The folder that nginx serves from, in its folder.
const ROOT: &str = "www";

/// Megabytes that memcached may take: enough that it throws out nothing.
const MEMCACHED_MB: &str = "4096";

/// Connections that a server takes beyond the load's: the one that tries whether it listens,
/// and what it counts among them itself.
const SPARE_CONNECTIONS: u32 = 64;

/// A server that can take part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// The raw loop: the floor.
    Raw,
    /// Seshun.
    Seshun,
    /// nginx with a static file: the floor of HTTP.
    Nginx,
    /// Redis, or Valkey.
    Redis,
    /// memcached.
    Memcached,
}

/// A name that nobody has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} takes no part: name some of raw, seshun, nginx, redis, memcached")]
pub struct WhoError(String);

impl FromStr for Who {
    type Err = WhoError;

    fn from_str(text: &str) -> Result<Self, WhoError> {
        Self::ALL.into_iter().find(|who| who.name() == text).ok_or_else(|| WhoError(text.to_owned()))
    }
}

/// Where a contender listens and keeps its files.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Where it is to listen.
    pub addr: SocketAddr,
    /// Its own folder.
    pub folder: &'a Path,
    /// How many connections it gets.
    pub connections: u32,
}

impl Who {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Seshun, Self::Nginx, Self::Redis, Self::Memcached];

    /// Its name in flags and reports. Stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Seshun => "seshun",
            Self::Nginx => "nginx",
            Self::Redis => "redis",
            Self::Memcached => "memcached",
        }
    }

    /// What it does with the workload.
    pub const fn note(self) -> &'static str {
        match self {
            Self::Raw => "one epoll loop: reads, answers by rote",
            Self::Seshun => "PUT, GET, POST, DELETE",
            Self::Nginx => "reads only: GET of a static file",
            Self::Redis => "SET EX, GETEX EX, DEL",
            Self::Memcached => "set, gat, delete",
        }
    }

    /// Whether it gets reads whatever the mix is.
    pub const fn is_read_only(self) -> bool {
        matches!(self, Self::Nginx)
    }

    /// Its program, or where it was looked for.
    pub fn program(self) -> Result<PathBuf, &'static str> {
        let found = match self {
            Self::Raw => env::current_exe().ok(),
            Self::Seshun => beside_this("seshun").or_else(|| find(&["seshun"])),
            Self::Nginx => find(&["nginx"]),
            Self::Redis => find(&["redis-server", "valkey-server"]),
            Self::Memcached => find(&["memcached"]),
        };
        found.ok_or(match self {
            Self::Seshun => "no seshun beside this program: cargo build --release builds both",
            _ => "not installed",
        })
    }

    /// The flag with which its program tells its version.
    pub const fn version_flag(self) -> &'static str {
        match self {
            Self::Nginx => "-v",
            Self::Memcached => "-V",
            Self::Raw | Self::Seshun | Self::Redis => "--version",
        }
    }

    /// The command that starts it; nginx and the raw loop find their files in its folder.
    pub fn command(self, program: &Path, place: Place<'_>, flags: &[String]) -> io::Result<Command> {
        let mut command = Command::new(program);
        let port = place.addr.port().to_string();
        let host = place.addr.ip().to_string();
        let connections = place.connections + SPARE_CONNECTIONS;
        match self {
            Self::Raw => {
                command.args(["versus-floor", "--listen", &place.addr.to_string(), "--script", SCRIPT]);
            }
            Self::Seshun => {
                command.args(["--config", "builtin", "--admin-listen", "off", "--listen"]);
                command.arg(place.addr.to_string());
                if !flags.iter().any(|flag| flag.starts_with(DATA_FLAG)) {
                    command.env(JOURNAL_MODE, "memory");
                }
            }
            Self::Nginx => {
                let configuration = place.folder.join("nginx.conf");
                fs::write(&configuration, nginx_configuration(place.addr, connections))?;
                command.arg("-p").arg(place.folder).arg("-c").arg(configuration);
            }
            Self::Redis => {
                command.args(["--bind", &host, "--port", &port, "--save", "", "--appendonly", "no"]);
            }
            Self::Memcached => {
                command.args(["-l", &host, "-p", &port, "-U", "0", "-t", "1", "-m", MEMCACHED_MB]);
                command.args(["-c", &connections.to_string()]);
                if geteuid().is_root() {
                    command.args(["-u", "root"]);
                }
            }
        }
        command.args(flags);
        Ok(command)
    }
}

/// Puts the raw loop's answers where it looks for them.
pub fn write_script(folder: &Path, script: &[u8]) -> io::Result<()> {
    fs::write(folder.join(SCRIPT), script)
}

/// Puts the file that nginx serves at this path, which begins with a slash.
pub fn write_static(folder: &Path, path: &str, data: &[u8]) -> io::Result<()> {
    let file = folder.join(ROOT).join(path.trim_start_matches('/'));
    debug_assert!(file.starts_with(folder), "the file lies in the contender's folder");
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, data)
}

fn beside_this(name: &str) -> Option<PathBuf> {
    let path = env::current_exe().ok()?.parent()?.join(name);
    path.is_file().then_some(path)
}

/// One process that serves, no log of requests, files kept open, connections kept for good;
/// head and data in one write, which costs less than `sendfile` at the size of a session.
/// Paths are relative to its folder, which `-p` names.
fn nginx_configuration(addr: SocketAddr, connections: u32) -> String {
    let user = if geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log error.txt;\n\
         events {{ worker_connections {connections}; }}\n\
         http {{\n  access_log off;\n  sendfile off;\n  open_file_cache max=100;\n  \
         keepalive_requests 1000000000;\n  keepalive_timeout 1h;\n  \
         client_body_temp_path t1;\n  proxy_temp_path t2;\n  fastcgi_temp_path t3;\n  \
         uwsgi_temp_path t4;\n  scgi_temp_path t5;\n  default_type application/octet-stream;\n  \
         server {{ listen {addr}; root {ROOT}; }}\n}}\n"
    )
}

/// The version in what a program says about itself: the first word of numbers and dots.
pub fn version_in(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let words = text.split(|c: char| !is_part(c)).map(|word| word.trim_matches('.'));
    words.into_iter().find(|word| word.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for who in Who::ALL {
            assert_eq!(who.name().parse(), Ok(who));
        }
        assert!("apache".parse::<Who>().unwrap_err().to_string().contains("memcached"));
    }

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let table = [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", Some("7.0.15")),
            ("nginx version: nginx/1.22.1", Some("1.22.1")),
            ("memcached 1.6.18", Some("1.6.18")),
            ("seshun 0.1.0\n", Some("0.1.0")),
            ("no number. None.", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(version_in(text), expected, "{text:?}");
        }
    }

    #[test]
    fn each_is_told_where_to_listen_and_the_flags_come_last() {
        let folder = tempfile::tempdir().unwrap();
        let addr: SocketAddr = "127.0.0.1:40123".parse().unwrap();
        for who in Who::ALL {
            let place = Place { addr, folder: folder.path(), connections: 64 };
            let command = who.command(Path::new("x"), place, &["--more".to_owned()]).unwrap();
            let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
            let listens = match who {
                Who::Nginx => fs::read_to_string(folder.path().join("nginx.conf")).unwrap(),
                _ => args.join(" "),
            };
            assert!(listens.contains("40123") && listens.contains("127.0.0.1"), "{listens}");
            assert_eq!(args.last().map(String::as_str), Some("--more"), "{who:?}");
        }
    }

    #[test]
    fn seshun_keeps_a_journal_only_where_a_flag_names_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let addr: SocketAddr = "127.0.0.1:40123".parse().unwrap();
        let place = Place { addr, folder: folder.path(), connections: 64 };
        let mode_with = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            let command = Who::Seshun.command(Path::new("x"), place, &flags).unwrap();
            let mode = command.get_envs().find(|(name, _)| *name == JOURNAL_MODE);
            mode.and_then(|(_, value)| Some(value?.to_str()?.to_owned()))
        };
        for flags in [&[][..], &["--cores", "1"]] {
            assert_eq!(mode_with(flags).as_deref(), Some("memory"), "{flags:?}");
        }
        for flags in [&["--data-dir", "data"][..], &["--cores=1", "--data-dir=data"]] {
            assert_eq!(mode_with(flags), None, "{flags:?}");
        }
    }

    #[test]
    fn the_static_file_lies_where_its_path_says() {
        let folder = tempfile::tempdir().unwrap();
        write_static(folder.path(), "/session/b/id", b"data").unwrap();
        assert_eq!(fs::read(folder.path().join("www/session/b/id")).unwrap(), b"data");
    }
}
