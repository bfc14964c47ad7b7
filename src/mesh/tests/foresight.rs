//! Which sessions a core looks at before the requests to them have their turn, and for whom.

use super::super::node::FORESEEN;
use super::answer::Answer;
use super::world::{MASTER, Shape, World};
use crate::types::SessionId;

/// A key of the right shape that opens nothing.
const WRONG_KEY: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

/// A server whose every core has a connection and the first core a bucket `cart`.
fn world(cores: u16) -> (World, String) {
    let mut world = World::new(Shape::of_cores(cores));
    (0..usize::from(cores)).for_each(|core| assert_eq!(world.connect(core), core));
    let request = format!("PUT /api-key/cart HTTP/1.1\r\nHost: h\r\nX-Session-Key: {MASTER}\r\n\r\n");
    let key = exchange(&mut world, 0, &request).remove(0).text().to_owned();
    (world, key)
}

fn exchange(world: &mut World, link: usize, bytes: &str) -> Vec<Answer> {
    world.send(link, bytes);
    world.settle();
    Answer::all(&world.take_received(link))
}

/// So many sessions, made and so owned where this connection ends.
fn sessions(world: &mut World, link: usize, key: &str, count: usize) -> Vec<String> {
    let request = format!("PUT /session/cart HTTP/1.1\r\nHost: h\r\nX-Session-Key: {key}\r\n\r\n");
    (0..count).map(|_| exchange(world, link, &request).remove(0).text().to_owned()).collect()
}

/// A read for each of these, of which `field` makes the length.
fn reads(ids: &[String], key: &str, field: &str) -> String {
    let read = |id: &String| {
        format!("GET /session/cart/{id} HTTP/1.1\r\nHost: h\r\nX-Session-Key: {key}\r\n{field}\r\n")
    };
    ids.iter().map(read).collect()
}

fn parsed(ids: &[String]) -> Vec<SessionId> {
    ids.iter().map(|id| SessionId::parse(id.as_bytes()).unwrap()).collect()
}

/// Sends a pipeline whose every request is answered so, and tells what was looked at meanwhile.
fn looked_at(world: &mut World, pipeline: &str, statuses: &[u16]) -> Vec<SessionId> {
    FORESEEN.take();
    let answers = exchange(world, 0, pipeline);
    let found: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(found, statuses);
    FORESEEN.take()
}

#[test]
fn all_sessions_of_a_pipeline_but_the_first_are_looked_at_once() {
    let (mut world, key) = world(1);
    let ids = sessions(&mut world, 0, &key, 12);
    for count in 1..=ids.len() {
        let pipeline = reads(&ids[..count], &key, "");
        assert_eq!(looked_at(&mut world, &pipeline, &vec![200; count]), parsed(&ids[1..count]), "of {count}");
    }
}

#[test]
fn where_requests_change_their_length_the_look_begins_anew() {
    let (mut world, key) = world(1);
    let ids = sessions(&mut world, 0, &key, 9);
    // The fifth is longer, but begins like the ones before it, so it is the last of their lot.
    let pipeline = reads(&ids[..4], &key, "") + &reads(&ids[4..], &key, "Accept: */*\r\n");
    let expected = parsed(&[&ids[1..5], &ids[6..]].concat());
    assert_eq!(looked_at(&mut world, &pipeline, &[200; 9]), expected);
}

#[test]
fn only_sessions_of_this_core_are_looked_at() {
    let (mut world, key) = world(2);
    let (here, there) = (sessions(&mut world, 0, &key, 4), sessions(&mut world, 1, &key, 4));
    let both: Vec<String> =
        here.iter().zip(&there).flat_map(|(here, there)| [here, there].map(String::clone)).collect();
    assert_eq!(looked_at(&mut world, &reads(&both, &key, ""), &[200; 8]), parsed(&here[1..]));
}

#[test]
fn nothing_is_looked_at_for_whoever_has_no_key() {
    let (mut world, key) = world(1);
    let ids = sessions(&mut world, 0, &key, 8);
    assert_eq!(looked_at(&mut world, &reads(&ids, WRONG_KEY, ""), &[401; 8]), []);
    let without = reads(&ids, &key, "").replace(&format!("X-Session-Key: {key}\r\n"), "");
    assert_eq!(looked_at(&mut world, &without, &[401; 8]), []);
    // A key that was shown before opens nothing for requests without it.
    let pipeline = reads(&ids[..1], &key, "") + &without.replace("GET /", "DELETE /");
    assert_eq!(looked_at(&mut world, &pipeline, &[200, 401, 401, 401, 401, 401, 401, 401, 401]), []);
}
