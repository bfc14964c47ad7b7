//! Binding against neighbours, and the life of a listener on every driver.
//!
//! Everything stays on loopback, on ports that the system picks.

use std::io::{Read, Write};
use std::net::TcpStream as StdTcpStream;
use std::rc::Rc;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};

use super::*;
use crate::runtime::driver::tests::every_runtime;

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn count(cores: u16) -> ShardCount {
    ShardCount::new(cores).unwrap()
}

#[test]
fn port_0_picks_one_port_for_all_cores() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listeners = bind_all(address.parse().unwrap(), count(4)).unwrap();
        assert_ne!(listeners.address.port(), 0);
        assert_eq!(listeners.sockets.len(), 4);
        for socket in &listeners.sockets {
            assert_eq!(socket.local_addr().unwrap(), listeners.address);
        }
    }
}

#[test]
fn a_second_server_on_the_same_address_is_told_so() {
    let first = bind_all(loopback(), count(2)).unwrap();
    let error = bind_all(first.address, ShardCount::ONE).unwrap_err();
    assert!(matches!(error, ListenError::InUse(address) if address == first.address));
    assert!(error.to_string().contains(&first.address.to_string()), "{error}");
}

#[test]
fn an_address_that_is_freed_within_the_second_is_taken() {
    let first = bind_all(loopback(), count(2)).unwrap();
    let address = first.address;
    let freeing = thread::spawn(move || {
        thread::sleep(3 * PROBE_PAUSE);
        drop(first);
    });
    assert_eq!(bind_all(address, count(2)).unwrap().address, address);
    freeing.join().unwrap();
}

#[test]
fn lingering_connections_do_not_keep_a_restart_from_binding() {
    let first = bind_all(loopback(), ShardCount::ONE).unwrap();
    let mut client = StdTcpStream::connect(first.address).unwrap();
    let (served, _) = first.sockets[0].accept().unwrap();
    // The server closes first, so the connection stays in TIME_WAIT on its side.
    drop(served);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    let address = first.address;
    drop((client, first));
    bind_all(address, count(2)).unwrap();
}

#[test]
fn an_address_of_another_machine_is_named_in_the_error() {
    let elsewhere: SocketAddr = "192.0.2.1:8385".parse().unwrap();
    let error = bind_all(elsewhere, ShardCount::ONE).unwrap_err();
    assert!(matches!(error, ListenError::NotHere(address) if address == elsewhere), "{error}");
}

#[test]
fn each_failure_to_bind_says_what_to_do() {
    let address = loopback();
    let rows = [
        (io::ErrorKind::AddrInUse, "in use"),
        (io::ErrorKind::AddrNotAvailable, "no address of this machine"),
        (io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
        (io::ErrorKind::Unsupported, "cannot listen"),
    ];
    for (kind, words) in rows {
        let text = ListenError::new(address, kind.into()).to_string();
        assert!(text.contains(words) && text.contains("127.0.0.1:0"), "{text}");
    }
}

#[test]
fn a_pending_accept_ends_when_its_listener_is_stopped() {
    for mut runtime in every_runtime() {
        let kind = runtime.kind();
        let mut listeners = bind_all(loopback(), ShardCount::ONE).unwrap();
        let address = listeners.address;
        let error = runtime.block_on(async {
            let listener = Rc::new(enter(listeners.sockets.remove(0), kind).unwrap());
            let accepting = Rc::clone(&listener);
            let accept = monoio::spawn(async move { accepting.accept().await.map(|_| ()) });
            monoio::time::sleep(Duration::from_millis(20)).await;
            stop(&listener).unwrap();
            accept.await.unwrap_err()
        });
        assert_eq!(Errno::from_io_error(&error), Some(Errno::INVAL), "{kind:?}");
        assert!(StdTcpStream::connect(address).is_err(), "{kind:?}: nobody listens any more");
    }
}

#[test]
fn a_queue_is_emptied_beside_a_pending_accept_and_every_client_is_served() {
    for mut runtime in every_runtime() {
        let kind = runtime.kind();
        let mut listeners = bind_all(loopback(), ShardCount::ONE).unwrap();
        let address = listeners.address;
        let clients = runtime.block_on(async {
            let listener = Rc::new(enter(listeners.sockets.remove(0), kind).unwrap());
            let accepting = Rc::clone(&listener);
            let accept = monoio::spawn(async move {
                let mut accepted = Vec::new();
                while let Ok((stream, _)) = accepting.accept().await {
                    accepted.push(stream);
                }
                accepted
            });
            monoio::time::sleep(Duration::from_millis(20)).await;
            let clients: Vec<_> = (0..20).map(|_| StdTcpStream::connect(address).unwrap()).collect();
            let mut taken = Vec::new();
            while let Some(connection) = accept_queued(&listener).unwrap() {
                taken.push(adopt(connection, kind).unwrap());
            }
            stop(&listener).unwrap();
            taken.extend(accept.await);
            assert_eq!(taken.len(), clients.len(), "{kind:?}");
            for mut stream in taken {
                stream.write_all(b"bye").await.0.unwrap();
            }
            clients
        });
        for mut client in clients {
            let mut answer = [0; 3];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"bye", "{kind:?}");
        }
    }
}

#[test]
fn a_connection_moves_from_any_core_to_any_other() {
    let kinds: Vec<_> = every_runtime().map(|runtime| runtime.kind()).collect();
    let by_kind = |kind| every_runtime().find(|runtime| runtime.kind() == kind).unwrap();
    for (from, to) in kinds.iter().flat_map(|from| kinds.iter().map(move |to| (*from, *to))) {
        let mut listeners = bind_all(loopback(), ShardCount::ONE).unwrap();
        let mut client = StdTcpStream::connect(listeners.address).unwrap();
        client.write_all(b"early").unwrap();
        let connection = by_kind(from).block_on(async {
            let listener = enter(listeners.sockets.remove(0), from).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            fd::into_owned(stream)
        });
        let serving = thread::spawn(move || {
            by_kind(to).block_on(async {
                let mut stream = adopt(connection, to).unwrap();
                for expected in [&b"early"[..], b"late"] {
                    let (read, buffer) = stream.read(Vec::with_capacity(16)).await;
                    read.unwrap();
                    assert_eq!(buffer, expected, "{from:?} to {to:?}");
                    stream.write_all(buffer).await.0.unwrap();
                }
            });
        });
        let mut answer = [0; 5];
        client.read_exact(&mut answer).unwrap();
        client.write_all(b"late").unwrap();
        client.read_exact(&mut answer[..4]).unwrap();
        assert_eq!(&answer, b"latey");
        serving.join().unwrap();
    }
}
