//! The admin listener from outside: its pages, and that sessions are not to be had there.
//!
//! What the pages say in detail is tested beside their code.

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
