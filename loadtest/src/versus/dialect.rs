//! What the contenders have in common on the wire: five actions on sessions, and HTTP's way
//! to say them.
//!
//! A [`Dialect`] writes one request and reads one answer; it keeps nothing between them. All
//! sessions of a comparison hold the same data, so that a loop which repeats one answer can
//! take part; an answer passes only if it has the right status and that data to the byte.
//! Nothing here does I/O.

use crate::blob::Blob;
use crate::wire::{Answer, Content, Head, IdText, Method, Request, RequestWriter};

/// How long a session lives after a touch, in seconds: Seshun's default of 30 days. It is
/// also the longest span that memcached does not take for a date.
pub const TTL_S: u32 = 30 * 24 * 60 * 60;

/// The Content-Type that data comes with where the wire has a place for it.
const MEDIA_TYPE: &str = "application/json";

/// What is done to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Make it, with its data.
    Create,
    /// Read its data and extend its TTL.
    Read,
    /// Replace its data and extend its TTL.
    Update,
    /// Remove it.
    Delete,
    /// Make one for a bot, with its data and a short TTL: nobody asks for it again, so it expires.
    Bot,
}

impl Action {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Bot];

    const fn method(self) -> Method {
        match self {
            Self::Create | Self::Bot => Method::Put,
            Self::Read => Method::Get,
            Self::Update => Method::Post,
            Self::Delete => Method::Delete,
        }
    }
}

/// A whole answer that says what it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Its bytes, from the start of what was read.
    pub len: usize,
    /// The id of the session that was made, a bot's too, where the server is the one to choose it.
    pub id: Option<IdText>,
}

/// An answer that is not the one to be had, in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unexpected(pub &'static str);

/// What a read attempt at an answer gives: nothing as long as bytes are missing.
pub type Reading = Result<Option<Reply>, Unexpected>;

/// One contender's language.
pub trait Dialect {
    /// Appends the request; `id` names the session, or the one to make where the client chooses.
    fn write(&self, action: Action, id: &IdText, out: &mut Vec<u8>);

    /// Reads the answer at the start of `bytes`, which is all that has come of it.
    fn read(&self, action: Action, bytes: &[u8]) -> Reading;
}

/// The data that all sessions of a comparison hold.
#[derive(Clone, Debug)]
pub struct Data {
    blob: Blob,
    bytes: Vec<u8>,
}

impl Data {
    /// So many bytes, which follow from the seed.
    pub fn new(seed: u64, len: usize) -> Self {
        let blob = Blob { run: seed, session: 0, version: 1, len };
        let mut bytes = Vec::new();
        blob.write(&mut bytes);
        Self { blob, bytes }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Seshun's requests and answers, which the raw loop and nginx get as well.
#[derive(Clone, Debug)]
pub struct Http {
    writer: RequestWriter,
    data: Data,
    /// The own TTL of bots' sessions, in seconds; without it they are made like all others.
    bot_ttl_s: Option<u32>,
}

impl Http {
    /// The language of a bucket on the server that calls itself `host`.
    pub fn new(host: &str, (bucket, key): (&str, &str), data: Data) -> Self {
        Self { writer: RequestWriter::new(host, bucket, key), data, bot_ttl_s: None }
    }

    /// The same, for a server that lets bots' sessions expire after so many seconds.
    pub fn with_bots(self, ttl_s: u32) -> Self {
        Self { bot_ttl_s: Some(ttl_s), ..self }
    }

    /// The data that it sends and expects.
    pub fn data(&self) -> &Data {
        &self.data
    }
}

impl Dialect for Http {
    fn write(&self, action: Action, id: &IdText, out: &mut Vec<u8>) {
        let has_body = matches!(action, Action::Create | Action::Update | Action::Bot);
        let makes = matches!(action, Action::Create | Action::Bot);
        let content = Content { media_type: Some(MEDIA_TYPE), blob: self.data.blob };
        let request = Request {
            method: action.method(),
            id: (!makes).then_some(*id),
            own_ttl_s: self.bot_ttl_s.filter(|_| action == Action::Bot),
            if_match: None,
            content: has_body.then_some(content),
        };
        self.writer.write(&request, out);
    }

    fn read(&self, action: Action, bytes: &[u8]) -> Reading {
        let head = Head::parse(bytes).map_err(|malformed| Unexpected(malformed.0))?;
        let Some(head) = head.filter(|head| bytes.len() >= head.answer_len()) else { return Ok(None) };
        let answer = Answer::new(&head, &bytes[..head.answer_len()]);
        let expected = if matches!(action, Action::Create | Action::Bot) { 201 } else { 200 };
        match action {
            _ if head.status != expected => Err(Unexpected("another status than the action's")),
            _ if head.closes => Err(Unexpected("the connection is to be closed")),
            Action::Read if answer.body() != self.data.bytes => Err(OTHER_DATA),
            Action::Create | Action::Bot => {
                let id = IdText::parse(answer.body()).ok_or(Unexpected("no id of a made session"))?;
                Ok(Some(Reply { len: head.answer_len(), id: Some(id) }))
            }
            _ => Ok(Some(Reply { len: head.answer_len(), id: None })),
        }
    }
}

/// A read gave something else than the sessions' data.
pub const OTHER_DATA: Unexpected = Unexpected("other data than was stored");

/// The line at the start of `bytes` without its CRLF, and the bytes that it takes with it;
/// nothing as long as its end has not come.
pub fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], end + 2))
}

/// The answer that is one line and must be this one.
pub fn read_line(expected: &[u8], wrong: Unexpected, bytes: &[u8]) -> Reading {
    match line(bytes) {
        None if bytes.len() > LINE_LEN_MAX => Err(Unexpected("a line without an end")),
        None => Ok(None),
        Some((text, len)) if text == expected => Ok(Some(Reply { len, id: None })),
        Some(_) => Err(wrong),
    }
}

/// A line longer than this is none of ours.
pub const LINE_LEN_MAX: usize = 512;

/// The answer that is a line, the data, and a line's end with `tail` behind it.
pub fn read_data(expected: &[u8], data: &[u8], tail: &[u8], bytes: &[u8]) -> Reading {
    let Some((text, start)) = line(&bytes[..bytes.len().min(LINE_LEN_MAX)]) else {
        return if bytes.len() < LINE_LEN_MAX { Ok(None) } else { Err(Unexpected("a line without an end")) };
    };
    if text != expected {
        return Err(Unexpected("no session, or another length"));
    }
    let end = start + data.len();
    let len = end + tail.len();
    debug_assert!(start <= end && end <= len, "the parts follow each other");
    match bytes.get(..len) {
        None => Ok(None),
        Some(whole) if &whole[start..end] != data => Err(OTHER_DATA),
        Some(whole) if &whole[end..] != tail => Err(Unexpected("no end behind the data")),
        Some(_) => Ok(Some(Reply { len, id: None })),
    }
}

#[cfg(test)]
pub mod tests;
