//! The wake-up of a sleeping core: an eventfd that any thread can ring.
//!
//! One kind serves both drivers, so that doorbells exist before any core has found out
//! which driver it gets. Rings add up to one wake-up; a ring that comes while nobody waits
//! is kept for the next wait. The sleeping side enters its runtime on its own core's
//! thread. No waker ever crosses a thread.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use monoio::buf::VecBuf;
use monoio::io::AsyncReadRent;
use monoio::net::UnixStream;
use rustix::event::{EventfdFlags, eventfd};

use super::driver::DriverKind;

/// Bytes of an eventfd's counter.
const TOKEN_LEN: usize = 8;

/// The ringing side: cheap to clone, for any thread.
#[derive(Clone, Debug)]
pub struct Doorbell(Arc<OwnedFd>);

impl Doorbell {
    /// A doorbell and the side that waits for it.
    pub fn new() -> io::Result<(Self, UnhungBell)> {
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let waiting = UnhungBell(bell.try_clone()?);
        Ok((Self(bell), waiting))
    }

    /// Wakes the core that waits, or the next to wait. Never blocks: the counter holds 2^64
    /// rings. One that fails all the same finds a core that is gone with the process.
    pub fn ring(&self) {
        let written = rustix::io::write(self.0.as_fd(), &1u64.to_ne_bytes());
        debug_assert_eq!(written, Ok(TOKEN_LEN), "an eventfd takes its eight bytes");
    }
}

/// The waiting side on its way to its core's thread.
#[derive(Debug)]
pub struct UnhungBell(OwnedFd);

impl UnhungBell {
    /// Enters the runtime of this thread. Must be called inside it.
    pub fn hang(self, driver: DriverKind) -> io::Result<Bell> {
        let token = vec![0; TOKEN_LEN];
        // io_uring waits by itself, and only on a descriptor that is allowed to block;
        // epoll must be told that there is nothing to read yet.
        rustix::io::ioctl_fionbio(&self.0, driver == DriverKind::Epoll)?;
        let waiting = match driver {
            DriverKind::IoUring => Waiting::Ring(monoio::fs::File::from_std(File::from(self.0))?),
            DriverKind::Epoll => Waiting::Poll(UnixStream::from_std(StdUnixStream::from(self.0))?),
        };
        Ok(Bell { waiting, token })
    }
}

/// The waiting side within its core's runtime.
#[derive(Debug)]
pub struct Bell {
    waiting: Waiting,
    /// Where the counter is read into; away while a wait is pending.
    token: Vec<u8>,
}

#[derive(Debug)]
enum Waiting {
    /// A plain read, in the ring.
    Ring(monoio::fs::File),
    /// A readiness that epoll reports and `readv` takes back. The stream type is the only
    /// one that the runtime registers with epoll; `readv`, unlike `recv`, asks for no socket.
    Poll(UnixStream),
}

impl Bell {
    /// Sleeps until the bell is rung; at once if it was rung since the last wait. Must not
    /// be dropped while it is pending: the ring would be lost with it.
    pub async fn wait(&mut self) -> io::Result<()> {
        let token = std::mem::take(&mut self.token);
        debug_assert_eq!(token.len(), TOKEN_LEN, "one wait at a time, none dropped");
        let (read, token) = match &mut self.waiting {
            Waiting::Ring(file) => file.read_at(token, 0).await,
            Waiting::Poll(stream) => {
                let (read, tokens) = stream.readv(VecBuf::from(vec![token])).await;
                (read, Vec::<Vec<u8>>::from(tokens).pop().unwrap_or_default())
            }
        };
        self.token = token;
        read.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    use super::*;
    use crate::runtime::driver::tests::every_runtime;

    #[test]
    fn a_ring_from_another_thread_ends_the_wait() {
        for mut runtime in every_runtime() {
            let (bell, waiting) = Doorbell::new().unwrap();
            let ringer = std::thread::spawn(move || bell.ring());
            let kind = runtime.kind();
            runtime.block_on(async { waiting.hang(kind).unwrap().wait().await.unwrap() });
            ringer.join().unwrap();
        }
    }

    #[test]
    fn rings_that_nobody_waited_for_add_up_to_one_wake_up() {
        for mut runtime in every_runtime() {
            let (bell, waiting) = Doorbell::new().unwrap();
            let kind = runtime.kind();
            runtime.block_on(async {
                let mut waiting = waiting.hang(kind).unwrap();
                (0..1000).for_each(|_| bell.ring());
                waiting.wait().await.unwrap();
                let mut again = pin!(waiting.wait());
                let is_pending = poll_fn(|cx| Poll::Ready(again.as_mut().poll(cx).is_pending())).await;
                assert!(is_pending, "{kind:?}");
                bell.ring();
                again.await.unwrap();
            });
        }
    }

    #[test]
    fn a_sleeping_core_is_woken_again_and_again() {
        const ROUNDS: usize = 2_000;
        for mut runtime in every_runtime() {
            let (there, waiting_there) = Doorbell::new().unwrap();
            let (here, waiting_here) = Doorbell::new().unwrap();
            let kind = runtime.kind();
            let peer = std::thread::spawn(move || {
                let mut runtime = every_runtime().find(|runtime| runtime.kind() == kind).unwrap();
                runtime.block_on(async {
                    let mut waiting = waiting_there.hang(kind).unwrap();
                    for _ in 0..ROUNDS {
                        waiting.wait().await.unwrap();
                        here.ring();
                    }
                });
            });
            runtime.block_on(async {
                let mut waiting = waiting_here.hang(kind).unwrap();
                for _ in 0..ROUNDS {
                    there.ring();
                    waiting.wait().await.unwrap();
                }
            });
            peer.join().unwrap();
        }
    }
}
