//! A small server that keeps the wire contract, or breaks it in one chosen way.
//!
//! Threads, a map and loopback: slow and simple, so that what the harness says about it
//! can be believed. It knows as much of the contract as the harness asks for. A [`Fault`]
//! strikes at every so many requests that it applies to.

#![allow(clippy::disallowed_types, reason = "a model for tests may lock")]
#![allow(clippy::unwrap_used, reason = "where the model fails, its test has to")]
#![allow(dead_code, reason = "each test binary uses its own part")]

mod fault;
mod http;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

pub use fault::Fault;
use http::{Asked, Reply};
use loadtest::clock::{Clock, Moment};
use loadtest::rng::Rng;

/// The model's master key: the example one, which the harness sends unless told otherwise.
const MASTER_KEY: &str = "change-me-before-you-expose-me";

/// Every how many requests that a fault applies to it strikes.
const STRIKE_PERIOD: u64 = 40;

struct Stored {
    data: Vec<u8>,
    media_type: String,
    version: u64,
    /// The connection that made it.
    maker: u64,
    ttl_s: u64,
    deadline: Moment,
    /// Data and version of before the last update.
    before: (Vec<u8>, u64),
}

#[derive(Default)]
struct State {
    keys: BTreeMap<String, String>,
    /// By `bucket/id`.
    sessions: BTreeMap<String, Stored>,
    applicable: u64,
    connections: u64,
    /// Requests about sessions.
    asked: u64,
}

struct Shared {
    fault: Fault,
    ttl_s: u64,
    clock: Clock,
    state: Mutex<State>,
    rng: Mutex<Rng>,
    stopped: AtomicBool,
}

/// A running model server. It stops when this is dropped.
pub struct Model {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Model {
    /// A server on a free port of loopback.
    pub fn start(fault: Fault) -> Self {
        Self::start_with_ttl(fault, 3600)
    }

    /// A server whose sessions live this long.
    pub fn start_with_ttl(fault: Fault, ttl_s: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            fault,
            ttl_s,
            clock: Clock::started(),
            state: Mutex::default(),
            rng: Mutex::new(Rng::new(1)),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.serve(stream.unwrap()));
            }
        });
        Self { addr, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Buckets that still have a key.
    pub fn key_count(&self) -> usize {
        self.shared.state().keys.len()
    }

    /// Sessions that are kept for as long as they live by default.
    pub fn long_lived_count(&self) -> usize {
        let ttl_s = self.shared.ttl_s;
        self.shared.state().sessions.values().filter(|stored| stored.ttl_s == ttl_s).count()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; if nobody listens any more, it has gone already.
        let _ = TcpStream::connect(self.addr);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut input = Vec::new();
        let connection = {
            let mut state = self.state();
            state.connections += 1;
            state.connections
        };
        while let Some(asked) = http::read_request(&mut stream, &mut input) {
            let asked = Asked { connection, ..asked };
            self.state().asked += u64::from(in_session(&asked));
            if self.fault == Fault::Slow {
                thread::sleep(Duration::from_millis(2));
            }
            let changes = asked.method == "PUT" || asked.method == "POST";
            let full = self.fault == Fault::Full && changes && in_session(&asked) && self.strikes();
            let mut reply = if full { Reply::problem(507) } else { self.answer(&asked) };
            if !self.disturb(&asked, &mut reply) {
                return;
            }
            let pieces = if self.fault == Fault::Dribbled { 7 } else { usize::MAX };
            if !reply.send(&mut stream, pieces) || reply.closes || asked.closes {
                return;
            }
        }
    }

    fn answer(&self, asked: &Asked) -> Reply {
        let path: Vec<&str> = asked.target.split('/').skip(1).collect();
        match path[..] {
            ["metrics"] => Reply::new(200).with_body(self.metrics().into_bytes()),
            ["api-key", bucket] if asked.key == MASTER_KEY => self.answer_key(&asked.method, bucket),
            ["api-key", _] => Reply::problem(401),
            ["session", "settings"] if self.state().keys.values().any(|key| *key == asked.key) => {
                let body =
                    format!("{{\"session_ttl\":{},\"max_payload\":1048576,\"version\":\"x\"}}", self.ttl_s);
                Reply::new(200).with("Content-Type", "application/json").with_body(body.into_bytes())
            }
            ["session", bucket, ..] if self.state().keys.get(bucket) != Some(&asked.key) => {
                Reply::problem(401)
            }
            ["session", bucket] if asked.method == "PUT" => self.create(asked, bucket),
            ["session", bucket, id] => self.answer_session(asked, &format!("{bucket}/{id}")),
            _ => Reply::problem(405),
        }
    }

    fn metrics(&self) -> String {
        let state = self.state();
        let (asked, sessions) = (state.asked, state.sessions.len());
        format!(
            "# TYPE seshun_requests_total counter\nseshun_requests_total{{core=\"0\"}} {asked}\n\
             seshun_sessions{{core=\"0\"}} {sessions}\nprocess_cpu_seconds_total {}\n",
            asked as f64 / 1e5,
        )
    }

    fn answer_key(&self, method: &str, bucket: &str) -> Reply {
        let mut state = self.state();
        let text = |status| Reply::new(status).with("Content-Type", "text/plain");
        match method {
            "PUT" if state.keys.contains_key(bucket) => Reply::problem(409),
            "PUT" => {
                let key = format!("key-of-{bucket}");
                state.keys.insert(bucket.to_owned(), key.clone());
                text(201).with_body(key.into_bytes())
            }
            "DELETE" if self.fault == Fault::KeyStays => text(200),
            "DELETE" if state.keys.remove(bucket).is_some() => text(200),
            _ => Reply::problem(404),
        }
    }

    fn create(&self, asked: &Asked, bucket: &str) -> Reply {
        let id = self.draw_id();
        let ttl_s = asked.own_ttl_s.unwrap_or(self.ttl_s);
        let stored = Stored {
            data: asked.body.clone(),
            media_type: asked.media_type.clone(),
            version: 1,
            maker: asked.connection,
            ttl_s,
            deadline: self.deadline(ttl_s),
            before: (Vec::new(), 0),
        };
        let reply = described(Reply::new(201), &stored)
            .with("Content-Type", "text/plain")
            .with("Location", &format!("/session/{bucket}/{id}"))
            .with_body(id.clone().into_bytes());
        self.state().sessions.insert(format!("{bucket}/{id}"), stored);
        reply
    }

    fn answer_session(&self, asked: &Asked, name: &str) -> Reply {
        let (now, mut state) = (self.clock.now(), self.state());
        let live = |stored: &Stored| {
            let seen = self.fault != Fault::Local || stored.maker == asked.connection;
            seen && (now < stored.deadline || self.fault == Fault::Immortal)
        };
        if asked.method == "POST" && self.fault == Fault::Recreated && !state.sessions.contains_key(name) {
            let stored = Stored {
                data: Vec::new(),
                media_type: String::new(),
                version: 1_000_000,
                maker: asked.connection,
                ttl_s: self.ttl_s,
                deadline: self.deadline(self.ttl_s),
                before: (Vec::new(), 0),
            };
            state.sessions.insert(name.to_owned(), stored);
        }
        let Some(stored) = state.sessions.get_mut(name).filter(|stored| live(stored)) else {
            return Reply::problem(404);
        };
        let named = asked.if_match.filter(|_| self.fault != Fault::Heedless);
        let invented = self.fault == Fault::Suspicious && named.is_some();
        if invented || named.is_some_and(|etag| etag != stored.version) {
            return Reply::problem(412).with("ETag", &format!("\"{}\"", stored.version));
        }
        let left_s = stored.deadline.since(now).as_millis().div_ceil(1000).to_string();
        if !asked.peek {
            stored.deadline = self.deadline(stored.ttl_s);
        }
        match &asked.method[..] {
            "GET" if asked.peek => {
                let media_type = stored.media_type.clone();
                described(Reply::new(200), stored)
                    .with("Content-Type", &media_type)
                    .with("X-Session-TTL", &left_s)
                    .with_body(stored.data.clone())
            }
            "GET" => {
                let media_type = stored.media_type.clone();
                described(Reply::new(200), stored)
                    .with("Content-Type", &media_type)
                    .with_body(stored.data.clone())
            }
            "POST" => {
                stored.before = (std::mem::replace(&mut stored.data, asked.body.clone()), stored.version);
                stored.media_type = asked.media_type.clone();
                stored.version += u64::from(self.fault != Fault::FrozenVersion);
                described(Reply::new(200), stored)
            }
            "DELETE" if self.fault == Fault::Undeleted => Reply::new(200),
            "DELETE" => {
                state.sessions.remove(name);
                Reply::new(200)
            }
            _ => Reply::problem(405),
        }
    }

    fn deadline(&self, ttl_s: u64) -> Moment {
        let ttl = Duration::from_secs(ttl_s);
        self.clock.now().after(if self.fault == Fault::HalfLife { ttl / 2 } else { ttl })
    }

    fn draw_id(&self) -> String {
        let mut rng = self.rng.lock().unwrap();
        let (high, low) = (rng.bits(), rng.bits());
        let hex = format!("{high:016x}{low:016x}");
        let version = if self.fault == Fault::BadId { '1' } else { '4' };
        format!("{}-{}-{version}{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }

    /// Lets the fault strike the reply, if it applies and its turn has come; false closes
    /// the connection without a reply.
    fn disturb(&self, asked: &Asked, reply: &mut Reply) -> bool {
        let reads = asked.method == "GET" && reply.status == 200;
        let applies = in_session(asked)
            && match self.fault {
                Fault::WrongByte | Fault::Short => reads && !reply.body.is_empty(),
                Fault::Foreign | Fault::ContentType | Fault::RestlessVersion | Fault::Lost => reads,
                Fault::Stale | Fault::Torn => reads && self.before(asked).is_some(),
                Fault::Location => reply.status == 201,
                Fault::WrongTtl | Fault::NoEtag | Fault::NoExpires => {
                    reply.status == 200 && asked.method != "DELETE"
                }
                Fault::None | Fault::Full => false,
                _ => true,
            };
        if !applies || !self.strikes() {
            return true;
        }
        self.strike(asked, reply)
    }

    fn strikes(&self) -> bool {
        let mut state = self.state();
        state.applicable += 1;
        state.applicable.is_multiple_of(STRIKE_PERIOD)
    }

    fn before(&self, asked: &Asked) -> Option<(Vec<u8>, u64)> {
        let name = asked.target.strip_prefix("/session/")?;
        let state = self.state();
        let before = &state.sessions.get(name)?.before;
        (!before.0.is_empty()).then(|| before.clone())
    }

    fn strike(&self, asked: &Asked, reply: &mut Reply) -> bool {
        match self.fault {
            Fault::WrongByte => *reply.body.last_mut().unwrap() ^= 1,
            Fault::Short => drop(reply.body.pop()),
            Fault::Foreign => {
                let state = self.state();
                let others = state.sessions.iter().filter(|(name, _)| !asked.target.ends_with(*name));
                let mut written = others.filter(|(_, stored)| !stored.data.is_empty());
                reply.body = written.next().unwrap().1.data.clone();
            }
            Fault::Stale => {
                let (data, version) = self.before(asked).unwrap();
                reply.body = data;
                reply.set("ETag", Some(&format!("\"{version}\"")));
            }
            Fault::Torn => {
                let (data, _) = self.before(asked).unwrap();
                let middle = data.len() / 2;
                reply.body[middle..].copy_from_slice(&data[middle..]);
            }
            Fault::Lost => *reply = Reply::problem(404),
            Fault::ServerError => *reply = Reply::problem(500),
            Fault::Unauthorized => *reply = Reply::problem(401),
            Fault::Busy => *reply = Reply::problem(503),
            Fault::Closed => return false,
            Fault::Silent => thread::sleep(Duration::from_secs(30)),
            Fault::Truncated => reply.cut = true,
            Fault::Excess => reply.excess = true,
            Fault::Endless => reply.endless = true,
            Fault::Closing => reply.closes = true,
            Fault::ContentType => reply.set("Content-Type", Some("text/html")),
            Fault::RestlessVersion => reply.set("ETag", Some("\"999\"")),
            Fault::WrongTtl => reply.set("X-Session-TTL", Some("5000")),
            Fault::NoEtag => reply.set("ETag", None),
            Fault::NoExpires => reply.set("X-Session-Expires", None),
            Fault::Location => reply.set("Location", Some("/session/elsewhere")),
            _ => {}
        }
        true
    }
}

fn in_session(asked: &Asked) -> bool {
    asked.target.starts_with("/session/loadtest-")
}

fn described(reply: Reply, stored: &Stored) -> Reply {
    reply
        .with("ETag", &format!("\"{}\"", stored.version))
        .with("X-Session-TTL", &stored.ttl_s.to_string())
        .with("X-Session-Expires", "2026-01-31T12:00:00Z")
        .with("X-Content-Type-Options", "nosniff")
}
