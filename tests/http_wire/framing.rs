//! Heads and bodies as they may be written: the forms that must be taken.
//!
//! Bodies where none is of use contain text that looks like a request: a server that did
//! not frame them would answer it.

use crate::support::{App, build_chunked, build_request, on_each};

#[test]
fn a_head_may_be_written_in_any_legal_way() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (path, key) = (app.path(&id), app.key.clone());
        for head in [
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-SESSION-KEY: {key}\r\n\r\n"),
            format!("GET {path} HTTP/1.1\r\nhOST:x\r\nx-session-key:{key}\r\n\r\n"),
            format!("GET {path} HTTP/1.1\r\nHost: \t x \t \r\nX-SESSION-KEY:\t{key}  \r\n\r\n"),
            format!("GET {path} HTTP/1.1\r\nX-SESSION-KEY: {key}\r\nHost: [::1]:8385\r\n\r\n"),
            format!(
                "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8385\r\nX-Empty:\r\nX-SESSION-KEY: {key}\r\n\r\n"
            ),
            format!(
                "GET {path} HTTP/1.1\r\nHost: x\r\n!#$%&'*+-.^_`|~09Az: {{}}\"\r\nX-SESSION-KEY: {key}\r\n\r\n"
            ),
            format!("GET {path} HTTP/1.2\r\nHost: x\r\nX-SESSION-KEY: {key}\r\n\r\n"),
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX-SESSION-KEY: {key}\r\n\r\n"),
            format!("\r\nGET {path} HTTP/1.1\r\nHost: x\r\nX-SESSION-KEY: {key}\r\n\r\n"),
        ] {
            app.client.send(head.as_bytes());
            assert_eq!(app.client.read_response().expect(200).body, b"data", "{head:?}");
        }
    });
}

#[test]
fn a_target_in_absolute_form_names_the_same_session() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (path, key) = (app.path(&id), app.key.clone());
        for target in [
            format!("http://seshun.test{path}"),
            format!("http://other.test:99{path}"),
            format!("HTTP://[::1]:1{path}?x=1"),
            format!("https://seshun.test{path}"),
        ] {
            assert_eq!(app.call("GET", &target, &[], b"").expect(200).body, b"data", "{target}");
        }
        let with_key = format!("http://seshun.test{path}?api_key={key}");
        app.client.request("GET", &with_key, &[], b"").expect(200);
        for target in ["http://seshun.test", "http://seshun.test/", "http://seshun.test?x=1"] {
            assert_eq!(app.call("GET", target, &[], b"").expect(405).must("Allow"), "");
        }
    });
}

#[test]
fn the_asterisk_and_an_authority_are_405() {
    on_each(|server| {
        let mut app = App::new(server);
        for (method, target) in [("OPTIONS", "*"), ("GET", "*"), ("CONNECT", "seshun.test:443")] {
            let response = app.call(method, target, &[], b"").expect(405);
            assert_eq!(response.must("Allow"), "", "{method} {target}: {response}");
        }
    });
}

#[test]
fn bodies_where_none_is_of_use_are_read_and_dropped() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (path, key) = (app.path(&id), app.key.clone());
        let fields = [("X-SESSION-KEY", key.as_str())];
        // A body that was not framed would be taken for this request.
        let body = b"DELETE /session/x/y HTTP/1.1\r\n\r\n";
        let large = vec![b'x'; 100_000];
        for method in ["GET", "HEAD", "GET"] {
            for request in [
                build_request(method, &path, &fields, body),
                build_chunked(method, &path, &fields, &[body, b"more"]),
                build_request(method, &path, &fields, &large),
            ] {
                app.client.send(&request);
                app.client.read_response_to(method).expect(200);
            }
        }
        for body in [&body[..], &large] {
            let id = app.create(b"data");
            app.client.send(&build_request("DELETE", &app.path(&id), &fields, body));
            app.client.read_response().expect(200);
            app.get(&id, &[]).expect(404);
        }
        assert_eq!(app.get(&id, &[]).expect(200).body, b"data");
    });
}

#[test]
fn a_head_answer_has_a_length_and_no_bytes() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"some data");
        let (head, get) =
            (app.bytes("HEAD", &app.path(&id), &[], b""), app.bytes("GET", &app.path(&id), &[], b""));
        app.client.send(&[&head[..], &get, &head, &get].concat());
        for _ in 0..2 {
            let response = app.client.read_response_to("HEAD").expect(200);
            assert_eq!(response.must("Content-Length"), "9");
            assert_eq!(app.client.read_response().expect(200).body, b"some data");
        }
        for (path, status) in [(app.path("no-id"), 404), ("/nowhere".to_owned(), 405)] {
            app.call("HEAD", &path, &[], b"").expect(status);
            assert_eq!(app.get(&id, &[]).expect(200).body, b"some data");
        }
    });
}

#[test]
fn a_client_that_has_ended_its_side_still_gets_its_answers() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let get = app.bytes("GET", &app.path(&id), &[], b"");
        let mut client = server.connect();
        client.send(&get.repeat(3));
        client.half_close();
        for _ in 0..3 {
            assert_eq!(client.read_response().expect(200).body, b"data");
        }
        client.expect_closed();
    });
}

#[test]
fn a_request_cut_short_is_not_carried_out() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let post = app.bytes("POST", &app.path(&id), &[], b"other");
        let delete = app.bytes("DELETE", &app.path(&id), &[], b"");
        for cut in [&post[..post.len() - 1], &post[..20], &delete[..delete.len() - 1]] {
            let mut client = server.connect();
            client.send(cut);
            client.half_close();
            client.expect_closed_or_refused();
        }
        assert_eq!(app.get(&id, &[]).expect(200).body, b"data");
    });
}
