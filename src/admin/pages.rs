//! Which path shows what, and with which status.
//!
//! `/livez` is for whoever restarts the process: it fails once a core has stopped turning.
//! `/readyz` is for whoever sends it traffic. `/metrics` is for Prometheus, `/version` for
//! people. Anything else is 404, and every page takes GET and HEAD alone; the caller omits
//! the body of a HEAD.

use std::sync::Arc;

use super::journal::JournalPage;
use super::{Readiness, ReadinessCell, prometheus};
use crate::journal::{ReplayPhase, ReplayProgress, ReplayStep};
use crate::metrics::{CoreMetrics, JournalMetrics, ProcessFigures};
use crate::types::{Millis, Moment};

/// A core whose last turn is longer ago than this has stopped. Its loop turns at least once a
/// second, for the wheel's tick, so that five turns in a row have not come.
const HEARTBEAT_AGE_MAX: Millis = Millis::from_secs(5);

/// What `Allow` says of every page.
const ALLOWED: &str = "GET, HEAD";

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What a request's method wants of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// GET, or HEAD.
    Read,
    /// Any other method.
    Change,
}

/// An answer, but for what every answer has (`Date`, `Content-Length`, …).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The value of `Allow`, on 405 alone.
    pub allow: Option<&'static str>,
    /// The content.
    pub body: String,
}

impl Page {
    fn new(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { status, content_type, allow: None, body: body.into() }
    }

    /// A page of one line of text.
    fn line(status: u16, line: &str) -> Self {
        Self::new(status, PLAIN, format!("{line}\n"))
    }
}

/// What the pages tell about.
#[derive(Clone, Debug)]
pub struct State {
    /// Each core's numbers, in the order of the cores.
    pub cores: Vec<Arc<CoreMetrics>>,
    /// Where the server stands.
    pub readiness: Arc<ReadinessCell>,
    /// The journal's numbers; none where nothing outlives the process.
    pub journal: Option<Arc<JournalMetrics>>,
    /// How far the journal was read back; nothing is to be read where there is none.
    pub replay: Arc<ReplayProgress>,
}

impl State {
    /// The page at `path` (raw, without its query), as it is at `now`.
    pub fn page(&self, access: Access, path: &[u8], now: Moment, process: &ProcessFigures) -> Page {
        let page: fn(&Self, Moment, &ProcessFigures) -> Page = match path {
            b"/livez" => |state, now, _| state.livez(now),
            b"/readyz" => |state, _, _| state.readyz(),
            b"/metrics" => Self::metrics,
            b"/version" => |_, _, _| Page::new(200, JSON, version_body()),
            _ => return Page::line(404, "there are /livez, /readyz, /metrics and /version"),
        };
        match access {
            Access::Read => page(self, now, process),
            Access::Change => {
                Page { allow: Some(ALLOWED), ..Page::line(405, "pages are read with GET or HEAD") }
            }
        }
    }

    /// Alive while every core turns. Before the start is over no core owes a turn: replaying a
    /// large journal must not look like a hang.
    fn livez(&self, now: Moment) -> Page {
        let age = |core: &CoreMetrics| now.since(core.heartbeat());
        let stopped = self.cores.iter().find(|core| age(core) > HEARTBEAT_AGE_MAX);
        match stopped {
            Some(core) if self.readiness.get() != Readiness::Starting => {
                let seconds = age(core).as_secs_ceil();
                Page::line(503, &format!("core {} has not turned for {seconds} s", core.core()))
            }
            _ => Page::line(200, "ok"),
        }
    }

    fn readyz(&self) -> Page {
        let journal = self.journal.as_deref();
        match self.readiness.get() {
            Readiness::Starting => Page::line(503, &starting(&self.replay)),
            Readiness::Ready if journal.is_some_and(JournalMetrics::has_failed) => {
                Page::line(503, "the journal keeps nothing any more: restart")
            }
            Readiness::Ready => Page::line(200, "ok"),
            Readiness::Draining => Page::line(503, "draining"),
        }
    }

    fn metrics(&self, now: Moment, process: &ProcessFigures) -> Page {
        let mut body = prometheus::render_prometheus(&self.cores, process, now);
        if let Some(journal) = &self.journal {
            body.push_str(&JournalPage(journal, now).to_string());
        }
        Page::new(200, prometheus::CONTENT_TYPE, body)
    }
}

/// How far the start has come.
fn starting(replay: &ReplayProgress) -> String {
    let ReplayStep { phase, segments_done, segments, bytes_done, bytes } = replay.step();
    let part = match phase {
        _ if segments == 0 => return "starting".into(),
        ReplayPhase::Survey => "1 of 2",
        ReplayPhase::Load => "2 of 2",
    };
    let percent = (bytes_done * 100).checked_div(bytes).unwrap_or(100);
    format!("replaying the journal, part {part}: {percent} %, {segments_done} of {segments} segments")
}

/// Who we are, in JSON. All of it is known when the code is compiled.
fn version_body() -> String {
    format!(
        "{{\"name\":\"{}\",\"version\":\"{}\",\"target\":\"{}-{}\"}}\n",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}

#[cfg(test)]
mod tests;
