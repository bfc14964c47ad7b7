//! Sessions that all clients update at the same time, each by If-Match: no update is lost.
//!
//! Such a session holds one number for each client, and only that client ever adds to it. So
//! whoever reads one knows that no number is smaller than it was, and its owner knows which
//! one it must be. After each life all clients' views are put together.

use std::collections::BTreeMap;

use crate::support::Random;
use crate::wire::{Stop, Wire};

/// Where the sessions are that all clients share.
#[derive(Clone, Debug)]
pub struct SharedPlace {
    pub bucket: String,
    pub key: String,
    pub ids: Vec<String>,
}

/// What one client knows of one of them.
#[derive(Clone, Debug)]
struct View {
    /// The largest numbers that anybody was shown.
    seen: Vec<u64>,
    /// How often this client's updates were acknowledged.
    acknowledged: u64,
    /// One more update was sent, and nobody knows what came of it.
    is_in_doubt: bool,
    /// What each ETag stands for, of those seen in this life.
    etags: BTreeMap<u64, Vec<u64>>,
}

/// What one client knows of all of them.
#[derive(Debug)]
pub struct SharedViews {
    /// The number that is this client's.
    number: usize,
    views: Vec<View>,
}

/// The data of a shared session at which nobody has added anything.
pub fn zeros(clients: usize) -> String {
    text_of(&vec![0; clients])
}

fn text_of(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

impl SharedViews {
    pub fn new(number: usize, clients: usize, sessions: usize) -> Self {
        let view =
            View { seen: vec![0; clients], acknowledged: 0, is_in_doubt: false, etags: BTreeMap::new() };
        Self { number, views: vec![view; sessions] }
    }

    /// Reads one of the sessions and adds one to this client's number. Whether it was added.
    pub fn add(&mut self, wire: &mut Wire, place: &SharedPlace, random: &mut Random) -> Result<bool, Stop> {
        let at = random.below(self.views.len());
        let path = format!("/session/{}/{}", place.bucket, place.ids[at]);
        let key = ("X-SESSION-KEY", place.key.as_str());
        let read = wire.request("GET", &path, &[key], b"")?.response;
        if read.status != 200 {
            return if read.status == 503 { Ok(false) } else { Err(fault(&path, &format!("{read}"))) };
        }
        let (etag, mut numbers) = self.take_in(at, &path, (read.etag(), read.text()))?;
        numbers[self.number] += 1;
        let view = &mut self.views[at];
        view.is_in_doubt = true;
        let fields = [key, ("If-Match", etag.as_str())];
        let written = wire.request("POST", &path, &fields, text_of(&numbers).as_bytes())?.response;
        match written.status {
            503 if written.closes() => return Err(Stop::Cut),
            412 | 503 | 507 => view.is_in_doubt = false,
            200 => {
                (view.acknowledged, view.is_in_doubt) = (numbers[self.number], false);
                self.take_in(at, &path, (written.etag(), &text_of(&numbers)))?;
            }
            _ => return Err(fault(&path, &format!("{written}"))),
        }
        Ok(written.status == 200)
    }

    /// How many updates are in doubt.
    pub fn in_doubt(&self) -> usize {
        self.views.iter().filter(|view| view.is_in_doubt).count()
    }

    /// What a session was seen as.
    fn take_in(
        &mut self,
        at: usize,
        path: &str,
        (etag, text): (&str, &str),
    ) -> Result<(String, Vec<u64>), Stop> {
        let view = &mut self.views[at];
        let numbers: Option<Vec<u64>> = text.split(' ').map(|word| word.parse().ok()).collect();
        let numbers = numbers.filter(|numbers| numbers.len() == view.seen.len());
        let numbers = numbers.ok_or_else(|| fault(path, &format!("its data is {text:?}")))?;
        let mine = numbers[self.number];
        if mine != view.acknowledged && !(view.is_in_doubt && mine == view.acknowledged + 1) {
            return Err(fault(path, &format!("client {} wrote {view:?}, and there is {text}", self.number)));
        }
        (view.acknowledged, view.is_in_doubt) = (mine, false);
        if numbers.iter().zip(&view.seen).any(|(now, before)| now < before) {
            return Err(fault(path, &format!("it went back from {view:?} to {text}")));
        }
        view.seen.clone_from(&numbers);
        let version =
            etag.trim_matches('"').parse().map_err(|why| fault(path, &format!("ETag {etag}: {why}")))?;
        let known = view.etags.entry(version).or_insert_with(|| numbers.clone());
        if *known != numbers {
            return Err(fault(path, &format!("ETag {etag} was {known:?} and is {text}")));
        }
        Ok((etag.to_owned(), numbers))
    }
}

fn fault(path: &str, why: &str) -> Stop {
    Stop::Fault(format!("{path}, which all clients share: {why}"))
}

/// Every ETag that a shared session was ever seen with, and what it stood for.
#[derive(Default, Debug)]
pub struct SharedPast(Vec<BTreeMap<u64, Vec<u64>>>);

impl SharedPast {
    /// After a life: what all clients know must fit together, and is known to all from now on.
    pub fn settle(&mut self, all: &mut [&mut SharedViews]) -> Result<(), String> {
        let sessions = all.first().map_or(0, |views| views.views.len());
        self.0.resize_with(sessions, BTreeMap::new);
        for (at, past) in self.0.iter_mut().enumerate() {
            let mut most = vec![0; all.len()];
            for views in all.iter_mut() {
                let view = &mut views.views[at];
                most.iter_mut().zip(&view.seen).for_each(|(most, seen)| *most = seen.max(most).to_owned());
                for (version, numbers) in std::mem::take(&mut view.etags) {
                    let known = past.entry(version).or_insert_with(|| numbers.clone());
                    if *known != numbers {
                        return Err(format!(
                            "shared session {at}: ETag {version} is {known:?} and {numbers:?}"
                        ));
                    }
                }
            }
            for (number, views) in all.iter_mut().enumerate() {
                let view = &mut views.views[at];
                if most[number] > view.acknowledged + u64::from(view.is_in_doubt) {
                    return Err(format!(
                        "shared session {at}: client {number} wrote {view:?}, others saw {most:?}"
                    ));
                }
                view.seen.clone_from(&most);
            }
        }
        Ok(())
    }
}
