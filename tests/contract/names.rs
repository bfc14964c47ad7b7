//! Bucket names and session ids: which there are, how they may be written, what they keep apart.
//!
//! Bad forms are tried on every route that takes such a name, since each route refuses
//! them with a status of its own.

use crate::on_each;
use crate::support::{App, MASTER_KEY, MISSING_ID, unique_name};

/// Names that no bucket has, as they stand in a path.
fn impossible_names() -> Vec<String> {
    let names = [
        ".", "..", ".a", "-a", "_a", "%2ea", "a%20b", "a%2Fb", "a%2fb", "a%5Cb", "a%00", "a%0A", "a%7F",
        "%C3%A9", "a%", "a%2", "a%zz", "a%%61", "a%252e", "a+b", "a~b", "a:b", "a@b", "a,b", "a;b", "a=b",
        "a!b", "a*b",
    ];
    names.into_iter().map(Into::into).chain(["a".repeat(65), "a".repeat(1000)]).collect()
}

#[test]
fn names_that_a_bucket_can_have_are_taken() {
    on_each(|server| {
        let mut client = server.connect();
        let long = unique_name(&"n".repeat(50));
        let longest = format!("{long}{}", "x".repeat(64 - long.len()));
        for name in
            [longest, unique_name("0"), unique_name("Z"), unique_name("my.app_v2-eu"), unique_name("a.-_")]
        {
            let key = client.make_bucket(&name);
            let path = format!("/session/{name}");
            let put = client.request("PUT", &path, &[("X-SESSION-KEY", &key)], b"").expect(201);
            assert_eq!(put.must("Location"), format!("{path}/{}", put.text()));
        }
    });
}

#[test]
fn an_impossible_name_is_400_404_or_401_by_its_route() {
    on_each(|server| {
        let mut app = App::new(server);
        let master = [("X-SESSION-KEY", MASTER_KEY)];
        for name in impossible_names() {
            let api_key = format!("/api-key/{name}");
            app.client.request("PUT", &api_key, &master, b"").expect(400);
            for method in ["GET", "HEAD", "DELETE"] {
                app.client.request(method, &api_key, &master, b"").expect(404);
            }
            for method in ["PUT", "GET", "DELETE"] {
                app.client.request(method, &api_key, &[], b"").expect(401);
            }
            app.call("PUT", &format!("/session/{name}"), &[], b"").expect(401);
            for method in ["GET", "HEAD", "POST", "DELETE"] {
                app.call(method, &format!("/session/{name}/{MISSING_ID}"), &[], b"").expect(401);
            }
        }
    });
}

#[test]
fn the_name_settings_is_reserved() {
    on_each(|server| {
        let mut app = App::new(server);
        let master = [("X-SESSION-KEY", MASTER_KEY)];
        for name in ["settings", "%73ettings", "setting%73"] {
            let path = format!("/api-key/{name}");
            app.client.request("PUT", &path, &master, b"").expect(409);
            app.client.request("GET", &path, &master, b"").expect(404);
            app.client.request("DELETE", &path, &master, b"").expect(404);
        }
        app.call("GET", &format!("/session/settings/{MISSING_ID}"), &[], b"").expect(401);
    });
}

#[test]
fn names_differ_by_case() {
    on_each(|server| {
        let mut client = server.connect();
        let name = unique_name("Cart");
        let upper = client.make_bucket(&name);
        let lower = client.make_bucket(&name.to_lowercase());
        assert_ne!(upper, lower);
        let fields = [("X-SESSION-KEY", upper.as_str())];
        client.request("PUT", &format!("/session/{name}"), &fields, b"").expect(201);
        client.request("PUT", &format!("/session/{}", name.to_lowercase()), &fields, b"").expect(401);
    });
}

#[test]
fn a_segment_is_percent_decoded_once() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let bucket: String = app.bucket.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let encoded_id: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for path in [
            format!("/session/{bucket}/{id}"),
            app.path(&encoded_id),
            format!("/session/{bucket}/{encoded_id}"),
        ] {
            assert_eq!(app.call("GET", &path, &[], b"").expect(200).body, b"data", "{path}");
        }
        let put = app.call("PUT", &format!("/session/{bucket}"), &[], b"").expect(201);
        assert_eq!(put.must("Location"), app.path(put.text()));
        let twice = bucket.replace('%', "%25");
        app.call("GET", &format!("/session/{twice}/{id}"), &[], b"").expect(401);
        app.call("GET", &app.path(&encoded_id.replace('%', "%25")), &[], b"").expect(404);
        let one_segment = format!("/session/{}%2F{id}", app.bucket);
        app.call("PUT", &one_segment, &[], b"").expect(401);
        app.call("GET", &one_segment, &[], b"").expect(405);
    });
}

#[test]
fn an_id_is_taken_with_and_without_hyphens_in_any_case() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let simple = id.replace('-', "");
        for form in [id.to_uppercase(), simple.to_uppercase(), simple] {
            assert_eq!(app.get(&form, &[]).expect(200).body, b"data", "{form}");
            app.post(&form, &[], b"data").expect(200);
        }
        app.delete(&id.to_uppercase(), &[]).expect(200);
        app.get(&id, &[]).expect(404);
    });
}

#[test]
fn what_is_no_id_is_404_behind_the_key() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let simple = id.replace('-', "");
        let ids = [
            "x".to_owned(),
            "0".to_owned(),
            id[1..].to_owned(),
            format!("{id}0"),
            simple[1..].to_owned(),
            format!("{simple}0"),
            format!("%7B{id}%7D"),
            format!("%7B{simple}%7D"),
            format!("urn:uuid:{id}"),
            format!("{}-{}", &simple[..8], &simple[8..]),
            format!("{}{}", &id[1..], "g"),
            format!("{}%2F", &id[..35]),
            format!("{}%00", &id[..35]),
            format!("{}%", &id[..35]),
            "-".repeat(36),
            "g".repeat(32),
            "a".repeat(2000),
        ];
        for bad in ids {
            for method in ["GET", "HEAD", "POST", "DELETE"] {
                app.call(method, &app.path(&bad), &[], b"").expect(404);
                app.client.request(method, &app.path(&bad), &[("X-SESSION-KEY", "wrong")], b"").expect(401);
            }
        }
        app.get(&id, &[]).expect(200);
    });
}

#[test]
fn an_id_of_any_version_is_looked_for() {
    on_each(|server| {
        let mut app = App::new(server);
        for id in ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"] {
            app.get(id, &[]).expect(404);
        }
        app.get("6ba7b810-9dad-11d1-80b4-00c04fd430c8", &[]).expect(404);
    });
}

#[test]
fn a_session_is_not_found_in_another_bucket() {
    on_each(|server| {
        let (mut mine, mut other) = (App::new(server), App::new(server));
        let id = mine.create(b"mine");
        other.get(&id, &[]).expect(404);
        other.head(&id, &[]).expect(404);
        other.post(&id, &[], b"theirs").expect(404);
        other.delete(&id, &[]).expect(404);
        other.get(&id, &[("If-Match", "*")]).expect(404);
        other.call("GET", &mine.path(&id), &[], b"").expect(401);
        assert_eq!(mine.get(&id, &[]).expect(200).body, b"mine");
    });
}

#[test]
fn the_same_id_is_not_made_twice() {
    on_each(|server| {
        let mut app = App::new(server);
        let mut ids: Vec<_> = (0..500).map(|_| app.create(b"")).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 500);
    });
}
