//! Whether a connection stays, and what is said before a body: `Connection`, HTTP/1.0, `Expect`.
//!
//! An answer that announces a close is followed by one, and by nothing else.

use crate::support::{App, on_each};

#[test]
fn a_connection_stays_until_it_is_asked_to_close() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let path = app.path(&id);
        for _ in 0..50 {
            assert!(!app.get(&id, &[]).expect(200).closes());
        }
        assert!(!app.get(&id, &[("Connection", "keep-alive")]).closes());
        for value in ["close", "Close", "keep-alive, close", "x , close"] {
            let mut client = server.connect();
            client.send(&app.bytes("GET", &path, &[("Connection", value)], b"").repeat(2));
            let response = client.read_response().expect(200);
            assert_eq!(response.must("Connection"), "close", "{value}: {response}");
            client.expect_closed();
        }
    });
}

#[test]
fn an_old_client_gets_its_answer_and_a_close() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (path, key) = (app.path(&id), &app.key);
        for head in [
            format!("GET {path} HTTP/1.0\r\nX-SESSION-KEY: {key}\r\n\r\n"),
            format!("GET {path} HTTP/1.0\r\nHost: x\r\nX-SESSION-KEY: {key}\r\n\r\n"),
            format!("GET {path}?api_key={key} HTTP/1.0\r\n\r\n"),
            format!("GET {path}?api_key={key} HTTP/1.0\r\nConnection: close\r\n\r\n"),
        ] {
            let mut client = server.connect();
            client.send(head.as_bytes());
            let response = client.read_response().expect(200);
            assert_eq!(response.body, b"data");
            assert_ne!(response.field("Connection"), Some("keep-alive"), "{response}");
            client.expect_closed();
        }
    });
}

#[test]
fn an_old_client_may_ask_to_stay() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (path, key) = (app.path(&id), &app.key);
        let mut client = server.connect();
        for value in ["keep-alive", "Keep-Alive"] {
            let head = format!("GET {path} HTTP/1.0\r\nConnection: {value}\r\nX-SESSION-KEY: {key}\r\n\r\n");
            client.send(head.as_bytes());
            let response = client.read_response().expect(200);
            assert!(response.must("Connection").eq_ignore_ascii_case("keep-alive"), "{response}");
        }
        let post = format!("POST {path} HTTP/1.0\r\nX-SESSION-KEY: {key}\r\nContent-Length: 3\r\n\r\nnew");
        client.send(post.as_bytes());
        client.read_response().expect(200);
        client.expect_closed();
        assert_eq!(app.get(&id, &[]).expect(200).body, b"new");
    });
}

#[test]
fn a_client_that_expects_it_is_told_to_go_on() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let path = app.path(&id);
        for expect in ["100-continue", "100-Continue"] {
            let request = app.bytes("POST", &path, &[("Expect", expect)], b"awaited");
            let (head, body) = request.split_at(request.len() - 7);
            app.client.send(head);
            app.client.read_response().expect(100);
            app.client.send(body);
            app.client.read_response().expect(200);
            assert_eq!(app.get(&id, &[]).expect(200).body, b"awaited");
        }
        let chunked =
            [("Expect", "100-continue"), ("Transfer-Encoding", "chunked"), ("X-SESSION-KEY", &app.key)];
        let head = crate::support::build_request("PUT", &app.bucket_path(), &chunked, b"");
        app.client.send(&head);
        app.client.read_response().expect(100);
        app.client.send(b"3\r\nabc\r\n0\r\n\r\n");
        let id = app.client.read_response().expect(201);
        assert_eq!(app.get(id.text(), &[]).expect(200).body, b"abc");
    });
}

#[test]
fn an_expectation_is_met_even_when_the_body_is_already_there() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let request = app.bytes("POST", &app.path(&id), &[("Expect", "100-continue")], b"sent at once");
        app.client.send(&request);
        let mut response = app.client.read_response();
        if response.status == 100 {
            response = app.client.read_response();
        }
        response.expect(200);
        assert_eq!(app.get(&id, &[]).expect(200).body, b"sent at once");
    });
}

#[test]
fn nobody_is_told_to_go_on_with_what_is_refused() {
    on_each(|server| {
        let app = App::new(server);
        let (bucket, key) = (app.bucket_path(), app.key.as_str());
        let good = ("X-SESSION-KEY", key);
        let refuse = |method: &str, fields: &[(&str, &str)], status| {
            let fields = [&[("Expect", "100-continue")], fields].concat();
            let mut client = server.connect();
            client.send(&crate::support::build_request(method, &bucket, &fields, b""));
            client.read_response().expect(status);
        };
        refuse("PUT", &[("X-SESSION-KEY", "wrong"), ("Content-Length", "5")], 401);
        refuse("PUT", &[("Content-Length", "5")], 401);
        refuse("PATCH", &[good, ("Content-Length", "5")], 405);
        refuse("PUT", &[good, ("Content-Length", "99999999")], 413);
        refuse("PUT", &[good, ("Content-Length", "5"), ("Content-Encoding", "gzip")], 415);
        refuse("PUT", &[good, ("Content-Length", "5"), ("X-Session-TTL", "0")], 400);
    });
}

#[test]
fn an_expectation_of_an_old_client_is_ignored() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (path, key) = (app.path(&id), &app.key);
        let mut client = server.connect();
        let head = format!(
            "POST {path} HTTP/1.0\r\nX-SESSION-KEY: {key}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        );
        client.send(head.as_bytes());
        client.send(b"new");
        client.read_response().expect(200);
        client.expect_closed();
    });
}
