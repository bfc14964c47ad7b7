//! Life after life of a server over one folder, the clients that live through all of them, and
//! what must hold in each.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::{ClientApp, Ground};
use crate::clock::now_millis;
use crate::schedule::{Chapter, End};
use crate::shared::{SharedPast, SharedPlace, SharedViews, zeros};
use crate::state::DEFAULT_TTL_SECS;
use crate::support::{App, Launch, Random, Server};
use crate::tally::Sums;
use crate::volume::Volume;
use crate::watch::{look, watch};
use crate::wire::Wire;

/// Clients that work at the same time.
const CLIENTS: usize = 6;
/// Sessions that all clients share.
const SHARED: usize = 3;
/// How long a cleaning is waited for, and how often it is looked for.
const CLEANING_LOOKS_MAX: u32 = 500;
const CLEANING_PAUSE: Duration = Duration::from_millis(2);

/// What a server says that has found damage: a kill is none.
const DAMAGE: [&str; 4] = ["lost", "damaged", "panicked", "is missing"];
/// What it says where an orderly end could not tell all deadlines.
const INEXACT: &str = "not all deadlines are exact";

/// A folder, and all who know what must be in it.
pub struct World {
    seed: u64,
    random: Random,
    volume: Volume,
    clients: Vec<ClientApp>,
    place: SharedPlace,
    past: SharedPast,
    ids: BTreeSet<String>,
    sums: Sums,
}

impl World {
    /// A new folder, with what all clients share. Failures name `seed`.
    pub fn new(seed: u64, mut random: Random, volume: Volume) -> Self {
        let server = launch(&volume, &Chapter::draw(&mut random)).start();
        let mut app = App::new(&server);
        let ids =
            (0..SHARED).map(|_| app.create_with(&[("X-Session-TTL", "86400")], zeros(CLIENTS).as_bytes()));
        let place = SharedPlace { ids: ids.collect(), bucket: app.bucket.clone(), key: app.key.clone() };
        drop(server);
        let client =
            |number| ClientApp::new(random.next(), number, SharedViews::new(number, CLIENTS, SHARED));
        let clients = (0..CLIENTS).map(client).collect();
        let (past, ids) = (SharedPast::default(), BTreeSet::new());
        Self { seed, random, volume, clients, place, past, ids, sums: Sums::default() }
    }

    /// One more life; fails with all that is known where a promise was broken.
    pub fn live(&mut self) {
        let chapter = Chapter::draw(&mut self.random);
        for (shape, span) in &chapter.aborted_starts {
            launch(&self.volume, &Chapter { shape: *shape, ..chapter.clone() }).kill_after(*span);
        }
        let mut server = launch(&self.volume, &chapter).start();
        let outcome = self.run(&mut server, &chapter);
        let stderr = server.stderr();
        let said = DAMAGE.iter().find(|word| stderr.contains(*word));
        if outcome.is_err() || said.is_some() {
            let tail: Vec<_> = stderr.lines().rev().take(30).collect();
            panic!(
                "A LOSS, seed {}, after {}, {chapter:?}: {}\nthe server said, last line first:\n{}",
                self.seed,
                self.sums(),
                outcome.err().unwrap_or_else(|| format!("it speaks of {said:?}")),
                tail.join("\n")
            );
        }
        self.sums.lives += 1;
        self.sums.kills += chapter.kills();
        self.sums.aborted_starts += chapter.aborted_starts.len() as u64;
        self.sums.orderly_ends += u64::from(chapter.is_orderly());
    }

    /// What the lives have come to, and what the clients have counted.
    pub fn sums(&self) -> Sums {
        let mut sums = self.sums;
        self.clients.iter().for_each(|client| sums.tally.add(client.tally));
        sums
    }

    fn run(&mut self, server: &mut Server, chapter: &Chapter) -> Result<(), String> {
        let ready_millis = now_millis();
        self.clients.iter_mut().for_each(|client| client.restarted(ready_millis));
        let (addr, admin_addr, is_ending) = (server.addr(), server.admin_addr(), AtomicBool::new(false));
        let ground = Ground { addr, is_ending: &is_ending, place: &self.place };
        let (faults, seen, was_cleaning) = thread::scope(|scope| {
            let lives: Vec<_> =
                self.clients.iter_mut().map(|client| scope.spawn(move || client.live(ground))).collect();
            let watching = scope.spawn(|| watch(admin_addr, &is_ending, |look| 2.0 * look.live_bytes));
            let was_cleaning = end(server, chapter, (admin_addr, &self.volume), &is_ending);
            let faults =
                lives.into_iter().map(|life| life.join().unwrap_or_else(|panic| Err(text_of(&*panic))));
            let faults: Vec<_> = faults.filter_map(Result::err).collect();
            (faults, watching.join().map_err(|panic| text_of(&*panic)), was_cleaning)
        });
        if !faults.is_empty() {
            return Err(faults.join("\n\n"));
        }
        let seen = seen?;
        self.sums.cleanings += seen.cleanings as u64;
        let was_cleaning = was_cleaning?;
        self.sums.cleanings_awaited += u64::from(was_cleaning.is_some());
        self.sums.kills_in_cleaning += u64::from(was_cleaning == Some(true));
        let is_exact = chapter.is_orderly() && !server.stderr().contains(INEXACT);
        let now = now_millis();
        self.clients.iter_mut().for_each(|client| client.ended(now, is_exact));
        let mut views: Vec<_> = self.clients.iter_mut().map(|client| &mut client.shared).collect();
        self.past.settle(&mut views)?;
        for id in self.clients.iter_mut().flat_map(|client| client.new_ids.drain(..)) {
            if !self.ids.insert(id.clone()) {
                return Err(format!("the id {id} was given twice"));
            }
        }
        Ok(())
    }
}

/// The server of a life. Damage would be a refusal to start: what is killed leaves none.
fn launch(volume: &Volume, chapter: &Chapter) -> Launch {
    Launch::shape(chapter.shape)
        .with_admin()
        .data_dir(&volume.path())
        .set("journal.mode", chapter.mode)
        .set("journal.strict", "true")
        .set("session.ttl", &format!("{DEFAULT_TTL_SECS}s"))
        .set("session.max_payload", "400kb")
}

/// Ends the server when its time has come. Whether it was cleaning its log then, as far as that
/// can be seen, if it should be.
fn end(
    server: &mut Server,
    chapter: &Chapter,
    (admin_addr, volume): (SocketAddr, &Volume),
    is_ending: &AtomicBool,
) -> Result<Option<bool>, String> {
    let mut was_cleaning = None;
    match chapter.end {
        End::Kill(span) | End::Terminate(span) => thread::sleep(span),
        End::KillInCleaning(span) => {
            was_cleaning = await_cleaning(admin_addr, volume);
            thread::sleep(span);
        }
    }
    is_ending.store(true, Ordering::SeqCst);
    if !chapter.is_orderly() {
        server.kill();
        return Ok(was_cleaning);
    }
    server.terminate();
    match server.wait_exit() {
        Some(0) => Ok(None),
        code => Err(format!("it ended with {code:?} on SIGTERM")),
    }
}

/// Waits until the log is being cleaned. Whether that was seen; none where segments are so long
/// that it would take too many lives.
fn await_cleaning(admin_addr: SocketAddr, volume: &Volume) -> Option<bool> {
    volume.segment_bytes()?;
    let Ok(mut wire) = Wire::connect(admin_addr) else { return Some(false) };
    for _ in 0..CLEANING_LOOKS_MAX {
        match look(&mut wire) {
            Ok(look) if look.is_cleaning => return Some(true),
            Ok(_) => {}
            Err(_) => return Some(false),
        }
        thread::sleep(CLEANING_PAUSE);
    }
    Some(false)
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}
