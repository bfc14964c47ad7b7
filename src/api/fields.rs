//! The header fields that matter here, gathered in one pass over a request's head.
//!
//! Fields about size and meaning (TTL, conditions, types) are judged only after the key, so
//! each is kept with its own verdict until then. Fields that Seshun does not know are ignored.

use std::borrow::Cow;

use super::CONTENT_TYPE_LEN_MAX;
use super::key::Presented;
use super::problem::Problem;
use crate::http::RequestHead;
use crate::shard::{Conditions, VersionSet};
use crate::types::{Ttl, Version};

/// What a request's fields say.
#[derive(Default)]
pub(super) struct Fields<'r> {
    pub(super) key: Presented<'r>,
    /// Whether a proxy has left its mark: the client is not the one who connected.
    pub(super) is_forwarded: bool,
    if_match: Option<Result<VersionSet, Problem>>,
    if_none_match: Option<Result<VersionSet, Problem>>,
    own_ttl: Option<Result<Ttl, Problem>>,
    peek: Option<Result<bool, Problem>>,
    content_type: Option<Result<&'r [u8], Problem>>,
    has_encoding: bool,
}

impl<'r> Fields<'r> {
    /// Reads all fields of a head.
    pub(super) fn of(head: &RequestHead<'r>) -> Self {
        let mut fields = Self::default();
        for (name, value) in head.fields() {
            fields.take(name, value);
        }
        fields
    }

    /// A TTL of the session's own, if one is asked for, no longer than `longest`.
    pub(super) fn own_ttl(&self, longest: Ttl) -> Result<Option<Ttl>, Problem> {
        Ok(self.own_ttl.transpose()?.map(|ttl| ttl.min(longest)))
    }

    /// Whether the request only looks and does not touch.
    pub(super) fn peek(&self) -> Result<bool, Problem> {
        self.peek.unwrap_or(Ok(false))
    }

    /// The preconditions, which are given away.
    pub(super) fn conditions(&mut self) -> Result<Conditions, Problem> {
        Ok(Conditions {
            if_match: self.if_match.take().transpose()?,
            if_none_match: self.if_none_match.take().transpose()?,
        })
    }

    /// The body's media type; empty where none is given.
    pub(super) fn content_type(&self) -> Result<&'r [u8], Problem> {
        self.content_type.unwrap_or(Ok(b""))
    }

    /// Data is stored as it comes, so an encoding that its reader would have to be told of is
    /// refused: after all that is wrong with a field's value.
    pub(super) fn encoding(&self) -> Result<(), Problem> {
        if self.has_encoding { Err(Problem::ContentEncoding) } else { Ok(()) }
    }

    /// Looks at one field. Lengths first: most fields are told apart by them.
    fn take(&mut self, name: &'r [u8], value: &'r [u8]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            3 if is("via") => self.is_forwarded = true,
            8 if is("if-match") => add_tags(&mut self.if_match, value, Comparison::Strong),
            9 if is("x-real-ip") || is("forwarded") => self.is_forwarded = true,
            12 if is("content-type") => self.add_content_type(value),
            13 if is("x-session-key") => self.key.add(Cow::Borrowed(value)),
            13 if is("authorization") => self.key.add_authorization(value),
            13 if is("x-session-ttl") => self.add_own_ttl(value),
            13 if is("if-none-match") => add_tags(&mut self.if_none_match, value, Comparison::Weak),
            14 if is("x-session-peek") => self.add_peek(value),
            16 if is("content-encoding") => {
                self.has_encoding |= !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
            }
            _ => self.is_forwarded |= has_prefix(name, b"x-forwarded-"),
        }
    }

    fn add_own_ttl(&mut self, value: &[u8]) {
        let parsed = parse_ttl(value).ok_or(Problem::SessionTtl);
        self.own_ttl = Some(if self.own_ttl.is_some() { Err(Problem::SessionTtl) } else { parsed });
    }

    fn add_peek(&mut self, value: &[u8]) {
        let parsed = match value {
            b"1" => Ok(true),
            b"0" => Ok(false),
            _ => Err(Problem::SessionPeek),
        };
        self.peek = Some(if self.peek.is_some() { Err(Problem::SessionPeek) } else { parsed });
    }

    fn add_content_type(&mut self, value: &'r [u8]) {
        let is_good = self.content_type.is_none() && value.len() <= CONTENT_TYPE_LEN_MAX;
        self.content_type = Some(if is_good { Ok(value) } else { Err(Problem::ContentType) });
    }
}

/// How tags are compared (RFC 9110, section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag matches nothing.
    Strong,
    /// A weak tag matches like a strong one.
    Weak,
}

fn has_prefix(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whole seconds, at least 1. More than any TTL can be is the longest there is.
fn parse_ttl(value: &[u8]) -> Option<Ttl> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seconds = value.iter().fold(0u64, |sum, digit| {
        let digit = u64::from(digit - b'0');
        sum.saturating_mul(10).saturating_add(digit)
    });
    Ttl::from_secs(seconds.min(u64::from(Ttl::MAX.as_secs())))
}

/// Adds the tags of one more field to those seen. `*` stands alone.
fn add_tags(seen: &mut Option<Result<VersionSet, Problem>>, value: &[u8], comparison: Comparison) {
    let parsed = parse_tags(value, comparison);
    *seen = Some(match (seen.take(), parsed) {
        (None, Some(set)) => Ok(set),
        (Some(Ok(earlier)), Some(later)) => join(earlier, later).ok_or(Problem::Condition),
        _ => Err(Problem::Condition),
    });
}

fn join(earlier: VersionSet, later: VersionSet) -> Option<VersionSet> {
    let mut versions = listed(earlier)?;
    versions.extend(listed(later)?);
    Some(VersionSet::Listed(versions))
}

fn listed(set: VersionSet) -> Option<Vec<Version>> {
    match set {
        VersionSet::Any => None,
        VersionSet::One(version) => Some(vec![version]),
        VersionSet::Listed(versions) => Some(versions),
    }
}

/// The versions that a list of entity tags names (RFC 9110, sections 13.1.1 and 13.1.2).
/// Nothing where it is no such list; a tag that was never ours is no version.
fn parse_tags(value: &[u8], comparison: Comparison) -> Option<VersionSet> {
    if value == b"*" {
        return Some(VersionSet::Any);
    }
    let mut rest = value;
    let mut versions = Vec::new();
    let mut count = 0;
    loop {
        rest = rest.trim_ascii_start();
        if let Some(behind) = rest.strip_prefix(b",") {
            rest = behind;
            continue;
        }
        if rest.is_empty() {
            break;
        }
        let strong = rest.strip_prefix(b"W/");
        let opaque = strong.unwrap_or(rest).strip_prefix(b"\"")?;
        let end = opaque.iter().position(|byte| *byte == b'"')?;
        count += 1;
        let counts = strong.is_none() || comparison == Comparison::Weak;
        if let Some(version) = Version::parse(&opaque[..end]).filter(|_| counts) {
            if count == 1 && opaque[end + 1..].trim_ascii().is_empty() {
                return Some(VersionSet::One(version));
            }
            versions.push(version);
        }
        rest = opaque[end + 1..].trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b",") {
            return None;
        }
    }
    (count > 0).then_some(VersionSet::Listed(versions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(numbers: &[u64]) -> Vec<Version> {
        numbers.iter().map(|number| Version::parse(number.to_string().as_bytes()).unwrap()).collect()
    }

    #[test]
    fn ttls_are_whole_seconds_from_one_on() {
        for (text, seconds) in
            [("1", 1), ("007", 7), ("2592000", 2_592_000), ("99999999999999999999999", 315_360_000)]
        {
            assert_eq!(parse_ttl(text.as_bytes()), Ttl::from_secs(seconds), "{text}");
        }
        for text in ["", "0", "00", "-1", "+1", "1.5", "1s", " 1", "1 ", "0x1", "٣"] {
            assert_eq!(parse_ttl(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn tags_become_versions() {
        let strong = |text: &str| parse_tags(text.as_bytes(), Comparison::Strong);
        let weak = |text: &str| parse_tags(text.as_bytes(), Comparison::Weak);
        let one = |number: u64| Some(VersionSet::One(versions(&[number])[0]));
        let list = |numbers: &[u64]| Some(VersionSet::Listed(versions(numbers)));
        assert_eq!(strong("*"), Some(VersionSet::Any));
        assert_eq!(strong("\"3\""), one(3));
        assert_eq!(strong("\"3\",\"4\""), list(&[3, 4]));
        assert_eq!(strong(" , \"3\" ,, \"4\" , "), list(&[3, 4]));
        assert_eq!(strong("\"abc\""), list(&[]));
        assert_eq!(strong("\"a,b\", \"5\""), list(&[5]));
        assert_eq!(strong("W/\"3\""), list(&[]));
        assert_eq!(weak("W/\"3\""), one(3));
        assert_eq!(weak("W/\"3\", \"4\""), list(&[3, 4]));
        assert_eq!(strong("\"03\""), list(&[]), "a tag is compared as written");
        assert_eq!(strong("\"0\""), list(&[]), "no version is 0");
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for text in
            ["", ",", "3", "\"3", "3\"", "\"3\" \"4\"", "\"3\"x", "w/\"3\"", "*, \"3\"", "\"3\", *", "'3'"]
        {
            assert_eq!(parse_tags(text.as_bytes(), Comparison::Weak), None, "{text}");
        }
    }

    #[test]
    fn tags_of_several_fields_are_one_list() {
        let mut seen = None;
        add_tags(&mut seen, b"\"1\"", Comparison::Strong);
        add_tags(&mut seen, b"\"2\"", Comparison::Strong);
        assert_eq!(seen, Some(Ok(VersionSet::Listed(versions(&[1, 2])))));
        add_tags(&mut seen, b"*", Comparison::Strong);
        assert_eq!(seen, Some(Err(Problem::Condition)));
        add_tags(&mut seen, b"\"2\"", Comparison::Strong);
        assert_eq!(seen, Some(Err(Problem::Condition)));
    }
}
