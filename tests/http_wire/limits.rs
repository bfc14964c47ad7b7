//! How much is taken: target, head, fields, payload, connections; the defaults and smaller ones.
//!
//! The payload limit is exact to the byte; the others are tried clearly below and just
//! above their figure.

use crate::support::{App, Launch, Server, build_chunked, eventually, on_each, on_each_with};

/// The answer to these bytes, which need not be a whole request.
fn answer_to(server: &Server, bytes: &[u8]) -> crate::support::Response {
    let mut client = server.connect();
    client.try_send(bytes);
    let response = client.read_response();
    assert!(response.closes(), "{response}");
    response
}

#[test]
fn a_target_over_8_kib_is_414() {
    on_each(|server| {
        let mut client = server.connect();
        client.request("GET", &format!("/{}", "x".repeat(8000)), &[], b"").expect(405);
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(8192));
        answer_to(server, long.as_bytes()).expect(414);
        let query = format!("GET /session/settings?{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(8192));
        answer_to(server, query.as_bytes()).expect(414);
    });
}

#[test]
fn a_target_that_does_not_end_is_414_before_it_does() {
    on_each(|server| {
        answer_to(server, format!("GET /{}", "x".repeat(10_000)).as_bytes()).expect(414);
    });
}

#[test]
fn a_head_over_16_kib_is_431() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        app.get(&id, &[("X-Long", &"x".repeat(15_000))]).expect(200);
        let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(16 * 1024));
        answer_to(server, long.as_bytes()).expect(431);
    });
}

#[test]
fn a_head_that_does_not_end_is_431_before_it_does() {
    on_each(|server| {
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}", "x".repeat(20_000));
        answer_to(server, head.as_bytes()).expect(431);
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\n{}", "X: y\r\n".repeat(3000));
        answer_to(server, head.as_bytes()).expect(431);
    });
}

#[test]
fn more_than_100_fields_are_431() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        app.get(&id, &[("X", "y"); 90]).expect(200);
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(100));
        answer_to(server, many.as_bytes()).expect(431);
    });
}

#[test]
fn the_payload_limit_is_inclusive_to_the_byte() {
    on_each(|server| {
        let mut app = App::new(server);
        let largest: Vec<u8> = (0..=255).cycle().take(1024 * 1024).collect();
        let id = app.create(&largest);
        assert!(app.get(&id, &[]).expect(200).body == largest);
        app.post(&id, &[], &largest).expect(200);
        let larger = [&largest[..], b"x"].concat();
        app.put(&[], &larger).expect(413);
        app.post(&id, &[], &larger).expect(413);
        assert!(app.get(&id, &[]).expect(200).body == largest);
    });
}

#[test]
fn the_payload_limit_holds_for_chunked_bodies() {
    let change = |launch: Launch| launch.set("session.max_payload", "1kb");
    on_each_with(change, |server| {
        let mut app = App::new(server);
        let id = app.create(&[b'a'; 1024]);
        let (path, key) = (app.path(&id), app.key.clone());
        let fields = [("X-SESSION-KEY", key.as_str())];
        let (half, more) = ([b'b'; 512], [b'b'; 513]);
        for chunks in [vec![&half[..], &half], vec![&half[..]; 2], vec![&b"b"[..]; 1024]] {
            app.client.send(&build_chunked("POST", &path, &fields, &chunks));
            app.client.read_response().expect(200);
            assert_eq!(app.get(&id, &[]).expect(200).body, [b'b'; 1024]);
        }
        for chunks in [vec![&half[..], &more], vec![&half[..]; 3], vec![&b"c"[..]; 1025]] {
            let refused = answer_to(server, &build_chunked("POST", &path, &fields, &chunks)).expect(413);
            assert_eq!(refused.json()["limit"], 1024, "{refused}");
            answer_to(server, &build_chunked("PUT", &app.bucket_path(), &fields, &chunks)).expect(413);
        }
        app.post(&id, &[], &[b'd'; 1025]).expect(413);
        assert_eq!(app.get(&id, &[]).expect(200).body, [b'b'; 1024]);
        assert_eq!(app.call("GET", "/session/settings", &[], b"").expect(200).json()["max_payload"], 1024);
    });
}

#[test]
fn smaller_limits_of_the_configuration_hold() {
    let change = |launch: Launch| {
        launch.set("limits.head", "2kb").set("limits.target", "256").set("limits.fields", "10")
    };
    on_each_with(change, |server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        app.get(&id, &[("X-Long", &"x".repeat(1500))]).expect(200);
        app.get(&id, &[("X", "y"); 6]).expect(200);
        let request = |target: &str, fields: &str| {
            format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n").into_bytes()
        };
        answer_to(server, &request(&format!("/{}", "x".repeat(256)), "")).expect(414);
        answer_to(server, &request("/", &format!("X: {}\r\n", "x".repeat(2048)))).expect(431);
        answer_to(server, &request("/", &"X: y\r\n".repeat(10))).expect(431);
    });
}

#[test]
fn connections_over_the_limit_get_503_and_a_close() {
    const LIMIT: usize = 16;
    let change = |launch: Launch| launch.set("limits.connections", &LIMIT.to_string());
    on_each_with(change, |server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let request = app.bytes("GET", &app.path(&id), &[], b"");
        let mut open = Vec::new();
        let mut refused = 0;
        for _ in 0..3 * LIMIT {
            let mut client = server.connect();
            client.try_send(&request);
            let response = client.read_response();
            if response.status == 503 {
                assert!(response.closes(), "{response}");
                client.expect_closed();
                refused += 1;
            } else {
                response.expect(200);
                open.push(client);
            }
        }
        assert!(!open.is_empty() && open.len() < LIMIT, "{} beside the first of {LIMIT}", open.len());
        assert_eq!(refused, 3 * LIMIT - open.len());
        for client in &mut open {
            client.send(&request);
            client.read_response().expect(200);
        }
        drop(open);
        eventually("room after the others have gone", || {
            let mut client = server.connect();
            client.try_send(&request);
            (client.read_response().status == 200).then_some(())
        });
        app.get(&id, &[]).expect(200);
    });
}
