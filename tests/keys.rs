//! Revocation: when the answer to `DELETE /api-key/{bucket}` has left, no core accepts the key.
//!
//! Many connections lie on all cores while a key is deleted and made again. What was still
//! arriving under the old key is not applied; what comes under the new one is, at once and
//! everywhere; and of rivals who make the same key one wins. Sessions outlive their keys.

#[path = "support/mod.rs"]
mod support;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use support::{App, MASTER_KEY, Response, Server, build_request, on_each, unique_name};

/// Enough connections for every core to hold several.
const CONNECTIONS: usize = 64;

/// Asks on the key of `bucket`, with the master key, over a connection of its own.
#[track_caller]
fn ask(server: &Server, method: &str, bucket: &str) -> Response {
    let master = [("X-SESSION-KEY", MASTER_KEY)];
    server.connect().request(method, &format!("/api-key/{bucket}"), &master, b"")
}

/// The app over many connections, each of which has been used.
fn on_all_cores(app: &mut App, server: &Server) -> Vec<App> {
    let mut apps: Vec<_> = (0..CONNECTIONS).map(|_| app.over_another_connection(server)).collect();
    for app in &mut apps {
        app.call("GET", "/session/settings", &[], b"").expect(200);
    }
    apps
}

#[test]
fn a_deleted_key_is_refused_on_every_connection() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let mut apps = on_all_cores(&mut app, server);
        ask(server, "DELETE", &app.bucket).expect(200);
        for app in &mut apps {
            app.get(&id, &[]).expect(401);
            app.put(&[], b"").expect(401);
            app.call("GET", "/session/settings", &[], b"").expect(401);
        }
        for _ in 0..CONNECTIONS {
            app.over_another_connection(server).get(&id, &[]).expect(401);
        }
    });
}

#[test]
fn a_new_key_opens_on_every_connection_at_once() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let mut apps = on_all_cores(&mut app, server);
        for _ in 0..10 {
            ask(server, "DELETE", &app.bucket).expect(200);
            let old = app.key.clone();
            app.key = ask(server, "PUT", &app.bucket).expect(201).text().to_owned();
            for other in &mut apps {
                assert_eq!(
                    other.client.request("GET", &app.path(&id), &[("X-SESSION-KEY", &old)], b"").status,
                    401
                );
                other.key = app.key.clone();
                assert_eq!(other.get(&id, &[]).expect(200).body, b"data");
                assert_eq!(ask_over(other, "GET").expect(200).text(), app.key);
            }
        }
    });
}

/// Asks on the app's key, with the master key, over its own connection.
#[track_caller]
fn ask_over(app: &mut App, method: &str) -> Response {
    let path = format!("/api-key/{}", app.bucket);
    app.client.request(method, &path, &[("X-SESSION-KEY", MASTER_KEY)], b"")
}

#[test]
fn what_every_connection_says_of_a_key_follows_its_last_change() {
    on_each(|server| {
        let mut app = App::new(server);
        let mut apps = on_all_cores(&mut app, server);
        for round in 0..CONNECTIONS {
            let (here, there) = (round, (round * 7 + 1) % CONNECTIONS);
            ask_over(&mut apps[here], "DELETE").expect(200);
            ask_over(&mut apps[there], "GET").expect(404);
            ask_over(&mut apps[there], "DELETE").expect(404);
            let key = ask_over(&mut apps[there], "PUT").expect(201).text().to_owned();
            ask_over(&mut apps[here], "PUT").expect(409);
            assert_eq!(ask_over(&mut apps[here], "GET").expect(200).text(), key);
        }
    });
}

#[test]
fn no_request_sent_after_the_answer_is_accepted_while_many_are_on_their_way() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        let (is_deleted, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                let mut app = app.over_another_connection(server);
                let (id, is_deleted, served) = (&id, &is_deleted, &served);
                scope.spawn(move || hammer(&mut app, id, is_deleted, served));
            }
            // Not before all of them are under way.
            while served.load(Ordering::SeqCst) < 200 {
                thread::yield_now();
            }
            ask(server, "DELETE", &app.bucket).expect(200);
            is_deleted.store(true, Ordering::SeqCst);
        });
    });
}

/// Reads on and on; what is sent after the deletion was answered must be refused.
fn hammer(app: &mut App, id: &str, is_deleted: &AtomicBool, served: &AtomicUsize) {
    let mut refused = 0;
    for _ in 0..1_000_000 {
        let sent_after = is_deleted.load(Ordering::SeqCst);
        let status = app.get(id, &[]).status;
        served.fetch_add(1, Ordering::SeqCst);
        assert!(
            status == 401 || (status == 200 && !sent_after && refused == 0),
            "{status}, after: {sent_after}"
        );
        refused += usize::from(status == 401);
        if sent_after && refused >= 50 {
            return;
        }
    }
    panic!("a million requests and no deletion");
}

/// Keeps all cores at work with long pipelined runs until `is_over`.
fn load(server: &Server, is_over: &AtomicBool) {
    let mut app = App::new(server);
    let id = app.create(b"load");
    let run = app.bytes("GET", &app.path(&id), &[], b"").repeat(100);
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    while !is_over.load(Ordering::SeqCst) {
        clients.iter_mut().for_each(|client| client.send(&run));
        for client in &mut clients {
            for _ in 0..100 {
                client.read_response().expect(200);
            }
        }
    }
}

/// Sets the flag when it goes, however its test ends.
struct Over<'f>(&'f AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Reads over all connections at the same time; the statuses.
fn read_everywhere(apps: &mut [App], id: &str) -> Vec<u16> {
    for app in &mut *apps {
        let request = app.bytes("GET", &app.path(id), &[], b"");
        app.client.send(&request);
    }
    apps.iter_mut().map(|app| app.client.read_response().status).collect()
}

#[test]
fn a_core_too_busy_to_have_noticed_holds_the_answer_back() {
    on_each(|server| {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let _over = Over(&is_over);
            let mut app = App::new(server);
            let id = app.create(b"data");
            let mut apps: Vec<_> = (0..16).map(|_| app.over_another_connection(server)).collect();
            for _ in 0..2 {
                scope.spawn(|| load(server, &is_over));
            }
            for round in 0..200 {
                ask_over(&mut app, "DELETE").expect(200);
                assert_eq!(read_everywhere(&mut apps, &id), [401; 16], "old key, round {round}");
                let key = ask_over(&mut app, "PUT").expect(201).text().to_owned();
                apps.iter_mut().for_each(|app| app.key.clone_from(&key));
                assert_eq!(read_everywhere(&mut apps, &id), [200; 16], "new key, round {round}");
            }
        });
    });
}

/// Begins requests with the app's key, each over a connection of its own, and holds back
/// their last bytes. The server has seen every head.
fn begin(app: &App, server: &Server, method: &str, path: &str) -> Vec<(support::Client, Vec<u8>)> {
    let one = |n: usize| {
        let mut client = server.connect();
        let body = format!("too late {n}");
        let mut request = app.bytes(method, path, &[("Expect", "100-continue")], body.as_bytes());
        let held_back = request.split_off(request.len() - body.len());
        client.send(&request);
        client.read_response().expect(100);
        client.send(&held_back[..4]);
        (client, held_back[4..].to_vec())
    };
    (0..16).map(one).collect()
}

#[test]
fn a_body_still_on_its_way_when_its_key_is_deleted_is_not_applied() {
    on_each(|server| {
        let mut app = App::new(server);
        let mut ids: Vec<_> = (0..8).map(|_| app.over_another_connection(server).create(b"kept")).collect();
        let mut begun: Vec<_> =
            ids.iter().flat_map(|id| begin(&app, server, "POST", &app.path(id))).collect();
        begun.extend(begin(&app, server, "PUT", &app.bucket_path()));
        ask(server, "DELETE", &app.bucket).expect(200);
        for (client, rest) in &mut begun {
            client.send(rest);
            client.read_response().expect(401);
        }
        app.key = ask(server, "PUT", &app.bucket).expect(201).text().to_owned();
        ids.dedup();
        for id in &ids {
            assert_eq!(app.get(id, &[]).expect(200).body, b"kept");
        }
    });
}

#[test]
fn a_new_key_does_not_revive_what_came_under_the_old_one() {
    on_each(|server| {
        let mut app = App::new(server);
        let id = app.create(b"kept");
        let mut begun = begin(&app, server, "POST", &app.path(&id));
        ask(server, "DELETE", &app.bucket).expect(200);
        app.key = ask(server, "PUT", &app.bucket).expect(201).text().to_owned();
        for (client, rest) in &mut begun {
            client.send(rest);
            client.read_response().expect(401);
        }
        assert_eq!(app.get(&id, &[]).expect(200).body, b"kept");
        app.post(&id, &[], b"in time").expect(200);
        assert_eq!(app.get(&id, &[]).expect(200).body, b"in time");
    });
}

/// The answers to the same request, sent by many at the same moment.
fn all_at_once(server: &Server, method: &str, bucket: &str) -> Vec<Response> {
    const RIVALS: usize = 16;
    let barrier = Barrier::new(RIVALS);
    thread::scope(|scope| {
        let ask = || {
            let mut client = server.connect();
            client.request("GET", "/session/settings", &[("X-SESSION-KEY", MASTER_KEY)], b"").expect(200);
            barrier.wait();
            client.request(method, &format!("/api-key/{bucket}"), &[("X-SESSION-KEY", MASTER_KEY)], b"")
        };
        let rivals: Vec<_> = (0..RIVALS).map(|_| scope.spawn(ask)).collect();
        rivals.into_iter().map(|rival| rival.join().expect("a rival that panics fails the test")).collect()
    })
}

#[test]
fn of_rivals_who_make_or_delete_one_key_exactly_one_wins() {
    on_each(|server| {
        let bucket = unique_name("contested");
        for round in 0..10 {
            let answers = all_at_once(server, "PUT", &bucket);
            let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
            assert_eq!(won.len(), 1, "round {round}");
            assert!(lost.iter().all(|answer| answer.status == 409), "round {round}");
            assert_eq!(ask(server, "GET", &bucket).expect(200).body, won[0].body);
            let answers = all_at_once(server, "DELETE", &bucket);
            let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
            assert_eq!(won.len(), 1, "round {round}");
            assert!(lost.iter().all(|answer| answer.status == 404), "round {round}");
            ask(server, "GET", &bucket).expect(404);
        }
    });
}

#[test]
fn pipelined_requests_feel_a_deletion_that_was_pipelined_before_them() {
    on_each(|server| {
        let mut app = App::new(server);
        let ids: Vec<_> = (0..8).map(|_| app.over_another_connection(server).create(b"data")).collect();
        let delete = build_request(
            "DELETE",
            &format!("/api-key/{}", app.bucket),
            &[("X-SESSION-KEY", MASTER_KEY)],
            b"",
        );
        let reads: Vec<_> = ids.iter().flat_map(|id| app.bytes("GET", &app.path(id), &[], b"")).collect();
        app.client.send(&[&reads[..], &delete, &reads].concat());
        for _ in &ids {
            app.client.read_response().expect(200);
        }
        app.client.read_response().expect(200);
        for _ in &ids {
            app.client.read_response().expect(401);
        }
    });
}

#[test]
fn sessions_of_all_cores_survive_a_regeneration() {
    on_each(|server| {
        let mut app = App::new(server);
        let mut apps = on_all_cores(&mut app, server);
        let ids: Vec<_> = apps.iter_mut().map(|app| app.create(app.bucket.clone().as_bytes())).collect();
        ask(server, "DELETE", &app.bucket).expect(200);
        app.key = ask(server, "PUT", &app.bucket).expect(201).text().to_owned();
        for id in &ids {
            assert_eq!(app.get(id, &[]).expect(200).text(), app.bucket);
        }
        for other in &mut apps {
            other.key = app.key.clone();
            other.delete(&ids[0], &[("If-Match", "\"0\"")]).expect(412);
        }
    });
}
