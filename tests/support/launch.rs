//! How a server is started: flags, environment and a configuration file in a folder of its own.
//!
//! The usual launch listens on a free loopback port, without an admin listener, with the
//! test's master key. A bare one passes nothing that the test did not ask for. Variables
//! that the server would read are taken out of the inherited environment.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::server::{Server, wait_bounded};
use super::{Shape, eventually};

/// The master key of the usual launch.
pub const MASTER_KEY: &str = "black-box-master-key.0123456789~_";

/// A server that is about to be started.
pub struct Launch {
    shape: Shape,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    /// Section → key → value, as they are written into `config.yml`.
    settings: BTreeMap<String, BTreeMap<String, String>>,
    /// The whole of `config.yml`, instead of the settings.
    config_text: Option<String>,
    /// Whether the configuration file is named by a flag.
    names_config: bool,
    listen: Option<String>,
    admin_listen: Option<String>,
    /// Whether a write past the limit of a file's size fails instead of ending the server.
    outlives_file_size: bool,
}

/// What a process that has ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// None where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Launch {
    /// The usual launch, with so many cores.
    pub fn cores(cores: u16) -> Self {
        Self::shape(Shape::cores(cores))
    }

    /// The usual launch, in this shape.
    pub fn shape(shape: Shape) -> Self {
        let mut launch = Self::bare();
        launch.shape = shape;
        launch.flags =
            ["--cores", &shape.cores.to_string(), "--driver", shape.driver].map(Into::into).to_vec();
        launch.names_config = true;
        launch.listen = Some("127.0.0.1:0".to_owned());
        launch.admin_listen = Some("off".to_owned());
        launch.set("auth.master_keys", &format!("[\"{MASTER_KEY}\"]"))
    }

    /// No flag, no file, no variable.
    pub fn bare() -> Self {
        Self {
            shape: Shape::cores(0),
            flags: Vec::new(),
            env: Vec::new(),
            settings: BTreeMap::new(),
            config_text: None,
            names_config: false,
            listen: None,
            admin_listen: None,
            outlives_file_size: false,
        }
    }

    /// Writes `section.key: value` into the configuration file.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        let (section, key) = name.split_once('.').expect("section.key");
        self.settings.entry(section.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        self
    }

    /// The configuration file as it is.
    pub fn config_text(mut self, text: &str) -> Self {
        self.config_text = Some(text.to_owned());
        self
    }

    /// Leaves it to the server to find its configuration file.
    pub fn without_config_flag(mut self) -> Self {
        self.names_config = false;
        self
    }

    /// Listens there.
    pub fn listen(mut self, addr: &str) -> Self {
        self.listen = Some(addr.to_owned());
        self
    }

    /// Has an admin listener, on a free port.
    pub fn with_admin(self) -> Self {
        self.admin_listen("127.0.0.1:0")
    }

    /// Has an admin listener there.
    pub fn admin_listen(mut self, addr: &str) -> Self {
        self.admin_listen = Some(addr.to_owned());
        self
    }

    /// Keeps the journal in this folder.
    pub fn data_dir(self, dir: &Path) -> Self {
        self.flag("--data-dir").flag(dir.to_str().expect("a path that is text"))
    }

    /// Lets writes past the limit of a file's size fail, see [`Server::limit_file_size`]. Otherwise
    /// the signal that comes with them ends the server.
    pub fn outlive_file_size(mut self) -> Self {
        self.outlives_file_size = true;
        self
    }

    /// Passes one more argument.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Sets a variable of the server's environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server and waits until it says that it listens.
    pub fn start(self) -> Server {
        let dir = folder();
        let mut child = self.spawn(dir.path());
        let addr = eventually("the line on stdout that says where it listens", || {
            if let Some(status) = child.try_wait().expect("the child can be asked") {
                let stderr = fs::read_to_string(dir.path().join("stderr.log")).unwrap_or_default();
                panic!("the server ended with {status} instead of listening:\n{stderr}");
            }
            let stdout = fs::read_to_string(dir.path().join("stdout.log")).ok()?;
            let line = stdout.split_inclusive('\n').next().filter(|line| line.ends_with('\n'))?;
            let addr = line.trim_end().strip_prefix("seshun listening on http://");
            let addr = addr.unwrap_or_else(|| panic!("the first line on stdout is {line:?}"));
            Some(addr.parse().unwrap_or_else(|why| panic!("{addr:?} is no address: {why}")))
        });
        Server::new(child, dir, (addr, self.shape))
    }

    /// Runs a server that is to end by itself.
    #[track_caller]
    pub fn run(self) -> Ended {
        let dir = folder();
        let mut child = self.spawn(dir.path());
        let status = wait_bounded(&mut child).unwrap_or_else(|| {
            child.kill().and_then(|()| child.wait()).expect("a child that runs can be killed");
            panic!("the server did not end by itself:\n{}", read(dir.path(), "stderr.log"));
        });
        let (stdout, stderr) = (read(dir.path(), "stdout.log"), read(dir.path(), "stderr.log"));
        Ended { code: status.code(), stdout, stderr }
    }

    /// Starts the server and kills it after so long, wherever it is by then.
    pub fn kill_after(self, span: Duration) {
        let dir = folder();
        let mut child = self.spawn(dir.path());
        thread::sleep(span);
        child.kill().and_then(|()| child.wait()).expect("a child can be killed");
    }

    fn spawn(&self, dir: &Path) -> Child {
        const BINARY: &str = env!("CARGO_BIN_EXE_seshun");
        let mut command = Command::new(if self.outlives_file_size { "sh" } else { BINARY });
        if self.outlives_file_size {
            // A signal that is ignored stays so in the program that takes the shell's place.
            command.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#, BINARY]);
        }
        for (name, _) in env::vars_os() {
            let read_by_the_server = name
                .to_str()
                .is_some_and(|name| name.starts_with("SESHUN_") || matches!(name, "DEBUG" | "RUST_LOG"));
            if read_by_the_server {
                command.env_remove(name);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if self.config_text.is_some() || !self.settings.is_empty() {
            fs::write(dir.join("config.yml"), self.config()).expect("the folder takes a file");
        }
        if self.names_config {
            command.arg("--config").arg(dir.join("config.yml"));
        }
        for (flag, value) in [("--listen", &self.listen), ("--admin-listen", &self.admin_listen)] {
            if let Some(value) = value {
                command.args([flag, value]);
            }
        }
        let output = |name| File::create(dir.join(name)).expect("the folder takes a file");
        command.args(&self.flags).current_dir(dir).stdin(Stdio::null());
        command.stdout(output("stdout.log")).stderr(output("stderr.log"));
        command.spawn().expect("the server's binary starts")
    }

    fn config(&self) -> String {
        if let Some(text) = &self.config_text {
            return text.clone();
        }
        let mut text = String::new();
        for (section, keys) in &self.settings {
            writeln!(text, "{section}:").expect("a string takes all");
            for (key, value) in keys {
                writeln!(text, "  {key}: {value}").expect("a string takes all");
            }
        }
        text
    }
}

fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder takes another")
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap_or_default()
}
