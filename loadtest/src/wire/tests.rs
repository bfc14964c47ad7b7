//! Requests to the byte, and answers in tables, each also fed split at each byte.

use super::*;

const ID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

fn id() -> IdText {
    IdText::parse(ID.as_bytes()).unwrap()
}

fn written(request: &Request) -> String {
    let mut out = Vec::new();
    RequestWriter::new("h:1", "b", "k").write(request, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn requests_are_written_to_the_byte() {
    let bare = Request { id: Some(id()), ..Request::default() };
    let shared = "HTTP/1.1\r\nHost: h:1\r\nX-SESSION-KEY: k\r\n";
    assert_eq!(written(&bare), format!("GET /session/b/{ID} {shared}\r\n"));
    let peek = Request { method: Method::Peek, ..bare };
    assert_eq!(written(&peek), format!("GET /session/b/{ID} {shared}X-Session-Peek: 1\r\n\r\n"));
    let gone = Request { method: Method::Delete, ..bare };
    assert_eq!(written(&gone), format!("DELETE /session/b/{ID} {shared}\r\n"));
    let empty = Request { method: Method::Put, own_ttl_s: Some(2), ..Request::default() };
    let fields = "X-Session-TTL: 2\r\nContent-Length: 0\r\n";
    assert_eq!(written(&empty), format!("PUT /session/b {shared}{fields}\r\n"));
}

#[test]
fn a_requests_body_follows_its_length_and_type() {
    let blob = Blob { run: 1, session: 2, version: 3, len: 10 };
    let content = Some(Content { media_type: Some("text/plain"), blob });
    let request =
        Request { method: Method::Post, id: Some(id()), if_match: Some(41), content, ..Request::default() };
    let mut out = Vec::new();
    RequestWriter::new("h", "b", "k").write(&request, &mut out);
    let (head, body) = out.split_at(out.len() - 10);
    assert!(head.ends_with(b"If-Match: \"41\"\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n"));
    assert_eq!(blob.check(body), Ok(()));
}

#[test]
fn numbers_are_written_in_decimal() {
    for number in [0, 7, 10, 1_048_576, u64::MAX] {
        let mut out = Vec::new();
        push_number(&mut out, b"N: ", number, b"\r\n");
        assert_eq!(out, format!("N: {number}\r\n").into_bytes());
    }
}

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Sat, 31 Jan 2026 12:00:00 GMT\r\nETag: \"12\"\r\n\
    x-session-ttl: 30\r\nX-Session-Expires: 2026-01-31T12:00:00Z\r\nX-Content-Type-Options: nosniff\r\n\
    Cache-Control: no-store, no-transform\r\nContent-Type: text/plain\r\nLocation: /x\r\n\
    Content-Length: 5\r\n\r\nhello";

#[test]
fn an_answer_is_read_in_full() {
    let head = Head::parse(WHOLE).unwrap().unwrap();
    assert_eq!(head.answer_len(), WHOLE.len());
    assert_eq!((head.status, head.etag, head.ttl_s), (200, Number::Is(12), Number::Is(30)));
    assert_eq!(head.promised, Promised { expires: true, date: true, nosniff: true, no_store: true });
    assert!(!head.closes);
    let answer = Answer::new(&head, WHOLE);
    assert_eq!(answer.body(), b"hello");
    assert_eq!(answer.content_type(), Some(&b"text/plain"[..]));
    assert_eq!(answer.location(), Some(&b"/x"[..]));
}

#[test]
fn an_answer_split_at_each_byte_waits_for_its_head_and_is_then_the_same() {
    let whole = Head::parse(WHOLE).unwrap().unwrap();
    for at in 0..WHOLE.len() {
        let expected = (at >= whole.head_len).then(|| whole.clone());
        assert_eq!(Head::parse(&WHOLE[..at]), Ok(expected), "the first {at} bytes");
    }
}

#[test]
fn answers_without_a_certain_end_are_malformed() {
    let table: [(&str, &str); 7] = [
        ("HTTP/1.1 200 OK\r\n\r\n", "no Content-Length"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "Content-Length twice"),
        ("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "a Content-Length that is no number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "a body of more than 128 MiB"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "a transfer coding"),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "not HTTP/1.1"),
        ("SSH-2.0-OpenSSH_9.6\r\n", "not the head of an HTTP response"),
    ];
    for (text, reason) in table {
        assert_eq!(Head::parse(text.as_bytes()), Err(Malformed(reason)), "{text:?}");
    }
}

#[test]
fn a_head_that_never_ends_is_malformed() {
    let endless = [&b"HTTP/1.1 200 OK\r\nX: "[..], &[b'a'; HEAD_LEN_MAX]].concat();
    assert_eq!(Head::parse(&endless), Err(Malformed("a head of more than 16 KiB")));
}

#[test]
fn fields_of_another_form_than_promised_do_not_count_as_present() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: W/\"1\"\r\nX-Session-TTL: 1.5\r\nConnection: Close\r\n\
        X-Session-Expires: Sat, 31 Jan 2026 12:00:00 GMT\r\nCache-Control: private\r\n\r\n";
    let head = Head::parse(text).unwrap().unwrap();
    assert_eq!((head.etag, head.ttl_s), (Number::Garbled, Number::Garbled));
    assert_eq!(head.promised, Promised::default());
    assert!(head.closes);
}

#[test]
fn only_canonical_ids_of_version_four_are_ids() {
    assert_eq!(format!("{:?}", id()), ID);
    let table = [
        "0F8FAD5B-D9CB-469F-A165-70867728950E",
        "0f8fad5b-d9cb-169f-a165-70867728950e",
        "0f8fad5b-d9cb-469f-c165-70867728950e",
        "0f8fad5bd9cb469fa16570867728950e",
        "0f8fad5b-d9cb-469f-a165-70867728950e\n",
        "0f8fad5b-d9cb-469f-a165-7086772895-e",
        "",
    ];
    for text in table {
        assert_eq!(IdText::parse(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn times_are_recognised_by_their_form() {
    let table = [
        ("2026-01-31T12:00:00Z", true),
        ("2026-01-31T12:00:00.123Z", true),
        ("2026-01-31T12:00:00.Z", false),
        ("2026-01-31 12:00:00Z", false),
        ("2026-01-31T12:00:00+00:00", true),
        ("2026-01-31T12:00:00+01:00", false),
        ("2026-01-31T12:00Z", false),
    ];
    for (text, expected) in table {
        assert_eq!(is_utc_time(text.as_bytes()), expected, "{text:?}");
    }
}
