//! The pages' table: path, method and state of the server against status and content.
//!
//! Time is an argument, so that a core may stand still for an hour here in no time at all.

use super::*;
use crate::metrics::JournalFigure;
use crate::types::{ByteCount, ShardId, UnixMillis};

const START: Moment = Moment::from_millis(10_000);
const PATHS: [&[u8]; 4] = [b"/livez", b"/readyz", b"/metrics", b"/version"];

const PROCESS: ProcessFigures = ProcessFigures {
    cpu_time: Millis::ZERO,
    resident: ByteCount::ZERO,
    memory_max: ByteCount::ZERO,
    open_fds: 0,
    started: UnixMillis::new(0),
};

fn state(readiness: Readiness) -> State {
    let cores = [0, 1].map(|core| Arc::new(CoreMetrics::new(ShardId::new(core), START)));
    let cell = ReadinessCell::new();
    cell.reach(readiness);
    State { cores: cores.to_vec(), readiness: Arc::new(cell), journal: None, replay: Arc::default() }
}

fn read(state: &State, path: &[u8], now: Moment) -> Page {
    state.page(Access::Read, path, now, &PROCESS)
}

fn after_secs(seconds: u64) -> Moment {
    START.after(Millis::from_secs(seconds))
}

#[test]
fn every_page_is_there_with_its_own_type() {
    let state = state(Readiness::Ready);
    let types = PATHS.map(|path| {
        let page = read(&state, path, START);
        assert_eq!((page.status, page.allow), (200, None));
        assert!(page.body.ends_with('\n'));
        page.content_type
    });
    assert_eq!(types, [PLAIN, PLAIN, prometheus::CONTENT_TYPE, JSON]);
}

#[test]
fn whatever_is_no_page_is_404_for_every_method() {
    let state = state(Readiness::Ready);
    for path in ["/", "", "*", "/livez/", "/Livez", "/metric", "/metrics2", "/session/settings", "/livez%20"]
    {
        let page = read(&state, path.as_bytes(), START);
        assert_eq!((page.status, page.allow), (404, None), "{path}");
    }
}

#[test]
fn a_page_takes_no_method_that_changes_something() {
    let state = state(Readiness::Ready);
    for path in PATHS {
        let page = state.page(Access::Change, path, START, &PROCESS);
        assert_eq!((page.status, page.allow), (405, Some("GET, HEAD")));
    }
    assert_eq!(state.page(Access::Change, b"/nothing", START, &PROCESS).status, 404);
}

#[test]
fn readyz_follows_the_server_from_start_to_end() {
    let expected = [
        (Readiness::Starting, 503, "starting\n"),
        (Readiness::Ready, 200, "ok\n"),
        (Readiness::Draining, 503, "draining\n"),
    ];
    for (readiness, status, body) in expected {
        let page = read(&state(readiness), b"/readyz", START);
        assert_eq!((page.status, page.body.as_str()), (status, body));
    }
}

#[test]
fn readyz_tells_that_nothing_is_kept_any_more() {
    let journal = Arc::new(JournalMetrics::new());
    let page = |readiness| {
        read(&State { journal: Some(Arc::clone(&journal)), ..state(readiness) }, b"/readyz", START)
    };
    assert_eq!(page(Readiness::Starting).body, "starting\n");
    assert_eq!(page(Readiness::Ready).status, 200);
    journal.show(JournalFigure::Condition, 1);
    assert_eq!(page(Readiness::Ready).status, 200, "a full disk is no reason to send nobody here");
    journal.show(JournalFigure::Condition, 2);
    assert_eq!(page(Readiness::Ready).status, 503);
    assert_eq!(page(Readiness::Draining).body, "draining\n");
}

#[test]
fn livez_names_the_core_that_has_stopped_turning() {
    let state = state(Readiness::Ready);
    state.cores[0].turn_ended(after_secs(6));
    assert_eq!(read(&state, b"/livez", after_secs(5)).status, 200);
    let page = read(&state, b"/livez", after_secs(6));
    assert_eq!((page.status, page.body.as_str()), (503, "core 1 has not turned for 6 s\n"));
    state.cores[1].turn_ended(after_secs(6));
    assert_eq!(read(&state, b"/livez", after_secs(11)).body, "ok\n");
}

#[test]
fn a_start_that_takes_long_is_no_hang_but_a_drain_that_stands_still_is() {
    let starting = state(Readiness::Starting);
    assert_eq!(read(&starting, b"/livez", after_secs(3_600)).status, 200);
    let draining = state(Readiness::Draining);
    assert_eq!(read(&draining, b"/livez", after_secs(3_600)).status, 503);
}

#[test]
fn a_heartbeat_later_than_the_page_is_alive() {
    let state = state(Readiness::Ready);
    state.cores[0].turn_ended(after_secs(60));
    assert_eq!(read(&state, b"/livez", after_secs(1)).status, 200);
}

#[test]
fn version_is_json_that_names_this_build() {
    let page = read(&state(Readiness::Starting), b"/version", START);
    let version: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!(version["name"], "seshun");
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert!(version["target"].as_str().unwrap().ends_with("-linux"));
}
