//! What all shards together must hold, in one map, and what each request must be answered.

use std::collections::BTreeMap;

use super::answer::Answer;
use super::keys::{BUCKETS, Keys, Verdict};
use super::requests::{Ask, Conditions, Data, Request, Target};
use super::world::{Dice, TTL_SECONDS};
use crate::http::write_rfc3339;
use crate::registry::KeyOutcome;
use crate::store::usable_size;
use crate::types::{Now, UnixMillis};

/// A session as it must be.
#[derive(Clone, Debug)]
struct Session {
    bucket: usize,
    bytes: Vec<u8>,
    content_type: &'static str,
    version: u64,
    own_ttl: Option<u64>,
    /// In milliseconds of the monotonic clock.
    deadline: u64,
}

impl Session {
    fn touch(&mut self, at: Now) {
        self.deadline = at.moment.as_millis() + self.own_ttl.unwrap_or(TTL_SECONDS) * 1000;
    }

    fn left(&self, at: Now) -> u64 {
        self.deadline - at.moment.as_millis()
    }
}

/// The model.
#[derive(Default)]
pub(super) struct Model {
    pub(super) keys: Keys,
    /// Sessions made and not deleted, due or not.
    sessions: BTreeMap<String, Session>,
    /// Ids in the order in which they were made.
    ids: Vec<(String, usize)>,
    /// Whether new data finds no room.
    pub(super) is_full: bool,
    pub(super) created: u64,
    pub(super) deleted: u64,
}

impl Model {
    /// A session to name: one of the latest, or now and then any that ever was, or none at all.
    /// Its id, its bucket, and its version if it is there.
    pub(super) fn draw_session(&self, dice: &mut Dice) -> (String, usize, u64) {
        let reach = if dice.once_in(6) { self.ids.len() } else { self.ids.len().min(12) };
        if reach == 0 || dice.once_in(40) {
            return ("0d9c27a1-5b7e-4c1f-8a3d-112233445566".to_owned(), 0, 1);
        }
        let draw = |dice: &mut Dice| &self.ids[self.ids.len() - 1 - dice.below(reach)];
        let mut drawn = draw(dice);
        for _ in 0..3 {
            drawn = if self.sessions.contains_key(&drawn.0) { drawn } else { draw(dice) };
        }
        let (id, bucket) = drawn;
        let version = self.sessions.get(id).map_or(1, |session| session.version);
        (id.clone(), *bucket, version)
    }

    /// Whether there is a bucket without a key.
    pub(super) fn lacks_key(&self) -> bool {
        (0..BUCKETS.len()).any(|bucket| self.keys.current(bucket).is_none())
    }

    /// Every session that is there at `at`, with its bucket.
    pub(super) fn live(&self, at: Now) -> Vec<(String, usize)> {
        let is_live = |session: &Session| at.moment.as_millis() < session.deadline;
        let live = self.sessions.iter().filter(|(_, session)| is_live(session));
        live.map(|(id, session)| (id.clone(), session.bucket)).collect()
    }

    /// Judges the answer that was made at `at` to a request whose first byte came at step
    /// `began`, and follows what it says.
    pub(super) fn judge(&mut self, at: Now, began: u64, request: &Request, answer: &Answer) {
        let verdict = match &request.ask {
            Ask::Create { bucket, key, .. } => self.keys.verdict(*bucket, key, began),
            Ask::Read { target, .. } | Ask::Update { target, .. } | Ask::Delete { target } => {
                self.keys.verdict(target.bucket, &target.key, began)
            }
            Ask::Settings { key } => self.keys.verdict_of_any(key, began),
            Ask::Key { .. } | Ask::Refused { .. } | Ask::Malformed => Verdict::Good,
        };
        let is_key_at_stake = !matches!(request.ask, Ask::Refused { .. } | Ask::Malformed);
        if is_key_at_stake && answer.status == 401 {
            assert_ne!(verdict, Verdict::Good, "a good key is refused");
            assert!(!answer.closes() || request.closes || request.is_hard_to_skip);
            assert!(answer.closes() || !request.closes);
            return;
        }
        assert_ne!(verdict, Verdict::Bad, "a bad key is taken");
        match &request.ask {
            Ask::Refused { status, closes } => {
                assert_eq!((answer.status, answer.closes()), (*status, *closes || request.closes));
            }
            Ask::Malformed => assert_eq!((answer.status, answer.closes()), (400, true)),
            _ => assert_eq!(answer.closes(), request.closes),
        }
        match &request.ask {
            Ask::Create { bucket, data, json, .. } => self.create(at, (*bucket, *json), data, answer),
            Ask::Read { target, touch } => self.read(at, target, (*touch, request.is_head), answer),
            Ask::Update { target, data } => self.update(at, target, data, answer),
            Ask::Delete { target } => self.delete(at, target, answer),
            Ask::Settings { .. } => {
                assert_eq!((answer.status, answer.field("Content-Type")), (200, Some("application/json")));
            }
            Ask::Key { .. } | Ask::Refused { .. } | Ask::Malformed => {}
        }
    }

    fn create(&mut self, at: Now, (bucket, json): (usize, bool), data: &Data, answer: &Answer) {
        if self.is_full {
            return assert_eq!((answer.status, answer.code().as_str()), (507, "storage_full"));
        }
        assert_eq!(answer.status, 201);
        let place = format!("/session/{}/", BUCKETS[bucket]);
        let id = answer.field("Location").and_then(|path| path.strip_prefix(&place)).unwrap().to_owned();
        let mut session = Session {
            bucket,
            bytes: data.bytes.clone(),
            content_type: data.content_type,
            version: 1,
            own_ttl: data.own_ttl,
            deadline: 0,
        };
        session.touch(at);
        check_fields(at, &session, answer);
        if json {
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            let ttl = session.left(at).div_ceil(1000);
            let expires_at = expires(at, &session);
            let expected = serde_json::json!({
                "id": id, "bucket": BUCKETS[bucket], "ttl": ttl, "expires_at": expires_at
            });
            assert_eq!(body, expected);
        } else {
            assert_eq!(answer.text(), id);
        }
        assert!(self.sessions.insert(id.clone(), session).is_none(), "an id is made once");
        self.ids.push((id, bucket));
        self.created += 1;
    }

    fn read(&mut self, at: Now, target: &Target, (touch, is_head): (bool, bool), answer: &Answer) {
        let Some((session, is_known)) = self.find(at, target, answer) else { return };
        if touch {
            session.touch(at);
        }
        check_fields(at, session, answer);
        if is_known {
            assert_eq!((answer.status, answer.field("Content-Length")), (304, None));
            return assert!(answer.body.is_empty());
        }
        assert_eq!(answer.status, 200);
        let content_type = match session.content_type {
            "" => "application/octet-stream",
            given => given,
        };
        assert_eq!(answer.field("Content-Type"), Some(content_type));
        assert_eq!(answer.number("Content-Length"), Some(session.bytes.len() as u64));
        assert!(is_head || answer.body == session.bytes, "the data comes back to the byte");
    }

    fn update(&mut self, at: Now, target: &Target, data: &Data, answer: &Answer) {
        let is_full = self.is_full;
        let Some((session, is_known)) = self.find(at, target, answer) else { return };
        if is_known {
            return check_precondition(session, answer);
        }
        if is_full && usable_size(data.bytes.len()) > usable_size(session.bytes.len()) {
            return assert_eq!((answer.status, answer.code().as_str()), (507, "storage_full"));
        }
        session.bytes.clone_from(&data.bytes);
        session.content_type = data.content_type;
        session.version += 1;
        session.own_ttl = data.own_ttl.or(session.own_ttl);
        session.touch(at);
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        check_fields(at, session, answer);
    }

    fn delete(&mut self, at: Now, target: &Target, answer: &Answer) {
        let Some((session, is_known)) = self.find(at, target, answer) else { return };
        if is_known {
            return check_precondition(session, answer);
        }
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert_eq!(answer.field("ETag"), None);
        self.sessions.remove(&target.id);
        self.deleted += 1;
    }

    /// The session that a request is about and whether its client knows it already; nothing
    /// where the answer has to be a refusal, which is checked here.
    fn find(&mut self, at: Now, target: &Target, answer: &Answer) -> Option<(&mut Session, bool)> {
        let is_due = |session: &Session| at.moment.as_millis() >= session.deadline;
        if self.sessions.get(&target.id).is_some_and(is_due) {
            self.sessions.remove(&target.id);
        }
        let found = self.sessions.get_mut(&target.id).filter(|session| session.bucket == target.bucket);
        let Some(session) = found else {
            assert_eq!(answer.status, 404, "{target:?}");
            return None;
        };
        let Conditions { if_match, if_none_match } = &target.conditions;
        if if_match.as_ref().is_some_and(|tags| !tags.contains(session.version, false)) {
            check_precondition(session, answer);
            return None;
        }
        let is_known = if_none_match.as_ref().is_some_and(|tags| tags.contains(session.version, true));
        Some((session, is_known))
    }
}

/// The answer that the authority's word becomes.
pub(super) fn check_key_answer(outcome: &KeyOutcome, is_head: bool, answer: &Answer) {
    let (status, body) = match outcome {
        KeyOutcome::Made(key) => (201, key.expose()),
        KeyOutcome::Found(key) => (200, key.expose()),
        KeyOutcome::Removed => (200, ""),
        KeyOutcome::Missing => (404, "api_key_not_found"),
        KeyOutcome::Taken => (409, "bucket_has_key"),
        _ => panic!("there is room for it"),
    };
    assert_eq!(answer.status, status);
    let shown = if status < 400 { answer.text().to_owned() } else { answer.code() };
    assert_eq!(shown, if is_head { "" } else { body });
}

fn check_precondition(session: &Session, answer: &Answer) {
    assert_eq!((answer.status, answer.number("ETag")), (412, Some(session.version)));
}

fn check_fields(at: Now, session: &Session, answer: &Answer) {
    assert_eq!(answer.number("ETag"), Some(session.version));
    assert_eq!(answer.number("X-Session-TTL"), Some(session.left(at).div_ceil(1000)));
    assert_eq!(answer.field("X-Session-Expires"), Some(expires(at, session).as_str()));
}

/// When the session will be gone by the wall clock that is shown at `at`.
fn expires(at: Now, session: &Session) -> String {
    let mut text = Vec::new();
    write_rfc3339(&mut text, UnixMillis::new(at.wall.as_u64() + session.left(at)));
    String::from_utf8(text).unwrap()
}
