//! The master key that the shipped configuration has: for trying out, on loopback, and no further.
//!
//! Tried from loopback only, as everything here; that others cannot reach it is shown by
//! the server's refusal to listen for them, and by what proxies add.

use crate::support::{Launch, Shape};

const EXAMPLE_KEY: &str = "change-me-before-you-expose-me";

/// The shipped configuration on a free port.
fn as_shipped(listen: &str) -> Launch {
    Launch::bare()
        .flag("--config")
        .flag("builtin")
        .flag("--cores")
        .flag("2")
        .listen(listen)
        .admin_listen("off")
}

#[test]
fn it_opens_the_api_keys_from_loopback() {
    let server = as_shipped("127.0.0.1:0").start();
    let mut client = server.connect();
    for (field, key) in
        [("X-SESSION-KEY", EXAMPLE_KEY.to_owned()), ("Authorization", format!("Bearer {EXAMPLE_KEY}"))]
    {
        client.request("PUT", "/api-key/shop", &[(field, &key)], b"").expect(201);
        client.request("DELETE", "/api-key/shop", &[(field, &key)], b"").expect(200);
    }
    client.request("GET", &format!("/session/settings?api_key={EXAMPLE_KEY}"), &[], b"").expect(200);
}

#[test]
fn it_is_of_no_use_behind_a_proxy() {
    let server = as_shipped("127.0.0.1:0").start();
    let mut client = server.connect();
    for (field, value) in [
        ("Forwarded", "for=192.0.2.1"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "seshun.test"),
        ("X-Real-IP", "192.0.2.1"),
        ("Via", "1.1 proxy"),
    ] {
        let fields = [("X-SESSION-KEY", EXAMPLE_KEY), (field, value)];
        client.request("PUT", "/api-key/shop", &fields, b"").expect(401);
        client.request("GET", "/session/settings", &fields, b"").expect(401);
    }
    client.request("PUT", "/api-key/shop", &[("X-SESSION-KEY", EXAMPLE_KEY)], b"").expect(201);
}

#[test]
fn a_key_of_ones_own_works_behind_a_proxy() {
    let server = Launch::shape(Shape::cores(1)).start();
    let mut client = server.connect();
    let fields = [("X-SESSION-KEY", crate::support::MASTER_KEY), ("X-Forwarded-For", "192.0.2.1")];
    let key = client.request("PUT", "/api-key/shop", &fields, b"").expect(201);
    let fields = [("X-SESSION-KEY", key.text()), ("Via", "1.1 proxy")];
    client.request("PUT", "/session/shop", &fields, b"").expect(201);
}

#[test]
fn a_start_with_it_warns_in_one_line_that_shows_how_to_make_another() {
    let server = as_shipped("127.0.0.1:0").start();
    let stderr = server.stderr();
    let warnings: Vec<_> = stderr.lines().filter(|line| line.contains("openssl rand -hex 32")).collect();
    assert_eq!(warnings.len(), 1, "{stderr}");
    assert!(!stderr.contains(EXAMPLE_KEY), "{stderr}");
    let own = Launch::cores(1).start();
    assert!(!own.stderr().contains("openssl"), "{}", own.stderr());
}

#[test]
fn it_is_refused_where_others_can_reach_it() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let ended = as_shipped(listen).run();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains("auth.master_keys"), "{ended:?}");
    }
    let beside_another = format!("[\"another-master-key.0123456\", \"{EXAMPLE_KEY}\"]");
    let ended = Launch::cores(1).set("auth.master_keys", &beside_another).listen("0.0.0.0:0").run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
}
