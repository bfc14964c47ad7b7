//! A disk that is full for real: nothing is lost, what needs no room goes on, and room that
//! comes back is used without anybody's help.
//!
//! On a file system of 8 MiB, which takes the right to mount; skipped aloud without it.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::content::Content;
use crate::known::{Known, again, check_all, check_none, put};
use crate::support::{App, Launch, MASTER_KEY, Response, Shape, eventually, problem_code};
use crate::volume::{Volume, fill};

const VOLUME_MIB: u32 = 8;
/// What one session holds, in bytes.
const DATA_LEN: usize = 30_000;
/// More sessions than ever fit.
const SESSIONS_MAX: usize = 1_000;

/// So often in a row the disk is full before it is taken to be, and how long is in between.
const FULL_TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

fn launch(dir: &Path, shape: Shape) -> Launch {
    Launch::shape(shape)
        .with_admin()
        .data_dir(dir)
        .set("journal.strict", "true")
        .set("session.max_payload", "100kb")
}

#[track_caller]
fn expect_full(response: &Response) {
    assert_eq!((response.status, problem_code(response).as_str()), (507, "disk_full"), "{response}");
}

/// Asks again as long as the answer is a mere 503: the next segment is being made.
fn ask_patiently(mut ask: impl FnMut() -> Response) -> Response {
    eventually("an answer that does not say that it will be better soon", || {
        let response = ask();
        (response.status != 503).then_some(response)
    })
}

/// Makes sessions until the disk is full, and stays so; adds them to `known`.
fn fill_with_sessions(app: &mut App, known: &mut Known) {
    let mut refused = 0;
    while refused < FULL_TRIES {
        assert!(known.len() < SESSIONS_MAX, "a disk of {VOLUME_MIB} MiB is never full");
        let content = Content::new((known.len() as u64) << 16 | 0xf111, DATA_LEN);
        let response = ask_patiently(|| put(app, content));
        if response.status == 201 {
            known.push((response.text().to_owned(), content));
            refused = 0;
        } else {
            expect_full(&response);
            refused += 1;
            // A cleaning may be about to make some room.
            thread::sleep(PAUSE);
        }
    }
}

#[test]
fn a_full_disk_refuses_what_grows_and_takes_it_again_once_there_is_room() {
    for shape in [Shape::cores(1), Shape::epoll(3)] {
        let Some(volume) = Volume::small(VOLUME_MIB) else { return };
        let server = launch(&volume.path(), shape).start();
        let (mut app, mut other) = (App::new(&server), App::new(&server));
        let mut known = Known::new();
        fill_with_sessions(&mut app, &mut known);
        assert!(known.len() > 50, "{}", known.len());
        expect_full(&ask_patiently(|| app.post(&known[0].0, &[], &[7; DATA_LEN])));
        check_all(&mut app, &known);
        app.head(&known[1].0.clone(), &[]).expect(200);
        server.connect_admin().request("GET", "/readyz", &[], b"").expect(200);
        // A lost key must go, whatever the disk says; a new one may have to wait for room.
        let (path, master) = (format!("/api-key/{}", other.bucket), [("X-SESSION-KEY", MASTER_KEY)]);
        other.client.request("DELETE", &path, &master, b"").expect(200);
        other.get(&known[0].0, &[]).expect(401);
        let made = ask_patiently(|| other.client.request("PUT", &path, &master, b""));
        if made.status != 201 {
            expect_full(&made);
        }
        let gone: Known = known.split_off(known.len() / 2);
        for (id, _) in &gone {
            app.delete(id, &[]).expect(200);
        }
        eventually("there is room for a key once sessions have gone", || {
            let made = other.client.request("PUT", &path, &master, b"");
            matches!(made.status, 201 | 409).then_some(())
        });
        let content = Content::new(u64::MAX, DATA_LEN);
        let made = eventually("there is room for sessions once others have gone", || {
            let made = put(&mut app, content);
            (made.status == 201).then(|| made.text().to_owned())
        });
        known.push((made, content));
        check_all(&mut app, &known);
        check_none(&mut app, &gone);
    }
}

#[test]
fn a_kill_on_a_full_disk_loses_nothing_and_the_next_start_finds_its_room() {
    let Some(volume) = Volume::small(VOLUME_MIB) else { return };
    let mut server = launch(&volume.path(), Shape::cores(2)).start();
    let mut app = App::new(&server);
    let (mut known, mut gone) = (Known::new(), Known::new());
    for (round, shape) in [1, 3, 2, 1, 4, 1].map(Shape::cores).into_iter().enumerate() {
        fill_with_sessions(&mut app, &mut known);
        // Some leave the reserve as it is, some have made use of it.
        for (id, content) in known.split_off(known.len() - round * 10) {
            app.delete(&id, &[]).expect(200);
            gone.push((id, content));
        }
        server.kill();
        server = launch(&volume.path(), shape).start();
        app = again(&app, &server);
        check_all(&mut app, &known);
        check_none(&mut app, &gone);
    }
}

#[test]
fn a_start_on_a_disk_that_is_full_to_the_last_block_says_so_or_works() {
    let Some(volume) = Volume::small(VOLUME_MIB) else { return };
    let (dir, filler) = (volume.path().join("data"), volume.path().join("filler"));
    fill(&filler);
    let ended = launch(&dir, Shape::cores(2)).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.to_lowercase().contains("no space"), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    fs::remove_file(&filler).unwrap();

    let mut server = launch(&dir, Shape::cores(2)).start();
    let mut app = App::new(&server);
    let content = Content::new(1, 900);
    let known = vec![(put(&mut app, content).expect(201).text().to_owned(), content)];
    server.kill();
    fill(&filler);
    let mut server = launch(&dir, Shape::cores(3)).start();
    app = again(&app, &server);
    check_all(&mut app, &known);
    server.kill();
    // What the last start has given back is taken now as well.
    fill(&volume.path().join("another filler"));
    let ended_or_not = launch(&dir, Shape::cores(1)).start();
    check_all(&mut again(&app, &ended_or_not), &known);
}
