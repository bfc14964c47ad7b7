//! Turns against servers within the test: one that keeps what it is told, and faulty ones.

#![allow(clippy::disallowed_types, reason = "the servers of these tests are plain threads")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
use std::thread;

use super::*;
use crate::versus::dialect::{Data, Dialect};
use crate::versus::memcached::Memcached;
use crate::versus::resp::Resp;

type Store = BTreeMap<String, Vec<u8>>;

/// The words of the first whole request of some bytes, and how many bytes it took.
type Parse = fn(&[u8]) -> Option<(Vec<Vec<u8>>, usize)>;

/// The answer to a request.
type Answer = fn(&mut Store, &[Vec<u8>]) -> Vec<u8>;

/// A server for as long as the test goes on.
fn start(parse: Parse, answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let store = Arc::new(Mutex::new(Store::new()));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, store) = (stream.unwrap(), Arc::clone(&store));
            thread::spawn(move || {
                let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    bytes.extend_from_slice(&chunk[..count]);
                    while let Some((words, len)) = parse(&bytes) {
                        bytes.drain(..len);
                        let answer = answer(&mut store.lock().unwrap(), &words);
                        // The other side may have seen enough.
                        let _ = stream.write_all(&answer);
                    }
                }
            });
        }
    });
    addr
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

fn parse_resp(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let number = |at: usize, mark: u8| {
        let len = bytes.get(at..)?.windows(2).position(|pair| pair == b"\r\n")?;
        assert_eq!(bytes[at], mark, "{:?}", text(bytes));
        Some((text(&bytes[at + 1..at + len]).parse::<usize>().unwrap(), at + len + 2))
    };
    let (count, mut at) = number(0, b'*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (len, start) = number(at, b'$')?;
        words.push(bytes.get(start..start + len)?.to_vec());
        at = start + len + 2;
    }
    (at <= bytes.len()).then_some((words, at))
}

fn answer_resp(store: &mut Store, words: &[Vec<u8>]) -> Vec<u8> {
    let key = text(&words[1]);
    match (words[0].as_slice(), words.len()) {
        (b"SET", 5) => {
            store.insert(key, words[2].clone());
            b"+OK\r\n".to_vec()
        }
        (b"GETEX", 4) => match store.get(&key) {
            Some(data) => [format!("${}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat(),
            None => b"$-1\r\n".to_vec(),
        },
        (b"DEL", 2) => format!(":{}\r\n", u8::from(store.remove(&key).is_some())).into_bytes(),
        _ => b"-ERR unknown command\r\n".to_vec(),
    }
}

fn parse_memcached(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let len = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let mut words: Vec<Vec<u8>> = bytes[..len].split(|&byte| byte == b' ').map(<[u8]>::to_vec).collect();
    let mut at = len + 2;
    if words[0] == b"set" {
        let data_len: usize = text(&words[4]).parse().unwrap();
        words.push(bytes.get(at..at + data_len)?.to_vec());
        at += data_len + 2;
    }
    (at <= bytes.len()).then_some((words, at))
}

fn answer_memcached(store: &mut Store, words: &[Vec<u8>]) -> Vec<u8> {
    match text(&words[0]).as_str() {
        "set" => {
            store.insert(text(&words[1]), words[5].clone());
            b"STORED\r\n".to_vec()
        }
        "gat" => match store.get(&text(&words[2])) {
            Some(data) => {
                let first = format!("VALUE {} 0 {}\r\n", text(&words[2]), data.len());
                [first.as_bytes(), data, b"\r\nEND\r\n"].concat()
            }
            None => b"END\r\n".to_vec(),
        },
        "delete" if store.remove(&text(&words[1])).is_some() => b"DELETED\r\n".to_vec(),
        _ => b"NOT_FOUND\r\n".to_vec(),
    }
}

/// Two turns in a closed loop on this server, of which both results are given.
fn turns(remote_addr: SocketAddr, dialect: Rc<dyn Dialect>, mix: &str) -> [Result<Measured, LoadError>; 2] {
    turns_at(None, remote_addr, dialect, mix)
}

/// The same, in an open loop where there is a rate.
fn turns_at(
    rate: Option<Rate>,
    remote_addr: SocketAddr,
    dialect: Rc<dyn Dialect>,
    mix: &str,
) -> [Result<Measured, LoadError>; 2] {
    let (mix, fixed) = (mix.parse().unwrap(), None);
    let plan = Plan { remote_addr, dialect, mix, connections: 3, sessions: 4, fixed, seed: 5 };
    let mut fleet = Fleet::new(&plan);
    let mut event_loop = std::mem::ManuallyDrop::new(EventLoop::build(true).unwrap());
    let turn = Turn {
        clock: Clock::started(),
        warm_up: Duration::from_millis(5),
        measured: Duration::from_millis(50),
        rate,
        stopped: Arc::default(),
    };
    let mut server = Duration::ZERO;
    let mut used = || {
        server += Duration::from_millis(7);
        Ok(Used { server, load: server * 2 })
    };
    [(); 2].map(|()| fleet.turn(&mut event_loop, &turn, &mut used))
}

const MIX: &str = "read=50,update=10,create=20,delete=20,bot=10";

#[test]
fn sessions_last_over_all_turns_on_redis() {
    let resp = Rc::new(Resp::new(Data::new(1, 100), 2));
    for measured in turns(start(parse_resp, answer_resp), resp, MIX) {
        let measured = measured.unwrap();
        let Measured { elapsed, server, load, effort, .. } = &measured;
        let answers = measured.latencies().count();
        assert!(answers > 3 && !elapsed.is_zero() && effort.is_none(), "{answers} answers");
        assert_eq!((*server, *load), (Duration::from_millis(7), Duration::from_millis(14)));
    }
}

#[test]
fn sessions_last_over_all_turns_on_memcached() {
    let memcached = Rc::new(Memcached::new(Data::new(1, 10_000), 2));
    for measured in turns(start(parse_memcached, answer_memcached), memcached, MIX) {
        assert!(measured.unwrap().latencies().count() > 3);
    }
}

const RATE: Rate = Rate { from: 4000.0, to: 4000.0 };

#[test]
fn an_open_loop_lets_every_request_of_its_schedule_leave_or_drops_it() {
    let resp = Rc::new(Resp::new(Data::new(1, 100), 2));
    for measured in turns_at(Some(RATE), start(parse_resp, answer_resp), resp, MIX) {
        let measured = measured.unwrap();
        let (tally, latencies) = (&measured.tally, measured.latencies());
        assert_eq!(latencies.count(), 200, "4000 a second for 50 ms");
        assert_eq!(tally.answer_count() + tally.dropped.count(), 200);
        let services: u64 = Kind::ALL.into_iter().map(|kind| tally.service(kind).count()).sum();
        assert_eq!(services, tally.answer_count(), "what left counts from there too");
        assert!(tally.latency(Kind::Create).count() > 0 && measured.effort.is_some());
    }
}

#[test]
fn a_server_too_slow_for_the_rate_has_the_queue_in_its_latencies() {
    // Three connections, each with an answer every 20 ms at best: most of 200 requests never leave.
    let slow: Answer = |store, words| {
        thread::sleep(Duration::from_millis(20));
        answer_resp(store, words)
    };
    let resp = Rc::new(Resp::new(Data::new(1, 10), 2));
    let [first, _] = turns_at(Some(RATE), start(parse_resp, slow), resp, "read=1");
    let measured = first.unwrap();
    let (tally, latencies) = (&measured.tally, measured.latencies());
    assert!(tally.dropped.count() > 100, "{} dropped", tally.dropped.count());
    assert_eq!(tally.answer_count() + tally.dropped.count(), 200);
    assert!(tally.answer_count() < 20 && latencies.count() == 200, "{} answers", tally.answer_count());
}

#[test]
fn a_wrong_answer_ends_a_turn_of_an_open_loop_too() {
    let forgetful: Answer = |_, words| match words[0].as_slice() {
        b"SET" => b"+OK\r\n".to_vec(),
        _ => b"$-1\r\n".to_vec(),
    };
    let resp = Rc::new(Resp::new(Data::new(1, 10), 2));
    let [first, _] = turns_at(Some(RATE), start(parse_resp, forgetful), resp, "read=1");
    assert!(matches!(first, Err(LoadError::Wrong { action: Action::Read, .. })), "{first:?}");
}

#[test]
fn a_wrong_answer_ends_the_turn() {
    let forgetful: Answer = |_, words| match words[0].as_slice() {
        b"SET" => b"+OK\r\n".to_vec(),
        _ => b"$-1\r\n".to_vec(),
    };
    let [first, _] = turns(start(parse_resp, forgetful), Rc::new(Resp::new(Data::new(1, 10), 2)), "read=1");
    let said = first.unwrap_err().to_string();
    assert!(said.contains("Read") && said.contains("no session"), "{said}");
}

#[test]
fn a_second_answer_behind_the_first_ends_the_turn() {
    let chatty: Answer = |_, _| b"+OK\r\n+OK\r\n".to_vec();
    let [first, _] = turns(start(parse_resp, chatty), Rc::new(Resp::new(Data::new(1, 10), 2)), MIX);
    assert!(matches!(first, Err(LoadError::Wrong { action: Action::Create, .. })), "{first:?}");
}

#[test]
fn a_server_that_hangs_up_or_is_not_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let hanging_up = thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            drop(stream);
        }
    });
    let resp: Rc<dyn Dialect> = Rc::new(Resp::new(Data::new(1, 10), 2));
    let [lost, _] = turns(addr, Rc::clone(&resp), MIX);
    assert!(matches!(lost, Err(LoadError::Lost | LoadError::Connect(_))), "{lost:?}");
    hanging_up.join().unwrap();
    let [absent, _] = turns(addr, resp, MIX);
    assert!(matches!(absent, Err(LoadError::Connect(_))), "{absent:?}");
}
