//! Thousands of random operations over several connections, each answer foretold by a model.
//!
//! The model is a map of buckets, keys and sessions; it knows the contract and nothing
//! else. Operations are sent one by one or pipelined in runs. Every panic names the seed
//! and the step, so that a failure can be run again.

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use support::{
    Client, MASTER_KEY, MISSING_ID, Random, Response, Server, build_chunked, build_request, on_each,
    unique_name,
};

const SEEDS: [u64; 3] = [1, 8_385, 0x5e55_1007];
const STEPS: usize = 1_500;
const CONNECTIONS: usize = 8;
const BUCKETS: usize = 3;

/// A session as it must be.
#[derive(Clone)]
struct Session {
    data: Vec<u8>,
    content_type: Option<String>,
    etag: String,
}

/// A bucket as it must be.
#[derive(Default)]
struct Bucket {
    name: String,
    key: Option<String>,
    /// The key before this one.
    old_key: Option<String>,
    sessions: BTreeMap<String, Session>,
    deleted: Vec<String>,
}

/// What is sent.
struct Operation {
    method: &'static str,
    /// Index of the bucket.
    bucket: usize,
    target: Target,
    /// The key that is shown; none for none.
    key: Option<String>,
    condition: Option<(&'static str, String)>,
    content_type: Option<String>,
    body: Vec<u8>,
    is_chunked: bool,
}

enum Target {
    Bucket,
    Session(String),
    ApiKey,
}

impl Operation {
    fn path(&self, model: &Model) -> String {
        let name = &model.buckets[self.bucket].name;
        match &self.target {
            Target::Bucket => format!("/session/{name}"),
            Target::Session(id) => format!("/session/{name}/{id}"),
            Target::ApiKey => format!("/api-key/{name}"),
        }
    }

    fn bytes(&self, model: &Model) -> Vec<u8> {
        let mut fields: Vec<(&str, &str)> = Vec::new();
        fields.extend(self.key.as_deref().map(|key| ("X-SESSION-KEY", key)));
        fields.extend(self.condition.as_ref().map(|(name, value)| (*name, value.as_str())));
        fields.extend(self.content_type.as_deref().map(|value| ("Content-Type", value)));
        let path = self.path(model);
        if self.is_chunked && !self.body.is_empty() {
            let chunks: Vec<_> = self.body.chunks(1 + self.body.len() / 3).collect();
            return build_chunked(self.method, &path, &fields, &chunks);
        }
        build_request(self.method, &path, &fields, &self.body)
    }
}

/// All buckets as they must be, and the choices that lead through them.
struct Model {
    random: Random,
    buckets: Vec<Bucket>,
}

impl Model {
    fn new(seed: u64) -> Self {
        let bucket = |_| Bucket { name: unique_name("model"), ..Bucket::default() };
        Self { random: Random::seeded(seed), buckets: (0..BUCKETS).map(bucket).collect() }
    }

    /// An operation that the present state makes interesting.
    fn choose(&mut self) -> Operation {
        let bucket = self.random.below(BUCKETS);
        if self.buckets[bucket].key.is_none() || self.random.chance(4) {
            return self.choose_on_key(bucket);
        }
        let method =
            *self.random.pick(&["PUT", "PUT", "GET", "GET", "GET", "HEAD", "POST", "POST", "DELETE"]);
        let target = if method == "PUT" { Target::Bucket } else { Target::Session(self.choose_id(bucket)) };
        let has_body = matches!(method, "PUT" | "POST") || self.random.chance(5);
        let body = if has_body { self.choose_body() } else { Vec::new() };
        let condition = if method == "PUT" { None } else { self.choose_condition(bucket, &target) };
        let content_type = self.random.chance(50).then(|| format!("text/x-{}", self.random.below(100)));
        let (key, is_chunked) = (self.choose_key(bucket), self.random.chance(30));
        Operation { method, bucket, target, key, condition, content_type, body, is_chunked }
    }

    fn choose_on_key(&mut self, bucket: usize) -> Operation {
        let method = *self.random.pick(&["PUT", "PUT", "GET", "DELETE"]);
        let wrong = self.random.chance(10);
        let key = Some(if wrong { "wrong-master-key" } else { MASTER_KEY }.to_owned());
        let (target, body) = (Target::ApiKey, Vec::new());
        Operation {
            method,
            bucket,
            target,
            key,
            condition: None,
            content_type: None,
            body,
            is_chunked: false,
        }
    }

    /// Mostly a session of the bucket; sometimes one of another, a deleted one, one that never was.
    fn choose_id(&mut self, bucket: usize) -> String {
        let from = if self.random.chance(5) { self.random.below(BUCKETS) } else { bucket };
        let from = &self.buckets[from];
        let live: Vec<_> = from.sessions.keys().collect();
        if !live.is_empty() && self.random.chance(85) {
            let id = (*self.random.pick(&live)).clone();
            return if self.random.chance(10) { id.replace('-', "").to_uppercase() } else { id };
        }
        if !from.deleted.is_empty() && self.random.chance(60) {
            return self.random.pick(&from.deleted).clone();
        }
        self.random.pick(&[MISSING_ID, "no-id"]).to_string()
    }

    fn choose_body(&mut self) -> Vec<u8> {
        let most = *self.random.pick(&[1, 10, 100, 5_000, 5_000, 100_000]);
        let len = self.random.below(most);
        self.random.bytes(len)
    }

    fn choose_key(&mut self, bucket: usize) -> Option<String> {
        let other = &self.buckets[(bucket + 1) % BUCKETS];
        match self.random.below(100) {
            0 => None,
            1 => Some("wrong".to_owned()),
            2 => other.key.clone(),
            3 => Some(MASTER_KEY.to_owned()),
            4..=6 => self.buckets[bucket].old_key.clone(),
            _ => self.buckets[bucket].key.clone(),
        }
    }

    fn choose_condition(&mut self, bucket: usize, target: &Target) -> Option<(&'static str, String)> {
        let etag = match target {
            Target::Session(id) => self.find(bucket, id).map(|session| session.etag.clone()),
            Target::Bucket | Target::ApiKey => None,
        };
        let etag = etag.unwrap_or_else(|| "\"7\"".to_owned());
        let value = match self.random.below(6) {
            0 => "*".to_owned(),
            1 => "\"0\"".to_owned(),
            2 => format!("\"0\", {etag}"),
            3 => format!("W/{etag}"),
            _ => etag,
        };
        let name = *self.random.pick(&["If-Match", "If-None-Match"]);
        self.random.chance(25).then_some((name, value))
    }

    fn find(&self, bucket: usize, id: &str) -> Option<&Session> {
        self.buckets[bucket].sessions.get(&canonical(id)?)
    }

    /// Compares an answer with what must be, and remembers what it changed.
    fn judge(&mut self, operation: &Operation, answer: &Response) {
        match &operation.target {
            Target::ApiKey => self.judge_on_key(operation, answer),
            _ if operation.key.is_none() || operation.key != self.buckets[operation.bucket].key => {
                assert_eq!(answer.status, 401, "{answer}");
            }
            Target::Bucket => {
                assert_eq!(answer.status, 201, "{answer}");
                let session = operation.session(answer.etag());
                let known = self.buckets[operation.bucket].sessions.insert(answer.text().to_owned(), session);
                assert!(known.is_none(), "an id that is in use");
            }
            Target::Session(id) => self.judge_on_session(operation, id, answer),
        }
    }

    fn judge_on_key(&mut self, operation: &Operation, answer: &Response) {
        let bucket = &mut self.buckets[operation.bucket];
        if operation.key.as_deref() != Some(MASTER_KEY) {
            assert_eq!(answer.status, 401, "{answer}");
            return;
        }
        match (operation.method, &bucket.key) {
            ("PUT", None) => {
                assert_eq!(answer.status, 201, "{answer}");
                assert_ne!(Some(answer.text()), bucket.old_key.as_deref(), "the old key again");
                bucket.key = Some(answer.text().to_owned());
            }
            ("PUT", Some(_)) => assert_eq!(answer.status, 409, "{answer}"),
            ("GET", Some(key)) => assert_eq!((answer.status, answer.text()), (200, key.as_str())),
            ("DELETE", Some(_)) => {
                assert_eq!(answer.status, 200, "{answer}");
                bucket.old_key = bucket.key.take();
            }
            _ => assert_eq!(answer.status, 404, "{answer}"),
        }
    }

    fn judge_on_session(&mut self, operation: &Operation, id: &str, answer: &Response) {
        let Some(session) = self.find(operation.bucket, id) else {
            assert_eq!(answer.status, 404, "{answer}");
            return;
        };
        if let Some(status) = refused_by(operation, &session.etag) {
            assert_eq!((answer.status, answer.etag()), (status, session.etag.as_str()), "{answer}");
            return;
        }
        assert_eq!(answer.status, 200, "{answer}");
        match operation.method {
            "GET" | "HEAD" => session.check(operation.method, answer),
            "POST" => {
                assert_ne!(answer.etag(), session.etag, "a change keeps no tag");
                assert!(answer.body.is_empty(), "{answer}");
            }
            _ => assert!(answer.body.is_empty(), "{answer}"),
        }
        let id = canonical(id).expect("a session that was found has an id");
        let bucket = &mut self.buckets[operation.bucket];
        if operation.method == "POST" {
            bucket.sessions.insert(id, operation.session(answer.etag()));
        } else if operation.method == "DELETE" {
            bucket.sessions.remove(&id);
            bucket.deleted.push(id);
        }
    }
}

impl Operation {
    /// The session that this operation leaves behind, under the tag of its answer.
    fn session(&self, etag: &str) -> Session {
        Session { data: self.body.clone(), content_type: self.content_type.clone(), etag: etag.to_owned() }
    }
}

impl Session {
    fn check(&self, method: &str, answer: &Response) {
        assert_eq!(answer.etag(), self.etag);
        assert_eq!(answer.must("Content-Length"), self.data.len().to_string());
        let content_type = self.content_type.as_deref().unwrap_or("application/octet-stream");
        assert_eq!(answer.must("Content-Type"), content_type);
        assert!(method == "HEAD" || answer.body == self.data, "{} bytes differ", self.data.len());
    }
}

/// The status that the condition leads to, where it keeps the operation from its work.
fn refused_by(operation: &Operation, etag: &str) -> Option<u16> {
    let (name, value) = operation.condition.as_ref()?;
    let tags = || value.split(',').map(str::trim);
    if *name == "If-Match" {
        let holds = tags().any(|tag| tag == "*" || tag == etag);
        return (!holds).then_some(412);
    }
    let matches = tags().any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag);
    let status = if matches!(operation.method, "GET" | "HEAD") { 304 } else { 412 };
    matches.then_some(status)
}

/// The id as it is printed; none for what is no id.
fn canonical(id: &str) -> Option<String> {
    uuid::Uuid::try_parse(id).ok().map(|id| id.hyphenated().to_string())
}

/// One connection, or a new one where the last answer ended it.
struct Line<'s> {
    server: &'s Server,
    client: Client,
}

impl Line<'_> {
    fn exchange(&mut self, model: &Model, operation: &Operation) -> Response {
        self.client.try_send(&operation.bytes(model));
        let answer = self.client.read_response_to(operation.method);
        self.client.expect_nothing_more();
        if answer.closes() {
            self.client = self.server.connect();
        }
        answer
    }
}

/// Says which run failed, and how far it came.
struct Trace {
    seed: u64,
    step: usize,
}

impl Drop for Trace {
    #[allow(clippy::print_stderr, reason = "shown by the test runner, for a failed test only")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}, step {}", self.seed, self.step);
        }
    }
}

#[test]
fn every_answer_is_the_one_that_the_model_foretells() {
    on_each(|server| {
        for seed in SEEDS {
            let mut trace = Trace { seed, step: 0 };
            let mut model = Model::new(seed);
            let mut lines: Vec<_> =
                (0..CONNECTIONS).map(|_| Line { server, client: server.connect() }).collect();
            for step in 0..STEPS {
                trace.step = step;
                let operation = model.choose();
                let line = model.random.below(CONNECTIONS);
                let answer = lines[line].exchange(&model, &operation);
                model.judge(&operation, &answer);
            }
            check_all(&model, &mut lines[0].client);
        }
    });
}

/// What is left at the end is what the model has, session by session.
fn check_all(model: &Model, client: &mut Client) {
    for bucket in &model.buckets {
        let Some(key) = &bucket.key else { continue };
        let fields = [("X-SESSION-KEY", key.as_str())];
        for (id, session) in &bucket.sessions {
            let read = client.request("GET", &format!("/session/{}/{id}", bucket.name), &fields, b"");
            session.check("GET", &read.expect(200));
        }
        for id in &bucket.deleted {
            client.request("GET", &format!("/session/{}/{id}", bucket.name), &fields, b"").expect(404);
        }
    }
}

#[test]
fn pipelined_runs_are_answered_as_if_sent_one_by_one() {
    on_each(|server| {
        for seed in SEEDS {
            let mut trace = Trace { seed, step: 0 };
            let mut model = Model::new(seed);
            let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| server.connect()).collect();
            while trace.step < STEPS {
                let line = model.random.below(CONNECTIONS);
                let run = choose_run(&mut model);
                let bytes: Vec<_> = run.iter().flat_map(|operation| operation.bytes(&model)).collect();
                clients[line].send(&bytes);
                for operation in &run {
                    let answer = clients[line].read_response_to(operation.method);
                    model.judge(operation, &answer);
                    trace.step += 1;
                }
                clients[line].expect_nothing_more();
            }
            check_all(&model, &mut clients[0]);
        }
    });
}

/// Operations that can be sent together: chosen without knowing each other's answers. Those
/// that are refused before their body may end the connection, so they are left out; the
/// rest is judged in order, each by the state that the one before it left.
fn choose_run(model: &mut Model) -> Vec<Operation> {
    let most = 1 + model.random.below(20);
    let mut run: Vec<Operation> = Vec::new();
    let mut bytes = 0;
    for _ in 0..most {
        let operation = model.choose();
        let opens = operation.key.is_some() && operation.key == model.buckets[operation.bucket].key;
        let is_on_key = matches!(operation.target, Target::ApiKey);
        let is_no_id = matches!(&operation.target, Target::Session(id) if canonical(id).is_none());
        if (opens || is_on_key) && !is_no_id && bytes < 50_000 {
            bytes += operation.body.len();
            let changes_keys = is_on_key;
            run.push(operation);
            if changes_keys {
                break;
            }
        }
    }
    run
}
