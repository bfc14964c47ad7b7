//! Any bytes, in any pieces: a connection never panics, keeps its invariants, and finds the
//! same requests and the same refusal as when the bytes come at once.
//!
//! The input's first byte tells how many of the following say where to cut the rest.

#![no_main]

use libfuzzer_sys::fuzz_target;
use seshun::http::{BodyLength, BodyPlan, Connection, Event, Limits, Phase, Refused};

/// Small, so that the fuzzer reaches each of them.
const LIMITS: Limits = Limits {
    head_bytes_max: 512,
    target_bytes_max: 64,
    fields_max: 8,
    trailer_bytes_max: 32,
    chunk_overhead_bytes_max: 32,
};

const BODY_BYTES_MAX: usize = 256;

/// What the bytes lead to.
#[derive(PartialEq, Eq, Debug)]
enum Seen {
    Request { path: Vec<u8>, fields: Vec<(Vec<u8>, Vec<u8>)>, keep_alive: bool, body: Vec<u8> },
    Refused(Refused),
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut_count, rest)) = data.split_first() else { return };
    let (cuts, wire) = rest.split_at(rest.len().min(usize::from(cut_count % 32)));
    let whole = run([wire]);
    assert_eq!(run(pieces(cuts, wire)), whole, "split otherwise");
    assert_eq!(run(wire.chunks(1)), whole, "byte by byte");
});

/// `wire` in pieces as long as `cuts` say, the rest in one.
fn pieces<'w>(cuts: &[u8], wire: &'w [u8]) -> Vec<&'w [u8]> {
    let mut rest = wire;
    let mut pieces = Vec::with_capacity(cuts.len() + 1);
    for cut in cuts {
        let (piece, later) = rest.split_at(rest.len().min(usize::from(*cut)));
        pieces.push(piece);
        rest = later;
    }
    pieces.push(rest);
    pieces
}

fn run<'w>(pieces: impl IntoIterator<Item = &'w [u8]>) -> Vec<Seen> {
    let mut connection = Connection::new(LIMITS);
    let mut seen = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let mut input = connection.take_input();
            let spare = input.capacity() - input.len();
            assert!(spare > 0, "there is room to read into");
            let (now, later) = piece.split_at(piece.len().min(spare));
            input.extend_from_slice(now);
            connection.restore_input(input);
            drain(&mut connection, &mut seen);
            piece = later;
        }
    }
    connection.end_input();
    drain(&mut connection, &mut seen);
    assert_eq!((connection.poll(), connection.phase()), (Event::Closed, Phase::Done));
    seen
}

/// Polls until nothing more comes, judging as a driver does.
fn drain(connection: &mut Connection, seen: &mut Vec<Seen>) {
    loop {
        match connection.poll() {
            Event::Starved => {
                assert!(matches!(connection.phase(), Phase::Idle | Phase::Head | Phase::Body));
                return;
            }
            Event::Head => judge(connection, seen),
            Event::Body => {
                let Some(Seen::Request { body, keep_alive, .. }) = seen.last_mut() else {
                    panic!("a head comes before its body");
                };
                assert!(connection.body().len() <= BODY_BYTES_MAX);
                assert_eq!(connection.keeps_alive(), *keep_alive);
                body.extend_from_slice(connection.body());
                connection.finish_request();
            }
            Event::Refused(refused) => {
                assert!(!connection.keeps_alive());
                // A request that is refused in its body was begun, but nobody has acted on it.
                seen.push(Seen::Refused(refused));
            }
            Event::Closed => return,
        }
    }
}

fn judge(connection: &mut Connection, seen: &mut Vec<Seen>) {
    let head = connection.head();
    if matches!(head.body_length(), BodyLength::Known(bytes) if bytes > BODY_BYTES_MAX as u64) {
        connection.close();
        return;
    }
    assert!(head.path().len() <= LIMITS.target_bytes_max && head.fields().count() <= LIMITS.fields_max);
    assert!(
        head.fields()
            .all(|(name, value)| !name.is_empty() && !value.iter().any(|byte| b"\r\n\0".contains(byte)))
    );
    seen.push(Seen::Request {
        path: head.path().to_vec(),
        fields: head.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        keep_alive: head.keep_alive(),
        body: Vec::new(),
    });
    let _ = connection.accept_body(BodyPlan::Collect { bytes_max: BODY_BYTES_MAX });
}
