//! The text protocol's requests and answers by table; answers also split at each byte.

use super::*;
use crate::versus::dialect::tests::{passes, plain_data, written};

const KEY: &str = "session:0f8fad5b-d9cb-469f-a165-70867728950e";

fn memcached() -> Memcached {
    Memcached::new(plain_data(), 3)
}

#[test]
fn each_action_is_one_command() {
    let set = format!("set {KEY} 0 2592000 7\r\npayload\r\n");
    let table = [
        (Action::Create, set.clone()),
        (Action::Bot, set.replace("2592000", "3")),
        (Action::Update, set),
        (Action::Read, format!("gat 2592000 {KEY}\r\n")),
        (Action::Delete, format!("delete {KEY}\r\n")),
    ];
    for (action, expected) in table {
        assert_eq!(written(&memcached(), action), expected, "{action:?}");
    }
}

#[test]
fn right_answers_pass_however_they_are_split() {
    passes(&memcached(), Action::Create, b"STORED\r\n");
    passes(&memcached(), Action::Update, b"STORED\r\n");
    passes(&memcached(), Action::Bot, b"STORED\r\n");
    passes(&memcached(), Action::Delete, b"DELETED\r\n");
    passes(&memcached(), Action::Read, format!("VALUE {KEY} 0 7\r\npayload\r\nEND\r\n").as_bytes());
}

#[test]
fn other_answers_are_told() {
    let table = [
        (Action::Create, "SERVER_ERROR out of memory storing object\r\n".to_owned()),
        (Action::Delete, "NOT_FOUND\r\n".to_owned()),
        (Action::Read, "END\r\n".to_owned()),
        (Action::Read, format!("VALUE {KEY} 0 6\r\npayloa\r\nEND\r\n")),
        (Action::Read, format!("VALUE {KEY} 0 7\r\nPayload\r\nEND\r\n")),
        (Action::Read, format!("VALUE {KEY} 0 7\r\npayload\r\nVALUE")),
        (Action::Read, format!("VALUE {KEY} 1 7\r\npayload\r\nEND\r\n")),
        (Action::Read, format!("VALUE {KEY} 0 7 5\r\npayload\r\nEND\r\n")),
        (Action::Read, "a".repeat(1000)),
        (Action::Update, "ERROR\r\n".to_owned()),
    ];
    for (action, text) in table {
        assert!(memcached().read(action, text.as_bytes()).is_err(), "{action:?}: {text}");
    }
}

#[test]
fn data_of_no_bytes_is_data() {
    let empty = Memcached::new(Data::new(1, 0), 3);
    passes(&empty, Action::Read, format!("VALUE {KEY} 0 0\r\n\r\nEND\r\n").as_bytes());
}
