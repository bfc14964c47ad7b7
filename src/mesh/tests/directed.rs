//! Single stories, each told from the first byte to the last.

use super::answer::Answer;
use super::world::{MASTER, PAYLOAD_BYTES_MAX, Shape, Stage, World};
use crate::http::Phase;
use crate::mesh::{FORWARD_TIMEOUT, NodeLimits};
use crate::metrics::Figure;
use crate::types::ByteCount;

/// A world with a bucket `cart`, its key, and a connection to each core.
struct Story {
    world: World,
    key: String,
}

impl Story {
    fn new(shape: Shape) -> Self {
        let mut world = World::new(shape);
        for core in 0..usize::from(shape.cores) {
            world.connect(core);
        }
        let mut story = Self { world, key: String::new() };
        story.key = story.make_key("cart");
        story
    }

    fn of_cores(cores: u16) -> Self {
        Self::new(Shape::of_cores(cores))
    }

    fn make_key(&mut self, bucket: &str) -> String {
        let answer = self.ask(0, &format!("PUT /api-key/{bucket} HTTP/1.1\r\nX-Session-Key: {MASTER}"), "");
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.text().to_owned()
    }

    /// A request: a request line with fields behind it, and a body. `{K}` is the bucket's key.
    fn text(&self, head: &str, body: &str) -> String {
        let head = head.replace("{K}", &format!("X-Session-Key: {}", self.key));
        match body {
            "" => format!("{head}\r\nHost: h\r\n\r\n"),
            body => format!("{head}\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        }
    }

    /// Sends bytes, lets everything come to rest, and yields what has come back.
    fn exchange(&mut self, link: usize, bytes: &str) -> Vec<Answer> {
        self.world.send(link, bytes);
        self.world.settle();
        Answer::all(&self.world.take_received(link))
    }

    fn ask(&mut self, link: usize, head: &str, body: &str) -> Answer {
        let text = self.text(head, body);
        let mut answers = self.exchange(link, &text);
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    /// A session made by a connection to this core, and so owned by its shard.
    fn session_on(&mut self, core: usize, body: &str) -> String {
        let link = self.world.connect(core);
        let answer = self.ask(link, "PUT /session/cart HTTP/1.1\r\n{K}", body);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.text().to_owned()
    }

    fn get(&self, id: &str) -> String {
        self.text(&format!("GET /session/cart/{id} HTTP/1.1\r\n{{K}}"), "")
    }

    fn post(&self, id: &str, body: &str) -> String {
        self.text(&format!("POST /session/cart/{id} HTTP/1.1\r\n{{K}}"), body)
    }

    fn is_closed(&self, link: usize) -> bool {
        matches!(self.world.links[link].stage, Stage::Closed { .. })
    }

    /// Steps a connection until it waits for something.
    fn run(&mut self, link: usize) {
        while self.world.step(link) {}
    }

    /// Delivers every letter to these cores and nothing else, until there is none.
    fn deliver_to(&mut self, cores: &[usize]) {
        loop {
            let lanes = self.world.busy_lanes();
            let Some(lane) = lanes.into_iter().find(|lane| cores.contains(&self.world.receiver(*lane)))
            else {
                return;
            };
            self.world.deliver(lane);
        }
    }
}

fn texts(answers: &[Answer]) -> Vec<&str> {
    answers.iter().map(Answer::text).collect()
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

/// Requests of every kind to sessions here and elsewhere, the last of them malformed.
fn mixed_pipeline(story: &Story, here: &str, there: &str) -> String {
    let master = format!("X-Session-Key: {MASTER}");
    let chunked = "POST /session/cart/{there} HTTP/1.1\r\n{K}\r\nTransfer-Encoding: chunked\r\nHost: h\r\n\r\n\
                   3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: r\r\n\r\n";
    let chunked = chunked.replace("{there}", there).replace("{K}", &format!("X-Session-Key: {}", story.key));
    [
        story.get(here),
        story.get(there),
        story.post(there, "new"),
        story.get(there),
        story.text("PUT /session/cart HTTP/1.1\r\n{K}\r\nAccept: application/json", "made"),
        story.text(&format!("POST /session/cart/{here} HTTP/1.1"), "without a key"),
        story.get(there),
        story.text("GET /nowhere HTTP/1.1", "a body to skip"),
        chunked,
        story.text(&format!("DELETE /session/cart/{here} HTTP/1.1\r\n{{K}}"), ""),
        story.get(here),
        story.get(there),
        story.text(&format!("GET /api-key/cart HTTP/1.1\r\n{master}"), ""),
        story.get(there),
        story.text("GET /session/settings HTTP/1.1\r\n{K}", ""),
        story.get(there),
        "BROKEN\r\n\r\n".to_owned(),
    ]
    .concat()
}

#[test]
fn a_mixed_pipeline_gives_the_same_bytes_however_it_is_cut() {
    let told = |cut: &dyn Fn(&str) -> Vec<String>| {
        let mut story = Story::of_cores(2);
        let (here, there) = (story.session_on(0, "here"), story.session_on(1, "there"));
        let pipeline = mixed_pipeline(&story, &here, &there);
        for piece in cut(&pipeline) {
            story.world.send(0, piece);
        }
        story.world.settle();
        assert!(story.is_closed(0) && story.world.awaited() == 0);
        (pipeline.len(), story.world.take_received(0))
    };
    let (len, whole) = told(&|pipeline| vec![pipeline.to_owned()]);
    let expected = [200, 200, 200, 200, 201, 401, 200, 405, 200, 200, 404, 200, 200, 200, 200, 200, 400];
    assert_eq!(statuses(&Answer::all(&whole)), expected);
    for at in 1..len {
        let cut = told(&|pipeline| vec![pipeline[..at].to_owned(), pipeline[at..].to_owned()]).1;
        assert!(cut == whole, "cut at {at}: {}", String::from_utf8_lossy(&cut));
    }
    let bytewise = told(&|pipeline| pipeline.chars().map(String::from).collect()).1;
    assert!(bytewise == whole, "{}", String::from_utf8_lossy(&bytewise));
}

#[test]
fn answers_keep_the_order_of_their_requests_whoever_gives_them() {
    let mut story = Story::of_cores(3);
    let ids: Vec<String> = (0..3).map(|core| story.session_on(core, &format!("of {core}"))).collect();
    let order = [0, 1, 1, 2, 0, 0, 2, 1, 0, 2, 2, 0];
    let pipeline: String = order.iter().map(|core: &usize| story.get(&ids[*core])).collect();
    for link in 0..3 {
        let answers = story.exchange(link, &pipeline);
        let expected: Vec<String> = order.iter().map(|core| format!("of {core}")).collect();
        assert_eq!(texts(&answers), expected, "asked of core {link}");
    }
}

#[test]
fn requests_to_one_peer_travel_together() {
    let mut story = Story::of_cores(2);
    let there = story.session_on(1, "there");
    let served = story.world.figure(Figure::ForwardsServed);
    let answers = story.exchange(0, &story.get(&there).repeat(10));
    assert_eq!(texts(&answers), ["there"; 10]);
    assert_eq!(story.world.figure(Figure::ForwardsServed), served + 1);
}

#[test]
fn nothing_behind_a_request_that_closes_is_answered_or_done() {
    for core in [0, 1] {
        let mut story = Story::of_cores(2);
        let id = story.session_on(core, "data");
        let close = story.text(&format!("GET /session/cart/{id} HTTP/1.1\r\n{{K}}\r\nConnection: close"), "");
        let pipeline = [story.get(&id), close, story.post(&id, "never"), story.get(&id)].concat();
        let answers = story.exchange(0, &pipeline);
        assert_eq!(texts(&answers), ["data"; 2], "session on core {core}");
        assert_eq!((answers[0].closes(), answers[1].closes()), (false, true));
        assert_eq!(story.world.links[0].stage, Stage::Closed { linger: true });
        let other = story.world.connect(1);
        assert_eq!(texts(&story.exchange(other, &story.get(&id))), ["data"]);
    }
}

#[test]
fn a_client_that_stops_sending_gets_what_it_is_owed() {
    let mut story = Story::of_cores(2);
    let there = story.session_on(1, "there");
    let answers = story.exchange(0, &format!("{}GET /half", story.get(&there)));
    assert_eq!(texts(&answers), ["there"]);
    story.world.end_input(0);
    story.world.settle();
    assert_eq!(story.world.links[0].stage, Stage::Closed { linger: false });
    assert!(story.world.take_received(0).is_empty());
}

#[test]
fn a_refusal_keeps_the_connection_where_the_body_can_be_skipped() {
    let small = "x".repeat(5_000);
    let table = [
        ("PUT /session/cart HTTP/1.1", small.as_str(), 401),
        ("BREW /session/cart HTTP/1.1", &small, 405),
        ("GET /x HTTP/1.1", "", 405),
        ("POST /session/cart/none HTTP/1.1\r\n{K}", &small, 404),
        ("PUT /session/cart HTTP/1.1\r\n{K}\r\nX-Session-TTL: 0", &small, 400),
        ("PUT /session/cart HTTP/1.1\r\n{K}\r\nContent-Encoding: gzip", &small, 415),
    ];
    for (head, body, status) in table {
        let mut story = Story::of_cores(1);
        let refused = story.text(head, body);
        let next = story.text("PUT /session/cart HTTP/1.1\r\n{K}", "next");
        let answers = story.exchange(0, &[refused, next].concat());
        assert_eq!(statuses(&answers), [status, 201], "{head}");
        assert!(answers.iter().all(|answer| !answer.closes()), "{head}");
        assert!(!story.is_closed(0), "{head}");
    }
}

#[test]
fn a_refusal_closes_where_the_body_is_large_chunked_or_waited_for() {
    let table = [
        ("PUT /session/cart HTTP/1.1\r\nContent-Length: 65537", 401),
        ("PUT /session/cart HTTP/1.1\r\nTransfer-Encoding: chunked", 401),
        ("PUT /session/cart HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue", 401),
        ("BREW / HTTP/1.1\r\nContent-Length: 65537", 405),
        ("PUT /session/cart HTTP/1.1\r\n{K}\r\nContent-Length: 100001\r\nExpect: 100-continue", 413),
        ("PUT /session/cart HTTP/1.1\r\n{K}\r\nContent-Length: 100001", 413),
    ];
    for (head, status) in table {
        let mut story = Story::of_cores(1);
        let refused = story.text(head, "");
        let next = story.text("PUT /session/cart HTTP/1.1\r\n{K}", "");
        let answers = story.exchange(0, &[refused, next].concat());
        assert_eq!(statuses(&answers), [status], "{head}");
        assert!(answers[0].closes(), "{head}");
        assert_eq!(story.world.links[0].stage, Stage::Closed { linger: true }, "{head}");
    }
}

#[test]
fn a_refused_request_with_the_largest_body_that_is_skipped_is_followed_by_another() {
    let mut story = Story::of_cores(1);
    let refused = story.text("PUT /session/cart HTTP/1.1", &"x".repeat(64 * 1024));
    let next = story.text("PUT /session/cart HTTP/1.1\r\n{K}", "");
    assert_eq!(statuses(&story.exchange(0, &[refused, next].concat())), [401, 201]);
    assert_eq!(story.world.transit.taken(), ByteCount::ZERO);
}

#[test]
fn a_chunked_body_over_the_limit_is_413_with_the_limit() {
    let mut story = Story::of_cores(2);
    let there = story.session_on(1, "there");
    let head = format!("POST /session/cart/{there} HTTP/1.1\r\n{{K}}\r\nTransfer-Encoding: chunked");
    let head = story.text(&head, "");
    let pipeline = format!("{}{head}{:x}\r\n{}", story.get(&there), 100_001, "x".repeat(100));
    let answers = story.exchange(0, &pipeline);
    assert_eq!(statuses(&answers), [200, 413]);
    let problem: serde_json::Value = serde_json::from_slice(&answers[1].body).unwrap();
    assert_eq!(problem["limit"], PAYLOAD_BYTES_MAX);
    assert_eq!(problem["code"], "payload_too_large");
    assert!(answers[1].closes() && story.is_closed(0));
    assert_eq!(texts(&story.exchange(1, &story.get(&there))), ["there"]);
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it_in_its_turn() {
    let mut story = Story::of_cores(2);
    let there = story.session_on(1, "there");
    let expecting =
        format!("POST /session/cart/{there} HTTP/1.1\r\n{{K}}\r\nExpect: 100-continue\r\nContent-Length: 4");
    let head = story.text(&expecting, "");
    let answers = story.exchange(0, &[story.get(&there), head].concat());
    assert_eq!(statuses(&answers), [200, 100]);
    assert_eq!(statuses(&story.exchange(0, "data")), [200]);
    assert_eq!(texts(&story.exchange(0, &story.get(&there))), ["data"]);
    let eager = [story.text(&expecting, ""), "more".to_owned(), story.get(&there)].concat();
    assert_eq!(statuses(&story.exchange(0, &eager)), [200, 200], "the body is there: nobody waits");
}

#[test]
fn a_time_out_is_told_only_to_those_who_have_begun_a_request() {
    let put = "PUT /session/cart HTTP/1.1\r\n{K}\r\nContent-Length: 10\r\nHost: h\r\n\r\nhalf";
    let table = [
        ("", Phase::Idle, vec![]),
        ("PUT /se", Phase::Head, vec![408]),
        (put, Phase::Body, vec![408]),
        ("PUT /session/cart HTTP/1.1\r\nContent-Length: 10\r\nHost: h\r\n\r\nhalf", Phase::Body, vec![401]),
    ];
    for (text, phase, expected) in table {
        let mut story = Story::of_cores(1);
        let text = text.replace("{K}", &format!("X-Session-Key: {}", story.key));
        story.world.send(0, text.as_str());
        story.world.settle();
        assert_eq!(story.world.phase(0), phase, "{text}");
        story.world.time_out(0);
        story.world.settle();
        let answers = Answer::all(&story.world.take_received(0));
        assert_eq!(statuses(&answers), expected, "{text}");
        assert!(story.is_closed(0), "{text}");
        assert_eq!(story.world.figure(Figure::SessionsCreated), 0);
    }
}

#[test]
fn a_head_request_gets_no_body_even_with_the_last_word() {
    let story = |text: &str| {
        let mut story = Story::of_cores(2);
        let there = story.session_on(1, "there");
        let head = format!("HEAD /session/cart/{there} HTTP/1.1\r\n{{K}}{text}");
        let head = story.text(&head, "");
        story.world.send(0, head);
        story
    };
    let mut unanswered = story("");
    unanswered.run(0);
    unanswered.world.pass(FORWARD_TIMEOUT.as_u64());
    unanswered.world.tick(0);
    unanswered.run(0);
    let mut timed_out = story("\r\nContent-Length: 10");
    timed_out.world.settle();
    timed_out.world.time_out(0);
    timed_out.run(0);
    let mut broken = story("\r\nTransfer-Encoding: chunked");
    broken.world.send(0, "zz\r\n");
    broken.run(0);
    let mut unreadable = Story::of_cores(1);
    unreadable.world.send(0, "HEAD /session/cart HTTP/1.1\r\n\r\n");
    unreadable.run(0);
    let mut unfinished = Story::of_cores(1);
    unfinished.world.send(0, "HEAD /session/cart HTT");
    unfinished.world.settle();
    unfinished.world.time_out(0);
    unfinished.run(0);
    let stories = [(unanswered, 503), (timed_out, 408), (broken, 400), (unreadable, 400), (unfinished, 408)];
    for (mut story, status) in stories {
        let bytes = story.world.take_received(0);
        let mut rest = bytes.as_slice();
        let answer = Answer::take(&mut rest, true);
        assert_eq!((answer.status, answer.closes()), (status, true));
        assert!(rest.is_empty() && answer.number("Content-Length") > Some(0), "{status}");
        assert!(story.is_closed(0));
    }
}

#[test]
fn one_turn_answers_only_so_many_requests() {
    let limits = NodeLimits { requests_per_turn_max: 4, output_bytes_max: 1 << 20 };
    let mut story = Story::new(Shape { limits, ..Shape::of_cores(2) });
    let (here, there) = (story.session_on(0, "here"), story.session_on(1, "there"));
    story.world.send(0, story.get(&here).repeat(10));
    let mut counts = Vec::new();
    while story.world.step(0) {
        let received = Answer::all(&story.world.take_received(0)).len();
        counts.extend((received > 0).then_some(received));
    }
    assert_eq!(counts, [4, 4, 2]);
    let served = story.world.figure(Figure::ForwardsServed);
    assert_eq!(story.exchange(0, &story.get(&there).repeat(10)).len(), 10);
    assert_eq!(story.world.figure(Figure::ForwardsServed), served + 3, "frames are as long as a turn");
}

#[test]
fn answers_past_the_output_limit_wait_until_the_client_has_taken_those_before() {
    let limits = NodeLimits { requests_per_turn_max: 32, output_bytes_max: 1_800 };
    let data = "d".repeat(700);
    for core in [0, 1] {
        let mut story = Story::new(Shape { limits, ..Shape::of_cores(2) });
        let id = story.session_on(core, &data);
        story.world.send(0, story.get(&id).repeat(20));
        let mut answers = 0;
        for _ in 0..200 {
            let moved = story.world.step(0);
            let received = Answer::all(&story.world.take_received(0)).len();
            assert!(received <= 2, "two answers pass the limit: {received}");
            answers += received;
            story.deliver_to(&[0, 1]);
            if !moved && answers == 20 {
                break;
            }
        }
        assert_eq!(answers, 20, "session on core {core}");
    }
}

#[test]
fn a_forward_without_answer_is_given_up_after_what_was_owed() {
    let mut story = Story::of_cores(2);
    let (here, there) = (story.session_on(0, "here"), story.session_on(1, "there"));
    let pipeline = [story.get(&here), story.post(&there, "late"), story.get(&here)].concat();
    story.world.send(0, pipeline);
    story.run(0);
    story.world.pass(FORWARD_TIMEOUT.as_u64() - 1);
    story.world.tick(0);
    story.run(0);
    assert!(matches!(story.world.links[0].stage, Stage::Waiting(_)));
    story.world.pass(1);
    story.world.tick(0);
    story.run(0);
    let answers = Answer::all(&story.world.take_received(0));
    assert_eq!(statuses(&answers), [200, 503]);
    assert_eq!((answers[0].text(), answers[1].code().as_str()), ("here", "unanswered"));
    assert!(answers[1].closes() && answers[1].field("Retry-After").is_some() && story.is_closed(0));
    assert_eq!(story.world.awaited(), 1, "its place is kept until the answer has come");
    story.world.settle();
    assert_eq!(story.world.awaited(), 0);
    assert!(story.world.take_received(0).is_empty(), "what comes late is dropped");
    assert_eq!(texts(&story.exchange(1, &story.get(&there))), ["late"], "it was done all the same");
}

#[test]
fn a_full_lane_is_a_refusal_that_does_nothing_and_keeps_the_connection() {
    let mut story = Story::new(Shape { lane_max: 1, ..Shape::of_cores(2) });
    let (here, there) = (story.session_on(0, "here"), story.session_on(1, "there"));
    let blocker = story.world.connect(0);
    story.world.send(blocker, story.get(&there));
    story.run(blocker);
    let pipeline = [story.get(&here), story.post(&there, "x").repeat(2), story.get(&here)].concat();
    story.world.send(0, pipeline);
    story.run(0);
    let answers = Answer::all(&story.world.take_received(0));
    assert_eq!(statuses(&answers), [200, 503, 503, 200]);
    assert_eq!(answers[1].code(), "busy");
    assert!(answers.iter().all(|answer| !answer.closes()));
    story.world.settle();
    assert_eq!(texts(&Answer::all(&story.world.take_received(blocker))), ["there"]);
    assert_eq!(texts(&story.exchange(0, &story.get(&there))), ["there"], "nothing was done");
}

#[test]
fn a_full_lane_refuses_what_a_resumed_frame_has_left() {
    let limits = NodeLimits { requests_per_turn_max: 32, output_bytes_max: 1_000 };
    let mut story = Story::new(Shape { lane_max: 1, limits, ..Shape::of_cores(2) });
    let there = story.session_on(1, &"d".repeat(900));
    story.world.send(0, story.get(&there).repeat(3));
    story.run(0);
    story.deliver_to(&[1]);
    let blocker = story.world.connect(0);
    story.world.send(blocker, story.get(&there));
    story.run(blocker);
    story.deliver_to(&[0]);
    story.run(0);
    assert_eq!(statuses(&Answer::all(&story.world.take_received(0))), [200, 503, 503]);
    assert!(!story.is_closed(0));
}

#[test]
fn a_key_question_that_finds_no_room_is_refused() {
    let mut story = Story::new(Shape { lane_max: 0, ..Shape::of_cores(2) });
    let question = story.text(&format!("PUT /api-key/shop HTTP/1.1\r\nX-Session-Key: {MASTER}"), "");
    let answers = story.exchange(1, &question);
    assert_eq!((answers[0].status, answers[0].code().as_str()), (503, "busy"));
    assert!(!answers[0].closes());
    assert_eq!(statuses(&story.exchange(0, &question)), [201], "the authority's own core needs no lane");
}

#[test]
fn a_removed_key_opens_nothing_once_its_removal_is_answered() {
    let mut story = Story::of_cores(3);
    let ids: Vec<String> = (0..3).map(|core| story.session_on(core, "data")).collect();
    let [half_sent, other] = [2, 2].map(|core| story.world.connect(core));
    let key = format!("X-Session-Key: {}", story.key);
    let half =
        format!("POST /session/cart/{} HTTP/1.1\r\n{key}\r\nHost: h\r\nContent-Length: 4\r\n\r\nha", ids[2]);
    let settings =
        format!("GET /session/settings HTTP/1.1\r\n{key}\r\nHost: h\r\nContent-Length: 4\r\n\r\nha");
    story.exchange(half_sent, &half);
    story.exchange(other, &settings);
    let removal = story.text(&format!("DELETE /api-key/cart HTTP/1.1\r\nX-Session-Key: {MASTER}"), "");
    story.world.send(1, removal);
    story.run(1);
    story.deliver_to(&[0]);
    // Core 2 has not heard of it: it may still take the key, and so nobody is told yet.
    let still = story.get(&ids[2]);
    story.world.send(2, still);
    story.run(2);
    assert_eq!(statuses(&Answer::all(&story.world.take_received(2))), [200]);
    story.deliver_to(&[0, 1]);
    story.run(1);
    assert!(story.world.take_received(1).is_empty(), "the answer waits for core 2");
    story.world.settle();
    assert_eq!(statuses(&Answer::all(&story.world.take_received(1))), [200]);
    for link in 0..3 {
        for id in &ids {
            assert_eq!(statuses(&story.exchange(link, &story.get(id))), [401]);
        }
    }
    for link in [half_sent, other] {
        let answers = story.exchange(link, "lf");
        assert_eq!(statuses(&answers), [401], "a body that was still arriving");
        assert!(!answers[0].closes());
    }
    story.key = story.make_key("cart");
    assert_eq!(texts(&story.exchange(0, &story.get(&ids[2]))), ["data"], "sessions survive their key");
}

#[test]
fn an_owner_refuses_a_forward_whose_key_it_knows_to_be_gone() {
    let mut story = Story::of_cores(3);
    let there = story.session_on(2, "data");
    let removal = story.text(&format!("DELETE /api-key/cart HTTP/1.1\r\nX-Session-Key: {MASTER}"), "");
    story.world.send(0, removal);
    story.run(0);
    story.deliver_to(&[2]);
    // Core 1 takes the key, core 2 knows better.
    story.world.send(1, story.post(&there, "never"));
    story.run(1);
    assert!(matches!(story.world.links[1].stage, Stage::Waiting(_)));
    story.world.settle();
    assert_eq!(statuses(&Answer::all(&story.world.take_received(1))), [401]);
}

#[test]
fn a_shard_too_full_lets_others_own_new_sessions() {
    let mut story = Story::of_cores(2);
    let put = story.text("PUT /session/cart HTTP/1.1\r\n{K}", "data");
    for _ in 0..150 {
        assert_eq!(story.exchange(0, &put.repeat(20)).len(), 20);
        (0..2).for_each(|core| story.world.tick(core));
    }
    let held: Vec<u64> = story.world.cores.iter().map(|core| core.metrics.read(Figure::Sessions)).collect();
    assert_eq!(held.iter().sum::<u64>(), 3_000);
    let free_above_mean = 1_024 + 20;
    assert!(held[0] <= 1_500 * 11 / 10 + free_above_mean, "the second takes what is too much: {held:?}");
    let forwarded = story.world.figure(Figure::ForwardsServed);
    let made = story.exchange(1, &put);
    assert_eq!(statuses(&made), [201]);
    assert_eq!(story.world.figure(Figure::ForwardsServed), forwarded, "the emptier shard keeps its own");
}

#[test]
fn a_draining_node_says_goodbye_with_the_next_answer() {
    for core in [0, 1] {
        let mut story = Story::of_cores(2);
        let id = story.session_on(core, "data");
        story.world.cores[0].node.drain();
        let answers = story.exchange(0, &story.get(&id).repeat(3));
        assert_eq!(statuses(&answers), [200]);
        assert!(answers[0].closes() && story.is_closed(0));
        let refused = story.world.connect(0);
        let answers = story.exchange(refused, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(answers[0].closes() && story.is_closed(refused));
    }
}

#[test]
fn a_connection_too_many_is_told_and_closed() {
    let mut story = Story::of_cores(1);
    let link = story.world.connect(0);
    let (links, cores) = (&mut story.world.links, &mut story.world.cores);
    links[link].conversation.turn_away(&mut cores[0].node);
    let answers = story.exchange(link, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((answers[0].status, answers[0].code().as_str()), (503, "too_many_connections"));
    assert_eq!(story.world.links[link].stage, Stage::Closed { linger: true });
}

#[test]
fn too_many_large_bodies_on_their_way_are_refused_and_hold_nothing() {
    let mut story = Story::new(Shape { transit: ByteCount::new(100_000), ..Shape::of_cores(1) });
    let second = story.world.connect(0);
    let large = story.text("PUT /session/cart HTTP/1.1\r\n{K}", &"x".repeat(90_000));
    let (first_part, rest) = large.split_at(80_000);
    assert!(story.exchange(0, first_part).is_empty());
    assert!(story.world.transit.taken() >= ByteCount::new(65_536));
    let answers = story.exchange(second, first_part);
    assert_eq!((answers[0].status, answers[0].code().as_str()), (503, "too_many_bodies"));
    assert!(answers[0].closes() && story.is_closed(second));
    assert_eq!(statuses(&story.exchange(0, rest)), [201]);
    assert_eq!(story.world.transit.taken(), ByteCount::ZERO);
}

#[test]
fn large_answers_that_nobody_reads_have_a_budget_and_give_it_back() {
    let transit = ByteCount::new(250_000);
    let mut story = Story::new(Shape { transit, ..Shape::of_cores(2) });
    for owner in [0, 1] {
        let id = story.session_on(owner, &"x".repeat(90_000));
        let get = story.get(&id);
        let links: Vec<usize> = (0..3).map(|_| story.world.connect(0)).collect();
        for link in &links {
            story.world.send(*link, get.clone());
            while !story.is_closed(*link) && story.world.links[*link].stage != Stage::Writing {
                if !story.world.step(*link) {
                    story.deliver_to(&[0, 1]);
                }
            }
            assert!(story.world.transit.taken() <= transit, "owner {owner}");
        }
        let held: usize = links.iter().map(|link| story.world.links[*link].conversation.output().len()).sum();
        assert!(held < 250_000, "{held} bytes wait, owner {owner}");
        story.world.settle();
        for (place, link) in links.iter().enumerate() {
            let answers = Answer::all(&story.world.take_received(*link));
            let expected = if place < 2 { (200, "") } else { (503, "too_many_answers") };
            assert_eq!((answers[0].status, answers[0].code().as_str()), expected, "owner {owner}");
            assert_eq!((answers.len(), story.is_closed(*link)), (1, place == 2), "owner {owner}");
        }
        assert_eq!(story.world.transit.taken(), ByteCount::ZERO, "owner {owner}");
    }
}

#[test]
fn small_answers_behind_a_large_one_are_written_at_once_where_the_budget_ends() {
    let mut story = Story::new(Shape { transit: ByteCount::new(91_000), ..Shape::of_cores(1) });
    let id = story.session_on(0, &"x".repeat(90_000));
    let small = story.session_on(0, "small");
    let pipeline = [story.get(&id), story.post(&small, "a"), story.post(&small, "b"), story.get(&small)];
    let answers = story.exchange(0, &pipeline.concat());
    assert_eq!(statuses(&answers), [200; 4]);
    assert_eq!(texts(&answers)[3], "b");
    assert!(!story.is_closed(0));
    assert_eq!(story.world.transit.taken(), ByteCount::ZERO);
}

#[test]
fn a_large_body_moves_to_its_owner_and_back_to_the_byte() {
    let mut story = Story::of_cores(2);
    let there = story.session_on(1, "");
    for len in [0, 1, 2_000, 4_096, 65_535, 65_536, 65_537, PAYLOAD_BYTES_MAX] {
        let body: String = (0..len).map(|place| char::from(b'a' + (place % 23) as u8)).collect();
        assert_eq!(statuses(&story.exchange(0, &story.post(&there, &body))), [200], "{len}");
        for link in [0, 1] {
            assert!(texts(&story.exchange(link, &story.get(&there))) == [body.as_str()], "{len}");
        }
    }
}

#[test]
fn a_panic_leaves_the_answers_before_it_whole() {
    let mut story = Story::of_cores(1);
    let here = story.session_on(0, "here");
    story.world.send(0, [story.get(&here), "GET /half".to_owned()].concat());
    while story.world.links[0].stage != Stage::Writing {
        assert!(story.world.step(0));
    }
    let (links, cores) = (&mut story.world.links, &mut story.world.cores);
    links[0].conversation.take_panic(&mut cores[0].node);
    story.world.settle();
    let answers = Answer::all(&story.world.take_received(0));
    assert_eq!(statuses(&answers), [200, 500]);
    assert!(answers[1].closes() && story.is_closed(0));
    assert_eq!(story.world.figure(Figure::PanicsCaught), 1);
}

#[test]
fn sessions_expire_faster_than_others_are_made_however_little_a_turn_does_by_itself() {
    let mut story = Story::of_cores(1);
    let put = story.text("PUT /session/cart HTTP/1.1\r\n{K}\r\nX-Session-TTL: 1", "x");
    story.exchange(0, &put.repeat(40));
    story.world.pass(5_000);
    let mut expired_with = |made: usize| {
        story.world.begin_turn(0);
        story.world.send(0, put.repeat(made));
        story.run(0);
        let has_more = story.world.cores[0].node.expire(3);
        story.world.cores[0].node.tick();
        (story.world.figure(Figure::SessionsExpired), has_more)
    };
    assert_eq!(expired_with(0), (3, true));
    assert_eq!(expired_with(1), (7, true));
    assert_eq!(expired_with(7), (35, true));
    assert_eq!(expired_with(0), (38, true), "that was another turn");
}

#[test]
fn expiry_does_little_in_a_turn_that_has_requests_and_more_in_one_that_has_none() {
    let mut story = Story::of_cores(1);
    let read = story.session_on(0, "read");
    let put = story.text("PUT /session/cart HTTP/1.1\r\n{K}\r\nX-Session-TTL: 1", "x");
    story.exchange(0, &put.repeat(100));
    story.world.pass(5_000);
    let mut expired_beside = |reads: usize| {
        let before = story.world.figure(Figure::SessionsExpired);
        story.world.begin_turn(0);
        story.world.send(0, story.get(&read).repeat(reads));
        story.run(0);
        assert!(story.world.cores[0].node.expire(32));
        story.world.cores[0].node.tick();
        story.world.figure(Figure::SessionsExpired) - before
    };
    assert_eq!([0, 1, 8, 0].map(&mut expired_beside), [32, 1, 4, 32]);
}
