//! What happened on each core, counted for the operator.
//!
//! One [`CoreMetrics`] a core, shared by `Arc`: its core alone writes, the admin thread reads.
//! With a single writer an update is a relaxed load and a store, no locked instruction, and
//! the alignment keeps each core's cells on cache lines of their own. Every number is exact by
//! itself; two numbers read together need not belong to the same turn.
//! Nothing here reads a clock, allocates after the start or knows how the numbers are shown.

mod journal;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::types::{ByteCount, Millis, Moment, ShardId, UnixMillis};

pub use journal::{BOUNDS_MICROS, Durations, JournalFigure, JournalMetrics};

/// The statuses that are counted apart. Any other is counted in one column behind them.
pub const STATUSES: [u16; 21] =
    [200, 201, 304, 400, 401, 404, 405, 408, 409, 412, 413, 414, 415, 417, 429, 431, 500, 501, 503, 505, 507];

/// The column of a status that is not in [`STATUSES`].
const OTHER_STATUS: usize = STATUSES.len();
/// The columns of a row: one a status, one for all others.
const STATUS_COLUMNS: usize = STATUSES.len() + 1;
/// A status at or above this is not in [`STATUSES`].
const STATUS_BOUND: usize = 512;
/// The column of each status, looked up on every answer.
static COLUMN_OF_STATUS: [u8; STATUS_BOUND] = columns_of_statuses();

/// What a request asked for, as far as requests are counted apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestKind {
    /// PUT on a bucket's sessions.
    Create,
    /// GET of a session.
    Read,
    /// HEAD of a session, or GET with `X-Session-Peek`.
    Peek,
    /// POST to a session.
    Update,
    /// DELETE of a session.
    Delete,
    /// GET or HEAD of the settings.
    Settings,
    /// Anything on a bucket's API key.
    Key,
    /// No route, or nothing that could be read as a request.
    Other,
}

impl RequestKind {
    /// Every kind, in the order of the rows.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Read,
        Self::Peek,
        Self::Update,
        Self::Delete,
        Self::Settings,
        Self::Key,
        Self::Other,
    ];

    /// The name that a metric's label shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Peek => "peek",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Settings => "settings",
            Self::Key => "key",
            Self::Other => "other",
        }
    }
}

/// The numbers of a core beside the requests: its cells, in the order in which they are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Figure {
    /// Total: frames of requests posted to a peer.
    ForwardsSent,
    /// Total: frames of requests served for a peer.
    ForwardsServed,
    /// Total: forwards whose reply did not come within their time.
    ForwardsTimedOut,
    /// Total: forwards refused because the owner's request lane was full.
    ForwardsRefused,
    /// Total: connections accepted by this core's listener.
    ConnectionsAccepted,
    /// Total: connections accepted here and handed over to a peer before their first read.
    ConnectionsHandedOver,
    /// Total: connections answered 503 and closed, because the limit was reached.
    ConnectionsRefused,
    /// Total: accepts that failed, for lack of descriptors or memory above all.
    AcceptsFailed,
    /// Gauge: connections that this core serves now.
    ConnectionsOpen,
    /// Gauge: frames that waited in the request inbox when it was last looked at.
    InboxDepth,
    /// Gauge: milliseconds by which the wheel is behind the earliest deadline due.
    ExpiryLagMillis,
    /// Gauge: sessions in the shard, due ones that are still to be removed included.
    Sessions,
    /// Gauge: bytes that the shard takes from the memory budget.
    MemoryBytes,
    /// Total: sessions created.
    SessionsCreated,
    /// Total: sessions deleted by a client.
    SessionsDeleted,
    /// Total: sessions removed because their deadline had passed.
    SessionsExpired,
    /// Total: turns of the core's loop.
    Turns,
    /// Total: bytes read from clients.
    BytesReceived,
    /// Total: bytes written to clients.
    BytesSent,
    /// Total: panics caught at a connection.
    PanicsCaught,
    /// Total: milliseconds of CPU time that the core's thread has used.
    CpuMillis,
    /// Total: touches that the journal was told of.
    TouchesLogged,
    /// Total: sessions that were logged again so that old segments can go.
    CopiesLogged,
    /// Total: changes refused because the disk is full.
    JournalRefusedDisk,
    /// Total: changes refused because too many wait for the disk.
    JournalRefusedBacklog,
    /// Gauge: outputs that waited for the journal when it was last looked at.
    OutputsWaiting,
    /// Gauge: the moment of the last turn, in milliseconds of the monotonic clock.
    Heartbeat,
}

/// Cells of a core: one a [`Figure`].
const FIGURES: usize = Figure::Heartbeat as usize + 1;

/// One core's numbers. Only that core's thread may call the methods that write.
///
/// 128 bytes of alignment, not 64: x86 prefetches cache lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub struct CoreMetrics {
    core: ShardId,
    figures: [Cell; FIGURES],
    /// A row a [`RequestKind`], a column a status.
    requests: [[Cell; STATUS_COLUMNS]; RequestKind::ALL.len()],
}

impl CoreMetrics {
    /// All zero, but for the heartbeat: a core counts as alive from `now` on.
    pub fn new(core: ShardId, now: Moment) -> Self {
        let metrics = Self {
            core,
            figures: std::array::from_fn(|_| Cell::default()),
            requests: std::array::from_fn(|_| std::array::from_fn(|_| Cell::default())),
        };
        metrics.cell(Figure::Heartbeat).show(now.as_millis());
        metrics
    }

    /// The core that writes here.
    pub fn core(&self) -> ShardId {
        self.core
    }

    /// The present value of `figure`, in its own unit.
    pub fn read(&self, figure: Figure) -> u64 {
        self.cell(figure).read()
    }

    /// The moment of the core's last turn.
    pub fn heartbeat(&self) -> Moment {
        Moment::from_millis(self.read(Figure::Heartbeat))
    }

    /// How many requests of this `kind` were answered with `status`.
    pub fn requests(&self, kind: RequestKind, status: u16) -> u64 {
        self.requests[kind as usize][column_of(status)].read()
    }

    /// How many requests of this `kind` were answered with a status that has no column.
    pub fn requests_with_other_status(&self, kind: RequestKind) -> u64 {
        self.requests[kind as usize][OTHER_STATUS].read()
    }

    /// A request was answered.
    pub fn request_answered(&self, kind: RequestKind, status: u16) {
        let column = column_of(status);
        debug_assert!(column != OTHER_STATUS, "status {status} has no column in STATUSES");
        self.requests[kind as usize][column].add(1);
    }

    /// A frame went to the owner's core.
    pub fn forward_sent(&self) {
        self.cell(Figure::ForwardsSent).add(1);
    }

    /// A peer's frame was served.
    pub fn forward_served(&self) {
        self.cell(Figure::ForwardsServed).add(1);
    }

    /// A frame was not back in time; its connection was answered 503.
    pub fn forward_timed_out(&self) {
        self.cell(Figure::ForwardsTimedOut).add(1);
    }

    /// The owner's request lane was full; the connection was answered 503.
    pub fn forward_refused(&self) {
        self.cell(Figure::ForwardsRefused).add(1);
    }

    /// The listener gave a connection, whichever core will serve it.
    pub fn connection_accepted(&self) {
        self.cell(Figure::ConnectionsAccepted).add(1);
    }

    /// A connection accepted here went to a peer.
    pub fn connection_handed_over(&self) {
        self.cell(Figure::ConnectionsHandedOver).add(1);
    }

    /// A connection above the limit was answered 503 and closed.
    pub fn connection_refused(&self) {
        self.cell(Figure::ConnectionsRefused).add(1);
    }

    /// The listener gave an error in place of a connection.
    pub fn accept_failed(&self) {
        self.cell(Figure::AcceptsFailed).add(1);
    }

    /// This core began to serve a connection, accepted here or by a peer.
    pub fn connection_opened(&self) {
        self.cell(Figure::ConnectionsOpen).add(1);
    }

    /// A connection that was opened here is gone.
    pub fn connection_closed(&self) {
        let open = self.cell(Figure::ConnectionsOpen);
        debug_assert!(open.read() > 0, "a connection closes once, after it was opened");
        open.show(open.read().saturating_sub(1));
    }

    /// So many frames wait in the request inbox.
    pub fn show_inbox_depth(&self, frames: usize) {
        self.cell(Figure::InboxDepth).show(frames as u64);
    }

    /// The wheel is this far behind.
    pub fn show_expiry_lag(&self, lag: Millis) {
        self.cell(Figure::ExpiryLagMillis).show(lag.as_u64());
    }

    /// The shard holds so many sessions and takes so much of the memory budget.
    pub fn show_store(&self, sessions: usize, memory: ByteCount) {
        self.cell(Figure::Sessions).show(sessions as u64);
        self.cell(Figure::MemoryBytes).show(memory.as_u64());
    }

    /// Since the start so many sessions of this core's shard were created, deleted by clients,
    /// and removed because they were due, by whoever found them so.
    pub fn show_sessions_so_far(&self, created: u64, deleted: u64, expired: u64) {
        self.cell(Figure::SessionsCreated).show(created);
        self.cell(Figure::SessionsDeleted).show(deleted);
        self.cell(Figure::SessionsExpired).show(expired);
    }

    /// So many touches and copies were logged since the start.
    pub fn show_logged(&self, touches: u64, copies: u64) {
        self.cell(Figure::TouchesLogged).show(touches);
        self.cell(Figure::CopiesLogged).show(copies);
    }

    /// So many changes were refused since the start, for lack of room on the disk and because
    /// too many wait for it.
    pub fn show_journal_refusals(&self, disk: u64, backlog: u64) {
        self.cell(Figure::JournalRefusedDisk).show(disk);
        self.cell(Figure::JournalRefusedBacklog).show(backlog);
    }

    /// So many outputs wait for the journal.
    pub fn show_outputs_waiting(&self, outputs: usize) {
        self.cell(Figure::OutputsWaiting).show(outputs as u64);
    }

    /// A turn has ended.
    pub fn turn_ended(&self, now: Moment) {
        debug_assert!(now >= self.heartbeat(), "the monotonic clock never steps back");
        self.cell(Figure::Turns).add(1);
        self.cell(Figure::Heartbeat).show(now.as_millis());
    }

    /// A read gave so many bytes.
    pub fn bytes_received(&self, count: ByteCount) {
        self.cell(Figure::BytesReceived).add(count.as_u64());
    }

    /// A write took so many bytes.
    pub fn bytes_sent(&self, count: ByteCount) {
        self.cell(Figure::BytesSent).add(count.as_u64());
    }

    /// A panic was caught at a connection, which was answered 500.
    pub fn panic_caught(&self) {
        self.cell(Figure::PanicsCaught).add(1);
    }

    /// The core's thread has used this much CPU time since it began.
    pub fn show_cpu_time(&self, used: Millis) {
        debug_assert!(used.as_u64() >= self.read(Figure::CpuMillis), "CPU time only grows");
        self.cell(Figure::CpuMillis).show(used.as_u64());
    }

    fn cell(&self, figure: Figure) -> &Cell {
        &self.figures[figure as usize]
    }
}

/// The numbers of the whole process, read from the system when a page shows them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessFigures {
    /// CPU time, user and system, of all threads since the start.
    pub cpu_time: Millis,
    /// Resident memory.
    pub resident: ByteCount,
    /// The memory that sessions may take, all shards together.
    pub memory_max: ByteCount,
    /// Open file descriptors.
    pub open_fds: u64,
    /// When the process started.
    pub started: UnixMillis,
}

/// A number with one writer. Relaxed: no reader concludes from it that anything else was written.
#[derive(Default, Debug)]
struct Cell(AtomicU64);

impl Cell {
    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A load and a store: with one writer nothing can come between them.
    fn add(&self, count: u64) {
        self.show(self.read().wrapping_add(count));
    }

    fn show(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

fn column_of(status: u16) -> usize {
    COLUMN_OF_STATUS.get(usize::from(status)).map_or(OTHER_STATUS, |&column| usize::from(column))
}

const fn columns_of_statuses() -> [u8; STATUS_BOUND] {
    let mut columns = [OTHER_STATUS as u8; STATUS_BOUND];
    let mut column = 0;
    while column < STATUSES.len() {
        columns[STATUSES[column] as usize] = column as u8;
        column += 1;
    }
    columns
}

#[cfg(test)]
mod tests;
