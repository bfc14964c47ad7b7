//! Scripts: made from the model, recorded from a server, and kept in a file.

use std::net::TcpListener;
use std::thread;

use super::*;
use crate::versus::dialect::Data;

fn http() -> Http {
    Http::new("127.0.0.1:40000", ("bucket", "key"), Data::new(3, 100))
}

#[test]
fn modelled_answers_are_what_the_dialect_expects() {
    let script = Script::modelled(&http());
    for (index, action) in ACTIONS.into_iter().enumerate() {
        assert_eq!(index, action as usize, "{action:?}");
        let Line { opening, request_len, answer } = script.line(index);
        let reply = http().read(action, answer).unwrap().unwrap();
        assert_eq!(reply.len, answer.len(), "{action:?}");
        let mut request = Vec::new();
        http().write(action, &model_id(), &mut request);
        assert_eq!((request.len(), script.index_of(*opening)), (*request_len, Some(index)), "{action:?}");
    }
    assert_eq!(script.index_of(*b"HE"), None);
    let mut bot = Vec::new();
    http().write(Action::Bot, &model_id(), &mut bot);
    let create = script.line(Action::Create as usize);
    assert_eq!((&bot[..OPENING_LEN], bot.len()), (&create.opening[..], create.request_len));
}

#[test]
fn recorded_answers_are_the_servers_to_the_byte() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let model = Script::modelled(&http());
    let spoken = model.clone();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for line in &spoken.lines {
            let mut request = vec![0; line.request_len];
            stream.read_exact(&mut request).unwrap();
            assert_eq!(request[..OPENING_LEN], line.opening);
            // In two pieces, so that one of them is no answer.
            let (first, rest) = line.answer.split_at(20);
            stream.write_all(first).unwrap();
            stream.write_all(rest).unwrap();
        }
    });
    assert_eq!(Script::recorded(addr, &http()).unwrap(), model);
    server.join().unwrap();
}

#[test]
fn a_server_that_answers_otherwise_is_not_recorded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    assert!(Script::recorded(addr, &http()).unwrap_err().to_string().contains("status"));
    server.join().unwrap();
}

#[test]
fn a_script_survives_its_file() {
    let script = Script::modelled(&http());
    let text = serde_json::to_vec(&script).unwrap();
    assert_eq!(serde_json::from_slice::<Script>(&text).unwrap(), script);
}
