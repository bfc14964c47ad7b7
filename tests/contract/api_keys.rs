//! Making, reading and deleting a bucket's key, and what becomes of its sessions.
//!
//! One connection at a time: what many connections see of a key is the suite `keys`.

use crate::on_each;
use crate::support::{App, MASTER_KEY, Response, problem_code, unique_name};

/// Asks on the key of `bucket`, with the master key.
#[track_caller]
fn ask(app: &mut App, method: &str, bucket: &str) -> Response {
    app.client.request(method, &format!("/api-key/{bucket}"), &[("X-SESSION-KEY", MASTER_KEY)], b"")
}

#[test]
fn a_made_key_is_long_url_safe_and_new_each_time() {
    on_each(|server| {
        let mut app = App::new(server);
        let mut keys: Vec<_> = (0..20).map(|_| app.client.make_bucket(&unique_name("made"))).collect();
        for key in &keys {
            assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{key}");
            // 6 bits a character at most: 128 random bits need 22 of them.
            assert!(key.len() >= 22, "{key}");
        }
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 20);
    });
}

#[test]
fn a_key_is_made_read_deleted_and_made_again() {
    on_each(|server| {
        let mut app = App::new(server);
        let bucket = unique_name("life");
        ask(&mut app, "GET", &bucket).expect(404);
        ask(&mut app, "HEAD", &bucket).expect(404);
        ask(&mut app, "DELETE", &bucket).expect(404);
        let first = ask(&mut app, "PUT", &bucket).expect(201);
        assert!(first.must("Content-Type").starts_with("text/plain"), "{first}");
        for _ in 0..2 {
            assert_eq!(ask(&mut app, "GET", &bucket).expect(200).text(), first.text());
            ask(&mut app, "PUT", &bucket).expect(409);
        }
        ask(&mut app, "DELETE", &bucket).expect(200);
        ask(&mut app, "DELETE", &bucket).expect(404);
        ask(&mut app, "GET", &bucket).expect(404);
        let second = ask(&mut app, "PUT", &bucket).expect(201);
        assert_ne!(second.text(), first.text());
        assert_eq!(ask(&mut app, "GET", &bucket).expect(200).text(), second.text());
    });
}

#[test]
fn a_refused_put_leaves_the_key_as_it_was() {
    on_each(|server| {
        let mut app = App::new(server);
        let bucket = app.bucket.clone();
        let refused = ask(&mut app, "PUT", &bucket).expect(409);
        assert!(!refused.text().contains(&app.key), "{refused}");
        assert_eq!(ask(&mut app, "GET", &bucket).expect(200).text(), app.key);
        app.put(&[], b"").expect(201);
    });
}

#[test]
fn sessions_survive_their_key() {
    on_each(|server| {
        let mut app = App::new(server);
        let bucket = app.bucket.clone();
        let ids: Vec<_> = (0..20).map(|n| app.create(format!("data {n}").as_bytes())).collect();
        let etags: Vec<_> = ids.iter().map(|id| app.get(id, &[]).expect(200).etag().to_owned()).collect();
        ask(&mut app, "DELETE", &bucket).expect(200);
        for id in &ids {
            app.get(id, &[]).expect(401);
        }
        let old = app.key.clone();
        app.key = app.client.make_bucket(&bucket);
        for (n, (id, etag)) in ids.iter().zip(&etags).enumerate() {
            let read = app.get(id, &[]).expect(200);
            assert_eq!((read.text(), read.etag()), (format!("data {n}").as_str(), etag.as_str()));
            app.client.request("GET", &app.path(id), &[("X-SESSION-KEY", &old)], b"").expect(401);
        }
    });
}

#[test]
fn an_unknown_bucket_is_401_until_it_has_a_key() {
    on_each(|server| {
        let mut app = App::new(server);
        let bucket = unique_name("later");
        let path = format!("/session/{bucket}");
        app.call("PUT", &path, &[], b"").expect(401);
        let key = app.client.make_bucket(&bucket);
        app.call("PUT", &path, &[], b"").expect(401);
        app.client.request("PUT", &path, &[("X-SESSION-KEY", &key)], b"").expect(201);
    });
}

#[test]
fn deleting_one_key_leaves_the_others() {
    on_each(|server| {
        let (mut kept, mut gone) = (App::new(server), App::new(server));
        let id = kept.create(b"data");
        let bucket = gone.bucket.clone();
        ask(&mut gone, "DELETE", &bucket).expect(200);
        gone.put(&[], b"").expect(401);
        assert_eq!(kept.get(&id, &[]).expect(200).body, b"data");
    });
}

#[test]
fn the_body_of_a_key_request_is_of_no_account() {
    on_each(|server| {
        let mut app = App::new(server);
        let (path, master) = (format!("/api-key/{}", unique_name("body")), [("X-SESSION-KEY", MASTER_KEY)]);
        let body = br#"{"api_key":"I-choose-my-key-myself-0123456789abcdefghij"}"#;
        let made = app.client.request("PUT", &path, &master, body).expect(201);
        assert!(!made.text().contains("I-choose"), "{made}");
        assert_eq!(app.client.request("GET", &path, &master, body).expect(200).text(), made.text());
        app.client.request("DELETE", &path, &master, body).expect(200);
    });
}

#[test]
fn a_409_has_one_code_for_each_cause() {
    on_each(|server| {
        let mut app = App::new(server);
        let bucket = app.bucket.clone();
        let taken = problem_code(&ask(&mut app, "PUT", &bucket).expect(409));
        let again = problem_code(&ask(&mut app, "PUT", &bucket).expect(409));
        assert_eq!(taken, again);
        ask(&mut app, "PUT", "settings").expect(409);
    });
}
