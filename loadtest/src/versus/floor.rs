//! The raw loop: one thread, epoll, one read, one answer known beforehand, one write.
//!
//! It is what the machine and its network stack cost without a server. It parses nothing,
//! stores nothing and checks nothing; it counts a request's bytes and sends the script's
//! answer. It ends when its standard input does, so that it never outlives who started it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::versus::script::{OPENING_LEN, Script};

/// Events that one wait takes at most.
const EVENTS_MAX: usize = 512;

/// Bytes that one read takes at most.
const READ_LEN_MAX: usize = 64 * 1024;

/// What the listener's events carry; no connection has so high an index.
const LISTENER: u64 = u64::MAX;

/// What the events of the end's sign carry.
const END: u64 = u64::MAX - 1;

/// One accepted socket, and how far its request or answer has come.
struct Connection {
    stream: TcpStream,
    opening: [u8; OPENING_LEN],
    /// Bytes of the request so far. Below its length once its line is known.
    received: usize,
    /// What is being sent: the line's index, and the bytes of its answer that are away.
    sending: Option<(usize, usize)>,
}

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It waits for a request.
    Read,
    /// Its answer did not fit into the socket.
    Write,
    /// It is over.
    Close,
}

/// Answers by rote until `end` can be read from, which means that it has been closed.
pub fn serve(listener: &TcpListener, script: &Script, end: impl AsFd) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    epoll::add(&poll, &end, EventData::new_u64(END), EventFlags::IN)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
    let mut buffer = vec![0; READ_LEN_MAX];
    loop {
        events.clear();
        match epoll::wait(&poll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            match event.data.u64() {
                END => return Ok(()),
                LISTENER => accept(&poll, listener, &mut connections)?,
                index => serve_one(&poll, &mut connections[index as usize], index, (script, &mut buffer))?,
            }
        }
    }
}

fn accept(
    poll: impl AsFd,
    listener: &TcpListener,
    connections: &mut Vec<Option<Connection>>,
) -> io::Result<()> {
    let stream = match listener.accept() {
        Ok((stream, _)) => stream,
        // The connection that was announced has gone again.
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) => {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let free = connections.iter().position(Option::is_none);
    let index = free.unwrap_or(connections.len());
    epoll::add(poll, &stream, EventData::new_u64(index as u64), EventFlags::IN)?;
    let connection = Connection { stream, opening: [0; OPENING_LEN], received: 0, sending: None };
    match connections.get_mut(index) {
        Some(slot) => *slot = Some(connection),
        None => connections.push(Some(connection)),
    }
    debug_assert!(connections[index].is_some(), "the event's index leads to the connection");
    Ok(())
}

fn serve_one(
    poll: impl AsFd,
    slot: &mut Option<Connection>,
    index: u64,
    (script, buffer): (&Script, &mut [u8]),
) -> io::Result<()> {
    // An event of a connection that an earlier one of the same wait has ended.
    let Some(connection) = slot else { return Ok(()) };
    let was_sending = connection.sending.is_some();
    let next = if was_sending { connection.send(script) } else { connection.receive(script, buffer) };
    match next {
        // Closing takes the socket out of the poll as well.
        Next::Close => *slot = None,
        Next::Read if was_sending => {
            epoll::modify(poll, &connection.stream, EventData::new_u64(index), EventFlags::IN)?;
        }
        Next::Write if !was_sending => {
            epoll::modify(poll, &connection.stream, EventData::new_u64(index), EventFlags::OUT)?;
        }
        Next::Read | Next::Write => {}
    }
    Ok(())
}

impl Connection {
    fn receive(&mut self, script: &Script, buffer: &mut [u8]) -> Next {
        let count = match (&self.stream).read(buffer) {
            Ok(0) => return Next::Close,
            Ok(count) => count,
            Err(error) => return if is_passing(&error) { Next::Read } else { Next::Close },
        };
        for (at, &byte) in buffer[..count].iter().enumerate().take(OPENING_LEN) {
            if let Some(place) = self.opening.get_mut(self.received + at) {
                *place = byte;
            }
        }
        self.received += count;
        if self.received < OPENING_LEN {
            return Next::Read;
        }
        let Some(index) = script.index_of(self.opening) else { return Next::Close };
        let wanted = script.line(index).request_len;
        if self.received < wanted {
            return Next::Read;
        }
        // One request at a time: what is more than it belongs to nothing that the script knows.
        if self.received > wanted {
            return Next::Close;
        }
        self.sending = Some((index, 0));
        self.send(script)
    }

    fn send(&mut self, script: &Script) -> Next {
        let Some((index, mut sent)) = self.sending else { return Next::Read };
        let answer = &script.line(index).answer;
        while sent < answer.len() {
            match (&self.stream).write(&answer[sent..]) {
                Ok(count) => sent += count,
                Err(error) if is_passing(&error) => {
                    self.sending = Some((index, sent));
                    return Next::Write;
                }
                Err(_) => return Next::Close,
            }
        }
        debug_assert_eq!(sent, answer.len(), "an answer is sent once");
        self.sending = None;
        self.received = 0;
        Next::Read
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use crate::versus::dialect::{Action, Data, Dialect, Http, tests::id};

    fn http(len: usize) -> Http {
        Http::new("127.0.0.1:40000", ("bucket", "key"), Data::new(3, len))
    }

    /// Runs `talk` with a loop that answers for sessions of this size, and lets the loop end.
    fn with_loop(len: usize, talk: impl FnOnce(SocketAddr)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let script = Script::modelled(&http(len));
        let served = thread::spawn(move || serve(&listener, &script, theirs));
        talk(addr);
        drop(ours);
        served.join().unwrap().unwrap();
    }

    fn answered(stream: &mut TcpStream, action: Action, len: usize) {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = stream.read(&mut chunk).unwrap();
            assert_ne!(count, 0, "{action:?}");
            bytes.extend_from_slice(&chunk[..count]);
            if let Some(reply) = http(len).read(action, &bytes).unwrap() {
                assert_eq!(reply.len, bytes.len());
                return;
            }
        }
    }

    #[test]
    fn every_action_is_answered_on_every_connection() {
        with_loop(1024, |addr| {
            let mut streams: Vec<_> = (0..3).map(|_| TcpStream::connect(addr).unwrap()).collect();
            for action in Action::ALL.into_iter().cycle().take(15) {
                let mut request = Vec::new();
                http(1024).write(action, &id(), &mut request);
                for stream in &mut streams {
                    stream.write_all(&request).unwrap();
                    answered(stream, action, 1024);
                }
            }
        });
    }

    #[test]
    fn a_request_may_come_byte_by_byte() {
        with_loop(10, |addr| {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.set_nodelay(true).unwrap();
            let mut request = Vec::new();
            http(10).write(Action::Update, &id(), &mut request);
            for byte in request {
                stream.write_all(&[byte]).unwrap();
            }
            answered(&mut stream, Action::Update, 10);
        });
    }

    #[test]
    fn an_answer_larger_than_the_socket_takes_comes_whole() {
        let len = 8 * 1024 * 1024;
        with_loop(len, |addr| {
            let mut stream = TcpStream::connect(addr).unwrap();
            let mut request = Vec::new();
            http(len).write(Action::Read, &id(), &mut request);
            stream.write_all(&request).unwrap();
            let mut answer = vec![0; Script::modelled(&http(len)).line(Action::Read as usize).answer.len()];
            stream.read_exact(&mut answer).unwrap();
            assert!(http(len).read(Action::Read, &answer).unwrap().is_some());
            stream.write_all(&request).unwrap();
            stream.read_exact(&mut answer).unwrap();
        });
    }

    #[test]
    fn a_request_that_is_not_in_the_script_ends_the_connection() {
        with_loop(10, |addr| {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(b"HEAD / HTTP/1.1\r\n\r\n").unwrap();
            assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
        });
    }
}
