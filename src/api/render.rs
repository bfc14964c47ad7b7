//! From outcomes and problems to the bytes of a response.
//!
//! Appends whole responses to an output buffer and says which status each has. Runs on the
//! core that owns the session, with the [`Reply`] that travelled with the call.

use serde::Serialize;

use super::{ID_LEN, Problem, Reply, Settings};
use crate::http::{DateCache, ResponseWriter, Status, write_rfc3339};
use crate::registry::KeyOutcome;
use crate::shard::Outcome;
use crate::store::SessionView;
use crate::types::{ApiKey, Now};

const JSON: &[u8] = b"application/json";
const TEXT: &[u8] = b"text/plain";
const BYTES: &[u8] = b"application/octet-stream";
const PROBLEM: &[u8] = b"application/problem+json";
/// Room for a body of JSON, so that it is written without growing: no more than one allocation
/// for a 404, which is what each expired session answers.
const JSON_BYTES_USUAL: usize = 512;

/// Writes responses at one point in time.
pub struct Renderer<'c> {
    /// The `Date` of this second.
    pub date: &'c DateCache,
    /// The present.
    pub now: Now,
}

impl Renderer<'_> {
    /// Answers an operation on a session.
    pub fn outcome(&self, outcome: &Outcome<'_>, reply: &Reply, out: &mut Vec<u8>) -> Status {
        match outcome {
            Outcome::Found(session) => self.found(session, reply, out),
            Outcome::Unchanged(session) => {
                let response = self.begin(Status::NotModified, reply, out);
                self.session_fields(session, response).no_content_length();
                Status::NotModified
            }
            Outcome::Updated(session) => {
                let response = self.begin(Status::Ok, reply, out);
                self.session_fields(session, response).body(b"", reply.omit_body);
                Status::Ok
            }
            Outcome::Created(session) => self.created(session, reply, out),
            Outcome::Deleted => self.empty(reply, out),
            Outcome::Refused(refusal) => self.problem(Problem::from(*refusal), reply, out),
        }
    }

    /// Answers an operation on a bucket's key.
    pub fn key_outcome(&self, outcome: &KeyOutcome, reply: &Reply, out: &mut Vec<u8>) -> Status {
        match outcome {
            KeyOutcome::Made(key) => self.key(Status::Created, key, reply, out),
            KeyOutcome::Found(key) => self.key(Status::Ok, key, reply, out),
            KeyOutcome::Removed => self.empty(reply, out),
            KeyOutcome::Missing => self.problem(Problem::NoKey, reply, out),
            KeyOutcome::Taken => self.problem(Problem::BucketTaken, reply, out),
            KeyOutcome::Full => self.problem(Problem::StorageFull, reply, out),
            KeyOutcome::Busy => self.problem(Problem::Busy, reply, out),
            KeyOutcome::DiskFull => self.problem(Problem::DiskFull, reply, out),
            KeyOutcome::Behind => self.problem(Problem::JournalBehind, reply, out),
            KeyOutcome::Unkept => self.problem(Problem::JournalFailed, reply, out),
            KeyOutcome::Unknown => self.problem(Problem::Unanswered, reply, out),
        }
    }

    /// Shows the settings.
    pub fn settings(&self, settings: &Settings, reply: &Reply, out: &mut Vec<u8>) -> Status {
        let response = self.begin(Status::Ok, reply, out).field("Content-Type", JSON);
        response.body(&settings.page, reply.omit_body);
        Status::Ok
    }

    /// Says no, and why.
    pub fn problem(&self, problem: Problem, reply: &Reply, out: &mut Vec<u8>) -> Status {
        let status = problem.status();
        let mut response = self.begin(status, reply, out).field("Content-Type", PROBLEM);
        response = match problem {
            Problem::NoRoute => response.field("Allow", b""),
            Problem::Method(allow) => response.field("Allow", allow.as_bytes()),
            Problem::Unauthorized => response.field("WWW-Authenticate", b"Bearer realm=\"seshun\""),
            Problem::Precondition(version) => {
                response.field_with("ETag", |out| write_etag(version.as_u64(), out))
            }
            _ if status == Status::ServiceUnavailable => response.field_number("Retry-After", 1),
            _ => response,
        };
        response.body(&problem_body(problem), reply.omit_body);
        status
    }

    fn found(&self, session: &SessionView<'_>, reply: &Reply, out: &mut Vec<u8>) -> Status {
        let content_type = if session.content_type.is_empty() { BYTES } else { session.content_type };
        let response = self.begin(Status::Ok, reply, out).field("Content-Type", content_type);
        self.session_fields(session, response).body(session.data, reply.omit_body);
        Status::Ok
    }

    fn created(&self, session: &SessionView<'_>, reply: &Reply, out: &mut Vec<u8>) -> Status {
        let bucket = reply.bucket.as_ref().map_or("", |bucket| bucket.as_str());
        debug_assert!(!bucket.is_empty(), "a session is made in a bucket");
        let mut id = [0; ID_LEN];
        let id = session.id.encode(&mut id);
        let response = self.begin(Status::Created, reply, out).field_with("Location", |out| {
            for piece in ["/session/", bucket, "/", id] {
                out.extend_from_slice(piece.as_bytes());
            }
        });
        let response = self.session_fields(session, response).field("Vary", b"Accept");
        if !reply.json {
            response.field("Content-Type", TEXT).body(id.as_bytes(), reply.omit_body);
            return Status::Created;
        }
        let mut expires_at = Vec::with_capacity(32);
        write_rfc3339(&mut expires_at, self.now.wall_at(session.deadline));
        let body = json(&CreatedBody {
            id,
            bucket,
            ttl: session.deadline.left(self.now.moment).as_secs_ceil(),
            expires_at: str::from_utf8(&expires_at).unwrap_or_default(),
        });
        response.field("Content-Type", JSON).body(&body, reply.omit_body);
        Status::Created
    }

    fn key(&self, status: Status, key: &ApiKey, reply: &Reply, out: &mut Vec<u8>) -> Status {
        let response = self.begin(status, reply, out).field("Vary", b"Accept");
        if reply.json {
            let bucket = reply.bucket.as_ref().map_or("", |bucket| bucket.as_str());
            let body = json(&KeyBody { bucket, api_key: key.expose() });
            response.field("Content-Type", JSON).body(&body, reply.omit_body);
        } else {
            response.field("Content-Type", TEXT).body(key.expose().as_bytes(), reply.omit_body);
        }
        status
    }

    fn empty(&self, reply: &Reply, out: &mut Vec<u8>) -> Status {
        self.begin(Status::Ok, reply, out).body(b"", reply.omit_body);
        Status::Ok
    }

    fn begin<'o>(&self, status: Status, reply: &Reply, out: &'o mut Vec<u8>) -> ResponseWriter<'o> {
        ResponseWriter::begin(out, status, self.date)
            .connection(reply.persistence)
            .field("X-Content-Type-Options", b"nosniff")
    }

    /// What is said of a session beside its data.
    fn session_fields<'o>(
        &self,
        session: &SessionView<'_>,
        response: ResponseWriter<'o>,
    ) -> ResponseWriter<'o> {
        let left = session.deadline.left(self.now.moment);
        let expires = self.now.wall_at(session.deadline);
        response
            .field_with("ETag", |out| write_etag(session.version.as_u64(), out))
            .field_number("X-Session-TTL", left.as_secs_ceil())
            .field_with("X-Session-Expires", |out| write_rfc3339(out, expires))
    }
}

fn write_etag(version: u64, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(itoa::Buffer::new().format(version).as_bytes());
    out.push(b'"');
}

/// Problem details, in the order in which a person reads them.
#[derive(Serialize)]
struct ProblemBody {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_etag: Option<String>,
}

/// A new session, for those who prefer JSON.
#[derive(Serialize)]
struct CreatedBody<'a> {
    id: &'a str,
    bucket: &'a str,
    /// Seconds left.
    ttl: u64,
    /// RFC 3339.
    expires_at: &'a str,
}

/// A bucket's key, for those who prefer JSON.
#[derive(Serialize)]
struct KeyBody<'a> {
    bucket: &'a str,
    api_key: &'a str,
}

fn problem_body(problem: Problem) -> Vec<u8> {
    let status = problem.status();
    let (limit, size) = match problem {
        Problem::TooLarge { limit, size } => (Some(limit), size),
        _ => (None, None),
    };
    let current_etag = match problem {
        Problem::Precondition(version) => Some(format!("\"{}\"", version.as_u64())),
        _ => None,
    };
    json(&ProblemBody {
        kind: "about:blank",
        title: status.reason(),
        status: status.code(),
        detail: problem.detail(),
        code: problem.code(),
        limit,
        size,
        current_etag,
    })
}

/// Texts and numbers of our own: there is nothing in them that cannot be written.
fn json(body: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(JSON_BYTES_USUAL);
    let written = serde_json::to_writer(&mut text, body);
    debug_assert!(written.is_ok());
    text
}

#[cfg(test)]
mod tests;
