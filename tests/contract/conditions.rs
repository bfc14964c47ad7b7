//! Conditional requests: `If-Match` and `If-None-Match` on every method that has a session.
//!
//! Each row runs on GET, HEAD, POST and DELETE, each on a session of its own, and looks
//! afterwards whether the session is what the answer says that it is.

use crate::on_each;
use crate::support::{App, MISSING_ID, Response};

/// What a condition says about the session: its tag now, a tag of the past, a foreign one.
struct Tags {
    now: String,
    past: String,
}

/// A session that was changed once, and its two tags.
fn changed_session(app: &mut App) -> (String, Tags) {
    let put = app.put(&[], b"first").expect(201);
    let id = put.text().to_owned();
    let post = app.post(&id, &[], b"second").expect(200);
    (id, Tags { now: post.etag().to_owned(), past: put.etag().to_owned() })
}

impl Tags {
    /// The condition with `NOW` and `PAST` filled in.
    fn fill(&self, condition: &str) -> String {
        condition.replace("NOW", &self.now).replace("PAST", &self.past)
    }
}

/// Asks on a fresh session for each method, with these conditions; `expected` are the
/// statuses of GET, HEAD, POST and DELETE.
fn check_row(app: &mut App, conditions: &[(&str, &str)], expected: [u16; 4]) {
    for (method, status) in ["GET", "HEAD", "POST", "DELETE"].into_iter().zip(expected) {
        let (id, tags) = changed_session(app);
        let filled: Vec<_> = conditions.iter().map(|(name, value)| (*name, tags.fill(value))).collect();
        let fields: Vec<_> = filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body: &[u8] = if method == "POST" { b"third" } else { b"" };
        let response = app.call(method, &app.path(&id), &fields, body);
        assert_eq!(response.status, status, "{method} {fields:?}: {response}");
        check_effect(app, &id, (method, &response), &tags);
    }
}

/// A condition that fails changes nothing; one that holds lets the method do its work.
fn check_effect(app: &mut App, id: &str, (method, response): (&str, &Response), tags: &Tags) {
    if matches!(response.status, 304 | 412) {
        assert_eq!(response.etag(), tags.now, "{response}");
    }
    let after = app.get(id, &[]);
    match (method, response.status) {
        ("DELETE", 200) => assert_eq!(after.status, 404),
        ("POST", 200) => {
            assert_eq!(after.body, b"third");
            assert_eq!(after.etag(), response.etag());
            assert_ne!(after.etag(), tags.now);
        }
        _ => {
            assert_eq!(after.expect(200).etag(), tags.now);
        }
    }
}

#[test]
fn if_match_lets_through_what_is_unchanged_by_strong_comparison() {
    on_each(|server| {
        let mut app = App::new(server);
        for (condition, holds) in [
            ("NOW", true),
            ("*", true),
            ("\"none\", NOW", true),
            ("PAST,NOW", true),
            ("NOW , \"a,b\"", true),
            ("PAST", false),
            ("\"none\"", false),
            ("PAST, \"none\"", false),
            ("W/NOW", false),
            ("W/NOW, PAST", false),
            ("\"\"", false),
        ] {
            let expected = if holds { [200; 4] } else { [412; 4] };
            check_row(&mut app, &[("If-Match", condition)], expected);
        }
    });
}

#[test]
fn if_none_match_stops_what_is_known_by_weak_comparison() {
    on_each(|server| {
        let mut app = App::new(server);
        for (condition, matches) in [
            ("NOW", true),
            ("W/NOW", true),
            ("*", true),
            ("PAST, NOW", true),
            ("\"a,b\",W/NOW", true),
            ("PAST", false),
            ("W/PAST", false),
            ("\"none\"", false),
        ] {
            let expected = if matches { [304, 304, 412, 412] } else { [200; 4] };
            check_row(&mut app, &[("If-None-Match", condition)], expected);
        }
    });
}

#[test]
fn if_match_is_judged_before_if_none_match() {
    on_each(|server| {
        let mut app = App::new(server);
        check_row(&mut app, &[("If-Match", "NOW"), ("If-None-Match", "NOW")], [304, 304, 412, 412]);
        check_row(&mut app, &[("If-Match", "PAST"), ("If-None-Match", "NOW")], [412; 4]);
        check_row(&mut app, &[("If-Match", "NOW"), ("If-None-Match", "PAST")], [200; 4]);
    });
}

#[test]
fn conditions_over_several_fields_are_one_list() {
    on_each(|server| {
        let mut app = App::new(server);
        check_row(&mut app, &[("If-Match", "PAST"), ("If-Match", "NOW")], [200; 4]);
        check_row(&mut app, &[("If-None-Match", "NOW"), ("If-None-Match", "PAST")], [304, 304, 412, 412]);
    });
}

#[test]
fn a_missing_session_is_404_under_any_condition() {
    on_each(|server| {
        let mut app = App::new(server);
        for field in ["If-Match", "If-None-Match"] {
            for condition in ["*", "\"1\"", "\"none\", W/\"1\""] {
                for method in ["GET", "HEAD", "POST", "DELETE"] {
                    app.call(method, &app.path(MISSING_ID), &[(field, condition)], b"").expect(404);
                }
            }
        }
    });
}

#[test]
fn a_304_has_the_fields_and_no_body() {
    on_each(|server| {
        let mut app = App::new(server);
        let (id, tags) = changed_session(&mut app);
        let response = app.get(&id, &[("If-None-Match", &tags.now)]).expect(304);
        assert!(response.body.is_empty() && response.seconds_left() > 0);
        response.expires_unix_millis();
        // A body would show as bytes before the next answer.
        app.get(&id, &[]).expect(200);
    });
}

#[test]
fn two_writers_with_the_same_tag_do_not_both_win() {
    on_each(|server| {
        let mut app = App::new(server);
        let mut rival = app.over_another_connection(server);
        let (id, tags) = changed_session(&mut app);
        let condition = [("If-Match", tags.now.as_str())];
        app.post(&id, &condition, b"mine").expect(200);
        let refused = rival.post(&id, &condition, b"theirs").expect(412);
        assert_eq!(rival.get(&id, &[]).expect(200).body, b"mine");
        rival.post(&id, &[("If-Match", refused.etag())], b"theirs").expect(200);
        rival.delete(&id, &condition).expect(412);
    });
}
