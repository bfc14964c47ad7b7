//! The admin listener from outside: its pages, and that sessions are not to be had there.
//!
//! What the pages say in detail is tested beside their code.

use std::time::Duration;

use crate::support::{App, Launch, MASTER_KEY, Metrics, SHAPES};

#[test]
fn the_admin_pages_answer() {
    for shape in SHAPES {
        let server = Launch::shape(shape).with_admin().start();
        let mut admin = server.connect_admin();
        for page in ["/livez", "/readyz", "/version", "/metrics"] {
            assert!(!admin.request("GET", page, &[], b"").expect(200).body.is_empty(), "{page}");
            admin.request("HEAD", page, &[], b"").expect(200);
        }
        let version = admin.request("GET", "/version", &[], b"").expect(200).json();
        assert_eq!(
            (&version["name"], &version["version"]),
            (&"seshun".into(), &env!("CARGO_PKG_VERSION").into())
        );
        admin.request("POST", "/metrics", &[], b"").expect(405);
        admin.request("GET", "/nowhere", &[], b"").expect(404);
    }
}

#[test]
fn sessions_and_keys_are_not_served_there() {
    let server = Launch::cores(2).with_admin().start();
    let mut app = App::new(&server);
    let id = app.create(b"data");
    let mut admin = server.connect_admin();
    admin.request("GET", &app.path(&id), &[("X-SESSION-KEY", &app.key)], b"").expect(404);
    admin.request("GET", "/session/settings", &[("X-SESSION-KEY", MASTER_KEY)], b"").expect(404);
    let pages = admin.request("GET", "/metrics", &[], b"").expect(200);
    assert!(!pages.text().contains(&app.key) && !pages.text().contains(&id));
    app.client.request("GET", "/metrics", &[("X-SESSION-KEY", MASTER_KEY)], b"").expect(405);
    app.client.request("GET", "/livez", &[], b"").expect(405);
}

#[test]
fn requests_are_counted_by_their_core() {
    for shape in SHAPES {
        let server = Launch::shape(shape).with_admin().start();
        let mut app = App::new(&server);
        for _ in 0..10 {
            app.create(b"data");
        }
        crate::support::eventually("eleven requests are counted", || {
            let metrics: Metrics = server.metrics();
            let requests = metrics.by_core("seshun_requests_total");
            assert_eq!(requests.len(), usize::from(shape.cores));
            (requests.iter().sum::<f64>() == 11.0).then_some(())
        });
    }
}

#[test]
fn clients_that_dawdle_do_not_keep_others_out_for_long() {
    let server = Launch::cores(1).with_admin().start();
    // As many as are served at once. Half of them send a byte now and then, half read nothing.
    let mut dawdling: Vec<_> = (0..64).map(|_| server.connect_admin()).collect();
    let (slow, deaf) = dawdling.split_at_mut(32);
    let wanted = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2_000);
    std::thread::scope(|scope| {
        for client in deaf {
            let wanted = &wanted;
            scope.spawn(move || client.try_send(wanted));
        }
        for _ in 0..6 {
            for client in slow.iter_mut() {
                client.try_send(b"G");
            }
            std::thread::sleep(Duration::from_secs(2));
        }
    });
    server.connect_admin().request("GET", "/livez", &[], b"").expect(200);
}

#[test]
fn it_runs_on_small_pages_alone() {
    let server = Launch::cores(1).start();
    assert_eq!(server.system_status("THP_enabled").as_deref(), Some("0"));
}
