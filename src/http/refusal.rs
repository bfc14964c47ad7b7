//! Why a request is refused before anybody looks at what it asks for.
//!
//! One table gives each refusal its status, its stable code and a sentence for the person
//! who has to mend the client. A refused connection takes no more requests: where the
//! framing is in doubt, so is everything behind it.

use super::Status;

/// Makes [`Refused`] and what can be asked of it from one table.
macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident = $status:ident $code:literal $detail:literal,)+) => {
        /// A breach of the protocol or of a limit on it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Refused {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Refused {
            /// Every refusal, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The status of the answer.
            pub const fn status(self) -> Status {
                match self { $(Self::$name => Status::$status,)+ }
            }

            /// A stable name for programs.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// A sentence that a person can act on. Shows nothing of the request.
            pub const fn detail(self) -> &'static str {
                match self { $(Self::$name => $detail,)+ }
            }
        }
    };
}

refusals! {
    /// RFC 9112, section 2.2: some parsers end a line here, others do not.
    BareLineFeed = BadRequest "bare_line_feed" "Lines end with CR LF; a line feed stands alone.",
    /// RFC 9112, section 2.2: must be refused or replaced.
    BareCarriageReturn = BadRequest "bare_carriage_return" "Lines end with CR LF; a carriage return stands alone.",
    /// RFC 9112, section 3: method, target and version with one space between them.
    MalformedRequestLine = BadRequest "malformed_request_line" "The request line is method, target and version with single spaces.",
    /// RFC 9112, section 3.2: none of the four forms, or a byte that no URI has.
    InvalidTarget = BadRequest "invalid_target" "The request target is no path, URL, authority or asterisk in ASCII.",
    /// RFC 9112, section 3, and RFC 9110, section 15.5.15.
    TargetTooLong = UriTooLong "target_too_long" "The request target is longer than limits.target allows.",
    /// RFC 9112, section 2.3, and RFC 9110, section 15.6.6: another major version than 1.
    VersionNotSupported = VersionNotSupported "version_not_supported" "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
    /// RFC 6585, section 5.
    HeadTooLong = HeaderFieldsTooLarge "head_too_long" "The request's head is longer than limits.head allows.",
    /// RFC 6585, section 5.
    TooManyFields = HeaderFieldsTooLarge "too_many_fields" "The request has more header fields than limits.fields allows.",
    /// RFC 9112, section 5.2: obs-fold.
    FoldedField = BadRequest "folded_field" "A header line starts with white space; fields must not be folded.",
    /// RFC 9112, section 5.1.
    SpaceBeforeColon = BadRequest "space_before_colon" "White space stands between a header's name and its colon.",
    /// RFC 9112, section 5: not a token, or no colon at all.
    InvalidFieldName = BadRequest "invalid_field_name" "A header line has no name, a name with a forbidden character, or no colon.",
    /// RFC 9110, section 5.5: NUL and other controls.
    InvalidFieldValue = BadRequest "invalid_field_value" "A header's value contains a control character.",
    /// RFC 9112, section 3.2.
    HostMissing = BadRequest "host_missing" "An HTTP/1.1 request needs a Host header.",
    /// RFC 9112, section 3.2.
    HostRepeated = BadRequest "host_repeated" "The request has more than one Host header.",
    /// RFC 9112, section 3.2.
    HostInvalid = BadRequest "host_invalid" "The Host header is no host with an optional port.",
    /// RFC 9112, section 6.3, and RFC 9110, section 8.6: signed, listed, empty, too large.
    ContentLengthInvalid = BadRequest "content_length_invalid" "Content-Length is not one decimal number.",
    /// RFC 9112, section 6.3: refused even where the values agree.
    ContentLengthRepeated = BadRequest "content_length_repeated" "The request has more than one Content-Length.",
    /// RFC 9112, section 6.1: the classic of request smuggling.
    LengthAndCoding = BadRequest "length_and_coding" "Content-Length and Transfer-Encoding exclude each other.",
    /// RFC 9112, section 6.1: HTTP/1.0 knows no transfer codings.
    CodingInHttp10 = BadRequest "coding_in_http10" "An HTTP/1.0 request cannot have a Transfer-Encoding.",
    /// RFC 9112, section 6.3.
    CodingRepeated = BadRequest "coding_repeated" "The request has more than one Transfer-Encoding header.",
    /// RFC 9112, sections 6.1 and 6.3: no list of codings, or chunked not once and last.
    CodingInvalid = BadRequest "coding_invalid" "Transfer-Encoding must end with chunked, once.",
    /// RFC 9112, section 6.1.
    CodingUnknown = NotImplemented "coding_unknown" "The only Transfer-Encoding taken is chunked.",
    /// RFC 9110, section 10.1.1.
    ExpectationUnknown = ExpectationFailed "expectation_unknown" "The only expectation that can be met is 100-continue.",
    /// RFC 9110, section 15.5.14.
    BodyTooLarge = ContentTooLarge "body_too_large" "The request's body is larger than is taken here.",
    /// RFC 9112, section 7.1: hex digits, then an extension or the line's end.
    ChunkSizeInvalid = BadRequest "chunk_size_invalid" "A chunk's size is not a hexadecimal number.",
    /// RFC 9112, section 7.1.1.
    ChunkExtensionInvalid = BadRequest "chunk_extension_invalid" "A chunk extension contains a control character.",
    /// RFC 9112, section 7.1.1: the total length of extensions is to be limited.
    ChunkOverheadTooLong = BadRequest "chunk_overhead_too_long" "Chunk extensions are longer than limits.chunk_overhead allows.",
    /// RFC 9112, section 7.1.
    ChunkUnterminated = BadRequest "chunk_unterminated" "A chunk's data is not followed by CR LF: its size is wrong.",
    /// RFC 9112, section 7.1.2: a trailer is a header field by its syntax.
    TrailerInvalid = BadRequest "trailer_invalid" "A trailer is no header field.",
    /// RFC 9112, section 7.1.2, and RFC 6585, section 5.
    TrailersTooLong = HeaderFieldsTooLarge "trailers_too_long" "The trailers are longer than limits.trailers allows.",
    /// RFC 9110, section 15.5.9: raised by the driver, which has the clock.
    HeadTimeout = RequestTimeout "head_timeout" "The request's head did not arrive within timeouts.head.",
    /// RFC 9110, section 15.5.9: raised by the driver, which has the clock.
    BodyTimeout = RequestTimeout "body_timeout" "The request's body did not arrive within timeouts.body.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_snake_case_and_differ() {
        let mut codes: Vec<_> = Refused::ALL.iter().map(|refused| refused.code()).collect();
        assert!(
            codes
                .iter()
                .all(|code| code.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit()))
        );
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Refused::ALL.len());
    }

    #[test]
    fn every_refusal_is_a_clients_fault_or_beyond_the_protocol_spoken() {
        for refused in Refused::ALL {
            let status = refused.status().code();
            assert!((400..500).contains(&status) || status == 501 || status == 505, "{refused:?}");
        }
    }

    #[test]
    fn every_detail_is_a_sentence() {
        for refused in Refused::ALL {
            let detail = refused.detail();
            assert!(detail.ends_with('.') && detail.starts_with(|c: char| c.is_uppercase()), "{detail}");
        }
    }
}
