//! What clients know from the answers that reached them, and what must be so after a crash.
//!
//! A fact is safe where no crash of the kind that came may take it back. Data is told apart by
//! numbers: each write has one of its own, and its bytes follow from that alone.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::Answer;
use crate::types::ShardId;

/// How a life ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// What was written is there.
    Kill,
    /// What was synced is there.
    PowerLoss,
    /// Everything was brought to its end.
    Orderly,
}

/// Something that a client was told of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// It is at this version, and lives until then: milliseconds of the wall clock.
    Version { version: u64, expires: u64 },
    /// It is not there.
    Gone,
    /// It was removed at the client's word.
    Deleted,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    what: What,
    /// How far the owner's log was written when it was told.
    written: u64,
    owner: ShardId,
}

/// What is known of one session.
#[derive(Default, Debug)]
pub(super) struct Known {
    pub(super) bucket: usize,
    /// Its TTL, in milliseconds, for ever.
    pub(super) ttl: u64,
    /// Which data each version has.
    data: BTreeMap<u64, u64>,
    /// Numbers of data that it was ever sent.
    pub(super) sent: BTreeSet<u64>,
    told: Vec<Told>,
    /// The latest end of life that any answer named, whether it was told or not.
    made_expires: u64,
    /// How many deletes have no answer.
    pub(super) deletes_away: usize,
    /// Whether a delete was never answered.
    pub(super) is_delete_lost: bool,
}

/// What had been told of a session when something was asked of it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Before {
    /// The newest version.
    newest: u64,
    is_gone: bool,
}

/// Where a fact was learned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) owner: ShardId,
    pub(super) written: u64,
    /// Milliseconds of the wall clock.
    pub(super) now: u64,
}

/// A session as it is found after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) version: u64,
    /// The number of its data.
    pub(super) data: u64,
    /// Milliseconds of the wall clock.
    pub(super) expires: u64,
}

impl Known {
    /// What anybody has been told of it so far.
    pub(super) fn before(&self) -> Before {
        Before { newest: self.newest(), is_gone: self.is_gone() }
    }

    fn newest(&self) -> u64 {
        self.told.iter().filter_map(Told::version).max().unwrap_or(0)
    }

    fn is_gone(&self) -> bool {
        self.told.iter().any(|told| !matches!(told.what, What::Version { .. }))
    }

    /// An answer with a version was made, told or not: a version is one data's for ever.
    pub(super) fn made(&mut self, answer: &Answer, data: Option<u64>) {
        let (Some(version), Some(expires)) = (answer.number("ETag"), expires_of(answer)) else { return };
        self.made_at(version, data, expires);
    }

    fn made_at(&mut self, version: u64, data: Option<u64>, expires: u64) {
        self.made_expires = self.made_expires.max(expires);
        if let Some(data) = data {
            let known = *self.data.entry(version).or_insert(data);
            assert_eq!(known, data, "version {version} was given out twice");
            assert!(self.sent.contains(&data), "data {data} is another session's");
        }
    }

    /// A client was shown the session, by an answer to what it asked when this was known.
    pub(super) fn shown(&mut self, answer: &Answer, known: Before, place: Place) {
        let version = answer.number("ETag").expect("a session is shown with its version");
        let newest = known.newest;
        assert!(version >= newest, "version {version} is shown after {newest} was told");
        assert!(!known.is_gone, "a session is back that was told as gone");
        let expires = expires_of(answer).unwrap_or(0);
        self.tell(What::Version { version, expires }, place);
    }

    /// A client was told that the session is missing.
    pub(super) fn missing(&mut self, place: Place) {
        let may_be_deleted = self.is_gone() || self.deletes_away > 0 || self.is_delete_lost;
        let promised = self.promised(|_| true);
        assert!(may_be_deleted || promised <= place.now, "gone {} ms too early", promised - place.now);
        self.tell(What::Gone, place);
    }

    pub(super) fn deleted(&mut self, place: Place) {
        // Somebody else may have been told first that it is not there.
        let is_deleted = self.told.iter().any(|told| told.what == What::Deleted);
        assert!(!is_deleted, "a session is deleted once");
        self.tell(What::Deleted, place);
    }

    fn tell(&mut self, what: What, place: Place) {
        let Place { owner, written, .. } = place;
        self.told.push(Told { what, written, owner });
    }

    fn promised(&self, is_safe: impl Fn(&Told) -> bool) -> u64 {
        let promises = self.told.iter().filter(|told| is_safe(told)).filter_map(|told| match told.what {
            What::Version { expires, .. } => Some(expires),
            What::Gone | What::Deleted => None,
        });
        promises.max().unwrap_or(0)
    }

    /// Judges what is found after a crash, then takes it as all that is known. `synced` tells how
    /// far each shard's log was synced where only that counts.
    pub(super) fn judge(
        &mut self,
        (end, synced): (End, Option<&[u64]>),
        answer: &Answer,
        data: Option<u64>,
        place: Place,
    ) {
        assert!(matches!(answer.status, 200 | 404), "a session is there or is not");
        let found = expires_of(answer).map(|expires| {
            let slack = if end == End::Orderly { 0 } else { (self.ttl / 16).clamp(3_000, 3_600_000) };
            let latest = (self.made_expires + slack).min(place.now + self.ttl);
            assert!(expires <= latest, "{} ms longer after {end:?}", expires - latest);
            Found { version: answer.number("ETag").unwrap(), data: data.unwrap(), expires }
        });
        self.judge_found((end, synced), found, place);
    }

    /// The same, of what is found where nobody was asked; it may live longer.
    pub(super) fn judge_found(
        &mut self,
        (end, synced): (End, Option<&[u64]>),
        found: Option<Found>,
        place: Place,
    ) {
        let is_safe = |told: &Told| told.is_safe(synced);
        let promised = self.promised(is_safe);
        if let Some(Found { version, expires, .. }) = found {
            assert!(!self.is_safely_gone(synced), "back after {end:?}");
            let newest = self.told.iter().filter(|told| is_safe(told)).filter_map(Told::version);
            let newest = newest.max().unwrap_or(0);
            assert!(version >= newest, "version {version} after {end:?}, {newest} was told");
            assert!(expires >= promised, "{} ms shorter after {end:?}", promised - expires);
        } else {
            let may_be_gone = self.is_gone() || self.deletes_away > 0 || self.is_delete_lost;
            assert!(
                may_be_gone || promised <= place.now,
                "lost by {end:?}, {} ms early",
                promised - place.now
            );
        }
        self.take_found(found, place);
    }

    /// Takes what is found as all that is known, whatever was known before; but a version has the
    /// data that it had.
    pub(super) fn take_found(&mut self, found: Option<Found>, place: Place) {
        if let Some(Found { version, data, expires }) = found {
            self.made_at(version, Some(data), expires);
        }
        self.told.clear();
        (self.deletes_away, self.is_delete_lost) = (0, false);
        let what = found
            .map_or(What::Gone, |found| What::Version { version: found.version, expires: found.expires });
        self.tell(what, place);
    }

    /// Whether somebody was told that it is gone, which no such crash may take back.
    pub(super) fn is_safely_gone(&self, synced: Option<&[u64]>) -> bool {
        self.told.iter().any(|told| told.is_safe(synced) && told.version().is_none())
    }
}

impl Told {
    fn version(&self) -> Option<u64> {
        match self.what {
            What::Version { version, .. } => Some(version),
            What::Gone | What::Deleted => None,
        }
    }

    fn is_safe(&self, synced: Option<&[u64]>) -> bool {
        let is_synced = synced.is_none_or(|synced| self.written <= synced[self.owner.index()]);
        self.what == What::Deleted || is_synced
    }
}

/// When a session ends, by its answer: milliseconds of the wall clock.
fn expires_of(answer: &Answer) -> Option<u64> {
    let text = answer.field("X-Session-Expires")?;
    let at = humantime::parse_rfc3339(text).unwrap();
    Some(at.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64)
}

/// What is known of a bucket's key.
#[derive(Default, Debug)]
pub(super) struct KnownKey {
    /// The key that was told last; none where it was told as removed, or never made.
    pub(super) current: Option<String>,
    /// Keys that were told as removed.
    removed: BTreeSet<String>,
    /// Changes that have no answer.
    pub(super) changes_away: usize,
    /// Whether a change was never answered.
    pub(super) is_change_lost: bool,
}

impl KnownKey {
    /// Whether nobody can say which key it is.
    pub(super) fn is_unsure(&self) -> bool {
        self.changes_away > 0 || self.is_change_lost
    }

    pub(super) fn made(&mut self, key: &str) {
        assert!(!self.removed.contains(key), "a removed key is back");
        self.current = Some(key.to_owned());
    }

    pub(super) fn removed(&mut self) {
        if let Some(key) = self.current.take() {
            self.removed.insert(key);
        }
    }

    /// Takes the key that is found as it is. Whether it had been told as removed.
    pub(super) fn take_found(&mut self, found: Option<&str>) -> bool {
        let is_back = found.is_some_and(|key| self.removed.remove(key));
        self.is_change_lost = true;
        self.judge(found);
        is_back
    }

    /// Judges the key that is found after a crash, and takes it as what is known.
    pub(super) fn judge(&mut self, found: Option<&str>) {
        if !self.is_unsure() {
            assert_eq!(found, self.current.as_deref(), "a change of a key was taken back");
        }
        (self.changes_away, self.is_change_lost) = (0, false);
        match found {
            Some(key) => self.made(key),
            None => self.removed(),
        }
    }
}

/// The bytes of the data with this number.
pub(super) fn data_of(number: u64) -> Vec<u8> {
    let mut bytes = format!("{number}:").into_bytes();
    let len = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_200;
    bytes.extend((0..len).map(|place| b'a' + ((number + place) % 26) as u8));
    bytes
}

/// The number of this data, which must be whole.
pub(super) fn number_of(bytes: &[u8]) -> u64 {
    let end = bytes.iter().position(|byte| *byte == b':').expect("data begins with its number");
    let number = str::from_utf8(&bytes[..end]).unwrap().parse().unwrap();
    assert_eq!(bytes, data_of(number), "data is whole or not there");
    number
}
