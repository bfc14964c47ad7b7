//! Clients that keep a connection waiting: 408 once a request has begun, silence before.
//!
//! One side only: that the end comes, never how soon. The harness' hang guard bounds it.

use std::thread;
use std::time::Duration;

use crate::support::{App, Launch, Server, eventually, on_each_with};

/// A second for a head, a body and idleness.
fn impatient(launch: Launch) -> Launch {
    launch.set("timeouts.head", "1s").set("timeouts.body", "1s").set("timeouts.idle", "1s")
}

/// Sends this and waits for a 408.
fn times_out(server: &Server, bytes: &[u8]) {
    let mut client = server.connect();
    client.send(bytes);
    let response = client.read_response().expect(408);
    assert!(response.closes(), "{response}");
    client.expect_closed();
}

#[test]
fn a_head_or_body_that_does_not_come_is_408() {
    on_each_with(impatient, |server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let post = app.bytes("POST", &app.path(&id), &[], b"other");
        let in_head = b"GET / HT".to_vec();
        let before_end_of_head = post[..post.len() - 6].to_vec();
        let before_body = post[..post.len() - 5].to_vec();
        let in_body = post[..post.len() - 1].to_vec();
        let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nX-SESSION-KEY: {}\r\n", app.path(&id), app.key);
        let in_chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\noth").into_bytes();
        let before_trailers =
            format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nother\r\n0\r\n").into_bytes();
        thread::scope(|scope| {
            for bytes in [in_head, before_end_of_head, before_body, in_body, in_chunk, before_trailers] {
                scope.spawn(move || times_out(server, &bytes));
            }
        });
        assert_eq!(app.over_another_connection(server).get(&id, &[]).expect(200).body, b"data");
    });
}

#[test]
fn a_timeout_is_a_total_that_no_byte_prolongs() {
    on_each_with(impatient, |server| {
        let mut client = server.connect();
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n");
        // Ten seconds of bytes, each soon after the last.
        for _ in 0..100 {
            if !client.try_send(b"X: y\r\n") || client.has_answer() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        client.read_response().expect(408);
    });
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    on_each_with(impatient, |server| {
        let mut app = App::new(server);
        let mut silent = server.connect();
        app.create(b"data");
        silent.expect_closed();
        app.client.expect_closed();
    });
}

#[test]
fn pipelined_answers_leave_before_the_408_of_an_unfinished_request() {
    on_each_with(impatient, |server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let get = app.bytes("GET", &app.path(&id), &[], b"");
        let mut client = server.connect();
        client.send(&[&get[..], &get, &get[..get.len() - 1]].concat());
        for _ in 0..2 {
            assert_eq!(client.read_response().expect(200).body, b"data");
        }
        client.read_response().expect(408);
        client.expect_closed();
    });
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let change = |launch: Launch| launch.with_admin().set("timeouts.write", "1s");
    on_each_with(change, |server| {
        let mut app = App::new(server);
        let id = app.create(&vec![b'x'; 1024 * 1024]);
        // 64 MiB: more than any kernel holds for a reader who does not come.
        let get = app.bytes("GET", &app.path(&id), &[], b"");
        let mut lazy: Vec<_> = (0..4).map(|_| server.connect()).collect();
        lazy.iter_mut().for_each(|client| client.send(&get.repeat(64)));
        drop(app);
        eventually("the connections of those who do not read are gone", || {
            let open: f64 = server.metrics().by_core("seshun_connections_open").iter().sum();
            (open == 0.0).then_some(())
        });
        drop(lazy);
    });
}
