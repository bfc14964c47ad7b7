//! What the fields of a head say about the message itself: its host, how its body is framed,
//! whether the connection stays, and whether the client waits for a word before the body.
//!
//! The strict reading throughout: where two servers could see two different messages in the
//! same bytes, the request is refused (RFC 9112, sections 6 and 11.2).

use super::target::is_host;
use super::{HttpVersion, Refused, is_token_byte};

/// How a request's body is framed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyLength {
    /// Neither a length nor a coding: there is no body.
    None,
    /// A Content-Length, in bytes.
    Known(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// What follows from all the fields together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Framing {
    pub(super) body_length: BodyLength,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
}

/// Gathers the fields that frame a message, in the order in which they came.
#[derive(Default)]
pub(super) struct FramingFields {
    has_host: bool,
    content_length: Option<u64>,
    /// The body is chunked, or why its coding is refused.
    coding: Option<Result<(), Refused>>,
    says_close: bool,
    says_keep_alive: bool,
    expects_continue: bool,
    expects_more: bool,
}

impl FramingFields {
    /// Looks at one field: a token and a trimmed value.
    pub(super) fn observe(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refused> {
        // The length alone tells most fields apart from these five.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.observe_host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.observe_expect(value);
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.observe_connection(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.observe_content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.observe_transfer_encoding(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The judgement once all fields were seen.
    pub(super) fn settle(self, version: HttpVersion) -> Result<Framing, Refused> {
        let is_http11 = version == HttpVersion::Http11;
        if is_http11 && !self.has_host {
            return Err(Refused::HostMissing);
        }
        // Which coding it is matters only where one may be.
        let body_length = match (self.content_length, self.coding) {
            (Some(_), Some(_)) => return Err(Refused::LengthAndCoding),
            (None, Some(_)) if !is_http11 => return Err(Refused::CodingInHttp10),
            (None, Some(Err(refused))) => return Err(refused),
            (None, Some(Ok(()))) => BodyLength::Chunked,
            (Some(bytes), None) => BodyLength::Known(bytes),
            (None, None) => BodyLength::None,
        };
        // A 1.0 client knows no expectations (RFC 9110, section 10.1.1).
        if is_http11 && self.expects_more {
            return Err(Refused::ExpectationUnknown);
        }
        let keep_alive = !self.says_close && (is_http11 || self.says_keep_alive);
        Ok(Framing { body_length, keep_alive, expects_continue: is_http11 && self.expects_continue })
    }

    fn observe_host(&mut self, value: &[u8]) -> Result<(), Refused> {
        // In 1.0 too: two hosts are two requests to whoever picks the other one.
        if self.has_host {
            return Err(Refused::HostRepeated);
        }
        self.has_host = true;
        if is_host(value) { Ok(()) } else { Err(Refused::HostInvalid) }
    }

    fn observe_expect(&mut self, value: &[u8]) {
        // Judged in `settle`: only there is it known that the client may expect anything.
        if value.eq_ignore_ascii_case(b"100-continue") {
            self.expects_continue = true;
        } else {
            self.expects_more = true;
        }
    }

    /// Options that we do not know concern hops that we are not.
    fn observe_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.says_close |= option.eq_ignore_ascii_case(b"close");
            self.says_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn observe_content_length(&mut self, value: &[u8]) -> Result<(), Refused> {
        // Two equal lengths may be merged (RFC 9112, section 6.3), but a peer in front of us may
        // have seen only one of them: no honest client sends two.
        if self.content_length.is_some() {
            return Err(Refused::ContentLengthRepeated);
        }
        self.content_length = Some(parse_decimal(value).ok_or(Refused::ContentLengthInvalid)?);
        Ok(())
    }

    /// Judged in `settle`: a length beside it or the version may say more, in whatever order the
    /// fields come.
    fn observe_transfer_encoding(&mut self, value: &[u8]) {
        self.coding = Some(match self.coding {
            Some(_) => Err(Refused::CodingRepeated),
            None if value.eq_ignore_ascii_case(b"chunked") => Ok(()),
            None => Err(refused_coding(value)),
        });
    }
}

/// Why codings other than exactly `chunked` are refused: 501 for a sound list that asks for a
/// coding we lack, 400 for one that leaves the body's length in doubt.
fn refused_coding(value: &[u8]) -> Refused {
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).peekable();
    while let Some(coding) = codings.next() {
        let is_last = codings.peek().is_none();
        let is_sound = !coding.is_empty() && coding.iter().copied().all(is_token_byte);
        if !is_sound || (coding.eq_ignore_ascii_case(b"chunked") && !is_last) {
            return Refused::CodingInvalid;
        }
    }
    Refused::CodingUnknown
}

/// Digits alone, as a number: no sign, no list, nothing that does not fit 64 bits.
fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(version: HttpVersion, fields: &[(&str, &str)]) -> Result<Framing, Refused> {
        let mut seen = FramingFields::default();
        for (name, value) in fields {
            seen.observe(name.as_bytes(), value.as_bytes())?;
        }
        seen.settle(version)
    }

    #[test]
    fn a_connection_stays_as_its_version_and_its_options_say() {
        use HttpVersion::{Http10, Http11};
        let rows: [(HttpVersion, &[&str], bool); 10] = [
            (Http11, &[], true),
            (Http10, &[], false),
            (Http11, &["close"], false),
            (Http11, &["CLOSE"], false),
            (Http11, &["te, Close , x"], false),
            (Http11, &["closed", "upgrade"], true),
            (Http10, &["Keep-Alive"], true),
            (Http10, &["x,keep-alive"], true),
            (Http10, &["keep-alive", "close"], false),
            (Http11, &["keep-alive, close"], false),
        ];
        for (version, options, stays) in rows {
            let fields: Vec<_> =
                options.iter().map(|option| ("Connection", *option)).chain([("Host", "h")]).collect();
            assert_eq!(settle(version, &fields).unwrap().keep_alive, stays, "{version:?} {options:?}");
        }
    }

    #[test]
    fn only_a_1_1_client_can_expect_something() {
        let fields = [("Host", "h"), ("expect", "100-Continue"), ("Content-Length", "1")];
        assert!(settle(HttpVersion::Http11, &fields).unwrap().expects_continue);
        assert!(!settle(HttpVersion::Http10, &fields).unwrap().expects_continue);
        assert!(settle(HttpVersion::Http10, &[("Expect", "tea")]).is_ok());
    }

    #[test]
    fn lengths_are_plain_numbers() {
        assert_eq!(parse_decimal(b"0"), Some(0));
        assert_eq!(parse_decimal(b"0000000000000000000000000012"), Some(12));
        assert_eq!(parse_decimal(b"18446744073709551615"), Some(u64::MAX));
        for text in
            ["", "18446744073709551616", "+1", "-1", "1 ", "1,1", "0x1", "1_0", "1.0", "1e3", "\u{661}"]
        {
            assert_eq!(parse_decimal(text.as_bytes()), None, "{text}");
        }
    }
}
