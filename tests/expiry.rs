//! Expiry as a client sees it: gone after its TTL, extended by what should, by nothing else.
//!
//! One side only. That a session is gone is asserted after twice its TTL; that it lives on
//! is read from `X-Session-Expires`, never waited for. Exactness is tested on virtual time
//! beside the code. Both servers wait at the same time.

#[path = "support/mod.rs"]
mod support;

use std::thread;
use std::time::Duration;

use support::{App, Launch, MASTER_KEY, MISSING_ID, Response, SHAPES, Server, eventually, on_all_at_once};

/// The TTL of the sessions that are to expire.
const SHORT: (&str, &str) = ("X-Session-TTL", "1");

/// Twice [`SHORT`].
const TWICE_SHORT: Duration = Duration::from_secs(2);

/// Between a session's creation and what may extend it.
const PAUSE: Duration = Duration::from_millis(1500);

/// How far two looks at one deadline may lie apart, since wall clocks are adjusted.
const SLEW_MILLIS: i64 = 500;

#[test]
fn a_session_is_gone_for_every_method_after_twice_its_ttl() {
    on_all_at_once(|server| {
        let mut apps = vec![App::new(server)];
        for _ in 0..7 {
            apps.push(apps[0].over_another_connection(server));
        }
        let ids: Vec<_> = apps.iter_mut().map(|app| app.create_with(&[SHORT], b"data")).collect();
        let kept = apps[0].create(b"kept");
        thread::sleep(TWICE_SHORT);
        for app in &mut apps {
            for id in &ids {
                for method in ["HEAD", "GET", "POST", "DELETE"] {
                    app.call(method, &app.path(id), &[], b"").expect(404);
                }
                app.get(id, &[("If-None-Match", "*")]).expect(404);
                app.get(id, &[("X-Session-Peek", "1")]).expect(404);
            }
            assert_eq!(app.get(&kept, &[]).expect(200).body, b"kept");
        }
    });
}

#[test]
fn a_first_look_after_the_ttl_finds_nothing_whatever_its_method() {
    on_all_at_once(|server| {
        let mut app = App::new(server);
        let methods = ["GET", "HEAD", "POST", "DELETE"];
        let ids = methods.map(|_| app.create_with(&[SHORT], b"data"));
        thread::sleep(TWICE_SHORT);
        for (method, id) in methods.iter().zip(&ids) {
            app.call(method, &app.path(id), &[], b"").expect(404);
            app.get(id, &[]).expect(404);
        }
    });
}

/// An action on a session, and whether it extends it.
struct Action {
    what: &'static str,
    extends: bool,
    status: u16,
    act: fn(&mut App, &str, &str) -> Response,
}

/// Every way to reach a session. The functions get the app, the id and the session's ETag.
const ACTIONS: [Action; 19] = [
    does("GET", 200, |app, id, _| app.get(id, &[])),
    does("POST", 200, |app, id, _| app.post(id, &[], b"new")),
    does("GET, If-Match holds", 200, |app, id, etag| app.get(id, &[("If-Match", etag)])),
    does("GET, 304", 304, |app, id, etag| app.get(id, &[("If-None-Match", etag)])),
    does("POST, If-Match holds", 200, |app, id, etag| app.post(id, &[("If-Match", etag)], b"new")),
    does_not("HEAD", 200, |app, id, _| app.head(id, &[])),
    does_not("HEAD, 304", 304, |app, id, etag| app.head(id, &[("If-None-Match", etag)])),
    does_not("HEAD, 412", 412, |app, id, _| app.head(id, &[("If-Match", "\"0\"")])),
    does_not("peek", 200, |app, id, _| app.get(id, &[("X-Session-Peek", "1")])),
    does_not("peek, 304", 304, |app, id, etag| {
        app.get(id, &[("X-Session-Peek", "1"), ("If-None-Match", etag)])
    }),
    does_not("GET, 412", 412, |app, id, _| app.get(id, &[("If-Match", "\"0\"")])),
    does_not("POST, 412", 412, |app, id, _| app.post(id, &[("If-Match", "\"0\"")], b"new")),
    does_not("POST, If-None-Match, 412", 412, |app, id, _| app.post(id, &[("If-None-Match", "*")], b"new")),
    does_not("DELETE, 412", 412, |app, id, _| app.delete(id, &[("If-Match", "\"0\"")])),
    does_not("POST, 400", 400, |app, id, _| app.post(id, &[("X-Session-TTL", "0")], b"new")),
    does_not("POST, 415", 415, |app, id, _| app.post(id, &[("Content-Encoding", "gzip")], b"new")),
    does_not("GET, 401", 401, |app, id, _| {
        let path = app.path(id);
        app.client.request("GET", &path, &[("X-SESSION-KEY", "wrong")], b"")
    }),
    does_not("PATCH, 405", 405, |app, id, _| app.call("PATCH", &app.path(id), &[], b"")),
    does_not("GET of another, 404", 404, |app, _, _| app.get(MISSING_ID, &[])),
];

const fn does(what: &'static str, status: u16, act: fn(&mut App, &str, &str) -> Response) -> Action {
    Action { what, extends: true, status, act }
}

const fn does_not(what: &'static str, status: u16, act: fn(&mut App, &str, &str) -> Response) -> Action {
    Action { what, extends: false, status, act }
}

#[test]
fn reads_and_writes_that_succeed_extend_and_nothing_else_does() {
    on_all_at_once(|server| {
        let mut app = App::new(server);
        for fields in [&[][..], &[("X-Session-TTL", "1000")]] {
            let made: Vec<_> = ACTIONS.iter().map(|_| app.put(fields, b"data").expect(201)).collect();
            thread::sleep(PAUSE);
            for (action, made) in ACTIONS.iter().zip(&made) {
                check_action(&mut app, action, made);
            }
        }
    });
}

fn check_action(app: &mut App, action: &Action, made: &Response) {
    let id = made.text();
    (action.act)(app, id, made.etag()).expect(action.status);
    let later = app.head(id, &[]).expect(200).expires_unix_millis() - made.expires_unix_millis();
    let expected = if action.extends { PAUSE.as_millis() as i64 } else { 0 };
    if action.extends {
        assert!(later >= expected - SLEW_MILLIS, "{} extended by {later} ms alone", action.what);
    } else {
        assert!(later.abs() <= SLEW_MILLIS, "{} extended by {later} ms", action.what);
    }
}

#[test]
fn a_touch_on_one_core_extends_for_all() {
    on_all_at_once(|server| {
        let mut app = App::new(server);
        let made = app.put(&[("X-Session-TTL", "1000")], b"data").expect(201);
        let mut others: Vec<_> = (0..8).map(|_| app.over_another_connection(server)).collect();
        thread::sleep(PAUSE);
        let extended = others[0].get(made.text(), &[]).expect(200).expires_unix_millis();
        assert!(extended >= made.expires_unix_millis() + PAUSE.as_millis() as i64 - SLEW_MILLIS);
        for other in &mut others {
            let seen = other.head(made.text(), &[]).expect(200).expires_unix_millis();
            assert!((seen - extended).abs() <= SLEW_MILLIS, "{seen} here, {extended} there");
        }
    });
}

#[test]
fn seconds_left_run_down_and_a_touch_winds_them_up() {
    on_all_at_once(|server| {
        let mut app = App::new(server);
        let id = app.create_with(&[("X-Session-TTL", "500")], b"data");
        thread::sleep(TWICE_SHORT);
        assert!(app.head(&id, &[]).expect(200).seconds_left() <= 498);
        assert!(app.head(&id, &[]).expect(200).seconds_left() <= 498);
        assert_eq!(app.get(&id, &[]).expect(200).seconds_left(), 500);
    });
}

#[test]
fn a_post_can_shorten_a_ttl_and_keeps_what_it_is_not_told() {
    on_all_at_once(|server| {
        let mut app = App::new(server);
        let shortened = app.create_with(&[("X-Session-TTL", "1000")], b"data");
        app.post(&shortened, &[SHORT], b"data").expect(200);
        let default_shortened = app.create(b"data");
        app.post(&default_shortened, &[SHORT], b"data").expect(200);
        let short_twice = app.create(b"data");
        app.post(&short_twice, &[SHORT], b"data").expect(200);
        app.post(&short_twice, &[], b"data").expect(200);
        thread::sleep(TWICE_SHORT);
        for id in [shortened, default_shortened, short_twice] {
            app.get(&id, &[]).expect(404);
        }
    });
}

#[test]
fn ttls_run_on_while_a_bucket_has_no_key() {
    on_all_at_once(|server| {
        let mut app = App::new(server);
        let (gone, kept) = (app.create_with(&[SHORT], b"gone"), app.create(b"kept"));
        let api_key = format!("/api-key/{}", app.bucket);
        app.client.request("DELETE", &api_key, &[("X-SESSION-KEY", MASTER_KEY)], b"").expect(200);
        thread::sleep(TWICE_SHORT);
        let bucket = app.bucket.clone();
        app.key = app.client.make_bucket(&bucket);
        app.get(&gone, &[]).expect(404);
        assert_eq!(app.get(&kept, &[]).expect(200).body, b"kept");
    });
}

#[test]
fn configured_ttls_are_what_sessions_expire_by() {
    let start = |shape| Launch::shape(shape).set("session.ttl", "1s").set("session.max_ttl", "2s").start();
    thread::scope(|scope| {
        for shape in SHAPES {
            scope.spawn(move || {
                let server = start(shape);
                let mut app = App::new(&server);
                let by_default = app.create(b"data");
                let clamped = app.create_with(&[("X-Session-TTL", "1000")], b"data");
                thread::sleep(2 * TWICE_SHORT);
                app.get(&by_default, &[]).expect(404);
                app.get(&clamped, &[]).expect(404);
            });
        }
    });
}

#[test]
fn sessions_that_nobody_asks_for_give_their_memory_back() {
    thread::scope(|scope| {
        for shape in SHAPES {
            scope.spawn(move || forgotten_sessions_leave(&Launch::shape(shape).with_admin().start()));
        }
    });
}

/// Makes many short sessions, asks for none, and sees the count come down by itself.
fn forgotten_sessions_leave(server: &Server) {
    let mut app = App::new(server);
    let kept = app.create(b"kept");
    let path = app.bucket_path();
    let request = app.bytes("PUT", &path, &[SHORT], &[b'x'; 1000]);
    for _ in 0..20 {
        app.client.send(&request.repeat(50));
        for _ in 0..50 {
            app.client.read_response().expect(201);
        }
    }
    eventually("only the session without a short TTL is left", || {
        let sessions: f64 = server.metrics().by_core("seshun_sessions").iter().sum();
        (sessions == 1.0).then_some(())
    });
    app.get(&kept, &[]).expect(200);
}
