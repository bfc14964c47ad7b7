//! Paths: which route a request's target names.
//!
//! Segments are percent-decoded once. Nothing is folded: no dots, no double slashes, no
//! trailing slash. An escape that is broken or hides a slash, NUL or control character
//! makes the segment a name that nothing has, not another route.

use std::borrow::Cow;

use memchr::memchr;
use percent_encoding::percent_decode;

use super::ID_LEN;
use crate::http::{Method, RequestHead, TargetForm};
use crate::types::SessionId;

/// The bucket segment that names the settings page instead.
pub(super) const SETTINGS: &[u8] = b"settings";

/// A decoded path segment; none where it can be no name.
pub(super) type Segment<'p> = Option<Cow<'p, [u8]>>;

/// A path that Seshun knows.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Route<'p> {
    /// `/session/settings`
    Settings,
    /// `/session/{bucket}`
    Bucket(Segment<'p>),
    /// `/session/{bucket}/{id}`
    Session(Segment<'p>, Segment<'p>),
    /// `/api-key/{bucket}`
    Key(Segment<'p>),
}

impl<'p> Route<'p> {
    /// The route that the request's target names; none where there is none.
    pub(super) fn of(head: &RequestHead<'p>) -> Option<Self> {
        match head.form() {
            TargetForm::Origin | TargetForm::Absolute => Self::parse(head.path(), head.may_have_escapes()),
            TargetForm::Asterisk | TargetForm::Authority => None,
        }
    }

    fn parse(path: &'p [u8], may_have_escapes: bool) -> Option<Self> {
        let decode = |segment| if may_have_escapes { decode(segment) } else { Some(Cow::Borrowed(segment)) };
        // Most paths begin so, which one comparison tells.
        let (first, rest) = match path.strip_prefix(b"/session/") {
            Some(rest) => (b"session".as_slice(), Some(rest)),
            None => cut(path.strip_prefix(b"/")?),
        };
        let (second, rest) = cut(rest?);
        let (third, rest) = rest.map_or((None, None), |rest| {
            let (third, rest) = cut(rest);
            (Some(third), rest)
        });
        if second.is_empty() || third.is_some_and(<[u8]>::is_empty) || rest.is_some() {
            return None;
        }
        match (decode(first)?.as_ref(), decode(second), third) {
            (b"session", Some(name), None) if name.as_ref() == SETTINGS => Some(Self::Settings),
            (b"session", name, None) => Some(Self::Bucket(name)),
            (b"session", name, Some(id)) => Some(Self::Session(name, decode(id))),
            (b"api-key", name, None) => Some(Self::Key(name)),
            _ => None,
        }
    }

    /// The methods that the route takes, as `Allow` lists them.
    pub(super) const fn allow(&self) -> &'static str {
        match self {
            Self::Settings => "GET, HEAD",
            Self::Bucket(_) => "PUT",
            Self::Session(..) => "GET, HEAD, POST, DELETE",
            Self::Key(_) => "PUT, GET, HEAD, DELETE",
        }
    }

    /// Whether an answer has a form in JSON beside bare text.
    pub(super) const fn has_json_form(&self) -> bool {
        matches!(self, Self::Bucket(_) | Self::Key(_))
    }

    /// Whether the route takes this method.
    pub(super) const fn takes(&self, method: Method) -> bool {
        use Method::{Delete, Get, Head, Post, Put};
        match self {
            Self::Settings => matches!(method, Get | Head),
            Self::Bucket(_) => matches!(method, Put),
            Self::Session(..) => matches!(method, Get | Head | Post | Delete),
            Self::Key(_) => matches!(method, Put | Get | Head | Delete),
        }
    }
}

/// The session that a path's end names. Not judged otherwise: whether there is such a route, and
/// whose session it is, is another question.
pub fn session_at_end(path: &[u8]) -> Option<SessionId> {
    path.last_chunk::<ID_LEN>().and_then(|id| SessionId::parse(id))
}

/// The path's first segment and, where a slash follows it, what is behind that.
fn cut(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr(b'/', path) {
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => (path, None),
    }
}

/// Percent-decodes one segment (RFC 3986, section 2.1).
fn decode(segment: &[u8]) -> Segment<'_> {
    if !segment.contains(&b'%') {
        return Some(Cow::Borrowed(segment));
    }
    if !has_whole_escapes(segment) {
        return None;
    }
    let decoded: Cow<'_, [u8]> = percent_decode(segment).into();
    let is_name = decoded.iter().all(|byte| *byte != b'/' && !byte.is_ascii_control());
    is_name.then_some(decoded)
}

/// Whether each percent sign is followed by two hex digits.
pub(super) fn has_whole_escapes(text: &[u8]) -> bool {
    let mut pieces = text.split(|byte| *byte == b'%');
    pieces.next();
    pieces
        .all(|piece| matches!(piece, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Segment<'_> {
        Some(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn paths_that_are_routes() {
        let table = [
            ("/session/settings", Route::Settings),
            ("/session/setting%73", Route::Settings),
            ("/session/cart", Route::Bucket(name("cart"))),
            ("/%73ession/c%61rt", Route::Bucket(name("cart"))),
            ("/session/..", Route::Bucket(name(".."))),
            ("/session/cart/1", Route::Session(name("cart"), name("1"))),
            ("/session/settings/1", Route::Session(name("settings"), name("1"))),
            ("/session/cart/%zz", Route::Session(name("cart"), None)),
            ("/session/a%2fb", Route::Bucket(None)),
            ("/session/a%00", Route::Bucket(None)),
            ("/session/a%0A/1", Route::Session(None, name("1"))),
            ("/session/a%", Route::Bucket(None)),
            ("/session/a%4", Route::Bucket(None)),
            ("/session/a%2525", Route::Bucket(name("a%25"))),
            ("/api-key/cart", Route::Key(name("cart"))),
            ("/api-key/settings", Route::Key(name("settings"))),
        ];
        for (path, route) in table {
            if !path.contains('%') {
                assert_eq!(Route::parse(path.as_bytes(), false).as_ref(), Some(&route), "{path}");
            }
            assert_eq!(Route::parse(path.as_bytes(), true), Some(route), "{path}");
        }
    }

    #[test]
    fn paths_that_are_no_routes() {
        let table = [
            "",
            "/",
            "session/cart",
            "/session",
            "/session/",
            "/session//",
            "/session//1",
            "//session/cart",
            "/session/cart/",
            "/session/cart/1/",
            "/session/cart/1/2",
            "/Session/cart",
            "/api-key",
            "/api-key/",
            "/api-key/cart/",
            "/api-key/cart/1",
            "/sess%69on%2fcart",
            "/./session/cart",
            "/metrics",
        ];
        for path in table {
            assert_eq!(Route::parse(path.as_bytes(), true), None, "{path}");
        }
    }
}
