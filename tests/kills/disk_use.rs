//! How much of a disk the log takes that is cleaned again and again, as its metrics show it.
//!
//! It takes twice what lives and three segments at most, whether what is old is garbage, or lives
//! and has to be copied before anything is given back, while others write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::content::Content;
use crate::support::{App, Launch, Random, Server, Shape, eventually};
use crate::volume::{Volume, say};
use crate::watch::watch;
use crate::wire::Wire;

const VOLUME_MIB: u32 = 32;
/// Clients that overwrite sessions, how many sessions these are, and for how long.
const CLIENTS: u64 = 4;
const OVERWRITTEN: usize = 40;
const WORK: Duration = Duration::from_secs(1);
/// Where other programs keep the disk from taking copies as fast as changes, the log is longer for a while:
/// behind a run that was too long so many have to be short.
const RUNS_BEHIND: usize = 2;
/// What the sessions hold that nobody touches, in bytes.
const COLD_LEN: usize = 16_000;

/// Overwrites some sessions without a pause.
fn overwrite(server: &Server, app: &App, ids: &[String], seed: u64, is_over: &AtomicBool) {
    let mut wire = Wire::connect(server.addr()).expect("it listens");
    let mut random = Random::seeded(seed);
    while !is_over.load(Ordering::SeqCst) {
        let body = Content::new(random.next(), random.below(12_000)).bytes();
        let path = app.path(&ids[random.below(ids.len())]);
        wire.send(&app.bytes("POST", &path, &[], &body)).expect("it takes requests");
        let response = wire.receive("POST").expect("it answers");
        // 503: the next segment is being made.
        assert!(matches!(response.status, 200 | 503), "{response}");
    }
}

/// Overwrites sessions beside so many that nobody touches. By how many segments at most the log was
/// longer than twice what lives, and how often it was cleaned.
fn overwrite_beside(cold: usize, shape: Shape) -> Option<(f64, f64)> {
    let volume = Volume::small(VOLUME_MIB)?;
    let launch = Launch::shape(shape).with_admin().data_dir(&volume.path());
    let server = launch.set("session.max_payload", "400kb").start();
    let mut app = App::new(&server);
    (0..cold).for_each(|_| drop(app.create(&[7; COLD_LEN])));
    let ids: Vec<_> = (0..OVERWRITTEN).map(|_| app.create(b"first")).collect();
    let is_over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let (server, app, ids, is_over) = (&server, &app, ids.as_slice(), &is_over);
        let admin_addr = server.admin_addr();
        let watching = scope.spawn(move || watch(admin_addr, is_over, |look| 2.0 * look.live_bytes));
        for seed in 0..CLIENTS {
            scope.spawn(move || overwrite(server, app, ids, seed, is_over));
        }
        thread::sleep(WORK);
        eventually("the log is cleaned", || {
            (server.metrics().value("seshun_journal_cleanings_total") >= 1.0).then_some(())
        });
        is_over.store(true, Ordering::SeqCst);
        watching.join().expect("somebody watches")
    });
    let segment_len = volume.segment_bytes().expect("a small volume") as f64;
    Some((seen.excess_bytes_most / segment_len, seen.cleanings))
}

fn expect_short(cold: usize, shapes: &[Shape]) {
    for shape in shapes {
        let is_short = || {
            let Some((segments, cleanings)) = overwrite_beside(cold, *shape) else { return true };
            say(&format!("{shape:?}: {segments:.2} segments beside twice what lives, {cleanings} cleanings"));
            assert!(cleanings >= 1.0, "{shape:?}: it was not cleaned");
            segments <= 3.0
        };
        assert!(is_short() || (0..RUNS_BEHIND).all(|_| is_short()), "{shape:?}: the log is too long");
    }
}

#[test]
fn a_log_of_overwritten_sessions_takes_twice_what_lives_and_three_segments_at_most() {
    expect_short(0, &[Shape::cores(1), Shape::cores(2), Shape::epoll(4)]);
}

#[test]
fn a_log_whose_oldest_part_lives_takes_no_more_than_that() {
    expect_short(250, &[Shape::cores(2), Shape::epoll(4)]);
}
