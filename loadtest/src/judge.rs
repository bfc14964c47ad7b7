//! Judges answers about live sessions against the contract, field by field.
//!
//! Pure functions of an answer and of what is expected; the ledger decides which of them
//! an answer has to pass. Each reports the first thing that is wrong, data before fields:
//! another session's bytes say more than the ETag that came with them.

use std::ops::RangeInclusive;

use crate::clock::Span;
use crate::session::Session;
use crate::verdict::Wrong;
use crate::wire::{Answer, Content, IdText, Number, Promised};

/// What data without a Content-Type comes back with.
const OCTETS: &str = "application/octet-stream";

/// What X-Session-TTL may lie below the TTL straight after a touch, in seconds.
const TTL_SLACK_S: u32 = 1;

/// Judges the answer to PUT; gives the id and the number of its ETag. `path` is what precedes
/// the slash and the id in a Location.
pub fn created(session: &Session, answer: &Answer<'_>, path: &[u8]) -> Result<(IdText, u64), Wrong> {
    if answer.head.status != 201 {
        return Err(Wrong::Status { expected: 201, got: answer.head.status });
    }
    let id = IdText::parse(answer.body()).ok_or(Wrong::Id)?;
    let location = answer.location().ok_or(Wrong::MissingField("Location"))?;
    let named = location.strip_prefix(path).and_then(|rest| rest.strip_prefix(b"/"));
    if named != Some(id.as_bytes()) {
        return Err(Wrong::Location);
    }
    media_type(answer, "text/plain")?;
    Ok((id, session_fields(session, answer)?))
}

/// Judges a 200 to GET, which must be `content`; an ETag moves with each writing and only then.
pub fn read(session: &Session, content: &Content, answer: &Answer<'_>) -> Result<u64, Wrong> {
    read_with(session, content, answer, just_touched(session))
}

/// Judges a 200 to a GET over `span` that has not touched the session.
pub fn peeked(session: &Session, content: &Content, answer: &Answer<'_>, span: Span) -> Result<(), Wrong> {
    read_with(session, content, answer, session.left_s(span)).map(|_| ())
}

fn read_with(
    session: &Session,
    content: &Content,
    answer: &Answer<'_>,
    left_s: RangeInclusive<u64>,
) -> Result<u64, Wrong> {
    content.blob.check(answer.body()).map_err(|found| Wrong::data(&content.blob, found))?;
    content_type(answer, content.media_type.unwrap_or(OCTETS))?;
    let etag = fields_with(session, answer, left_s)?;
    if etag == session.etag { Ok(etag) } else { Err(Wrong::Version { known: session.etag, got: etag }) }
}

/// Judges a 200 to POST.
pub fn updated(session: &Session, answer: &Answer<'_>) -> Result<u64, Wrong> {
    empty(answer)?;
    let etag = session_fields(session, answer)?;
    if etag > session.etag { Ok(etag) } else { Err(Wrong::Version { known: session.etag, got: etag }) }
}

/// Judges a 200 to DELETE.
pub fn deleted(answer: &Answer<'_>) -> Result<(), Wrong> {
    empty(answer)
}

/// Judges a 404, or another refusal, beyond its status.
pub fn refused(answer: &Answer<'_>) -> Result<(), Wrong> {
    media_type(answer, "application/problem+json")?;
    if answer.head.promised.no_store { Ok(()) } else { Err(Wrong::MissingField("Cache-Control")) }
}

/// Judges a 412 beyond its status; gives the number of the current ETag.
pub fn precondition(answer: &Answer<'_>) -> Result<u64, Wrong> {
    refused(answer)?;
    etag(answer)
}

/// The number of the answer's ETag, which must have one.
pub fn etag(answer: &Answer<'_>) -> Result<u64, Wrong> {
    present(answer.head.etag, "ETag")
}

/// Judges what every answer about a live session carries; gives the number of its ETag.
fn session_fields(session: &Session, answer: &Answer<'_>) -> Result<u64, Wrong> {
    fields_with(session, answer, just_touched(session))
}

/// The seconds left that an answer tells which has touched the session.
fn just_touched(session: &Session) -> RangeInclusive<u64> {
    let least = session.ttl_s.saturating_sub(TTL_SLACK_S).max(1);
    u64::from(least)..=u64::from(session.ttl_s)
}

fn fields_with(session: &Session, answer: &Answer<'_>, left: RangeInclusive<u64>) -> Result<u64, Wrong> {
    let etag = etag(answer)?;
    let left_s = present(answer.head.ttl_s, "X-Session-TTL")?;
    if !left.contains(&left_s) {
        return Err(Wrong::Ttl { ttl_s: session.ttl_s, left_s });
    }
    let Promised { expires, date, nosniff, no_store } = answer.head.promised;
    let fields = [
        (expires, "X-Session-Expires"),
        (date, "Date"),
        (nosniff, "X-Content-Type-Options"),
        (no_store, "Cache-Control"),
    ];
    match fields.iter().find(|(there, _)| !there) {
        Some((_, name)) => Err(Wrong::MissingField(name)),
        None => Ok(etag),
    }
}

fn present(number: Number, name: &'static str) -> Result<u64, Wrong> {
    match number {
        Number::Is(number) => Ok(number),
        Number::Absent => Err(Wrong::MissingField(name)),
        Number::Garbled => Err(Wrong::GarbledField(name)),
    }
}

fn empty(answer: &Answer<'_>) -> Result<(), Wrong> {
    match answer.body().len() {
        0 => Ok(()),
        got => Err(Wrong::Length { expected: 0, got }),
    }
}

/// Data comes back with the Content-Type that it came with, to the byte.
fn content_type(answer: &Answer<'_>, expected: &'static str) -> Result<(), Wrong> {
    match answer.content_type() {
        None => Err(Wrong::MissingField("Content-Type")),
        Some(got) if got == expected.as_bytes() => Ok(()),
        Some(_) => Err(Wrong::ContentType { expected }),
    }
}

/// The server's own texts may carry parameters.
fn media_type(answer: &Answer<'_>, expected: &'static str) -> Result<(), Wrong> {
    let got = answer.content_type().ok_or(Wrong::MissingField("Content-Type"))?;
    let essence = got.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case(expected.as_bytes()) {
        Ok(())
    } else {
        Err(Wrong::ContentType { expected })
    }
}

#[cfg(test)]
mod tests;
