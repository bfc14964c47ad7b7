//! Many requests before the first answer: each is answered, in order, whichever core owns its session.
//!
//! Sessions are scattered over all cores first, so that local and forwarded answers have to
//! be put in order.

use std::io::Write;
use std::thread;

use crate::support::{App, MISSING_ID, Server, on_each};

/// So many sessions, made over several connections so that every core owns some.
fn scattered(app: &mut App, server: &Server, count: usize) -> Vec<String> {
    let mut others: Vec<_> = (0..8).map(|_| app.over_another_connection(server)).collect();
    (0..count).map(|n| others[n % 8].create(format!("session {n}").as_bytes())).collect()
}

#[test]
fn pipelined_reads_are_answered_in_order() {
    on_each(|server| {
        let mut app = App::new(server);
        let ids = scattered(&mut app, server, 40);
        for round in 1..=3 {
            let requests: Vec<_> =
                ids.iter().flat_map(|id| app.bytes("GET", &app.path(id), &[], b"").repeat(round)).collect();
            app.client.send(&requests);
            for n in 0..ids.len() {
                for _ in 0..round {
                    assert_eq!(app.client.read_response().expect(200).text(), format!("session {n}"));
                }
            }
            app.client.expect_nothing_more();
        }
    });
}

#[test]
fn pipelined_changes_take_effect_in_order() {
    on_each(|server| {
        let mut app = App::new(server);
        let ids = scattered(&mut app, server, 10);
        let mut requests = Vec::new();
        for id in &ids {
            let path = app.path(id);
            for (method, body) in [
                ("GET", ""),
                ("POST", "a"),
                ("GET", ""),
                ("POST", "b"),
                ("HEAD", ""),
                ("GET", ""),
                ("DELETE", ""),
                ("GET", ""),
            ] {
                requests.extend(app.bytes(method, &path, &[], body.as_bytes()));
            }
        }
        app.client.send(&requests);
        for n in 0..ids.len() {
            assert_eq!(app.client.read_response().expect(200).text(), format!("session {n}"));
            app.client.read_response().expect(200);
            assert_eq!(app.client.read_response().expect(200).text(), "a");
            let etag = app.client.read_response().expect(200).etag().to_owned();
            assert_eq!(app.client.read_response_to("HEAD").expect(200).etag(), etag);
            assert_eq!(app.client.read_response().expect(200).text(), "b");
            app.client.read_response().expect(200);
            app.client.read_response().expect(404);
        }
    });
}

#[test]
fn refusals_keep_their_place_among_good_requests() {
    on_each(|server| {
        let mut app = App::new(server);
        let ids = scattered(&mut app, server, 4);
        let missing = app.bytes("GET", &app.path(MISSING_ID), &[], b"");
        let put = app.bytes("PUT", &app.bucket_path(), &[], b"new");
        let unknown = app.bytes("GET", "/nowhere", &[], b"");
        let settings = app.bytes("GET", "/session/settings", &[], b"");
        let mut requests = Vec::new();
        for id in &ids {
            requests.extend(app.bytes("GET", &app.path(id), &[], b""));
            requests.extend([&missing[..], &put, &unknown, &settings].concat());
        }
        app.client.send(&requests);
        let mut made = Vec::new();
        for n in 0..ids.len() {
            assert_eq!(app.client.read_response().expect(200).text(), format!("session {n}"));
            app.client.read_response().expect(404);
            made.push(app.client.read_response().expect(201).text().to_owned());
            app.client.read_response().expect(405);
            app.client.read_response().expect(200).json();
        }
        for id in made {
            assert_eq!(app.get(&id, &[]).expect(200).body, b"new");
        }
    });
}

#[test]
fn more_requests_than_a_turn_takes_are_all_answered() {
    on_each(|server| {
        let mut app = App::new(server);
        let ids = scattered(&mut app, server, 8);
        let requests: Vec<_> =
            (0..500).flat_map(|n| app.bytes("GET", &app.path(&ids[n % 8]), &[], b"")).collect();
        let mut sender = app.client.sender();
        let sending = thread::spawn(move || sender.write_all(&requests));
        for n in 0..500 {
            assert_eq!(app.client.read_response().expect(200).text(), format!("session {}", n % 8));
        }
        sending.join().unwrap().unwrap();
        app.client.expect_nothing_more();
    });
}

#[test]
fn answers_of_more_than_the_output_limit_all_arrive() {
    on_each(|server| {
        let mut app = App::new(server);
        let mut other = app.over_another_connection(server);
        let data: Vec<u8> = (0..=255).cycle().take(600_000).collect();
        let ids = [app.create(&data), other.create(&data)];
        let requests: Vec<_> =
            (0..12).flat_map(|n| app.bytes("GET", &app.path(&ids[n % 2]), &[], b"")).collect();
        app.client.send(&requests);
        for n in 0..12 {
            assert!(app.client.read_response().expect(200).body == data, "answer {n} differs");
        }
        app.client.expect_nothing_more();
    });
}

#[test]
fn pipelined_bodies_are_told_apart() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"");
        let path = app.path(&id);
        let bodies: Vec<Vec<u8>> = (0..30).map(|n| vec![b'a' + n as u8 % 26; n * 97]).collect();
        let mut requests = Vec::new();
        for body in &bodies {
            requests.extend(app.bytes("POST", &path, &[], body));
            requests.extend(app.bytes("GET", &path, &[], b""));
        }
        app.client.send(&requests);
        for body in &bodies {
            app.client.read_response().expect(200);
            assert_eq!(&app.client.read_response().expect(200).body, body);
        }
    });
}

#[test]
fn good_requests_before_a_bad_one_are_answered_and_those_behind_it_are_not() {
    on_each(|server| {
        let mut app = App::new(server);
        let ids = scattered(&mut app, server, 8);
        let good: Vec<_> = ids.iter().flat_map(|id| app.bytes("GET", &app.path(id), &[], b"")).collect();
        let delete = app.bytes("DELETE", &app.path(&ids[0]), &[], b"");
        for bad in ["GET / HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n", "GET / HTTP/9.9\r\nHost: x\r\n\r\n"] {
            let mut client = server.connect();
            client.send(&[&good[..], bad.as_bytes(), &delete].concat());
            for n in 0..ids.len() {
                assert_eq!(client.read_response().expect(200).text(), format!("session {n}"));
            }
            let refused = client.read_response();
            assert!(matches!(refused.status, 400 | 505) && refused.closes(), "{refused}");
            client.expect_closed();
            assert_eq!(app.get(&ids[0], &[]).expect(200).text(), "session 0");
        }
    });
}
