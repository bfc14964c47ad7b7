//! Refusals that come while the client is still sending: the answer must survive the close.
//!
//! A server that closed at once would have its kernel reset the connection, and the answer
//! would be lost with it (RFC 9112, section 9.6).

use crate::support::{App, build_request, on_each};

/// Less than the server reads and drops after a refusal.
const SENT_BEHIND: usize = 700 * 1024;

/// A request that is refused at its head, and how.
struct Refused<'r> {
    method: &'r str,
    path: &'r str,
    fields: &'r [(&'r str, &'r str)],
    status: u16,
}

#[test]
fn a_refusal_can_be_read_after_much_more_was_sent() {
    on_each(|server| {
        let app = App::new(server);
        let (bucket, key) = (app.bucket_path(), app.key.as_str());
        let length = ("Content-Length", "2097152");
        let refused = |method, path, fields, status| Refused { method, path, fields, status };
        let (wrong, good) = ([("X-SESSION-KEY", "wrong"), length], [("X-SESSION-KEY", key), length]);
        for row in [
            refused("PUT", &bucket, &good, 413),
            refused("PUT", &bucket, &wrong, 401),
            refused("PATCH", &bucket, &good[1..], 405),
            refused("PUT", &bucket, &[("Content-Length", "5"), length], 400),
            refused("PUT", &bucket, &[("Transfer-Encoding", "gzip")], 501),
        ] {
            let mut client = server.connect();
            client.send(&build_request(row.method, row.path, row.fields, b""));
            let piece = vec![b'x'; 64 * 1024];
            for _ in 0..SENT_BEHIND / piece.len() {
                client.send(&piece);
            }
            let response = client.read_response().expect(row.status);
            assert!(response.closes(), "{response}");
        }
    });
}

#[test]
fn a_chunked_body_that_grows_too_large_is_refused_readably() {
    on_each(|server| {
        let app = App::new(server);
        let mut client = server.connect();
        let fields = [("X-SESSION-KEY", app.key.as_str()), ("Transfer-Encoding", "chunked")];
        client.send(&build_request("PUT", &app.bucket_path(), &fields, b""));
        let chunk = [b"10000\r\n", &[b'x'; 0x10000][..], b"\r\n"].concat();
        for _ in 0..24 {
            client.send(&chunk);
        }
        let response = client.read_response().expect(413);
        assert_eq!(response.json()["limit"], 1024 * 1024, "{response}");
        assert!(response.closes(), "{response}");
    });
}

#[test]
fn an_unread_answer_holds_up_nobody_else() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(&vec![b'x'; 1024 * 1024]);
        let request = app.bytes("GET", &app.path(&id), &[], b"");
        // Each asks for 16 MiB and reads nothing.
        let mut lazy: Vec<_> = (0..8).map(|_| server.connect()).collect();
        for client in &mut lazy {
            client.send(&request.repeat(16));
        }
        for _ in 0..20 {
            let mut other = app.over_another_connection(server);
            let id = other.create(b"data");
            assert_eq!(other.get(&id, &[]).expect(200).body, b"data");
        }
        for _ in 0..16 {
            assert_eq!(lazy[0].read_response().expect(200).body.len(), 1024 * 1024);
        }
    });
}
