//! HTTP/1.1 as a pure machine: bytes in, requests out; answers in, bytes out.
//!
//! A driver reads into a [`Connection`], polls it for events, judges each request at its
//! head, and writes the answer with a [`ResponseWriter`]. Framing follows the strict
//! reading of RFC 9112: what two parsers could read differently is [`Refused`].
//!
//! Nothing here knows a session, a socket or a clock, and nothing here waits.

mod body;
mod chunked;
mod connection;
mod date;
mod framing;
mod head;
mod input;
mod refusal;
mod response;
mod scan;
mod status;
mod target;

pub use body::BodyPlan;
pub use connection::{Connection, ContinueDue, Event, INTERIM_CONTINUE, Phase};
pub use date::{DateCache, write_rfc3339};
pub use framing::BodyLength;
pub use head::RequestHead;
pub use refusal::Refused;
pub use response::{Persistence, ResponseWriter};
pub use status::Status;
pub use target::TargetForm;

/// The most header fields that [`Limits::fields_max`] may allow: what the parser has room for.
pub const FIELDS_CEILING: usize = 256;

/// How much a client may send before it is refused, beside the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a request's head, from its method to its blank line.
    pub head_bytes_max: usize,
    /// Bytes of a request's target.
    pub target_bytes_max: usize,
    /// Header fields of a request, at most [`FIELDS_CEILING`].
    pub fields_max: usize,
    /// Bytes of the trailers behind a chunked body.
    pub trailer_bytes_max: usize,
    /// Bytes of a body's chunk-size lines that tell no size: extensions, blanks, leading zeros.
    pub chunk_overhead_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 * 1024,
            target_bytes_max: 8 * 1024,
            fields_max: 100,
            trailer_bytes_max: 8 * 1024,
            chunk_overhead_bytes_max: 16 * 1024,
        }
    }
}

/// A request's method, as far as Seshun tells methods apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `PUT`
    Put,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
    /// Any other token. Methods are case-sensitive (RFC 9110, section 9.1), so `get` is one.
    Other,
}

impl Method {
    /// The method that this token names.
    fn from_token(token: &[u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"PUT" => Self::Put,
            b"POST" => Self::Post,
            b"DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// A request's protocol version. A higher minor version counts as 1.1 (RFC 9110, section 2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HttpVersion {
    /// HTTP/1.0: no chunked bodies, closes unless asked to stay.
    Http10,
    /// HTTP/1.1: needs a Host, stays unless asked to close.
    Http11,
}

/// Whether this byte may stand in a token: a method or a field's name (RFC 9110, section 5.6.2).
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether this byte may stand in a field's value (RFC 9110, section 5.5).
const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
