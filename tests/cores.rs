//! Many cores, one service: whichever core takes a request, the answer is the same.
//!
//! Runs at 1, 2, 3 and 8 cores, also where the machine has fewer CPUs. Also how work and
//! sessions spread, and what happens when the memory that all cores share is full.

#[path = "support/mod.rs"]
mod support;

use std::io::{self, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use support::{App, Client, Launch, Response, Server, Shape, eventually};

/// Runs a test at each of these core counts, with an admin listener, each on a server of its own.
fn at_core_counts(test: impl Fn(&Server)) {
    for cores in [1, 2, 3, 8] {
        test(&Launch::cores(cores).with_admin().start());
    }
}

/// One app over so many connections.
fn over_connections(server: &Server, count: usize) -> Vec<App> {
    let mut apps = vec![App::new(server)];
    for _ in 1..count {
        apps.push(apps[0].over_another_connection(server));
    }
    apps
}

#[test]
fn a_session_made_on_one_connection_is_there_for_all_others() {
    at_core_counts(|server| {
        let mut apps = over_connections(server, 16);
        let ids: Vec<_> =
            apps.iter_mut().enumerate().map(|(n, app)| app.create(format!("by {n}").as_bytes())).collect();
        for app in &mut apps {
            for (n, id) in ids.iter().enumerate() {
                assert_eq!(app.get(id, &[]).expect(200).text(), format!("by {n}"));
            }
        }
    });
}

/// Sets its flag also when the test fails, for threads that go on until then.
struct DoneAtLast<'t>(&'t AtomicBool);

impl Drop for DoneAtLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_client_that_never_pauses_leaves_others_their_turn() {
    /// Many times what fits between 500 fair turns, in pieces of 256 requests.
    const PIECES_MAX: usize = 8_000;
    for shape in [Shape::cores(1), Shape::epoll(1)] {
        let server = Launch::shape(shape).start();
        let mut app = App::new(&server);
        let id = app.create(b"data");
        let gets = app.bytes("GET", &app.path(&id), &[], b"").repeat(256);
        let mut sender = server.connect().sender();
        let mut reader = sender.try_clone().expect("a socket can have a second handle");
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            let done_at_last = DoneAtLast(&is_done);
            let busy = scope.spawn(|| {
                let sent = (0..PIECES_MAX)
                    .take_while(|_| !is_done.load(Ordering::Relaxed) && sender.write_all(&gets).is_ok());
                let count = sent.count();
                sender.shutdown(Shutdown::Write).map(|()| count)
            });
            scope.spawn(move || io::copy(&mut reader, &mut io::sink()));
            for _ in 0..500 {
                app.get(&id, &[]).expect(200);
            }
            drop(done_at_last);
            let pieces = busy.join().expect("it only sends").expect("the server took it all");
            assert!(pieces < PIECES_MAX, "{shape:?}: the others had to wait for its end");
        });
    }
}

#[test]
fn a_change_on_one_connection_is_seen_by_all_others_at_once() {
    at_core_counts(|server| {
        let mut apps = over_connections(server, 8);
        let ids: Vec<_> = apps.iter_mut().map(|app| app.create(b"")).collect();
        for round in 0..8 {
            for (n, id) in ids.iter().enumerate() {
                let data = format!("round {round}");
                let etag = apps[(n + round) % 8].post(id, &[], data.as_bytes()).expect(200).etag().to_owned();
                for app in &mut apps {
                    let read = app.get(id, &[]).expect(200);
                    assert_eq!((read.text(), read.etag()), (data.as_str(), etag.as_str()));
                }
            }
        }
        for (n, id) in ids.iter().enumerate() {
            apps[(n + 3) % 8].delete(id, &[]).expect(200);
            for app in &mut apps {
                app.get(id, &[]).expect(404);
            }
        }
    });
}

#[test]
fn large_data_travels_between_cores_to_the_byte() {
    at_core_counts(|server| {
        let mut apps = over_connections(server, 8);
        for len in [1, 1000, 65_535, 65_536, 65_537, 300_000, 1024 * 1024] {
            let data: Vec<u8> = (0..=250).cycle().take(len).collect();
            let id = apps[0].create(&data);
            for app in &mut apps {
                assert!(app.get(&id, &[]).expect(200).body == data, "{len} bytes differ");
                app.post(&id, &[], &data).expect(200);
            }
        }
    });
}

#[test]
fn connections_spread_evenly_over_the_cores() {
    at_core_counts(|server| {
        let apps = over_connections(server, 24);
        let open = eventually("all connections are counted", || {
            let open = server.metrics().by_core("seshun_connections_open");
            (open.iter().sum::<f64>() as usize >= apps.len()).then_some(open)
        });
        assert_eq!(open.len(), usize::from(server.shape().cores));
        let (least, most) =
            (open.iter().copied().fold(f64::MAX, f64::min), open.iter().copied().fold(0.0, f64::max));
        assert!(most - least <= 2.0, "{open:?}");
    });
}

/// So many connections, made one after the other or all at the same time.
fn connect(server: &Server, count: usize, at_once: bool) -> Vec<Client> {
    if !at_once {
        return (0..count).map(|_| server.connect()).collect();
    }
    thread::scope(|scope| {
        let connecting: Vec<_> = (0..count).map(|_| scope.spawn(|| server.connect())).collect();
        connecting.into_iter().map(|client| client.join().expect("it only connects")).collect()
    })
}

#[test]
fn eight_connections_over_four_cores_are_two_on_each() {
    for shape in [Shape::cores(4), Shape::epoll(4)] {
        let server = Launch::shape(shape).with_admin().start();
        for at_once in [false, true, false, true] {
            let clients = connect(&server, 8, at_once);
            let counted = |count: usize| {
                eventually("all connections are counted", || {
                    let open = server.metrics().by_core("seshun_connections_open");
                    (open.iter().sum::<f64>() as usize == count).then_some(open)
                })
            };
            assert_eq!(counted(8), [2.0; 4], "{shape:?}, at once: {at_once}");
            drop(clients);
            counted(0);
        }
    }
}

#[test]
fn sessions_spread_over_the_cores_with_their_connections() {
    at_core_counts(|server| {
        let mut apps = over_connections(server, 16);
        for app in &mut apps {
            for _ in 0..25 {
                app.create(b"data");
            }
        }
        let sessions = eventually("all sessions are counted", || {
            let sessions = server.metrics().by_core("seshun_sessions");
            (sessions.iter().sum::<f64>() == 400.0).then_some(sessions)
        });
        assert_eq!(sessions.len(), usize::from(server.shape().cores));
        let fair = 400.0 / sessions.len() as f64;
        assert!(sessions.iter().all(|count| *count >= fair / 2.0 && *count <= fair * 2.0), "{sessions:?}");
    });
}

#[test]
fn requests_are_counted_at_every_number_of_cores() {
    at_core_counts(|server| {
        let mut app = App::new(server);
        let id = app.create(b"data");
        for _ in 0..10 {
            app.get(&id, &[]).expect(200);
        }
        eventually("the requests are counted", || {
            let counted: f64 = server.metrics().by_core("seshun_requests_total").iter().sum();
            (counted >= 12.0).then_some(())
        });
    });
}

/// Creates sessions of this data until there is no room; their ids, and the refusal.
fn fill(app: &mut App, data: &[u8]) -> (Vec<String>, Response) {
    let mut ids = Vec::new();
    // Ten times what the limit allows.
    for _ in 0..1280 {
        let response = app.put(&[], data);
        if response.status != 201 {
            return (ids, response);
        }
        ids.push(response.text().to_owned());
    }
    panic!("{} sessions of {} bytes and no end", ids.len(), data.len());
}

#[test]
fn a_full_memory_refuses_growth_and_nothing_else() {
    for shape in [Shape::cores(1), Shape::cores(8)] {
        let server = Launch::shape(shape).set("memory.max", "128mb").start();
        let mut app = App::new(&server);
        let data = vec![b'x'; 1024 * 1024 - 1024];
        let (ids, refused) = fill(&mut app, &data);
        assert_eq!(refused.status, 507, "{refused}");
        // One connection's core may use the memory of all.
        assert!((32..=128).contains(&ids.len()), "{} MiB fitted into 128 at {shape:?}", ids.len());
        assert!(app.get(&ids[0], &[]).expect(200).body == data);
        app.head(&ids[1], &[]).expect(200);
        app.post(&ids[0], &[], b"smaller").expect(200);
        assert_eq!(app.get(&ids[0], &[]).expect(200).body, b"smaller");
        let mut other = app.over_another_connection(&server);
        for id in &ids[1..] {
            assert!(other.get(id, &[]).expect(200).body == data, "evicted or changed");
        }
        for id in &ids[..ids.len() / 2] {
            other.delete(id, &[]).expect(200);
        }
        let made = eventually("room after half of the sessions have gone", || {
            let response = app.put(&[], &data);
            (response.status == 201).then(|| response.text().to_owned())
        });
        assert!(app.get(&made, &[]).expect(200).body == data);
        for id in &ids[ids.len() / 2..] {
            assert!(app.get(id, &[]).expect(200).body == data, "evicted or changed");
        }
    }
}

#[test]
fn growth_of_one_session_is_refused_when_memory_is_full_and_leaves_it_whole() {
    let server = Launch::cores(4).set("memory.max", "64mb").start();
    let mut app = App::new(&server);
    let small = app.create(b"small");
    let data = vec![b'x'; 1024 * 1024 - 1024];
    let (_, refused) = fill(&mut app, &data);
    assert_eq!(refused.status, 507, "{refused}");
    let before = app.get(&small, &[]).expect(200).etag().to_owned();
    app.post(&small, &[], &data).expect(507);
    let after = app.get(&small, &[]).expect(200);
    assert_eq!((&after.body[..], after.etag()), (&b"small"[..], before.as_str()));
}

/// Sends all but the end of this request over so many connections, then the ends; the statuses.
/// In between it waits until one is answered, where one must be.
fn statuses_of_unfinished(server: &Server, request: &[u8], count: usize, one_is_refused: bool) -> Vec<u16> {
    let (most, rest) = request.split_at(request.len() - 10);
    let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| _ = client.try_send(most));
    if one_is_refused {
        eventually("one body is too many", || {
            clients.iter_mut().any(|client| client.has_answer()).then_some(())
        });
    }
    clients.iter_mut().for_each(|client| _ = client.try_send(rest));
    clients.iter_mut().map(|client| client.read_response().status).collect()
}

#[test]
fn bodies_on_their_way_have_a_budget_of_their_own() {
    for shape in [Shape::cores(1), Shape::cores(4)] {
        let server = Launch::shape(shape).set("memory.max", "64mb").start();
        let mut app = App::new(&server);
        let large = vec![b'x'; 1024 * 1024];
        let request = app.bytes("PUT", &app.bucket_path(), &[], &large);
        // 3 MiB, then 20 MiB, where a tenth of the limit is 6.4.
        assert_eq!(statuses_of_unfinished(&server, &request, 3, false), [201; 3], "{shape:?}");
        let statuses = statuses_of_unfinished(&server, &request, 20, true);
        assert!(statuses.iter().all(|status| [201, 503].contains(status)), "{shape:?}: {statuses:?}");
        assert!(statuses.contains(&503), "{shape:?}: {statuses:?}");
        eventually("the budget is given back", || (app.put(&[], &large).status == 201).then_some(()));
    }
}

#[test]
fn a_payload_of_the_largest_size_has_room_on_its_way_however_little_memory_there_is() {
    let launch = Launch::cores(1).set("memory.max", "16mb").set("session.max_payload", "8mb");
    let server = launch.start();
    let mut app = App::new(&server);
    // A tenth of the memory is 1.6 MiB.
    let largest = vec![b'x'; 8 * 1024 * 1024];
    let id = app.create(&largest);
    assert!(app.get(&id, &[]).expect(200).body == largest);
}
