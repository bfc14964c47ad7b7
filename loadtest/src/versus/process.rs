//! A contender's process: found, started on its CPU, ended by its id.
//!
//! A child inherits the CPUs of the thread that starts it, so a thread of its own is pinned
//! first; that needs no other program and leaves no moment in which the child runs elsewhere.
//! What the child says goes to a file in its folder. Dropping a [`Process`] ends it within
//! seconds, children included; nothing that was not started here is ever touched.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::clock::Clock;
use crate::versus::usage;

/// How long a process may take until it listens.
const START_MAX: Duration = Duration::from_secs(10);

/// How long a process may take to end when it is asked to.
const END_MAX: Duration = Duration::from_secs(3);

/// How often it is looked at while it starts or ends.
const PAUSE: Duration = Duration::from_millis(5);

/// Where servers are that an unprivileged user's PATH does not name.
const FOLDERS: [&str; 4] = ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin"];

/// What its output is called in its folder.
const OUTPUT: &str = "output.txt";

/// Why a contender's process is not there.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The system did not start it.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Its program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It has ended, or nobody listens where it should.
    #[error("{program} does not listen: {said}")]
    Silent {
        /// Its program.
        program: String,
        /// The last line that it said.
        said: String,
    },
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    child: Child,
    remote_addr: SocketAddr,
}

impl Process {
    /// Starts it on this CPU, or anywhere if none is named, and waits until it listens at
    /// `remote_addr`. Its working directory is `folder`, which has to be there.
    pub fn start(
        mut command: Command,
        cpu: Option<usize>,
        folder: &Path,
        remote_addr: SocketAddr,
    ) -> Result<Self, ProcessError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let output = folder.join(OUTPUT);
        let spawned = redirect(&mut command, folder, &output).and_then(|()| spawn_on(cpu, command));
        let child = spawned.map_err(|source| ProcessError::Start { program: program.clone(), source })?;
        let mut process = Self { child, remote_addr };
        if process.comes_up() {
            return Ok(process);
        }
        let said = fs::read(&output).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let said = said.lines().last().unwrap_or("it says nothing").to_owned();
        Err(ProcessError::Silent { program, said })
    }

    /// Where it listens.
    pub fn remote_addr(&self) -> SocketAddr {
        self.remote_addr
    }

    /// CPU time that it and its children have used.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        usage::of_family(self.child.id())
    }

    fn comes_up(&mut self) -> bool {
        let clock = Clock::started();
        let until = clock.now().after(START_MAX);
        while clock.now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            if TcpStream::connect_timeout(&self.remote_addr, START_MAX).is_ok() {
                return true;
            }
            thread::sleep(PAUSE);
        }
        false
    }

    fn ends(&mut self) -> bool {
        let clock = Clock::started();
        let until = clock.now().after(END_MAX);
        while clock.now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            thread::sleep(PAUSE);
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // Before it is asked to end: children of a process that has gone are nobody's.
        let family = usage::family_of(self.child.id()).unwrap_or_else(|_| vec![self.child.id()]);
        drop(self.child.stdin.take());
        signal(self.child.id(), Signal::TERM);
        if self.ends() {
            return;
        }
        for pid in family {
            signal(pid, Signal::KILL);
        }
        // It was killed: waiting only takes its entry out of the system's table.
        let _ = self.child.wait();
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    debug_assert!(pid.is_some(), "a process has an id");
    if let Some(pid) = pid {
        // One that has just ended needs no signal.
        let _ = kill_process(pid, signal);
    }
}

/// Its own group, so that an interrupt at the terminal reaches the comparison alone, which
/// then ends the child; and nothing of our environment that configures Seshun, but what the
/// command itself has set.
fn redirect(command: &mut Command, folder: &Path, output: &Path) -> io::Result<()> {
    let file = File::create(output)?;
    // A pipe: it is closed with the child's entry here, which ends the raw loop.
    command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
    command.current_dir(folder).process_group(0);
    let is_set = |command: &Command, name: &OsStr| command.get_envs().any(|(set, _)| set == name);
    for (name, _) in env::vars_os() {
        let is_ours = name.to_string_lossy().starts_with("SESHUN_");
        if (is_ours || name == "DEBUG" || name == "RUST_LOG") && !is_set(command, &name) {
            command.env_remove(name);
        }
    }
    Ok(())
}

fn spawn_on(cpu: Option<usize>, mut command: Command) -> io::Result<Child> {
    let started = thread::spawn(move || {
        pin(cpu)?;
        command.spawn()
    });
    started.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has panicked")))
}

/// Keeps the calling thread, and what it starts, on this CPU; without one, nothing is done.
pub fn pin(cpu: Option<usize>) -> io::Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Whether threads may be kept on this CPU.
pub fn can_pin(cpu: usize) -> bool {
    // A thread of its own, since there is no way back.
    thread::spawn(move || pin(Some(cpu)).is_ok()).join().unwrap_or(false)
}

/// A loopback address that nobody listens at.
pub fn free_addr() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// The first of these programs that is in a folder of PATH or where servers are.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).chain(FOLDERS.map(PathBuf::from)).collect();
    let all = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|path| path.is_file())
}

/// What a program says when it is started with this flag alone; nothing if that takes too long.
pub fn said_by(program: &Path, flag: &str) -> String {
    let mut command = Command::new(program);
    command.arg(flag).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return String::new() };
    let clock = Clock::started();
    let until = clock.now().after(END_MAX);
    while matches!(child.try_wait(), Ok(None)) {
        if clock.now() >= until {
            // It may have ended just now, which is as good.
            let _ = child.kill();
        }
        thread::sleep(PAUSE);
    }
    let said = child.wait_with_output().map(|output| [output.stdout, output.stderr].concat());
    String::from_utf8_lossy(&said.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_nowhere_is_not_found() {
        assert_eq!(find(&["no-such-program-anywhere"]), None);
        let shell = find(&["no-such-program-anywhere", "sh"]);
        assert!(shell.is_some_and(|path| path.ends_with("sh")));
    }

    #[test]
    fn a_child_that_ends_at_once_is_told_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo first; echo no luck today >&2; exit 3"]);
        let failed = Process::start(command, None, folder.path(), free_addr().unwrap());
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("sh") && text.contains("no luck today"), "{text}");
        let missing = Process::start(Command::new("/nowhere/x"), None, folder.path(), free_addr().unwrap());
        assert!(matches!(missing, Err(ProcessError::Start { .. })));
    }

    #[test]
    fn a_child_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        // Somebody listens, so that the child counts as up; it hears no polite request.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; sleep 60 & wait; sleep 60"]);
        let process = Process::start(command, None, folder.path(), listener.local_addr().unwrap()).unwrap();
        let mut family = Vec::new();
        while family.len() < 2 {
            family = usage::family_of(process.child.id()).unwrap();
        }
        drop(process);
        let is_there = |pid: &u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        // A killed process takes a moment to be gone: one that stays is waited for in vain.
        while family.iter().any(is_there) {
            thread::sleep(PAUSE);
        }
    }

    #[test]
    fn programs_are_asked_for_what_they_say() {
        assert_eq!(said_by(Path::new("echo"), "7.0"), "7.0\n");
        assert_eq!(said_by(Path::new("/nowhere/x"), "-v"), "");
    }

    #[test]
    fn a_cpu_that_is_not_there_cannot_be_had() {
        assert!(!can_pin(1023));
        assert!(pin(None).is_ok());
    }
}
