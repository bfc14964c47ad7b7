//! Every "no" that a client can get, with its status, its stable code and what to do about it.
//!
//! Written as problem details (RFC 9457). None of the texts holds a key, an id or a path:
//! they end up in other people's logs.

use crate::http::{Refused, Status};
use crate::shard::Refusal;
use crate::types::Version;

/// A refusal, or an error of ours that one client must be told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The request breaks HTTP/1.1, or its limits.
    Protocol(Refused),
    /// No route has this path.
    NoRoute,
    /// The route has other methods: those that `Allow` lists.
    Method(&'static str),
    /// No key, a bad one, or two that differ.
    Unauthorized,
    /// The body is longer than `session.max_payload`. Both in bytes.
    TooLarge {
        /// The limit, inclusive.
        limit: u64,
        /// What was announced; none where it came in chunks.
        size: Option<u64>,
    },
    /// X-Session-TTL is no whole number of seconds from 1 on.
    SessionTtl,
    /// X-Session-Peek is neither 0 nor 1.
    SessionPeek,
    /// If-Match or If-None-Match is no list of entity tags.
    Condition,
    /// The Content-Type is too long or given twice.
    ContentType,
    /// The body is encoded in a way that its reader would not be told of.
    ContentEncoding,
    /// No such session in this bucket.
    NoSession,
    /// The session is at this version, which the request excludes.
    Precondition(Version),
    /// A bucket cannot have this name.
    BucketName,
    /// The name is kept for a page of Seshun's own.
    BucketReserved,
    /// The bucket has a key already.
    BucketTaken,
    /// The bucket has no key.
    NoKey,
    /// No memory for new data.
    StorageFull,
    /// No room on the disk for a change.
    DiskFull,
    /// Too many changes wait for the disk.
    JournalBehind,
    /// No change can be kept any more.
    JournalFailed,
    /// The core that must answer has too much to do.
    Busy,
    /// The core that must answer did not; whether it acted is unknown.
    Unanswered,
    /// Too many large bodies are on their way at once.
    TransitFull,
    /// Too many large answers wait for clients that do not read them.
    AnswersFull,
    /// More connections than are allowed.
    TooManyConnections,
    /// An error of ours.
    Internal,
}

impl Problem {
    /// The problem with a request that breaks the protocol, where bodies may have so many bytes.
    pub fn of_refused(refused: Refused, payload_bytes_max: usize) -> Self {
        match refused {
            Refused::BodyTooLarge => Self::TooLarge { limit: payload_bytes_max as u64, size: None },
            refused => Self::Protocol(refused),
        }
    }

    /// The status that it is answered with.
    pub fn status(self) -> Status {
        match self {
            Self::Protocol(refused) => refused.status(),
            Self::NoRoute | Self::Method(_) => Status::MethodNotAllowed,
            Self::Unauthorized => Status::Unauthorized,
            Self::TooLarge { .. } => Status::ContentTooLarge,
            Self::SessionTtl | Self::SessionPeek | Self::Condition => Status::BadRequest,
            Self::ContentType | Self::BucketName => Status::BadRequest,
            Self::ContentEncoding => Status::UnsupportedMediaType,
            Self::NoSession | Self::NoKey => Status::NotFound,
            Self::Precondition(_) => Status::PreconditionFailed,
            Self::BucketReserved | Self::BucketTaken => Status::Conflict,
            Self::StorageFull | Self::DiskFull => Status::InsufficientStorage,
            Self::JournalBehind | Self::JournalFailed => Status::ServiceUnavailable,
            Self::Busy | Self::Unanswered | Self::TransitFull => Status::ServiceUnavailable,
            Self::AnswersFull | Self::TooManyConnections => Status::ServiceUnavailable,
            Self::Internal => Status::InternalServerError,
        }
    }

    /// The code that programs tell it by. Never changes.
    pub fn code(self) -> &'static str {
        match self {
            Self::Protocol(refused) => refused.code(),
            Self::NoRoute => "no_such_route",
            Self::Method(_) => "method_not_allowed",
            Self::Unauthorized => "invalid_api_key",
            Self::TooLarge { .. } => "payload_too_large",
            Self::SessionTtl => "invalid_session_ttl",
            Self::SessionPeek => "invalid_session_peek",
            Self::Condition => "invalid_precondition",
            Self::ContentType => "invalid_content_type",
            Self::ContentEncoding => "unsupported_content_encoding",
            Self::NoSession => "session_not_found",
            Self::Precondition(_) => "precondition_failed",
            Self::BucketName => "invalid_bucket_name",
            Self::BucketReserved => "reserved_bucket_name",
            Self::BucketTaken => "bucket_has_key",
            Self::NoKey => "api_key_not_found",
            Self::StorageFull => "storage_full",
            Self::DiskFull => "disk_full",
            Self::JournalBehind => "journal_behind",
            Self::JournalFailed => "journal_failed",
            Self::Busy => "busy",
            Self::Unanswered => "unanswered",
            Self::TransitFull => "too_many_bodies",
            Self::AnswersFull => "too_many_answers",
            Self::TooManyConnections => "too_many_connections",
            Self::Internal => "internal_error",
        }
    }

    /// A sentence that a person can act on.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Protocol(refused) => refused.detail(),
            Self::NoRoute => {
                "There is PUT /session/{bucket}, GET, HEAD, POST and DELETE /session/{bucket}/{id}, \
                 GET /session/settings, and PUT, GET and DELETE /api-key/{bucket}."
            }
            Self::Method(_) => "This path takes the methods that Allow lists.",
            Self::Unauthorized => {
                "Send the bucket's API key as X-SESSION-KEY, as a bearer token or as ?api_key=; a key \
                 sent in more than one place must be the same everywhere."
            }
            Self::TooLarge { .. } => "The body is longer than session.max_payload allows.",
            Self::SessionTtl => "X-Session-TTL takes a whole number of seconds, 1 or more, once.",
            Self::SessionPeek => "X-Session-Peek takes 1 or 0, once.",
            Self::Condition => {
                "If-Match and If-None-Match take * or a list of quoted entity tags, as in \"1\", \"2\"."
            }
            Self::ContentType => "Content-Type takes one media type of at most 255 bytes.",
            Self::ContentEncoding => {
                "Data is stored as it comes; send it without Content-Encoding and name the form in Content-Type."
            }
            Self::NoSession => {
                "The bucket has no such session: it was never made, was deleted or has expired."
            }
            Self::Precondition(_) => "The session is at another version; read it again and decide anew.",
            Self::BucketName => {
                "A bucket's name is 1 to 64 letters, digits, dots, underscores and hyphens, and begins with a \
                 letter or digit."
            }
            Self::BucketReserved => "This name is reserved; choose another for the bucket.",
            Self::BucketTaken => "The bucket has an API key; DELETE it first to make another.",
            Self::NoKey => "The bucket has no API key; PUT makes one.",
            Self::StorageFull => {
                "Memory is full; existing sessions can be read and deleted, and expire in time."
            }
            Self::DiskFull => {
                "The server's disk is full; nothing was done. Existing sessions can be read, and expire in time."
            }
            Self::JournalBehind => "Too many changes wait for the disk; nothing was done, try again.",
            Self::JournalFailed => {
                "The server can keep no more changes until it is restarted; nothing was done. Sessions can be read."
            }
            Self::Busy => "Too much is waiting; nothing was done, try again.",
            Self::Unanswered => "No answer came in time; whether the request was carried out is unknown.",
            Self::TransitFull => "Too many large bodies are on their way; nothing was done, try again.",
            Self::AnswersFull => {
                "Too many large answers wait to be read; whether the request was carried out is unknown."
            }
            Self::TooManyConnections => "Too many connections are open; try again later.",
            Self::Internal => "Something went wrong on our side; it has been logged.",
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing => Self::NoSession,
            Refusal::PreconditionFailed(version) => Self::Precondition(version),
            Refusal::Full => Self::StorageFull,
            Refusal::DiskFull => Self::DiskFull,
            Refusal::Behind => Self::JournalBehind,
            Refusal::Unkept => Self::JournalFailed,
            Refusal::KeyChanged => Self::Unauthorized,
            Refusal::Unavailable => Self::Busy,
            // Nobody draws the same 122 random bits twice: a generator is broken.
            Refusal::Exists => Self::Internal,
        }
    }
}
