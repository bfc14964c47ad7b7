//! Just enough HTTP/1.1 for the model server: well-formed requests in, replies out.
//!
//! It trusts its caller, reads byte by byte where that is simpler, and lets a reply be
//! sent in small pieces, cut short or with an end that nobody can know.

use std::io::{Read, Write};
use std::net::TcpStream;

/// A request as the model needs it.
#[derive(Default)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub key: String,
    pub media_type: String,
    /// Which connection it came on.
    pub connection: u64,
    pub own_ttl_s: Option<u64>,
    pub if_match: Option<u64>,
    pub peek: bool,
    pub closes: bool,
    pub body: Vec<u8>,
}

/// The next request of the connection; none at its end.
pub fn read_request(stream: &mut TcpStream, input: &mut Vec<u8>) -> Option<Asked> {
    let head_len = loop {
        if let Some(at) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, input)?;
    };
    let head = String::from_utf8(input[..head_len].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
    let mut asked =
        Asked { method: first.next().unwrap(), target: first.next().unwrap(), ..Asked::default() };
    asked.media_type = "application/octet-stream".to_owned();
    let mut body_len = 0;
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        match name {
            "X-SESSION-KEY" => asked.key = value.to_owned(),
            "Content-Type" => asked.media_type = value.to_owned(),
            "X-Session-TTL" => asked.own_ttl_s = Some(value.parse().unwrap()),
            "X-Session-Peek" => asked.peek = value == "1",
            "If-Match" => asked.if_match = Some(value.trim_matches('"').parse().unwrap()),
            "Content-Length" => body_len = value.parse().unwrap(),
            "Connection" => asked.closes = value == "close",
            _ => {}
        }
    }
    while input.len() < head_len + body_len {
        read_more(stream, input)?;
    }
    asked.body = input[head_len..head_len + body_len].to_vec();
    input.drain(..head_len + body_len);
    Some(asked)
}

fn read_more(stream: &mut TcpStream, input: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 16 * 1024];
    let count = stream.read(&mut chunk).ok().filter(|&count| count > 0)?;
    input.extend_from_slice(&chunk[..count]);
    Some(())
}

/// An answer, with what may be wrong about its framing.
pub struct Reply {
    pub status: u16,
    fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Announces that the connection is closed, and closes it.
    pub closes: bool,
    /// Sends all but the last byte and closes the connection.
    pub cut: bool,
    /// Sends a byte too many.
    pub excess: bool,
    /// Leaves Content-Length out.
    pub endless: bool,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        let fields = [("Date", "Sat, 31 Jan 2026 12:00:00 GMT"), ("Cache-Control", "no-store, no-transform")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { status, fields, body: Vec::new(), closes: false, cut: false, excess: false, endless: false }
    }

    pub fn problem(status: u16) -> Self {
        let body = format!("{{\"type\":\"about:blank\",\"status\":{status}}}");
        Self::new(status).with("Content-Type", "application/problem+json").with_body(body.into_bytes())
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, Some(value));
        self
    }

    pub fn with_body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Replaces a field, or leaves it out.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.fields.retain(|(other, _)| other != name);
        self.fields.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }

    /// Sends the reply in writes of so many bytes; false if the connection is over with it.
    pub fn send(&self, stream: &mut TcpStream, piece_len: usize) -> bool {
        let mut bytes = format!("HTTP/1.1 {} Any\r\n", self.status).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if !self.endless {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        if self.closes {
            bytes.extend_from_slice(b"Connection: close\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        if self.cut {
            bytes.pop();
        }
        if self.excess {
            bytes.push(b'!');
        }
        let sent = bytes.chunks(piece_len.min(bytes.len())).all(|piece| stream.write_all(piece).is_ok());
        sent && !self.cut
    }
}
