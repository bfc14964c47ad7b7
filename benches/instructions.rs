//! How many instructions a request costs from bytes in to bytes out, which no other load on the
//! machine changes: the guard that a slower path does not pass unseen.
//!
//! `cargo bench --bench instructions` runs itself under valgrind's callgrind, each request twice
//! with different counts so that what comes before the first request drops out, prints a table
//! and fails where a request costs more than its bound. Where there is no valgrind it says so.
//! With `--test` each kind of request is sent a few times and nothing is counted.

#![allow(missing_docs, clippy::print_stdout)]

use std::process::{Command, ExitCode};

#[path = "path/bed.rs"]
mod bed;
#[path = "path/requests.rs"]
mod requests;

use bed::{Bed, DATA_BYTES, ID_LEN, Link};
use requests::{ID_PLACE, Requests, template};

/// Requests that a pipelining client sends at once.
const PIPELINED: usize = 16;
/// Sessions that are there before the first request; every one of them may be deleted.
const SESSIONS: usize = 2_000;
/// How often a kind of request is sent: the shorter run warms up what the longer one repeats.
const SENDS_SHORT: usize = 200;
const SENDS_LONG: usize = 1_200;

const _: () = assert!(SENDS_LONG <= SESSIONS);

/// A kind of request, and what one of them may cost.
struct Kind {
    name: &'static str,
    /// Requests that are sent at once.
    at_once: usize,
    /// A tenth above what was measured: another compiler or another CPU's `memcpy` may differ.
    instructions_max: u64,
    send: fn(usize),
}

impl Kind {
    const fn new(name: &'static str, instructions_max: u64, send: fn(usize)) -> Self {
        Self { name, at_once: 1, instructions_max, send }
    }
}

const KINDS: &[Kind] = &[
    Kind::new("GET", 7_100, |sends| about_any("GET", 1, sends)),
    Kind {
        at_once: PIPELINED,
        ..Kind::new("GET, 16 pipelined", 6_700, |sends| about_any("GET", PIPELINED, sends))
    },
    Kind::new("POST", 8_500, |sends| about_any("POST", 1, sends)),
    Kind::new("PUT", 11_000, create),
    Kind::new("DELETE", 6_500, delete),
    Kind::new("GET, missing", 8_200, read_missing),
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
    println!("{:<20}{:>22}{:>8}", "1 KiB of data", "instructions/request", "bound");
    let mut code = ExitCode::SUCCESS;
    for kind in KINDS {
        let more = count(kind.name, SENDS_LONG) - count(kind.name, SENDS_SHORT);
        let instructions = more / ((SENDS_LONG - SENDS_SHORT) * kind.at_once) as u64;
        let is_over = instructions > kind.instructions_max;
        let remark = if is_over { "  OVER" } else { "" };
        println!("{:<20}{instructions:>22}{:>8}{remark}", kind.name, kind.instructions_max);
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
        .arg(program)
        .args(["send", name, &sends.to_string()])
        .output()
        .expect("valgrind was there a moment ago");
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.unwrap_or_else(|| panic!("callgrind has counted nothing: {report}"))
}

/// Requests to sessions at random, `pipelined` at a time.
fn about_any(method: &str, pipelined: usize, sends: usize) {
    let (mut client, ids) = Client::new(200);
    let data_bytes = if method == "GET" { 0 } else { DATA_BYTES };
    let mut requests = Requests::new(&template(&client.bed, method, data_bytes), pipelined, ids);
    (0..sends).for_each(|_| client.send(requests.next()));
}

/// Sessions are made.
fn create(sends: usize) {
    let (mut client, _) = Client::new(201);
    let put = client.bed.request("PUT", "/session/cart", DATA_BYTES);
    (0..sends).for_each(|_| client.send(&put));
}

/// Each session is deleted once.
fn delete(sends: usize) {
    let (mut client, ids) = Client::new(200);
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

/// One connection to a node that has sessions.
struct Client {
    bed: Bed,
    link: Link,
    received: Vec<u8>,
    /// How every answer begins.
    start: String,
}

impl Client {
    /// A client whose requests are all answered with `status`, and the sessions that there are.
    fn new(status: u16) -> (Self, Vec<[u8; ID_LEN]>) {
        let mut bed = Bed::new(1);
        let ids = bed.fill(0, SESSIONS);
        let (link, received) = (bed.connect(0), Vec::new());
        (Self { bed, link, received, start: format!("HTTP/1.1 {status} ") }, ids)
    }

    fn send(&mut self, request: &[u8]) {
        self.received.clear();
        self.bed.exchange(&mut self.link, request, &mut self.received);
        assert!(self.received.starts_with(self.start.as_bytes()));
    }
}
