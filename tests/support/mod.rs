//! The harness of the black-box suites: starts the server's binary, speaks raw bytes to it,
//! and reads its answers more strictly than any client would.
//!
//! It knows the wire and nothing of the server's insides. Servers are shared by the tests
//! of one suite (each test takes a bucket of its own) and end with the test process, also
//! where that is killed. Waits are bounded; nothing here measures time.

#![allow(dead_code, unused_imports, reason = "each suite uses its own part of the harness")]

mod app;
mod client;
mod launch;
mod metrics;
mod problem;
mod random;
mod response;
mod server;

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

pub use app::{App, MISSING_ID, unique_name};
pub use client::{Client, build_chunked, build_request};
pub use launch::{Ended, Launch, MASTER_KEY};
pub use metrics::Metrics;
pub use problem::code as problem_code;
pub use random::Random;
pub use response::{Response, unix_millis};
pub use server::Server;

/// What a server is started as: so many cores over this driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    pub cores: u16,
    pub driver: &'static str,
}

impl Shape {
    /// So many cores, over whatever driver the machine allows.
    pub const fn cores(cores: u16) -> Self {
        Self { cores, driver: "auto" }
    }

    /// So many cores over epoll.
    pub const fn epoll(cores: u16) -> Self {
        Self { cores, driver: "epoll" }
    }
}

/// What every suite runs on: one core, and more cores than the machine may have CPUs.
pub const SHAPES: [Shape; 2] = [Shape::cores(1), Shape::cores(4)];

/// As [`SHAPES`], and over the driver that the machine did not choose.
pub const SHAPES_AND_EPOLL: [Shape; 3] = [Shape::cores(1), Shape::cores(4), Shape::epoll(4)];

static SHARED: [OnceLock<Server>; SHAPES_AND_EPOLL.len()] = [const { OnceLock::new() }; 3];

/// The server of this shape that all tests of the suite share.
pub fn shared(shape: Shape) -> &'static Server {
    let place = SHAPES_AND_EPOLL.iter().position(|known| *known == shape).expect("a shape that is shared");
    SHARED[place].get_or_init(|| Launch::shape(shape).start())
}

/// Runs a test on the shared server of each of [`SHAPES`], one after the other.
pub fn on_each(test: impl Fn(&Server)) {
    on_each_of(&SHAPES, test);
}

/// Runs a test on the shared server of each of these shapes, one after the other.
pub fn on_each_of(shapes: &[Shape], test: impl Fn(&Server)) {
    for shape in shapes {
        on_one(shared(*shape), &test);
    }
}

/// Runs a test on the shared servers of all [`SHAPES`] side by side: for tests that wait.
pub fn on_all_at_once(test: impl Fn(&Server) + Sync) {
    thread::scope(|scope| {
        for shape in SHAPES {
            let test = &test;
            scope.spawn(move || on_one(shared(shape), test));
        }
    });
}

/// Starts a server of its own for each of [`SHAPES`], with these changes, and runs a test on it.
pub fn on_each_with(change: impl Fn(Launch) -> Launch, test: impl Fn(&Server)) {
    for shape in SHAPES {
        on_one(&change(Launch::shape(shape)).start(), &test);
    }
}

fn on_one(server: &Server, test: impl Fn(&Server)) {
    let _blame = Blame(server);
    test(server);
    let stderr = server.stderr();
    assert!(!stderr.contains("panicked"), "the server panicked:\n{stderr}");
}

/// Says on which server a test failed, and what that server said last.
struct Blame<'s>(&'s Server);

impl Drop for Blame<'_> {
    #[allow(clippy::print_stderr, reason = "shown by the test runner, for a failed test only")]
    fn drop(&mut self) {
        if thread::panicking() {
            let stderr = self.0.stderr();
            let tail: Vec<_> = stderr.lines().rev().take(20).collect();
            let tail: Vec<_> = tail.into_iter().rev().collect();
            eprintln!("on {:?}; the end of its stderr:\n{}", self.0.shape(), tail.join("\n"));
        }
    }
}

/// Asks again and again, for ten seconds at most; `what` says what never came.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("waited for ten seconds in vain: {what}");
}
