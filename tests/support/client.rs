//! A raw client: bytes out, strictly read answers in.
//!
//! It sends exactly what a test hands it, in the pieces that the test wants, and fails
//! loudly where the server sends anything that nobody asked for. A read that hangs for ten
//! seconds is a failure, never a wait.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::launch::MASTER_KEY;
use super::problem;
use super::response::Response;

/// After so long without a byte, something hangs.
const HANG: Duration = Duration::from_secs(10);

/// Between the pieces of a split request: enough for the server to see the first alone.
const BETWEEN_PIECES: Duration = Duration::from_micros(200);

/// One connection to the server.
pub struct Client {
    stream: TcpStream,
    addr: SocketAddr,
    /// Received, not yet read as an answer.
    unread: Vec<u8>,
    /// The last answer said that the connection closes.
    closing: bool,
    /// Every refusal must be a problem document; the admin listener's need not.
    wants_problems: bool,
}

impl Client {
    /// A new connection.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap_or_else(|why| panic!("no connection to {addr}: {why}"));
        stream.set_nodelay(true).expect("a socket takes its options");
        stream.set_read_timeout(Some(HANG)).expect("a socket takes its options");
        stream.set_write_timeout(Some(HANG)).expect("a socket takes its options");
        Self { stream, addr, unread: Vec::new(), closing: false, wants_problems: true }
    }

    /// A new connection to the admin listener.
    #[track_caller]
    pub fn connect_to_admin(addr: SocketAddr) -> Self {
        Self { wants_problems: false, ..Self::connect(addr) }
    }

    /// Sends these bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes what is sent");
    }

    /// Sends these bytes to a server that may have closed already; whether it took them all.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends these bytes in two pieces. The server may answer and close after the first.
    pub fn send_split(&mut self, bytes: &[u8], at: usize) {
        self.send(&bytes[..at]);
        thread::sleep(BETWEEN_PIECES);
        self.try_send(&bytes[at..]);
    }

    /// Sends these bytes one by one.
    pub fn trickle(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]);
            thread::sleep(BETWEEN_PIECES);
        }
    }

    /// Ends the sending side; answers can still come.
    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("an open connection can be half-closed");
    }

    /// A second handle to the socket, for a thread that goes on sending.
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().expect("a socket can have a second handle")
    }

    /// The next answer, to anything but a HEAD.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.read_response_to("GET")
    }

    /// The next answer, to a request of this method.
    #[track_caller]
    pub fn read_response_to(&mut self, method: &str) -> Response {
        loop {
            if let Some((response, len)) = Response::parse(&self.unread, method) {
                self.unread.drain(..len);
                self.closing = response.closes();
                if self.wants_problems && response.status >= 400 {
                    problem::check(&response, method);
                }
                return response;
            }
            let received = self.fill();
            assert!(
                received > 0,
                "closed in the middle of an answer: {:?}",
                String::from_utf8_lossy(&self.unread)
            );
        }
    }

    /// The connection is closed by the server, without another byte.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.unread), "", "bytes after the last answer");
        let received = self.fill();
        assert_eq!(received, 0, "bytes after the last answer: {:?}", String::from_utf8_lossy(&self.unread));
    }

    /// The server closes, with or without a refusal: what a request that was cut short may get.
    #[track_caller]
    pub fn expect_closed_or_refused(&mut self) {
        if self.unread.is_empty() && self.fill() == 0 {
            return;
        }
        let response = self.read_response();
        assert!(response.status >= 400 && response.closes(), "{response}");
        self.expect_closed();
    }

    /// Whether the server has sent something, or closed. Does not wait.
    pub fn has_answer(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("a socket takes its options");
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("a socket takes its options");
        !self.unread.is_empty() || peeked.is_ok()
    }

    /// Nothing came that no request asked for. (What comes later shows before the next answer.)
    #[track_caller]
    pub fn expect_nothing_more(&self) {
        assert_eq!(String::from_utf8_lossy(&self.unread), "", "bytes after the last answer");
    }

    /// Sends a request and reads its answer, over a new connection where the last answer
    /// ended the old one.
    #[track_caller]
    pub fn request(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Response {
        self.expect_nothing_more();
        if self.closing {
            *self = Self { wants_problems: self.wants_problems, ..Self::connect(self.addr) };
        }
        let request = build_request(method, target, fields, body);
        if !self.try_send(&request) {
            // Refused at its head and closed: the answer is there all the same.
            assert!(request.len() > 1024, "the server closed before it took {method} {target}");
        }
        let response = self.read_response_to(method);
        self.expect_nothing_more();
        if self.closing {
            self.expect_closed();
        }
        response
    }

    /// Makes a key for this bucket, which has none.
    #[track_caller]
    pub fn make_bucket(&mut self, name: &str) -> String {
        let response =
            self.request("PUT", &format!("/api-key/{name}"), &[("X-SESSION-KEY", MASTER_KEY)], b"");
        response.expect(201).text().to_owned()
    }

    /// Receives once; 0 at the end.
    #[track_caller]
    fn fill(&mut self) -> usize {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(len) => {
                self.unread.extend_from_slice(&piece[..len]);
                len
            }
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server is silent; unread: {:?}", String::from_utf8_lossy(&self.unread))
            }
            Err(why) => panic!("{why}; unread: {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }
}

/// A request as an ordinary client writes it: a Content-Length where there is a body or a POST,
/// unless the fields have one of their own.
pub fn build_request(method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = head_without_length(method, target, fields);
    let has_length = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
    if !has_length && (!body.is_empty() || method == "POST") {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    [request.as_bytes(), body].concat()
}

/// The same with the body in these chunks, none of them empty.
pub fn build_chunked(method: &str, target: &str, fields: &[(&str, &str)], chunks: &[&[u8]]) -> Vec<u8> {
    let mut request = head_without_length(method, target, fields).into_bytes();
    request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    for chunk in chunks {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

fn head_without_length(method: &str, target: &str, fields: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: seshun.test\r\n");
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}
