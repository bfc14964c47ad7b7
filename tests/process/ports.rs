//! Addresses: one that is taken is said so, and one that was left can be taken again.
//!
//! A second server on a first one's port must end, not share its connections.

use std::net::TcpListener;

use crate::support::{App, Ended, Launch, SHAPES, Shape};

#[track_caller]
fn check_refused(ended: &Ended, said: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    for word in said {
        assert!(ended.stderr.contains(word), "no {word:?} in {ended:?}");
    }
}

#[test]
fn a_second_server_on_one_port_is_refused_and_harms_nobody() {
    for shape in SHAPES {
        let first = Launch::shape(shape).start();
        let addr = first.addr().to_string();
        check_refused(&Launch::shape(shape).listen(&addr).run(), &[&addr]);
        for _ in 0..20 {
            App::new(&first).create(b"data");
        }
    }
}

#[test]
fn a_port_that_another_program_has_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    check_refused(&Launch::cores(4).listen(&addr).run(), &[&addr]);
}

#[test]
fn an_admin_port_that_is_taken_names_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    check_refused(&Launch::cores(1).admin_listen(&addr).run(), &[&addr, "--admin-listen off"]);
}

#[test]
fn an_address_that_is_not_ours_is_refused() {
    // 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
    check_refused(&Launch::cores(1).listen("192.0.2.1:1").run(), &["192.0.2.1:1"]);
}

#[test]
fn a_server_that_was_killed_or_ended_leaves_its_port_free() {
    for shape in [Shape::cores(1), Shape::cores(4), Shape::epoll(2)] {
        let mut server = Launch::shape(shape).start();
        let addr = server.addr();
        for round in 0..4 {
            let mut app = App::new(&server);
            let id = app.create(b"data");
            app.get(&id, &[]).expect(200);
            if round % 2 == 0 {
                server.kill();
            } else {
                server.terminate();
                assert_eq!(server.wait_exit(), Some(0));
            }
            server = Launch::shape(shape).listen(&addr.to_string()).start();
            assert_eq!(server.addr(), addr);
        }
    }
}

#[test]
fn it_listens_on_ipv6_where_it_is_told_to() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let server = Launch::cores(2).listen("[::1]:0").start();
    assert!(server.addr().is_ipv6());
    App::new(&server).create(b"data");
}
