//! memcached's text protocol as far as sessions need it: `set`, `gat`, `delete`.
//!
//! `gat` reads and touches in one command, as a session's read does. Keys carry a prefix, as
//! apps that share a server give them. A span of 30 days is the longest that is not taken
//! for a date; one of a second may be over sooner, by the server's clock of whole seconds.
//! Pure: bytes in, bytes out.
//!
//! Source: <https://github.com/memcached/memcached/blob/master/doc/protocol.txt>

use crate::versus::dialect::{Action, Data, Dialect, Reading, TTL_S, Unexpected, line, read_data, read_line};
use crate::wire::IdText;

/// What every key begins with.
const PREFIX: &[u8] = b"session:";

/// Behind the data of a read: the end of its line, and of the answer.
const TAIL: &[u8] = b"\r\nEND\r\n";

/// Seconds from which on memcached takes a span for a date.
const DATE_FROM_S: u32 = 60 * 60 * 24 * 30 + 1;

const _: () = assert!(TTL_S < DATE_FROM_S, "a TTL is a span");

/// A client's side of the text protocol.
#[derive(Clone, Debug)]
pub struct Memcached {
    data: Data,
    /// What follows the key of a `set`: flags, TTL, length and the line's end.
    set_tail: Vec<u8>,
    /// The same for a bot's session.
    bot_tail: Vec<u8>,
    /// What precedes the key of a `gat`.
    gat_head: Vec<u8>,
}

impl Memcached {
    /// The language of sessions that hold this data; bots' live so many seconds.
    pub fn new(data: Data, bot_ttl_s: u32) -> Self {
        debug_assert!(bot_ttl_s < DATE_FROM_S, "a TTL is a span");
        let tail = |ttl_s: u32| format!(" 0 {ttl_s} {}\r\n", data.as_bytes().len()).into_bytes();
        let [set_tail, bot_tail] = [TTL_S, bot_ttl_s].map(tail);
        let gat_head = format!("gat {TTL_S} ").into_bytes();
        debug_assert!(set_tail.ends_with(b"\r\n"), "the data begins a line");
        Self { data, set_tail, bot_tail, gat_head }
    }

    fn read_value(&self, bytes: &[u8]) -> Reading {
        let Some((first, _)) = line(bytes) else { return read_line(b"", Unexpected("no VALUE"), bytes) };
        // The key that is repeated there is not compared: the data behind it is.
        let mut words = first.split(|&byte| byte == b' ');
        let (Some(b"VALUE"), Some(_), Some(b"0"), Some(length), None) =
            (words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Unexpected("no VALUE for gat"));
        };
        if str::from_utf8(length).ok().and_then(|text| text.parse().ok()) != Some(self.data.as_bytes().len())
        {
            return Err(Unexpected("another length than was stored"));
        }
        read_data(first, self.data.as_bytes(), TAIL, bytes)
    }
}

impl Dialect for Memcached {
    fn write(&self, action: Action, id: &IdText, out: &mut Vec<u8>) {
        match action {
            Action::Create | Action::Update | Action::Bot => {
                push_command(out, b"set ", id);
                let tail = if action == Action::Bot { &self.bot_tail } else { &self.set_tail };
                out.extend_from_slice(tail);
                out.extend_from_slice(self.data.as_bytes());
            }
            // One line: the end of it is that of the command.
            Action::Read => push_command(out, &self.gat_head, id),
            Action::Delete => push_command(out, b"delete ", id),
        }
        out.extend_from_slice(b"\r\n");
    }

    fn read(&self, action: Action, bytes: &[u8]) -> Reading {
        match action {
            Action::Create | Action::Update | Action::Bot => {
                read_line(b"STORED", Unexpected("no STORED for set"), bytes)
            }
            Action::Delete => read_line(b"DELETED", Unexpected("no DELETED for delete"), bytes),
            Action::Read => self.read_value(bytes),
        }
    }
}

fn push_command(out: &mut Vec<u8>, verb: &[u8], id: &IdText) {
    out.extend_from_slice(verb);
    out.extend_from_slice(PREFIX);
    out.extend_from_slice(id.as_bytes());
}

#[cfg(test)]
mod tests;
