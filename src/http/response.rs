//! Writes an answer straight into the connection's output.
//!
//! A [`ResponseWriter`] can only be used in the order of the wire: status and the fields
//! of every answer, more fields, whether the connection stays, and one of the endings.
//! Values come from us, never from a client, unless they were parsed first: a line break
//! in one is a broken invariant and is asserted.

use super::{DateCache, HttpVersion, Status};

/// Room for the head of a usual answer, so that it is written without growing twice.
const HEAD_BYTES_USUAL: usize = 384;

/// What the answer says about the connection's future.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persistence {
    /// It stays, as HTTP/1.1 does without a word.
    KeepAlive,
    /// It stays, and an HTTP/1.0 client has to be told.
    KeepAliveHttp10,
    /// This answer is the last.
    Close,
}

impl Persistence {
    /// What to tell a client that speaks `version`.
    pub const fn of(version: HttpVersion, keeps_alive: bool) -> Self {
        match (keeps_alive, version) {
            (false, _) => Self::Close,
            (true, HttpVersion::Http10) => Self::KeepAliveHttp10,
            (true, HttpVersion::Http11) => Self::KeepAlive,
        }
    }
}

/// An answer whose head is being written; dropped before its ending, it leaves half a head.
#[must_use = "an answer ends with `body` or `no_content_length`"]
pub struct ResponseWriter<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> ResponseWriter<'o> {
    /// Begins an answer behind what `out` holds: the status line and the fields of every answer.
    #[inline]
    pub fn begin(out: &'o mut Vec<u8>, status: Status, date: &DateCache) -> Self {
        out.reserve(HEAD_BYTES_USUAL);
        out.extend_from_slice(status.line_to_date());
        out.extend_from_slice(date.http_date());
        out.extend_from_slice(b"\r\nCache-Control: no-store, no-transform\r\n");
        Self { out }
    }

    /// A field. `name` is a token and `value` has no line break.
    #[inline]
    pub fn field(self, name: &str, value: &[u8]) -> Self {
        debug_assert!(!name.is_empty() && name.bytes().all(super::is_token_byte), "{name:?} is no token");
        debug_assert!(value.iter().copied().all(super::is_value_byte), "{name} would break its line");
        self.raw_field(name, value)
    }

    /// A field whose value is a decimal number.
    #[inline]
    pub fn field_number(self, name: &str, value: u64) -> Self {
        self.raw_field(name, itoa::Buffer::new().format(value).as_bytes())
    }

    /// A field whose value `write` appends. It writes no line break.
    pub fn field_with(self, name: &str, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        let start = self.out.len();
        write(self.out);
        debug_assert!(
            self.out[start..].iter().copied().all(super::is_value_byte),
            "{name} would break its line"
        );
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// What becomes of the connection. Left out, it stays as HTTP/1.1 does.
    pub fn connection(self, persistence: Persistence) -> Self {
        match persistence {
            Persistence::KeepAlive => {}
            Persistence::KeepAliveHttp10 => self.out.extend_from_slice(b"Connection: keep-alive\r\n"),
            Persistence::Close => self.out.extend_from_slice(b"Connection: close\r\n"),
        }
        self
    }

    /// Ends the answer with its body. `omit`: an answer to HEAD tells the length alone.
    #[inline]
    pub fn body(self, body: &[u8], omit: bool) {
        self.out.extend_from_slice(b"Content-Length: ");
        self.out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
        self.out.extend_from_slice(b"\r\n\r\n");
        if !omit {
            self.out.extend_from_slice(body);
        }
    }

    /// Ends an answer that has no body by its status: a 304 (RFC 9110, section 8.6).
    pub fn no_content_length(self) {
        self.out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn raw_field(self, name: &str, value: &[u8]) -> Self {
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(value);
        self.out.extend_from_slice(b"\r\n");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nCache-Control: no-store, no-transform\r\n";

    fn written(write: impl FnOnce(&mut Vec<u8>, &DateCache)) -> String {
        let mut out = b"before".to_vec();
        write(&mut out, &DateCache::new());
        let out = String::from_utf8(out).unwrap();
        out.strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn an_answer_is_appended_whole() {
        let answer = written(|out, date| {
            ResponseWriter::begin(out, Status::Created, date)
                .field("ETag", b"\"1\"")
                .field_number("X-Session-TTL", u64::MAX)
                .connection(Persistence::KeepAlive)
                .body(b"abc", false);
        });
        let rest = "ETag: \"1\"\r\nX-Session-TTL: 18446744073709551615\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(answer, format!("HTTP/1.1 201 Created\r\n{EVERY}{rest}"));
    }

    #[test]
    fn an_answer_to_head_tells_the_length_without_the_bytes() {
        let answer = written(|out, date| ResponseWriter::begin(out, Status::Ok, date).body(b"abc", true));
        assert_eq!(answer, format!("HTTP/1.1 200 OK\r\n{EVERY}Content-Length: 3\r\n\r\n"));
    }

    #[test]
    fn a_304_has_neither_body_nor_length() {
        let answer =
            written(|out, date| ResponseWriter::begin(out, Status::NotModified, date).no_content_length());
        assert_eq!(answer, format!("HTTP/1.1 304 Not Modified\r\n{EVERY}\r\n"));
    }

    #[test]
    fn only_what_a_client_would_not_assume_is_said_of_the_connection() {
        let rows = [
            (Persistence::KeepAlive, ""),
            (Persistence::KeepAliveHttp10, "Connection: keep-alive\r\n"),
            (Persistence::Close, "Connection: close\r\n"),
        ];
        for (persistence, said) in rows {
            let answer = written(|out, date| {
                ResponseWriter::begin(out, Status::Ok, date).connection(persistence).body(b"", false);
            });
            assert_eq!(answer, format!("HTTP/1.1 200 OK\r\n{EVERY}{said}Content-Length: 0\r\n\r\n"));
        }
    }

    #[test]
    fn a_connection_is_announced_as_its_version_understands() {
        let rows = [
            (HttpVersion::Http11, true, Persistence::KeepAlive),
            (HttpVersion::Http10, true, Persistence::KeepAliveHttp10),
            (HttpVersion::Http11, false, Persistence::Close),
            (HttpVersion::Http10, false, Persistence::Close),
        ];
        for (version, keeps_alive, persistence) in rows {
            assert_eq!(Persistence::of(version, keeps_alive), persistence);
        }
    }

    #[test]
    #[should_panic(expected = "would break its line")]
    #[cfg(debug_assertions)]
    fn a_line_break_in_a_value_is_caught() {
        let _ =
            ResponseWriter::begin(&mut Vec::new(), Status::Ok, &DateCache::new()).field("A", b"b\r\nC: d");
    }
}
