//! Chunked bodies: every form that RFC 9112, section 7.1, allows, and none that it does not.
//!
//! What is refused is also looked for afterwards: nothing of a broken body may be stored.

use crate::support::{App, on_each};

/// A POST with these bytes as its chunked body.
fn chunked_post(app: &App, id: &str, body: &str) -> Vec<u8> {
    let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nX-SESSION-KEY: {}\r\n", app.path(id), app.key);
    format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
}

#[test]
fn legal_chunked_bodies_are_put_together() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"");
        for (body, data) in [
            ("0\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
            ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
            ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
            ("0005\r\nhello\r\n000\r\n\r\n", "hello"),
            ("5;ext\r\nhello\r\n0;ext\r\n\r\n", "hello"),
            ("5;a=b;c=\"d e\"\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5\r\nhello\r\n0\r\nX-Trailer: a\r\nY: b\r\n\r\n", "hello"),
            ("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"),
            ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
        ] {
            app.client.send(&chunked_post(&app, &id, body));
            app.client.read_response().expect(200);
            assert_eq!(app.get(&id, &[]).expect(200).text(), data, "{body:?}");
        }
    });
}

#[test]
fn many_small_chunks_are_one_body() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"");
        let body = format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(2000));
        app.client.send(&chunked_post(&app, &id, &body));
        app.client.read_response().expect(200);
        assert_eq!(app.get(&id, &[]).expect(200).text(), "x".repeat(2000));
    });
}

#[test]
fn a_broken_chunked_body_is_400_and_not_applied() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        for body in [
            "g\r\nx\r\n0\r\n\r\n",
            "\r\nx\r\n0\r\n\r\n",
            "-1\r\nx\r\n0\r\n\r\n",
            "+1\r\nx\r\n0\r\n\r\n",
            "0x1\r\nx\r\n0\r\n\r\n",
            " 1\r\nx\r\n0\r\n\r\n",
            "1\nx\r\n0\r\n\r\n",
            "1\rx\r\n0\r\n\r\n",
            "1\r\nx\n0\r\n\r\n",
            "1\r\nx0\r\n\r\n",
            "1\r\nxy\r\n0\r\n\r\n",
            "1\r\nx\r\n0\n\r\n",
            "1\r\nx\r\n0\r\n\n",
            "1\r\nx\r\n0\r\nno colon\r\n\r\n",
            "1\r\nx\r\n0\r\nX : y\r\n\r\n",
            "1\r\nx\r\n0\r\n: y\r\n\r\n",
            "1\r\nx\r\n0\r\nX: y\n\r\n",
            "1\r\nx\r\n0\r\nX: y\r\n folded\r\n\r\n",
            "1\r\nx\r\n0\r\nX: \0\r\n\r\n",
            "1;a=\0\r\nx\r\n0\r\n\r\n",
            "1;a\nb\r\nx\r\n0\r\n\r\n",
        ] {
            let mut client = server.connect();
            client.send(&chunked_post(&app, &id, body));
            let refused = client.read_response();
            assert_eq!(refused.status, 400, "{body:?}: {refused}");
            assert!(refused.closes(), "{body:?}: {refused}");
            client.expect_closed();
        }
        assert_eq!(app.get(&id, &[]).expect(200).body, b"data");
    });
}

#[test]
fn a_chunk_size_that_no_number_holds_is_refused() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        for size in
            ["FFFFFFFF", "7FFFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFF", "10000000000000005", "FFFFFFFFFFFFFFFFFFFF"]
        {
            let mut client = server.connect();
            client.send(&chunked_post(&app, &id, &format!("{size}\r\nhello")));
            let refused = client.read_response();
            assert!([400, 413].contains(&refused.status), "{size}: {refused}");
            client.expect_closed();
        }
        assert_eq!(app.get(&id, &[]).expect(200).body, b"data");
    });
}

#[test]
fn trailers_and_extensions_have_their_limits() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let trailer = format!("X-Trailer: {}\r\n", "t".repeat(100));
        for body in [
            format!("1;e={}\r\nx\r\n0\r\n\r\n", "e".repeat(40_000)),
            format!("{}0\r\n\r\n", format!("1;e={}\r\nx\r\n", "e".repeat(1000)).repeat(40)),
            format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(40_000)),
            format!("1\r\nx\r\n0\r\n{}\r\n", trailer.repeat(200)),
            format!("1\r\nx\r\n0\r\nX: {}\r\n\r\n", "t".repeat(20_000)),
        ] {
            let mut client = server.connect();
            client.try_send(&chunked_post(&app, &id, &body));
            let refused = client.read_response();
            assert!([400, 413, 431].contains(&refused.status), "{refused}");
            assert!(refused.closes(), "{refused}");
        }
        app.client.send(&chunked_post(&app, &id, &format!("1;e\r\nx\r\n0\r\n{}\r\n", trailer.repeat(20))));
        app.client.read_response().expect(200);
        assert_eq!(app.get(&id, &[]).expect(200).body, b"x");
    });
}

#[test]
fn a_trailer_is_no_header() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let head =
            format!("POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", app.path(&id));
        let mut client = server.connect();
        client.try_send(format!("{head}1\r\nx\r\n0\r\nX-SESSION-KEY: {}\r\n\r\n", app.key).as_bytes());
        client.read_response().expect(401);
        app.client.send(&chunked_post(
            &app,
            &id,
            "1\r\nx\r\n0\r\nX-Session-TTL: 5\r\nIf-Match: \"0\"\r\n\r\n",
        ));
        assert!(app.client.read_response().expect(200).seconds_left() > 5);
    });
}
