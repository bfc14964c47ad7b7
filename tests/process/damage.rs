//! What a start over a damaged folder restores, and that the folder is sound again behind it.

use std::fs;
use std::path::{Path, PathBuf};

use seshun::journal::SEGMENT_HEADER_LEN;
use tempfile::TempDir;

use crate::support::{App, Launch, Server, eventually};

fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder takes another")
}

fn launch(data: &Path, strict: bool) -> Launch {
    Launch::cores(2).data_dir(data).set("journal.strict", if strict { "true" } else { "false" })
}

/// Another server over the folder of the one that ends here in order.
fn start_again(mut server: Server, data: &Path, strict: bool) -> Server {
    server.terminate();
    assert_eq!(server.wait_exit(), Some(0), "{}", server.stderr());
    launch(data, strict).start()
}

/// Damages the oldest place of the folder's segments that holds `text`.
fn damage(data: &Path, text: &str) {
    let entries = fs::read_dir(data).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut segments: Vec<_> = entries.collect();
    segments.sort();
    for path in segments.iter().filter(|path| path.extension().is_some_and(|is| is == "log")) {
        let mut bytes = fs::read(path).expect("a file of ours");
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text.as_bytes()) {
            bytes[at] ^= 1;
            return fs::write(path, bytes).expect("a file of ours");
        }
    }
    panic!("{text} is nowhere in {}", data.display());
}

/// The newest segment that holds records.
fn newest_segment(data: &Path) -> PathBuf {
    let entries = fs::read_dir(data).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut segments: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|is| is == "log")).collect();
    segments.sort();
    let has_records = |path: &PathBuf| {
        let bytes = fs::read(path).expect("a file of ours");
        bytes.get(SEGMENT_HEADER_LEN..).is_some_and(|records| records.iter().any(|byte| *byte != 0))
    };
    segments.into_iter().rfind(has_records).expect("a server has written here")
}

fn is_sound(data: &Path) -> bool {
    let data = data.to_str().expect("our paths are text");
    Launch::bare().flag("verify").flag(data).run().code == Some(0)
}

#[test]
fn a_start_that_may_lose_what_is_damaged_leaves_a_folder_that_a_strict_one_takes() {
    let place = folder();
    let data = place.path().join("data");
    let mut server = launch(&data, true).start();
    let mut app = App::new(&server);
    let ids: Vec<_> = (0..20).map(|number| app.create(format!("blob-{number:02}").as_bytes())).collect();
    server.terminate();
    assert_eq!(server.wait_exit(), Some(0));
    damage(&data, "blob-07");
    assert!(!is_sound(&data));
    let refused = launch(&data, true).run();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("lost 1 record that had been kept"), "{}", refused.stderr);
    let mut server = launch(&data, false).start();
    for round in 0..2 {
        app.client = server.connect();
        for (number, id) in ids.iter().enumerate() {
            app.get(id, &[]).expect(if number == 7 { 404 } else { 200 });
        }
        if round == 0 {
            eventually("what is left is logged again", || is_sound(&data).then_some(()));
            server = start_again(server, &data, true);
        }
    }
    assert_eq!(fs::read_dir(data.join("damaged")).unwrap().count(), 1, "it was kept aside, once");
}

#[test]
fn sessions_outlive_the_damage_of_the_record_that_made_their_bucket() {
    let place = folder();
    let data = place.path().join("data");
    let server = launch(&data, true).start();
    let mut app = App::new(&server);
    let id = app.create(b"still there");
    let mut server = start_again(server, &data, true);
    server.terminate();
    assert_eq!(server.wait_exit(), Some(0));
    damage(&data, &app.bucket.to_string());
    let server = launch(&data, false).start();
    app.client = server.connect();
    app.get(&id, &[]).expect(200);
}

#[test]
fn a_lost_header_of_the_newest_segment_is_never_taken_for_a_power_cut() {
    let place = folder();
    let data = place.path().join("data");
    let server = launch(&data, true).start();
    let mut app = App::new(&server);
    let kept = app.create(b"in the first segment");
    let mut server = start_again(server, &data, true);
    app.client = server.connect();
    let lost = app.create(b"in the newest segment");
    server.terminate();
    assert_eq!(server.wait_exit(), Some(0));
    let path = newest_segment(&data);
    let whole = fs::read(&path).expect("a file of ours");
    for block in [0, SEGMENT_HEADER_LEN / 2] {
        let mut bytes = whole.clone();
        bytes[block..block + SEGMENT_HEADER_LEN / 2].fill(0);
        fs::write(&path, bytes).expect("a file of ours");
        assert!(is_sound(&data), "the other copy is good");
    }
    let mut bytes = whole;
    bytes[..SEGMENT_HEADER_LEN].fill(0);
    fs::write(&path, bytes).expect("a file of ours");
    assert!(!is_sound(&data));
    let refused = launch(&data, true).run();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("has no readable header"), "{}", refused.stderr);
    let mut server = launch(&data, false).start();
    app.client = server.connect();
    app.get(&kept, &[]).expect(200);
    app.get(&lost, &[]).expect(404);
    assert_eq!(fs::read_dir(data.join("damaged")).unwrap().count(), 1, "it was kept aside");
    eventually("what is left is logged again", || is_sound(&data).then_some(()));
    server.terminate();
    assert_eq!(server.wait_exit(), Some(0));
    assert!(server.stderr().contains("has no readable header"), "{}", server.stderr());
}
