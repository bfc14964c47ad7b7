//! A request's head, parsed: where its target and its fields lie in the input.
//!
//! The parser behind is httparse; line ends, folding, host and framing, of which it knows
//! nothing or too little, are judged beside it. Positions are kept instead of references,
//! in a list that is used again for the next head, so that a head allocates nothing.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::framing::{BodyLength, Framing, FramingFields};
use super::target::{Target, TargetForm};
use super::{FIELDS_CEILING, HttpVersion, Limits, Method, Refused, is_token_byte};

/// A request's head, borrowed from the connection's input.
#[derive(Clone, Copy)]
pub struct RequestHead<'b> {
    /// The head's own bytes, from the method to the blank line.
    bytes: &'b [u8],
    parsed: &'b ParsedHead,
}

impl<'b> RequestHead<'b> {
    pub(super) fn new(bytes: &'b [u8], parsed: &'b ParsedHead) -> Self {
        Self { bytes, parsed }
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.parsed.method
    }

    /// The version that the client speaks.
    pub fn version(&self) -> HttpVersion {
        self.parsed.version
    }

    /// The form of the target. Asterisk and authority forms have an empty path.
    pub fn form(&self) -> TargetForm {
        self.parsed.target.form
    }

    /// The raw path: behind the authority in an absolute form, before the query; `/` where an
    /// absolute form has none.
    pub fn path(&self) -> &'b [u8] {
        let path = &self.bytes[self.parsed.target.path.clone()];
        if path.is_empty() && self.parsed.target.form == TargetForm::Absolute { b"/" } else { path }
    }

    /// Whether the path may have percent escapes; it has none otherwise.
    pub fn may_have_escapes(&self) -> bool {
        self.parsed.target.may_have_escapes
    }

    /// The raw query without its question mark; `None` without one.
    pub fn query(&self) -> Option<&'b [u8]> {
        self.parsed.target.query.clone().map(|query| &self.bytes[query])
    }

    /// The header fields in the order of the wire: name as sent, value without white space
    /// around it.
    pub fn fields(&self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'b> {
        let bytes = self.bytes;
        self.parsed.fields.iter().map(move |field| (&bytes[field.name.range()], &bytes[field.value.range()]))
    }

    /// How the body is framed.
    pub fn body_length(&self) -> BodyLength {
        self.parsed.framing.body_length
    }

    /// Whether the client wants the connection to stay.
    pub fn keep_alive(&self) -> bool {
        self.parsed.framing.keep_alive
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.parsed.framing.expects_continue
    }
}

/// A stretch of the head: `start <= end <= head length`.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Where `part` lies in `whole`, of which it is a piece.
    fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        debug_assert!(start + part.len() <= whole.len(), "a part lies in its whole");
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where a field lies.
#[derive(Clone, Copy, Debug)]
struct FieldSpans {
    name: Span,
    value: Span,
}

/// What is kept of a head beside its bytes.
#[derive(Debug)]
pub(super) struct ParsedHead {
    method: Method,
    version: HttpVersion,
    /// Positions count from the head's first byte.
    target: Target,
    fields: Vec<FieldSpans>,
    framing: Framing,
}

impl ParsedHead {
    /// No head yet.
    pub(super) fn new() -> Self {
        Self {
            method: Method::Other,
            version: HttpVersion::Http11,
            target: Target { form: TargetForm::Origin, path: 0..0, query: None, may_have_escapes: false },
            fields: Vec::new(),
            framing: Framing { body_length: BodyLength::None, keep_alive: true, expects_continue: false },
        }
    }

    /// How the body is framed, and what becomes of the connection.
    pub(super) fn framing(&self) -> Framing {
        self.framing
    }

    /// Where the raw path lies.
    pub(super) fn path(&self) -> Range<usize> {
        self.target.path.clone()
    }

    /// Forgets every position, because the bytes are going; what was settled stays.
    pub(super) fn forget_positions(&mut self) {
        self.fields.clear();
        self.target.path = 0..0;
        self.target.query = None;
    }

    /// Parses the head at the front of `bytes` if it is there whole and its lines are sound, and
    /// returns its length: the usual case, in which a scanner would only cost a second look.
    /// `None` says nothing of the reason: the scanner will.
    pub(super) fn parse_at_once(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refused> {
        let window = &bytes[..bytes.len().min(limits.head_bytes_max)];
        if matches!(window, [] | [b'\r' | b'\n', ..]) {
            return Ok(None); // the parser would skip any number of empty lines
        }
        let mut room = [const { MaybeUninit::uninit() }; FIELDS_CEILING];
        let mut request = httparse::Request::new(&mut []);
        let Ok(httparse::Status::Complete(head_len)) = request.parse_with_uninit_headers(window, &mut room)
        else {
            return Ok(None);
        };
        let head = &window[..head_len];
        let is_within_limits = request.headers.len() <= limits.fields_max
            && request.path.unwrap_or_default().len() <= limits.target_bytes_max;
        if !has_sound_line_ends(head, request.headers) || !is_within_limits {
            return Ok(None);
        }
        self.adopt(head, &request)?;
        Ok(Some(head_len))
    }

    /// Parses the head that fills `bytes`, which a scanner has found to be whole, with sound line
    /// ends and within the limits.
    pub(super) fn parse(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        debug_assert!(bytes.ends_with(b"\r\n\r\n"));
        let mut room = [const { MaybeUninit::uninit() }; FIELDS_CEILING];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut room) {
            Ok(httparse::Status::Complete(parsed_len)) if parsed_len == bytes.len() => {
                self.adopt(bytes, &request)
            }
            // Scanner and parser disagree on where the head ends: nothing could be more ambiguous.
            Ok(_) => Err(Refused::InvalidFieldName),
            Err(error) => Err(explain(error, bytes)),
        }
    }

    /// Judges what was parsed from `bytes` and keeps where it lies.
    fn adopt(&mut self, bytes: &[u8], request: &httparse::Request<'_, '_>) -> Result<(), Refused> {
        debug_assert!(u32::try_from(bytes.len()).is_ok(), "positions have 32 bits");
        let method = request.method.unwrap_or_default().as_bytes();
        self.method = Method::from_token(method);
        self.version = if request.version == Some(0) { HttpVersion::Http10 } else { HttpVersion::Http11 };
        self.set_target(bytes, request.path.unwrap_or_default().as_bytes(), method == b"CONNECT")?;
        self.set_fields(bytes, request.headers)
    }

    fn set_target(&mut self, bytes: &[u8], text: &[u8], is_connect: bool) -> Result<(), Refused> {
        let start = Span::of(text, bytes).range().start;
        let target = Target::parse(text, is_connect)?;
        self.target.form = target.form;
        self.target.path = target.path.start + start..target.path.end + start;
        self.target.query = target.query.map(|query| query.start + start..query.end + start);
        self.target.may_have_escapes = target.may_have_escapes;
        Ok(())
    }

    fn set_fields(&mut self, bytes: &[u8], fields: &[httparse::Header<'_>]) -> Result<(), Refused> {
        let mut framing = FramingFields::default();
        // One pass: a field's name is compared while its bytes are still in the cache.
        self.fields.clear();
        for field in fields {
            let name = field.name.as_bytes();
            framing.observe(name, field.value)?;
            self.fields.push(FieldSpans { name: Span::of(name, bytes), value: Span::of(field.value, bytes) });
        }
        self.framing = framing.settle(self.version)?;
        Ok(())
    }
}

/// Whether each line of `head`, which has these fields, ends with CR LF: the parser lets one end
/// with a bare LF. A line ends where the next one starts.
fn has_sound_line_ends(head: &[u8], fields: &[httparse::Header<'_>]) -> bool {
    let ends_at = |start: usize| start >= 2 && head[start - 2..start] == *b"\r\n";
    let mut starts = fields.iter().map(|field| Span::of(field.name.as_bytes(), head).range().start);
    starts.all(ends_at) && head.ends_with(b"\r\n\r\n")
}

/// The refusal behind the parser's complaint. Off the hot path, so the head is read again.
fn explain(error: httparse::Error, bytes: &[u8]) -> Refused {
    // First, because a bare CR makes the parser stumble over whatever it stands in.
    let has_bare_return = memchr::memchr_iter(b'\r', bytes)
        .any(|carriage_return| bytes.get(carriage_return + 1) != Some(&b'\n'));
    if has_bare_return {
        return Refused::BareCarriageReturn;
    }
    match error {
        httparse::Error::HeaderName => explain_name(bytes),
        httparse::Error::HeaderValue | httparse::Error::NewLine => Refused::InvalidFieldValue,
        httparse::Error::TooManyHeaders => Refused::TooManyFields,
        httparse::Error::Version => Refused::VersionNotSupported,
        httparse::Error::Token | httparse::Error::Status => Refused::InvalidTarget,
    }
}

/// Which fault the first unsound field name has.
fn explain_name(bytes: &[u8]) -> Refused {
    for line in bytes.split(|byte| *byte == b'\n').skip(1) {
        let name = &line[..memchr::memchr(b':', line).unwrap_or(line.len())];
        if name.iter().copied().all(is_token_byte) && name.len() < line.len() && !name.is_empty() {
            continue;
        }
        let trimmed = name.trim_ascii_end();
        let is_spaced = trimmed.len() < name.len()
            && name.len() < line.len()
            && !trimmed.is_empty()
            && trimmed.iter().copied().all(is_token_byte);
        return if is_spaced { Refused::SpaceBeforeColon } else { Refused::InvalidFieldName };
    }
    Refused::InvalidFieldName
}
