//! Raw descriptors of the event loop's sockets, borrowed and owned: but for
//! `allocator.rs` the one file with `unsafe` in it.
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream as StdTcpStream;

    use monoio::io::{AsyncReadRent, AsyncWriteRentExt, OwnedWriteHalf, Splitable};

    use super::*;
    use crate::runtime::driver::tests::every_runtime;

    /// A client and the server's halves of its connection. Must be called inside a runtime.
    async fn connected() -> (StdTcpStream, OwnedReadHalf<TcpStream>, OwnedWriteHalf<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = StdTcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (read, write) = listener.accept().await.unwrap().0.into_split();
        (client, read, write)
    }

    /// Shuts down through `handle` once the task that spawned this waits for the kernel.
    fn shutdown_soon(handle: StreamHandle, shutdown: fn(&StreamHandle) -> io::Result<()>) {
        drop(monoio::spawn(async move {
            monoio::time::sleep(std::time::Duration::from_millis(5)).await;
            shutdown(&handle).unwrap();
        }));
    }

    #[test]
    fn shutting_the_read_side_ends_a_pending_read_and_an_answer_still_leaves() {
        for mut runtime in every_runtime() {
            runtime.block_on(async {
                let (mut client, mut read, mut write) = connected().await;
                client.write_all(b"half a he").unwrap();
                let (first, buffer) = read.read(Vec::with_capacity(64)).await;
                assert_eq!(first.unwrap(), 9);
                shutdown_soon(StreamHandle::of(&read), StreamHandle::shutdown_read);
                assert_eq!(read.read(buffer).await.0.unwrap(), 0);
                write.write_all(b"408").await.0.unwrap();
                drop((read, write));
                let mut answer = [0; 3];
                client.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"408");
            });
        }
    }

    #[test]
    fn shutting_both_sides_ends_a_stalled_write() {
        for mut runtime in every_runtime() {
            runtime.block_on(async {
                let (client, read, mut write) = connected().await;
                shutdown_soon(StreamHandle::of(&read), StreamHandle::shutdown_both);
                let more_than_any_socket_holds = vec![0u8; 64 * 1024 * 1024];
                assert!(write.write_all(more_than_any_socket_holds).await.0.is_err());
                drop(client);
            });
        }
    }

    #[test]
    fn shutting_the_write_side_lets_the_client_read_to_the_end() {
        for mut runtime in every_runtime() {
            runtime.block_on(async {
                let (mut client, mut read, mut write) = connected().await;
                write.write_all(b"bye").await.0.unwrap();
                StreamHandle::of(&read).shutdown_write().unwrap();
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).unwrap();
                assert_eq!(answer, b"bye");
                client.write_all(b"late").unwrap();
                assert_eq!(read.read(Vec::with_capacity(64)).await.0.unwrap(), 4);
            });
        }
    }

    #[test]
    fn a_stream_that_left_its_runtime_is_open_and_closes_with_its_owner() {
        for mut runtime in every_runtime() {
            runtime.block_on(async {
                let (mut client, read, write) = connected().await;
                let stream = read.reunite(write).unwrap();
                let number = of_stream(&stream).as_raw_fd();
                let owned = into_owned(stream);
                assert_eq!(owned.as_raw_fd(), number);
                rustix::io::write(&owned, b"x").unwrap();
                drop(owned);
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).unwrap();
                assert_eq!(answer, b"x");
            });
        }
    }
}
