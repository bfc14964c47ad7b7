//! The same bytes in other pieces: where a read ends must not change an answer.
//!
//! Each request is sent whole, then in two pieces at each of its bytes; all but time,
//! version and connection must be the same.

use crate::support::{App, build_chunked, on_each};

/// Sends each request split at each byte, over one connection, and compares with the unsplit run.
fn check_splits(app: &mut App, method: &str, request: &[u8]) {
    app.client.send(request);
    let whole = app.client.read_response_to(method);
    assert!(whole.status < 300, "{whole}");
    for at in 1..request.len() {
        app.client.send_split(request, at);
        let split = app.client.read_response_to(method);
        assert_eq!(
            split.lasting(),
            whole.lasting(),
            "split at {at} of {:?}",
            String::from_utf8_lossy(request)
        );
        app.client.expect_nothing_more();
    }
}

#[test]
fn a_read_is_the_same_however_it_is_split() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"some data");
        let request = app.bytes("GET", &app.path(&id), &[("Accept", "*/*")], b"");
        check_splits(&mut app, "GET", &request);
        let request = format!("GET {}?api_key={} HTTP/1.1\r\nHost: x\r\n\r\n", app.path(&id), app.key);
        check_splits(&mut app, "GET", request.as_bytes());
    });
}

#[test]
fn a_body_is_the_same_however_it_is_split() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"");
        let path = app.path(&id);
        let request = app.bytes("POST", &path, &[("Content-Type", "text/css")], b"POST / HTTP/1.1\r\n\r\n");
        check_splits(&mut app, "POST", &request);
        assert_eq!(app.get(&id, &[]).expect(200).body, b"POST / HTTP/1.1\r\n\r\n");
        let key = app.key.clone();
        let mut request =
            build_chunked("POST", &path, &[("X-SESSION-KEY", &key)], &[b"one ", b"two\r\n", b"0"]);
        check_splits(&mut app, "POST", &request);
        let end = request.len() - b"0\r\n\r\n".len();
        request.splice(end.., *b"00;last=\"1\"\r\nX-Trailer: yes\r\n\r\n");
        check_splits(&mut app, "POST", &request);
        assert_eq!(app.get(&id, &[]).expect(200).body, b"one two\r\n0");
    });
}

#[test]
fn pipelined_requests_are_the_same_however_they_are_split() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let path = app.path(&id);
        let post = app.bytes("POST", &path, &[], b"new");
        let requests =
            [&post[..], &app.bytes("HEAD", &path, &[], b""), &app.bytes("GET", &path, &[], b"")].concat();
        for at in (1..requests.len()).step_by(3) {
            app.client.send_split(&requests, at);
            app.client.read_response().expect(200);
            app.client.read_response_to("HEAD").expect(200);
            assert_eq!(app.client.read_response().expect(200).body, b"new", "split at {at}");
        }
    });
}

#[test]
fn a_request_that_arrives_byte_by_byte_is_answered() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"");
        let (path, key) = (app.path(&id), app.key.clone());
        let request = build_chunked("POST", &path, &[("X-SESSION-KEY", &key)], &[b"slow", b"ly"]);
        app.client.trickle(&request);
        app.client.read_response().expect(200);
        assert_eq!(app.get(&id, &[]).expect(200).body, b"slowly");
    });
}

#[test]
fn a_refusal_is_the_same_however_its_request_is_split() {
    on_each(|server| {
        for bad in [
            "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/3.0\r\nHost: x\r\n\r\n",
        ] {
            let mut client = server.connect();
            client.send(bad.as_bytes());
            let whole = client.read_response();
            client.expect_closed();
            for at in 1..bad.len() {
                let mut client = server.connect();
                client.send_split(bad.as_bytes(), at);
                let split = client.read_response();
                assert_eq!(split.lasting(), whole.lasting(), "split at {at} of {bad:?}");
            }
        }
    });
}
