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

#[test]
fn a_bare_line_feed_is_refused() {
    assert_eq!(refusal("GET / HTTP/1.1\nHost: h\n\n"), Some(Refused::BareLineFeed));
}
