//! The status codes that Seshun answers with, and their status lines.
//!
//! One table makes the enum, the numbers, the reasons and the ready-made first bytes of
//! an answer, so that they cannot disagree. No status outside of it is ever sent, save
//! the interim 100, which is written whole by the driver.

/// Makes [`Status`] and what can be asked of it from one table.
macro_rules! statuses {
    ($($name:ident = $code:literal $reason:literal,)+) => {
        /// A final status code. The interim 100 is no answer and not among them.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Status {
            $(#[doc = concat!($code, " ", $reason)] $name,)+
        }

        impl Status {
            /// Every status, in the order of [`Status::index`].
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The number on the wire.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)+ }
            }

            /// The words behind the number, which clients ignore and people read.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)+ }
            }

            /// The status line and the name of the field that always follows it. An answer to
            /// HTTP/1.0 says 1.1 too: it names the server's version (RFC 9112, section 2.3).
            pub(super) const fn line_to_date(self) -> &'static [u8] {
                match self {
                    $(Self::$name => concat!("HTTP/1.1 ", $code, " ", $reason, "\r\nDate: ").as_bytes(),)+
                }
            }
        }
    };
}

statuses! {
    Ok = 200 "OK",
    Created = 201 "Created",
    NotModified = 304 "Not Modified",
    BadRequest = 400 "Bad Request",
    Unauthorized = 401 "Unauthorized",
    NotFound = 404 "Not Found",
    MethodNotAllowed = 405 "Method Not Allowed",
    RequestTimeout = 408 "Request Timeout",
    Conflict = 409 "Conflict",
    PreconditionFailed = 412 "Precondition Failed",
    ContentTooLarge = 413 "Content Too Large",
    UriTooLong = 414 "URI Too Long",
    UnsupportedMediaType = 415 "Unsupported Media Type",
    ExpectationFailed = 417 "Expectation Failed",
    TooManyRequests = 429 "Too Many Requests",
    HeaderFieldsTooLarge = 431 "Request Header Fields Too Large",
    InternalServerError = 500 "Internal Server Error",
    NotImplemented = 501 "Not Implemented",
    ServiceUnavailable = 503 "Service Unavailable",
    VersionNotSupported = 505 "HTTP Version Not Supported",
    InsufficientStorage = 507 "Insufficient Storage",
}

impl Status {
    /// The place in [`Status::ALL`], for tables of counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_follow_the_list_and_codes_rise() {
        for (index, status) in Status::ALL.iter().enumerate() {
            assert_eq!(status.index(), index);
        }
        assert!(Status::ALL.is_sorted_by_key(|status| status.code()));
    }

    #[test]
    fn a_status_line_names_the_code_and_the_reason() {
        for status in Status::ALL {
            let line = format!("HTTP/1.1 {} {}\r\nDate: ", status.code(), status.reason());
            assert_eq!(status.line_to_date(), line.as_bytes());
        }
    }
}
