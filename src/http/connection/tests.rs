//! Promises of a connection: framing, refusals, pipelining, and that splitting the input at
//! any byte changes nothing.

use super::*;
use crate::http::{HttpVersion, Method, TargetForm};

/// The most that the tests' judge takes.
const BODY_BYTES_MAX: usize = 1000;

/// What an input leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Request(Box<Request>),
    Refused(Refused),
    Closed,
}

/// All that can be told of one request.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Request {
    method: Method,
    version: HttpVersion,
    form: TargetForm,
    path: String,
    query: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
    length: BodyLength,
    keep_alive: bool,
    expects_continue: bool,
    body: Vec<u8>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn note_head(connection: &Connection) -> Request {
    let head = connection.head();
    Request {
        method: head.method(),
        version: head.version(),
        form: head.form(),
        path: text(head.path()),
        query: head.query().map(text),
        fields: head.fields().map(|(name, value)| (text(name), value.to_vec())).collect(),
        length: head.body_length(),
        keep_alive: head.keep_alive(),
        expects_continue: head.expects_continue(),
        body: Vec::new(),
    }
}

/// Polls until the connection is starved, as a driver that collects every body. A known length
/// over the limit is noted as the refusal that the driver would answer.
fn drain(connection: &mut Connection, current: &mut Option<Request>, seen: &mut Vec<Seen>) {
    loop {
        match connection.poll() {
            Event::Starved => return,
            Event::Head => {
                let request = note_head(connection);
                if matches!(request.length, BodyLength::Known(bytes) if bytes > BODY_BYTES_MAX as u64) {
                    seen.push(Seen::Refused(Refused::BodyTooLarge));
                    connection.close();
                    continue;
                }
                *current = Some(request);
                let _ = connection.accept_body(BodyPlan::Collect { bytes_max: BODY_BYTES_MAX });
            }
            Event::Body => {
                let mut request = current.take().expect("a head comes before its body");
                request.body = connection.body().to_vec();
                assert_eq!(connection.keeps_alive(), request.keep_alive);
                seen.push(Seen::Request(Box::new(request)));
                connection.finish_request();
            }
            Event::Refused(refused) => {
                assert!(!connection.keeps_alive());
                seen.push(Seen::Refused(refused));
            }
            Event::Closed => {
                assert_eq!(connection.phase(), Phase::Done);
                if seen.last() != Some(&Seen::Closed) {
                    seen.push(Seen::Closed);
                }
                return;
            }
        }
    }
}

/// What these pieces lead to, given one after another and then no more.
fn run<'p>(limits: Limits, pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<Seen> {
    let mut connection = Connection::new(limits);
    let (mut current, mut seen) = (None, Vec::new());
    for piece in pieces {
        let mut left = piece;
        while !left.is_empty() {
            let mut input = connection.take_input();
            let spare = input.capacity() - input.len();
            assert!(spare > 0, "no room to read into");
            let (now, later) = left.split_at(left.len().min(spare));
            input.extend_from_slice(now);
            connection.restore_input(input);
            left = later;
            drain(&mut connection, &mut current, &mut seen);
        }
    }
    connection.end_input();
    drain(&mut connection, &mut current, &mut seen);
    seen
}

/// What `input` leads to; the same however it is split, or the test fails.
fn run_split_everywhere(limits: Limits, input: &[u8]) -> Vec<Seen> {
    let whole = run(limits, [input]);
    for at in 1..input.len() {
        let (front, back) = input.split_at(at);
        assert_eq!(run(limits, [front, back]), whole, "split at {at}: {:?}", text(input));
    }
    assert_eq!(run(limits, input.chunks(1)), whole, "byte by byte: {:?}", text(input));
    let mut received = Connection::new(limits);
    received.receive(input);
    received.end_input();
    let mut seen = Vec::new();
    drain(&mut received, &mut None, &mut seen);
    assert_eq!(seen, whole, "received at once: {:?}", text(input));
    whole
}

/// The requests in `input`, all of which are sound.
fn requests(input: &str) -> Vec<Request> {
    let seen = run_split_everywhere(Limits::default(), input.as_bytes());
    let mut requests = Vec::new();
    for (index, seen_one) in seen.iter().enumerate() {
        match seen_one {
            Seen::Request(request) => requests.push((**request).clone()),
            Seen::Closed => assert_eq!(index + 1, seen.len()),
            Seen::Refused(refused) => panic!("{refused:?}: {input:?}"),
        }
    }
    requests
}

fn refusal(input: &str) -> Option<Refused> {
    refusal_under(Limits::default(), input.as_bytes())
}

fn refusal_under(limits: Limits, input: &[u8]) -> Option<Refused> {
    match run_split_everywhere(limits, input).as_slice() {
        [.., Seen::Refused(refused), Seen::Closed] => Some(*refused),
        _ => None,
    }
}

const GET: &str = "GET /session/b/1?api_key=k HTTP/1.1\r\nHost: h\r\nX-A:  1 \r\n\r\n";

#[test]
fn a_request_is_told_in_full() {
    let [request] = requests(GET).try_into().unwrap();
    assert_eq!(
        (request.method, request.version, request.form),
        (Method::Get, HttpVersion::Http11, TargetForm::Origin)
    );
    assert_eq!((request.path.as_str(), request.query.as_deref()), ("/session/b/1", Some("api_key=k")));
    let fields = [("Host".to_owned(), b"h".to_vec()), ("X-A".to_owned(), b"1".to_vec())];
    assert_eq!((request.fields, request.length), (fields.to_vec(), BodyLength::None));
    assert!(request.keep_alive && !request.expects_continue && request.body.is_empty());
}

#[test]
fn pipelined_requests_come_in_order_with_their_bodies() {
    let post = "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    let chunked = "PUT /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n";
    let delete = "DELETE /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    let all = requests(&[post, chunked, GET, delete].concat());
    let told: Vec<_> = all.iter().map(|request| (request.method, text(&request.body))).collect();
    let expected = [
        (Method::Post, "hello".to_owned()),
        (Method::Put, "abcde".to_owned()),
        (Method::Get, String::new()),
        (Method::Delete, String::new()),
    ];
    assert_eq!(told, expected);
}

/// A refusal's row: the section of RFC 9112 (or of the RFC named), the refusal, what earns it.
type Row = (&'static str, Refused, &'static str);

fn assert_refused(rows: &[Row]) {
    for (section, refused, input) in rows {
        assert_eq!(refusal(input), Some(*refused), "{section}: {input:?}");
        // A sound request before it is still served.
        let after_another = [GET, input].concat();
        let seen = run(Limits::default(), [after_another.as_bytes()]);
        assert!(
            matches!(seen.as_slice(), [Seen::Request(_), Seen::Refused(_), Seen::Closed]),
            "{input:?}: {seen:?}"
        );
    }
}

#[test]
fn request_lines_are_refused_unless_they_are_sound() {
    use Refused::*;
    assert_refused(&[
        ("2.2", BareLineFeed, "GET / HTTP/1.1\nHost: h\r\n\r\n"),
        ("2.2", BareLineFeed, "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("2.2", BareLineFeed, "GET\n / HTTP/1.1\r\n"),
        ("2.2", BareLineFeed, "GET /\n"),
        ("2.2", BareCarriageReturn, "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("2.2", BareCarriageReturn, "\r\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("2.2", BareCarriageReturn, "GET /\ra HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("2.2", BareCarriageReturn, "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n"),
        ("2.2", MalformedRequestLine, "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("2.2", MalformedRequestLine, " GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3", MalformedRequestLine, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3", MalformedRequestLine, "GET /  HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3", MalformedRequestLine, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n"),
        ("3", MalformedRequestLine, "GET / a HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3", MalformedRequestLine, "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3", InvalidTarget, "GET \t/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3", MalformedRequestLine, "GET /\r\n\r\n"),
        ("3", MalformedRequestLine, "GET / \r\nHost: h\r\n\r\n"),
        ("3.1", MalformedRequestLine, "G@T / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3.1", MalformedRequestLine, "\u{16}\u{3}\u{1}\u{2}"),
        ("3.2", InvalidTarget, "GET session HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3.2", InvalidTarget, "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3.2", InvalidTarget, "GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3.2", InvalidTarget, "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3.2", InvalidTarget, "GET /\u{7f} HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3.2.2", InvalidTarget, "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("3.2.3", InvalidTarget, "CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("2.3", MalformedRequestLine, "GET / http/1.1\r\nHost: h\r\n\r\n"),
        ("2.3", MalformedRequestLine, "GET / HTTP/1.10\r\nHost: h\r\n\r\n"),
        ("2.3", MalformedRequestLine, "GET / HTTP/1\r\nHost: h\r\n\r\n"),
        ("9110 2.5", VersionNotSupported, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"),
        ("9110 2.5", VersionNotSupported, "GET / HTTP/0.9\r\nHost: h\r\n\r\n"),
        ("9113 3.4", VersionNotSupported, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ]);
}

#[test]
fn fields_are_refused_unless_they_are_sound() {
    use Refused::*;
    assert_refused(&[
        ("2.2", BareLineFeed, "GET / HTTP/1.1\r\nHost: h\n\r\n"),
        ("2.2", BareLineFeed, "GET / HTTP/1.1\r\nHost: h\r\n\n"),
        ("2.2", BareLineFeed, "GET / HTTP/1.1\r\n\nHost: h\r\n\r\n"),
        ("2.2", BareCarriageReturn, "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"),
        ("2.2", BareCarriageReturn, "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n"),
        ("2.2", BareCarriageReturn, "GET / HTTP/1.1\r\nHost: h\r\nX\r: y\r\n\r\n"),
        ("2.2", FoldedField, "GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
        ("5.2", FoldedField, "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"),
        ("5.2", FoldedField, "GET / HTTP/1.1\r\nHost: h\r\nX:\r\n\tb\r\n\r\n"),
        ("5.1", SpaceBeforeColon, "GET / HTTP/1.1\r\nHost : h\r\n\r\n"),
        ("5.1", SpaceBeforeColon, "GET / HTTP/1.1\r\nHost: h\r\nContent-Length\t: 1\r\n\r\na"),
        ("5", InvalidFieldName, "GET / HTTP/1.1\r\nHost: h\r\n: v\r\n\r\n"),
        ("5", InvalidFieldName, "GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n"),
        ("5", InvalidFieldName, "GET / HTTP/1.1\r\nHost: h\r\nX Y: v\r\n\r\n"),
        ("5", InvalidFieldName, "GET / HTTP/1.1\r\nHost: h\r\nX(: v\r\n\r\n"),
        ("5", InvalidFieldName, "GET / HTTP/1.1\r\nHost: h\r\nX\0: v\r\n\r\n"),
        ("5", InvalidFieldName, "GET / HTTP/1.1\r\nHost: h\r\n\u{e9}: v\r\n\r\n"),
        ("9110 5.5", InvalidFieldValue, "GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"),
        ("9110 5.5", InvalidFieldValue, "GET / HTTP/1.1\r\nHost: h\r\nX: \u{1}\r\n\r\n"),
        ("9110 5.5", InvalidFieldValue, "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{7f}\r\n\r\n"),
        ("9110 5.5", InvalidFieldValue, "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{1b}[1m\r\n\r\n"),
        ("3.2", HostMissing, "GET / HTTP/1.1\r\n\r\n"),
        ("3.2", HostMissing, "GET http://h/ HTTP/1.1\r\nX: y\r\n\r\n"),
        ("3.2", HostRepeated, "GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n"),
        ("3.2", HostRepeated, "GET / HTTP/1.0\r\nHost: h\r\nHost: g\r\n\r\n"),
        ("3.2", HostInvalid, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        ("3.2", HostInvalid, "GET / HTTP/1.1\r\nHost: h/a\r\n\r\n"),
        ("3.2", HostInvalid, "GET http://h/ HTTP/1.1\r\nHost: u@h\r\n\r\n"),
        ("3.2", HostInvalid, "GET / HTTP/1.0\r\nHost: h:port\r\n\r\n"),
        ("9110 10.1.1", ExpectationUnknown, "PUT / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n"),
        ("9110 10.1.1", ExpectationUnknown, "PUT / HTTP/1.1\r\nHost: h\r\nExpect:\r\n\r\n"),
        ("9110 10.1.1", ExpectationUnknown, "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue, tea\r\n\r\n"),
    ]);
}

#[test]
fn bodies_are_refused_unless_their_framing_is_beyond_doubt() {
    use Refused::*;
    assert_refused(&[
        (
            "6.1",
            LengthAndCoding,
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "6.1",
            LengthAndCoding,
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "6.1",
            LengthAndCoding,
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        ),
        ("6.1", CodingInHttp10, "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("6.1", CodingInHttp10, "PUT / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n"),
        ("6.1", CodingUnknown, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n"),
        ("6.1", CodingUnknown, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        ("6.1", CodingUnknown, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n"),
        ("7", CodingUnknown, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n"),
        ("6.3", CodingInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"),
        ("6.1", CodingInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"),
        ("6.1", CodingInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n"),
        ("6.1", CodingInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ,chunked\r\n\r\n"),
        ("6.1", CodingInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked;a=b\r\n\r\n"),
        ("6.1", CodingInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n"),
        ("6.1", CodingInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chun ked\r\n\r\n"),
        ("6.1", InvalidFieldValue, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n"),
        (
            "6.3",
            CodingRepeated,
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "6.3",
            ContentLengthRepeated,
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        ),
        (
            "6.3",
            ContentLengthRepeated,
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\na",
        ),
        ("6.3", ContentLengthInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\na"),
        ("9110 8.6", ContentLengthInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na"),
        ("9110 8.6", ContentLengthInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\na"),
        ("9110 8.6", ContentLengthInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n"),
        ("9110 8.6", ContentLengthInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\na"),
        ("9110 8.6", ContentLengthInvalid, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1 1\r\n\r\na"),
        (
            "6.3",
            ContentLengthInvalid,
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n",
        ),
        (
            "9110 15.5.14",
            BodyTooLarge,
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n",
        ),
        ("9110 15.5.14", BodyTooLarge, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n"),
    ]);
}

#[test]
fn chunked_bodies_are_refused_with_their_request() {
    use Refused::*;
    let rows = [
        ("7.1", ChunkSizeInvalid, "x\r\n"),
        ("7.1", ChunkUnterminated, "1\r\nab\r\n0\r\n\r\n"),
        ("2.2", BareLineFeed, "1\na\r\n0\r\n\r\n"),
        ("7.1.2", TrailerInvalid, "0\r\nbad trailer\r\n\r\n"),
        ("9110 15.5.14", BodyTooLarge, "3e9\r\n"),
    ];
    for (section, refused, body) in rows {
        let input = format!("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert_eq!(refusal(&input), Some(refused), "{section}: {body:?}");
    }
}

#[test]
fn requests_that_are_odd_but_sound_are_taken() {
    let rows = [
        "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.7\r\nHost: h\r\n\r\n",
        "get / HTTP/1.1\r\nHost: h\r\n\r\n",
        "M-SEARCH * HTTP/1.1\r\nHost:\r\n\r\n",
        "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
        "GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nhOsT:h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \t h \t \r\nX:\r\nY: \t\r\nX: \u{e9}\tb\r\n\r\n",
        "GET /%zz?%00 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0000000000000000000000001\r\n\r\na",
        "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \tCHUNKED\r\n\r\n0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nExpect: 100-continue\r\n\r\n",
        "PUT / HTTP/1.0\r\nExpect: tea\r\n\r\n",
    ];
    for input in rows {
        assert_eq!(requests(input).len(), 1, "{input:?}");
    }
}

#[test]
fn a_higher_minor_version_is_1_1() {
    let [request] = requests("GET / HTTP/1.9\r\nHost: h\r\n\r\n").try_into().unwrap();
    assert_eq!((request.version, request.keep_alive), (HttpVersion::Http11, true));
    assert_eq!(refusal("GET / HTTP/1.9\r\n\r\n"), Some(Refused::HostMissing));
}

#[test]
fn the_absolute_form_is_served_by_its_path() {
    let rows =
        [("http://h", "/", None), ("http://h?q", "/", Some("q")), ("HTTP://h:1/a/b?q", "/a/b", Some("q"))];
    for (target, path, query) in rows {
        let [request] = requests(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).try_into().unwrap();
        assert_eq!(request.form, TargetForm::Absolute);
        assert_eq!((request.path.as_str(), request.query.as_deref()), (path, query), "{target}");
    }
    let [request] = requests("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").try_into().unwrap();
    assert_eq!((request.form, request.path.as_str()), (TargetForm::Asterisk, ""));
}

#[test]
fn nothing_is_taken_behind_a_request_that_closes() {
    let closing = "GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let seen = run_split_everywhere(Limits::default(), [closing, GET].concat().as_bytes());
    assert!(matches!(seen.as_slice(), [Seen::Request(_), Seen::Closed]), "{seen:?}");
    let seen = run_split_everywhere(Limits::default(), ["GET / HTTP/1.0\r\n\r\n", GET].concat().as_bytes());
    assert!(matches!(seen.as_slice(), [Seen::Request(_), Seen::Closed]), "{seen:?}");
}

#[test]
fn the_end_of_input_closes_wherever_it_comes() {
    let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    for at in 0..post.len() {
        assert_eq!(run(Limits::default(), [&post.as_bytes()[..at]]), [Seen::Closed], "cut at {at}");
    }
    assert_eq!(run(Limits::default(), [post.as_bytes()]).len(), 2);
}

const LIMITS: Limits = Limits {
    head_bytes_max: 100,
    target_bytes_max: 20,
    fields_max: 3,
    trailer_bytes_max: 10,
    chunk_overhead_bytes_max: 5,
};

#[test]
fn each_limit_of_a_head_takes_what_reaches_it_and_refuses_what_passes_it() {
    let with_target = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(len - 1));
    let with_fields =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X:\r\n".repeat(count - 1));
    let with_head = |len: usize| format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(len - 32));
    assert_eq!(with_head(100).len(), 100);
    let rows = [
        (with_target(20), with_target(21), Refused::TargetTooLong),
        (with_fields(3), with_fields(4), Refused::TooManyFields),
        (with_head(100), with_head(101), Refused::HeadTooLong),
    ];
    for (within, beyond, refused) in rows {
        assert_eq!(refusal_under(LIMITS, within.as_bytes()), None, "{within:?}");
        assert_eq!(refusal_under(LIMITS, beyond.as_bytes()), Some(refused), "{beyond:?}");
    }
}

#[test]
fn a_limit_is_judged_without_waiting_for_the_end_of_the_head() {
    let rows = [
        (format!("GET /{}", "a".repeat(20)), Refused::TargetTooLong),
        ("a".repeat(101), Refused::HeadTooLong),
        ("GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nD:\r\n".to_owned(), Refused::TooManyFields),
        (format!("GET / HTTP/1.1\r\nHost: {}", "a".repeat(79)), Refused::HeadTooLong),
    ];
    for (input, refused) in rows {
        let mut connection = Connection::new(LIMITS);
        connection.receive(&input.as_bytes()[..input.len() - 1]);
        let before = connection.poll();
        connection.receive(&input.as_bytes()[input.len() - 1..]);
        assert_eq!((before, connection.poll()), (Event::Starved, Event::Refused(refused)), "{input:?}");
    }
}

/// A connection that has been given `input` and has found its head.
fn at_head(input: &str) -> Connection {
    let mut connection = Connection::new(Limits::default());
    connection.receive(input.as_bytes());
    assert_eq!(connection.poll(), Event::Head);
    connection
}

const COLLECT: BodyPlan = BodyPlan::Collect { bytes_max: 1 << 20 };

#[test]
fn a_client_that_waits_for_a_word_gets_it_once() {
    let head = |fields: &str| format!("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n{fields}\r\n");
    let rows = [
        (head("Content-Length: 5\r\n"), ContinueDue::Due),
        (head("Transfer-Encoding: chunked\r\n"), ContinueDue::Due),
        (head("Content-Length: 1000000\r\n"), ContinueDue::Due),
        (head("Content-Length: 5\r\n") + "h", ContinueDue::NotDue),
        (head("Transfer-Encoding: chunked\r\n") + "5", ContinueDue::NotDue),
        (head("Content-Length: 0\r\n"), ContinueDue::NotDue),
        (head(""), ContinueDue::NotDue),
        ("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n".to_owned(), ContinueDue::NotDue),
        (
            "PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n".to_owned(),
            ContinueDue::NotDue,
        ),
    ];
    for (input, due) in rows {
        assert_eq!(at_head(&input).accept_body(COLLECT), due, "{input:?}");
    }
    let plan = BodyPlan::Discard { bytes_max: 100 };
    assert_eq!(at_head(&head("Content-Length: 5\r\n")).accept_body(plan), ContinueDue::Due);
}

#[test]
fn a_short_body_is_borrowed_from_the_input_and_a_long_one_has_a_buffer() {
    let mut short = at_head("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    let _ = short.accept_body(COLLECT);
    assert_eq!((short.poll(), short.body()), (Event::Body, b"hello".as_slice()));
    assert_eq!((short.take_body(), short.body_bytes_buffered()), (None, 5));
    assert_eq!(short.head().path(), b"/", "the head is there as long as its input is");

    let mut long = at_head("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n");
    let _ = long.accept_body(COLLECT);
    for _ in 0..5 {
        assert_eq!(long.poll(), Event::Starved);
        long.receive(&[b'x'; 1000]);
    }
    assert_eq!((long.poll(), long.body().len()), (Event::Body, 5000));
    assert!(long.body_bytes_buffered() >= 5000);
    assert_eq!(long.take_body(), Some(vec![b'x'; 5000]));
    assert!(long.body().is_empty());
    long.finish_request();
    assert_eq!((long.poll(), long.phase()), (Event::Starved, Phase::Idle));
}

#[test]
fn what_a_client_announces_allocates_nothing() {
    let mut connection = at_head("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    let _ = connection.accept_body(COLLECT);
    assert_eq!((connection.poll(), connection.body_bytes_buffered()), (Event::Starved, 0));
    assert!(connection.take_input().capacity() <= 4096);
}

#[test]
fn a_discarded_body_is_read_to_its_end_and_leaves_nothing() {
    for framed in
        ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        let mut connection = at_head(&format!("GET / HTTP/1.1\r\nHost: h\r\n{framed}{GET}"));
        let _ = connection.accept_body(BodyPlan::Discard { bytes_max: 5 });
        assert_eq!(connection.poll(), Event::Body);
        connection.finish_request();
        assert_eq!((connection.poll(), connection.head().path()), (Event::Head, b"/session/b/1".as_slice()));
    }
}

#[test]
fn a_body_that_is_too_long_to_discard_is_refused() {
    for framed in ["Content-Length: 6\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n6\r\n"] {
        let mut connection = at_head(&format!("GET / HTTP/1.1\r\nHost: h\r\n{framed}"));
        assert_eq!(connection.accept_body(BodyPlan::Discard { bytes_max: 5 }), ContinueDue::NotDue);
        assert_eq!(connection.poll(), Event::Refused(Refused::BodyTooLarge));
        assert_eq!((connection.poll(), connection.keeps_alive()), (Event::Closed, false));
    }
}

#[test]
fn a_request_without_a_body_may_be_finished_at_its_head() {
    let mut connection = at_head(&[GET, GET].concat());
    connection.finish_request();
    assert_eq!(connection.poll(), Event::Head);
    connection.finish_request();
    assert_eq!((connection.poll(), connection.phase()), (Event::Starved, Phase::Idle));
}

#[test]
fn a_request_whose_body_was_not_read_is_the_last() {
    let mut connection = at_head("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    connection.finish_request();
    assert_eq!((connection.poll(), connection.keeps_alive()), (Event::Closed, false));
}

#[test]
fn a_closed_connection_takes_no_request_that_is_already_there() {
    let mut connection = at_head(&[GET, GET].concat());
    connection.close();
    assert_eq!((connection.keeps_alive(), connection.phase()), (false, Phase::Done));
    connection.finish_request();
    assert_eq!((connection.poll(), connection.poll()), (Event::Closed, Event::Closed));
}

#[test]
fn a_phase_tells_what_is_waited_for() {
    let mut connection = Connection::new(Limits::default());
    assert_eq!(connection.phase(), Phase::Idle);
    connection.receive(b"P");
    assert_eq!(
        (connection.phase(), connection.poll(), connection.phase()),
        (Phase::Head, Event::Starved, Phase::Head)
    );
    connection.receive(b"UT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
    assert_eq!((connection.poll(), connection.phase()), (Event::Head, Phase::Answering));
    let _ = connection.accept_body(COLLECT);
    assert_eq!((connection.poll(), connection.phase()), (Event::Starved, Phase::Body));
    connection.receive(b"ab");
    assert_eq!((connection.poll(), connection.phase()), (Event::Body, Phase::Answering));
    connection.finish_request();
    assert_eq!(connection.phase(), Phase::Idle);
    connection.end_input();
    assert_eq!((connection.poll(), connection.phase()), (Event::Closed, Phase::Done));
}

#[test]
fn a_question_asked_again_has_the_same_answer() {
    let mut connection = at_head("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    assert_eq!(connection.poll(), Event::Head);
    let _ = connection.accept_body(COLLECT);
    assert_eq!(
        (connection.poll(), connection.poll(), connection.body()),
        (Event::Body, Event::Body, b"ab".as_slice())
    );
}

#[test]
fn more_fields_than_the_parser_has_room_for_are_refused_and_never_lost() {
    let limits = Limits { fields_max: FIELDS_CEILING, ..Limits::default() };
    let with_fields =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    let seen = run(limits, [with_fields(FIELDS_CEILING).as_bytes()]);
    assert!(matches!(&seen[0], Seen::Request(request) if request.fields.len() == FIELDS_CEILING));
    let seen = run(limits, [with_fields(FIELDS_CEILING + 1).as_bytes()]);
    assert_eq!(seen[0], Seen::Refused(Refused::TooManyFields));
}

/// Numbers that follow from a seed (splitmix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// Writes a sound request and returns what it must be read as.
fn write_request(draws: &mut Draws, wire: &mut Vec<u8>) -> (String, Vec<u8>) {
    let path = format!("/{}", draws.below(1 << 30));
    let mut body_len = [0, 1, 100, BODY_BYTES_MAX][draws.below(4)];
    wire.extend_from_slice([b"".as_slice(), b"\r\n"][draws.below(2)]);
    wire.extend_from_slice(format!("PUT {path} HTTP/1.1\r\nHost: h\r\n").as_bytes());
    for _ in 0..draws.below(40) {
        wire.extend_from_slice(
            format!("X-{}: {}\r\n", draws.below(99), "v".repeat(draws.below(90))).as_bytes(),
        );
    }
    let body = draws.bytes(body_len);
    if draws.below(2) == 0 {
        wire.extend_from_slice(format!("Content-Length: {body_len}\r\n\r\n").as_bytes());
        wire.extend_from_slice(&body);
        return (path, body);
    }
    wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    let mut rest = body.as_slice();
    while body_len > 0 {
        let (chunk, later) = rest.split_at(1 + draws.below(body_len));
        wire.extend_from_slice(format!("{:x}{}\r\n", chunk.len(), [";a=b", ""][draws.below(2)]).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
        (rest, body_len) = (later, later.len());
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    (path, body)
}

#[test]
fn requests_are_read_as_they_were_written_whatever_the_pieces() {
    for seed in 0..200 {
        let mut draws = Draws(seed);
        let (mut wire, mut written) = (Vec::new(), Vec::new());
        for _ in 0..=draws.below(8) {
            written.push(write_request(&mut draws, &mut wire));
        }
        let (mut pieces, mut rest) = (Vec::new(), wire.as_slice());
        let piece_len_max = [3, 50, 5000][draws.below(3)];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.len().min(1 + draws.below(piece_len_max)));
            pieces.push(piece);
            rest = later;
        }
        let mut read = Vec::new();
        for seen in run(Limits::default(), pieces) {
            match seen {
                Seen::Request(request) => read.push((request.path, request.body)),
                Seen::Closed => {}
                Seen::Refused(refused) => panic!("seed {seed}: {refused:?}"),
            }
        }
        assert_eq!(read, written, "seed {seed}");
    }
}

#[test]
fn no_garbage_makes_a_connection_panic_or_depend_on_its_pieces() {
    const SCRAPS: [&[u8]; 16] = [
        b"GET ",
        b"/ ",
        b"HTTP/1.1",
        b"\r\n",
        b"\n",
        b"\r",
        b"Host: h",
        b"Content-Length: ",
        b"5",
        b"\r\n\r\n",
        b"Transfer-Encoding: chunked",
        b"0",
        b";",
        b"hello",
        b" ",
        b"\0",
    ];
    for seed in 0..2000 {
        let mut draws = Draws(seed);
        let mut wire = Vec::new();
        for _ in 0..draws.below(24) {
            wire.extend_from_slice(SCRAPS[draws.below(SCRAPS.len())]);
        }
        assert_pieces_change_nothing(seed, LIMITS, &wire);
    }
}

#[test]
fn no_fault_in_a_sound_request_depends_on_its_pieces() {
    const FAULTS: [&[u8]; 10] = [b"", b"\r", b"\n", b" ", b"\t", b":", b";", b"\0", b"0", b"\r\n"];
    for seed in 0..500 {
        let mut draws = Draws(seed);
        let mut wire = Vec::new();
        write_request(&mut draws, &mut wire);
        for _ in 0..=draws.below(3) {
            let at = draws.below(wire.len().min(2000));
            wire.splice(at..=at, FAULTS[draws.below(FAULTS.len())].iter().copied());
        }
        assert_pieces_change_nothing(seed, Limits::default(), &wire);
    }
}

fn assert_pieces_change_nothing(seed: u64, limits: Limits, wire: &[u8]) {
    let whole = run(limits, [wire]);
    assert_eq!(whole.last(), Some(&Seen::Closed), "seed {seed}");
    for piece_len in [1, 7, 300] {
        assert_eq!(
            run(limits, wire.chunks(piece_len)),
            whole,
            "seed {seed}, by {piece_len}: {:?}",
            text(wire)
        );
    }
}

#[test]
fn there_is_always_room_to_read_ahead() {
    let mut connection = Connection::new(Limits::default());
    let mut input = connection.take_input();
    let head = format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", input.capacity() - 50);
    input.extend_from_slice(head.as_bytes());
    input.resize(input.capacity(), b'x');
    connection.restore_input(input);
    assert_eq!(connection.poll(), Event::Head);
    let _ = connection.accept_body(COLLECT);
    for _ in 0..20 {
        let input = connection.take_input();
        assert!(input.capacity() > input.len());
        connection.restore_input(input);
        connection.receive(b"x");
        let _ = connection.poll();
    }
    assert_eq!(connection.phase(), Phase::Answering);
}

#[test]
#[should_panic(expected = "a known length is judged at the head")]
#[cfg(debug_assertions)]
fn a_driver_that_collects_more_than_it_may_is_caught() {
    let _ = at_head("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n")
        .accept_body(BodyPlan::Collect { bytes_max: 5 });
}
