//! What an answer was: right, refused, too close to a deadline to tell, or wrong, and how.
//!
//! A [`Wrong`] has a kind, a stable word that reports group by and scripts may look for,
//! and a text for people. Anything that the contract forbids is wrong; a refusal that it
//! allows to a loaded server (429, 503, 507) is counted beside it.

use std::fmt;
use std::time::Duration;

use crate::blob::{Blob, Difference};

/// The judgement of one answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As the contract has it.
    Right,
    /// Right, and its opposite would have been right too: it came too close to a deadline.
    Borderline,
    /// The server had no room or was too busy, and said so.
    Refused {
        /// 429, 503 or 507.
        status: u16,
    },
    /// Against the contract.
    Wrong(Wrong),
}

/// How an answer is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// 404 for a session whose time had not come.
    EarlyExpiry {
        /// The longest that it can have been untouched.
        untouched: Duration,
        /// Its TTL in seconds.
        ttl_s: u32,
    },
    /// 200 for a session whose time was over.
    LateExpiry {
        /// The shortest that it can have been untouched.
        untouched: Duration,
        /// Its TTL in seconds.
        ttl_s: u32,
    },
    /// 200 for an id that was deleted, or that had been answered with 404.
    Revived,
    /// Another status than the contract's.
    Status {
        /// The contract's.
        expected: u16,
        /// The server's.
        got: u16,
    },
    /// The data of another session or run.
    Foreign {
        /// The session that the data belongs to.
        session: u64,
    },
    /// Data of before the last acknowledged update.
    Stale {
        /// The version acknowledged last.
        expected: u32,
        /// The version that came.
        got: u32,
    },
    /// Data of an update that was never sent or never acknowledged.
    Unacknowledged {
        /// The version acknowledged last.
        expected: u32,
        /// The version that came.
        got: u32,
    },
    /// Data that changes from one version to another on the way.
    Torn {
        /// The first byte of the other version.
        at: usize,
    },
    /// Bytes that were never stored.
    Corrupt {
        /// The first byte that differs.
        at: usize,
    },
    /// A body of another length, which nothing explains.
    Length {
        /// Bytes that should have come.
        expected: usize,
        /// Bytes that came.
        got: usize,
    },
    /// Another Content-Type.
    ContentType {
        /// The right one.
        expected: &'static str,
    },
    /// An ETag that moved without an update, or did not move with one.
    Version {
        /// The number in the last ETag.
        known: u64,
        /// The number in this one.
        got: u64,
    },
    /// An update with If-Match that wrote over one that came in between.
    LostUpdate {
        /// The version that If-Match named.
        base: u64,
        /// The version between the two.
        lost: u64,
    },
    /// 412 although nobody had written since the version that If-Match named.
    Precondition {
        /// The version that If-Match named.
        named: u64,
        /// The version that the answer calls current.
        current: u64,
    },
    /// X-Session-TTL beyond what the session can have at this time.
    Ttl {
        /// Its TTL in seconds.
        ttl_s: u32,
        /// Seconds left, as the server says.
        left_s: u64,
    },
    /// A promised header field is absent, or has another value than the promised one.
    MissingField(&'static str),
    /// A header field that is not of the promised form.
    GarbledField(&'static str),
    /// The id of a new session is no UUID of version 4.
    Id,
    /// Location does not name the new session.
    Location,
    /// Bytes that are no HTTP/1.1 answer with a certain end.
    Malformed(&'static str),
    /// More bytes than the answer has.
    Excess,
    /// The connection ended before the answer's first byte.
    Unanswered,
    /// The connection ended within the answer.
    Truncated {
        /// Bytes of it that came.
        got: usize,
    },
    /// No answer, or only a part of it, came in time.
    TimedOut,
}

impl Wrong {
    /// Says how data differs from the blob that it should be.
    pub fn data(expected: &Blob, found: Difference) -> Self {
        match found {
            Difference::Length { got } => Self::Length { expected: expected.len, got },
            Difference::Foreign { session } => Self::Foreign { session },
            Difference::OtherVersion { version: got } if got < expected.version => {
                Self::Stale { expected: expected.version, got }
            }
            Difference::OtherVersion { version: got } => {
                Self::Unacknowledged { expected: expected.version, got }
            }
            Difference::Torn { at } => Self::Torn { at },
            Difference::Corrupt { at } => Self::Corrupt { at },
        }
    }

    /// The word that reports group by. Stable.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::EarlyExpiry { .. } => "early_expiry",
            Self::LateExpiry { .. } => "late_expiry",
            Self::Revived => "revived",
            Self::Status { got: 500.., .. } => "server_error",
            Self::Status { .. } => "wrong_status",
            Self::Foreign { .. } => "foreign_data",
            Self::Stale { .. } => "stale_data",
            Self::Unacknowledged { .. } => "unacknowledged_data",
            Self::Torn { .. } => "torn_data",
            Self::Corrupt { .. } => "corrupt_data",
            Self::Length { .. } => "wrong_length",
            Self::ContentType { .. } => "wrong_content_type",
            Self::Version { .. } => "wrong_version",
            Self::LostUpdate { .. } => "lost_update",
            Self::Precondition { .. } => "wrong_precondition",
            Self::Ttl { .. } => "wrong_ttl",
            Self::MissingField(_) => "missing_field",
            Self::GarbledField(_) => "garbled_field",
            Self::Id => "wrong_id",
            Self::Location => "wrong_location",
            Self::Malformed(_) => "malformed",
            Self::Excess => "excess_bytes",
            Self::Unanswered => "unanswered",
            Self::Truncated { .. } => "truncated",
            Self::TimedOut => "timed_out",
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EarlyExpiry { untouched, ttl_s } => {
                write!(f, "404, untouched for at most {untouched:.3?} of its {ttl_s} s")
            }
            Self::LateExpiry { untouched, ttl_s } => {
                write!(f, "200, untouched for at least {untouched:.3?} with a TTL of {ttl_s} s")
            }
            Self::Revived => write!(f, "200 for an id that was gone"),
            Self::Status { expected, got } => write!(f, "{got} where {expected} is due"),
            Self::Foreign { session } => write!(f, "the data of session {session}"),
            Self::Stale { expected, got } => {
                write!(f, "version {got} of the data after {expected} was stored")
            }
            Self::Unacknowledged { expected, got } => {
                write!(f, "version {got} of the data while {expected} was the last acknowledged")
            }
            Self::Torn { at } => write!(f, "the data of another version from byte {at}"),
            Self::Corrupt { at } => write!(f, "a byte that was never stored at {at}"),
            Self::Length { expected, got } => write!(f, "{got} bytes where {expected} are due"),
            Self::ContentType { expected } => write!(f, "another Content-Type than {expected}"),
            Self::Version { known, got } => write!(f, "ETag \"{got}\" after \"{known}\""),
            Self::LostUpdate { base, lost } => {
                write!(f, "the update of \"{base}\" went over \"{lost}\"")
            }
            Self::Precondition { named, current } => {
                write!(f, "412 for \"{named}\" with \"{current}\" current, and nobody had written")
            }
            Self::Ttl { ttl_s, left_s } => {
                write!(f, "X-Session-TTL {left_s} where that cannot be what is left of {ttl_s}")
            }
            Self::MissingField(name) => write!(f, "no {name} of the promised form"),
            Self::GarbledField(name) => write!(f, "{name} cannot be read"),
            Self::Id => write!(f, "the new session's id is no UUID of version 4"),
            Self::Location => write!(f, "Location does not name the new session"),
            Self::Malformed(reason) => write!(f, "an answer that cannot be read: {reason}"),
            Self::Excess => write!(f, "more bytes than the answer has"),
            Self::Unanswered => write!(f, "the connection was closed without an answer"),
            Self::Truncated { got } => write!(f, "the connection was closed after {got} bytes of an answer"),
            Self::TimedOut => write!(f, "no answer in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_of_the_data_are_told_apart_by_their_age() {
        let blob = Blob { run: 0, session: 0, version: 5, len: 9 };
        let kind = |version| Wrong::data(&blob, Difference::OtherVersion { version }).kind();
        assert_eq!(kind(4), "stale_data");
        assert_eq!(kind(6), "unacknowledged_data");
    }

    #[test]
    fn an_unexpected_status_of_the_servers_is_an_error_of_the_server() {
        assert_eq!(Wrong::Status { expected: 200, got: 500 }.kind(), "server_error");
        assert_eq!(Wrong::Status { expected: 200, got: 401 }.kind(), "wrong_status");
    }
}
