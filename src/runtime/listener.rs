//! The listening sockets: one a core, all on one address.
//!
//! SO_REUSEPORT lets the kernel spread connections over the cores, and would let a second
//! Seshun take half of them in silence. So the address is first bound once without it,
//! which fails where anybody listens, and released. Then every listener is bound in order
//! by the calling thread; each enters its runtime later, on its core's own thread. Nothing
//! here accepts for the service; [`accept_queued`] empties a queue at shutdown.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use monoio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, Protocol, Socket, Type};

use super::driver::DriverKind;
use super::fd;
use crate::types::ShardCount;

/// Connections that may wait for a listener; the kernel's `somaxconn` caps it.
const BACKLOG: i32 = 4096;
/// How often and how long apart a bound address is tried again: for a second in all. A
/// ring is torn down after its process is gone, and holds its listeners until then.
const PROBES_MAX: u32 = 20;
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// The listening sockets of all cores, bound and not yet in any runtime.
#[derive(Debug)]
pub struct Listeners {
    /// The address that all are bound to, with the real port where 0 was asked for.
    pub address: SocketAddr,
    /// One a core, in order of the shards, which is the kernel's order too.
    pub sockets: Vec<StdTcpListener>,
}

/// Why the service has no listeners. The process ends.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process, perhaps another Seshun, listens there.
    #[error("{0} is in use: stop the process that listens there (`ss -ltnp`), or choose another address")]
    InUse(SocketAddr),
    /// The address belongs to another machine.
    #[error(
        "{0} is no address of this machine: listen on one that `ip address` shows, or on 0.0.0.0 or [::]"
    )]
    NotHere(SocketAddr),
    /// Ports below 1024 are the administrator's.
    #[error("{0} may not be bound by this user: take a port from 1024 on, or grant CAP_NET_BIND_SERVICE")]
    Forbidden(SocketAddr),
    /// Anything else that the system says.
    #[error("cannot listen on {0}: {1}")]
    Other(SocketAddr, #[source] io::Error),
}

impl ListenError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::AddrNotAvailable => Self::NotHere(address),
            io::ErrorKind::PermissionDenied => Self::Forbidden(address),
            _ => Self::Other(address, error),
        }
    }
}

/// Whether a service could listen on `address` by now. Waits for a second for one that is in
/// use, as [`bind_all`] does, and binds nothing.
pub fn look(address: SocketAddr) -> Result<(), ListenError> {
    probe(address).map_err(|error| ListenError::new(address, error))
}

/// Binds a listener for each of `count` cores to `address`; port 0 picks one for all. For a
/// second it waits for an address that is still in use: an immediate restart succeeds.
pub fn bind_all(address: SocketAddr, count: ShardCount) -> Result<Listeners, ListenError> {
    let fail = |error| ListenError::new(address, error);
    probe(address).map_err(fail)?;
    let first = listen(address, Sharing::ReusePort).map_err(fail)?;
    let address = first.local_addr().map_err(fail)?;
    let mut sockets = vec![first];
    for _ in 1..count.get() {
        sockets.push(listen(address, Sharing::ReusePort).map_err(fail)?);
    }
    debug_assert_eq!(sockets.len(), usize::from(count.get()), "one listener a core");
    Ok(Listeners { address, sockets })
}

/// Whether others may listen on the same address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sharing {
    Alone,
    ReusePort,
}

/// Whether nobody else listens on `address`; what it binds to find out is released.
fn probe(address: SocketAddr) -> io::Result<()> {
    let mut probed = listen(address, Sharing::Alone);
    for _ in 1..PROBES_MAX {
        match &probed {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => thread::sleep(PROBE_PAUSE),
            _ => break,
        }
        probed = listen(address, Sharing::Alone);
    }
    probed.map(drop)
}

fn listen(address: SocketAddr, sharing: Sharing) -> io::Result<StdTcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a predecessor linger in TIME_WAIT; they need not keep us from binding.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(sharing == Sharing::ReusePort)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes a listener into the runtime of this thread. Must be called inside it.
pub fn enter(listener: StdTcpListener, driver: DriverKind) -> io::Result<TcpListener> {
    listener.set_nonblocking(driver == DriverKind::Epoll)?;
    TcpListener::from_std(listener)
}

/// Takes a connection that another core, or [`accept_queued`], accepted into the runtime of
/// this thread. Must be called inside it.
pub fn adopt(connection: OwnedFd, driver: DriverKind) -> io::Result<TcpStream> {
    let stream = std::net::TcpStream::from(connection);
    // A ring gives EAGAIN to a reader of a non-blocking socket; epoll blocks on another.
    stream.set_nonblocking(driver == DriverKind::Epoll)?;
    TcpStream::from_std(stream)
}

/// Takes the next connection that waits in the listener's queue, or none; never blocks. For
/// the last turn before [`stop`]: an accept that is pending goes on beside it, but on
/// io_uring a later one would return EAGAIN instead of waiting.
pub fn accept_queued(listener: &TcpListener) -> io::Result<Option<OwnedFd>> {
    let listener = fd::of_listener(listener);
    // Asking by poll whether something waits is not enough: a ring that runs completions at
    // the end of any system call may take the connection first, and this accept would block.
    rustix::io::ioctl_fionbio(listener, true)?;
    match accept_with(listener, SocketFlags::CLOEXEC) {
        Ok(connection) => Ok(Some(connection)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Ends listening: the pending accept returns an error, and what is still queued is reset.
/// [`accept_queued`] must have emptied the queue on every core before.
pub fn stop(listener: &TcpListener) -> io::Result<()> {
    Ok(rustix::net::shutdown(fd::of_listener(listener), rustix::net::Shutdown::Read)?)
}

#[cfg(test)]
mod tests;
