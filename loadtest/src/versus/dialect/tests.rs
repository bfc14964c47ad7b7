//! HTTP's requests and answers by table, and the tools with which every dialect is tested.

use super::*;

/// An id as a server would make it.
pub fn id() -> IdText {
    IdText::parse(b"0f8fad5b-d9cb-469f-a165-70867728950e").unwrap()
}

/// The request that a dialect writes, as text.
pub fn written(dialect: &dyn Dialect, action: Action) -> String {
    let mut out = Vec::new();
    dialect.write(action, &id(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Feeds a right answer split at each byte, and with another one behind it.
pub fn passes(dialect: &dyn Dialect, action: Action, answer: &[u8]) -> Reply {
    for split in 0..answer.len() {
        assert_eq!(dialect.read(action, &answer[..split]), Ok(None), "{action:?} split at {split}");
    }
    let reply = dialect.read(action, answer).unwrap().unwrap();
    assert_eq!(reply.len, answer.len(), "{action:?}");
    assert_eq!(dialect.read(action, &[answer, answer].concat()), Ok(Some(reply)), "{action:?} twice");
    reply
}

/// Data whose bytes a text can hold.
pub fn plain_data() -> Data {
    Data { bytes: b"payload".to_vec(), ..Data::new(1, 7) }
}

fn http() -> Http {
    Http::new("localhost", ("b", "k"), plain_data())
}

fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn http_says_each_action_with_its_method() {
    let table = [
        (Action::Create, "PUT /session/b HTTP/1.1\r\n", true),
        (Action::Read, "GET /session/b/0f8fad5b-d9cb-469f-a165-70867728950e HTTP/1.1\r\n", false),
        (Action::Update, "POST /session/b/0f8fad5b-d9cb-469f-a165-70867728950e HTTP/1.1\r\n", true),
        (Action::Delete, "DELETE /session/b/0f8fad5b-d9cb-469f-a165-70867728950e HTTP/1.1\r\n", false),
        (Action::Bot, "PUT /session/b HTTP/1.1\r\n", true),
    ];
    for (action, first, has_body) in table {
        let request = written(&http(), action);
        assert!(request.starts_with(first), "{request}");
        assert!(request.contains("\r\nX-SESSION-KEY: k\r\n"), "{request}");
        assert_eq!(request.contains("Content-Length: 7\r\n"), has_body, "{request}");
    }
}

#[test]
fn only_a_bots_session_has_a_ttl_of_its_own() {
    let with_bots = http().with_bots(3);
    for action in Action::ALL {
        let own = written(&with_bots, action).contains("\r\nX-Session-TTL: 3\r\n");
        assert_eq!(own, action == Action::Bot, "{action:?}");
    }
    assert!(!written(&http(), Action::Bot).contains("X-Session-TTL"), "unless nobody says so");
}

#[test]
fn http_answers_pass_however_they_are_split() {
    let made = answer("201 Created", "", "0f8fad5b-d9cb-469f-a165-70867728950e");
    assert_eq!(passes(&http(), Action::Create, &made).id, Some(id()));
    assert_eq!(passes(&http(), Action::Bot, &made).id, Some(id()));
    assert_eq!(passes(&http(), Action::Read, &answer("200 OK", "ETag: \"1\"\r\n", "payload")).id, None);
    passes(&http(), Action::Update, &answer("200 OK", "", ""));
    passes(&http(), Action::Delete, &answer("200 OK", "", ""));
}

#[test]
fn http_answers_that_are_not_the_expected_one_are_told() {
    let table = [
        (Action::Read, answer("404 Not Found", "", "payload")),
        (Action::Read, answer("200 OK", "", "Payload")),
        (Action::Read, answer("200 OK", "", "payloa")),
        (Action::Read, answer("200 OK", "Connection: close\r\n", "payload")),
        (Action::Create, answer("200 OK", "", "0f8fad5b-d9cb-469f-a165-70867728950e")),
        (Action::Create, answer("201 Created", "", "an id")),
        (Action::Update, answer("507 Insufficient Storage", "", "")),
        (Action::Delete, b"-ERR\r\n\r\n".to_vec()),
    ];
    for (action, bytes) in table {
        let reading = http().read(action, &bytes);
        assert!(reading.is_err(), "{action:?}: {reading:?} for {}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn data_follows_from_its_seed_and_has_its_length() {
    for len in [0, 1, 24, 1024, 1025] {
        let data = Data::new(9, len);
        assert_eq!(data.as_bytes().len(), len);
        assert_eq!(data.as_bytes(), Data::new(9, len).as_bytes());
        let sent = { written(&Http::new("h", ("b", "k"), data), Action::Create) };
        assert!(sent.contains(&format!("Content-Length: {len}\r\n")), "{sent}");
    }
}

#[test]
fn lines_end_with_both_bytes() {
    let table = [
        ("", None),
        ("OK\r", None),
        ("OK\n", None),
        ("OK\r\nmore", Some(("OK", 4))),
        ("\r\n", Some(("", 2))),
    ];
    for (text, expected) in table {
        let expected = expected.map(|(line, len): (&str, usize)| (line.as_bytes(), len));
        assert_eq!(line(text.as_bytes()), expected, "{text:?}");
    }
    let endless = vec![b'a'; LINE_LEN_MAX + 1];
    assert!(read_line(b"a", OTHER_DATA, &endless).is_err());
    assert!(read_data(b"a", b"", b"", &endless).is_err());
}
