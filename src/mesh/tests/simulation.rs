//! Thousands of requests, drawn from a seed, over nodes whose letters come late and whose
//! clocks jump; each answer is compared with a model when it is made.
//!
//! A node does what a request asks at the moment at which it makes the answer, so the model
//! follows in the order of the world's events and is exact: bodies, versions, seconds left.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::answer::Answer;
use super::keys::Verb;
use super::model::{Model, check_key_answer};
use super::requests::{Ask, Request};
use super::world::{Dice, Event, Link, Shape, Stage, World};
use crate::mesh::NodeLimits;
use crate::metrics::{Figure, RequestKind};
use crate::registry::KeyOutcome;
use crate::types::{ByteCount, UnixMillis};

/// Steps of one simulation before everything is brought to its end.
const STEPS: u64 = 4_000;
/// Connections that are open at once.
const LINKS_MAX: usize = 10;
/// Enough expiry work for everything there can be.
const BUDGET: usize = 1_000;

/// A request on its way.
struct Sent {
    request: Request,
    /// Where it starts in all that its connection sends.
    start: usize,
    /// The step at which its first byte was read.
    began: Option<u64>,
    /// What the authority has said to it.
    outcome: Option<KeyOutcome>,
}

/// What is known of a connection.
#[derive(Default)]
struct Script {
    /// Requests that have no answer, oldest first.
    sent: VecDeque<Sent>,
    sent_bytes: usize,
    /// The end of what it has to send, which its client keeps back for a while.
    kept_back: Vec<u8>,
    /// An answer has said that it is the last.
    is_closing: bool,
    /// It has given up, was timed out, or its client stopped sending.
    is_cut_off: bool,
}

struct Simulation {
    dice: Dice,
    world: World,
    model: Model,
    scripts: Vec<Script>,
    /// Connections that were not closed when one was last opened.
    open: Vec<usize>,
    step: u64,
    /// A core that gets no letters and takes no steps.
    stalled: Option<usize>,
    /// Answers by status.
    answers: BTreeMap<u16, u64>,
}

impl Simulation {
    fn new(cores: u16, seed: u64) -> Self {
        let mut dice = Dice::new(seed * 31 + u64::from(cores));
        let limits = NodeLimits {
            output_bytes_max: *dice.pick(&[300, 1_500, 8_000, 1 << 20]),
            requests_per_turn_max: *dice.pick(&[1, 2, 5, 32]),
        };
        let lane_max = *dice.pick(&[1, 3, 100, 100]);
        let shape = Shape { cores, seed, limits, lane_max, transit: ByteCount::from_mib(16) };
        let (world, model) = (World::new(shape), Model::default());
        let (scripts, open, answers) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { dice, world, model, scripts, open, step: 1, stalled: None, answers }
    }

    fn run(&mut self) {
        while self.step < STEPS {
            self.act();
            self.look();
        }
        self.come_to_rest();
        self.audit();
        self.expire_everything();
    }

    /// Does one thing, whatever the dice say.
    fn act(&mut self) {
        self.step += 1;
        match self.dice.below(100) {
            0..=54 => self.step_link(),
            55..=84 => self.deliver(),
            85..=89 => self.pass(),
            90..=92 => {
                let core = self.dice.below(self.world.cores.len());
                self.world.tick(core);
            }
            93..=94 => {
                let core = self.dice.below(self.world.cores.len());
                let budget = self.dice.below(20);
                self.world.cores[core].node.expire(budget);
            }
            95 => {
                let core = self.dice.below(self.world.cores.len() * 3);
                self.stalled = (core < self.world.cores.len()).then_some(core);
            }
            96 => {
                let is_full = self.dice.once_in(4);
                self.world.memory.set_full(is_full);
                self.model.is_full = is_full;
            }
            97 => self.cut_off(),
            _ => self.connect(),
        }
    }

    fn connect(&mut self) {
        let links = &self.world.links;
        self.open.retain(|link| !matches!(links[*link].stage, Stage::Closed { .. }));
        if self.open.len() < LINKS_MAX {
            let core = self.dice.below(self.world.cores.len());
            self.open.push(self.world.connect(core));
            self.scripts.push(Script::default());
        }
    }

    /// Goes on with a connection; one that has nothing to do sends something.
    fn step_link(&mut self) {
        if self.open.is_empty() {
            return self.connect();
        }
        let link = *self.dice.pick(&self.open);
        let core = self.world.links[link].core;
        if self.stalled == Some(core) || matches!(self.world.links[link].stage, Stage::Closed { .. }) {
            return;
        }
        if !self.dice.once_in(3) {
            self.world.begin_turn(core);
        }
        if !self.world.step(link) && self.world.links[link].stage == Stage::Reading {
            if self.scripts[link].kept_back.is_empty() {
                self.send(link);
            } else if self.dice.once_in(8) {
                let rest = std::mem::take(&mut self.scripts[link].kept_back);
                self.world.send(link, rest);
            }
        }
        self.note_begun(link);
    }

    /// Sends a pipeline, cut wherever the dice say.
    fn send(&mut self, link: usize) {
        let count = if self.dice.once_in(3) { 1 + self.dice.below(12) } else { 1 };
        let mut text = Vec::new();
        for _ in 0..count {
            let request = Request::draw(&mut self.dice, &self.model);
            text.extend_from_slice(&request.text);
            self.enqueue(link, request);
        }
        if self.dice.once_in(6) {
            let len = self.dice.below(text.len().min(300));
            self.scripts[link].kept_back = text.split_off(text.len() - len);
        }
        while !text.is_empty() {
            let len = if self.dice.once_in(2) { text.len() } else { 1 + self.dice.below(text.len()) };
            let rest = text.split_off(len);
            self.world.send(link, std::mem::replace(&mut text, rest));
        }
    }

    fn enqueue(&mut self, link: usize, request: Request) {
        let script = &mut self.scripts[link];
        let start = script.sent_bytes;
        script.sent_bytes += request.text.len();
        script.sent.push_back(Sent { request, start, began: None, outcome: None });
    }

    /// Notes which requests have begun to be read.
    fn note_begun(&mut self, link: usize) {
        let read_bytes = self.world.links[link].read_bytes;
        for sent in self.scripts[link].sent.iter_mut().filter(|sent| sent.start < read_bytes) {
            let is_new = sent.began.is_none();
            sent.began.get_or_insert(self.step);
            if let (true, Ask::Key { bucket, verb: Verb::Remove }) = (is_new, &sent.request.ask) {
                self.model.keys.removal_begins(*bucket);
            }
        }
    }

    fn deliver(&mut self) {
        let mut lanes = self.world.busy_lanes();
        lanes.retain(|lane| Some(self.world.receiver(*lane)) != self.stalled);
        if lanes.is_empty() {
            return;
        }
        let lane = *self.dice.pick(&lanes);
        if !self.dice.once_in(3) {
            self.world.begin_turn(self.world.receiver(lane));
        }
        self.world.deliver(lane);
    }

    /// Time goes on: a little, sometimes a lot; now and then somebody sets the wall clock.
    fn pass(&mut self) {
        let millis = match self.dice.below(150) {
            0 => self.dice.below(100_000),
            1..=4 => self.dice.below(3_000),
            5 => {
                let wall = self.world.now.wall.as_u64();
                self.world.now.wall = UnixMillis::new(wall + 3_600_000 - self.dice.below(7_200_000) as u64);
                0
            }
            _ => self.dice.below(40),
        };
        self.world.pass(millis as u64);
    }

    /// A client stops sending, or takes too long.
    fn cut_off(&mut self) {
        let is_idle = |link: &Link| link.stage == Stage::Reading && link.unread.is_empty();
        let mut idle = self.open.clone();
        idle.retain(|link| is_idle(&self.world.links[*link]));
        if idle.is_empty() || !self.dice.once_in(3) {
            return;
        }
        let link = *self.dice.pick(&idle);
        self.scripts[link].is_cut_off = true;
        if self.dice.once_in(2) { self.world.end_input(link) } else { self.world.time_out(link) }
    }

    /// Looks at what has happened.
    fn look(&mut self) {
        while let Some(event) = self.world.events.pop_front() {
            match event {
                Event::Made { link, at, bytes } => {
                    self.each_answer(link, &bytes, |simulation, sent, answer| {
                        let began = sent.began.unwrap_or(simulation.step);
                        simulation.model.judge(at, began, &sent.request, answer);
                        if let Ask::Key { .. } = sent.request.ask {
                            let outcome = sent.outcome.expect("the authority was asked");
                            check_key_answer(&outcome, sent.request.is_head, answer);
                        }
                    });
                }
                Event::NoRoom { link, bytes } => {
                    self.each_answer(link, &bytes, |simulation, sent, answer| {
                        assert_eq!((answer.status, answer.closes()), (503, sent.request.closes));
                        assert!(sent.request.is_head || answer.code() == "busy");
                        simulation.give_up_removal(sent);
                    })
                }
                Event::Judged { link, outcome } => self.take_judgement(link, outcome),
                Event::GaveUp { link, bytes } => self.take_last_word(link, &bytes, 503),
                Event::TimedOut { link, bytes } => {
                    let read = self.world.links[link].read_bytes;
                    let has_begun = self.scripts[link].sent.front().is_some_and(|sent| sent.start < read);
                    assert_eq!(has_begun, !bytes.is_empty(), "only who has begun a request is told");
                    if has_begun {
                        self.take_last_word(link, &bytes, 408);
                    }
                }
                Event::Closed { link } => self.take_end(link),
            }
        }
    }

    /// Takes answers apart, each with its request.
    fn each_answer(
        &mut self,
        link: usize,
        mut bytes: &[u8],
        mut judge: impl FnMut(&mut Self, &mut Sent, &Answer),
    ) {
        while !bytes.is_empty() {
            let script = &mut self.scripts[link];
            assert!(!script.is_closing, "nothing comes behind the last answer");
            let mut sent = script.sent.pop_front().expect("an answer has a request");
            let answer = Answer::take(&mut bytes, sent.request.is_head);
            if answer.status == 100 {
                assert!(sent.request.expects_continue && answer.field("Content-Length").is_none());
                script.sent.push_front(sent);
                continue;
            }
            script.is_closing = answer.closes();
            *self.answers.entry(answer.status).or_default() += 1;
            judge(self, &mut sent, &answer);
        }
    }

    fn take_judgement(&mut self, link: usize, outcome: KeyOutcome) {
        let sent = self.scripts[link].sent.front_mut().expect("somebody has asked");
        let Ask::Key { bucket, verb } = sent.request.ask else { panic!("{:?}", sent.request) };
        self.model.keys.judged(bucket, verb, &outcome, self.step);
        assert!(sent.outcome.replace(outcome).is_none(), "a question is judged once");
        if verb == Verb::Remove && sent.began.is_some() {
            self.model.keys.removal_ends(bucket, self.step);
        }
    }

    fn give_up_removal(&mut self, sent: &Sent) {
        if let (Ask::Key { bucket, verb: Verb::Remove }, Some(_), None) =
            (&sent.request.ask, sent.began, sent.outcome)
        {
            self.model.keys.removal_ends(*bucket, self.step);
        }
    }

    /// The connection says why it ends. What it was asked stays unanswered.
    fn take_last_word(&mut self, link: usize, mut bytes: &[u8], status: u16) {
        let script = &mut self.scripts[link];
        // Whoever is given up on may have answered, and said goodbye, with answers that are lost.
        assert!(!script.is_closing || status == 503);
        script.is_cut_off = true;
        let is_head = script.sent.front().is_some_and(|sent| sent.request.is_head);
        let mut behind_head = bytes;
        let answer = Answer::take(&mut behind_head, true);
        if !behind_head.is_empty() {
            Answer::take(&mut bytes, false);
            assert!(bytes.is_empty(), "the last word is one answer");
        }
        // A served frame's answers may be on their way home: then another request is in front.
        assert!(!behind_head.is_empty() || is_head || status == 503, "only HEAD gets no body");
        assert_eq!((answer.status, answer.closes()), (status, true));
        *self.answers.entry(status).or_default() += 1;
    }

    fn take_end(&mut self, link: usize) {
        let script = &mut self.scripts[link];
        assert!(script.is_closing || script.is_cut_off, "a connection ends for a reason");
        // What was read and not answered by now never will be, but for frames that are away.
        let left = std::mem::take(&mut script.sent);
        for sent in &left {
            self.give_up_removal(sent);
        }
        self.scripts[link].sent = left;
        for sent in &mut self.scripts[link].sent {
            if matches!(sent.request.ask, Ask::Key { .. }) {
                sent.began = None;
            }
        }
    }

    /// Lets everything come to its end.
    fn come_to_rest(&mut self) {
        self.stalled = None;
        self.world.memory.set_full(false);
        self.model.is_full = false;
        self.settle();
        for (link, script) in self.world.links.iter().zip(&self.scripts) {
            match link.stage {
                Stage::Closed { .. } => assert!(script.is_closing || script.is_cut_off),
                stage => {
                    assert_eq!(stage, Stage::Reading);
                    assert!(script.sent.is_empty() && !script.is_closing, "everybody gets an answer");
                }
            }
        }
        assert_eq!(self.world.awaited(), 0);
        assert_eq!(self.world.transit.taken(), ByteCount::ZERO);
    }

    /// Settles with every request taken as begun now, the most careful assumption.
    fn settle(&mut self) {
        self.step += 1;
        for link in 0..self.world.links.len() {
            let rest = std::mem::take(&mut self.scripts[link].kept_back);
            if !rest.is_empty() && !self.scripts[link].is_cut_off {
                self.world.send(link, rest);
            }
            let is_closed = matches!(self.world.links[link].stage, Stage::Closed { .. });
            for sent in self.scripts[link].sent.iter_mut().filter(|sent| !is_closed && sent.began.is_none()) {
                sent.began = Some(self.step);
                if let Ask::Key { bucket, verb: Verb::Remove } = sent.request.ask {
                    self.model.keys.removal_begins(bucket);
                }
            }
        }
        self.world.settle();
        self.look();
        self.step += 1;
    }

    /// Looks at every session that must be there, from every core.
    fn audit(&mut self) {
        for core in 0..self.world.cores.len() {
            let link = self.world.connect(core);
            self.scripts.push(Script::default());
            for (id, bucket) in self.model.live(self.world.now) {
                let Some(key) = self.model.keys.current(bucket) else { continue };
                let request = Request::peek(bucket, key, &id);
                self.world.send(link, request.text.clone());
                self.enqueue(link, request);
            }
            self.settle();
            assert!(self.scripts[link].sent.is_empty());
        }
    }

    /// Lets all sessions fall due, and counts what was counted.
    fn expire_everything(&mut self) {
        self.world.pass(4_000_000);
        for core in 0..self.world.cores.len() {
            self.world.begin_turn(core);
            while self.world.cores[core].node.expire(BUDGET) {}
            self.world.tick(core);
        }
        assert_eq!(self.world.figure(Figure::Sessions), 0, "what is due goes");
        assert_eq!(self.world.figure(Figure::SessionsCreated), self.model.created);
        assert_eq!(self.world.figure(Figure::SessionsDeleted), self.model.deleted);
        for (status, count) in &self.answers {
            let of_kind =
                |kind| self.world.cores.iter().map(move |core| core.metrics.requests(kind, *status));
            let counted: u64 = RequestKind::ALL.into_iter().flat_map(of_kind).sum();
            assert_eq!(counted, *count, "answers with status {status}");
        }
    }
}

/// Runs one simulation a seed; a seed that fails is named.
fn simulate(cores: u16, seeds: std::ops::Range<u64>) -> BTreeMap<u16, u64> {
    let mut answers = BTreeMap::new();
    for seed in seeds {
        let mut simulation = Simulation::new(cores, seed);
        let ran = catch_unwind(AssertUnwindSafe(|| simulation.run()));
        if let Err(panic) = ran {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            if let Some(what) = what {
                panic!("{cores} cores, seed {seed}, step {}: {what}", simulation.step);
            }
            resume_unwind(panic);
        }
        for (status, count) in simulation.answers {
            *answers.entry(status).or_default() += count;
        }
    }
    answers
}

/// Every answer that a simulation is meant to meet was met.
fn check_reach(answers: &BTreeMap<u16, u64>, statuses: &[u16]) {
    let missing: Vec<&u16> = statuses.iter().filter(|status| !answers.contains_key(status)).collect();
    assert!(missing.is_empty(), "never answered {missing:?}: {answers:?}");
}

const LOCAL: [u16; 13] = [200, 201, 304, 400, 401, 404, 405, 408, 409, 412, 413, 503, 507];

#[test]
fn one_node_answers_as_the_model_does() {
    let answers = simulate(1, 0..50);
    check_reach(&answers, &LOCAL.into_iter().filter(|status| *status != 503).collect::<Vec<_>>());
}

#[test]
fn two_nodes_answer_as_the_model_does() {
    check_reach(&simulate(2, 0..60), &LOCAL);
}

#[test]
fn three_nodes_answer_as_the_model_does() {
    check_reach(&simulate(3, 0..60), &LOCAL);
}

#[test]
fn eight_nodes_answer_as_the_model_does() {
    check_reach(&simulate(8, 0..50), &LOCAL);
}
