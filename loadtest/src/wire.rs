//! HTTP/1.1 as a client speaks it: requests into a reused buffer, answers out of one.
//!
//! A driver writes a request, appends what it reads to one buffer and asks
//! [`Head::parse`] until there is a head; the answer is whole when the buffer holds
//! [`Head::answer_len`] bytes. Nothing is kept between calls, nothing is allocated, and
//! nothing is forgiven: an answer whose end is not certain is [`Malformed`].

use std::ops::Range;

use crate::blob::Blob;

/// Bytes of a session id in its canonical form.
pub const ID_LEN: usize = 36;

/// A head longer than this is refused instead of being read on and on.
const HEAD_LEN_MAX: usize = 16 * 1024;

/// A body longer than this is refused: no request of ours can have caused it.
const BODY_LEN_MAX: u64 = 128 * 1024 * 1024;

/// More header fields than this are refused.
const FIELDS_MAX: usize = 48;

/// A session id as the server printed it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdText([u8; ID_LEN]);

impl IdText {
    /// The place of an id that is not known yet.
    pub const UNKNOWN: Self = Self([b'-'; ID_LEN]);

    /// The id, if this is a UUID of version 4 in its canonical form: hyphenated and lower-case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let id: [u8; ID_LEN] = text.try_into().ok()?;
        let canonical = id.iter().enumerate().all(|(at, &byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'4',
            19 => matches!(byte, b'8' | b'9' | b'a' | b'b'),
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
        canonical.then_some(Self(id))
    }

    /// Its text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for IdText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// The methods that sessions take.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Method {
    /// Make a session.
    Put,
    /// Read one.
    #[default]
    Get,
    /// Read one without extending its life.
    Peek,
    /// Replace one's data.
    Post,
    /// Remove one.
    Delete,
}

impl Method {
    /// The method's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Get | Self::Peek => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// A request's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// What is sent as Content-Type; nothing is sent for none.
    pub media_type: Option<&'static str>,
    /// The bytes.
    pub blob: Blob,
}

/// A request about a session.
#[derive(Clone, Copy, Default, Debug)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// The session; none for PUT alone.
    pub id: Option<IdText>,
    /// The session's own TTL in seconds, if it is to have one.
    pub own_ttl_s: Option<u32>,
    /// The number in the ETag that the session must have, if it matters.
    pub if_match: Option<u64>,
    /// The body; PUT and POST without one send an empty one.
    pub content: Option<Content>,
}

/// Writes requests of one bucket: everything that they share is made up once.
#[derive(Clone, Debug)]
pub struct RequestWriter {
    /// `/session/{bucket}`
    path: Vec<u8>,
    /// From the space after the target to the end of the fields that every request carries.
    fields: Vec<u8>,
}

impl RequestWriter {
    /// A writer for `bucket`, which `key` opens, on the server that calls itself `host`.
    pub fn new(host: &str, bucket: &str, key: &str) -> Self {
        let path = format!("/session/{bucket}").into_bytes();
        let fields = format!(" HTTP/1.1\r\nHost: {host}\r\nX-SESSION-KEY: {key}\r\n").into_bytes();
        Self { path, fields }
    }

    /// The path that all ids of the bucket follow, without the slash between.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Appends the whole request, body included, to `out`.
    pub fn write(&self, request: &Request, out: &mut Vec<u8>) {
        debug_assert_eq!(request.id.is_none(), request.method == Method::Put, "PUT alone has no id");
        out.extend_from_slice(request.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(&self.path);
        if let Some(id) = &request.id {
            out.push(b'/');
            out.extend_from_slice(id.as_bytes());
        }
        out.extend_from_slice(&self.fields);
        if let Some(seconds) = request.own_ttl_s {
            push_number(out, b"X-Session-TTL: ", u64::from(seconds), b"\r\n");
        }
        if request.method == Method::Peek {
            out.extend_from_slice(b"X-Session-Peek: 1\r\n");
        }
        if let Some(etag) = request.if_match {
            push_number(out, b"If-Match: \"", etag, b"\"\r\n");
        }
        if let Some(media_type) = request.content.and_then(|content| content.media_type) {
            out.extend_from_slice(b"Content-Type: ");
            out.extend_from_slice(media_type.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if matches!(request.method, Method::Put | Method::Post) {
            let len = request.content.map_or(0, |content| content.blob.len);
            push_number(out, b"Content-Length: ", len as u64, b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if let Some(content) = &request.content {
            content.blob.write(out);
        }
    }
}

fn push_number(out: &mut Vec<u8>, before: &[u8], number: u64, after: &[u8]) {
    out.extend_from_slice(before);
    let mut digits = [0; 20];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(after);
}

/// An answer that cannot be read, with the reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed(pub &'static str);

/// A header field that should hold a number.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Number {
    /// The answer has no such field.
    #[default]
    Absent,
    /// It has one that is not of the promised form.
    Garbled,
    /// The number.
    Is(u64),
}

/// What is kept of an answer's head. Ranges lie within the head.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Bytes of the head, with the empty line. `head_len + body_len` is the answer.
    pub head_len: usize,
    /// Bytes of the body.
    pub body_len: usize,
    /// Whether the server closes the connection after this answer.
    pub closes: bool,
    /// The version in the ETag's quotes.
    pub etag: Number,
    /// X-Session-TTL: seconds left.
    pub ttl_s: Number,
    /// Which of the fields without a number of interest came with the promised value.
    pub promised: Promised,
    content_type: Option<Range<usize>>,
    location: Option<Range<usize>>,
}

/// Fields that the contract promises, and of which only their presence and form count here.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Promised {
    /// X-Session-Expires, in the form of RFC 3339.
    pub expires: bool,
    /// Date.
    pub date: bool,
    /// X-Content-Type-Options: nosniff.
    pub nosniff: bool,
    /// Cache-Control with no-store.
    pub no_store: bool,
}

impl Head {
    /// The head at the start of `bytes`; none as long as it is not complete.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Response::new(&mut fields);
        let head_len = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if bytes.len() > HEAD_LEN_MAX => {
                return Err(Malformed("a head of more than 16 KiB"));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed("not the head of an HTTP response")),
        };
        if parsed.version != Some(1) {
            return Err(Malformed("not HTTP/1.1"));
        }
        let mut head = Self { status: parsed.code.unwrap_or_default(), head_len, ..Self::default() };
        let mut body_len = None;
        for field in parsed.headers.iter() {
            head.take_field(bytes, field, &mut body_len)?;
        }
        head.body_len = body_len.ok_or(Malformed("no Content-Length"))?;
        Ok(Some(head))
    }

    /// Bytes of the whole answer.
    pub const fn answer_len(&self) -> usize {
        self.head_len + self.body_len
    }

    fn take_field(
        &mut self,
        bytes: &[u8],
        field: &httparse::Header<'_>,
        body_len: &mut Option<usize>,
    ) -> Result<(), Malformed> {
        let (name, value) = (field.name, field.value);
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        // The length goes first: almost every field is then told from almost every other at once.
        match name.len() {
            4 if is("etag") => self.etag = quoted_number(value),
            4 if is("date") => self.promised.date = !value.is_empty(),
            8 if is("location") => self.location = Some(range_in(bytes, value)),
            10 if is("connection") => self.closes |= value.eq_ignore_ascii_case(b"close"),
            12 if is("content-type") => self.content_type = Some(range_in(bytes, value)),
            13 if is("x-session-ttl") => self.ttl_s = number(value).map_or(Number::Garbled, Number::Is),
            13 if is("cache-control") => self.promised.no_store = has_no_store(value),
            14 if is("content-length") => take_length(body_len, value)?,
            17 if is("x-session-expires") => self.promised.expires = is_utc_time(value),
            17 if is("transfer-encoding") => return Err(Malformed("a transfer coding")),
            22 if is("x-content-type-options") => self.promised.nosniff = value == b"nosniff",
            _ => {}
        }
        Ok(())
    }
}

/// A whole answer: its head, and the bytes that it was read from.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The head at the start of the bytes.
    pub head: &'a Head,
    bytes: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The answer whose head was parsed from the start of `bytes`; `bytes` hold exactly this answer.
    pub fn new(head: &'a Head, bytes: &'a [u8]) -> Self {
        debug_assert_eq!(bytes.len(), head.answer_len(), "the answer is whole and alone");
        Self { head, bytes }
    }

    /// The body.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.head.head_len..]
    }

    /// The Content-Type, if there is one.
    pub fn content_type(&self) -> Option<&'a [u8]> {
        self.slice(self.head.content_type.as_ref())
    }

    /// The Location, if there is one.
    pub fn location(&self) -> Option<&'a [u8]> {
        self.slice(self.head.location.as_ref())
    }

    fn slice(&self, range: Option<&Range<usize>>) -> Option<&'a [u8]> {
        range.map(|range| &self.bytes[range.start..range.end])
    }
}

/// Where `part` lies in `whole`, which it was cut from. An empty part may be of static memory.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    if part.is_empty() {
        return 0..0;
    }
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    debug_assert!(start + part.len() <= whole.len(), "a field lies within the head");
    start..start + part.len()
}

fn take_length(body_len: &mut Option<usize>, value: &[u8]) -> Result<(), Malformed> {
    if body_len.is_some() {
        return Err(Malformed("Content-Length twice"));
    }
    match number(value) {
        None => Err(Malformed("a Content-Length that is no number")),
        Some(len) if len > BODY_LEN_MAX => Err(Malformed("a body of more than 128 MiB")),
        Some(len) => {
            *body_len = Some(len as usize);
            Ok(())
        }
    }
}

/// Decimal digits and nothing else.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

fn quoted_number(text: &[u8]) -> Number {
    let inner = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.and_then(number).map_or(Number::Garbled, Number::Is)
}

fn has_no_store(value: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(b"no-store"))
}

/// Whether this looks like `2026-01-31T12:00:00Z`, with or without a fraction of a second;
/// RFC 3339, section 4.3, lets `+00:00` stand for Z.
fn is_utc_time(value: &[u8]) -> bool {
    let zoned = value.strip_suffix(b"Z").or_else(|| value.strip_suffix(b"+00:00"));
    let Some(seconds) = zoned else { return false };
    let fits = |(at, byte): (usize, &u8)| match at {
        4 | 7 => *byte == b'-',
        10 => *byte == b'T',
        13 | 16 => *byte == b':',
        19 => *byte == b'.',
        _ => byte.is_ascii_digit(),
    };
    seconds.len() >= 19 && seconds.len() != 20 && seconds.iter().enumerate().all(fits)
}

#[cfg(test)]
mod tests;
