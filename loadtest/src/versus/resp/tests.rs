//! RESP's requests and answers by table; answers also split at each byte.

use super::*;
use crate::versus::dialect::tests::{passes, plain_data, written};

const KEY: &str = "$44\r\nsession:0f8fad5b-d9cb-469f-a165-70867728950e\r\n";

fn resp() -> Resp {
    Resp::new(plain_data(), 3)
}

#[test]
fn each_action_is_one_command() {
    let set = format!("*5\r\n$3\r\nSET\r\n{KEY}$7\r\npayload\r\n$2\r\nEX\r\n$7\r\n2592000\r\n");
    let table = [
        (Action::Create, set.clone()),
        (Action::Bot, set.replace("$7\r\n2592000", "$1\r\n3")),
        (Action::Update, set),
        (Action::Read, format!("*4\r\n$5\r\nGETEX\r\n{KEY}$2\r\nEX\r\n$7\r\n2592000\r\n")),
        (Action::Delete, format!("*2\r\n$3\r\nDEL\r\n{KEY}")),
    ];
    for (action, expected) in table {
        assert_eq!(written(&resp(), action), expected, "{action:?}");
    }
}

#[test]
fn right_answers_pass_however_they_are_split() {
    passes(&resp(), Action::Create, b"+OK\r\n");
    passes(&resp(), Action::Update, b"+OK\r\n");
    passes(&resp(), Action::Bot, b"+OK\r\n");
    passes(&resp(), Action::Delete, b":1\r\n");
    passes(&resp(), Action::Read, b"$7\r\npayload\r\n");
}

#[test]
fn other_answers_are_told() {
    let table: [(Action, &[u8]); 9] = [
        (Action::Create, b"-OOM command not allowed\r\n"),
        (Action::Create, b"$-1\r\n"),
        (Action::Delete, b":0\r\n"),
        (Action::Read, b"$-1\r\n"),
        (Action::Read, b"$6\r\npayloa\r\n"),
        (Action::Read, b"$7\r\nPayload\r\n"),
        (Action::Read, b"$7\r\npayloadXX"),
        (Action::Read, b"-ERR unknown command\r\n"),
        (Action::Update, b":1\r\n"),
    ];
    for (action, bytes) in table {
        assert!(resp().read(action, bytes).is_err(), "{action:?}: {}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn data_of_no_bytes_is_data() {
    let empty = Resp::new(Data::new(1, 0), 3);
    passes(&empty, Action::Read, b"$0\r\n\r\n");
    assert!(written(&empty, Action::Create).contains("$0\r\n\r\n"));
}
