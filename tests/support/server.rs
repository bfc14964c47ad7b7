//! A server that runs: where it listens, what it said, how it ends.
//!
//! Dropping it kills it. Shared servers live in statics, which are never dropped: a small
//! shell of their own waits for the end of the test process, however that comes, then kills
//! the server and removes its folder. No server outlives its suite.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use super::{Client, Metrics, Shape, eventually};

/// Ends the server `$1` and its folder `$2` when its standard input, held by the tests, ends.
const WATCHDOG: &str = r#"read -r _; kill -9 "$1" 2>/dev/null; rm -rf "$2""#;

/// A started server.
pub struct Server {
    child: Child,
    watchdog: Child,
    dir: TempDir,
    addr: SocketAddr,
    shape: Shape,
}

impl Server {
    pub(super) fn new(child: Child, dir: TempDir, (addr, shape): (SocketAddr, Shape)) -> Self {
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "sh", &child.id().to_string()])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell starts");
        Self { child, watchdog, dir, addr, shape }
    }

    /// Where it said that it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it was started as.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// A new connection to it.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// A new connection to its admin listener.
    #[track_caller]
    pub fn connect_admin(&self) -> Client {
        Client::connect_to_admin(self.admin_addr())
    }

    /// Where its admin listener is.
    #[track_caller]
    pub fn admin_addr(&self) -> SocketAddr {
        eventually("the line on stderr that says where admin listens", || {
            let stderr = self.stderr();
            let (_, rest) = stderr.split_once("admin listening on http://")?;
            let (addr, _) = rest.split_once('\n')?;
            addr.split_whitespace().next()?.parse().ok()
        })
    }

    /// What its admin listener counts.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let response = self.connect_admin().request("GET", "/metrics", &[], b"").expect(200);
        Metrics::parse(response.text())
    }

    /// All that it has said on stdout.
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.dir.path().join("stdout.log")).unwrap_or_default()
    }

    /// All that it has said on stderr.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("stderr.log")).unwrap_or_default())
            .into_owned()
    }

    /// Asks it to end, with its drain.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to end as a terminal does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Stops it where it is: what is sent from now on waits in the kernel.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it as a power cut does, and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("a child can be killed");
    }

    /// Waits until it has ended; none where a signal did it.
    #[track_caller]
    pub fn wait_exit(&mut self) -> Option<i32> {
        let status = wait_bounded(&mut self.child);
        status.unwrap_or_else(|| panic!("the server did not end:\n{}", self.stderr())).code()
    }

    /// From now on it can write to no file beyond so many bytes; none for no limit. Needs
    /// [`Launch::outlive_file_size`](super::Launch::outlive_file_size).
    pub fn limit_file_size(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limit).expect("a child takes limits");
    }

    /// The descriptors that it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("a child that runs").count()
    }

    /// The memory that it has resident, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let size = self.system_status("VmRSS").expect("a VmRSS line");
        let kib: u64 = size.trim_end_matches(" kB").parse().expect("a number of kB");
        kib * 1024
    }

    /// What the system says of the process under this name, if it does.
    pub fn system_status(&self, name: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim().to_owned())
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a child that nobody waited for takes signals");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // First the watchdog: it must not kill whoever has the server's number next.
        for child in [&mut self.watchdog, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The child's status once it has ended; none where it still runs after ten seconds.
pub(super) fn wait_bounded(child: &mut Child) -> Option<ExitStatus> {
    for _ in 0..1000 {
        if let Some(status) = child.try_wait().expect("the child can be asked") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}
