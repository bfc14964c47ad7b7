//! What is refused before any route is judged: one row a rule, with the section of its RFC.
//!
//! Each row is answered with a status and a close, and the answer can be read. RFC 9110 is
//! HTTP's semantics, RFC 9112 is HTTP/1.1.

use crate::support::{Server, on_each};

/// Sends each row over a connection of its own and expects one of its statuses, then the close.
fn check_rows(server: &Server, rows: &[(&str, &[u16])]) {
    for (request, statuses) in rows {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let response = client.read_response();
        assert!(statuses.contains(&response.status), "{request:?}: {response}");
        assert!(response.closes(), "{request:?}: {response}");
        client.expect_closed();
    }
}

#[test]
fn a_request_line_has_one_form() {
    on_each(|server| {
        // RFC 9112, section 3.
        check_rows(
            server,
            &[
                ("nonsense\r\n\r\n", &[400]),
                ("GET /\r\n\r\n", &[400]),
                ("GET / \r\nHost: x\r\n\r\n", &[400]),
                ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("GET /  HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("GET /\tHTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
                (" GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", &[400]),
                ("GET / x HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("GET / http/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("GET / HTTP/1\r\nHost: x\r\n\r\n", &[400]),
                ("GET / HTTP/11\r\nHost: x\r\n\r\n", &[400]),
                ("GET / HTTP/1.1x\r\nHost: x\r\n\r\n", &[400]),
                ("GET / HTTPS/1.1\r\nHost: x\r\n\r\n", &[400]),
                ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n", &[400]),
            ],
        );
    });
}

#[test]
fn another_major_version_is_505() {
    on_each(|server| {
        // RFC 9110, section 15.6.6; the third row is how HTTP/2 begins (RFC 9113, section 3.4).
        check_rows(
            server,
            &[
                ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", &[505]),
                ("GET / HTTP/0.9\r\nHost: x\r\n\r\n", &[505]),
                ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[505]),
                ("GET / HTTP/9.1\r\nHost: x\r\n\r\n", &[505]),
            ],
        );
    });
}

#[test]
fn lines_end_with_carriage_return_and_line_feed() {
    on_each(|server| {
        // RFC 9112, sections 2.2 and 5.2.
        check_rows(
            server,
            &[
                ("GET / HTTP/1.1\nHost: x\n\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX: y\n\r\n", &[400]),
                ("GET / HTTP/1.1\nHost: x\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\n\n", &[400]),
                ("GET / HTTP/1.1\rHost: x\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", &[400]),
                ("\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
            ],
        );
    });
}

#[test]
fn a_field_has_a_name_a_colon_and_visible_characters() {
    on_each(|server| {
        // RFC 9110, section 5; RFC 9112, section 5.1.
        check_rows(
            server,
            &[
                ("GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX\t: y\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX Y: z\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX(: y\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX\0: y\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\n\u{e9}: y\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX: \x01\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX: \x1b\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nX: \x7f\r\n\r\n", &[400]),
            ],
        );
    });
}

#[test]
fn a_request_has_one_valid_host() {
    on_each(|server| {
        // RFC 9112, section 3.2.
        check_rows(
            server,
            &[
                ("GET / HTTP/1.1\r\n\r\n", &[400]),
                ("GET http://x/ HTTP/1.1\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: user@x\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x:port\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", &[400]),
                ("GET / HTTP/1.1\r\nHost: x?y\r\n\r\n", &[400]),
                ("GET http://x/ HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
                ("GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", &[400]),
            ],
        );
    });
}

#[test]
fn a_body_has_one_length() {
    on_each(|server| {
        // RFC 9112, sections 6.1 to 6.3; RFC 9110, section 8.6.
        let rows: &[(&str, &[u16])] = &[
            ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", &[400]),
            ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", &[400]),
            ("Content-Length: 1\r\nContent-Length: 1\r\n", &[400]),
            ("Content-Length: 1\r\nContent-Length: 2\r\n", &[400]),
            ("Content-Length: 1, 1\r\n", &[400]),
            ("Content-Length: 1,2\r\n", &[400]),
            ("Content-Length: +1\r\n", &[400]),
            ("Content-Length: -1\r\n", &[400]),
            ("Content-Length: 1a\r\n", &[400]),
            ("Content-Length: 0x1\r\n", &[400]),
            ("Content-Length: 1.0\r\n", &[400]),
            ("Content-Length: 1 1\r\n", &[400]),
            ("Content-Length: \"1\"\r\n", &[400]),
            ("Content-Length:\r\n", &[400]),
            ("Content-Length: 18446744073709551616\r\n", &[400]),
            ("Content-Length: 99999999999999999999999999\r\n", &[400]),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &[400]),
            ("Transfer-Encoding: chunked, chunked\r\n", &[400]),
            ("Transfer-Encoding: chunked, gzip\r\n", &[400, 501]),
            ("Transfer-Encoding:\r\n", &[400]),
            ("Transfer-Encoding: chunked;q=1\r\n", &[400, 501]),
            ("Transfer-Encoding: gzip, chunked\r\n", &[501]),
            ("Transfer-Encoding: gzip\r\n", &[501]),
            ("Transfer-Encoding: xchunked\r\n", &[501]),
        ];
        for (fields, statuses) in rows {
            for method in ["PUT", "POST", "GET", "DELETE"] {
                let request = format!("{method} /session/x HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
                check_rows(server, &[(&request, statuses)]);
            }
        }
        let old = "PUT /session/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        check_rows(server, &[(old, &[400])]);
    });
}

#[test]
fn an_expectation_other_than_100_continue_is_417() {
    on_each(|server| {
        // RFC 9110, section 10.1.1.
        for expect in ["200-ok", "100-continue, x", "x"] {
            let request = format!(
                "PUT /session/x HTTP/1.1\r\nHost: x\r\nExpect: {expect}\r\nContent-Length: 1\r\n\r\n"
            );
            check_rows(server, &[(&request, &[417])]);
        }
    });
}

#[test]
fn an_unknown_method_is_405_and_no_syntax_error() {
    on_each(|server| {
        let mut client = server.connect();
        for method in ["BREW", "get", "G", "M-SEARCH", "GETGETGETGETGETGETGETGET"] {
            let response = client.request(method, "/session/settings", &[], b"").expect(405);
            assert_eq!(response.allow(), ["GET", "HEAD"]);
        }
    });
}

#[test]
fn a_syntax_error_is_seen_before_the_key_and_the_route() {
    on_each(|server| {
        check_rows(
            server,
            &[
                ("PATCH /nowhere HTTP/1.1\r\n\r\n", &[400]),
                ("PUT /session/x HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", &[400]),
                ("PATCH /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", &[501]),
                ("GET /nowhere HTTP/7.0\r\nHost: x\r\n\r\n", &[505]),
            ],
        );
    });
}
