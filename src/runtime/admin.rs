//! The admin listener: a thread of its own, so that a core which hangs does not hide it.
//!
//! Its pages are decided in `crate::admin`; this is their I/O. It stands on epoll, serves a
//! few connections at a time, answers a request at a time, and closes a connection that takes
//! more than ten seconds for its next request, or for reading an answer.

use std::cell::Cell;
use std::fs;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::rc::Rc;
use std::time::Duration;

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{TcpListener, TcpStream};
use monoio::time::timeout;

use super::clock::Clock;
use super::driver::{CoreRuntime, DriverChoice, DriverKind};
use super::{listener, usage};
use crate::admin::{Access, Page, State};
use crate::http::{
    BodyPlan, Connection, DateCache, Event, Limits, Method, Persistence, ResponseWriter, Status,
};
use crate::metrics::ProcessFigures;
use crate::types::{ByteCount, Millis, UnixMillis};

/// Connections at once; further ones are closed at once.
const CONNECTIONS_MAX: u32 = 64;
/// How long a request may take to arrive, from the last answer on, and an answer to be read.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest body that is skipped, in bytes.
const SKIPPED_BYTES_MAX: usize = 64 * 1024;

/// What every connection looks at.
struct Office {
    state: State,
    memory_max: ByteCount,
    started: UnixMillis,
    open: Cell<u32>,
}

/// Starts the listener's thread. What fails later is logged; the service goes on without it.
pub fn start(listener: StdTcpListener, state: State, memory_max: ByteCount) -> io::Result<()> {
    log::info!("admin listening on http://{}", listener.local_addr()?);
    let started = Clock::now().wall;
    let serve = move || {
        let office = Office { state, memory_max, started, open: Cell::new(0) };
        let served = CoreRuntime::build(DriverChoice::Epoll)
            .map_err(io::Error::other)
            .and_then(|mut runtime| runtime.block_on(accept(listener, Rc::new(office))));
        if let Err(error) = served {
            log::error!("the admin listener has ended: {error}");
        }
    };
    std::thread::Builder::new().name("admin".to_owned()).spawn(serve).map(drop)
}

async fn accept(listener: StdTcpListener, office: Rc<Office>) -> io::Result<()> {
    let listener: TcpListener = listener::enter(listener, DriverKind::Epoll)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) if office.open.get() < CONNECTIONS_MAX => {
                office.open.set(office.open.get() + 1);
                let office = Rc::clone(&office);
                drop(monoio::spawn(async move {
                    let _client_is_gone = serve(stream, &office).await;
                    office.open.set(office.open.get() - 1);
                }));
            }
            Ok(_) => log::warn!("the admin listener has {CONNECTIONS_MAX} connections; one more was closed"),
            Err(_) => monoio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(mut stream: TcpStream, office: &Office) -> io::Result<()> {
    let mut http = Connection::new(Limits::default());
    loop {
        let Ok(answered) = timeout(PATIENCE, next_answer(&mut stream, &mut http, office)).await else {
            return Ok(());
        };
        let (output, is_open) = answered?;
        let Ok((written, _)) = timeout(PATIENCE, stream.write_all(output)).await else {
            return Ok(());
        };
        written?;
        if !is_open {
            return Ok(());
        }
    }
}

/// Reads until a request is complete. Yields its answer, and whether the connection goes on.
async fn next_answer(
    stream: &mut TcpStream,
    http: &mut Connection,
    office: &Office,
) -> io::Result<(Vec<u8>, bool)> {
    loop {
        let mut output = Vec::new();
        let is_open = answer(http, office, &mut output);
        if !output.is_empty() || !is_open {
            return Ok((output, is_open));
        }
        let input = http.take_input();
        let filled = input.len();
        let (read, input) = stream.read(input.slice_mut(filled..)).await;
        http.restore_input(input.into_inner());
        if read? == 0 {
            http.end_input();
        }
    }
}

/// Answers the next request if it is complete. Says whether the connection goes on.
fn answer(http: &mut Connection, office: &Office, output: &mut Vec<u8>) -> bool {
    let mut page = None;
    loop {
        match http.poll() {
            Event::Starved => return true,
            Event::Closed => return false,
            Event::Refused(refused) => {
                let line = format!("{}\n", refused.detail());
                let page = Page {
                    status: refused.status().code(),
                    content_type: "text/plain",
                    allow: None,
                    body: line,
                };
                write(&page, Persistence::Close, false, output);
                return false;
            }
            Event::Head => {
                let head = http.head();
                let access = match head.method() {
                    Method::Get | Method::Head => Access::Read,
                    _ => Access::Change,
                };
                let now = Clock::now();
                let shown = office.state.page(access, head.path(), now.moment, &figures(office));
                page = Some((shown, head.keep_alive(), head.method() == Method::Head));
                let _no_body_is_wanted = http.accept_body(BodyPlan::Discard { bytes_max: SKIPPED_BYTES_MAX });
            }
            Event::Body => {
                http.finish_request();
                let Some((page, keeps_alive, is_head)) = page.take() else { continue };
                let persistence = if keeps_alive { Persistence::KeepAlive } else { Persistence::Close };
                write(&page, persistence, is_head, output);
                return keeps_alive;
            }
        }
    }
}

fn write(page: &Page, persistence: Persistence, is_head: bool, output: &mut Vec<u8>) {
    let mut date = DateCache::new();
    date.update(Clock::now().wall);
    let status = Status::ALL.iter().find(|status| status.code() == page.status);
    let status = *status.unwrap_or(&Status::InternalServerError);
    let mut response = ResponseWriter::begin(output, status, &date)
        .connection(persistence)
        .field("Content-Type", page.content_type.as_bytes());
    if let Some(allow) = page.allow {
        response = response.field("Allow", allow.as_bytes());
    }
    response.body(page.body.as_bytes(), is_head);
}

fn figures(office: &Office) -> ProcessFigures {
    let cpu_millis = usage::process_cpu_time().as_millis();
    ProcessFigures {
        cpu_time: Millis::new(u64::try_from(cpu_millis).unwrap_or(u64::MAX)),
        resident: usage::resident_memory().unwrap_or_default(),
        memory_max: office.memory_max,
        open_fds: fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
        started: office.started,
    }
}
