//! What answers carry: data to the byte, its type, the JSON forms, the fields of a session.
//!
//! The bodies of refusals are judged by the harness, at every answer of 400 and above.

use serde_json::Value;
use uuid::Uuid;

use crate::on_each;
use crate::support::{App, MASTER_KEY, Response, unix_millis};

/// 30 days, the TTL that nobody changed.
const DEFAULT_TTL_SECS: u64 = 30 * 24 * 60 * 60;

/// Every field that an answer about a live session carries, and that they agree.
fn check_session_fields(response: &Response) {
    response.etag();
    assert_eq!(response.must("X-Content-Type-Options"), "nosniff", "{response}");
    let shown = response.expires_unix_millis() - response.date_unix_secs() * 1000;
    let left = response.seconds_left() as i64 * 1000;
    assert!(
        (shown - left).abs() <= 2000,
        "expires {shown} ms after its Date, with {left} ms left: {response}"
    );
}

#[test]
fn a_new_session_is_201_with_its_id_and_place() {
    on_each(|server| {
        let mut app = App::new(server);
        let response = app.put(&[], b"").expect(201);
        check_session_fields(&response);
        let id = Uuid::try_parse(response.text()).expect("the body is an id");
        assert_eq!(response.text(), id.hyphenated().to_string(), "lower case, hyphens, no newline");
        assert_eq!((id.get_version_num(), id.get_variant()), (4, uuid::Variant::RFC4122));
        assert!(response.must("Content-Type").starts_with("text/plain"), "{response}");
        assert_eq!(response.must("Location"), app.path(response.text()));
        assert!((DEFAULT_TTL_SECS - 5..=DEFAULT_TTL_SECS).contains(&response.seconds_left()), "{response}");
        assert_eq!(response.reason, "Created");
    });
}

#[test]
fn a_session_never_written_to_is_empty() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"");
        let response = app.get(&id, &[]).expect(200);
        check_session_fields(&response);
        assert_eq!((response.body.len(), response.must("Content-Type")), (0, "application/octet-stream"));
    });
}

#[test]
fn the_body_of_a_put_is_the_first_data() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create_with(&[("Content-Type", "application/json; charset=utf-8")], b"{\"a\":1}");
        let response = app.get(&id, &[]).expect(200);
        check_session_fields(&response);
        assert_eq!(response.body, b"{\"a\":1}");
        assert_eq!(response.must("Content-Type"), "application/json; charset=utf-8");
    });
}

#[test]
fn data_comes_back_to_the_byte() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"");
        let every_byte: Vec<u8> = (0..=255).collect();
        let large: Vec<u8> = every_byte.iter().copied().cycle().take(300_001).collect();
        for data in
            [&every_byte[..], b"\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", &[0], &large, b""]
        {
            app.post(&id, &[], data).expect(200);
            assert!(app.get(&id, &[]).expect(200).body == data, "{} bytes differ", data.len());
        }
    });
}

#[test]
fn a_post_replaces_data_and_type_and_answers_nothing() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create_with(&[("Content-Type", "text/html")], b"first");
        let response = app.post(&id, &[("Content-Type", "image/png")], b"second").expect(200);
        check_session_fields(&response);
        assert_eq!((response.body.len(), response.must("Content-Length")), (0, "0"));
        let read = app.get(&id, &[]).expect(200);
        assert_eq!((&read.body[..], read.must("Content-Type")), (&b"second"[..], "image/png"));
        app.post(&id, &[], b"").expect(200);
        let read = app.get(&id, &[]).expect(200);
        assert_eq!((&read.body[..], read.must("Content-Type")), (&b""[..], "application/octet-stream"));
    });
}

#[test]
fn a_post_never_creates() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        app.delete(&id, &[]).expect(200);
        app.post(&id, &[], b"again").expect(404);
        app.get(&id, &[]).expect(404);
    });
}

#[test]
fn a_delete_is_200_once_and_404_after() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let response = app.delete(&id, &[]).expect(200);
        assert_eq!((response.body.len(), response.must("Content-Length")), (0, "0"));
        for _ in 0..2 {
            app.delete(&id, &[]).expect(404);
        }
        app.get(&id, &[]).expect(404);
        app.head(&id, &[]).expect(404);
    });
}

#[test]
fn a_head_has_the_fields_of_a_get() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create_with(&[("Content-Type", "text/css")], b"body { }");
        let (get, head) = (app.get(&id, &[]).expect(200), app.head(&id, &[]).expect(200));
        check_session_fields(&head);
        assert_eq!(head.must("Content-Length"), "8");
        assert_eq!(head.lasting().1, get.lasting().1);
        assert_eq!(head.etag(), get.etag());
        let master = [("X-SESSION-KEY", MASTER_KEY)];
        for path in ["/session/settings", &format!("/api-key/{}", app.bucket)] {
            let get = app.client.request("GET", path, &master, b"").expect(200);
            let head = app.client.request("HEAD", path, &master, b"").expect(200);
            assert_eq!(head.lasting().1, get.lasting().1, "{path}");
        }
    });
}

#[test]
fn the_etag_changes_with_the_data_and_with_nothing_else() {
    on_each(|server| {
        let mut app = App::new(server);
        let put = app.put(&[], b"data").expect(201);
        let id = put.text();
        for _ in 0..3 {
            assert_eq!(app.get(id, &[]).expect(200).etag(), put.etag());
            assert_eq!(app.head(id, &[]).expect(200).etag(), put.etag());
        }
        let mut seen = vec![put.etag().to_owned()];
        for data in ["other", "other", "data", ""] {
            let etag = app.post(id, &[], data.as_bytes()).expect(200).etag().to_owned();
            assert!(!seen.contains(&etag), "{etag} again");
            assert_eq!(app.get(id, &[]).expect(200).etag(), etag);
            seen.push(etag);
        }
    });
}

#[test]
fn a_content_type_of_255_bytes_is_kept_and_a_longer_one_refused() {
    on_each(|server| {
        let mut app = App::new(server);
        let longest = format!("text/plain; x=\"{}\"", "a".repeat(239));
        assert_eq!(longest.len(), 255);
        let id = app.create_with(&[("Content-Type", &longest)], b"data");
        assert_eq!(app.get(&id, &[]).expect(200).must("Content-Type"), longest);
        let too_long = format!("{longest} ;");
        app.post(&id, &[("Content-Type", &too_long)], b"other").expect(400);
        app.put(&[("Content-Type", &too_long)], b"other").expect(400);
        assert_eq!(app.get(&id, &[]).expect(200).body, b"data");
    });
}

#[test]
fn only_the_identity_coding_is_taken() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create_with(&[("Content-Encoding", "identity")], b"data");
        app.post(&id, &[("Content-Encoding", "Identity")], b"data").expect(200);
        for coding in ["gzip", "br", "identity, gzip", "gzip, identity", "x"] {
            app.post(&id, &[("Content-Encoding", coding)], b"other").expect(415);
            app.put(&[("Content-Encoding", coding)], b"other").expect(415);
        }
        let read = app.get(&id, &[]).expect(200);
        assert_eq!((&read.body[..], read.field("Content-Encoding")), (&b"data"[..], None));
    });
}

/// What a client says that it accepts, and whether it gets JSON.
const ACCEPTS: [(&[&str], bool); 18] = [
    (&[], false),
    (&["*/*"], false),
    (&["text/plain"], false),
    (&["text/html"], false),
    (&["application/json"], true),
    (&["APPLICATION/JSON"], true),
    (&["application/json;charset=utf-8"], true),
    (&["application/json, text/plain, */*"], false),
    (&["application/json, text/plain"], false),
    (&["application/json, */*"], false),
    (&["application/json, */*;q=0.5"], true),
    (&["application/json;q=0.9, text/plain;q=0.8"], true),
    (&["application/json;q=0.5, text/plain"], false),
    (&["application/json ; q=0.3 , */* ; q=0.2"], true),
    (&["application/json;q=0"], false),
    (&["application/json, text/*"], false),
    (&["application/problem+json"], false),
    (&["text/plain;q=0.5", "application/json"], true),
];

#[test]
fn json_comes_where_it_is_preferred_to_text() {
    on_each(|server| {
        let mut app = App::new(server);
        let api_key = format!("/api-key/{}", app.bucket);
        for (accept, wants_json) in ACCEPTS {
            let mut fields: Vec<_> = accept.iter().map(|value| ("Accept", *value)).collect();
            let put = app.put(&fields, b"").expect(201);
            fields.push(("X-SESSION-KEY", MASTER_KEY));
            let key = app.client.request("GET", &api_key, &fields, b"").expect(200);
            for response in [put, key] {
                let is_json = response.must("Content-Type") == "application/json";
                assert_eq!(is_json, wants_json, "Accept: {accept:?}: {response}");
                if is_json {
                    assert_eq!(response.must("Vary"), "Accept", "{response}");
                }
            }
        }
    });
}

#[test]
fn the_json_forms_have_their_members_and_no_others() {
    on_each(|server| {
        let mut app = App::new(server);
        let accept = ("Accept", "application/json");
        let put = app.put(&[accept, ("X-Session-TTL", "90")], b"data").expect(201);
        check_session_fields(&put);
        let session = put.json();
        let id = session["id"].as_str().expect("an id").to_owned();
        assert_eq!(put.must("Location"), app.path(&id));
        assert_eq!(
            (&session["bucket"], &session["ttl"]),
            (&Value::from(app.bucket.as_str()), &Value::from(90))
        );
        assert_eq!(session["expires_at"], Value::from(put.must("X-Session-Expires")));
        assert!(unix_millis(put.must("X-Session-Expires")).is_some());
        assert_eq!(session.as_object().expect("an object").len(), 4, "{session}");
        assert_eq!(app.get(&id, &[accept]).expect(200).body, b"data", "a session's data has one form");

        let fields = [("X-SESSION-KEY", MASTER_KEY), accept];
        let api_key = format!("/api-key/{}", app.bucket);
        let key = app.client.request("GET", &api_key, &fields, b"").expect(200).json();
        assert_eq!(key, serde_json::json!({ "bucket": app.bucket, "api_key": app.key }));
        app.client.request("DELETE", &api_key, &fields, b"").expect(200);
        let made = app.client.request("PUT", &api_key, &fields, b"").expect(201).json();
        let now = app.client.request("GET", &api_key, &fields[..1], b"").expect(200);
        assert_eq!(made, serde_json::json!({ "bucket": app.bucket, "api_key": now.text() }));
    });
}

#[test]
fn settings_tell_the_limits_and_no_secret() {
    on_each(|server| {
        let mut app = App::new(server);
        for key in [app.key.clone(), MASTER_KEY.to_owned()] {
            let fields = [("X-SESSION-KEY", key.as_str())];
            let response = app.client.request("GET", "/session/settings", &fields, b"").expect(200);
            assert_eq!(response.must("Content-Type"), "application/json");
            let settings = response.json();
            assert_eq!(settings["session_ttl"], Value::from(DEFAULT_TTL_SECS), "{settings}");
            assert_eq!(settings["max_payload"], Value::from(1024 * 1024), "{settings}");
            assert_eq!(settings["version"], Value::from(env!("CARGO_PKG_VERSION")), "{settings}");
            assert!(settings["limits"].as_object().is_some_and(|limits| !limits.is_empty()), "{settings}");
            assert!(
                !response.text().contains(MASTER_KEY) && !response.text().contains(&app.key),
                "{settings}"
            );
        }
    });
}
