//! Clients that come and go for long leave nothing behind: no descriptor, no memory.
//!
//! They leave as clients do: after an answer, in the middle of a request, with answers unread,
//! and while theirs wait for the disk.

use crate::content::Content;
use crate::support::{App, Launch, Random, Server, Shape, eventually};
use crate::volume::Volume;
use crate::wire::Wire;

/// How often all clients come and go, until everything that grows once has grown, and then.
const ROUNDS: u32 = 200;
/// Clients that come at once.
const CLIENTS: usize = 16;
/// What may have grown: the journal's own files come and go, and what allocators keep is given
/// back a little later.
const DESCRIPTORS_SLACK: usize = 4;
const RESIDENT_SLACK: u64 = 8 * 1024 * 1024;

/// All of them come, ask for something, and leave in different ways.
fn come_and_go(server: &Server, app: &App, ids: &[String], random: &mut Random) {
    let connect = |_| Wire::connect(server.addr()).expect("it listens");
    let mut wires: Vec<Wire> = (0..CLIENTS).map(connect).collect();
    for (number, wire) in wires.iter_mut().enumerate() {
        let path = app.path(&ids[random.below(ids.len())]);
        let body = Content::new(number as u64, random.below(4_000)).bytes();
        let update = app.bytes("POST", &path, &[], &body);
        let request = match number % 4 {
            0 => update,
            1 => update[..update.len() / 2].to_vec(),
            2 => app.bytes("GET", &path, &[], b"").repeat(20),
            _ => update.repeat(4),
        };
        wire.send(&request).expect("it takes requests");
        if number % 4 == 0 {
            let response = wire.receive("POST").expect("it answers");
            // 503: the disk has stood still for a second.
            assert!(matches!(response.status, 200 | 503), "{response}");
        }
    }
}

/// What the server holds once all clients but one are gone: descriptors, and bytes of memory.
fn held(server: &Server) -> Option<(usize, u64)> {
    let open: f64 = server.metrics().by_core("seshun_connections_open").iter().sum();
    (open == 1.0).then(|| (server.descriptors(), server.resident_bytes()))
}

#[test]
fn clients_that_come_and_go_leave_no_descriptor_and_no_memory_behind() {
    for (shape, mode) in [(Shape::cores(2), "everysec"), (Shape::epoll(2), "always")] {
        let volume = Volume::plain();
        let launch = Launch::shape(shape).with_admin().data_dir(&volume.path());
        let server = launch.set("journal.mode", mode).start();
        let mut app = App::new(&server);
        let ids: Vec<_> = (0..100).map(|_| app.create(&[7; 4_000])).collect();
        let mut random = Random::seeded(7);
        (0..ROUNDS).for_each(|_| come_and_go(&server, &app, &ids, &mut random));
        let (descriptors, resident) = eventually("all connections but one are closed", || held(&server));
        (0..ROUNDS).for_each(|_| come_and_go(&server, &app, &ids, &mut random));
        eventually("all that clients took has come back", || {
            let now = held(&server)?;
            (now.0 <= descriptors + DESCRIPTORS_SLACK && now.1 <= resident + RESIDENT_SLACK).then_some(())
        });
    }
}
