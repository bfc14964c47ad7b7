//! The ledger of a bucket's key: the one that opens it, and those that never must again.
//!
//! A change whose answer never came is in doubt until the key is asked for. Sessions outlive
//! their bucket's key; that is shown by whoever looks for them after a new one was made.

use std::thread;
use std::time::Duration;

use crate::support::{MASTER_KEY, MISSING_ID, Random, Response};
use crate::wire::{Stop, Wire};

/// How long a change of a key that finds no room at present is left alone, and how often it is
/// tried again.
const PAUSE: Duration = Duration::from_millis(5);
const TRIES_MAX: usize = 400;

/// What is known of the key.
#[derive(Clone, PartialEq, Eq, Debug)]
enum KeyState {
    /// There is none.
    Missing,
    /// This one.
    Made(String),
    /// This one, or none.
    Removing(String),
    /// None, or one that nobody was told of.
    Making,
}

/// A bucket that one client uses.
#[derive(Debug)]
pub struct Bucket {
    pub name: String,
    key: KeyState,
    /// Keys that were taken away, oldest first.
    dead: Vec<String>,
}

impl Bucket {
    /// A bucket that was never made.
    pub fn new(name: String) -> Self {
        Self { name, key: KeyState::Missing, dead: Vec::new() }
    }

    /// The key that opens it, once it was looked for.
    pub fn key(&self) -> &str {
        match &self.key {
            KeyState::Made(key) => key,
            _ => "",
        }
    }

    /// The path of one of its sessions.
    pub fn path(&self, id: &str) -> String {
        format!("/session/{}/{id}", self.name)
    }

    /// In a new life: the key must be one that it can be, and the dead ones stay dead. Makes a
    /// key where there is none.
    pub fn judge(&mut self, wire: &mut Wire, random: &mut Random) -> Result<(), Stop> {
        let found = self.ask(wire, "GET")?;
        self.key = match (&self.key, found.status) {
            (KeyState::Made(key) | KeyState::Removing(key), 200) if found.text() == key => {
                KeyState::Made(key.clone())
            }
            (KeyState::Making, 200) if !self.dead.iter().any(|dead| dead == found.text()) => {
                KeyState::Made(found.text().to_owned())
            }
            (KeyState::Removing(key), 404) => {
                self.dead.push(key.clone());
                KeyState::Missing
            }
            (KeyState::Missing | KeyState::Making, 404) => KeyState::Missing,
            (known, _) => return Err(self.fault(&format!("{known:?}, and now {found}"))),
        };
        if self.key == KeyState::Missing {
            self.make(wire)?;
        }
        if !self.dead.is_empty() {
            for place in [self.dead.len() - 1, random.below(self.dead.len())] {
                self.check_dead(wire, place)?;
            }
        }
        Ok(())
    }

    /// Takes the key away, sees that it is of no use on `other` either, and makes a new one.
    pub fn regenerate(&mut self, wire: &mut Wire, other: &mut Wire) -> Result<(), Stop> {
        let KeyState::Made(key) = self.key.clone() else { return Ok(()) };
        self.key = KeyState::Removing(key.clone());
        let removed = self.ask(wire, "DELETE")?;
        if removed.status != 200 {
            return Err(self.fault(&format!("its key cannot be removed: {removed}")));
        }
        self.dead.push(key);
        self.key = KeyState::Missing;
        self.check_dead(other, self.dead.len() - 1)?;
        self.make(wire)
    }

    /// How many changes of the key are in doubt.
    pub fn in_doubt(&self) -> usize {
        usize::from(matches!(self.key, KeyState::Removing(_) | KeyState::Making))
    }

    fn make(&mut self, wire: &mut Wire) -> Result<(), Stop> {
        self.key = KeyState::Making;
        let made = self.ask(wire, "PUT")?;
        if made.status != 201 || self.dead.iter().any(|dead| dead == made.text()) {
            return Err(self.fault(&format!("it gets no new key: {made}")));
        }
        self.key = KeyState::Made(made.text().to_owned());
        Ok(())
    }

    fn check_dead(&self, wire: &mut Wire, place: usize) -> Result<(), Stop> {
        let fields = [("X-SESSION-KEY", self.dead[place].as_str())];
        let answer = wire.request("GET", &self.path(MISSING_ID), &fields, b"")?;
        if answer.response.status != 401 {
            return Err(self.fault(&format!("its removed key {place} is back: {}", answer.response)));
        }
        Ok(())
    }

    /// Asks about the key until there is room to answer.
    fn ask(&self, wire: &mut Wire, method: &str) -> Result<Response, Stop> {
        let target = format!("/api-key/{}", self.name);
        for _ in 0..TRIES_MAX {
            let response = wire.request(method, &target, &[("X-SESSION-KEY", MASTER_KEY)], b"")?.response;
            match response.status {
                // Nobody knows what came of it, and the connection ends.
                503 if response.closes() => return Err(Stop::Cut),
                503 | 507 => thread::sleep(PAUSE),
                _ => return Ok(response),
            }
        }
        Err(self.fault(&format!("{method} of its key finds no room for long")))
    }

    fn fault(&self, why: &str) -> Stop {
        Stop::Fault(format!("bucket {}: {why}", self.name))
    }
}
