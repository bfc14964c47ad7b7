//! Requests as a simulation draws them: their bytes, and what they mean.

use super::keys::{BUCKETS, Verb};
use super::model::Model;
use super::world::{Dice, MASTER, PAYLOAD_BYTES_MAX, TTL_SECONDS_MAX};

/// The longest body that is skipped after a refusal.
const SKIPPED_BYTES_MAX: usize = 64 * 1024;

/// Entity tags of one condition: their numbers, and which of them are weak. None is `*`.
#[derive(Clone, Debug)]
pub(super) struct Tags(Option<Vec<(u64, bool)>>);

impl Tags {
    fn draw(dice: &mut Dice, current: u64) -> Self {
        if dice.once_in(6) {
            return Self(None);
        }
        let count = 1 + dice.below(3);
        let near = |dice: &mut Dice| (current + dice.below(3) as u64).saturating_sub(1);
        Self(Some((0..count).map(|_| (near(dice), dice.once_in(5))).collect()))
    }

    fn text(&self) -> String {
        let tag =
            |(number, is_weak): &(u64, bool)| format!("{}\"{number}\"", if *is_weak { "W/" } else { "" });
        match &self.0 {
            None => "*".to_owned(),
            Some(tags) => tags.iter().map(tag).collect::<Vec<_>>().join(", "),
        }
    }

    pub(super) fn contains(&self, version: u64, counts_weak: bool) -> bool {
        let is = |(number, is_weak): &(u64, bool)| *number == version && (counts_weak || !is_weak);
        self.0.as_ref().is_none_or(|tags| tags.iter().any(is))
    }
}

/// The preconditions of a request.
#[derive(Clone, Default, Debug)]
pub(super) struct Conditions {
    pub(super) if_match: Option<Tags>,
    pub(super) if_none_match: Option<Tags>,
}

/// Which session a request names, and by which key.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) bucket: usize,
    pub(super) key: String,
    pub(super) id: String,
    pub(super) conditions: Conditions,
}

/// Data to be stored.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) bytes: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) own_ttl: Option<u64>,
}

/// What a request means.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Create {
        bucket: usize,
        key: String,
        data: Data,
        json: bool,
    },
    Read {
        target: Target,
        touch: bool,
    },
    Update {
        target: Target,
        data: Data,
    },
    Delete {
        target: Target,
    },
    Settings {
        key: String,
    },
    Key {
        bucket: usize,
        verb: Verb,
    },
    /// Refused for its head, and whether its connection closes.
    Refused {
        status: u16,
        closes: bool,
    },
    /// No request at all.
    Malformed,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) ask: Ask,
    pub(super) text: Vec<u8>,
    pub(super) is_head: bool,
    /// The client asks for the connection to be closed.
    pub(super) closes: bool,
    pub(super) expects_continue: bool,
    /// Refused at its head, it takes the connection with it.
    pub(super) is_hard_to_skip: bool,
}

impl Request {
    /// Draws a request about what the model holds at present.
    pub(super) fn draw(dice: &mut Dice, model: &Model) -> Self {
        match dice.below(100) {
            _ if dice.once_in(4) && model.lacks_key() => key(dice, model),
            0..=17 => create(dice, model),
            18..=49 => read(dice, model),
            50..=76 => update(dice, model),
            77..=82 => delete(dice, model),
            83..=85 => settings(dice, model),
            86..=92 => key(dice, model),
            93..=98 => refused(dice),
            _ if dice.once_in(3) => malformed(),
            _ => read(dice, model),
        }
    }

    /// A look at a session that changes nothing.
    pub(super) fn peek(bucket: usize, key: &str, id: &str) -> Self {
        let target =
            Target { bucket, key: key.to_owned(), id: id.to_owned(), conditions: Conditions::default() };
        let line = format!("GET /session/{}/{id}", BUCKETS[bucket]);
        let fields = format!("X-Session-Key: {key}\r\nX-Session-Peek: 1\r\n");
        Writer::of_fields(fields).finish(&line, Ask::Read { target, touch: false })
    }
}

/// A request that makes or removes a key, or shows it.
fn key(dice: &mut Dice, model: &Model) -> Request {
    let drawn = dice.below(BUCKETS.len());
    let without = (0..BUCKETS.len()).find(|bucket| model.keys.current(*bucket).is_none());
    let bucket = if dice.once_in(4) { drawn } else { without.unwrap_or(drawn) };
    let is_without = without == Some(bucket);
    let verb = match dice.below(10) {
        _ if is_without => Verb::Make,
        0..=2 => Verb::Remove,
        3..=5 => Verb::Make,
        _ => Verb::Read,
    };
    let method = match verb {
        Verb::Make => "PUT",
        Verb::Remove => "DELETE",
        Verb::Read => *dice.pick(&["GET", "HEAD"]),
    };
    let mut writer = Writer::of_fields(format!("X-Session-Key: {MASTER}\r\n"));
    writer.end_sometimes(dice);
    writer.finish(&format!("{method} /api-key/{}", BUCKETS[bucket]), Ask::Key { bucket, verb })
}

fn create(dice: &mut Dice, model: &Model) -> Request {
    let bucket = dice.below(BUCKETS.len());
    let key = draw_key(dice, model, bucket);
    let json = dice.once_in(3);
    let mut writer =
        Writer::of_fields(if json { "Accept: application/json\r\n".to_owned() } else { String::new() });
    let query = writer.show_key(dice, &key);
    let data = writer.give_data(dice);
    writer.end_sometimes(dice);
    writer
        .finish(&format!("PUT /session/{}{query}", BUCKETS[bucket]), Ask::Create { bucket, key, data, json })
}

fn read(dice: &mut Dice, model: &Model) -> Request {
    let mut writer = Writer::default();
    let (target, path) = writer.aim(dice, model);
    let method = if dice.once_in(5) { "HEAD" } else { "GET" };
    let is_peek = dice.once_in(5);
    if is_peek {
        writer.field("X-Session-Peek", "1");
    }
    if dice.once_in(8) {
        writer.give_body(dice, b"dropped".to_vec());
    }
    writer.end_sometimes(dice);
    writer.finish(&format!("{method} {path}"), Ask::Read { target, touch: !is_peek && method == "GET" })
}

fn update(dice: &mut Dice, model: &Model) -> Request {
    let mut writer = Writer::default();
    let (target, path) = writer.aim(dice, model);
    let data = writer.give_data(dice);
    writer.end_sometimes(dice);
    writer.finish(&format!("POST {path}"), Ask::Update { target, data })
}

fn delete(dice: &mut Dice, model: &Model) -> Request {
    let mut writer = Writer::default();
    let (target, path) = writer.aim(dice, model);
    writer.end_sometimes(dice);
    writer.finish(&format!("DELETE {path}"), Ask::Delete { target })
}

fn settings(dice: &mut Dice, model: &Model) -> Request {
    let bucket = dice.below(BUCKETS.len());
    let key = draw_key(dice, model, bucket);
    let mut writer = Writer::default();
    let query = writer.show_key(dice, &key);
    if dice.once_in(3) {
        writer.give_body(dice, b"dropped".to_vec());
    }
    writer.finish(&format!("GET /session/settings{query}"), Ask::Settings { key })
}

fn refused(dice: &mut Dice) -> Request {
    let master = format!("X-Session-Key: {MASTER}\r\n");
    let nobody = "X-Session-Key: nobody\r\n".to_owned();
    let (line, fields, status) = dice
        .pick(&[
            ("GET /nowhere", &nobody, 405),
            ("PATCH /session/cart", &master, 405),
            ("POST /api-key/cart", &master, 405),
            ("PUT /session/cart", &nobody, 401),
            ("GET /session/cart/x", &nobody, 401),
            ("PUT /session/..", &nobody, 401),
            ("PUT /api-key/cart", &nobody, 401),
            ("PUT /api-key/settings", &master, 409),
            ("PUT /api-key/-", &master, 400),
            ("DELETE /api-key/-", &master, 404),
        ])
        .to_owned();
    let mut writer = Writer::of_fields(fields.clone());
    let is_too_large = status == 409 && dice.once_in(2);
    let len = if is_too_large { PAYLOAD_BYTES_MAX + 1 } else { dice.below(300) };
    if dice.once_in(2) || is_too_large {
        writer.give_known(vec![b'x'; len]);
    }
    if dice.once_in(8) {
        writer.expect_continue();
    }
    let status = if is_too_large { 413 } else { status };
    let closes = writer.is_hard_to_skip;
    writer.finish(line, Ask::Refused { status, closes })
}

fn malformed() -> Request {
    let request = Writer::default().finish("", Ask::Malformed);
    Request { text: b"NO REQUEST\r\n\r\n".to_vec(), ..request }
}

/// The bucket's key, or now and then one that does not open it.
fn draw_key(dice: &mut Dice, model: &Model, bucket: usize) -> String {
    let other = dice.below(BUCKETS.len());
    let removed = model.keys.removed(bucket);
    let key = match dice.below(20) {
        0 if !removed.is_empty() => Some(dice.pick(removed).as_str()),
        1 => model.keys.current(other),
        _ => model.keys.current(bucket).or(removed.last().map(String::as_str)),
    };
    key.unwrap_or("no-key-yet").to_owned()
}

/// A request as it is put together.
#[derive(Default)]
struct Writer {
    fields: String,
    body: Vec<u8>,
    closes: bool,
    expects_continue: bool,
    is_hard_to_skip: bool,
}

impl Writer {
    fn of_fields(fields: String) -> Self {
        Self { fields, ..Self::default() }
    }

    fn field(&mut self, name: &str, value: &str) {
        self.fields.extend([name, ": ", value, "\r\n"]);
    }

    /// Shows a key in one of the places; the query, if it is there.
    fn show_key(&mut self, dice: &mut Dice, key: &str) -> String {
        match dice.below(4) {
            0 => return format!("?api_key={key}"),
            1 => self.field("Authorization", &format!("Bearer {key}")),
            _ => self.field("X-Session-Key", key),
        }
        String::new()
    }

    /// Draws a session to name, and conditions on it.
    fn aim(&mut self, dice: &mut Dice, model: &Model) -> (Target, String) {
        let (id, home, version) = model.draw_session(dice);
        let bucket = if dice.once_in(25) { dice.below(BUCKETS.len()) } else { home };
        let key = draw_key(dice, model, bucket);
        let query = self.show_key(dice, &key);
        let mut conditions = Conditions::default();
        if dice.once_in(5) {
            let tags = Tags::draw(dice, version);
            self.field("If-Match", &tags.text());
            conditions.if_match = Some(tags);
        }
        if dice.once_in(5) {
            let tags = Tags::draw(dice, version);
            self.field("If-None-Match", &tags.text());
            conditions.if_none_match = Some(tags);
        }
        let path = format!("/session/{}/{id}{query}", BUCKETS[bucket]);
        (Target { bucket, key, id, conditions }, path)
    }

    fn give_data(&mut self, dice: &mut Dice) -> Data {
        let len = match dice.below(100) {
            0..=9 => 0,
            10..=93 => dice.below(200),
            94..=98 => dice.below(6_000),
            _ => 60_000 + dice.below(PAYLOAD_BYTES_MAX - 60_000),
        };
        let start = dice.below(256);
        let bytes: Vec<u8> = (0..len).map(|place| (start + place * 7) as u8).collect();
        let content_type = *dice.pick(&["", "text/plain", "application/json", "x/y; z=1"]);
        if !content_type.is_empty() {
            self.field("Content-Type", content_type);
        }
        let own_ttl = dice.once_in(4).then(|| [1, 5, 30, 90, 10_000][dice.below(5)]);
        if let Some(seconds) = own_ttl {
            self.field("X-Session-TTL", &seconds.to_string());
        }
        self.give_body(dice, bytes.clone());
        Data { bytes, content_type, own_ttl: own_ttl.map(|ttl| ttl.min(TTL_SECONDS_MAX)) }
    }

    fn give_body(&mut self, dice: &mut Dice, bytes: Vec<u8>) {
        if bytes.is_empty() && dice.once_in(2) {
            return;
        }
        if dice.once_in(6) {
            self.give_chunked(dice, &bytes);
        } else {
            self.give_known(bytes);
        }
        if dice.once_in(12) {
            self.expect_continue();
        }
    }

    fn give_known(&mut self, bytes: Vec<u8>) {
        self.field("Content-Length", &bytes.len().to_string());
        self.is_hard_to_skip |= bytes.len() > SKIPPED_BYTES_MAX;
        self.body = bytes;
    }

    fn give_chunked(&mut self, dice: &mut Dice, bytes: &[u8]) {
        self.field("Transfer-Encoding", "chunked");
        self.is_hard_to_skip = true;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (chunk, behind) = rest.split_at(1 + dice.below(rest.len()));
            self.body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            self.body.extend_from_slice(chunk);
            self.body.extend_from_slice(b"\r\n");
            rest = behind;
        }
        self.body.extend_from_slice(b"0\r\n\r\n");
    }

    fn expect_continue(&mut self) {
        self.field("Expect", "100-continue");
        self.expects_continue = true;
        self.is_hard_to_skip = true;
    }

    fn end_sometimes(&mut self, dice: &mut Dice) {
        if dice.once_in(60) {
            self.field("Connection", "close");
            self.closes = true;
        }
    }

    fn finish(self, line: &str, ask: Ask) -> Request {
        let mut text = format!("{line} HTTP/1.1\r\nHost: h\r\n{}\r\n", self.fields).into_bytes();
        text.extend_from_slice(&self.body);
        Request {
            ask,
            text,
            is_head: line.starts_with("HEAD"),
            closes: self.closes,
            expects_continue: self.expects_continue,
            is_hard_to_skip: self.is_hard_to_skip,
        }
    }
}
