//! Redis' language, RESP 2, as far as sessions need it: `SET … EX`, `GETEX … EX`, `DEL`.
//!
//! A read extends the TTL as a session's does, and writing sets it anew; a bot's is short.
//! Requests are arrays
//! of bulk strings; answers are one simple string, one integer, or one bulk string. Keys
//! carry a prefix, as apps that share a server give them. Pure: bytes in, bytes out.
//!
//! Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/>

use std::io::Write;

use crate::versus::dialect::{
    Action, Data, Dialect, LINE_LEN_MAX, Reading, TTL_S, Unexpected, read_data, read_line,
};
use crate::wire::IdText;

/// What every key begins with.
const PREFIX: &[u8] = b"session:";

/// A client's side of RESP.
#[derive(Clone, Debug)]
pub struct Resp {
    data: Data,
    /// The line before a bulk string of the data's length.
    data_line: Vec<u8>,
    ttl: Vec<u8>,
    bot_ttl: Vec<u8>,
}

impl Resp {
    /// The language of sessions that hold this data; bots' live so many seconds.
    pub fn new(data: Data, bot_ttl_s: u32) -> Self {
        let data_line = format!("${}", data.as_bytes().len()).into_bytes();
        debug_assert!(data_line.len() < LINE_LEN_MAX, "a number is short");
        let [ttl, bot_ttl] = [TTL_S, bot_ttl_s].map(|seconds| seconds.to_string().into_bytes());
        Self { data, data_line, ttl, bot_ttl }
    }
}

impl Dialect for Resp {
    fn write(&self, action: Action, id: &IdText, out: &mut Vec<u8>) {
        let mut key = [0; PREFIX.len() + crate::wire::ID_LEN];
        key[..PREFIX.len()].copy_from_slice(PREFIX);
        key[PREFIX.len()..].copy_from_slice(id.as_bytes());
        match action {
            Action::Create | Action::Update => {
                push_array(out, &[b"SET", &key, self.data.as_bytes(), b"EX", &self.ttl]);
            }
            Action::Bot => push_array(out, &[b"SET", &key, self.data.as_bytes(), b"EX", &self.bot_ttl]),
            Action::Read => push_array(out, &[b"GETEX", &key, b"EX", &self.ttl]),
            Action::Delete => push_array(out, &[b"DEL", &key]),
        }
    }

    fn read(&self, action: Action, bytes: &[u8]) -> Reading {
        match action {
            Action::Create | Action::Update | Action::Bot => {
                read_line(b"+OK", Unexpected("no +OK for SET"), bytes)
            }
            Action::Delete => read_line(b":1", Unexpected("no :1 for DEL"), bytes),
            Action::Read => read_data(&self.data_line, self.data.as_bytes(), b"\r\n", bytes),
        }
    }
}

/// Appends a command and its arguments.
fn push_array(out: &mut Vec<u8>, parts: &[&[u8]]) {
    push_length(out, b'*', parts.len());
    for part in parts {
        push_length(out, b'$', part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

fn push_length(out: &mut Vec<u8>, mark: u8, length: usize) {
    out.push(mark);
    write!(out, "{length}\r\n").expect("writing to a Vec cannot fail");
}

#[cfg(test)]
mod tests;
