//! The request target's four forms (RFC 9112, section 3.2) and the syntax of a host.
//!
//! Only takes apart; whether a path is a route is for others to say. An authority is
//! checked and then forgotten: Seshun serves whatever name it is reached under.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::Refused;

/// Which of its four forms a target has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetForm {
    /// `/path?query`, the usual one.
    Origin,
    /// `http://host/path?query`, as sent to a proxy; its host wins over the Host header.
    Absolute,
    /// `*`: the server as a whole.
    Asterisk,
    /// `host:port`, for CONNECT.
    Authority,
}

/// A target taken apart; positions count from its own first byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) form: TargetForm,
    /// The raw path up to the query. Empty where an absolute form has none, and in the
    /// asterisk and authority forms.
    pub(super) path: Range<usize>,
    /// The raw query without its question mark.
    pub(super) query: Option<Range<usize>>,
    /// Whether the path may have percent escapes; it has none otherwise.
    pub(super) may_have_escapes: bool,
}

impl Target {
    /// Takes `text` apart, which is not empty.
    pub(super) fn parse(text: &[u8], is_connect: bool) -> Result<Self, Refused> {
        // One look tells the usual target, a path alone, from those with more to take apart.
        let marked = memchr::memchr3(b'#', b'?', b'%', text);
        // A fragment never leaves a client (RFC 9112, section 3.2), and other parsers cut it off.
        let has_fragment = marked.is_some_and(|at| memchr::memchr(b'#', &text[at..]).is_some());
        if !text.is_ascii() || has_fragment {
            return Err(Refused::InvalidTarget);
        }
        if is_connect {
            return if is_authority(text) {
                Ok(Self::pathless(TargetForm::Authority))
            } else {
                Err(Refused::InvalidTarget)
            };
        }
        match text {
            [b'/', ..] if marked.is_none() => Ok(Self::plain(text)),
            [b'/', ..] => Ok(Self::with_path(TargetForm::Origin, text, 0)),
            // Taken with any method: none has a route there, so the answer is the same 405.
            b"*" => Ok(Self::pathless(TargetForm::Asterisk)),
            _ => match absolute_path_start(text) {
                Some(path_start) => Ok(Self::with_path(TargetForm::Absolute, text, path_start)),
                None if is_authority(text) => Ok(Self::pathless(TargetForm::Authority)),
                None => Err(Refused::InvalidTarget),
            },
        }
    }

    /// A path alone, without escapes.
    fn plain(text: &[u8]) -> Self {
        Self { form: TargetForm::Origin, path: 0..text.len(), query: None, may_have_escapes: false }
    }

    fn with_path(form: TargetForm, text: &[u8], path_start: usize) -> Self {
        match memchr::memchr(b'?', &text[path_start..]) {
            Some(at) => {
                let mark = path_start + at;
                let query = Some(mark + 1..text.len());
                Self { form, path: path_start..mark, query, may_have_escapes: true }
            }
            None => Self { form, path: path_start..text.len(), query: None, may_have_escapes: true },
        }
    }

    fn pathless(form: TargetForm) -> Self {
        Self { form, path: 0..0, query: None, may_have_escapes: false }
    }
}

/// Where the path of an absolute form begins: behind scheme and authority, both of which must
/// be sound. `http` without a host is no URI (RFC 9110, section 4.2.1), nor is user information
/// taken (section 4.2.4).
fn absolute_path_start(text: &[u8]) -> Option<usize> {
    let authority_start = [b"http://".as_slice(), b"https://"]
        .iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?
        .len();
    let rest = &text[authority_start..];
    let authority = &rest[..memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len())];
    let has_host = !authority.is_empty() && authority[0] != b':';
    (has_host && is_host(authority)).then_some(authority_start + authority.len())
}

/// `host:port`, both of them present.
fn is_authority(text: &[u8]) -> bool {
    let Some(colon) = memchr::memrchr(b':', text) else { return false };
    colon > 0 && colon + 1 < text.len() && is_host(text)
}

/// Whether `text` is `uri-host [ ":" port ]` (RFC 9110, section 7.2): a name, an IPv4 address or
/// an IPv6 address in brackets. The name may be empty: that is what a client without one sends.
pub(super) fn is_host(text: &[u8]) -> bool {
    // IPvFuture, which the grammar allows beside IPv6, was never put to use.
    if let [b'[', rest @ ..] = text {
        let Some(bracket) = memchr::memchr(b']', rest) else { return false };
        return is_ipv6(&rest[..bracket]) && is_port(&rest[bracket + 1..]);
    }
    is_port(behind_reg_name(text))
}

fn is_ipv6(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Nothing, or a colon with a port number, which may be missing (RFC 3986, section 3.2.3).
fn is_port(text: &[u8]) -> bool {
    match text {
        [] | [b':'] => true,
        [b':', digits @ ..] => {
            let number = digits.iter().try_fold(0_u16, |number, byte| {
                let digit = byte.is_ascii_digit().then(|| u16::from(byte - b'0'))?;
                number.checked_mul(10)?.checked_add(digit)
            });
            number.is_some()
        }
        _ => false,
    }
}

/// What follows the name at the front of `text`: unreserved characters, sub-delimiters and whole
/// percent escapes (RFC 3986, section 3.2.2).
fn behind_reg_name(mut text: &[u8]) -> &[u8] {
    while let Some(at) = text.iter().position(|byte| !IS_REG_NAME_BYTE[usize::from(*byte)]) {
        text = match &text[at..] {
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            rest => return rest,
        };
    }
    &[]
}

/// A table, because every request has a host and most hosts have twenty bytes.
const IS_REG_NAME_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Form, path and query, or the refusal.
    fn parts(text: &str, is_connect: bool) -> Result<(TargetForm, &str, Option<&str>), Refused> {
        Target::parse(text.as_bytes(), is_connect)
            .map(|target| (target.form, &text[target.path], target.query.map(|query| &text[query])))
    }

    #[test]
    fn targets_are_taken_apart_by_form() {
        let rows = [
            ("/", TargetForm::Origin, "/", None),
            ("//", TargetForm::Origin, "//", None),
            ("/session/b?api_key=x", TargetForm::Origin, "/session/b", Some("api_key=x")),
            ("/a?", TargetForm::Origin, "/a", Some("")),
            ("/a?b?c", TargetForm::Origin, "/a", Some("b?c")),
            ("/http://h/", TargetForm::Origin, "/http://h/", None),
            ("http://h/a?b", TargetForm::Absolute, "/a", Some("b")),
            ("HTTPS://h:1/a", TargetForm::Absolute, "/a", None),
            ("http://h", TargetForm::Absolute, "", None),
            ("http://h?b", TargetForm::Absolute, "", Some("b")),
            ("http://[::1]:80/", TargetForm::Absolute, "/", None),
            ("*", TargetForm::Asterisk, "", None),
            ("h:80", TargetForm::Authority, "", None),
        ];
        for (text, form, path, query) in rows {
            assert_eq!(parts(text, false), Ok((form, path, query)), "{text}");
        }
        assert_eq!(parts("h:80", true), Ok((TargetForm::Authority, "", None)));
    }

    #[test]
    fn targets_of_no_form_are_refused() {
        for text in [
            "a",
            "session/b",
            "?a",
            "**",
            "/a#b",
            "/é",
            "ftp://h/",
            "http:/h",
            "http://",
            "http:///a",
            "http://:80/",
            "http://u@h/",
            "http://h:x/",
            "http://[::1/",
            "http://a b/",
            "h:",
            ":80",
        ] {
            assert_eq!(parts(text, false), Err(Refused::InvalidTarget), "{text}");
        }
        for text in ["/", "*", "h", "http://h/"] {
            assert_eq!(parts(text, true), Err(Refused::InvalidTarget), "CONNECT {text}");
        }
    }

    #[test]
    fn hosts_have_a_name_or_an_address_and_perhaps_a_port() {
        for text in
            ["", "h", "h:", "h:8385", "127.0.0.1:0", "a-b.c_d~", "a,b", "[::1]", "[::1]:65535", "%41b", ":80"]
        {
            assert!(is_host(text.as_bytes()), "{text}");
        }
        for text in [
            "a b", "a/b", "u@h", "h:x", "h:65536", "h:+1", "h:1:2", "::1", "[::1", "[::1]x", "[::g]", "[]",
            "%4", "%zz", "a\"b", "h\u{e9}", "h?", "h#", "a\\b",
        ] {
            assert!(!is_host(text.as_bytes()), "{text}");
        }
    }
}
