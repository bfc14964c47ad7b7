//! A connection to a server that may be killed at any moment.
//!
//! Answers are read as strictly as everywhere. An end in the middle of one, or instead of
//! one, is no failure here: the request's outcome is not known then, and the ledger says so.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::clock::now_millis;
use crate::support::{Response, build_request};

/// After so long without a byte, something hangs.
const HANG: Duration = Duration::from_secs(10);

/// Nothing more comes from this connection.
#[derive(Debug)]
pub struct Cut;

/// Why a client does not go on.
#[derive(Debug)]
pub enum Stop {
    /// The connection was cut.
    Cut,
    /// A promise was broken.
    Fault(String),
}

impl From<Cut> for Stop {
    fn from(Cut: Cut) -> Self {
        Self::Cut
    }
}

impl From<String> for Stop {
    fn from(fault: String) -> Self {
        Self::Fault(fault)
    }
}

/// An answer, and when.
pub struct Answer {
    pub response: Response,
    /// Before the request was sent.
    pub sent_millis: i64,
    /// After the answer was read.
    pub got_millis: i64,
}

/// One connection.
pub struct Wire {
    stream: TcpStream,
    /// Received, not yet read as an answer.
    unread: Vec<u8>,
    /// The last answer said that the connection closes.
    is_closing: bool,
}

impl Wire {
    /// A new connection.
    pub fn connect(addr: SocketAddr) -> Result<Self, Cut> {
        let stream = TcpStream::connect(addr).map_err(|_| Cut)?;
        stream.set_nodelay(true).map_err(|_| Cut)?;
        stream.set_read_timeout(Some(HANG)).expect("a socket takes its options");
        stream.set_write_timeout(Some(HANG)).expect("a socket takes its options");
        Ok(Self { stream, unread: Vec::new(), is_closing: false })
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Cut> {
        if self.is_closing {
            return Err(Cut);
        }
        self.stream.write_all(bytes).map_err(|why| cut_or_hang(&why))
    }

    /// The next answer, to a request of this method.
    pub fn receive(&mut self, method: &str) -> Result<Response, Cut> {
        loop {
            if let Some((response, len)) = Response::parse(&self.unread, method) {
                self.unread.drain(..len);
                self.is_closing |= response.closes();
                return Ok(response);
            }
            let mut piece = [0; 64 * 1024];
            match self.stream.read(&mut piece).map_err(|why| cut_or_hang(&why))? {
                0 => return Err(Cut),
                len => self.unread.extend_from_slice(&piece[..len]),
            }
        }
    }

    /// Whether an answer has said that the connection closes.
    pub fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// What was received and is no whole answer.
    pub fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Sends one request and reads its answer.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Cut> {
        let sent_millis = now_millis();
        self.send(&build_request(method, target, fields, body))?;
        let response = self.receive(method)?;
        Ok(Answer { response, sent_millis, got_millis: now_millis() })
    }
}

/// Whatever a killed peer may come to; a silent one is a failure.
fn cut_or_hang(why: &std::io::Error) -> Cut {
    let is_silent = matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(!is_silent, "the server neither answers nor ends");
    Cut
}
