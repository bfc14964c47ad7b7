//! Answers to the byte, each kind once; and what no answer ever holds.

use super::*;
use crate::http::{Persistence, Refused};
use crate::shard::Refusal;
use crate::store::Stamp;
use crate::types::{BucketId, BucketName, ByteCount, Deadline, Moment, SessionId, Ttl, UnixMillis, Version};

const ID: &str = "0d9c27a1-5b7e-4c1f-8a3d-112233445566";
/// What every answer says at `now()`, behind its status line.
const EVERY: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: no-store, no-transform\r\n";
const NOSNIFF: &str = "X-Content-Type-Options: nosniff\r\n";
/// What is said of `session()`.
const SESSION: &str = "ETag: \"7\"\r\nX-Session-TTL: 60\r\nX-Session-Expires: 1994-11-06T08:50:36.500Z\r\n";

fn now() -> Now {
    Now { moment: Moment::from_millis(1_000_000), wall: UnixMillis::new(784_111_777_000) }
}

/// A session at version 7 that has 59.5 seconds to live.
fn session<'s>(data: &'s [u8], content_type: &'s [u8]) -> SessionView<'s> {
    SessionView {
        id: SessionId::parse(ID.as_bytes()).unwrap(),
        bucket: BucketId::new(3),
        data,
        content_type,
        version: Version::parse(b"7").unwrap(),
        deadline: Deadline::at(Moment::from_millis(1_059_500)),
        own_ttl: None,
        stamp: Stamp::default(),
    }
}

fn reply() -> Reply {
    let bucket = BucketName::parse(b"cart");
    Reply { bucket, json: false, omit_body: false, persistence: Persistence::KeepAlive }
}

fn json() -> Reply {
    Reply { json: true, ..reply() }
}

fn head() -> Reply {
    Reply { omit_body: true, ..reply() }
}

/// What is written behind bytes that are there already, and the status that is reported.
fn written(write: impl FnOnce(&Renderer<'_>, &mut Vec<u8>) -> Status) -> String {
    let mut date = DateCache::new();
    date.update(now().wall);
    let mut out = b"before".to_vec();
    let status = write(&Renderer { date: &date, now: now() }, &mut out);
    let answer = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
    assert!(answer.starts_with(&format!("HTTP/1.1 {} {}\r\n", status.code(), status.reason())));
    answer
}

fn outcome(outcome: Outcome<'_>, reply: &Reply) -> String {
    written(|renderer, out| renderer.outcome(&outcome, reply, out))
}

fn key_outcome(outcome: KeyOutcome, reply: &Reply) -> String {
    written(|renderer, out| renderer.key_outcome(&outcome, reply, out))
}

fn problem(problem: Problem, reply: &Reply) -> String {
    written(|renderer, out| renderer.problem(problem, reply, out))
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn json_body(answer: &str) -> serde_json::Value {
    serde_json::from_str(body(answer)).unwrap()
}

/// The fields of an answer without its body.
fn fields(answer: &str) -> Vec<(&str, &str)> {
    let head = answer.split_once("\r\n\r\n").unwrap().0;
    head.split("\r\n").skip(1).map(|line| line.split_once(": ").unwrap()).collect()
}

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    fields(answer).into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
}

fn every_problem() -> Vec<Problem> {
    let others = [
        Problem::NoRoute,
        Problem::Method("GET, HEAD"),
        Problem::Unauthorized,
        Problem::TooLarge { limit: 1000, size: Some(1001) },
        Problem::TooLarge { limit: 1000, size: None },
        Problem::SessionTtl,
        Problem::SessionPeek,
        Problem::Condition,
        Problem::ContentType,
        Problem::ContentEncoding,
        Problem::NoSession,
        Problem::Precondition(Version::parse(b"7").unwrap()),
        Problem::BucketName,
        Problem::BucketReserved,
        Problem::BucketTaken,
        Problem::NoKey,
        Problem::StorageFull,
        Problem::DiskFull,
        Problem::JournalBehind,
        Problem::JournalFailed,
        Problem::Busy,
        Problem::Unanswered,
        Problem::Protocol(Refused::HeadTimeout),
        Problem::TransitFull,
        Problem::AnswersFull,
        Problem::TooManyConnections,
        Problem::Internal,
    ];
    let refused = Refused::ALL.iter().map(|refused| Problem::of_refused(*refused, 1000));
    others.into_iter().chain(refused).collect()
}

#[test]
fn a_session_found_is_shown_to_the_byte() {
    let shown = outcome(Outcome::Found(session(b"a\0b", b"text/x")), &reply());
    let rest = "Content-Type: text/x\r\n";
    let end = "Content-Length: 3\r\n\r\na\0b";
    assert_eq!(shown, format!("HTTP/1.1 200 OK\r\n{EVERY}{NOSNIFF}{rest}{SESSION}{end}"));
}

#[test]
fn data_without_a_type_are_bytes() {
    let shown = outcome(Outcome::Found(session(b"", b"")), &reply());
    assert_eq!(field(&shown, "Content-Type"), Some("application/octet-stream"));
    assert_eq!((field(&shown, "Content-Length"), body(&shown)), (Some("0"), ""));
}

#[test]
fn head_has_the_same_head_and_no_body() {
    let data = session(b"abc", b"text/x");
    let pairs = [
        (outcome(Outcome::Found(data), &reply()), outcome(Outcome::Found(data), &head())),
        (
            outcome(Outcome::Refused(Refusal::Missing), &reply()),
            outcome(Outcome::Refused(Refusal::Missing), &head()),
        ),
        (problem(Problem::Unauthorized, &reply()), problem(Problem::Unauthorized, &head())),
        (
            key_outcome(KeyOutcome::Found(ApiKey::from_random(&[1; 32])), &reply()),
            key_outcome(KeyOutcome::Found(ApiKey::from_random(&[1; 32])), &head()),
        ),
    ];
    for (get, head) in pairs {
        assert!(!body(&get).is_empty());
        assert_eq!(get.strip_suffix(body(&get)), Some(head.as_str()));
    }
}

#[test]
fn what_the_client_has_already_is_304_without_body_or_length() {
    for reply in [reply(), head(), json()] {
        let shown = outcome(Outcome::Unchanged(session(b"abc", b"text/x")), &reply);
        assert_eq!(shown, format!("HTTP/1.1 304 Not Modified\r\n{EVERY}{NOSNIFF}{SESSION}\r\n"));
    }
}

#[test]
fn an_update_is_answered_empty() {
    let shown = outcome(Outcome::Updated(session(b"abc", b"text/x")), &reply());
    assert_eq!(shown, format!("HTTP/1.1 200 OK\r\n{EVERY}{NOSNIFF}{SESSION}Content-Length: 0\r\n\r\n"));
}

#[test]
fn a_deletion_is_answered_empty_for_sessions_and_keys() {
    let expected = format!("HTTP/1.1 200 OK\r\n{EVERY}{NOSNIFF}Content-Length: 0\r\n\r\n");
    assert_eq!(outcome(Outcome::Deleted, &reply()), expected);
    assert_eq!(key_outcome(KeyOutcome::Removed, &reply()), expected);
}

#[test]
fn a_session_made_is_its_bare_id() {
    let shown = outcome(Outcome::Created(session(b"abc", b"text/x")), &reply());
    let location = format!("Location: /session/cart/{ID}\r\n");
    let end = format!("Vary: Accept\r\nContent-Type: text/plain\r\nContent-Length: 36\r\n\r\n{ID}");
    assert_eq!(shown, format!("HTTP/1.1 201 Created\r\n{EVERY}{NOSNIFF}{location}{SESSION}{end}"));
}

#[test]
fn a_session_made_is_json_for_those_who_prefer_it() {
    let shown = outcome(Outcome::Created(session(b"abc", b"text/x")), &json());
    let text = body(&shown).to_owned();
    let location = format!("Location: /session/cart/{ID}\r\n");
    let end =
        format!("Vary: Accept\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", text.len());
    assert_eq!(shown, format!("HTTP/1.1 201 Created\r\n{EVERY}{NOSNIFF}{location}{SESSION}{end}{text}"));
    let expected = serde_json::json!({
        "id": ID, "bucket": "cart", "ttl": 60, "expires_at": "1994-11-06T08:50:36.500Z"
    });
    assert_eq!(json_body(&shown), expected);
}

#[test]
fn a_key_is_bare_text_or_json() {
    let key = ApiKey::from_random(&[1; 32]);
    for (outcome, status) in [(KeyOutcome::Made(key), "201 Created"), (KeyOutcome::Found(key), "200 OK")] {
        let shown = key_outcome(outcome, &reply());
        let end =
            format!("Vary: Accept\r\nContent-Type: text/plain\r\nContent-Length: 43\r\n\r\n{}", key.expose());
        assert_eq!(shown, format!("HTTP/1.1 {status}\r\n{EVERY}{NOSNIFF}{end}"));
        let shown = key_outcome(outcome, &json());
        assert_eq!(field(&shown, "Content-Type"), Some("application/json"));
        let expected = serde_json::json!({ "bucket": "cart", "api_key": key.expose() });
        assert_eq!(json_body(&shown), expected);
    }
}

#[test]
fn an_answer_says_what_becomes_of_the_connection() {
    for (persistence, said) in [
        (Persistence::KeepAlive, None),
        (Persistence::KeepAliveHttp10, Some("keep-alive")),
        (Persistence::Close, Some("close")),
    ] {
        let reply = Reply { persistence, ..reply() };
        let answers = [
            outcome(Outcome::Found(session(b"abc", b"")), &reply),
            outcome(Outcome::Deleted, &reply),
            problem(Problem::NoSession, &reply),
            key_outcome(KeyOutcome::Missing, &reply),
        ];
        assert!(answers.iter().all(|answer| field(answer, "Connection") == said), "{persistence:?}");
    }
}

#[test]
fn a_problem_is_json_with_a_code_and_a_sentence() {
    for shown in every_problem() {
        let answer = problem(shown, &reply());
        let members = json_body(&answer);
        assert_eq!(field(&answer, "Content-Type"), Some("application/problem+json"));
        assert_eq!(field(&answer, "Content-Length"), Some(body(&answer).len().to_string().as_str()));
        assert_eq!(members["type"], "about:blank");
        assert_eq!(members["title"], shown.status().reason());
        assert_eq!(members["status"], shown.status().code());
        assert_eq!(members["code"], shown.code());
        assert_eq!(members["detail"], shown.detail());
        assert!(shown.detail().ends_with('.'), "{shown:?}");
        assert!(
            shown
                .code()
                .bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
        );
        assert_eq!(problem(shown, &json()), answer, "problems have one form");
        assert!(body(&answer).len() <= JSON_BYTES_USUAL, "{shown:?}");
    }
}

#[test]
fn no_problem_names_a_bucket_an_id_or_a_path() {
    for shown in every_problem() {
        let answer = problem(shown, &reply());
        assert!(!answer.contains(ID) && !answer.contains("/cart"), "{answer}");
    }
}

#[test]
fn not_found_is_answered_to_the_byte() {
    let body = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"The bucket has no such session: it was never made, was deleted or has expired.","code":"session_not_found"}"#;
    let shown = outcome(Outcome::Refused(Refusal::Missing), &reply());
    let end =
        format!("Content-Type: application/problem+json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(shown, format!("HTTP/1.1 404 Not Found\r\n{EVERY}{NOSNIFF}{end}"));
}

#[test]
fn a_failed_precondition_shows_the_current_tag() {
    let refusal = Refusal::PreconditionFailed(Version::parse(b"12").unwrap());
    let shown = outcome(Outcome::Refused(refusal), &reply());
    assert!(shown.starts_with("HTTP/1.1 412 Precondition Failed\r\n"));
    assert_eq!(field(&shown, "ETag"), Some("\"12\""));
    assert_eq!(json_body(&shown)["current_etag"], "\"12\"");
}

#[test]
fn an_unauthorized_answer_says_how_to_authenticate() {
    for shown in
        [problem(Problem::Unauthorized, &reply()), outcome(Outcome::Refused(Refusal::KeyChanged), &reply())]
    {
        assert!(shown.starts_with("HTTP/1.1 401 Unauthorized\r\n"));
        assert_eq!(field(&shown, "WWW-Authenticate"), Some("Bearer realm=\"seshun\""));
        assert_eq!(json_body(&shown)["code"], "invalid_api_key");
    }
}

#[test]
fn a_wrong_method_lists_the_right_ones_and_an_unknown_path_none() {
    let method = problem(Problem::Method("PUT, GET, HEAD, DELETE"), &reply());
    assert!(method.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
    assert_eq!(field(&method, "Allow"), Some("PUT, GET, HEAD, DELETE"));
    let path = problem(Problem::NoRoute, &reply());
    assert!(path.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
    assert_eq!(field(&path, "Allow"), Some(""));
    let detail = json_body(&path)["detail"].as_str().unwrap().to_owned();
    for route in ["/session/{bucket}", "/session/{bucket}/{id}", "/session/settings", "/api-key/{bucket}"] {
        assert!(detail.contains(route), "{detail}");
    }
}

#[test]
fn a_body_too_large_is_told_the_limit_however_it_came() {
    let known = json_body(&problem(Problem::TooLarge { limit: 1000, size: Some(1001) }, &reply()));
    assert_eq!((&known["limit"], &known["size"]), (&1000.into(), &1001.into()));
    let chunked = json_body(&problem(Problem::of_refused(Refused::BodyTooLarge, 1000), &reply()));
    assert_eq!((&chunked["limit"], &chunked["code"]), (&1000.into(), &"payload_too_large".into()));
    assert_eq!(chunked.get("size"), None);
}

#[test]
fn those_who_may_try_again_are_told_when() {
    for shown in every_problem() {
        let expected = (shown.status() == Status::ServiceUnavailable).then_some("1");
        assert_eq!(field(&problem(shown, &reply()), "Retry-After"), expected, "{shown:?}");
    }
    let busy =
        [key_outcome(KeyOutcome::Busy, &reply()), outcome(Outcome::Refused(Refusal::Unavailable), &reply())];
    assert!(busy.iter().all(|answer| field(answer, "Retry-After") == Some("1")));
}

#[test]
fn refusals_of_shards_and_of_the_registry_have_their_statuses() {
    let table = [
        (outcome(Outcome::Refused(Refusal::Full), &reply()), 507, "storage_full"),
        (outcome(Outcome::Refused(Refusal::Exists), &reply()), 500, "internal_error"),
        (outcome(Outcome::Refused(Refusal::Unavailable), &reply()), 503, "busy"),
        (key_outcome(KeyOutcome::Missing, &reply()), 404, "api_key_not_found"),
        (key_outcome(KeyOutcome::Taken, &reply()), 409, "bucket_has_key"),
        (key_outcome(KeyOutcome::Full, &reply()), 507, "storage_full"),
        (key_outcome(KeyOutcome::Busy, &reply()), 503, "busy"),
        (outcome(Outcome::Refused(Refusal::DiskFull), &reply()), 507, "disk_full"),
        (outcome(Outcome::Refused(Refusal::Behind), &reply()), 503, "journal_behind"),
        (outcome(Outcome::Refused(Refusal::Unkept), &reply()), 503, "journal_failed"),
        (key_outcome(KeyOutcome::DiskFull, &reply()), 507, "disk_full"),
        (key_outcome(KeyOutcome::Behind, &reply()), 503, "journal_behind"),
        (key_outcome(KeyOutcome::Unkept, &reply()), 503, "journal_failed"),
        (key_outcome(KeyOutcome::Unknown, &reply()), 503, "unanswered"),
    ];
    for (answer, status, code) in table {
        let members = json_body(&answer);
        assert_eq!((&members["status"], &members["code"]), (&status.into(), &code.into()));
    }
}

#[test]
fn the_settings_page_has_no_secret_in_it() {
    use crate::api::{MasterKeyring, PublicLimits, SessionRules};
    let ttl = Ttl::from_secs(60).unwrap();
    let rules =
        SessionRules { ttl, max_ttl: Ttl::from_secs(90).unwrap(), max_payload: ByteCount::from_mib(1) };
    let limits = PublicLimits {
        connections: 1,
        head: 2,
        target: 3,
        fields: 4,
        trailers: 5,
        chunk_overhead: 6,
        output: 7,
        requests_per_turn: 8,
    };
    let settings = Settings::new(MasterKeyring::default(), true, rules, limits);
    let shown = written(|renderer, out| renderer.settings(&settings, &reply(), out));
    assert_eq!(field(&shown, "Content-Type"), Some("application/json"));
    let expected = serde_json::json!({
        "session_ttl": 60,
        "max_payload": 1_048_576,
        "version": env!("CARGO_PKG_VERSION"),
        "limits": {
            "connections": 1, "head": 2, "target": 3, "fields": 4, "trailers": 5,
            "chunk_overhead": 6, "output": 7, "requests_per_turn": 8,
        },
    });
    assert_eq!(json_body(&shown), expected);
    let peeked = written(|renderer, out| renderer.settings(&settings, &head(), out));
    assert_eq!(shown.strip_suffix(body(&shown)), Some(peeked.as_str()));
}
