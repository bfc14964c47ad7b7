//! How a request shows its key, and that nothing opens without the right one.
//!
//! Every mechanism alone, together, and at odds with another; and that no 401 tells which
//! of its causes it had.

use crate::on_each;
use crate::support::{App, Launch, MASTER_KEY, MISSING_ID, Shape, on_each_with, unique_name};

/// Each byte as `%XX`.
fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn a_key_is_taken_from_its_header_the_bearer_token_and_the_query() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (path, key) = (app.path(&id), app.key.clone());
        let bearer = format!("Bearer {key}");
        let fields: [&[(&str, &str)]; 7] = [
            &[("X-SESSION-KEY", &key)],
            &[("x-session-key", &key)],
            &[("X-Session-Key", &key)],
            &[("Authorization", &bearer)],
            &[("authorization", &format!("bearer {key}"))],
            &[("Authorization", "Basic Zm9vOmJhcg=="), ("X-SESSION-KEY", &key)],
            &[("X-SESSION-KEY", &key), ("Authorization", &bearer)],
        ];
        for fields in fields {
            assert_eq!(app.client.request("GET", &path, fields, b"").expect(200).body, b"data", "{fields:?}");
        }
        let encoded = percent_encoded(&key);
        for query in [
            format!("api_key={key}"),
            format!("api_key={encoded}"),
            format!("x=1&api_key={key}&y=2"),
            format!("api_key={key}&api_key={key}"),
            format!("api_key={key}&api_key={encoded}"),
        ] {
            app.client.request("GET", &format!("{path}?{query}"), &[], b"").expect(200);
        }
        let everywhere = [("X-SESSION-KEY", key.as_str()), ("Authorization", &bearer)];
        app.client.request("GET", &format!("{path}?api_key={key}"), &everywhere, b"").expect(200);
    });
}

#[test]
fn a_key_opens_every_route_of_its_bucket_in_every_form() {
    on_each(|server| {
        let mut app = App::new(server);
        let (bucket, key) = (app.bucket.clone(), app.key.clone());
        let query = format!("?api_key={key}");
        let put = app.client.request("PUT", &format!("/session/{bucket}{query}"), &[], b"").expect(201);
        let path = format!("/session/{bucket}/{}{query}", put.text());
        for (method, body) in [("GET", ""), ("HEAD", ""), ("POST", "new"), ("DELETE", "")] {
            app.client.request(method, &path, &[], body.as_bytes()).expect(200);
        }
        let bearer = format!("Bearer {MASTER_KEY}");
        let target = format!("/api-key/{bucket}");
        app.client.request("GET", &target, &[("Authorization", &bearer)], b"").expect(200);
        app.client.request("GET", &format!("{target}?api_key={MASTER_KEY}"), &[], b"").expect(200);
        app.client
            .request("GET", &format!("{target}?api_key={}", percent_encoded(MASTER_KEY)), &[], b"")
            .expect(200);
    });
}

#[test]
fn no_key_a_wrong_key_and_keys_that_differ_are_401() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (path, key) = (app.path(&id), app.key.clone());
        let other = App::new(server).key;
        let (bearer, other_bearer) = (format!("Bearer {key}"), format!("Bearer {other}"));
        let fields: [&[(&str, &str)]; 14] = [
            &[],
            &[("X-SESSION-KEY", "")],
            &[("X-SESSION-KEY", "wrong")],
            &[("X-SESSION-KEY", &other)],
            &[("X-SESSION-KEY", &key[1..])],
            &[("X-SESSION-KEY", &format!("{key}="))],
            &[("X-SESSION-KEY", &key.to_ascii_lowercase())],
            &[("X-SESSION-KEY", MASTER_KEY)],
            &[("Authorization", "Bearer")],
            &[("Authorization", &key)],
            &[("Authorization", &format!("Basic {key}"))],
            &[("X-SESSION-KEY", &key), ("X-SESSION-KEY", &other)],
            &[("X-SESSION-KEY", &key), ("Authorization", &other_bearer)],
            &[("X-SESSION-KEY", &other), ("Authorization", &bearer)],
        ];
        for fields in fields {
            app.client.request("GET", &path, fields, b"").expect(401);
        }
        for query in ["", "api_key", "api_key=", "api_key=wrong", "API_KEY=x", "apikey=x"] {
            app.client.request("GET", &format!("{path}?{query}"), &[], b"").expect(401);
        }
        for query in
            [format!("api_key={key}%zz"), format!("api_key={key}&api_key={other}"), format!("API_KEY={key}")]
        {
            app.client.request("GET", &format!("{path}?{query}"), &[], b"").expect(401);
        }
        for query in [format!("api_key={other}"), "api_key=".to_owned()] {
            app.call("GET", &format!("{path}?{query}"), &[], b"").expect(401);
        }
        assert_eq!(app.get(&id, &[]).expect(200).body, b"data");
    });
}

#[test]
fn every_401_looks_the_same_whatever_its_cause() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (path, key) = (app.path(&id), app.key.clone());
        let other = App::new(server).key;
        let elsewhere = format!("/session/no-such-bucket/{id}");
        let causes: [(&str, &[(&str, &str)]); 7] = [
            (&path, &[]),
            (&path, &[("X-SESSION-KEY", "")]),
            (&path, &[("X-SESSION-KEY", "wrong")]),
            (&path, &[("X-SESSION-KEY", &other)]),
            (&path, &[("X-SESSION-KEY", MASTER_KEY)]),
            (&path, &[("X-SESSION-KEY", &key), ("X-SESSION-KEY", &other)]),
            (&elsewhere, &[("X-SESSION-KEY", &key)]),
        ];
        let answers =
            causes.map(|(path, fields)| app.client.request("GET", path, fields, b"").expect(401).lasting());
        for answer in &answers {
            assert_eq!(answer, &answers[0]);
        }
    });
}

#[test]
fn every_route_of_sessions_needs_the_key() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (path, bucket) = (app.path(&id), app.bucket_path());
        for fields in [&[][..], &[("X-SESSION-KEY", "wrong")], &[("X-SESSION-KEY", MASTER_KEY)]] {
            for method in ["GET", "HEAD", "POST", "DELETE"] {
                app.client.request(method, &path, fields, b"").expect(401);
            }
            app.client.request("PUT", &bucket, fields, b"").expect(401);
        }
        assert_eq!(app.get(&id, &[]).expect(200).body, b"data");
    });
}

#[test]
fn a_bucket_key_opens_no_api_key_route() {
    on_each(|server| {
        let mut app = App::new(server);
        let (bucket, path) = (unique_name("new"), format!("/api-key/{}", app.bucket));
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            app.call(method, &path, &[], b"").expect(401);
            app.call(method, &format!("/api-key/{bucket}"), &[], b"").expect(401);
            app.client.request(method, &path, &[], b"").expect(401);
            app.client.request(method, &path, &[("X-SESSION-KEY", "")], b"").expect(401);
            app.client.request(method, &path, &[("X-SESSION-KEY", &MASTER_KEY[1..])], b"").expect(401);
        }
        app.put(&[], b"").expect(201);
    });
}

#[test]
fn settings_open_to_any_valid_key() {
    on_each(|server| {
        let mut app = App::new(server);
        app.call("GET", "/session/settings", &[], b"").expect(200);
        app.client.request("GET", &format!("/session/settings?api_key={}", app.key), &[], b"").expect(200);
        app.client.request("GET", "/session/settings", &[("X-SESSION-KEY", MASTER_KEY)], b"").expect(200);
        app.client.request("GET", "/session/settings", &[], b"").expect(401);
        for key in ["", "wrong", &MASTER_KEY[1..], MISSING_ID, &"A".repeat(43)] {
            app.client.request("GET", "/session/settings", &[("X-SESSION-KEY", key)], b"").expect(401);
        }
        let master = [("X-SESSION-KEY", MASTER_KEY)];
        app.client.request("DELETE", &format!("/api-key/{}", app.bucket), &master, b"").expect(200);
        app.call("GET", "/session/settings", &[], b"").expect(401);
    });
}

#[test]
fn each_of_several_master_keys_opens_the_api_keys() {
    let change = |launch: Launch| {
        launch.set("auth.master_keys", &format!("[\"{MASTER_KEY}\", \"the-second-master-key.0123\"]"))
    };
    on_each_with(change, |server| {
        let mut client = server.connect();
        let key = client.make_bucket("shop");
        let second = [("X-SESSION-KEY", "the-second-master-key.0123")];
        assert_eq!(client.request("GET", "/api-key/shop", &second, b"").expect(200).text(), key);
        let both = [second[0], ("Authorization", &format!("Bearer {MASTER_KEY}"))];
        client.request("GET", "/api-key/shop", &both, b"").expect(401);
    });
}

#[test]
fn keys_in_the_query_can_be_forbidden() {
    let server = Launch::shape(Shape::cores(2)).set("auth.query_key", "false").start();
    let mut app = App::new(&server);
    let id = app.create(b"data");
    app.client.request("GET", &format!("{}?api_key={}", app.path(&id), app.key), &[], b"").expect(401);
    app.client.request("GET", &format!("/session/settings?api_key={}", app.key), &[], b"").expect(401);
    app.client.request("GET", &format!("/api-key/{}?api_key={MASTER_KEY}", app.bucket), &[], b"").expect(401);
    app.get(&id, &[]).expect(200);
}
