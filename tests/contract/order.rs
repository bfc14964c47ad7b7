//! The order in which a request is judged: route, key, size and header values, existence,
//! preconditions.
//!
//! Each row breaks two rules and must be refused by the first of them.

use crate::on_each;
use crate::support::{App, MASTER_KEY, MISSING_ID, build_request, unique_name};

const WRONG_KEY: (&str, &str) = ("X-SESSION-KEY", "wrong");
const BAD_TTL: (&str, &str) = ("X-Session-TTL", "0");
const BAD_TAG: (&str, &str) = ("If-Match", "\"0\"");
const BAD_CODING: (&str, &str) = ("Content-Encoding", "gzip");

/// One byte more than may be stored. Only said, never sent.
const TOO_LARGE: &str = "1048577";

#[test]
fn the_route_is_judged_before_the_key() {
    on_each(|server| {
        let mut app = App::new(server);
        for fields in [&[][..], &[WRONG_KEY], &[WRONG_KEY, BAD_TTL]] {
            app.client.request("PATCH", &app.path(MISSING_ID), fields, b"").expect(405);
            app.client.request("GET", "/nowhere", fields, b"").expect(405);
            app.client.request("POST", &format!("/api-key/{}", app.bucket), fields, b"").expect(405);
            app.client.request("POST", "/session/settings", fields, b"").expect(405);
        }
    });
}

#[test]
fn the_key_is_judged_before_everything_that_a_session_has() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        for id in [&id, MISSING_ID, "no-id"] {
            for fields in
                [&[WRONG_KEY][..], &[WRONG_KEY, BAD_TTL], &[WRONG_KEY, BAD_TAG], &[WRONG_KEY, BAD_CODING]]
            {
                app.client.request("GET", &app.path(id), fields, b"").expect(401);
                app.client.request("POST", &app.path(id), fields, b"other").expect(401);
            }
        }
        let master = ("X-SESSION-KEY", MASTER_KEY);
        app.client.request("PUT", "/api-key/.bad", &[WRONG_KEY], b"").expect(401);
        app.client.request("PUT", "/api-key/settings", &[WRONG_KEY], b"").expect(401);
        app.client
            .request("GET", &format!("/api-key/{}", unique_name("none")), &[WRONG_KEY], b"")
            .expect(401);
        app.client.request("GET", &format!("/api-key/{}", unique_name("none")), &[master], b"").expect(404);
    });
}

#[test]
fn size_and_header_values_are_judged_before_existence() {
    on_each(|server| {
        let mut app = App::new(server);
        app.post(MISSING_ID, &[BAD_TTL], b"data").expect(400);
        app.post(MISSING_ID, &[BAD_CODING], b"data").expect(415);
        let long = "x".repeat(256);
        app.post(MISSING_ID, &[("Content-Type", &long)], b"data").expect(400);
        app.post(MISSING_ID, &[BAD_TTL, BAD_CODING], b"data").expect(400);
        app.put(&[BAD_TTL, BAD_CODING], b"data").expect(400);
    });
}

#[test]
fn a_body_that_is_too_large_is_refused_by_its_length_alone() {
    on_each(|server| {
        let app = App::new(server);
        let ask = |method: &str, path: &str, more: &[(&str, &str)]| {
            let fields = [&[("Content-Length", TOO_LARGE)], more].concat();
            let mut client = server.connect();
            client.send(&build_request(method, path, &fields, b""));
            client.read_response()
        };
        let key = ("X-SESSION-KEY", app.key.as_str());
        let (bucket, missing) = (app.bucket_path(), app.path(MISSING_ID));
        for more in [
            &[key][..],
            &[key, BAD_TTL],
            &[key, BAD_CODING],
            &[key, BAD_TAG],
            &[key, ("Expect", "100-continue")],
        ] {
            for (method, path) in [("PUT", &bucket), ("POST", &missing)] {
                let refused = ask(method, path, more).expect(413);
                assert_eq!(refused.json()["limit"], 1_048_576, "{refused}");
                assert!(refused.closes(), "{refused}");
            }
        }
        ask("PUT", &bucket, &[WRONG_KEY]).expect(401);
        ask("PUT", &bucket, &[]).expect(401);
        ask("PATCH", &bucket, &[key]).expect(405);
        ask("PUT", "/nowhere", &[key]).expect(405);
    });
}

#[test]
fn existence_is_judged_before_preconditions() {
    on_each(|server| {
        let mut app = App::new(server);
        for id in [MISSING_ID, "no-id"] {
            for method in ["GET", "HEAD", "POST", "DELETE"] {
                app.call(method, &app.path(id), &[BAD_TAG], b"").expect(404);
            }
        }
        let id = app.create(b"data");
        app.post(&id, &[BAD_TAG, BAD_TTL], b"other").expect(400);
        app.post(&id, &[BAD_TAG, BAD_CODING], b"other").expect(415);
        app.post(&id, &[BAD_TAG], b"other").expect(412);
        assert_eq!(app.get(&id, &[]).expect(200).body, b"data");
    });
}

#[test]
fn a_refusal_repeats_nothing_of_the_request() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let key = app.key.clone();
        let mark = "Zq9Zq9";
        let path = format!("/session/{mark}/{id}?{mark}={mark}");
        let refusals = [
            app.call("PATCH", &path, &[], b""),
            app.call("GET", &path, &[], b""),
            app.call("PUT", &format!("/session/{mark}/%zz/{mark}"), &[], b""),
            app.client.request("GET", &app.path(&id), &[("X-SESSION-KEY", mark)], b""),
            app.get(mark, &[]),
            app.get(&id, &[("If-Match", &format!("\"{mark}\""))]),
            app.post(&id, &[("X-Session-TTL", mark)], b""),
            app.post(&id, &[("Content-Encoding", mark)], b""),
        ];
        for (refusal, status) in refusals.iter().zip([405, 401, 405, 401, 404, 412, 400, 415]) {
            assert_eq!(refusal.status, status, "{refusal}");
            assert!(!refusal.text().contains(mark) && !refusal.text().contains(&key), "{refusal}");
        }
    });
}
