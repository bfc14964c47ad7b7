//! A session's own TTL: how it is asked for, kept, clamped and refused.
//!
//! Reads the seconds left and waits for nothing: what time does is the suite `expiry`.

use crate::on_each;
use crate::support::{App, Launch, Response, on_each_with};

/// The seconds left just after a touch: `ttl`, less what a slow machine took to answer.
#[track_caller]
fn check_left(response: &Response, ttl: u64) {
    let left = response.seconds_left();
    assert!(left <= ttl && left + 20 > ttl, "{left} s left of {ttl}: {response}");
}

#[test]
fn a_session_keeps_the_ttl_that_it_was_created_with() {
    on_each(|server| {
        let mut app = App::new(server);
        let put = app.put(&[("X-Session-TTL", "1000")], b"data").expect(201);
        check_left(&put, 1000);
        let id = put.text();
        check_left(&app.get(id, &[]).expect(200), 1000);
        check_left(&app.head(id, &[]).expect(200), 1000);
        check_left(&app.post(id, &[], b"new").expect(200), 1000);
        check_left(&app.get(id, &[]).expect(200), 1000);
    });
}

#[test]
fn a_post_gives_a_session_another_ttl() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        for ttl in [1000, 5000, 100] {
            check_left(&app.post(&id, &[("X-Session-TTL", &ttl.to_string())], b"new").expect(200), ttl);
            check_left(&app.get(&id, &[]).expect(200), ttl);
            check_left(&app.post(&id, &[], b"newer").expect(200), ttl);
        }
    });
}

#[test]
fn a_touch_answers_with_the_whole_ttl() {
    on_each(|server| {
        let mut app = App::new(server);
        let put = app.put(&[("X-Session-TTL", "77")], b"").expect(201);
        assert_eq!(put.seconds_left(), 77);
        assert_eq!(app.get(put.text(), &[]).expect(200).seconds_left(), 77);
        assert_eq!(app.post(put.text(), &[], b"x").expect(200).seconds_left(), 77);
    });
}

#[test]
fn a_ttl_over_the_largest_is_clamped() {
    on_each(|server| {
        let mut app = App::new(server);
        let largest = 30 * 24 * 60 * 60;
        for ttl in [largest, largest + 1, 4_294_967_295, 4_294_967_296, 9_999_999_999] {
            let put = app.put(&[("X-Session-TTL", &ttl.to_string())], b"").expect(201);
            check_left(&put, largest);
            check_left(
                &app.post(put.text(), &[("X-Session-TTL", &ttl.to_string())], b"").expect(200),
                largest,
            );
        }
    });
}

#[test]
fn a_ttl_that_is_no_whole_number_of_seconds_is_400_and_changes_nothing() {
    on_each(|server| {
        let mut app = App::new(server);
        let put = app.put(&[("X-Session-TTL", "1000")], b"data").expect(201);
        let id = put.text();
        for ttl in [
            "0", "00", "-1", "+5", "1.5", "1.0", "1e3", "0x10", "abc", "5s", "30d", "", "1 2", "1,2", "\"5\"",
        ] {
            app.put(&[("X-Session-TTL", ttl)], b"").expect(400);
            app.post(id, &[("X-Session-TTL", ttl)], b"other").expect(400);
        }
        let read = app.get(id, &[]).expect(200);
        assert_eq!((&read.body[..], read.etag()), (&b"data"[..], put.etag()));
        check_left(&read, 1000);
    });
}

#[test]
fn the_json_form_tells_the_ttl_in_force() {
    on_each(|server| {
        let mut app = App::new(server);
        let accept = ("Accept", "application/json");
        let month = 30 * 24 * 60 * 60;
        for (asked, ttl) in [(None, month), (Some("60"), 60), (Some("99999999"), month)] {
            let mut fields = vec![accept];
            fields.extend(asked.map(|ttl| ("X-Session-TTL", ttl)));
            let put = app.put(&fields, b"").expect(201);
            assert_eq!(put.json()["ttl"], ttl, "{put}");
            check_left(&put, ttl);
        }
    });
}

#[test]
fn the_configured_ttl_is_the_default_and_the_largest_its_own() {
    let change = |launch: Launch| launch.set("session.ttl", "10m").set("session.max_ttl", "1h");
    on_each_with(change, |server| {
        let mut app = App::new(server);
        let put = app.put(&[], b"").expect(201);
        check_left(&put, 600);
        check_left(&app.get(put.text(), &[]).expect(200), 600);
        check_left(&app.put(&[("X-Session-TTL", "3601")], b"").expect(201), 3600);
        check_left(&app.put(&[("X-Session-TTL", "3500")], b"").expect(201), 3500);
        let settings = app.call("GET", "/session/settings", &[], b"").expect(200).json();
        assert_eq!(settings["session_ttl"], 600);
    });
}

#[test]
fn a_peek_is_answered_like_a_get() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create_with(&[("Content-Type", "text/css")], b"data");
        let (get, peek) =
            (app.get(&id, &[]).expect(200), app.get(&id, &[("X-Session-Peek", "1")]).expect(200));
        assert_eq!(peek.lasting(), get.lasting());
        assert_eq!(peek.etag(), get.etag());
        app.get(&id, &[("X-Session-Peek", "1"), ("If-None-Match", get.etag())]).expect(304);
    });
}
