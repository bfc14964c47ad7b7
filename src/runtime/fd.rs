//! Raw descriptors of the event loop's sockets, borrowed and owned: the one file with
//! `unsafe` in it.
//!
//! The runtime's sockets give out bare numbers only. Here they become descriptors with a
//! lifetime ([`of_listener`], [`of_stream`]), or leave their runtime for another core's
//! ([`into_owned`]), or are shut down while a read is pending ([`StreamHandle`]). A number
//! never leaves this file, so none can outlive its socket and name a stranger's.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;

use monoio::io::OwnedReadHalf;
use monoio::net::{TcpListener, TcpStream};
use rustix::net::Shutdown;

/// The listener's descriptor, for system calls that the runtime does not offer.
pub fn of_listener(listener: &TcpListener) -> BorrowedFd<'_> {
    // SAFETY: the listener owns the descriptor, closes it when it is dropped and not
    // before, and is borrowed for as long as the result lives.
    unsafe { BorrowedFd::borrow_raw(listener.as_raw_fd()) }
}

/// The stream's descriptor, for system calls that the runtime does not offer.
pub fn of_stream(stream: &TcpStream) -> BorrowedFd<'_> {
    // SAFETY: as for a listener, the stream owns the descriptor and outlives the borrow.
    unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) }
}

/// Takes the stream out of this core's runtime, so that another core's can take it in.
///
/// # Panics
/// If an operation on the stream is in flight, which a stream fresh from accept has none of.
pub fn into_owned(stream: TcpStream) -> OwnedFd {
    let number = stream.into_raw_fd();
    debug_assert!(number >= 0, "an open stream has a descriptor");
    // SAFETY: `into_raw_fd` gives up the ownership without closing the descriptor, and
    // panics where an operation still shares it; nobody else can close it from here on.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// A share in a stream that is being read: enough to end its pending operations from
/// elsewhere on the same core. It keeps the stream open, so it must be dropped first where
/// the stream is to be closed.
#[derive(Clone, Debug)]
pub struct StreamHandle(Rc<UnsafeCell<TcpStream>>);

impl StreamHandle {
    /// A share in the stream that `half` reads from.
    pub fn of(half: &OwnedReadHalf<TcpStream>) -> Self {
        Self(Rc::clone(&half.0))
    }

    /// Ends the reading side: a pending read returns what has arrived and then 0; answers
    /// can still be written.
    pub fn shutdown_read(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Read)
    }

    /// Ends the writing side: the client reads to the end of what was written.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// Ends both sides: pending reads and writes return at once.
    pub fn shutdown_both(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Both)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        // SAFETY: the halves that share this cell live on this one thread (`Rc`), and hold
        // a reference into it only while one of their futures is made, never across an
        // await; so none is alive here, and this one ends before any is made again.
        let stream = unsafe { &*self.0.get() };
        Ok(rustix::net::shutdown(of_stream(stream), how)?)
    }
}
