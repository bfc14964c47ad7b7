//! The whole interface in one walk, at core counts and over drivers that the other tests leave out.
//!
//! Each step goes over another connection than the one before, so that most steps reach
//! their session from a core that does not own it.

use crate::support::{App, Launch, MASTER_KEY, Server, Shape};

/// Every route once, each step over another connection than the one before.
fn walk(server: &Server) {
    let mut apps = vec![App::new(server)];
    for _ in 0..7 {
        apps.push(apps[0].over_another_connection(server));
    }
    let ids: Vec<_> = apps.iter_mut().map(|app| app.create(b"first")).collect();
    for (n, id) in ids.iter().enumerate() {
        let put_by = n + 1;
        let at = |step: usize| (put_by + step) % 8;
        assert_eq!(apps[at(0)].get(id, &[]).expect(200).body, b"first");
        let etag = apps[at(1)].post(id, &[], b"second").expect(200).etag().to_owned();
        assert_eq!(apps[at(2)].head(id, &[]).expect(200).etag(), etag);
        apps[at(3)].get(id, &[("If-None-Match", &etag)]).expect(304);
        apps[at(4)].post(id, &[("If-Match", "\"0\"")], b"third").expect(412);
        assert_eq!(apps[at(5)].get(id, &[]).expect(200).body, b"second");
        apps[at(6)].delete(id, &[]).expect(200);
        for app in &mut apps {
            app.get(id, &[]).expect(404);
        }
    }
    let api_key = format!("/api-key/{}", apps[0].bucket);
    for app in &mut apps {
        app.call("GET", "/session/settings", &[], b"").expect(200);
        let read = app.client.request("GET", &api_key, &[("X-SESSION-KEY", MASTER_KEY)], b"").expect(200);
        assert_eq!(read.text(), app.key);
    }
    apps[3].client.request("DELETE", &api_key, &[("X-SESSION-KEY", MASTER_KEY)], b"").expect(200);
    for app in &mut apps {
        app.put(&[], b"").expect(401);
    }
}

#[test]
fn the_walk_succeeds_on_two_cores() {
    walk(&Launch::cores(2).start());
}

#[test]
fn the_walk_succeeds_on_three_cores() {
    walk(&Launch::cores(3).start());
}

#[test]
fn the_walk_succeeds_on_more_cores_than_cpus() {
    walk(&Launch::cores(8).start());
}

#[test]
fn the_walk_succeeds_on_one_core_over_epoll() {
    walk(&Launch::shape(Shape::epoll(1)).start());
}

#[test]
fn the_walk_succeeds_on_three_cores_over_epoll() {
    walk(&Launch::shape(Shape::epoll(3)).start());
}
