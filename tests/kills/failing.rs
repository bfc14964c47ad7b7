//! A disk that takes no more writes: nobody is told of what it did not take.
//!
//! Writes are made to fail from below, in a real process, by the limit on a file's size, which
//! the system judges at every write (`RLIMIT_FSIZE`, `EFBIG`). It can be set and lifted while
//! the server runs, and needs no right that an ordinary user has not. Syncs fail on a disk that
//! has promised more than it has; that one takes the right to mount.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::content::Content;
use crate::known::{Known, again, check_all, check_none, put};
use crate::support::{App, Launch, MASTER_KEY, Server, Shape, build_request, eventually, problem_code};
use crate::volume::Volume;
use crate::wire::Wire;

/// Clients that write while the disk fails.
const CLIENTS: u64 = 8;
/// How long a client leaves the server alone that has too much to do.
const PAUSE: Duration = Duration::from_millis(2);
/// What they have written when it does, at least.
const BEFORE: usize = 100;

fn start(dir: &Path, shape: Shape, mode: &str) -> Server {
    let launch = Launch::shape(shape).with_admin().outlive_file_size().data_dir(dir);
    launch.set("journal.mode", mode).set("journal.strict", "true").start()
}

fn create(app: &mut App, stamp: u64, len: usize) -> (String, Content) {
    let content = Content::new(stamp, len);
    let made = eventually("there is a segment to write to", || {
        let made = put(app, content);
        (made.status != 503).then_some(made)
    });
    (made.expect(201).text().to_owned(), content)
}

#[test]
fn a_write_that_fails_once_goes_elsewhere_and_nobody_notices() {
    for (shape, mode) in [(Shape::cores(1), "everysec"), (Shape::epoll(3), "always")] {
        let volume = Volume::plain();
        let mut server = start(&volume.path(), shape, mode);
        let mut app = App::new(&server);
        let mut known: Known = (0..100).map(|stamp| create(&mut app, stamp, 1_000)).collect();
        // Behind the log's end in this segment, before it in the next.
        server.limit_file_size(Some(50_000));
        known.push(create(&mut app, 100, 1_000));
        let gone = known.remove(0).0;
        eventually("the disk goes on", || {
            app.client = server.connect();
            let deleted = app.delete(&gone, &[]);
            // 404: an earlier one was carried out, and not answered within a second.
            matches!(deleted.status, 200 | 404).then_some(())
        });
        server.limit_file_size(None);
        known.extend((101..150).map(|stamp| create(&mut app, stamp, 1_000)));
        check_all(&mut app, &known);
        server.connect_admin().request("GET", "/readyz", &[], b"").expect(200);
        let said = server.stderr();
        assert!(said.contains("goes on in another segment"), "{said}");
        server.kill();
        let server = start(&volume.path(), Shape::cores(2), mode);
        check_all(&mut again(&app, &server), &known);
    }
}

/// Sessions that were acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// Before anything failed.
    before: Known,
    /// While something did.
    after: Known,
}

/// When it is that the disk fails, for all clients.
#[derive(Default)]
struct Moment {
    /// Sessions that were acknowledged before it.
    before: AtomicUsize,
    has_failed: AtomicBool,
}

/// Makes sessions until the server says that it keeps no more, or says nothing.
fn write_until_it_fails(server: &Server, app: &App, number: u64, moment: &Moment) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    let mut wire = Wire::connect(server.addr()).expect("it listens");
    for step in 0.. {
        let content = Content::new(number << 32 | step, 700);
        let mut fields = vec![("X-SESSION-KEY", app.key.as_str())];
        fields.extend(content.content_type().map(|text| ("Content-Type", text)));
        let request = build_request("PUT", &app.bucket_path(), &fields, &content.bytes());
        let answered = wire.send(&request).and_then(|()| wire.receive("PUT"));
        let is_before = !moment.has_failed.load(Ordering::SeqCst);
        let Ok(response) = answered else {
            assert!(!is_before, "closed although nothing has failed");
            assert_eq!(wire.unread(), b"", "closed in the middle of an answer");
            break;
        };
        match response.status {
            201 if is_before => {
                acknowledged.before.push((response.text().to_owned(), content));
                moment.before.fetch_add(1, Ordering::SeqCst);
            }
            201 => acknowledged.after.push((response.text().to_owned(), content)),
            503 if problem_code(&response) == "journal_behind" => thread::sleep(PAUSE),
            // A disk that has less than it promises tells that when a new segment is prepared.
            507 if !is_before && problem_code(&response) == "disk_full" => thread::sleep(PAUSE),
            503 if !is_before && problem_code(&response) == "journal_failed" => break,
            _ => panic!("{response}"),
        }
    }
    acknowledged
}

/// Lets clients write, makes everything fail while they do, and waits until all have noticed.
fn fail_under_load(server: &Server, app: &App, fail: impl FnOnce()) -> Acknowledged {
    let moment = Moment::default();
    thread::scope(|scope| {
        let moment = &moment;
        let write = |number| scope.spawn(move || write_until_it_fails(server, app, number, moment));
        let clients: Vec<_> = (1..=CLIENTS).map(write).collect();
        eventually("the clients have written", || {
            (moment.before.load(Ordering::SeqCst) >= BEFORE).then_some(())
        });
        moment.has_failed.store(true, Ordering::SeqCst);
        fail();
        let mut all = Acknowledged::default();
        for client in clients {
            let Acknowledged { before, after } = client.join().expect("a client fails");
            all.before.extend(before);
            all.after.extend(after);
        }
        all
    })
}

#[test]
fn where_nothing_can_be_written_any_more_nothing_more_is_acknowledged() {
    for (shape, mode) in
        [(Shape::cores(2), "everysec"), (Shape::epoll(4), "always"), (Shape::cores(1), "always")]
    {
        let volume = Volume::plain();
        let mut server = start(&volume.path(), shape, mode);
        let mut app = App::new(&server);
        let mut known: Known = (0..20).map(|stamp| create(&mut app, stamp, 300)).collect();
        let all = fail_under_load(&server, &app, || server.limit_file_size(Some(0)));
        assert!(all.before.len() >= BEFORE, "{mode}: {} sessions", all.before.len());
        known.extend([all.before, all.after].concat());
        check_failed(&server, &mut app, &known);
        server.kill();
        let server = start(&volume.path(), Shape::cores(3), mode);
        check_all(&mut again(&app, &server), &known);
    }
}

/// The server keeps nothing more: it says so, changes nothing, and shows what it has.
fn check_failed(server: &Server, app: &mut App, known: &Known) {
    let ready = eventually("the server says that it is not ready", || {
        let ready = server.connect_admin().request("GET", "/readyz", &[], b"");
        (ready.status == 503).then_some(ready)
    });
    assert!(ready.text().contains("restart"), "{ready}");
    assert_eq!(server.metrics().value("seshun_journal_condition"), 2.0);
    let (mut app, master) = (app.over_another_connection(server), [("X-SESSION-KEY", MASTER_KEY)]);
    let id = &known[0].0;
    let refused = [
        app.put(&[], b"new"),
        app.post(id, &[], b"new"),
        app.delete(id, &[]),
        app.client.request("DELETE", &format!("/api-key/{}", app.bucket), &master, b""),
        app.client.request("PUT", "/api-key/another", &master, b""),
    ];
    for response in &refused {
        assert_eq!((response.status, problem_code(response).as_str()), (503, "journal_failed"), "{response}");
    }
    check_all(&mut app, known);
    app.head(id, &[]).expect(200);
}

#[test]
fn where_nothing_can_be_synced_any_more_no_sync_is_acknowledged() {
    for (shape, mode) in [(Shape::cores(2), "always"), (Shape::epoll(3), "everysec")] {
        let Some(volume) = Volume::thin() else { return };
        let mut server = start(&volume.path(), shape, mode);
        let mut app = App::new(&server);
        let mut known: Known = (0..40).map(|stamp| create(&mut app, stamp, 300)).collect();
        let gone: Known = known.split_off(20);
        for (id, _) in &gone {
            // The last one waits for a sync, and so for all that was written before.
            app.delete(id, &[]).expect(200);
        }
        let all = fail_under_load(&server, &app, || volume.exhaust());
        if mode == "always" {
            assert!(all.before.len() >= BEFORE, "{} sessions", all.before.len());
            known.extend(all.before);
        }
        // What was only written may go with the disk's memory, as in a power cut. And a sync may
        // have told a lie while the file system gave up: it converts preallocated blocks later.
        check_failed(&server, &mut app, &known);
        server.kill();
        volume.recover();
        let server = start(&volume.path(), Shape::cores(1), mode);
        let mut app = again(&app, &server);
        check_all(&mut app, &known);
        check_none(&mut app, &gone);
    }
}
