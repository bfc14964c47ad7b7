//! How many instructions a request costs from bytes in to bytes out, which no other load on the
//! machine changes: the guard that a slower path does not pass unseen.
//!
//! `cargo bench --bench instructions` runs itself under valgrind's callgrind, each request twice
//! with different counts so that what is done for the first times alone drops out, prints a table
//! and fails where a request costs more than its bound. Counted is what cores do, from a request's
//! first byte to the end of its turn with its hand-over to the journal, on both cores where it is
//! forwarded; not the journal's threads, nor the mailbox between cores. Where there is no valgrind
//! it says so. With `--test` each kind of request is sent a few times and nothing is counted.

#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;
use std::process::{Command, ExitCode};

#[path = "path/bed.rs"]
mod bed;
#[path = "path/kept.rs"]
mod kept;
#[path = "path/requests.rs"]
mod requests;

use bed::{Bed, DATA_BYTES, ID_LEN, Link};
use kept::{kept_bed, settle};
use requests::{ID_PLACE, Requests, template};
use seshun::journal::SyncPolicy::{self, Always, EverySecond};
use seshun::journal::{Journal, Level};
use tempfile::TempDir;

/// Requests that a pipelining client sends at once: all are answered in one turn.
const PIPELINED: usize = 16;
/// Sessions that are there before the first request; every one of them may be deleted.
const SESSIONS: usize = 2_000;
/// How often a kind of request is sent: the shorter run warms up what the longer one repeats.
const SENDS_SHORT: usize = 200;
const SENDS_LONG: usize = 1_200;

const _: () = assert!(SENDS_LONG <= SESSIONS);

/// The name of the function that is counted.
const COUNTED: &str = "counted_alone";

/// A kind of request, and what one of them may cost.
struct Kind {
    name: &'static str,
    /// Requests that are sent at once.
    at_once: usize,
    /// 8 % above what was measured: runs differ by up to 0.3 %, and another CPU's `memcpy` or another
    /// system's C library may by some more. The compiler is the one that the repository names.
    instructions_max: u64,
    send: fn(usize),
}

impl Kind {
    const fn new(name: &'static str, instructions_max: u64, send: fn(usize)) -> Self {
        Self { name, at_once: 1, instructions_max, send }
    }

    const fn pipelined(name: &'static str, instructions_max: u64, send: fn(usize)) -> Self {
        Self { name, at_once: PIPELINED, instructions_max, send }
    }
}

/// In the mode `memory` where nothing else is said; a session that is kept lies in a journal in the
/// mode `everysec`, one that is synced in one in `always`, and one that is elsewhere on another core than the connection.
const KINDS: &[Kind] = &[
    Kind::new("GET", 6_950, |sends| about_any(Client::new(200), "GET", 1, sends)),
    Kind::pipelined("GET, 16 pipelined", 6_500, |sends| {
        about_any(Client::new(200), "GET", PIPELINED, sends);
    }),
    Kind::new("POST", 8_300, |sends| about_any(Client::new(200), "POST", 1, sends)),
    Kind::new("PUT", 10_650, |sends| create(Client::new(201), sends)),
    Kind::new("DELETE", 6_600, |sends| delete(Client::new(200), sends)),
    Kind::new("GET, missing", 8_000, read_missing),
    Kind::new("GET, kept", 7_100, |sends| about_any(Client::kept(200, EverySecond), "GET", 1, sends)),
    Kind::new("POST, kept", 10_150, |sends| about_any(Client::kept(200, EverySecond), "POST", 1, sends)),
    Kind::pipelined("POST, kept, 16 pipelined", 9_950, |sends| {
        about_any(Client::kept(200, EverySecond), "POST", PIPELINED, sends);
    }),
    Kind::new("PUT, kept", 12_550, |sends| create(Client::kept(201, EverySecond), sends)),
    Kind::new("DELETE, kept", 7_950, |sends| delete(Client::kept(200, EverySecond), sends)),
    Kind::new("POST, synced", 10_150, |sends| about_any(Client::kept(200, Always), "POST", 1, sends)),
    Kind::new("GET, elsewhere", 7_850, |sends| about_any(Client::elsewhere(200), "GET", 1, sends)),
    Kind::pipelined("GET, elsewhere, 16 pipelined", 6_600, |sends| {
        about_any(Client::elsewhere(200), "GET", PIPELINED, sends);
    }),
    Kind::new("POST, elsewhere", 9_350, |sends| about_any(Client::elsewhere(200), "POST", 1, sends)),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "send", name, sends] => send(name, sends),
        _ if arguments.iter().any(|argument| argument == "--test") => {
            KINDS.iter().for_each(|kind| (kind.send)(3));
        }
        _ => return judge(),
    }
    ExitCode::SUCCESS
}

/// What callgrind counts.
fn send(name: &str, sends: &str) {
    let kind = KINDS.iter().find(|kind| kind.name == name).expect("it was listed by this program");
    (kind.send)(sends.parse().expect("it was formatted by this program"));
}

/// Counts each kind and compares it with its bound.
fn judge() -> ExitCode {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("SKIPPED: instructions are not counted, since valgrind is not installed");
        return ExitCode::SUCCESS;
    }
    println!("{:<30}{:>22}{:>8}", "1 KiB of data", "instructions/request", "bound");
    let mut code = ExitCode::SUCCESS;
    for kind in KINDS {
        let more = count(kind.name, SENDS_LONG) - count(kind.name, SENDS_SHORT);
        let instructions = more / ((SENDS_LONG - SENDS_SHORT) * kind.at_once) as u64;
        let is_over = instructions > kind.instructions_max;
        let remark = if is_over { "  OVER" } else { "" };
        println!("{:<30}{instructions:>22}{:>8}{remark}", kind.name, kind.instructions_max);
        if is_over {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// The instructions of a run of this program that sends a kind of request so often.
fn count(name: &str, sends: usize) -> u64 {
    let program = std::env::current_exe().expect("a program knows where it is");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect=*{COUNTED}*"))
        .arg(program)
        .args(["send", name, &sends.to_string()])
        .output()
        .expect("valgrind was there a moment ago");
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    // None at all: callgrind does not find the function, and everything would be below its bound.
    let collected = collected.filter(|instructions| *instructions > 0);
    collected.unwrap_or_else(|| panic!("callgrind has counted nothing: {report}"))
}

/// The only function whose instructions callgrind counts, with those of all that it calls: what is
/// prepared, what is waited for and the other threads stay out.
#[inline(never)]
fn counted_alone(act: impl FnOnce()) {
    act();
    // What is last in a function may become a jump, which callgrind takes for the function's end.
    black_box(());
}

/// Requests to sessions at random, `pipelined` at a time.
fn about_any((mut client, ids): (Client, Ids), method: &str, pipelined: usize, sends: usize) {
    let data_bytes = if method == "GET" { 0 } else { DATA_BYTES };
    let mut requests = Requests::new(&template(&client.bed, method, data_bytes), pipelined, ids);
    (0..sends).for_each(|_| client.send(requests.next()));
}

/// Sessions are made.
fn create((mut client, _): (Client, Ids), sends: usize) {
    let put = client.bed.request("PUT", "/session/cart", DATA_BYTES);
    (0..sends).for_each(|_| client.send(&put));
}

/// Each session is deleted once.
fn delete((mut client, ids): (Client, Ids), sends: usize) {
    let path = |id: &[u8; ID_LEN]| format!("{ID_PLACE}{}", String::from_utf8_lossy(id));
    let deletes: Vec<_> = ids.iter().map(|id| client.bed.request("DELETE", &path(id), 0)).collect();
    deletes[..sends].iter().for_each(|delete| client.send(delete));
}

/// A session is read that is not there: what a client with an old cookie asks for.
fn read_missing(sends: usize) {
    let (mut client, _) = Client::new(404);
    let get = template(&client.bed, "GET", 0);
    (0..sends).for_each(|_| client.send(&get));
}

/// The sessions that there are.
type Ids = Vec<[u8; ID_LEN]>;

/// One connection to a node, and sessions.
struct Client {
    bed: Bed,
    link: Link,
    received: Vec<u8>,
    /// How every answer begins.
    start: String,
    /// Where the sessions are kept, if anywhere; the folder goes last.
    journal: Option<(Journal, TempDir)>,
}

impl Client {
    /// A client whose requests are all answered with `status` by the node that owns the sessions.
    fn new(status: u16) -> (Self, Ids) {
        Self::over(Bed::new(1), 0, status)
    }

    /// One whose node forwards all that it is asked.
    fn elsewhere(status: u16) -> (Self, Ids) {
        Self::over(Bed::new(2), 1, status)
    }

    /// One whose node keeps the sessions in a journal.
    fn kept(status: u16, policy: SyncPolicy) -> (Self, Ids) {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder takes another");
        let (bed, journal) = kept_bed(folder.path(), policy);
        let (client, ids) = Self::over(bed, 0, status);
        (Self { journal: Some((journal, folder)), ..client }, ids)
    }

    /// A client of the first node, and sessions of the node `owner`.
    fn over(mut bed: Bed, owner: usize, status: u16) -> (Self, Ids) {
        let ids = bed.fill(owner, SESSIONS);
        let (link, received, start) = (bed.connect(0), Vec::new(), format!("HTTP/1.1 {status} "));
        (Self { bed, link, received, start, journal: None }, ids)
    }

    fn send(&mut self, request: &[u8]) {
        self.received.clear();
        counted_alone(|| self.bed.exchange(&mut self.link, request, &mut self.received));
        assert!(self.received.starts_with(self.start.as_bytes()));
        if self.journal.is_some() {
            // So that how fast the journal's threads are makes no difference to the next request.
            settle(&self.bed, Level::Written);
        }
    }
}
