//! Which method goes with which path: the tables of the interface, and 405 for all else.
//!
//! Every route is tried with every method, without a key and with one, since a mismatch of
//! method and path is told to anybody.

use crate::on_each;
use crate::support::{App, MASTER_KEY, MISSING_ID};

const METHODS: [&str; 12] = [
    "GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "BREW", "get", "Delete",
];

/// The methods that a path does not take, without a key and with the best of keys.
fn refuses_all_but(app: &mut App, path: &str, taken: &[&str]) {
    for method in METHODS.iter().filter(|method| !taken.contains(method)) {
        for fields in [&[][..], &[("X-SESSION-KEY", MASTER_KEY)]] {
            let response = app.client.request(method, path, fields, b"").expect(405);
            let mut expected = taken.to_vec();
            expected.sort_unstable();
            assert_eq!(response.allow(), expected, "{method} {path}: {response}");
        }
        app.call(method, path, &[], b"").expect(405);
    }
}

#[test]
fn a_bucket_takes_put_alone() {
    on_each(|server| {
        let mut app = App::new(server);
        let path = app.bucket_path();
        refuses_all_but(&mut app, &path, &["PUT"]);
        refuses_all_but(&mut app, "/session/no-such-bucket", &["PUT"]);
    });
}

#[test]
fn a_session_takes_get_head_post_and_delete() {
    on_each(|server| {
        let mut app = App::new(server);
        let path = app.path(MISSING_ID);
        refuses_all_but(&mut app, &path, &["GET", "HEAD", "POST", "DELETE"]);
        let path = app.path("no-id");
        refuses_all_but(&mut app, &path, &["GET", "HEAD", "POST", "DELETE"]);
    });
}

#[test]
fn settings_take_get_and_head() {
    on_each(|server| {
        let mut app = App::new(server);
        refuses_all_but(&mut app, "/session/settings", &["GET", "HEAD"]);
        let allow = app.call("PUT", "/session/settings", &[], b"").expect(405);
        assert_eq!(allow.must("Allow"), "GET, HEAD");
    });
}

#[test]
fn an_api_key_takes_put_get_head_and_delete() {
    on_each(|server| {
        let mut app = App::new(server);
        let path = format!("/api-key/{}", app.bucket);
        refuses_all_but(&mut app, &path, &["PUT", "GET", "HEAD", "DELETE"]);
        app.client.request("POST", &path, &[("X-SESSION-KEY", MASTER_KEY)], b"x").expect(405);
    });
}

#[test]
fn a_path_that_is_no_route_is_405_with_an_empty_allow() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let bucket = app.bucket.clone();
        let paths = [
            "/".to_owned(),
            "/session".to_owned(),
            "/session/".to_owned(),
            "/sessions/x".to_owned(),
            "/Session/x".to_owned(),
            "/SESSION/settings".to_owned(),
            "/api-key".to_owned(),
            "/api-key/".to_owned(),
            "/api_key/x".to_owned(),
            "/favicon.ico".to_owned(),
            format!("/session/{bucket}/"),
            format!("/session/{bucket}/{id}/"),
            format!("/session/{bucket}/{id}/more"),
            format!("/session/./{bucket}/{id}"),
            format!("/x/../session/{bucket}/{id}"),
            format!("//session/{bucket}/{id}"),
            "/session/settings/".to_owned(),
            format!("/api-key/{bucket}/"),
            format!("/api-key/{bucket}/{id}"),
        ];
        for path in paths {
            for method in ["GET", "PUT", "POST", "DELETE", "PATCH"] {
                let response = app.call(method, &path, &[], b"").expect(405);
                assert_eq!(response.must("Allow"), "", "{method} {path}: {response}");
            }
            app.call("HEAD", &path, &[], b"").expect(405);
        }
    });
}

#[test]
fn doubled_slashes_and_dots_inside_a_path_lead_nowhere() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let bucket = app.bucket.clone();
        for path in [
            format!("/session//{id}"),
            format!("/session//{bucket}/{id}"),
            format!("/session/{bucket}//{id}"),
            format!("/session/x/../{bucket}/{id}"),
            format!("/session/{bucket}/./{id}"),
        ] {
            for method in ["GET", "POST", "DELETE"] {
                let status = app.call(method, &path, &[], b"").status;
                assert!([401, 404, 405].contains(&status), "{method} {path}: {status}");
            }
        }
        app.get(&id, &[]).expect(200);
    });
}

#[test]
fn an_unknown_path_is_told_what_exists_and_not_repeated() {
    on_each(|server| {
        let mut app = App::new(server);
        let response = app.call("GET", "/Xq7-a-path-of-mine?Xq7=1", &[], b"").expect(405);
        assert!(
            response.json()["detail"].as_str().is_some_and(|text| text.contains("/session/")),
            "{response}"
        );
        assert!(!response.text().contains("Xq7"), "{response}");
    });
}

#[test]
fn the_allow_of_the_whole_interface_is_honoured() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let master = [("X-SESSION-KEY", MASTER_KEY)];
        let api_key = format!("/api-key/{}", app.bucket);
        for method in ["GET", "HEAD"] {
            app.call(method, &app.path(&id), &[], b"").expect(200);
            app.call(method, "/session/settings", &[], b"").expect(200);
            app.client.request(method, &api_key, &master, b"").expect(200);
        }
        app.post(&id, &[], b"other").expect(200);
        app.delete(&id, &[]).expect(200);
        app.client.request("PUT", &api_key, &master, b"").expect(409);
        app.client.request("DELETE", &api_key, &master, b"").expect(200);
        app.client.request("PUT", &api_key, &master, b"").expect(201);
    });
}

#[test]
fn a_query_changes_no_route() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        for query in ["?", "?x", "?x=1&y=2", "?/session/settings", "?&&==", "?x=?"] {
            app.call("GET", &format!("{}{query}", app.path(&id)), &[], b"").expect(200);
        }
    });
}

#[test]
fn a_refusal_without_a_body_keeps_the_connection() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let answers = [
            app.call("PATCH", &app.path(&id), &[], b""),
            app.call("GET", "/nowhere", &[], b""),
            app.get(MISSING_ID, &[]),
            app.get("no-id", &[]),
            app.get(&id, &[("If-Match", "\"0\"")]),
            app.client.request("GET", "/session/settings", &[], b""),
        ];
        for (answer, status) in answers.iter().zip([405, 405, 404, 404, 412, 401]) {
            assert_eq!(answer.status, status, "{answer}");
            assert!(!answer.closes(), "{answer}");
        }
        app.get(&id, &[]).expect(200);
    });
}
