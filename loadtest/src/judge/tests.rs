//! Each judgement with an answer that passes it, and with that answer changed in one place.

use super::*;
use crate::blob::Blob;
use crate::wire::Head;

const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const FIELDS: &str = "ETag: \"7\"\r\nX-Session-TTL: 60\r\nX-Session-Expires: 2026-01-31T12:00:00Z\r\n\
    Date: Sat, 31 Jan 2026 12:00:00 GMT\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n";

/// What `judge` says about the answer that this text is.
fn judged<T>(
    first: &str,
    fields: &str,
    body: &[u8],
    judge: impl FnOnce(&Answer<'_>) -> Result<T, Wrong>,
) -> Result<T, Wrong> {
    let mut bytes = format!("{first}\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    let head = Head::parse(&bytes).unwrap().unwrap();
    judge(&Answer::new(&head, &bytes))
}

fn session() -> Session {
    Session { etag: 7, ..Session::new(4, 60, true) }
}

fn created(status: &str, fields: &str, body: &str) -> Result<u64, Wrong> {
    let judge = |answer: &Answer<'_>| super::created(&session(), answer, b"/session/b").map(|(_, etag)| etag);
    judged(status, fields, body.as_bytes(), judge)
}

#[test]
fn a_created_session_has_an_id_that_its_location_names() {
    let ok = "HTTP/1.1 201 Created";
    let fields = format!("Content-Type: text/plain; charset=utf-8\r\nLocation: /session/b/{ID}\r\n{FIELDS}");
    assert_eq!(created(ok, &fields, ID), Ok(7));
    assert_eq!(created("HTTP/1.1 200 OK", &fields, ID), Err(Wrong::Status { expected: 201, got: 200 }));
    assert_eq!(created(ok, &fields, &format!("{ID}\n")), Err(Wrong::Id));
    let elsewhere = fields.replace("/session/b/", "/session/c/");
    assert_eq!(created(ok, &elsewhere, ID), Err(Wrong::Location));
    assert_eq!(
        created(ok, &fields.replace("Location", "X-Location"), ID),
        Err(Wrong::MissingField("Location"))
    );
    let json = fields.replace("text/plain", "application/json");
    assert_eq!(created(ok, &json, ID), Err(Wrong::ContentType { expected: "text/plain" }));
}

#[test]
fn data_comes_back_to_the_byte_with_its_type_and_version() {
    let blob = Blob { run: 1, session: 4, version: 1, len: 50 };
    let content = Content { media_type: Some("application/json"), blob };
    let mut body = Vec::new();
    blob.write(&mut body);
    let read = |fields: &str, body: &[u8]| {
        judged("HTTP/1.1 200 OK", fields, body, |answer| super::read(&session(), &content, answer))
    };
    let fields = format!("Content-Type: application/json\r\n{FIELDS}");
    assert_eq!(read(&fields, &body), Ok(7));
    assert_eq!(read(&fields, &body[..49]), Err(Wrong::Length { expected: 50, got: 49 }));
    let text = fields.replace("/json", "/json; charset=utf-8");
    assert_eq!(read(&text, &body), Err(Wrong::ContentType { expected: "application/json" }));
    assert_eq!(read(FIELDS, &body), Err(Wrong::MissingField("Content-Type")));
    for got in [6, 8] {
        let moved = fields.replace("\"7\"", &format!("\"{got}\""));
        assert_eq!(read(&moved, &body), Err(Wrong::Version { known: 7, got }));
    }
}

#[test]
fn an_update_moves_the_version_forward_and_has_no_body() {
    let updated = |fields: &str, body: &str| {
        judged("HTTP/1.1 200 OK", fields, body.as_bytes(), |answer| super::updated(&session(), answer))
    };
    let later = FIELDS.replace("\"7\"", "\"8\"");
    assert_eq!(updated(&later, ""), Ok(8));
    assert_eq!(updated(FIELDS, ""), Err(Wrong::Version { known: 7, got: 7 }));
    assert_eq!(updated(&later, "ok"), Err(Wrong::Length { expected: 0, got: 2 }));
}

#[test]
fn every_promised_field_is_missed() {
    let fields =
        |text: &str| judged("HTTP/1.1 200 OK", text, b"", |answer| session_fields(&session(), answer));
    assert_eq!(fields(FIELDS), Ok(7));
    for line in FIELDS.lines() {
        let name = line.split(':').next().unwrap();
        let without = FIELDS.replace(&format!("{line}\r\n"), "");
        let found = fields(&without);
        assert!(matches!(found, Err(Wrong::MissingField(missed)) if missed == name), "{name}: {found:?}");
    }
    let weak = FIELDS.replace("\"7\"", "W/\"7\"");
    assert_eq!(fields(&weak), Err(Wrong::GarbledField("ETag")));
}

#[test]
fn seconds_left_after_a_touch_are_the_ttl_or_one_less_and_never_none() {
    let left = |ttl_s: u32, left_s: u64| {
        let text = FIELDS.replace("TTL: 60", &format!("TTL: {left_s}"));
        let session = Session { ttl_s, ..session() };
        judged("HTTP/1.1 200 OK", &text, b"", |answer| session_fields(&session, answer)).is_ok()
    };
    let table =
        [(60, 60, true), (60, 59, true), (60, 58, false), (60, 61, false), (1, 1, true), (1, 0, false)];
    for (ttl_s, left_s, expected) in table {
        assert_eq!(left(ttl_s, left_s), expected, "{left_s} of {ttl_s}");
    }
}

#[test]
fn what_is_absent_is_told_as_a_problem_and_stored_nowhere() {
    let absent = |fields: &str| judged("HTTP/1.1 404 Not Found", fields, b"{}", super::absent);
    let problem = "Content-Type: application/problem+json\r\nCache-Control: no-store\r\n";
    assert_eq!(absent(problem), Ok(()));
    let html = problem.replace("application/problem+json", "text/html");
    assert_eq!(absent(&html), Err(Wrong::ContentType { expected: "application/problem+json" }));
    assert_eq!(absent(&problem.replace("no-store", "private")), Err(Wrong::MissingField("Cache-Control")));
}

#[test]
fn a_deletion_has_no_body() {
    let deleted = |body: &[u8]| judged("HTTP/1.1 200 OK", "", body, super::deleted);
    assert_eq!(deleted(b""), Ok(()));
    assert_eq!(deleted(b"gone"), Err(Wrong::Length { expected: 0, got: 4 }));
}
