//! What the mesh costs as cores grow, and whether every core gets its share.
//!
//! Cores take turns as `runtime/core.rs` does, as many at a time as there are CPUs; clients ask
//! again once they were answered. There is no clock and no cost, only counts, so the figures are
//! the same on every machine. `docs/SCALING.md` shows the table that this prints:
//! `cargo test --lib mesh::tests::scale -- --nocapture`

#![expect(clippy::print_stdout, reason = "a document shows what is printed")]

use super::answer::Answer;
use super::world::{Dice, MASTER, Shape, Stage, World};
use crate::metrics::{Figure, RequestKind};
use crate::runtime::SERVED_PER_TURN_MAX;

/// Sessions that each core owns.
const SESSIONS_A_CORE: usize = 16;
/// Requests that are answered in one row of the table, a core that has connections.
const REQUESTS_A_CORE: usize = 200;
/// Of a core's share in a uniform load, what the worst served one must get of the best served
/// one's. With so many requests a core, chance alone makes it about 0.7.
const FAIRNESS_MIN: f64 = 0.6;
/// The longest pause of clients that pause, in rounds: at eight connections a core, one request
/// then comes in about six rounds, and cores sleep in between.
const PAUSE_MAX: usize = 100;
/// Wake-ups a request where clients never pause.
const WAKE_UPS_MAX: f64 = 0.1;

/// How much runs where.
#[derive(Clone, Copy, Debug)]
struct Load {
    cores: usize,
    /// Cores that run at a time.
    cpus: usize,
    /// Connections in all, spread evenly.
    connections: usize,
    /// Rounds that a client lets pass before it asks again, at most.
    pause_max: usize,
}

impl Load {
    /// How many requests are enough to count by.
    fn requests(&self) -> usize {
        REQUESTS_A_CORE * self.connections.min(self.cores).max(2)
    }

    /// Whether every core has its share of the connections.
    fn is_even(&self) -> bool {
        self.connections >= self.cores
    }
}

/// What was counted.
#[derive(Clone, Default, Debug)]
struct Counts {
    requests: usize,
    forwards: u64,
    /// Frames in the lanes, requests and replies.
    frames: u64,
    /// Doorbells of sleeping peers that were rung.
    rings: u64,
    /// Turns with mail.
    busy_turns: u64,
    /// By core: answered to its own connections, and served from its shard.
    answered: Vec<u64>,
    served: Vec<u64>,
}

impl Counts {
    fn a_request(&self, count: u64) -> f64 {
        count as f64 / self.requests as f64
    }

    fn forwarded_share(&self) -> f64 {
        self.a_request(self.forwards)
    }

    fn wake_ups_a_request(&self) -> f64 {
        self.a_request(self.rings)
    }

    fn frames_a_busy_turn(&self) -> f64 {
        self.frames as f64 / self.busy_turns as f64
    }

    /// None where nobody was woken.
    fn frames_a_wake_up(&self) -> Option<f64> {
        (self.rings > 0).then(|| self.frames as f64 / self.rings as f64)
    }
}

/// Min over max.
fn fairness(shares: &[u64]) -> f64 {
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    *least as f64 / *most as f64
}

/// Cores that take turns over a world of nodes.
struct Machine {
    load: Load,
    dice: Dice,
    world: World,
    /// Reads of all sessions there are.
    gets: Vec<String>,
    /// By core: its connections.
    links: Vec<Vec<usize>>,
    /// Whether it sleeps until its doorbell or a socket wakes it.
    is_parked: Vec<bool>,
    /// Whether replies have come in its last turn, whose askers go on in the next.
    is_woken: Vec<bool>,
    /// By core: turns so far.
    turns: Vec<u64>,
    rounds: usize,
    /// By connection: the round in which its client asks again.
    asks_in: Vec<usize>,
    counts: Counts,
}

impl Machine {
    fn new(load: Load) -> Self {
        let cores = load.cores;
        let mut world = World::new(Shape::of_cores(cores as u16));
        let key = make_key(&mut world);
        let gets = (0..cores).flat_map(|core| make_sessions(&mut world, core, &key)).collect();
        let mut links = vec![Vec::new(); cores];
        for connection in 0..load.connections {
            links[connection % cores].push(world.connect(connection % cores));
        }
        let counts = Counts { answered: vec![0; cores], ..Counts::default() };
        let asks_in = vec![0; world.links.len()];
        Self {
            load,
            dice: Dice::new(cores as u64),
            world,
            gets,
            links,
            is_parked: vec![true; cores],
            is_woken: vec![false; cores],
            turns: vec![0; cores],
            rounds: 0,
            asks_in,
            counts,
        }
    }

    fn run(mut self) -> Counts {
        let before = [self.world.figure(Figure::ForwardsSent), self.world.figure(Figure::ForwardsServed)];
        assert_eq!(before, [0, 0], "sessions were made where they live");
        let served_before = self.served();
        while self.counts.requests < self.load.requests() {
            self.ask();
            self.round();
        }
        while (0..self.load.cores).any(|core| self.is_able(core)) {
            self.round();
        }
        let served = self.served();
        self.counts.served = served.iter().zip(served_before).map(|(after, before)| after - before).collect();
        self.counts.forwards = self.world.figure(Figure::ForwardsServed);
        self.counts
    }

    /// By core: reads that its shard has served.
    fn served(&self) -> Vec<u64> {
        self.world.cores.iter().map(|core| core.metrics.requests(RequestKind::Read, 200)).collect()
    }

    /// Every client that waits for nothing and has paused asks for some session.
    fn ask(&mut self) {
        for link in self.links.iter().flatten() {
            let is_idle = matches!(self.world.links[*link].stage, Stage::Reading | Stage::Ready);
            let has_asked = !self.world.links[*link].unread.is_empty();
            if is_idle && !has_asked && self.asks_in[*link] <= self.rounds {
                let get = self.dice.pick(&self.gets).clone();
                self.world.send(*link, get);
                self.asks_in[*link] = usize::MAX;
            }
        }
    }

    /// As many cores as there are CPUs take a turn at the same time: of those that can, the ones
    /// that have had the fewest, as a fair scheduler would have it.
    fn round(&mut self) {
        self.rounds += 1;
        let mut able: Vec<usize> = (0..self.load.cores).filter(|core| self.is_able(*core)).collect();
        able.sort_by_cached_key(|core| (self.turns[*core], self.dice.next()));
        able.truncate(self.load.cpus);
        // What is posted in this round is seen in the next.
        let waiting: Vec<_> = able.iter().map(|core| self.world.waiting_for(*core)).collect();
        let mut posted = Vec::new();
        for (core, lanes) in able.iter().zip(waiting) {
            posted.extend(self.turn(*core, &lanes));
        }
        for core in able {
            // The last look before it sleeps finds what has come meanwhile.
            let has_mail = !self.world.waiting_for(core).is_empty();
            self.is_parked[core] = !has_mail && !self.is_woken[core];
        }
        for to in posted {
            self.counts.rings += u64::from(std::mem::take(&mut self.is_parked[to]));
        }
        self.take_answers();
    }

    /// Whether a core has something to do: mail that it was woken for, or connections.
    fn is_able(&self, core: usize) -> bool {
        let has_mail = !self.world.waiting_for(core).is_empty();
        assert!(!(has_mail && self.is_parked[core]), "no core sleeps on its mail");
        let can_read = |link: &usize| {
            let link = &self.world.links[*link];
            matches!(link.stage, Stage::Reading | Stage::Ready) && !link.unread.is_empty()
        };
        has_mail || self.is_woken[core] || self.links[core].iter().any(can_read)
    }

    /// One core's turn: its connections go on, then mail is served. Yields the peers it posts to.
    fn turn(&mut self, core: usize, lanes: &[(usize, usize)]) -> Vec<usize> {
        self.world.begin_turn(core);
        self.turns[core] += 1;
        self.counts.busy_turns += u64::from(!lanes.is_empty());
        self.is_parked[core] = false;
        let before = self.sent_by(core);
        for link in self.links[core].clone() {
            while self.world.step(link) {}
        }
        self.is_woken[core] = false;
        let mut budget = SERVED_PER_TURN_MAX;
        for (lane, count) in lanes {
            let count = (*count).min(budget);
            budget -= count;
            for _ in 0..count {
                self.is_woken[core] |= self.world.is_reply_lane(*lane);
                self.world.deliver(*lane);
                self.counts.frames += 1;
            }
        }
        let after = self.sent_by(core);
        (0..self.load.cores).filter(|to| after[*to] > before[*to]).collect()
    }

    /// To each core: the letters from this one that wait there.
    fn sent_by(&self, core: usize) -> Vec<usize> {
        (0..self.load.cores).map(|to| self.world.waiting_between(core, to)).collect()
    }

    fn take_answers(&mut self) {
        self.world.events.clear();
        for (core, links) in self.links.iter().enumerate() {
            for link in links {
                if !self.world.links[*link].received.is_empty() {
                    let answers = Answer::all(&self.world.take_received(*link));
                    assert!(answers.iter().all(|answer| answer.status == 200));
                    self.counts.answered[core] += answers.len() as u64;
                    self.counts.requests += answers.len();
                    self.asks_in[*link] = self.rounds + self.dice.below(self.load.pause_max + 1);
                }
            }
        }
    }
}

fn make_key(world: &mut World) -> String {
    let link = world.connect(0);
    world.send(link, format!("PUT /api-key/cart HTTP/1.1\r\nHost: h\r\nX-Session-Key: {MASTER}\r\n\r\n"));
    world.settle();
    Answer::all(&world.take_received(link))[0].text().to_owned()
}

/// Reads of sessions that this core has made, and so owns.
fn make_sessions(world: &mut World, core: usize, key: &str) -> Vec<String> {
    let link = world.connect(core);
    let put = format!(
        "PUT /session/cart HTTP/1.1\r\nHost: h\r\nX-Session-Key: {key}\r\nContent-Length: 4\r\n\r\ndata"
    );
    world.send(link, put.repeat(SESSIONS_A_CORE));
    world.settle();
    let made = Answer::all(&world.take_received(link));
    assert_eq!(made.len(), SESSIONS_A_CORE);
    let get = |answer: &Answer| {
        format!("GET /session/cart/{} HTTP/1.1\r\nHost: h\r\nX-Session-Key: {key}\r\n\r\n", answer.text())
    };
    made.iter().map(get).collect()
}

/// What holds at any count of cores.
fn check(load: Load, counts: &Counts) {
    let Load { cores, connections, pause_max, .. } = load;
    assert_eq!(counts.frames, 2 * counts.forwards, "{load:?}: a frame there and one back");
    // Each core owns as many sessions as any other.
    let expected = (cores - 1) as f64 / cores as f64;
    assert!((counts.forwarded_share() - expected).abs() < 0.05, "{load:?}: {}", counts.forwarded_share());
    assert!(counts.rings <= counts.frames, "a frame wakes one core at most");
    if pause_max == 0 && connections >= 8 * cores {
        assert!(counts.wake_ups_a_request() <= WAKE_UPS_MAX, "{load:?}: {}", counts.wake_ups_a_request());
    }
    if load.is_even() {
        assert!(fairness(&counts.answered) >= FAIRNESS_MIN, "{load:?}: {:?}", counts.answered);
        assert!(fairness(&counts.served) >= FAIRNESS_MIN, "{load:?}: {:?}", counts.served);
    }
}

fn print_row(load: Load, counts: &Counts) {
    let Load { cores, cpus, connections, pause_max } = load;
    let of_even = |shares: &[u64]| match load.is_even() {
        true => format!("{:.2}", fairness(shares)),
        false => "–".to_owned(),
    };
    let (answered, served) = (of_even(&counts.answered), of_even(&counts.served));
    let frames_a_wake_up = counts.frames_a_wake_up().map_or("–".to_owned(), |count| format!("{count:.1}"));
    println!(
        "| {cores} | {cpus} | {connections} | {} | {:.2} | {:.2} | {:.3} | {frames_a_wake_up} | {:.1} | {answered} | {served} |",
        if pause_max == 0 { "never" } else { "often" },
        counts.forwarded_share(),
        counts.a_request(counts.frames),
        counts.wake_ups_a_request(),
        counts.frames_a_busy_turn(),
    );
}

/// One request at a time; clients that pause; clients that never do; the same on two CPUs.
fn loads(cores: usize) -> [Load; 4] {
    let load = |cpus, connections, pause_max| Load { cores, cpus, connections, pause_max };
    [load(cores, 1, 0), load(cores, 8 * cores, PAUSE_MAX), load(cores, 8 * cores, 0), load(2, 8 * cores, 0)]
}

#[test]
fn a_forward_costs_two_frames_and_all_cores_are_served_alike() {
    println!(
        "| cores | CPUs | connections | clients pause | forwarded | frames a request | wake-ups a request \
         | frames a wake-up | frames a turn with mail | answered, min/max | served, min/max |\n\
         |---|---|---|---|---|---|---|---|---|---|---|"
    );
    for load in [2, 8, 16, 32].into_iter().flat_map(loads) {
        let counts = Machine::new(load).run();
        print_row(load, &counts);
        check(load, &counts);
    }
}
